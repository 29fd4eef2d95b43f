"""A class's dates and steps: given its events, when a command, then events or a refusal."""

from datetime import UTC, date, datetime

import pytest

from domain import training_class
from domain.decision import SYSTEM, Actor, Limit
from domain.training_class import (
    COMMANDS,
    EVENTS,
    AbsencesRecorded,
    Announce,
    CheckInConfirmed,
    ClassAnnounced,
    ClassClosed,
    ClassPlanned,
    ClassReminderSent,
    ClassReported,
    ConfirmCheckIn,
    Facts,
    OutcomesOverdue,
    PassClassDeadline,
    PlanClass,
    RecordAbsences,
    RegistrationOpened,
    Report,
    case_of,
    fold,
)
from tests.specification import Specification, specification, the_plan

NUMBER = "zz22-c-h001-01"
HOST = Actor(organisation="h001", role="host")
OTHER_HOST = Actor(organisation="h002", role="host")
FACTS = Facts(the_plan())
PLAN_CLASS = PlanClass(
    host="h001", project_type="gp5", starts=date(2022, 10, 10), ends=date(2022, 10, 16), place="1 号楼", capacity=20
)


def on(month: int, day: int, hour: int = 2) -> datetime:
    """An instant of 2022; 2 o'clock UTC is 10 in Zhengzhou."""
    return datetime(2022, month, day, hour, tzinfo=UTC)


OPENS, CLOSES, OUTCOMES_DUE = on(10, 9, 16), on(10, 16, 16), on(10, 23, 16)
PLANNED = ClassPlanned(
    campaign="2022-zhengzhou",
    host="h001",
    project_type="gp5",
    starts=date(2022, 10, 10),
    ends=date(2022, 10, 16),
    place="1 号楼",
    mode="centralised",
    capacity=20,
    reminders=(on(10, 2, 16), on(10, 6, 16), on(10, 8, 16)),
    opens_at=OPENS,
    closes_at=CLOSES,
    outcomes_due=OUTCOMES_DUE,
)
REMINDED = tuple(ClassReminderSent(key=f"reminder-{index}", stale=False) for index in (1, 2, 3))
OPENED = (PLANNED, ClassAnnounced(by="h"), *REMINDED, RegistrationOpened())
CHECKED_IN = CheckInConfirmed(by="h", at=on(10, 10, 10))


def a_class() -> Specification:
    return specification(training_class, NUMBER, fold)


def test_a_planned_class_knows_all_its_dates_and_its_places() -> None:
    decision = a_class().when(PLAN_CLASS, HOST, on(9, 10), FACTS).then(ClassPlanned)
    # Classes that were planned before escalations had a date of their own have none.
    assert decision.events == (PLANNED.model_copy(update={"escalates_at": on(10, 26, 16)}),)
    assert decision.claims == (Limit(f"class-seat:{NUMBER}", 20),)


def test_a_class_that_is_planned_late_has_no_reminders_of_days_gone_and_begins_at_once() -> None:
    (planned,) = a_class().when(PLAN_CLASS, HOST, on(10, 11), FACTS).then(ClassPlanned).events
    assert isinstance(planned, ClassPlanned) and planned.reminders == ()
    given = a_class().given(planned)
    given.when(PassClassDeadline(), SYSTEM, on(10, 11), FACTS).then(RegistrationOpened)
    a_class().when(PLAN_CLASS, HOST, on(10, 16, 15), FACTS).then(ClassPlanned)
    a_class().when(PLAN_CLASS, HOST, on(10, 16, 16), FACTS).refused("class_over_already")


def test_case_40_no_absence_is_recorded_without_a_confirmed_list() -> None:
    closed = a_class().given(*OPENED, ClassClosed())
    closed.when(RecordAbsences(), SYSTEM, on(10, 17), FACTS).refused("check_in_not_confirmed")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"project_type": "gp9"}, "unknown_project_type"),
        ({"ends": date(2022, 10, 9)}, "dates_out_of_order"),
        ({"starts": date(2022, 8, 1)}, "dates_outside_campaign"),
        ({"project_type": "sp1"}, "host_of_another_level"),
    ],
)
def test_a_class_fits_the_plan(changes: dict[str, object], code: str) -> None:
    national_only = next(each.id for each in the_plan().hosts if each.levels == ("national",))
    host = Actor(organisation=national_only, role="host")
    command = PLAN_CLASS.model_copy(update={"host": national_only, **changes})
    a_class().when(command, host, on(9, 10), FACTS).refused(code)


def test_a_host_plans_for_itself() -> None:
    a_class().when(PLAN_CLASS, OTHER_HOST, on(9, 10), FACTS).refused("not_your_part")


def test_the_host_announces() -> None:
    a_class().given(PLANNED).when(Announce(), HOST, on(9, 12), FACTS).then(ClassAnnounced)


def test_reminders_go_out_at_seven_three_and_one_days() -> None:
    given = a_class().given(PLANNED)
    given.when(PassClassDeadline(), SYSTEM, on(10, 2, 15), FACTS).refused("too_early")
    decision = given.when(PassClassDeadline(), SYSTEM, on(10, 2, 16), FACTS).then(ClassReminderSent)
    assert [each.recipient for each in decision.notices] == ["h001"]


def test_case_46_after_an_outage_no_stale_reminder_is_sent() -> None:
    decision = (
        a_class()
        .given(PLANNED)
        .when(PassClassDeadline(), SYSTEM, on(10, 9, 18), FACTS)
        .then(ClassReminderSent, ClassReminderSent, ClassReminderSent, RegistrationOpened)
    )
    assert all(each.stale for each in decision.events if isinstance(each, ClassReminderSent))
    assert [each.type for each in decision.notices] == ["class.registration_opened"]


def test_of_two_due_reminders_only_the_newer_is_sent() -> None:
    decision = (
        a_class()
        .given(PLANNED)
        .when(PassClassDeadline(), SYSTEM, on(10, 7), FACTS)
        .then(ClassReminderSent, ClassReminderSent)
    )
    assert [each.stale for each in decision.events if isinstance(each, ClassReminderSent)] == [True, False]
    assert len(decision.notices) == 1


def test_the_check_in_list_is_confirmed_once_and_then_trainees_are_reached() -> None:
    given = a_class().given(*OPENED)
    a_class().given(PLANNED).when(ConfirmCheckIn(), HOST, on(10, 1), FACTS).refused("not_allowed_in_phase")
    given.when(ConfirmCheckIn(), HOST, on(10, 10), FACTS).then(CheckInConfirmed)
    state = fold((*OPENED, CHECKED_IN))
    assert state is not None
    reach = case_of(NUMBER, state).reach
    assert reach is not None and reach.command_by_phase == {"confirmed": "record-no-show", "enrolled": "lapse"}
    done = given.given(CHECKED_IN).when(RecordAbsences(), SYSTEM, on(10, 10, 11), FACTS).then(AbsencesRecorded)
    state = fold((*OPENED, CHECKED_IN, *done.events))
    assert state is not None and case_of(NUMBER, state).reach is None


def test_a_list_confirmed_after_the_last_day_is_still_a_list() -> None:
    given = a_class().given(*OPENED, ClassClosed())
    confirmed = given.when(ConfirmCheckIn(), HOST, on(10, 18), FACTS).then(CheckInConfirmed)
    state = fold((*given.events, *confirmed.events))
    assert state is not None and state.phase == "closed" and case_of(NUMBER, state).reach is not None
    given.given(*confirmed.events).when(ConfirmCheckIn(), HOST, on(10, 18), FACTS).refused("not_allowed_in_phase")


def test_a_class_closes_after_its_last_day_and_outcomes_become_overdue() -> None:
    given = a_class().given(*OPENED, CHECKED_IN, AbsencesRecorded())
    closed = given.when(PassClassDeadline(), SYSTEM, CLOSES, FACTS).then(ClassClosed).events
    overdue = given.given(*closed).when(PassClassDeadline(), SYSTEM, OUTCOMES_DUE, FACTS).then(OutcomesOverdue)
    assert {each.recipient for each in overdue.notices} == {"h001", "zzedu"}


def test_a_class_is_reported_when_everybody_has_an_outcome() -> None:
    given = a_class().given(*OPENED, CHECKED_IN, AbsencesRecorded(), ClassClosed())
    given.when(Report(), HOST, on(10, 18), Facts(the_plan(), without_outcome=2)).refused("outcomes_missing")
    reported = given.when(Report(), HOST, on(10, 18), FACTS).then(ClassReported)
    state = fold((*given.events, *reported.events))
    assert state is not None and case_of(NUMBER, state).closed and case_of(NUMBER, state).deadline is None


def test_the_lifecycle_covers_every_command_and_reads_back_every_event() -> None:
    assert {each.name for each in training_class.LIFECYCLE} == set(COMMANDS.names())
    for event in (*OPENED, CHECKED_IN):
        assert EVENTS.parse(event.type, event.model_dump(mode="json")) == event
