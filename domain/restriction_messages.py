"""The events and commands of a restriction 限制参训 (stream `restriction/{number}`); internal, never published."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from domain.decision import Command, CommandCatalogue, Event, EventCatalogue
from domain.trainee_messages import Code, Text

Ground = Literal["absent", "dismissed", "not-completed"]
ServedBy = Literal["mail", "school", "in-person"]


class RestrictionProposed(Event):
    """拟限制, in one append with the trainee's event that caused it."""

    type: ClassVar[str] = "restriction.proposed"
    campaign: str
    trainee: str
    person: UUID
    county: str
    school: str
    host: str
    ground: Ground
    incident_on: date
    proposed_at: datetime
    serve_by: datetime
    class_starts: date | None = None


class ServiceOverdue(Event):
    """The notice was not served by its date; the bureau is told again."""

    type: ClassVar[str] = "restriction.service_overdue"


class RestrictionServed(Event):
    """送达 with reasons, basis and rights. The objection window starts here."""

    type: ClassVar[str] = "restriction.served"
    by: str
    via: ServedBy
    served_at: datetime
    objection_until: datetime


class ServiceFailed(Event):
    """未能送达: the notice did not reach the teacher (edge case 41). No window has run; the school hands it over."""

    type: ClassVar[str] = "restriction.service_failed"
    by: str
    via: ServedBy
    reason: str
    serve_by: datetime


class ObjectionFiled(Event):
    """异议 by or for the teacher; `statement` is a reference to the paper, not its text.

    `sealed` holds the teacher's own words, when he objected through his link, under his own key.
    """

    type: ClassVar[str] = "restriction.objected"
    by: str
    statement: str
    sealed: str = ""


class ObjectionWindowClosed(Event):
    """The window ended; somebody has to decide now."""

    type: ClassVar[str] = "restriction.window_closed"


class RestrictionImposed(Event):
    """限制决定 by a named person with reasons. `until` is stored and never recomputed by a changed rule."""

    type: ClassVar[str] = "restriction.imposed"
    by: str
    decided_by: str
    reasons: str
    starts: date
    until: date
    policy: str


class RestrictionDropped(Event):
    """不予限制 by a named person with reasons."""

    type: ClassVar[str] = "restriction.dropped"
    by: str
    decided_by: str
    reasons: str


class EarlierRestrictionRecorded(Event):
    """A restriction that was imposed before xunji, entered from its document."""

    type: ClassVar[str] = "restriction.recorded"
    by: str
    campaign: str
    person: UUID
    starts: date
    until: date
    document: str


class RestrictionWaived(Event):
    """豁免: one project in spite of the restriction, by a named person with reasons and a document (edge case 37)."""

    type: ClassVar[str] = "restriction.waived"
    by: str
    decided_by: str
    reasons: str
    document: str
    campaign: str
    project_type: str


class WaiverUsed(Event):
    """A nomination rests on the waiver; it is used up."""

    type: ClassVar[str] = "restriction.waiver_used"
    campaign: str
    project_type: str
    trainee: str


class RestrictionReversed(Event):
    """撤销限制: the decision no longer stands (edge case 38). What it barred is free again from this moment."""

    type: ClassVar[str] = "restriction.reversed"
    by: str
    decided_by: str
    reasons: str
    document: str


class RestrictionExpired(Event):
    """期满: the stored date has come."""

    type: ClassVar[str] = "restriction.expired"


EVENTS = EventCatalogue(
    RestrictionProposed,
    ServiceOverdue,
    RestrictionServed,
    ObjectionFiled,
    ObjectionWindowClosed,
    RestrictionImposed,
    RestrictionDropped,
    EarlierRestrictionRecorded,
    RestrictionExpired,
    ServiceFailed,
    RestrictionWaived,
    WaiverUsed,
    RestrictionReversed,
)


class Record(Command):
    """Enter an earlier restriction from its document."""

    name: ClassVar[str] = "record"
    person: UUID
    sealed: str = Field(max_length=8_192)
    starts: date
    until: date
    document: Text


class Serve(Command):
    """The notice reaches the teacher now, this way."""

    name: ClassVar[str] = "serve"
    via: ServedBy


class Object(Command):
    """File the teacher's objection."""

    name: ClassVar[str] = "object"
    statement: Text


class ObjectByLink(Command):
    """The teacher objects himself, through his signed link. `sealed` holds his words under his own key."""

    name: ClassVar[str] = "object-by-link"
    sealed: str = Field(min_length=1, max_length=65_536)


class Impose(Command):
    """Decide for the restriction. `decided_by` is the responsible officer's staff code, not a name."""

    name: ClassVar[str] = "impose"
    decided_by: Code
    reasons: Text


class Drop(Command):
    """Decide against the restriction."""

    name: ClassVar[str] = "drop"
    decided_by: Code
    reasons: Text


class FailService(Command):
    """The notice came back or could not be handed over; the school tries again."""

    name: ClassVar[str] = "fail-service"
    reason: Code


class RecordBounce(Command):
    """The mail that was to serve the notice has not reached the teacher. `until` is the end of the window that the
    service by it began: another service stands.
    """

    name: ClassVar[str] = "record-bounce"
    until: datetime
    reason: Code


class Waive(Command):
    """Let the teacher be nominated once, for one project type of one campaign, in spite of the restriction."""

    name: ClassVar[str] = "waive"
    decided_by: Code
    reasons: Text
    document: Text
    campaign: Code
    project_type: Code


class Reverse(Command):
    """Take the decision back. `document` says on what ground."""

    name: ClassVar[str] = "reverse"
    decided_by: Code
    reasons: Text
    document: Text


class PassRestrictionDeadline(Command):
    """The process's own timer fired."""

    name: ClassVar[str] = "pass-deadline"


COMMANDS = CommandCatalogue(
    Record,
    Serve,
    FailService,
    RecordBounce,
    Object,
    ObjectByLink,
    Impose,
    Drop,
    Waive,
    Reverse,
    PassRestrictionDeadline,
)
