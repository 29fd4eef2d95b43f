"""From nomination to selection: given its events, when a command, then events or a refusal."""

from datetime import date, timedelta

import pytest

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import CLASS, COUNTY_APPROVED, ENROLLED, NOMINATED, PERSON, SELECTED
from domain.decision import SYSTEM, Actor, Clear, Count, Event, Release, Take
from domain.trainee_messages import (
    Approve,
    Lapse,
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
    NominationWithdrawn,
    Reject,
    Resubmit,
    Return,
    TraineeNominated,
    Withdraw,
)
from domain.trainee_state import case_of, fold
from tests.domain.nominations import BUREAU, COUNTY, NOMINATION, OTHER_COUNTY, SCHOOL, SEAT, facts, nomination
from tests.specification import the_plan


def test_a_school_nominates_and_the_person_is_registered_in_the_same_append() -> None:
    decision = nomination().when(NOMINATION, SCHOOL, on(8, 26), facts(person_version=0)).then(TraineeNominated)
    assert [part.stream for part in decision.others] == [f"person/{PERSON}"]
    assert decision.claims == (
        Take(f"active:{PERSON}:2022-zhengzhou:gp5", NUMBER),
        Clear(f"restriction:{PERSON}", date(2022, 8, 26)),
    )


def test_a_known_person_is_not_registered_again() -> None:
    decision = nomination().when(NOMINATION, SCHOOL, on(8, 26), facts(person_version=1)).then(TraineeNominated)
    assert decision.others == ()


def test_every_reason_against_a_nomination_is_given_at_once() -> None:
    unfit = NOMINATION.model_copy(update={"stage": "senior", "position": "principal", "years_of_service": 0})
    nomination().when(unfit, SCHOOL, on(9, 2), facts()).refused(
        "stage_not_eligible", "position_not_eligible", "service_too_short", "deadline_passed"
    )


def test_an_unknown_project_type_is_refused_with_those_that_exist() -> None:
    refusal = (
        nomination()
        .when(NOMINATION.model_copy(update={"project_type": "gp9"}), SCHOOL, on(8, 26), facts())
        .refused("unknown_project_type")
    )
    assert "gp1" in refusal.reasons[0].remedy_en and refusal.reasons[0].field == "/project_type"


def test_rural_training_is_for_rural_teachers() -> None:
    urban = NOMINATION.model_copy(update={"project_type": "gp1"})
    nomination().when(urban, SCHOOL, on(8, 26), facts()).refused("rural_required")


def test_a_school_nominates_for_itself_only() -> None:
    other = Actor(organisation="410182-s01", role="school")
    nomination().when(NOMINATION, other, on(8, 26), facts()).refused("not_your_part")


def test_a_number_is_used_once() -> None:
    nomination().given(NOMINATED).when(NOMINATION, SCHOOL, on(8, 26), facts()).refused("already_exists")


def test_the_countys_approval_takes_a_seat() -> None:
    decision = nomination().given(NOMINATED).when(Approve(), COUNTY, on(8, 27), facts()).then(NominationApproved)
    assert decision.claims == (Count(SEAT, +1),)


def test_the_city_approves_what_the_county_approved_and_names_the_host() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    decision = given.when(Approve(host="h001"), BUREAU, on(8, 31), facts()).then(NominationApproved)
    assert [(each.recipient, each.type) for each in decision.notices] == [("h001", "trainee.selected")]


@pytest.mark.parametrize(("host", "code"), [("", "host_missing"), ("h999", "host_unknown")])
def test_the_city_names_a_host_of_the_plan(host: str, code: str) -> None:
    nomination().given(NOMINATED, COUNTY_APPROVED).when(Approve(host=host), BUREAU, on(8, 31), facts()).refused(code)


def test_a_host_trains_its_own_level_only() -> None:
    provincial = next(each.id for each in the_plan().hosts if each.levels == ("provincial",))
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    given.when(Approve(host=provincial), BUREAU, on(8, 31), facts()).refused("host_of_another_level")


def test_the_city_does_not_approve_before_the_county() -> None:
    nomination().given(NOMINATED).when(Approve(host="h001"), BUREAU, on(8, 27), facts()).refused("not_your_part")


def test_case_43_each_level_has_its_own_cut_off() -> None:
    late = the_plan().selection_deadline("county")
    nomination().given(NOMINATED).when(Approve(), COUNTY, late, facts()).refused("deadline_passed")
    in_time = late - timedelta(microseconds=1)
    nomination().given(NOMINATED).when(Approve(), COUNTY, in_time, facts()).then(NominationApproved)


def test_another_countys_nomination_is_none_of_its_business() -> None:
    nomination().given(NOMINATED).when(Approve(), OTHER_COUNTY, on(8, 27), facts()).refused("not_your_part")


def test_a_returned_nomination_waits_for_its_resubmission() -> None:
    returned = nomination().given(NOMINATED).when(Return(reason="no subject"), COUNTY, on(8, 27), facts())
    event = returned.then(NominationReturned).events[0]
    given = nomination().given(NOMINATED, event)
    given.when(Approve(), COUNTY, on(8, 27), facts()).refused("awaiting_resubmission")
    again = given.when(Resubmit(), SCHOOL, on(8, 27), facts()).then(NominationResubmitted).events[0]
    given.given(again).when(Approve(), COUNTY, on(8, 28), facts()).then(NominationApproved)


def test_the_citys_return_frees_the_seat() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    decision = given.when(Return(reason="wrong project"), BUREAU, on(8, 31), facts()).then(NominationReturned)
    assert decision.claims == (Count(SEAT, -1),)


def test_case_45_a_resubmission_keeps_the_first_submissions_time() -> None:
    state = fold((NOMINATED, NominationReturned(level="county", by="c", reason="r", seat_freed=False)))
    assert state is not None and state.returned
    state = fold(
        (
            NOMINATED,
            NominationReturned(level="county", by="c", reason="r", seat_freed=False),
            NominationResubmitted(by="s"),
        )
    )
    assert state is not None and state.submitted_at == NOMINATED.submitted_at


def test_case_45_what_the_city_returns_after_the_countys_cut_off_can_still_be_approved() -> None:
    late = on(8, 31)
    assert the_plan().selection_deadline("county") < late < the_plan().selection_deadline("city")
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    returned = given.when(Return(reason="wrong project"), BUREAU, late, facts()).then(NominationReturned).events
    again = given.given(*returned, NominationResubmitted(by="s"))
    (approved,) = again.when(Approve(), COUNTY, late, facts()).then(NominationApproved).events
    assert isinstance(approved, NominationApproved) and approved.deadline == the_plan().selection_deadline("city")
    again.when(Approve(), COUNTY, the_plan().selection_deadline("city"), facts()).refused("deadline_passed")
    # Whoever was before the county all the while has missed its cut-off.
    nomination().given(NOMINATED).when(Approve(), COUNTY, late, facts()).refused("deadline_passed")


@pytest.mark.parametrize(
    "end",
    [
        NominationRejected(by="c", reasons=("r",), seat_freed=False),
        NominationWithdrawn(by="c", reason="ill", seat_freed=False, place_freed=False),
    ],
)
def test_a_returned_nomination_that_has_ended_waits_for_no_resubmission(end: Event) -> None:
    returned = NominationReturned(level="county", by="c", reason="r", seat_freed=False)
    waiting, ended = fold((NOMINATED, returned)), fold((NOMINATED, returned, end))
    assert waiting is not None and ended is not None
    assert case_of(NUMBER, waiting).waiting_for == "the resubmission"
    assert case_of(NUMBER, ended).waiting_for == ""


def test_nothing_is_resubmitted_that_was_not_returned() -> None:
    nomination().given(NOMINATED).when(Resubmit(), SCHOOL, on(8, 27), facts()).refused("not_returned")


def test_a_rejection_gives_back_the_seat_and_the_persons_place() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    decision = given.when(Reject(reasons=("weak_file",)), BUREAU, on(8, 31), facts()).then(NominationRejected)
    assert decision.claims == (
        Count(SEAT, -1),
        Release(f"active:{PERSON}:2022-zhengzhou:gp5", NUMBER),
    )


def test_a_county_rejects_only_what_is_before_it() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    given.when(Reject(reasons=("x",)), COUNTY, on(8, 31), facts()).refused("not_your_part")


def test_what_missed_the_cut_off_lapses_and_not_before() -> None:
    given = nomination().given(NOMINATED)
    given.when(Lapse(), SYSTEM, on(8, 29), facts()).refused("too_early")
    decision = given.when(Lapse(), SYSTEM, on(8, 30, 16), facts()).then(NominationRejected)
    rejected = decision.events[0]
    assert isinstance(rejected, NominationRejected) and rejected.reasons == ("deadline_passed",)


def test_case_14_withdrawal_before_registration_frees_seat_and_place() -> None:
    given = nomination().given(*SELECTED, ENROLLED)
    decision = given.when(Withdraw(reason="maternity"), COUNTY, on(9, 20), facts()).then(NominationWithdrawn)
    assert Count(SEAT, -1) in decision.claims and Count(f"class-seat:{CLASS}", -1) in decision.claims
    assert [each.recipient for each in decision.notices] == ["h001"]
