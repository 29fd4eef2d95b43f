"""Attendance of one day of a class (stream `attendance/{class}/{day}`), in units (学时) per session and trainee.

A mark says how many of a session's units a trainee attended, as of a moment. Scans arrive late, twice and out of order:
the newest observation stands, an older one changes nothing, the same one is answered as before (edge case 29). What
nobody marked stays unknown (edge case 27). After the last day a mark is a correction and needs evidence (edge case 30).
No process waits here, so the marks are appended without one (docs/decisions).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import ClassVar, Literal

from domain import calendar
from domain.decision import Event, EventCatalogue, Message, Refusal
from domain.refusals import in_words, refuse
from domain.training_class_messages import Session, SessionName, Units
from domain.training_class_state import TrainingClass

Source = Literal["scan", "host", "paper"]
Result = Literal["recorded", "repeated", "older"]
Days = Sequence[tuple[date, date]]
"""First and last days of granted leaves."""

REGISTERED = frozenset({"in-training", "completed", "not-completed", "dismissed", "following-up", "closed"})
"""Phases of a trainee who has arrived; nobody else can have attended."""
_MARKED = ("registration-open", "running")
_CORRECTED = ("closed", "reported", "cancelled")


class Mark(Message):
    """How many units of a session a trainee attended, as somebody saw it at `as_of`."""

    trainee: str
    session: SessionName
    units: Units
    as_of: datetime
    source: Source = "host"
    evidence: str = ""


class AttendanceMarked(Event):
    """签到: marks of a day."""

    type: ClassVar[str] = "attendance.marked"
    by: str
    marks: tuple[Mark, ...]


class AttendanceCorrected(Event):
    """Marks that came after the last day, each with its evidence."""

    type: ClassVar[str] = "attendance.corrected"
    by: str
    marks: tuple[Mark, ...]


class PassingImpossible(Event):
    """Even with everything that is still to come these trainees cannot reach the attendance that is asked for."""

    type: ClassVar[str] = "attendance.cannot_pass"
    trainees: tuple[str, ...]


EVENTS = EventCatalogue(AttendanceMarked, AttendanceCorrected, PassingImpossible)


@dataclass(frozen=True, slots=True)
class AttendanceDay:
    """The marks that stand, by trainee and session. `warned` are trainees who were told that they cannot pass."""

    marks: tuple[Mark, ...] = ()
    corrected: bool = False
    warned: frozenset[str] = field(default_factory=frozenset)


def fold(events: Iterable[Event]) -> AttendanceDay | None:
    """The state after `events`, None before the first."""
    state: AttendanceDay | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: AttendanceDay | None, event: Event) -> AttendanceDay:
    """The next state. Never refuses."""
    before = state or AttendanceDay()
    match event:
        case AttendanceMarked():
            return replace(before, marks=_with_marks(before.marks, event.marks))
        case AttendanceCorrected():
            return replace(before, marks=_with_marks(before.marks, event.marks), corrected=True)
        case PassingImpossible():
            return replace(before, warned=before.warned | set(event.trainees))
    raise TypeError(f"no evolution for {event.type}")


def _with_marks(before: tuple[Mark, ...], new: tuple[Mark, ...]) -> tuple[Mark, ...]:
    marks = {(each.trainee, each.session): each for each in (*before, *new)}
    return tuple(marks[key] for key in sorted(marks))


# -------------------------------------------------------------------------------------------------- what adds up


@dataclass(frozen=True, slots=True)
class Tally:
    """A trainee's units: of those held, attended, missed with leave, missed without, unknown; and still to come."""

    held: int = 0
    attended: int = 0
    authorised: int = 0
    unauthorised: int = 0
    unknown: int = 0
    to_come: int = 0

    @property
    def counted(self) -> int:
        """The held units that attendance is measured against: those missed with leave count for nobody (25)."""
        return self.held - self.authorised

    def passes(self, percent: int) -> bool:
        """Whether the known attendance reaches `percent` of the held units that count (28)."""
        return self.attended * 100 >= percent * self.counted

    def can_pass(self, percent: int) -> bool:
        """Whether it could, if everything unknown and everything to come were attended."""
        best = self.attended + self.unknown + self.to_come
        return best * 100 >= percent * (self.counted + self.to_come)


def granted(statuses: Sequence[str], days: Days) -> Days:
    """The granted ones among the leaves of a case, from its `leaves` and `leave_days`."""
    return tuple(each for status, each in zip(statuses, days, strict=False) if status == "granted")


Marked = Mapping[tuple[date, str], int]
"""Units attended by day and session; a session without a key is unknown."""


def tally(timetable: Iterable[Session], marked: Marked, leaves: Days, today: date) -> Tally:
    """What a trainee's marks add up to on `today`: a session is held from the beginning of its day.

    A session missed on a day of a granted leave is authorised, marked or not; what was overstayed, denied or never
    asked for is not (edge case 25).
    """
    total = Tally()
    for each in timetable:
        if each.day > today:
            total = replace(total, to_come=total.to_come + each.units)
            continue
        units = marked.get((each.day, each.session))
        on_leave = any(first <= each.day <= last for first, last in leaves)
        total = replace(total, held=total.held + each.units)
        if units is None and not on_leave:
            total = replace(total, unknown=total.unknown + each.units)
            continue
        attended = min(units or 0, each.units)
        missed = each.units - attended
        total = replace(
            total,
            attended=total.attended + attended,
            authorised=total.authorised + (missed if on_leave else 0),
            unauthorised=total.unauthorised + (0 if on_leave else missed),
        )
    return total


# ----------------------------------------------------------------------------------------------- marking a day


@dataclass(frozen=True, slots=True)
class Member:
    """A trainee of the class as a mark needs him: how far he is, whose he is, his granted leaves, his other marks."""

    phase: str
    county: str
    school: str
    leaves: Days = ()
    marked: Marked = field(default_factory=dict)
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is known when marks of a day come in. `percent` is what completion asks for, 0 when it asks for nothing."""

    number: str
    training_class: TrainingClass
    day: date
    members: Mapping[str, Member]
    percent: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Marking:
    """What becomes of the marks: events (none when nothing is new), a result or a refusal for each, who is warned."""

    events: tuple[Event, ...]
    results: tuple[Result | Refusal, ...]
    corrected: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()


def mark(state: AttendanceDay | None, marks: Sequence[Mark], sheet: Sheet, by: str) -> Marking:
    """Judge the marks of one day, each by itself and in their order."""
    before = state or AttendanceDay()
    standing = {(each.trainee, each.session): each for each in before.marks}
    new: list[Mark] = []
    results: list[Result | Refusal] = []
    for each in marks:
        key = (each.trainee, each.session)
        result = _judge(standing.get(key), each, sheet)
        results.append(result)
        if result == "recorded":
            new.append(each)
            standing[key] = each
    if not new:
        return Marking((), tuple(results))
    is_correction = sheet.training_class.phase in _CORRECTED
    event: Event = (
        AttendanceCorrected(by=by, marks=tuple(new)) if is_correction else AttendanceMarked(by=by, marks=tuple(new))
    )
    concerned = tuple(sorted({each.trainee for each in new}))
    own: dict[str, dict[tuple[date, str], int]] = {each: {} for each in concerned}
    for each in standing.values():
        if each.trainee in own:
            own[each.trainee][sheet.day, each.session] = each.units
    warned = tuple(each for each in concerned if _has_become_impossible(sheet.members[each], own[each], sheet))
    warning = (PassingImpossible(trainees=warned),) if warned else ()
    return Marking((event, *warning), tuple(results), concerned if is_correction else (), warned)


def _judge(before: Mark | None, each: Mark, sheet: Sheet) -> Result | Refusal:
    refusal = _unfit(each, sheet)
    if refusal is not None:
        return refusal
    if before is None or each.as_of > before.as_of:
        return "recorded"
    if each.as_of < before.as_of:
        return "older"
    if each.units == before.units:
        return "repeated"
    return refuse("marks_conflict", field="/units", units=before.units, as_of=in_words(before.as_of))


def _unfit(each: Mark, sheet: Sheet) -> Refusal | None:
    training_class, day = sheet.training_class, sheet.day
    if training_class.phase not in (*_MARKED, *_CORRECTED):
        return refuse("class_not_begun", phase=training_class.phase)
    session = next((s for s in training_class.timetable if (s.day, s.session) == (day, each.session)), None)
    if session is None:
        return refuse("session_unknown", field="/session", day=day, session=each.session)
    if each.units > session.units:
        return refuse("units_exceed_session", field="/units", units=each.units, held=session.units)
    begins = calendar.start_of_day(day)
    if sheet.now < begins:
        return refuse("too_early", field="/day", command="attendance", earliest=in_words(begins))
    if not begins <= each.as_of <= sheet.now:
        return refuse("mark_time_wrong", field="/as_of", begins=in_words(begins))
    member = sheet.members.get(each.trainee)
    if member is None:
        return refuse("trainees_not_in_class", field="/trainee", training_class=sheet.number, trainees=each.trainee)
    if member.phase not in REGISTERED:
        return refuse("trainee_not_registered", field="/trainee", trainee=each.trainee)
    if training_class.phase in _CORRECTED and not each.evidence:
        return refuse("correction_without_evidence", field="/evidence")
    return None


def _has_become_impossible(member: Member, own: Marked, sheet: Sheet) -> bool:
    """Whether this trainee cannot pass any more and was not told so before; `own` are his marks of this day."""
    if not sheet.percent or member.warned:
        return False
    today = calendar.local_date(sheet.now)
    total = tally(sheet.training_class.timetable, {**member.marked, **own}, member.leaves, today)
    return not total.can_pass(sheet.percent)
