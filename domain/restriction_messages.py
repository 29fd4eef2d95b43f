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


class ObjectionFiled(Event):
    """异议 by or for the teacher; `statement` is a reference to the paper, not its text."""

    type: ClassVar[str] = "restriction.objected"
    by: str
    statement: str


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


class PassRestrictionDeadline(Command):
    """The process's own timer fired."""

    name: ClassVar[str] = "pass-deadline"


COMMANDS = CommandCatalogue(Record, Serve, Object, Impose, Drop, PassRestrictionDeadline)
