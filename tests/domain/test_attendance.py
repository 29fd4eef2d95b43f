"""Attendance: what stands after marks in any order, what they add up to, and what completion makes of it."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import IN_TRAINING
from domain import attendance
from domain.attendance import (
    AttendanceCorrected,
    AttendanceDay,
    AttendanceMarked,
    Mark,
    Marking,
    Member,
    PassingImpossible,
    Sheet,
    Tally,
    evolve,
    granted,
    mark,
    tally,
)
from domain.decision import Refusal
from domain.plan import Training
from domain.trainee_outcome_messages import Complete, FollowUpAssigned, TrainingCompleted
from domain.training_class_messages import Session
from domain.training_class_state import TrainingClass
from tests.domain.nominations import HOST, a_class, nomination
from tests.domain.test_trainee_changes import facts
from tests.specification import the_plan

DAY, NEXT_DAY = date(2022, 10, 10), date(2022, 10, 11)
TIMETABLE = (
    Session(day=DAY, session="morning", units=4),
    Session(day=DAY, session="afternoon", units=4),
    Session(day=NEXT_DAY, session="morning", units=4),
)
RUNNING = a_class(phase="running", timetable=TIMETABLE)
MEMBER = Member("in-training", "410181", "410181-s01")
NOON = on(10, 10, 4)


def a_mark(units: int = 4, as_of: datetime = NOON, **changes: object) -> Mark:
    values: dict[str, object] = {"trainee": NUMBER, "session": "morning", "units": units, "as_of": as_of}
    return Mark.model_validate(values | changes)


def sheet(training_class: TrainingClass = RUNNING, member: Member = MEMBER, percent: int = 0) -> Sheet:
    return Sheet("zz22-c-h001-01", training_class, DAY, {NUMBER: member}, percent, on(10, 10, 12))


def marked(state: AttendanceDay | None, *marks: Mark, on_sheet: Sheet | None = None) -> tuple[AttendanceDay, Marking]:
    marking = mark(state, marks, on_sheet or sheet(), by="host:h001")
    after = state or AttendanceDay()
    for event in marking.events:
        after = evolve(after, event)
    return after, marking


def codes(marking: Marking) -> list[str]:
    return [each.code if isinstance(each, Refusal) else each for each in marking.results]


def test_case_29_a_scan_that_comes_twice_changes_nothing() -> None:
    state, first = marked(None, a_mark())
    assert (codes(first), [type(each) for each in first.events]) == (["recorded"], [AttendanceMarked])
    again, second = marked(state, a_mark())
    assert (codes(second), second.events, again) == (["repeated"], (), state)
    _, both = marked(None, a_mark(), a_mark())
    assert codes(both) == ["recorded", "repeated"]
    assert len(both.events) == 1


def test_case_29_a_scan_that_comes_late_does_not_replace_a_newer_one() -> None:
    state, _ = marked(None, a_mark(4, NOON))
    after, late = marked(state, a_mark(0, NOON - timedelta(hours=2)))
    assert (codes(late), after) == (["older"], state)
    newer, marking = marked(state, a_mark(3, NOON + timedelta(hours=1)))
    assert codes(marking) == ["recorded"]
    assert [each.units for each in newer.marks] == [3]
    _, conflict = marked(state, a_mark(2, NOON))
    assert codes(conflict) == ["marks_conflict"]


MARKS = st.lists(
    st.builds(
        a_mark,
        st.integers(0, 4),
        st.integers(0, 5).map(lambda minutes: NOON + timedelta(minutes=minutes)),
        session=st.sampled_from(["morning", "afternoon"]),
    ),
    max_size=8,
    unique_by=lambda each: (each.session, each.as_of),
)


@settings(deadline=None)
@given(MARKS, st.randoms(use_true_random=False), st.integers(1, 8))
def test_case_29_whatever_the_order_and_however_often_the_same_marks_stand(
    marks: list[Mark], random: object, pieces: int
) -> None:
    """The newest observation of a session stands, in one batch or in many, shuffled and with everything sent twice."""
    expected, _ = marked(None, *sorted(marks, key=lambda each: each.as_of))
    shuffled = [*marks, *marks]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    state: AttendanceDay | None = None
    for start in range(0, len(shuffled), pieces):
        state, _ = marked(state, *shuffled[start : start + pieces])
    assert (state or AttendanceDay()).marks == expected.marks


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (a_mark(session="evening"), "session_unknown"),
        (a_mark(5), "units_exceed_session"),
        (a_mark(as_of=on(10, 9, 15)), "mark_time_wrong"),
        (a_mark(as_of=on(10, 10, 13)), "mark_time_wrong"),
        (a_mark(trainee="zz22-410181-00009"), "trainees_not_in_class"),
    ],
)
def test_a_wrong_mark_is_refused_and_the_others_go_through(wrong: Mark, code: str) -> None:
    state, marking = marked(None, wrong, a_mark())
    assert codes(marking) == [code, "recorded"]
    assert len(state.marks) == 1


def test_nobody_attends_who_has_not_registered_and_nothing_before_the_class_begins() -> None:
    unregistered = sheet(member=replace(MEMBER, phase="confirmed"))
    assert codes(marked(None, a_mark(), on_sheet=unregistered)[1]) == ["trainee_not_registered"]
    announced = sheet(replace(RUNNING, phase="announced"))
    assert codes(marked(None, a_mark(), on_sheet=announced)[1]) == ["class_not_begun"]
    early = replace(sheet(), now=on(10, 9))
    assert codes(marked(None, a_mark(), on_sheet=early)[1]) == ["too_early"]


@pytest.mark.parametrize("phase", ["closed", "reported", "cancelled"])
def test_case_30_after_closing_a_mark_is_a_correction_with_evidence(phase: str) -> None:
    state, _ = marked(None, a_mark(0))
    over = replace(sheet(a_class(phase=phase, timetable=TIMETABLE)), now=on(10, 20))
    paper = a_mark(4, on(10, 20), source="paper")
    assert codes(marked(state, paper, on_sheet=over)[1]) == ["correction_without_evidence"]
    after, marking = marked(state, paper.model_copy(update={"evidence": "签到表 1"}), on_sheet=over)
    assert [type(each) for each in marking.events] == [AttendanceCorrected]
    assert (marking.corrected, after.corrected) == ((NUMBER,), True)
    assert after.marks[0].evidence == "签到表 1"


def test_case_27_what_nobody_marked_stays_unknown() -> None:
    total = tally(TIMETABLE, {(DAY, "morning"): 4}, (), DAY)
    assert total == Tally(held=8, attended=4, unknown=4, to_come=4)
    assert tally(TIMETABLE, {(DAY, "morning"): 4}, (), NEXT_DAY) == Tally(held=12, attended=4, unknown=8)


@pytest.mark.parametrize(
    ("statuses", "days", "authorised", "unauthorised"),
    [
        (("granted",), ((NEXT_DAY, NEXT_DAY),), 4, 0),  # before or after: granted is granted
        (("refused",), ((NEXT_DAY, NEXT_DAY),), 0, 4),  # denied
        (("requested",), ((NEXT_DAY, NEXT_DAY),), 0, 4),  # nobody has allowed it yet
        ((), (), 0, 4),  # never asked
        (("granted",), ((DAY, DAY),), 0, 4),  # overstayed: the day after the leave counts
    ],
)
def test_case_25_only_the_unauthorised_part_counts(
    statuses: tuple[str, ...], days: tuple[tuple[date, date], ...], authorised: int, unauthorised: int
) -> None:
    marks = {(DAY, "morning"): 4, (DAY, "afternoon"): 4, (NEXT_DAY, "morning"): 0}
    total = tally(TIMETABLE, marks, granted(statuses, days), NEXT_DAY)
    assert (total.attended, total.authorised, total.unauthorised) == (8, authorised, unauthorised)
    assert total.counted == 12 - authorised
    assert total.passes(80) == (unauthorised == 0)


def test_a_day_of_leave_needs_no_mark() -> None:
    assert tally(TIMETABLE, {}, ((DAY, DAY),), DAY) == Tally(held=8, authorised=8, to_come=4)


def test_case_28_the_share_is_of_held_units_and_says_when_passing_has_become_impossible() -> None:
    missed = tally(TIMETABLE, {(DAY, "morning"): 0, (DAY, "afternoon"): 4}, (), DAY)
    assert missed.can_pass(66) and not missed.can_pass(67)
    exactly = Tally(held=12, attended=8, unauthorised=4)
    assert exactly.passes(66) and not exactly.passes(67)
    assert Tally().passes(100) and Tally(to_come=4).can_pass(100)


def test_case_28_a_warning_is_given_once_and_only_when_it_is_certain() -> None:
    at_80 = sheet(percent=80)
    state, marking = marked(None, a_mark(4), on_sheet=at_80)
    assert marking.warned == ()
    state, marking = marked(state, a_mark(0, session="afternoon"), on_sheet=at_80)
    assert marking.warned == (NUMBER,)
    assert marking.events[-1] == PassingImpossible(trainees=(NUMBER,))
    told = sheet(member=replace(MEMBER, warned=True), percent=80)
    _, marking = marked(state, a_mark(1, NOON + timedelta(hours=1), session="afternoon"), on_sheet=told)
    assert (codes(marking), marking.warned) == (["recorded"], ())


def test_case_28_other_days_and_leaves_count_for_the_warning() -> None:
    other = replace(MEMBER, marked={(NEXT_DAY, "morning"): 0})
    assert marked(None, a_mark(4), on_sheet=sheet(member=other, percent=80))[1].warned == ()
    timetable = replace(RUNNING, timetable=(TIMETABLE[0], replace_day(TIMETABLE[1], date(2022, 10, 9))))
    before = replace(MEMBER, marked={(date(2022, 10, 9), "afternoon"): 0})
    assert marked(None, a_mark(4), on_sheet=sheet(timetable, before, 80))[1].warned == (NUMBER,)
    on_leave = replace(before, leaves=((date(2022, 10, 9), date(2022, 10, 9)),))
    assert marked(None, a_mark(4), on_sheet=sheet(timetable, on_leave, 80))[1].warned == ()


def replace_day(session: Session, day: date) -> Session:
    return session.model_copy(update={"day": day})


ASKING = the_plan().model_copy(update={"training": Training(attendance_percent=80)})
COMPLETE = Complete(centralised_days=7, hours=50)


@pytest.mark.parametrize(
    ("total", "code"),
    [
        (None, "timetable_missing"),
        (Tally(), "timetable_missing"),
        (Tally(held=12, attended=8, unknown=4), "attendance_unknown"),
        (Tally(held=12, attended=8, unauthorised=4), "attendance_short"),
    ],
)
def test_case_27_unknown_blocks_completion_and_so_does_too_little(total: Tally | None, code: str) -> None:
    known = facts(plan=ASKING, attendance=total)
    nomination().given(*IN_TRAINING).when(COMPLETE, HOST, on(10, 16), known).refused(code)


@pytest.mark.parametrize(
    "total", [Tally(held=12, attended=10, unauthorised=2), Tally(held=12, attended=8, authorised=4)]
)
def test_enough_attendance_completes(total: Tally) -> None:
    known = facts(plan=ASKING, attendance=total)
    nomination().given(*IN_TRAINING).when(COMPLETE, HOST, on(10, 16), known).then(TrainingCompleted, FollowUpAssigned)


def test_a_plan_that_asks_for_no_attendance_completes_without() -> None:
    known = facts(attendance=None)
    nomination().given(*IN_TRAINING).when(COMPLETE, HOST, on(10, 16), known).then(TrainingCompleted, FollowUpAssigned)


def test_the_days_stream_reads_back_every_event() -> None:
    events = (
        AttendanceMarked(by="h", marks=(a_mark(),)),
        AttendanceCorrected(by="h", marks=(a_mark(evidence="x"),)),
        PassingImpossible(trainees=(NUMBER,)),
    )
    for event in events:
        assert attendance.EVENTS.parse(event.type, event.model_dump(mode="json")) == event
    state = attendance.fold(events)
    assert state is not None and state.warned == {NUMBER} and len(state.marks) == 1
