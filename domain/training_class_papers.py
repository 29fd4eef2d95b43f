"""The papers of a class: its timetable (课表), and hours and duties of its staff (N12)."""

from collections import Counter

from domain import calendar
from domain.decision import Decision
from domain.refusals import refuse
from domain.training_class_context import Context, Outcome
from domain.training_class_messages import DutiesRecorded, RecordDuties, SetTimetable, TimetableSet
from domain.training_class_state import TrainingClass


def set_timetable(state: TrainingClass, command: SetTimetable, context: Context) -> Outcome:
    """Sessions lie within the class, each once; on a public holiday only when the host says so (edge case 26)."""
    for index, each in enumerate(command.sessions):
        field = f"/sessions/{index}/day"
        if not state.starts <= each.day <= state.ends:
            return refuse("session_outside_class", field=field, day=each.day, starts=state.starts, ends=state.ends)
        if not command.on_holidays and calendar.is_holiday(each.day):
            return refuse("session_on_holiday", field=field, day=each.day)
    repeated = next(
        (key for key, count in Counter((s.day, s.session) for s in command.sessions).items() if count > 1), None
    )
    if repeated is not None:
        return refuse("session_repeated", field="/sessions", day=repeated[0], session=repeated[1])
    ordered = tuple(sorted(command.sessions, key=lambda each: (each.day, _ORDER.index(each.session))))
    if ordered == state.timetable:
        return refuse("nothing_changes", field="/sessions")
    return Decision((TimetableSet(by=str(context.actor), sessions=ordered),))


def record_duties(state: TrainingClass, command: RecordDuties, context: Context) -> Outcome:
    """One line for each member of the staff and duty; the list replaces the one before."""
    repeated = next(
        (key for key, count in Counter((d.staff, d.duty) for d in command.duties).items() if count > 1), None
    )
    if repeated is not None:
        return refuse("duty_repeated", field="/duties", staff=repeated[0], duty=repeated[1])
    return Decision((DutiesRecorded(by=str(context.actor), duties=command.duties),))


_ORDER = ("morning", "afternoon", "evening", "night")
