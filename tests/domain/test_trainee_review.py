"""Who stands behind a nomination: a number under another name, whoever nominates himself, a school that closes."""

from dataclasses import replace

import pytest

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import COUNTY_APPROVED, IN_TRAINING, NOMINATED, PERSON
from domain import trainee
from domain.decision import Count, Release
from domain.person import PersonCorrected
from domain.trainee_context import Facts
from domain.trainee_messages import Approve, Nominate, NominationApproved, NominationRejected, TraineeNominated
from domain.trainee_review_messages import ChangeSchool, Finding, IdentityReviewed, ReviewIdentity, SchoolChanged
from domain.trainee_state import case_of, fold
from tests.domain.nominations import BUREAU, COUNTY, NOMINATION, OTHER_COUNTY, SCHOOL, SEAT, facts
from tests.specification import Specification, specification, the_plan

HELD = NOMINATED.model_copy(update={"identity_review": True, "sealed": "v1.given"})
BY_COUNTY = NOMINATED.model_copy(update={"nominated_by": "county", "self_nominated": True, "school": "410181"})


def nomination() -> Specification:
    return specification(trainee, NUMBER, fold)


def review(finding: Finding) -> ReviewIdentity:
    return ReviewIdentity(finding=finding, decided_by="b7", reasons="户籍证明 3")


def test_case_8_the_same_number_under_another_name_is_held_and_the_bureau_is_told() -> None:
    command = NOMINATION.model_copy(update={"name_differs": True})
    decision = nomination().when(command, SCHOOL, on(8, 26), facts()).then(TraineeNominated)
    event = decision.events[0]
    assert isinstance(event, TraineeNominated)
    assert (event.identity_review, event.sealed) == (True, "sealed")
    assert [(each.recipient, each.type) for each in decision.notices] == [
        ("410181", "nomination.received"),
        ("zzedu", "identity.review_needed"),
    ]
    plain = nomination().when(NOMINATION, SCHOOL, on(8, 26), facts()).then(TraineeNominated).events[0]
    assert isinstance(plain, TraineeNominated) and plain.sealed is None


def test_case_8_what_is_held_keeps_its_seat_and_waits_for_the_city_only() -> None:
    given = nomination().given(HELD)
    assert given.when(Approve(), COUNTY, on(8, 27), facts()).then(NominationApproved).claims == (Count(SEAT, +1),)
    at_city = given.given(COUNTY_APPROVED)
    at_city.when(Approve(host="h001"), BUREAU, on(8, 31), facts()).refused("identity_under_review")
    state = fold((HELD, COUNTY_APPROVED))
    assert state is not None
    assert case_of(NUMBER, state).waiting_for == "the bureau's decision on who is meant"


@pytest.mark.parametrize("finding", ["same-person", "new-name"])
def test_case_8_the_same_person_goes_on_and_a_new_name_becomes_his(finding: Finding) -> None:
    given = nomination().given(HELD, COUNTY_APPROVED)
    known = replace(facts(), given="v1.given", person_version=3)
    decision = given.when(review(finding), BUREAU, on(8, 30), known).then(IdentityReviewed)
    corrections = [event for part in decision.others for event in part.events]
    if finding == "new-name":
        (event,) = corrections
        assert isinstance(event, PersonCorrected)
        assert (event.sealed, event.fields, event.decided_by) == ("v1.given", ("name",), "b7")
        assert decision.others[0].expected_version == 3
    else:
        assert corrections == []
    after = given.given(*decision.events)
    after.when(Approve(host="h001"), BUREAU, on(8, 31), facts()).then(NominationApproved)
    after.when(review(finding), BUREAU, on(8, 31), facts()).refused("no_identity_review")


def test_case_8_a_number_that_is_not_his_ends_the_nomination_and_merges_nobody() -> None:
    given = nomination().given(HELD, COUNTY_APPROVED)
    decision = given.when(review("other-person"), BUREAU, on(8, 30), facts()).then(IdentityReviewed, NominationRejected)
    assert decision.claims == (Count(SEAT, -1), Release(f"active:{PERSON}:2022-zhengzhou:gp5", NUMBER))
    assert decision.others == ()
    # The freed seat goes to whoever waits first (edge case 7).
    assert [(each.kind, each.number) for each in decision.starts] == [("quota", "2022-zhengzhou:gp5:410181")]


@pytest.mark.parametrize("actor", [SCHOOL, COUNTY])
def test_case_8_only_the_bureau_decides_who_is_meant(actor: object) -> None:
    nomination().given(HELD).when(review("same-person"), actor, on(8, 27), facts()).refused("not_your_part")  # type: ignore[arg-type]
    nomination().given(NOMINATED).when(review("same-person"), BUREAU, on(8, 27), facts()).refused("no_identity_review")


def test_case_58_a_principal_who_nominates_himself_is_approved_by_the_county() -> None:
    command = NOMINATION.model_copy(update={"self_nominated": True})
    event = nomination().when(command, SCHOOL, on(8, 26), facts()).then(TraineeNominated).events[0]
    assert isinstance(event, TraineeNominated)
    assert (event.nominated_by, event.self_nominated) == ("school", True)
    nomination().given(event).when(Approve(), COUNTY, on(8, 27), facts()).then(NominationApproved)


def test_case_58_an_official_of_the_county_who_nominates_himself_is_approved_by_the_city() -> None:
    command = Nominate.model_validate(NOMINATION.model_dump() | {"school": "410181", "self_nominated": True})
    event = nomination().when(command, COUNTY, on(8, 26), facts()).then(TraineeNominated).events[0]
    given = nomination().given(event)
    given.when(Approve(), COUNTY, on(8, 27), facts()).refused("nominated_himself")
    approved = given.when(Approve(), BUREAU, on(8, 27), facts()).then(NominationApproved)
    assert approved.claims == (Count(SEAT, +1),)
    first = approved.events[0]
    assert isinstance(first, NominationApproved) and (first.level, first.by) == ("county", "bureau:zzedu")
    given.given(first).when(Approve(host="h001"), BUREAU, on(8, 28), facts()).then(NominationApproved)
    state = fold((BY_COUNTY,))
    assert state is not None
    assert case_of(NUMBER, state).waiting_for == "the city's approval in the county's place"


def test_case_58_whom_the_county_nominates_otherwise_it_approves_itself() -> None:
    event = NOMINATED.model_copy(update={"nominated_by": "county", "school": "410181"})
    nomination().given(event).when(Approve(), COUNTY, on(8, 27), facts()).then(NominationApproved)


@pytest.mark.parametrize("history", [(NOMINATED,), IN_TRAINING])
def test_case_62_a_case_passes_to_another_school_of_its_county(history: tuple[object, ...]) -> None:
    given = nomination().given(*history)  # type: ignore[arg-type]
    command = ChangeSchool(school="410181-s02", document="撤并文件 1")
    decision = given.when(command, COUNTY, on(10, 11), facts()).then(SchoolChanged)
    assert [each.recipient for each in decision.notices] == ["410181-s01", "410181-s02"]
    state = fold((*history, *decision.events))  # type: ignore[arg-type]
    assert state is not None
    assert (state.school, state.county) == ("410181-s02", "410181")


@pytest.mark.parametrize(("school", "code"), [("410181-s01", "same_school"), ("410182-s01", "school_elsewhere")])
def test_case_62_no_case_passes_to_another_county_or_to_where_it_is(school: str, code: str) -> None:
    command = ChangeSchool(school=school, document="d")
    nomination().given(NOMINATED).when(command, COUNTY, on(8, 27), facts()).refused(code)
    nomination().given(NOMINATED).when(command, OTHER_COUNTY, on(8, 27), facts()).refused("not_your_part")


def test_facts_say_who_the_person_is_under_other_ids() -> None:
    assert Facts(the_plan()).records == ()
