"""The events and commands of one nomination (stream `trainee/{number}`), in the order of a lifecycle."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain import fields
from domain.decision import Command, CommandCatalogue, Event, EventCatalogue, Message
from domain.history import Grounds
from domain.trainee_class_messages import ChangeClass, ClassChanged, FollowClass, PlaceLost
from domain.trainee_correction_messages import COMMANDS_BESIDE, EVENTS_BESIDE
from domain.trainee_outcome_messages import (
    Complete,
    Dismiss,
    Fail,
    FollowUpAssigned,
    FollowUpLapsed,
    FollowUpOverdue,
    FollowUpReviewed,
    FollowUpSubmitted,
    ReviewFollowUp,
    SubmitFollowUp,
    TraineeDismissed,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_review_messages import ChangeSchool, IdentityReviewed, ReviewIdentity, SchoolChanged
from domain.trainee_seat_messages import COMMAND_CLASSES, EVENT_CLASSES

MAX_TEXT = fields.MAX_TEXT
Code = fields.Code
Text = fields.Text
Days = fields.Days
Level = Literal["county", "city"]
WithdrawalReason = Literal[
    "ill",
    "maternity",
    "retired",
    "deceased",
    "transferred",
    "work",
    "family",
    "never_confirmed",
    "class_changed",
]


class PersonReference(Message):
    """A teacher as the ledger knows him: a random id and personal fields sealed under his own key."""

    id: UUID
    sealed: str = Field(max_length=8_192)


class LeaveReference(Message):
    """The number of a leave within its case: 1, 2, …"""

    leave: int = Field(ge=1, le=99)


# ---------------------------------------------------------------------------------------------------- events


class TraineeNominated(Event):
    """提名: a school or a county put a teacher forward. `grounds` are its rules and facts (None: not kept).
    `identity_review` holds it until it is decided who is meant; `sealed` are then the fields as they were given.
    `substitutes` is whose seat he takes over, on `seat_line`."""

    type: ClassVar[str] = "trainee.nominated"
    campaign: str
    project_type: str
    county: str
    school: str
    person: UUID
    stage: str
    subject: str
    position: str
    rural: bool
    years_of_service: int
    submitted_at: datetime
    deadline: datetime
    grounds: Grounds | None = None
    nominated_by: Literal["school", "county", ""] = ""
    self_nominated: bool = False
    identity_review: bool = False
    sealed: str | None = None
    waiver: str = ""
    substitutes: str = ""
    seat_line: str = ""


class NominationApproved(Event):
    """审核通过 by the county or the city; the county's approval takes a seat, the city's names the host.

    `line` is the quota line of the seat when it is not the county's own.
    """

    type: ClassVar[str] = "nomination.approved"
    level: Level
    by: str
    host: str = ""
    deadline: datetime | None = None
    line: str = ""


class NominationReturned(Event):
    """退回: back to the nominating organisation for a change."""

    type: ClassVar[str] = "nomination.returned"
    level: Level
    by: str
    reason: str
    seat_freed: bool


class NominationResubmitted(Event):
    """重新提交. The first submission's time stays (edge case 45)."""

    type: ClassVar[str] = "nomination.resubmitted"
    by: str


class NominationRejected(Event):
    """不予通过, by a person or because nobody approved in time."""

    type: ClassVar[str] = "nomination.rejected"
    by: str
    reasons: tuple[str, ...]
    seat_freed: bool


class NominationWithdrawn(Event):
    """撤回 before 报到, for a coded reason; the seat is freed."""

    type: ClassVar[str] = "nomination.withdrawn"
    by: str
    reason: str
    seat_freed: bool
    place_freed: bool


class TraineeEnrolled(Event):
    """编班: placed in a class of the assigned host. `days_offered`: its centralised days, where they are too few."""

    type: ClassVar[str] = "trainee.enrolled"
    training_class: str
    host: str
    starts: date
    ends: date
    confirm_by: datetime
    revision: int = 0
    days_offered: int | None = None


class AttendanceConfirmed(Event):
    """确认参训 by or for the trainee."""

    type: ClassVar[str] = "attendance.confirmed"
    by: str


class AttendanceDeclined(Event):
    """不能参训, said before the class: no absence, the seat is freed."""

    type: ClassVar[str] = "attendance.declined"
    by: str
    reason: str


class TraineeRegistered(Event):
    """报到 at the host. `registered_at` is when the trainee arrived, which may be before it was recorded."""

    type: ClassVar[str] = "trainee.registered"
    by: str
    registered_at: datetime


class NoShowRecorded(Event):
    """未报到, after the host confirmed its check-in list. An excuse is heard until `excuse_until`."""

    type: ClassVar[str] = "trainee.no_show"
    check_in_confirmed_at: datetime
    excuse_until: datetime
    document: str = ""


class AbsenceExcused(Event):
    """特殊情况: the absence has a good reason and a document."""

    type: ClassVar[str] = "absence.excused"
    by: str
    reason: str
    document: str


class ExcuseWindowClosed(Event):
    """Nobody excused the absence in time; a restriction is proposed in the same append."""

    type: ClassVar[str] = "absence.unexcused"
    restriction: str


class LeaveRequested(Event):
    """请假."""

    type: ClassVar[str] = "leave.requested"
    leave: int
    by: str
    first_day: date
    last_day: date
    reason: str
    document: str = ""


class LeaveGranted(Event):
    """准假 by the host."""

    type: ClassVar[str] = "leave.granted"
    leave: int
    by: str


class LeaveRefused(Event):
    """不准假 by the host."""

    type: ClassVar[str] = "leave.refused"
    leave: int
    by: str
    reason: str


EVENTS = EventCatalogue(
    TraineeNominated,
    NominationApproved,
    NominationReturned,
    NominationResubmitted,
    NominationRejected,
    NominationWithdrawn,
    TraineeEnrolled,
    ClassChanged,
    PlaceLost,
    AttendanceConfirmed,
    AttendanceDeclined,
    TraineeRegistered,
    NoShowRecorded,
    AbsenceExcused,
    ExcuseWindowClosed,
    LeaveRequested,
    LeaveGranted,
    LeaveRefused,
    TraineeDismissed,
    TrainingCompleted,
    TrainingNotCompleted,
    FollowUpAssigned,
    FollowUpSubmitted,
    FollowUpReviewed,
    FollowUpOverdue,
    FollowUpLapsed,
    IdentityReviewed,
    SchoolChanged,
    *EVENTS_BESIDE,
    *EVENT_CLASSES,
)


# -------------------------------------------------------------------------------------------------- commands


class Nominate(Command):
    """Put a teacher forward for a project type. Its personal fields are sealed before the command is formed.
    `self_nominated`: he signs for the nominating organisation. `name_differs`: his number is known under another name.
    """

    name: ClassVar[str] = "nominate"
    project_type: Code
    county: Code
    school: Code
    person: PersonReference
    stage: Code
    subject: Code
    position: Code = "teacher"
    rural: bool = False
    years_of_service: int = Field(default=0, ge=0, le=60)
    self_nominated: bool = False
    name_differs: bool = False
    waiver: str = Field(default="", max_length=80)
    """The restriction whose waiver the nomination rests on, if it rests on one."""


class Approve(Command):
    """The county's or the city's yes, by the role of the sender. The city names the host; the county may take the seat
    from what it has delegated to the school."""

    name: ClassVar[str] = "approve"
    host: str = Field(default="", max_length=64)
    quota: Literal["county", "school"] = "county"


class Return(Command):
    """Send a nomination back for a change."""

    name: ClassVar[str] = "return"
    reason: Text


class Resubmit(Command):
    """Hand a returned nomination in again."""

    name: ClassVar[str] = "resubmit"


class Reject(Command):
    """The county's or the city's no, with every reason."""

    name: ClassVar[str] = "reject"
    reasons: tuple[Code, ...] = Field(min_length=1, max_length=20)


class Lapse(Command):
    """What the system does to a case that missed a date it shares with others (selection, confirmation)."""

    name: ClassVar[str] = "lapse"


class Withdraw(Command):
    """Take the nomination back before 报到."""

    name: ClassVar[str] = "withdraw"
    reason: WithdrawalReason


class Enroll(Command):
    """Place the trainee in a class."""

    name: ClassVar[str] = "enroll"
    training_class: str = Field(min_length=1, max_length=64)


class Confirm(Command):
    """The trainee will come."""

    name: ClassVar[str] = "confirm"


class Decline(Command):
    """The trainee says in time that he can't come."""

    name: ClassVar[str] = "decline"
    reason: WithdrawalReason


class Register(Command):
    """The trainee has arrived. `arrived_at` is when, if it was not just now: lists are often sent in the evening."""

    name: ClassVar[str] = "register"
    arrived_at: AwareDatetime | None = None


class RecordNoShow(Command):
    """The trainee is not on the confirmed check-in list. After a late list the host says with what it proves that."""

    name: ClassVar[str] = "record-no-show"
    document: str = Field(default="", max_length=MAX_TEXT)


class Excuse(Command):
    """The absence has a good reason."""

    name: ClassVar[str] = "excuse"
    reason: Code
    document: Text


class RequestLeave(Command):
    """Ask for days off within the training; both days count. For days that have begun a document is needed."""

    name: ClassVar[str] = "request-leave"
    first_day: date
    last_day: date
    reason: Code
    document: str = Field(default="", max_length=MAX_TEXT)


class GrantLeave(LeaveReference, Command):
    """Allow a leave."""

    name: ClassVar[str] = "grant-leave"


class RefuseLeave(LeaveReference, Command):
    """Refuse a leave."""

    name: ClassVar[str] = "refuse-leave"
    reason: Text


class PassDeadline(Command):
    """The case's own timer fired."""

    name: ClassVar[str] = "pass-deadline"


COMMANDS = CommandCatalogue(
    Nominate,
    Approve,
    Return,
    Resubmit,
    Reject,
    Lapse,
    Withdraw,
    Enroll,
    ChangeClass,
    FollowClass,
    Confirm,
    Decline,
    Register,
    RecordNoShow,
    Excuse,
    RequestLeave,
    GrantLeave,
    RefuseLeave,
    Dismiss,
    Complete,
    Fail,
    SubmitFollowUp,
    ReviewFollowUp,
    PassDeadline,
    ReviewIdentity,
    ChangeSchool,
    *COMMANDS_BESIDE,
    *COMMAND_CLASSES,
)
