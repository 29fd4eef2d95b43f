"""What eases a restriction, when it starts, and what it means for nominations under way: the numbered cases."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from docgen.lifecycles import trainee_events
from docgen.lifecycles.plan import NUMBER as CASE
from domain import restriction, trainee
from domain.calendar import add_calendar_years
from domain.decision import SYSTEM, Actor, Block, Clear, Event, Unblock
from domain.history import Barred, History
from domain.plan import Plan
from domain.plan_outcomes import OutcomeRules, SecondIncident
from domain.restriction import Facts, case_of, fold
from domain.restriction_messages import (
    FailService,
    Impose,
    Object,
    ObjectByLink,
    ObjectionFiled,
    PassRestrictionDeadline,
    RecordBounce,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionReversed,
    RestrictionServed,
    RestrictionWaived,
    Reverse,
    Serve,
    ServiceFailed,
    Waive,
    WaiverUsed,
)
from domain.restriction_state import InFlight
from domain.trainee_class_messages import FollowClass, PlaceLost
from domain.trainee_context import Facts as TraineeFacts
from domain.trainee_correction_messages import NominationFrozen, NominationResumed, Resume
from domain.trainee_messages import (
    Approve,
    Enroll,
    Lapse,
    NominationApproved,
    NominationRejected,
    NominationWithdrawn,
    TraineeNominated,
    Withdraw,
)
from domain.trainee_review_messages import ChangeSchool, SchoolChanged
from domain.trainee_seat_messages import HostReassigned, ReassignHost
from domain.trainee_state import fold as fold_trainee
from tests.domain import nominations as of_trainee
from tests.domain.test_restriction import (
    BUREAU,
    COUNTY,
    FACTS,
    IMPOSE,
    NUMBER,
    OBJECTED,
    OTHER_COUNTY,
    PERSON,
    PROPOSED,
    SCHOOL,
    SERVED,
    WINDOW_CLOSED,
    a_restriction,
    on,
)
from tests.specification import the_plan

TEACHER = Actor(organisation=NUMBER, role="teacher", key="link")
IMPOSED = RestrictionImposed(
    by="b", decided_by="s", reasons="r", starts=date(2022, 11, 1), until=date(2025, 11, 1), policy="p"
)
DECIDED = (PROPOSED, SERVED, WINDOW_CLOSED, IMPOSED)
WAIVE = Waive(decided_by="staff-07", reasons="r", document="doc 3", campaign="2022-zhengzhou", project_type="gp5")
WAIVED = RestrictionWaived(
    by="b", decided_by="s", reasons="r", document="d", campaign="2022-zhengzhou", project_type="gp5"
)
FLIGHT = InFlight("zz22-410182-00007", "2022-zhengzhou", "410182", 2)


def plan_with(starts: str = "decision", second: SecondIncident = "parallel") -> Plan:
    plan = the_plan()
    rules = plan.rules.model_copy(update={"restriction_starts": starts})
    return plan.model_copy(update={"rules": rules, "outcomes": OutcomeRules(second_incident=second)})


def imposed_on(at: datetime, facts: Facts, *events: object) -> RestrictionImposed:
    given = a_restriction().given(PROPOSED.model_copy(update={"class_starts": date(2022, 10, 10)}), *events)  # type: ignore[arg-type]
    imposed = given.when(IMPOSE, BUREAU, at, facts).then(RestrictionImposed).events[0]
    assert isinstance(imposed, RestrictionImposed)
    return imposed


@pytest.mark.parametrize(
    ("policy", "objected", "starts"),
    [
        ("class-start", False, date(2022, 10, 10)),
        ("incident", False, date(2022, 10, 12)),
        ("decision", False, date(2022, 11, 3)),
        ("service", False, date(2022, 10, 14)),
        ("appeal", False, date(2022, 10, 29)),
        ("appeal", True, date(2022, 11, 3)),
    ],
)
def test_case_33_the_start_is_a_policy_and_is_stored_with_its_end(policy: str, objected: bool, starts: date) -> None:
    events = (SERVED, OBJECTED, WINDOW_CLOSED) if objected else (SERVED, WINDOW_CLOSED)
    imposed = imposed_on(on(11, 3), Facts(plan_with(policy)), *events)
    assert (imposed.starts, imposed.until) == (starts, add_calendar_years(starts, 3))
    assert policy in imposed.policy


def test_case_33_a_restriction_from_29_february_ends_on_the_last_of_february() -> None:
    leap = datetime(2024, 2, 29, 2, tzinfo=UTC)
    imposed = imposed_on(leap, FACTS, SERVED, WINDOW_CLOSED)
    assert (imposed.starts, imposed.until) == (date(2024, 2, 29), date(2027, 2, 28))


def test_case_33_nothing_that_comes_later_restarts_it() -> None:
    state = fold((*DECIDED, WAIVED, WaiverUsed(campaign="2022-zhengzhou", project_type="gp5", trainee="t")))
    assert state is not None and (state.starts, state.until) == (date(2022, 11, 1), date(2025, 11, 1))
    a_restriction().given(*DECIDED).when(IMPOSE, BUREAU, on(12, 1), FACTS).refused("not_allowed_in_phase")


@pytest.mark.parametrize(
    ("policy", "starts", "until"),
    [
        ("parallel", date(2022, 11, 3), date(2025, 11, 3)),
        ("stack", date(2024, 5, 1), date(2027, 5, 1)),
        ("extend", date(2024, 5, 1), date(2025, 5, 1)),
    ],
)
def test_case_34_a_second_incident_extends_runs_beside_or_follows(
    policy: SecondIncident, starts: date, until: date
) -> None:
    facts = Facts(plan_with(second=policy), barred_until=date(2024, 5, 1))
    imposed = imposed_on(on(11, 3), facts, SERVED, WINDOW_CLOSED)
    assert (imposed.starts, imposed.until) == (starts, until)
    # One that is over by then changes nothing.
    over = Facts(plan_with(second=policy), barred_until=date(2022, 11, 3))
    assert imposed_on(on(11, 3), over, SERVED, WINDOW_CLOSED).starts == date(2022, 11, 3)


def test_case_35_the_day_that_is_tested_is_the_day_of_the_nomination() -> None:
    """It is the claim of the nomination's own append; the first free day is free."""
    late_evening = datetime(2022, 8, 26, 15, 59, tzinfo=UTC)
    for at, day in ((late_evening, date(2022, 8, 26)), (late_evening.replace(hour=16), date(2022, 8, 27))):
        decision = of_trainee.nomination().when(of_trainee.NOMINATION, of_trainee.SCHOOL, at, of_trainee.facts())
        claims = decision.then(TraineeNominated).claims
        assert Clear(f"restriction:{PERSON}", day) in claims


def test_case_36_a_nomination_in_flight_is_frozen_in_the_same_append_and_the_county_asked() -> None:
    facts = Facts(the_plan(), in_flight=(FLIGHT,))
    given = a_restriction().given(PROPOSED, SERVED, WINDOW_CLOSED)
    decision = given.when(IMPOSE, BUREAU, on(11, 1), facts).then(RestrictionImposed)
    (part,) = decision.others
    assert (part.book, part.stream, part.expected_version) == ("2022-zhengzhou", f"trainee/{FLIGHT.number}", 2)
    assert part.events == (NominationFrozen(until=date(2025, 11, 1)),)
    asked = [each for each in decision.notices if each.recipient == "410182"]
    # Edge case 15: the other county learns until when, and nothing else.
    assert [each.data for each in asked] == [{"trainee": FLIGHT.number, "until": "2025-11-01"}]
    assert [(each.kind, each.number, each.wake) for each in decision.starts] == [("trainee", FLIGHT.number, True)]


def test_case_36_a_frozen_nomination_stands_still_until_it_is_answered() -> None:
    frozen = (*trainee_events.SELECTED[:2], NominationFrozen(until=date(2025, 11, 1)))
    given = of_trainee.nomination().given(*frozen)
    facts = of_trainee.facts()
    given.when(Approve(host="h001"), of_trainee.BUREAU, on(8, 29), facts).refused("nomination_frozen")
    given.when(Withdraw(reason="work"), of_trainee.COUNTY, on(8, 29), facts).then(NominationWithdrawn)
    state = fold_trainee(frozen)
    assert state is not None and trainee.allowed_commands(state) == [
        "reject",
        "withdraw",
        "change-school",
        "resume",
        "record-late-answer",
    ]
    given.when(Lapse(), SYSTEM, on(9, 5), facts).then(NominationRejected)
    resumed = given.given(NominationResumed(by="b"))
    resumed.when(Approve(host="h001"), of_trainee.BUREAU, on(8, 29), facts).then(NominationApproved)


def test_case_36_a_frozen_nomination_still_follows_its_class_its_host_and_its_school() -> None:
    """Nobody comes back with these once it is resumed: it would go on in a class that is not held any more."""
    frozen = NominationFrozen(until=date(2025, 11, 1))
    placed = of_trainee.nomination().given(*trainee_events.SELECTED, trainee_events.ENROLLED, frozen)
    cancelled = of_trainee.facts(training_class=of_trainee.a_class(phase="cancelled"))
    placed.when(FollowClass(), SYSTEM, on(9, 20), cancelled).then(PlaceLost)
    selected = of_trainee.nomination().given(*trainee_events.SELECTED, frozen)
    removed = replace(of_trainee.facts(), removed_hosts={"h001": "h004"})
    selected.when(ReassignHost(), SYSTEM, on(9, 20), removed).then(HostReassigned, NominationApproved)
    school = ChangeSchool(school="410181-s02", document="merger 2022-9")
    selected.when(school, of_trainee.COUNTY, on(9, 20), of_trainee.facts()).then(SchoolChanged)


def test_case_41_service_fails_within_the_window_by_the_clock_and_not_by_the_timer() -> None:
    late = FailService(reason="returned")
    given = a_restriction().given(PROPOSED, SERVED)
    given.when(late, COUNTY, on(10, 28, 15), FACTS).then(ServiceFailed)
    # The window has ended; whether a worker was up to record that makes no difference.
    given.when(late, COUNTY, on(10, 28, 16), FACTS).refused("objection_window_passed")
    given.given(WINDOW_CLOSED).when(late, COUNTY, on(10, 28, 16), FACTS).refused("objection_window_passed")


def test_case_37_a_waiver_names_who_why_the_document_and_one_project() -> None:
    given = a_restriction().given(*DECIDED)
    decision = given.when(WAIVE, BUREAU, on(12, 1), FACTS).then(RestrictionWaived)
    assert {each.recipient for each in decision.notices} == {"410181", "410181-s01"}
    given.given(*decision.events).when(WAIVE, BUREAU, on(12, 2), FACTS).refused("waiver_exists")
    other = WAIVE.model_copy(update={"project_type": "gp9"})
    given.when(other, BUREAU, on(12, 1), FACTS).refused("unknown_project_type")
    given.when(WAIVE, COUNTY, on(12, 1), FACTS).refused("not_your_part")
    a_restriction().given(PROPOSED).when(WAIVE, BUREAU, on(12, 1), FACTS).refused("not_allowed_in_phase")
    used = WaiverUsed(campaign="2022-zhengzhou", project_type="gp5", trainee="t")
    given.given(WAIVED, used).when(WAIVE, BUREAU, on(12, 2), FACTS).then(RestrictionWaived)


def waived_facts(*events: object, **changes: object) -> TraineeFacts:
    state = fold((*DECIDED, *events))  # type: ignore[arg-type] # events, as the tests name them
    values: dict[str, object] = {"plan": the_plan(), "person_version": 1, "restriction": state}
    return TraineeFacts(**values | {"restriction_version": 4 + len(events)} | changes)  # type: ignore[arg-type]


def test_case_37_a_nomination_rests_on_the_waiver_and_uses_it_up() -> None:
    command = of_trainee.NOMINATION.model_copy(update={"waiver": NUMBER})
    given = of_trainee.nomination()
    decision = given.when(command, of_trainee.SCHOOL, on(8, 26), waived_facts(WAIVED)).then(TraineeNominated)
    (part,) = decision.others
    assert (part.stream, part.expected_version) == (f"restriction/{NUMBER}", 5)
    used = part.events[0]
    assert isinstance(used, WaiverUsed) and used.trainee == CASE
    assert not any(isinstance(each, Clear) for each in decision.claims)
    nominated = decision.events[0]
    assert isinstance(nominated, TraineeNominated) and nominated.waiver == NUMBER
    # Once.
    given.when(command, of_trainee.SCHOOL, on(8, 26), waived_facts(WAIVED, used)).refused("waiver_used")


def test_case_37_a_waiver_serves_its_own_restriction_person_and_project_only() -> None:
    command = of_trainee.NOMINATION.model_copy(update={"waiver": NUMBER})
    given = of_trainee.nomination()
    unknown = waived_facts(WAIVED, restriction=None)
    given.when(command, of_trainee.SCHOOL, on(8, 26), unknown).refused("waiver_unknown")
    given.when(command, of_trainee.SCHOOL, on(8, 26), waived_facts()).refused("waiver_unknown")
    other_project = WAIVED.model_copy(update={"project_type": "gp1"})
    given.when(command, of_trainee.SCHOOL, on(8, 26), waived_facts(other_project)).refused("waiver_unknown")
    barred = waived_facts(WAIVED, barred_otherwise=date(2024, 5, 1))
    given.when(command, of_trainee.SCHOOL, on(8, 26), barred).refused("restricted_until")
    over = waived_facts(WAIVED, barred_otherwise=date(2022, 8, 26))
    given.when(command, of_trainee.SCHOOL, on(8, 26), over).then(TraineeNominated)
    reversed_ = RestrictionReversed(by="b", decided_by="s", reasons="r", document="d")
    given.when(command, of_trainee.SCHOOL, on(8, 26), waived_facts(WAIVED, reversed_)).refused("waiver_unknown")


def test_case_37_a_waiver_stands_for_the_rule_on_restrictions_among_other_failures() -> None:
    history = History(barred=(Barred(starts=date(2021, 11, 1), until=date(2025, 11, 1)),))
    facts = waived_facts(WAIVED, history=history)
    wrong = of_trainee.NOMINATION.model_copy(update={"waiver": NUMBER, "stage": "kindergarten"})
    given = of_trainee.nomination()
    given.when(wrong, of_trainee.SCHOOL, on(8, 26), facts).refused("stage_not_eligible")
    without = wrong.model_copy(update={"waiver": ""})
    given.when(without, of_trainee.SCHOOL, on(8, 26), facts).refused("stage_not_eligible", "restricted_until")


def test_case_74_a_waiver_of_a_restriction_under_a_joined_record_serves_as_well() -> None:
    # The nomination is made under the record that was kept, the restriction stands under the one that was joined.
    kept = UUID(int=77)
    person = of_trainee.NOMINATION.person.model_copy(update={"id": kept})
    command = of_trainee.NOMINATION.model_copy(update={"waiver": NUMBER, "person": person})
    given = of_trainee.nomination()
    joined = waived_facts(WAIVED, records=(PERSON,))
    decision = given.when(command, of_trainee.SCHOOL, on(8, 26), joined).then(TraineeNominated)
    # His own record is tested all the same.
    assert [each.key for each in decision.claims if isinstance(each, Clear)] == [f"restriction:{kept}"]
    given.when(command, of_trainee.SCHOOL, on(8, 26), waived_facts(WAIVED)).refused("waiver_unknown")


def test_case_37_a_frozen_nomination_goes_on_on_a_waiver() -> None:
    frozen = of_trainee.nomination().given(trainee_events.NOMINATED, NominationFrozen(until=date(2025, 11, 1)))
    resume = Resume(waiver=NUMBER)
    decision = frozen.when(resume, of_trainee.BUREAU, on(8, 27), waived_facts(WAIVED)).then(NominationResumed)
    assert isinstance(decision.others[0].events[0], WaiverUsed)
    state = fold_trainee((*frozen.events, *decision.events))
    assert state is not None and state.frozen_until is None
    of_trainee.nomination().given(trainee_events.NOMINATED).when(
        resume, of_trainee.BUREAU, on(8, 27), waived_facts(WAIVED)
    ).refused("not_frozen")


def test_case_38_reversed_means_eligible_again_and_everybody_is_told() -> None:
    command = Reverse(decided_by="staff-07", reasons="the list was wrong", document="doc 8")
    facts = Facts(the_plan(), in_flight=(FLIGHT,))
    decision = a_restriction().given(*DECIDED).when(command, BUREAU, on(12, 1), facts).then(RestrictionReversed)
    assert decision.claims == (Unblock(f"restriction:{PERSON}", NUMBER),)
    assert {each.recipient for each in decision.notices} == {"410181-s01", "410181", "h001", "zzedu", "410182"}
    assert [each.person for each in decision.notices if each.recipient == "410181-s01"] == [PERSON]
    (part,) = decision.others
    assert part.events == (NominationResumed(by="bureau:zzedu"),)
    state = fold((*DECIDED, *decision.events))
    assert state is not None and state.closed and not case_of(NUMBER, state).timer
    a_restriction().given(*DECIDED).when(command, COUNTY, on(12, 1), FACTS).refused("not_your_part")


def test_a_frozen_nomination_goes_on_without_a_waiver_when_nothing_bars_any_more() -> None:
    frozen = of_trainee.nomination().given(trainee_events.NOMINATED, NominationFrozen(until=date(2025, 11, 1)))
    barred = waived_facts(restriction=None, barred_otherwise=date(2025, 11, 1))
    frozen.when(Resume(), of_trainee.BUREAU, on(8, 27), barred).refused("restricted_until")
    free = waived_facts(restriction=None)
    decision = frozen.when(Resume(), of_trainee.BUREAU, on(8, 27), free).then(NominationResumed)
    assert decision.others == () and [each.recipient for each in decision.notices] == ["410181"]
    frozen.when(Resume(), of_trainee.COUNTY, on(8, 27), free).refused("not_your_part")


@pytest.mark.parametrize(("other", "thawed"), [(date(2022, 12, 2), 0), (date(2022, 12, 1), 1), (None, 1)])
def test_case_38_what_another_restriction_bars_stays_frozen(other: date | None, thawed: int) -> None:
    command = Reverse(decided_by="staff-07", reasons="the list was wrong", document="doc 8")
    facts = Facts(the_plan(), barred_until=other, in_flight=(FLIGHT,))
    decision = a_restriction().given(*DECIDED).when(command, BUREAU, on(12, 1), facts).then(RestrictionReversed)
    assert len(decision.others) == len(decision.starts) == thawed


BOUNCED = RecordBounce(until=SERVED.objection_until, reason="returned")


@pytest.mark.parametrize("before", [(), (WINDOW_CLOSED,)])
def test_case_41_a_mail_that_came_back_has_served_nobody_not_even_after_its_window(before: tuple[Event, ...]) -> None:
    given = a_restriction().given(PROPOSED, SERVED, *before)
    decision = given.when(BOUNCED, SYSTEM, on(11, 1), FACTS).then(ServiceFailed)
    (failed,) = decision.events
    assert isinstance(failed, ServiceFailed)
    assert (failed.via, failed.reason, failed.by) == ("mail", "returned", "system:xunji")
    assert [each.recipient for each in decision.notices] == ["410181-s01", "410181"]
    state = fold((PROPOSED, SERVED, *before, failed))
    assert state is not None
    assert (state.phase, state.window_closed, state.deadline) == ("proposed", False, failed.serve_by)
    given.given(failed).when(IMPOSE, BUREAU, on(11, 2), FACTS).refused("not_yet_served")
    given.when(BOUNCED, BUREAU, on(11, 1), FACTS).refused("not_your_part")


def test_case_41_a_mail_that_came_back_late_leaves_a_later_service_alone() -> None:
    by_school = SERVED.model_copy(update={"via": "school"})
    a_restriction().given(PROPOSED, by_school).when(BOUNCED, SYSTEM, on(10, 20), FACTS).refused("not_allowed_in_phase")
    again = SERVED.model_copy(update={"served_at": on(10, 20), "objection_until": on(11, 3, 16)})
    failed = ServiceFailed(by="s", via="mail", reason="r", serve_by=on(10, 27))
    a_restriction().given(PROPOSED, SERVED, failed, again).when(BOUNCED, SYSTEM, on(10, 21), FACTS).refused(
        "not_allowed_in_phase"
    )
    for ended in ((OBJECTED,), (WINDOW_CLOSED, IMPOSED)):
        a_restriction().given(PROPOSED, SERVED, *ended).when(BOUNCED, SYSTEM, on(11, 9), FACTS).refused(
            "not_allowed_in_phase"
        )


def test_case_41_a_notice_that_did_not_arrive_runs_no_window_and_goes_through_the_school() -> None:
    given = a_restriction().given(PROPOSED, SERVED)
    decision = given.when(FailService(reason="returned"), SCHOOL, on(10, 20), FACTS).then(ServiceFailed)
    failed = decision.events[0]
    assert isinstance(failed, ServiceFailed) and failed.via == "mail" and failed.serve_by == on(10, 27, 16)
    assert [each.recipient for each in decision.notices] == ["410181-s01", "410181"]
    again = given.given(*decision.events)
    again.when(IMPOSE, BUREAU, on(12, 1), FACTS).refused("not_yet_served")
    again.when(Object(statement="s"), SCHOOL, on(10, 21), FACTS).refused("not_allowed_in_phase")
    served = again.when(Serve(via="school"), COUNTY, on(10, 24), FACTS).then(RestrictionServed)
    event = served.events[0]
    assert isinstance(event, RestrictionServed) and event.objection_until == on(11, 7, 16), "the window starts anew"
    a_restriction().given(PROPOSED, SERVED, WINDOW_CLOSED).when(
        FailService(reason="returned"), SCHOOL, on(11, 20), FACTS
    ).refused("objection_window_passed")


def test_the_teacher_objects_himself_through_the_link_of_this_one_restriction() -> None:
    given = a_restriction().given(PROPOSED, SERVED)
    decision = given.when(ObjectByLink(sealed="s"), TEACHER, on(10, 20), FACTS).then(ObjectionFiled)
    objected = decision.events[0]
    assert isinstance(objected, ObjectionFiled) and (objected.by, objected.sealed) == ("teacher", "s")
    another = Actor(organisation="zz22-410181-00002-r1", role="teacher", key="link")
    given.when(ObjectByLink(sealed="s"), another, on(10, 20), FACTS).refused("not_your_part")
    given.when(Object(statement="s"), TEACHER, on(10, 20), FACTS).refused("not_your_part")
    given.when(ObjectByLink(sealed="s"), TEACHER, on(10, 28, 16), FACTS).refused("objection_window_passed")
    given.given(OBJECTED).when(ObjectByLink(sealed="s"), TEACHER, on(10, 20), FACTS).refused("not_allowed_in_phase")
    state = fold((PROPOSED, SERVED))
    assert state is not None and "object-by-link" not in restriction.allowed_commands(state)


def test_a_block_ends_by_its_date_whatever_became_of_the_workflow() -> None:
    given = a_restriction().given(PROPOSED, SERVED, WINDOW_CLOSED)
    decision = given.when(IMPOSE, BUREAU, on(11, 1), FACTS).then(RestrictionImposed)
    assert decision.claims == (Block(f"restriction:{PERSON}", NUMBER, date(2022, 11, 1), date(2025, 11, 1)),)
    late = datetime(2031, 1, 1, tzinfo=UTC)
    given.given(*decision.events).when(PassRestrictionDeadline(), SYSTEM, late, FACTS).then(RestrictionExpired)


def test_nobody_else_s_county_imposes_or_reverses() -> None:
    for command in (IMPOSE, Impose(decided_by="x", reasons="r")):
        a_restriction().given(PROPOSED, SERVED).when(command, OTHER_COUNTY, on(12, 1), FACTS).refused("not_your_part")
    assert Enroll not in trainee.WHILE_FROZEN
