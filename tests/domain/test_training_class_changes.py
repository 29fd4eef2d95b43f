"""A class whose plan is changed: given its events, when a command, then events, dates, and who is owed a visit."""

from dataclasses import replace
from datetime import date

import pytest

from domain import training_class
from domain.decision import SYSTEM, Limit
from domain.training_class import (
    AbsencesRecorded,
    Cancel,
    CapacityChanged,
    ChangeCapacity,
    ChangeTold,
    ClassAnnounced,
    ClassCancelled,
    ClassClosed,
    ClassMerged,
    ClassMoved,
    ClassPlanned,
    ClassPostponed,
    ClassSplit,
    ClassWentOnline,
    ConfirmCheckIn,
    DutiesRecorded,
    Facts,
    GoOnline,
    Merge,
    MovePlace,
    OutcomesEscalated,
    OutcomesOverdue,
    PassClassDeadline,
    Postpone,
    RecordChangeTold,
    RecordDuties,
    RegistrationOpened,
    SetTimetable,
    Split,
    TimetableSet,
    case_of,
    fold,
)
from domain.training_class_messages import Session, StaffDuty
from domain.training_class_state import TrainingClass
from tests.domain.test_training_class import (
    CHECKED_IN,
    FACTS,
    HOST,
    NUMBER,
    OPENED,
    OTHER_HOST,
    PLAN_CLASS,
    PLANNED,
    REMINDED,
    a_class,
    on,
)
from tests.specification import Specification, the_plan

OTHER = "zz22-c-h001-02"
ANNOUNCED = (PLANNED, ClassAnnounced(by="h"))
LATER = Postpone(starts=date(2022, 11, 14), ends=date(2022, 11, 20), reason="疫情")
TRAINEES = tuple(f"zz22-410181-{counter:05d}" for counter in range(1, 4))


def state_of(given: Specification) -> TrainingClass:
    state = fold(given.events)
    assert state is not None
    return state


def facts(**known: object) -> Facts:
    return replace(FACTS, **known)  # type: ignore[arg-type]


def after(
    given: Specification, command: object, *types: type, at: tuple[int, int] = (9, 20), **known: object
) -> Specification:
    decision = given.when(command, HOST, on(*at), facts(**known)).then(*types)  # type: ignore[arg-type]
    return given.given(*decision.events)


def test_case_21_a_postponed_class_keeps_new_dates_and_owes_its_trainees_a_visit() -> None:
    given = a_class().given(*ANNOUNCED, *REMINDED)
    decision = given.when(LATER, HOST, on(10, 9), FACTS).then(ClassPostponed)
    assert [each.recipient for each in decision.notices] == ["zzedu"]
    state = state_of(given.given(*decision.events))
    assert (state.starts, state.phase, state.revision) == (date(2022, 11, 14), "announced", 1)
    case = case_of(NUMBER, state)
    # The reminders of the new start are sent, whatever was sent before.
    assert case.deadline == on(11, 6, 16)
    assert case.reach is not None
    assert set(case.reach.command_by_phase.values()) == {"follow-class"}
    assert case.reach.done_body == {"revision": 1}
    told = given.given(*decision.events).when(RecordChangeTold(revision=1), SYSTEM, on(10, 9), FACTS).then(ChangeTold)
    assert told.notices == ()
    assert case_of(NUMBER, state_of(given.given(*decision.events, *told.events))).reach is None


def test_case_21_no_new_date_lies_in_the_past_when_it_is_armed() -> None:
    soon = Postpone(starts=date(2022, 10, 12), ends=date(2022, 10, 18), reason="场地")
    decision = a_class().given(*ANNOUNCED).when(soon, HOST, on(10, 9), FACTS).then(ClassPostponed)
    (postponed,) = decision.events
    assert isinstance(postponed, ClassPostponed)
    assert postponed.reminders == (on(10, 10, 16),)
    assert case_of(NUMBER, state_of(a_class().given(*ANNOUNCED, postponed))).deadline == on(10, 10, 16)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"starts": date(2022, 11, 21)}, "dates_out_of_order"),
        ({"ends": date(2023, 3, 1)}, "dates_outside_campaign"),
        ({"starts": date(2022, 10, 10), "ends": date(2022, 10, 16)}, "nothing_changes"),
        ({"starts": date(2022, 9, 20)}, "dates_in_past"),
    ],
)
def test_a_postponement_fits_the_plan_and_the_calendar(changes: dict[str, object], code: str) -> None:
    a_class().given(*ANNOUNCED).when(LATER.model_copy(update=changes), HOST, on(9, 20), FACTS).refused(code)


def test_once_somebody_has_arrived_a_class_is_not_put_off_any_more() -> None:
    given = a_class().given(*OPENED)
    commands = (LATER, Merge(into=OTHER, reason="人数"), Split(into=OTHER, trainees=TRAINEES[:1], reason="人数"))
    for command in commands:
        given.when(command, HOST, on(10, 10), facts(registered=1)).refused("class_begun")
    assert state_of(after(given, LATER, ClassPostponed, at=(10, 10))).phase == "announced"


def test_case_24_a_class_over_new_year_belongs_to_the_projects_year() -> None:
    over = PLAN_CLASS.model_copy(update={"starts": date(2022, 12, 28), "ends": date(2023, 1, 5)})
    decision = a_class().when(over, HOST, on(12, 1), FACTS).then(ClassPlanned)
    (planned,) = decision.events
    assert isinstance(planned, ClassPlanned)
    assert planned.campaign == the_plan().id == "2022-zhengzhou"
    assert [(each.type, each.data["soft_end"]) for each in decision.notices] == [("class.past_soft_end", "2022-12-31")]
    later = Postpone(starts=date(2023, 1, 3), ends=date(2023, 1, 9), reason="疫情")
    postponed = a_class().given(planned).when(later, HOST, on(12, 1), FACTS).then(ClassPostponed)
    assert "class.past_soft_end" in [each.type for each in postponed.notices]
    state = state_of(a_class().given(planned, *postponed.events))
    assert state.campaign == "2022-zhengzhou"


def test_case_21_a_moved_class_has_another_place_and_the_same_dates() -> None:
    given = after(a_class().given(*ANNOUNCED), MovePlace(place="新郑", reason="疫情"), ClassMoved)
    state = state_of(given)
    assert (state.place, state.starts, state.changes) == ("新郑", date(2022, 10, 10), ("moved",))
    given.when(MovePlace(place="新郑", reason="疫情"), HOST, on(9, 21), FACTS).refused("nothing_changes")


def test_case_21_an_online_class_tells_the_bureau_what_it_falls_short_of() -> None:
    given = a_class().given(*OPENED, CHECKED_IN, AbsencesRecorded())
    decision = given.when(GoOnline(centralised_days=3, reason="疫情"), HOST, on(10, 12), FACTS).then(ClassWentOnline)
    (told,) = decision.notices
    assert (told.recipient, told.data["centralised_days"], told.data["days_short"]) == ("zzedu", 3, 4)
    state = state_of(given.given(*decision.events))
    assert (state.mode, state.centralised_days_held, state.days, state.phase) == ("online", 3, 7, "running")
    given.when(GoOnline(centralised_days=8, reason="疫情"), HOST, on(10, 12), FACTS).refused("days_exceed_class")
    given.given(*decision.events).when(GoOnline(centralised_days=3, reason="疫情"), HOST, on(10, 12), FACTS).refused(
        "nothing_changes"
    )


def test_case_21_a_class_that_holds_too_few_days_is_known_to_the_bureau_from_the_start() -> None:
    short = PLAN_CLASS.model_copy(update={"ends": date(2022, 10, 12)})
    (told,) = a_class().when(short, HOST, on(9, 10), FACTS).then(ClassPlanned).notices
    assert (told.recipient, told.type, told.data["days_short"]) == ("zzedu", "class.days_short", 4)
    shorter = LATER.model_copy(update={"ends": date(2022, 11, 18)})
    postponed = a_class().given(*ANNOUNCED).when(shorter, HOST, on(9, 20), FACTS).then(ClassPostponed)
    assert postponed.notices[0].data["days_short"] == 2


def test_case_22_a_merged_class_ends_once_its_trainees_were_told() -> None:
    target = state_of(a_class().given(*ANNOUNCED))
    merge = Merge(into=OTHER, reason="人数不足")
    given = a_class().given(*ANNOUNCED)
    small = given.when(merge, HOST, on(9, 20), facts(other=target, taken=8, other_taken=13))
    assert "7 places left" in small.refused("class_too_small").reasons[0].en
    merged = after(given, merge, ClassMerged, other=target, taken=7, other_taken=13)
    state = state_of(merged)
    case = case_of(NUMBER, state)
    assert (state.phase, case.closed, case.deadline) == ("merged", False, None)
    assert state.destination_of(TRAINEES[0]) == OTHER
    assert not state.takes_trainees
    told = merged.when(RecordChangeTold(revision=1), SYSTEM, on(9, 20), FACTS).then(ChangeTold)
    assert case_of(NUMBER, state_of(merged.given(*told.events))).closed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (None, "class_unknown"),
        ({"host": "h002"}, "class_of_another_host"),
        ({"project_type": "gp1"}, "class_of_another_project"),
        ({"phase": "running"}, "class_closed"),
    ],
)
def test_a_class_is_merged_and_split_into_a_fitting_one_only(changes: dict[str, str] | None, code: str) -> None:
    target = None if changes is None else replace(state_of(a_class().given(*ANNOUNCED)), **changes)  # type: ignore[arg-type]
    given = a_class().given(*ANNOUNCED)
    given.when(Merge(into=OTHER, reason="x"), HOST, on(9, 20), facts(other=target)).refused(code)
    split = Split(into=OTHER, trainees=TRAINEES[:1], reason="x")
    given.when(split, HOST, on(9, 20), facts(other=target, members=frozenset(TRAINEES))).refused(code)


def test_case_22_a_split_moves_the_named_trainees_and_nobody_else() -> None:
    target = state_of(a_class().given(*ANNOUNCED))
    given = a_class().given(*ANNOUNCED)
    split = Split(into=OTHER, trainees=TRAINEES[:2], reason="人数")
    stranger = given.when(split, HOST, on(9, 20), facts(other=target, members=frozenset(TRAINEES[1:])))
    assert TRAINEES[0] in stranger.refused("trainees_not_in_class").reasons[0].en
    state = state_of(after(given, split, ClassSplit, other=target, members=frozenset(TRAINEES)))
    assert [state.destination_of(each) for each in TRAINEES] == [OTHER, OTHER, ""]
    assert (state.phase, state.takes_trainees) == ("announced", True)


@pytest.mark.parametrize("events", [(PLANNED,), ANNOUNCED, OPENED, (*OPENED, CHECKED_IN)])
def test_case_22_a_class_can_be_cancelled_until_it_has_ended(events: tuple[training_class.ClassPlanned, ...]) -> None:
    given = after(a_class().given(*events), Cancel(reason="疫情"), ClassCancelled, at=(10, 10))
    case = case_of(NUMBER, state_of(given))
    assert (case.phase, case.closed, case.deadline) == ("cancelled", False, None)
    assert case.reach is not None and case.reach.command_by_phase["in-training"] == "follow-class"
    given.when(LATER, HOST, on(10, 10), FACTS).refused("not_allowed_in_phase")
    told = given.when(RecordChangeTold(revision=1), SYSTEM, on(10, 10), FACTS).then(ChangeTold)
    # Nobody is looked for on the check-in list of a class that was not held.
    assert case_of(NUMBER, state_of(given.given(*told.events))).closed


def test_who_could_not_follow_is_counted_and_told_to_host_and_bureau() -> None:
    given = after(a_class().given(*ANNOUNCED), Cancel(reason="疫情"), ClassCancelled)
    told = given.when(RecordChangeTold(revision=1), SYSTEM, on(9, 20), facts(left=2)).then(ChangeTold)
    assert [(each.recipient, each.data["left"]) for each in told.notices] == [("h001", 2), ("zzedu", 2)]


def test_a_change_during_a_visit_is_owed_another_visit() -> None:
    given = after(a_class().given(*ANNOUNCED), LATER, ClassPostponed)
    given = after(given, MovePlace(place="新郑", reason="疫情"), ClassMoved)
    first = given.when(RecordChangeTold(revision=1), SYSTEM, on(9, 20), FACTS).then(ChangeTold)
    reach = case_of(NUMBER, state_of(given.given(*first.events))).reach
    assert reach is not None and reach.done_body == {"revision": 2}
    given.given(*first.events).when(RecordChangeTold(revision=1), SYSTEM, on(9, 20), FACTS).refused("nothing_changes")


def test_capacity_is_a_limit_that_the_ledger_keeps() -> None:
    decision = a_class().given(PLANNED).when(ChangeCapacity(capacity=30), HOST, on(9, 20), FACTS).then(CapacityChanged)
    assert decision.claims == (Limit(f"class-seat:{NUMBER}", 30),)
    a_class().given(PLANNED).when(ChangeCapacity(capacity=20), HOST, on(9, 20), FACTS).refused("nothing_changes")


def test_a_change_is_the_hosts_own_step() -> None:
    for command in (LATER, Cancel(reason="x"), ChangeCapacity(capacity=3)):
        a_class().given(PLANNED).when(command, OTHER_HOST, on(9, 20), FACTS).refused("not_your_part")


def test_reminders_reach_the_schools_and_announcements_too() -> None:
    schools = facts(schools=("410181-s01", "410181-s02"))
    due = a_class().given(PLANNED).when(PassClassDeadline(), SYSTEM, on(10, 2, 16), schools)
    decision = due.then(training_class.ClassReminderSent)
    assert [each.recipient for each in decision.notices] == ["h001", "410181-s01", "410181-s02"]
    announced = a_class().given(PLANNED).when(training_class.Announce(), HOST, on(9, 12), schools).then(ClassAnnounced)
    assert [each.recipient for each in announced.notices] == ["zzedu", "410181-s01", "410181-s02"]
    assert announced.notices[1].data["place"] == "1 号楼"


def test_missing_outcomes_are_the_hosts_matter_first_and_the_bureaus_some_days_later() -> None:
    planned = a_class().when(PLAN_CLASS, HOST, on(9, 10), FACTS).then(ClassPlanned).events[0]
    given = a_class().given(planned, *OPENED[1:], CHECKED_IN, AbsencesRecorded(), ClassClosed())
    overdue = given.when(PassClassDeadline(), SYSTEM, on(10, 23, 16), FACTS).then(OutcomesOverdue)
    assert [each.recipient for each in overdue.notices] == ["h001"]
    given = given.given(*overdue.events)
    assert case_of(NUMBER, state_of(given)).deadline == on(10, 26, 16)
    escalated = given.when(PassClassDeadline(), SYSTEM, on(10, 26, 16), FACTS).then(OutcomesEscalated)
    assert [each.recipient for each in escalated.notices] == ["zzedu", "h001"]
    assert case_of(NUMBER, state_of(given.given(*escalated.events))).deadline is None


def test_case_40_a_list_after_the_last_day_makes_nobody_absent_by_itself() -> None:
    given = a_class().given(*OPENED, ClassClosed())
    decision = given.when(ConfirmCheckIn(), HOST, on(10, 18), facts(unregistered=9)).then(
        training_class.CheckInConfirmed
    )
    assert [(each.recipient, each.data["unregistered"]) for each in decision.notices] == [("h001", 9), ("zzedu", 9)]
    reach = case_of(NUMBER, state_of(given.given(*decision.events))).reach
    assert reach is not None and reach.command_by_phase == {"enrolled": "lapse"}
    in_time = a_class().given(*OPENED).when(ConfirmCheckIn(), HOST, on(10, 10), FACTS)
    assert in_time.then(training_class.CheckInConfirmed).notices == ()


SESSIONS = (
    Session(day=date(2022, 10, 11), session="afternoon", units=4),
    Session(day=date(2022, 10, 10), session="morning", units=4),
    Session(day=date(2022, 10, 10), session="afternoon", units=3),
)


def test_a_timetable_lies_within_the_class_and_names_each_session_once() -> None:
    given = after(a_class().given(*ANNOUNCED), SetTimetable(sessions=SESSIONS), TimetableSet)
    state = state_of(given)
    assert [(each.day.day, each.session) for each in state.timetable] == [
        (10, "morning"),
        (10, "afternoon"),
        (11, "afternoon"),
    ]
    assert state.days == 2
    outside = (*SESSIONS, Session(day=date(2022, 10, 17), session="morning", units=4))
    given.when(SetTimetable(sessions=outside), HOST, on(9, 20), FACTS).refused("session_outside_class")
    given.when(SetTimetable(sessions=SESSIONS * 2), HOST, on(9, 20), FACTS).refused("session_repeated")
    given.when(SetTimetable(sessions=SESSIONS), HOST, on(9, 20), FACTS).refused("nothing_changes")


def test_case_26_a_holiday_inside_the_class_is_no_training_day_unless_the_host_says_so() -> None:
    over_national_day = PLAN_CLASS.model_copy(update={"starts": date(2022, 9, 29), "ends": date(2022, 10, 9)})
    planned = a_class().when(over_national_day, HOST, on(9, 1), FACTS).then(ClassPlanned).events
    given = a_class().given(*planned)
    days = [date(2022, 9, 29), date(2022, 9, 30), date(2022, 10, 8), date(2022, 10, 9)]
    working = tuple(Session(day=day, session="morning", units=4) for day in days)
    held = after(given, SetTimetable(sessions=working), TimetableSet)
    assert state_of(held).days == state_of(held).centralised_days_held == 4
    holiday = (*working, Session(day=date(2022, 10, 3), session="morning", units=4))
    refusal = given.when(SetTimetable(sessions=holiday), HOST, on(9, 20), FACTS).refused("session_on_holiday")
    assert refusal.reasons[0].field == "/sessions/4/day"
    forced = SetTimetable(sessions=holiday, on_holidays=True)
    assert state_of(after(given, forced, TimetableSet)).days == 5


def test_a_postponed_class_needs_a_new_timetable() -> None:
    given = after(a_class().given(*ANNOUNCED), SetTimetable(sessions=SESSIONS), TimetableSet)
    assert state_of(after(given, LATER, ClassPostponed)).timetable == ()


def test_hours_and_duties_of_the_staff_replace_those_before() -> None:
    first = (StaffDuty(staff="t-01", duty="design", hours=12), StaffDuty(staff="t-01", duty="lecturing", hours=8))
    given = after(a_class().given(*OPENED, CHECKED_IN), RecordDuties(duties=first), DutiesRecorded, at=(10, 12))
    assert state_of(given).duties == first
    head = (StaffDuty(staff="t-07", duty="head", hours=20),)
    assert state_of(after(given, RecordDuties(duties=head), DutiesRecorded, at=(10, 13))).duties == head
    given.when(RecordDuties(duties=first * 2), HOST, on(10, 12), FACTS).refused("duty_repeated")


def test_a_registration_that_opened_before_the_postponement_opens_again() -> None:
    given = after(a_class().given(*OPENED), LATER, ClassPostponed, at=(10, 10))
    reminders = (training_class.ClassReminderSent,) * 3
    given.when(PassClassDeadline(), SYSTEM, on(11, 13, 16), FACTS).then(*reminders, RegistrationOpened)
