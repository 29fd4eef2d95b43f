"""What every process of the domain is made of: commands go in, a decision or a refusal comes out.

`decide(state, command, context)` is pure. It answers with a `Decision` (events to append, claims that must hold at
the instant of the append, notices to send) or with a `Refusal` that carries every reason at once. Nothing in this
package reads a clock, a database or a network: the caller hands in the time and the facts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

Role = Literal["bureau", "county", "school", "host", "auditor", "system", "teacher"]
"""`teacher`: the person himself, through a signed link that serves one purpose."""


class Message(BaseModel):
    """A frozen record of the domain; an unknown field is an error, so that a misspelt one is never lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Message):
    """Something that has happened. `type` is its name on the wire; it never changes once an event was recorded.

    A new optional field with a default leaves the schema version as it is. Any other change of the fields, and any
    change of what they mean, is a new version with an upcast: see docs/events/README.md.
    """

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1


class Command(Message):
    """Something that somebody wants. `name` is the last part of its URL and the name of its Temporal Update."""

    name: ClassVar[str]


class Actor(Message):
    """Who acts: an organisation through one of its keys, or the system itself at a deadline."""

    organisation: str
    role: Role
    key: str = ""

    def __str__(self) -> str:
        return f"{self.role}:{self.organisation}" + (f":{self.key}" if self.key else "")


SYSTEM = Actor(organisation="xunji", role="system")


class Reason(Message):
    """One reason of a refusal, in the words of both languages, with the way out.

    `field` is a JSON pointer into the command (`/person/identity_number`), empty when the whole command is meant.
    `source` names the paragraph of the notice or the plan that the rule rests on.
    """

    code: str
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str
    source: str = ""
    field: str = ""


class Refusal(Message):
    """The command is not allowed. Nothing was written. `rule_version` is the plan's digest that was applied.

    `facts` are what each failed rule looked at, by its code (edge case 68); they name nobody else's case.
    """

    reasons: tuple[Reason, ...]
    rule_version: str = ""
    facts: dict[str, Any] = {}

    @property
    def code(self) -> str:
        """The first reason's code, which also names the problem."""
        return self.reasons[0].code


@dataclass(frozen=True, slots=True)
class Count:
    """A counter with a limit changes by `delta`; it never exceeds its limit and never falls below zero."""

    key: str
    delta: int


@dataclass(frozen=True, slots=True)
class Limit:
    """A counter's limit becomes `limit`; refused when more than that is in use."""

    key: str
    limit: int


@dataclass(frozen=True, slots=True)
class Take:
    """`key` belongs to `owner` from now on; refused while another owner has it."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class Release:
    """`owner` gives `key` back."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class Block:
    """The days from `start` (inclusive) to `until` (exclusive) are barred on `key`."""

    key: str
    owner: str
    start: date
    until: date


@dataclass(frozen=True, slots=True)
class Unblock:
    """`owner` lifts every block that it has on `key`."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class Clear:
    """No block on `key` may cover the day `on`."""

    key: str
    on: date


ClaimRequest = Count | Limit | Take | Release | Block | Unblock | Clear


@dataclass(frozen=True, slots=True)
class StreamEvents:
    """Events for one stream; `expected_version` is checked at the append."""

    book: str
    stream: str
    expected_version: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an organisation must be told. Its data hold references, never personal data.

    `person` is set when the text goes on to a teacher; the mail activity then looks the address up and falls back
    on the organisation when there is none.
    """

    recipient: str
    type: str
    data: dict[str, Any]
    person: UUID | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Another process that must run once the append is committed.

    `wake`: the append has changed its stream, so a workflow that runs already must read it again.
    """

    kind: str
    number: str
    campaign: str
    wake: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What the command leads to: this stream's events, other streams' first events, claims, notices and starts."""

    events: tuple[Event, ...]
    others: tuple[StreamEvents, ...] = ()
    claims: tuple[ClaimRequest, ...] = ()
    notices: tuple[Notice, ...] = ()
    starts: tuple[Start, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """Commands that a class or a campaign still owes to its trainees, by the phase they are found in.

    It is part of the state, not of a message, so that it is still owed after a crash. The trainees' command ids are
    derived from `causation`, so a repetition changes nothing. `done_by` is the process's own command that says that
    everybody was reached, with `done_body` as its fields.
    """

    command_by_phase: dict[str, str]
    causation: str
    done_by: str
    training_class: str = ""
    done_body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be seen and waited for in any process: the workflow's whole knowledge of its stream.

    `deadline` is the next instant at which something is due. `timer` is false when another process (the campaign's
    or the class's one timer for all) will see to it.
    """

    phase: str
    deadline: datetime | None
    timer: bool
    closed: bool
    summary: str
    waiting_for: str
    attributes: dict[str, str] = field(default_factory=dict)
    reach: Reach | None = None


FactsT = TypeVar("FactsT")


@dataclass(frozen=True, slots=True)
class Context(Generic[FactsT]):
    """Who acts, on which number, when, and on which facts (what a decision needs beyond its own stream)."""

    number: str
    actor: Actor
    facts: FactsT
    now: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a lifecycle: the phases in which a command is allowed, and whose step it is."""

    phases: tuple[str, ...]
    roles: tuple[Role, ...]


def steps_from(lifecycle: Mapping[type[Command], Step], phase: str) -> list[str]:
    """The names of the commands that a lifecycle allows somebody (not only the system) in a phase."""
    return [command.name for command, step in lifecycle.items() if phase in step.phases and step.roles != ("system",)]


Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""The data of a recorded event in one schema version → in the next. Pure, and total for all that were ever written."""


class Recorded(Protocol):
    """What is needed of a recorded event to read it."""

    @property
    def type(self) -> str: ...
    @property
    def schema_version(self) -> int: ...
    @property
    def data(self) -> dict[str, Any]: ...


class UnreadableEvent(ValueError):
    """A recorded event that this release cannot read. Nothing may be decided on its stream."""


class UnknownEvent(UnreadableEvent):
    """Of a type that this kind of stream does not know: a later release wrote it, or it stands in the wrong stream."""


class EventFromNewerRelease(UnreadableEvent):
    """Of a schema version that this release does not know yet."""


class EventNotUpcast(UnreadableEvent):
    """Of an older schema version: its upcast failed, or whoever read it has left the upcasts out."""


class EventCatalogue:
    """The event classes of one kind of stream, by their wire type, with the upcasts of what was written before.

    `upcasts` of a class lead from schema version 1 to its own, one by one; a class of version 1 has none. They are
    carried out where events are read (`ledger.evolution`); here is declared which they are.
    """

    def __init__(self, *classes: type[Event], upcasts: Mapping[type[Event], tuple[Upcast, ...]] | None = None) -> None:
        self._by_type = {cls.type: cls for cls in classes}
        declared = upcasts or {}
        self._upcasts = {cls.type: declared.get(cls, ()) for cls in classes}
        for cls in {*classes, *declared}:
            steps = len(self._upcasts.get(cls.type, ()))
            if steps + 1 != cls.schema_version:
                words = f"{cls.type} has schema version {cls.schema_version} and {steps} upcasts; it needs one less"
                raise TypeError(f"{words} than its version, and must be among the classes")

    def read(self, event: Recorded) -> Event:
        """Read a recorded event. Raises a subclass of UnreadableEvent, or pydantic's ValidationError."""
        cls = self._by_type.get(event.type)
        if cls is None:
            raise UnknownEvent(f"this release does not know {event.type} in such a stream")
        if event.schema_version > cls.schema_version:
            raise EventFromNewerRelease(
                f"{event.type} was written in schema version {event.schema_version}, "
                f"and this release knows up to {cls.schema_version}"
            )
        if event.schema_version < cls.schema_version:
            raise EventNotUpcast(f"{event.type} was not brought from schema version {event.schema_version} on")
        return cls.model_validate(event.data)

    def parse(self, type_: str, data: dict[str, Any]) -> Event:
        """Read data in the newest version. Raises KeyError for a type that this kind of stream does not know."""
        return self._by_type[type_].model_validate(data)

    def types(self) -> tuple[str, ...]:
        return tuple(self._by_type)

    def classes(self) -> tuple[type[Event], ...]:
        return tuple(self._by_type.values())

    def upcasts(self, type_: str) -> tuple[Upcast, ...]:
        """The upcasts of a type from version 1 on. Raises KeyError for an unknown one."""
        return self._upcasts[type_]


class CommandCatalogue:
    """The command classes of one kind of process, by name."""

    def __init__(self, *classes: type[Command]) -> None:
        self._by_name = {cls.name: cls for cls in classes}

    def parse(self, name: str, data: dict[str, Any]) -> Command:
        """Read a command. Raises KeyError for an unknown name and ValidationError for bad data."""
        return self._by_name[name].model_validate(data)

    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)
