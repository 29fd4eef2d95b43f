"""The events and commands of a class (stream `class/{number}`), in the order of its life."""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain.decision import Command, CommandCatalogue, Event, EventCatalogue, Message
from domain.trainee_messages import Code, Text

MAX_MOVED = 500
"""Trainees that one split names."""
MAX_SESSIONS = 240
"""Sessions of a timetable: sixty days of four."""
MAX_DUTIES = 200
"""Duties that one report of a class names."""

Phase = Literal["planned", "announced", "registration-open", "running", "closed", "reported", "merged", "cancelled"]
Mode = Literal["centralised", "online", "mixed"]
Capacity = Annotated[int, Field(ge=1, le=2_000)]
Change = Literal["postponed", "moved", "online", "merged", "split", "cancelled"]
"""延期, 更换地点, 转为线上, 并班, 分班, 取消."""
SessionName = Literal["morning", "afternoon", "evening", "night"]
Units = Annotated[int, Field(ge=0, le=12)]
"""学时."""
Duty = Literal["design", "lecturing", "management", "head"]
"""教学设计, 授课, 管理, 班主任 (N12)."""
ClassReference = Annotated[str, Field(min_length=1, max_length=64)]
StaffCode = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
"""The host's own number of a member of its staff: never a name."""


class Session(Message):
    """A session of the timetable and the units that are held in it."""

    day: date
    session: SessionName
    units: Annotated[int, Field(ge=1, le=12)]


class StaffDuty(Message):
    """What a member of the staff did for a class, in whole class hours (学时)."""

    staff: StaffCode
    duty: Duty
    hours: Annotated[int, Field(ge=0, le=2_000)]


# ---------------------------------------------------------------------------------------------------- events


class ClassPlanned(Event):
    """The host plans a class. The dates that the process will keep are computed once, here."""

    type: ClassVar[str] = "class.planned"
    campaign: str
    host: str
    project_type: str
    starts: date
    ends: date
    place: str
    mode: Mode
    capacity: int
    reminders: tuple[datetime, ...]
    opens_at: datetime
    closes_at: datetime
    outcomes_due: datetime
    escalates_at: datetime | None = None


class ClassAnnounced(Event):
    """开班通知: the host announces time and place."""

    type: ClassVar[str] = "class.announced"
    by: str


class ClassReminderSent(Event):
    """A reminder became due; a stale one is recorded and not sent."""

    type: ClassVar[str] = "class.reminder"
    key: str
    stale: bool


class RegistrationOpened(Event):
    """报到 begins, at the start of the first day."""

    type: ClassVar[str] = "class.registration_opened"


class CheckInConfirmed(Event):
    """The host closed and confirmed its check-in list; from here on somebody can be absent.

    A `late` list, confirmed after the last day, makes nobody absent by itself (edge case 40).
    """

    type: ClassVar[str] = "class.check_in_confirmed"
    by: str
    at: datetime
    late: bool = False


class AbsencesRecorded(Event):
    """Every trainee who should have come and did not has been told so; the class runs."""

    type: ClassVar[str] = "class.absences_recorded"


class ClassClosed(Event):
    """The last day has passed."""

    type: ClassVar[str] = "class.closed"


class OutcomesOverdue(Event):
    """The host has not reported by the due date. The host is told; the bureau too where no escalation is planned."""

    type: ClassVar[str] = "class.outcomes_overdue"


class OutcomesEscalated(Event):
    """The host has still not reported some days after the due date: it is the bureau's matter now."""

    type: ClassVar[str] = "class.outcomes_escalated"


class ClassReported(Event):
    """Every trainee has an outcome and the host says so."""

    type: ClassVar[str] = "class.reported"
    by: str


# ------------------------------------------------------------------------------------- events: a change of plan


class ClassPostponed(Event):
    """延期: other dates. The dates that the process keeps are computed anew; none of them has passed."""

    type: ClassVar[str] = "class.postponed"
    by: str
    reason: str
    starts: date
    ends: date
    reminders: tuple[datetime, ...]
    opens_at: datetime
    closes_at: datetime
    outcomes_due: datetime
    escalates_at: datetime | None = None


class ClassMoved(Event):
    """更换地点: another place."""

    type: ClassVar[str] = "class.moved"
    by: str
    reason: str
    place: str


class ClassWentOnline(Event):
    """转为线上. `centralised_days` are those that were or will still be held centralised."""

    type: ClassVar[str] = "class.went_online"
    by: str
    reason: str
    mode: Mode
    centralised_days: int


class ClassMerged(Event):
    """并班: the trainees of this class go on in another one; this one is over."""

    type: ClassVar[str] = "class.merged"
    by: str
    reason: str
    into: str


class ClassSplit(Event):
    """分班: the named trainees go on in another class."""

    type: ClassVar[str] = "class.split"
    by: str
    reason: str
    into: str
    trainees: tuple[str, ...]


class ClassCancelled(Event):
    """取消: the class will not be held, or not to its end. Its trainees are free for another class."""

    type: ClassVar[str] = "class.cancelled"
    by: str
    reason: str


class ChangeTold(Event):
    """Every trainee was reached after the changes up to `revision`; `left` of them could not follow."""

    type: ClassVar[str] = "class.change_told"
    revision: int
    left: int = 0


class CapacityChanged(Event):
    """The class has room for more or fewer."""

    type: ClassVar[str] = "class.capacity_changed"
    by: str
    capacity: int


class TimetableSet(Event):
    """课表: which sessions are held, with their units. It replaces the one before."""

    type: ClassVar[str] = "class.timetable_set"
    by: str
    sessions: tuple[Session, ...]


class DutiesRecorded(Event):
    """Hours and duties of the staff (N12). They replace those that were recorded before."""

    type: ClassVar[str] = "class.duties_recorded"
    by: str
    duties: tuple[StaffDuty, ...]


EVENTS = EventCatalogue(
    ClassPlanned,
    ClassAnnounced,
    ClassReminderSent,
    RegistrationOpened,
    CheckInConfirmed,
    AbsencesRecorded,
    ClassClosed,
    OutcomesOverdue,
    OutcomesEscalated,
    ClassReported,
    ClassPostponed,
    ClassMoved,
    ClassWentOnline,
    ClassMerged,
    ClassSplit,
    ClassCancelled,
    ChangeTold,
    CapacityChanged,
    TimetableSet,
    DutiesRecorded,
)


# -------------------------------------------------------------------------------------------------- commands


class PlanClass(Command):
    """Plan a class for one project type; both dates count as training days."""

    name: ClassVar[str] = "plan"
    host: Code
    project_type: Code
    starts: date
    ends: date
    place: Text
    mode: Mode = "centralised"
    capacity: Capacity


class Announce(Command):
    """Announce time and place."""

    name: ClassVar[str] = "announce"


class ConfirmCheckIn(Command):
    """Close and confirm the check-in list."""

    name: ClassVar[str] = "confirm-check-in"


class RecordAbsences(Command):
    """The system has reached every trainee of the list."""

    name: ClassVar[str] = "record-absences"


class Report(Command):
    """All outcomes are in."""

    name: ClassVar[str] = "report"


class PassClassDeadline(Command):
    """The class's timer fired."""

    name: ClassVar[str] = "pass-deadline"


class Postpone(Command):
    """Hold the class on other dates (延期)."""

    name: ClassVar[str] = "postpone"
    starts: date
    ends: date
    reason: Text


class MovePlace(Command):
    """Hold the class at another place (更换地点)."""

    name: ClassVar[str] = "move"
    place: Text
    reason: Text


class GoOnline(Command):
    """Hold the class, or the rest of it, online (转为线上). `centralised_days` are those that are still centralised."""

    name: ClassVar[str] = "go-online"
    mode: Literal["online", "mixed"] = "online"
    centralised_days: Annotated[int, Field(ge=0, le=366)] = 0
    reason: Text


class Merge(Command):
    """Merge the class into another one of the same host and project type (并班)."""

    name: ClassVar[str] = "merge"
    into: ClassReference
    reason: Text


class Split(Command):
    """Let some of the trainees go on in another class of the same host and project type (分班)."""

    name: ClassVar[str] = "split"
    into: ClassReference
    trainees: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=80)], ...], Field(min_length=1, max_length=MAX_MOVED)
    ]
    reason: Text


class Cancel(Command):
    """Cancel the class (取消)."""

    name: ClassVar[str] = "cancel"
    reason: Text


class RecordChangeTold(Command):
    """The system has reached the trainees after a change."""

    name: ClassVar[str] = "record-change-told"
    revision: int


class ChangeCapacity(Command):
    """Give the class more or fewer places."""

    name: ClassVar[str] = "change-capacity"
    capacity: Capacity


class SetTimetable(Command):
    """Set which sessions are held (课表); it replaces the one before. `on_holidays` allows sessions on holidays."""

    name: ClassVar[str] = "set-timetable"
    sessions: Annotated[tuple[Session, ...], Field(min_length=1, max_length=MAX_SESSIONS)]
    on_holidays: bool = False


class RecordDuties(Command):
    """Record hours and duties of the staff (N12); they replace those recorded before."""

    name: ClassVar[str] = "record-duties"
    duties: Annotated[tuple[StaffDuty, ...], Field(min_length=1, max_length=MAX_DUTIES)]


COMMANDS = CommandCatalogue(
    PlanClass,
    Announce,
    ConfirmCheckIn,
    RecordAbsences,
    Report,
    PassClassDeadline,
    Postpone,
    MovePlace,
    GoOnline,
    Merge,
    Split,
    Cancel,
    RecordChangeTold,
    ChangeCapacity,
    SetTimetable,
    RecordDuties,
)
