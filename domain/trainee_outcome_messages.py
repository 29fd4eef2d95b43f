"""The events and commands of a nomination's end: the outcome of the training, and the follow-up task."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from domain.decision import Command, Event
from domain.fields import MAX_TEXT, Code, Days, Text


class TraineeDismissed(Event):
    """劝退 with reason and evidence; a restriction is proposed in the same append."""

    type: ClassVar[str] = "trainee.dismissed"
    by: str
    reason: str
    evidence: str
    restriction: str


class TrainingCompleted(Event):
    """结业: days by mode, hours, grade and the certificate's number.

    `cycle` is the 继续教育周期 that the days were credited to in the same append; empty in records that are older than
    that ledger.
    """

    type: ClassVar[str] = "training.completed"
    by: str
    centralised_days: int
    online_days: int
    hours: int
    grade: str
    certificate: str
    host_shortfall_days: int = 0
    cycle: str = ""


class TrainingNotCompleted(Event):
    """未结业; a restriction is proposed in the same append."""

    type: ClassVar[str] = "training.not_completed"
    by: str
    reasons: tuple[str, ...]
    restriction: str


class FollowUpAssigned(Event):
    """跟踪任务 after completion (任务驱动)."""

    type: ClassVar[str] = "follow_up.assigned"
    task: str
    due: datetime


class FollowUpSubmitted(Event):
    """The task's evidence is in."""

    type: ClassVar[str] = "follow_up.submitted"
    by: str
    evidence: str


class FollowUpReviewed(Event):
    """The host reviewed the evidence; a refused one is due again by `due`."""

    type: ClassVar[str] = "follow_up.reviewed"
    by: str
    accepted: bool
    comment: str
    due: datetime | None = None


class FollowUpOverdue(Event):
    """The task was not in on time; host and county are told, and a last date is set."""

    type: ClassVar[str] = "follow_up.overdue"
    last_date: datetime


class FollowUpLapsed(Event):
    """The last date passed as well: the case is closed with its task unmet."""

    type: ClassVar[str] = "follow_up.lapsed"


# -------------------------------------------------------------------------------------------------- commands


class Dismiss(Command):
    """劝退."""

    name: ClassVar[str] = "dismiss"
    reason: Code
    evidence: Text


class Complete(Command):
    """结业. Days are whole days by mode; hours are class hours (学时)."""

    name: ClassVar[str] = "complete"
    centralised_days: Days
    online_days: Days = 0
    hours: int = Field(ge=0, le=2_000)
    grade: Literal["excellent", "good", "pass"] = "pass"


class Fail(Command):
    """未结业."""

    name: ClassVar[str] = "fail"
    reasons: tuple[Code, ...] = Field(min_length=1, max_length=20)


class SubmitFollowUp(Command):
    """Hand in the follow-up task's evidence, by reference."""

    name: ClassVar[str] = "submit-follow-up"
    evidence: Text


class ReviewFollowUp(Command):
    """Accept the evidence, or send it back."""

    name: ClassVar[str] = "review-follow-up"
    accepted: bool
    comment: str = Field(default="", max_length=MAX_TEXT)
