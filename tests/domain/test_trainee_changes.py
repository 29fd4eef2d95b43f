"""A trainee whose class is changed: given his events, when he follows it, then place, dates, and who is told."""

from dataclasses import replace
from datetime import date

import pytest

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import CLASS, CONFIRMED, ENDS, ENROLLED, IN_TRAINING, PERSON, SELECTED, STARTS
from domain.decision import SYSTEM, Count, Decision
from domain.history import History, TrainingRecord
from domain.plan import Training
from domain.trainee_class_messages import ChangeClass, ClassChanged, FollowClass, PlaceLost
from domain.trainee_context import Facts
from domain.trainee_messages import (
    AttendanceConfirmed,
    Confirm,
    Decline,
    Enroll,
    GrantLeave,
    LeaveGranted,
    LeaveRequested,
    NominationWithdrawn,
    NoShowRecorded,
    RecordNoShow,
    RefuseLeave,
    RequestLeave,
    TraineeEnrolled,
    Withdraw,
)
from domain.trainee_outcome_messages import (
    Complete,
    Dismiss,
    Fail,
    FollowUpAssigned,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_state import Trainee, fold
from domain.training_class_state import SplitOff, TrainingClass
from tests.domain.nominations import HOST, SCHOOL, a_class, nomination
from tests.specification import Specification, the_plan

OTHER = "zz22-c-h001-02"
CONFIRMED_IN_CLASS = (*SELECTED, ENROLLED, CONFIRMED)
LATER = {"starts": date(2022, 11, 14), "ends": date(2022, 11, 20), "changes": ("postponed",)}


def facts(training_class: TrainingClass | None = None, **known: object) -> Facts:
    return replace(Facts(the_plan(), 1, training_class), **known)  # type: ignore[arg-type]


def state_of(given: Specification) -> Trainee:
    state = fold(given.events)
    assert state is not None
    return state


def following(given: Specification, known: Facts, at: tuple[int, int] = (9, 30)) -> Specification:
    decision = given.when(FollowClass(), SYSTEM, on(*at), known).then(ClassChanged)
    return given.given(*decision.events)


def test_case_21_other_dates_are_asked_anew_and_everybody_is_told() -> None:
    given = nomination().given(*CONFIRMED_IN_CLASS)
    decision = given.when(FollowClass(), SYSTEM, on(9, 30), facts(a_class(**LATER))).then(ClassChanged)
    assert [(each.recipient, each.person) for each in decision.notices] == [("410181-s01", PERSON), ("410181", None)]
    assert decision.notices[0].data["starts"] == "2022-11-14"
    assert decision.claims == ()
    state = state_of(given.given(*decision.events))
    # What he confirmed was for other days, so he is not confirmed, and cannot be absent before he is (edge case 39).
    assert (state.phase, state.starts, state.deadline) == ("enrolled", date(2022, 11, 14), on(11, 10, 16))
    again = given.given(*decision.events).when(FollowClass(), SYSTEM, on(9, 30), facts(a_class(**LATER)))
    again.refused("nothing_changes")


def test_case_21_after_a_change_the_withdrawal_is_free_and_has_its_own_reason() -> None:
    given = nomination().given(*CONFIRMED_IN_CLASS)
    given.when(Withdraw(reason="class_changed"), SCHOOL, on(9, 30), facts()).refused("class_not_changed")
    changed = following(given, facts(a_class(place="新郑", changes=("moved",))))
    assert state_of(changed).phase == "confirmed"
    decision = changed.when(Withdraw(reason="class_changed"), SCHOOL, on(10, 1), facts()).then(NominationWithdrawn)
    assert Count("seat:2022-zhengzhou:gp5:410181", -1) in decision.claims
    postponed = following(given, facts(a_class(**LATER)))
    postponed.when(Decline(reason="class_changed"), SCHOOL, on(10, 1), facts())
    agreed = postponed.given(*postponed.when(Confirm(), SCHOOL, on(10, 1), facts()).then(AttendanceConfirmed).events)
    agreed.when(Withdraw(reason="class_changed"), SCHOOL, on(10, 2), facts()).refused("class_not_changed")


def test_case_21_when_the_usual_day_has_passed_the_trainee_may_confirm_until_the_class_starts() -> None:
    soon = a_class(starts=date(2022, 10, 12), ends=date(2022, 10, 18), changes=("postponed",))
    state = state_of(following(nomination().given(*CONFIRMED_IN_CLASS), facts(soon), at=(10, 9)))
    assert state.deadline == on(10, 11, 16)


@pytest.mark.parametrize("required_by_plan", [7])
def test_case_21_a_shortfall_of_the_host_is_not_the_trainees(required_by_plan: int) -> None:
    online = a_class(mode="online", centralised_days=3, changes=("online",))
    given = following(nomination().given(*IN_TRAINING), facts(online), at=(10, 12))
    assert state_of(given).phase == "in-training"
    given.when(Fail(reasons=("days_short",)), HOST, on(10, 16), facts()).refused("host_shortfall")
    given.when(Fail(reasons=("days_short", "conduct")), HOST, on(10, 16), facts()).then(TrainingNotCompleted)
    given.when(Complete(centralised_days=2, hours=20), HOST, on(10, 16), facts()).refused("centralised_days_short")
    complete = Complete(centralised_days=3, online_days=4, hours=50)
    decision = given.when(complete, HOST, on(10, 16), facts()).then(TrainingCompleted, FollowUpAssigned)
    (completed, _) = decision.events
    assert isinstance(completed, TrainingCompleted)
    assert completed.host_shortfall_days == required_by_plan - 3
    unchanged = nomination().given(*IN_TRAINING)
    unchanged.when(complete, HOST, on(10, 16), facts()).refused("centralised_days_short")
    unchanged.when(Fail(reasons=("days_short",)), HOST, on(10, 16), facts()).then(TrainingNotCompleted)


def test_case_21_whoever_joins_a_class_that_holds_too_few_days_is_not_asked_for_more() -> None:
    online = facts(a_class(mode="online", centralised_days=2, changes=("online",)))
    enrolled = nomination().given(*SELECTED).when(Enroll(training_class=CLASS), HOST, on(9, 20), online)
    (event,) = enrolled.then(TraineeEnrolled).events
    assert isinstance(event, TraineeEnrolled)
    assert event.days_offered == 2
    full = nomination().given(*SELECTED).when(Enroll(training_class=CLASS), HOST, on(9, 20), facts(a_class()))
    (as_planned,) = full.then(TraineeEnrolled).events
    assert isinstance(as_planned, TraineeEnrolled)
    assert as_planned.days_offered is None
    given = nomination().given(*SELECTED, event, CONFIRMED, IN_TRAINING[-1])
    given.when(Fail(reasons=("days_short",)), HOST, on(10, 16), facts()).refused("host_shortfall")
    complete = Complete(centralised_days=2, online_days=5, hours=50)
    given.when(complete, HOST, on(10, 16), facts()).then(TrainingCompleted, FollowUpAssigned)


def test_case_21_a_plan_may_count_online_days_as_centralised() -> None:
    plan = the_plan().model_copy(update={"training": Training(online_days_count_as_centralised=True)})
    complete = Complete(centralised_days=3, online_days=4, hours=50)
    decision = nomination().given(*IN_TRAINING).when(complete, HOST, on(10, 16), facts(plan=plan))
    completed = decision.then(TrainingCompleted, FollowUpAssigned).events[0]
    assert isinstance(completed, TrainingCompleted)
    assert completed.host_shortfall_days == 0


def test_case_22_a_merged_class_takes_the_place_along_once() -> None:
    merged = a_class(phase="merged", merged_into=OTHER, changes=("merged",))
    known = facts(merged, destination=a_class(**(LATER | {"changes": ()})))
    given = nomination().given(*CONFIRMED_IN_CLASS)
    decision = given.when(FollowClass(), SYSTEM, on(9, 30), known).then(ClassChanged)
    assert decision.claims == (Count(f"class-seat:{CLASS}", -1), Count(f"class-seat:{OTHER}", +1))
    state = state_of(given.given(*decision.events))
    assert (state.training_class, state.phase) == (OTHER, "enrolled")
    # From now on it is the other class's place that is given back.
    withdrawn = given.given(*decision.events).when(Withdraw(reason="ill"), SCHOOL, on(10, 1), facts())
    claims = withdrawn.then(NominationWithdrawn).claims
    assert Count(f"class-seat:{OTHER}", -1) in claims
    assert Count(f"class-seat:{CLASS}", -1) not in claims


def test_case_22_at_a_split_the_named_go_and_the_others_have_nothing_to_follow() -> None:
    split = a_class(splits=(SplitOff(OTHER, 1, (NUMBER,)),), changes=("split",))
    known = facts(split, destination=a_class())
    given = nomination().given(*CONFIRMED_IN_CLASS)
    decision = given.when(FollowClass(), SYSTEM, on(9, 30), known).then(ClassChanged)
    assert state_of(given.given(*decision.events)).phase == "confirmed"
    stays = a_class(splits=(SplitOff(OTHER, 1, ("zz22-410181-00009",)),), changes=("split",))
    given.when(FollowClass(), SYSTEM, on(9, 30), facts(stays)).refused("nothing_changes")
    then_moved = a_class(splits=stays.splits, changes=("split", "moved"))
    event = given.when(FollowClass(), SYSTEM, on(9, 30), facts(then_moved)).then(ClassChanged).events[0]
    assert isinstance(event, ClassChanged)
    assert event.changes == ("moved",)


@pytest.mark.parametrize("events", [(*SELECTED, ENROLLED), CONFIRMED_IN_CLASS, IN_TRAINING])
def test_case_22_when_the_class_is_cancelled_the_seat_stays_and_another_class_can_be_found(
    events: tuple[TraineeEnrolled, ...],
) -> None:
    given = nomination().given(*events)
    cancelled = facts(a_class(phase="cancelled", changes=("cancelled",)))
    decision = given.when(FollowClass(), SYSTEM, on(9, 30), cancelled).then(PlaceLost)
    assert decision.claims == (Count(f"class-seat:{CLASS}", -1),)
    assert [(each.recipient, each.person) for each in decision.notices] == [("410181-s01", PERSON), ("410181", None)]
    lost = given.given(*decision.events)
    state = state_of(lost)
    assert (state.phase, state.training_class, state.seat_held, state.starts) == ("selected", "", True, None)
    lost.when(Enroll(training_class=OTHER), HOST, on(10, 20), facts(a_class(**LATER))).then(TraineeEnrolled)
    # Whoever does not want another class withdraws as freely as after any change.
    lost.when(Withdraw(reason="class_changed"), SCHOOL, on(10, 20), facts()).then(NominationWithdrawn)


def test_case_23_an_overlap_is_found_when_the_dates_change_and_those_who_can_act_are_told() -> None:
    known = facts(a_class(**LATER), overlaps=("zz22-410181-00044",))
    decision = nomination().given(*CONFIRMED_IN_CLASS).when(FollowClass(), SYSTEM, on(9, 30), known).then(ClassChanged)
    (changed,) = decision.events
    assert isinstance(changed, ClassChanged)
    assert changed.overlaps == ("zz22-410181-00044",)
    told = [each.recipient for each in decision.notices if each.type == "trainee.dates_overlap"]
    assert told == ["410181-s01", "410181", "zzedu"]


def test_case_23_nobody_is_placed_in_two_classes_on_the_same_days() -> None:
    there = a_class()
    other = TrainingRecord(
        campaign="2022-zhengzhou",
        year=2022,
        project_type="gp2",
        subject="mathematics",
        phase="confirmed",
        starts=there.ends,
        ends=date(2022, 12, 1),
    )
    known = facts(there, history=History(records=(other,)))
    nomination().given(*SELECTED).when(Enroll(training_class=CLASS), HOST, on(9, 20), known).refused("dates_overlap")
    change = ChangeClass(training_class=OTHER)
    given = nomination().given(*CONFIRMED_IN_CLASS)
    refusal = given.when(change, HOST, on(9, 20), known).refused("dates_overlap")
    # The host reads on which days, and nothing of whose nomination that is.
    assert str(there.ends) in refusal.reasons[0].en
    assert "zz22-" not in refusal.reasons[0].en


def test_a_host_moves_one_trainee_to_another_of_its_classes() -> None:
    given = nomination().given(*CONFIRMED_IN_CLASS)
    change = ChangeClass(training_class=OTHER)
    decision = given.when(change, HOST, on(9, 20), facts(a_class(**LATER))).then(ClassChanged)
    assert decision.claims == (Count(f"class-seat:{CLASS}", -1), Count(f"class-seat:{OTHER}", +1))
    given.when(change, HOST, on(9, 20), facts(None)).refused("class_unknown")
    given.when(change, HOST, on(9, 20), facts(a_class(host="h002"))).refused("class_of_another_host")
    given.when(ChangeClass(training_class=CLASS), HOST, on(9, 20), facts(a_class())).refused("nothing_changes")


def test_case_40_after_a_late_list_each_absence_has_its_own_evidence() -> None:
    late = facts(a_class(check_in_confirmed_at=on(10, 18), check_in_late=True, phase="closed"))
    given = nomination().given(*CONFIRMED_IN_CLASS)
    given.when(RecordNoShow(), SYSTEM, on(10, 18), late).refused("evidence_missing")
    decision = given.when(RecordNoShow(document="签到表 3"), HOST, on(10, 18), late).then(NoShowRecorded)
    (absent,) = decision.events
    assert isinstance(absent, NoShowRecorded)
    assert absent.document == "签到表 3"


def test_case_25_a_leave_asked_for_afterwards_needs_a_document() -> None:
    given = nomination().given(*IN_TRAINING)
    ask = RequestLeave(first_day=STARTS, last_day=STARTS, reason="ill")
    given.when(ask, SCHOOL, on(10, 10), facts()).then(LeaveRequested)
    given.when(ask, SCHOOL, on(10, 12), facts()).refused("leave_document_missing")
    proven = ask.model_copy(update={"document": "诊断书 1"})
    requested = given.when(proven, SCHOOL, on(10, 12), facts()).then(LeaveRequested)
    granted = given.given(*requested.events).when(GrantLeave(leave=1), HOST, on(10, 12), facts()).then(LeaveGranted)
    state = state_of(given.given(*requested.events, *granted.events))
    assert (state.leaves, state.leave_days) == (("granted",), ((STARTS, STARTS),))
    assert STARTS < ENDS


def test_case_31_what_the_host_decides_the_county_sees() -> None:
    """Every decision of a host that a county's figures suffer from is told to the county in the same append."""
    county = "410181"
    checked_in = facts(a_class(check_in_confirmed_at=on(10, 10, 10), phase="running"))
    in_training = nomination().given(*IN_TRAINING)
    asked = in_training.given(
        LeaveRequested(leave=1, by="school:410181-s01", first_day=STARTS, last_day=STARTS, reason="ill")
    )
    decisions = (
        nomination().given(*CONFIRMED_IN_CLASS).when(RecordNoShow(), HOST, on(10, 11), checked_in),
        asked.when(RefuseLeave(leave=1, reason="考试"), HOST, on(10, 10), facts()),
        in_training.when(Dismiss(reason="conduct", evidence="记录 1"), HOST, on(10, 12), facts()),
        in_training.when(Fail(reasons=("conduct",)), HOST, on(10, 16), facts()),
        nomination().given(*CONFIRMED_IN_CLASS).when(FollowClass(), SYSTEM, on(9, 30), facts(a_class(**LATER))),
    )
    for decided in decisions:
        assert isinstance(decided.outcome, Decision), decided.outcome
        assert county in [each.recipient for each in decided.outcome.notices], decided.outcome.events
