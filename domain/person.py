"""A teacher in the `people` book (stream `person/{uuid}`): an id, and personal fields sealed under his own key.

Whatever is known of him hangs on the id: hours, restrictions, nominations. So a corrected name or number changes none
of them (edge case 12), a transfer neither (13), and of two records of one teacher the one that is kept answers for
both (74). Nothing waits here, so no workflow runs; who is asked to be forgotten during a restriction is kept, unused,
until it has ended (66), and the worker's sweep sees to that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from domain.decision import Decision, Event, EventCatalogue, Refusal, StreamEvents
from domain.numbers import PEOPLE, stream_name
from domain.refusals import refuse

Field = Literal["name", "identity_number", "telephone", "email"]
Erasure = Literal["", "held", "done"]
"""held: asked for during a restriction, so the data are only stored. done: the keys are destroyed."""

MAX_ABSORBED = 20
"""Records that one teacher can have been joined from."""


class PersonRegistered(Event):
    """First seen. `sealed` holds name, identity number, telephone and e-mail; destroying the key erases them."""

    type: ClassVar[str] = "person.registered"
    person: UUID
    sealed: str


class PersonCorrected(Event):
    """更正: `sealed` holds all fields as they are now; `fields` names those that changed, `document` says why."""

    type: ClassVar[str] = "person.corrected"
    by: str
    decided_by: str
    fields: tuple[Field, ...]
    document: str
    sealed: str


class PersonTransferred(Event):
    """调动 to another county. What was nominated before stays with the county that nominated (edge case 13)."""

    type: ClassVar[str] = "person.transferred"
    by: str
    county: str
    on: date
    document: str


class PersonAbsorbed(Event):
    """Another record of the same teacher ends in this one; both numbers find this one from now on."""

    type: ClassVar[str] = "person.absorbed"
    other: UUID
    by: str
    decided_by: str
    reasons: str


class PersonJoined(Event):
    """This record was found to be another one's double and ends in it. Its own events stay as they are."""

    type: ClassVar[str] = "person.joined"
    into: UUID
    by: str
    decided_by: str
    reasons: str


class ErasureHeld(Event):
    """To be forgotten, but barred still: the data are stored and not used until the restriction has ended."""

    type: ClassVar[str] = "person.erasure_held"
    by: str
    reason: str


class PersonErased(Event):
    """The keys are destroyed. What he counted in statistics stays counted (edge case 67)."""

    type: ClassVar[str] = "person.erased"
    by: str
    reason: str


EVENTS = EventCatalogue(
    PersonRegistered,
    PersonCorrected,
    PersonTransferred,
    PersonAbsorbed,
    PersonJoined,
    ErasureHeld,
    PersonErased,
)


@dataclass(frozen=True, slots=True)
class Person:
    """A teacher as his events have left him. `sealed` are his newest fields; `absorbed` the records joined into him."""

    id: UUID
    sealed: str
    version: int = 1
    county: str = ""
    joined_into: UUID | None = None
    absorbed: tuple[UUID, ...] = ()
    erasure: Erasure = ""
    erasure_reason: str = ""

    @property
    def records(self) -> tuple[UUID, ...]:
        """Every id under which something of him is kept, his own first."""
        return (self.id, *self.absorbed)


def fold(events: Iterable[Event]) -> Person | None:
    """The state after `events`, None before the first."""
    state: Person | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Person | None, event: Event) -> Person:
    """The next state. Never refuses."""
    if isinstance(event, PersonRegistered):
        return Person(event.person, event.sealed)
    assert state is not None, f"{event.type} before the person was registered"
    state = replace(state, version=state.version + 1)
    match event:
        case PersonCorrected():
            return replace(state, sealed=event.sealed)
        case PersonTransferred():
            return replace(state, county=event.county)
        case PersonAbsorbed():
            return replace(state, absorbed=(*state.absorbed, event.other))
        case PersonJoined():
            return replace(state, joined_into=event.into)
        case ErasureHeld():
            return replace(state, erasure="held", erasure_reason=event.reason)
        case PersonErased():
            return replace(state, erasure="done", erasure_reason=event.reason)
    raise TypeError(f"no evolution for {event.type}")


def correct(
    state: Person, sealed: str, fields: tuple[Field, ...], *, by: str, decided_by: str, document: str
) -> Decision | Refusal:
    """Put a person's fields right. His restriction and his hours hang on the id, and stay (edge case 12)."""
    refusal = _unusable(state)
    if refusal is not None:
        return refusal
    if not fields:
        return refuse("nothing_to_correct")
    corrected = PersonCorrected(by=by, decided_by=decided_by, fields=fields, document=document, sealed=sealed)
    return Decision((corrected,))


def transfer(state: Person, county: str, on: date, *, by: str, document: str) -> Decision | Refusal:
    """The person works in another county from a day on; no case moves with him."""
    refusal = _unusable(state)
    if refusal is not None:
        return refusal
    return Decision((PersonTransferred(by=by, county=county, on=on, document=document),))


def join(kept: Person, double: Person, *, by: str, decided_by: str, reasons: str) -> Decision | Refusal:
    """Two records of one teacher become one: `double` ends in `kept`, with what was joined into it before."""
    if kept.id == double.id:
        return refuse("same_person", field="/double")
    for each, field in ((kept, "/kept"), (double, "/double")):
        refusal = _unusable(each, field)
        if refusal is not None:
            return refusal
    if double.absorbed:
        # One step from any record to the one that answers for it: nobody has to follow a chain.
        return refuse("has_doubles", field="/double")
    if len(kept.absorbed) >= MAX_ABSORBED:
        return refuse("too_many_doubles", field="/kept", limit=MAX_ABSORBED)
    absorbed = PersonAbsorbed(other=double.id, by=by, decided_by=decided_by, reasons=reasons)
    joined = PersonJoined(into=kept.id, by=by, decided_by=decided_by, reasons=reasons)
    other = StreamEvents(PEOPLE, stream_name("person", str(double.id)), double.version, (joined,))
    return Decision((absorbed,), (other,))


@dataclass(frozen=True, slots=True)
class Ties:
    """What still needs the person: cases that wait for something, restrictions that have not ended."""

    open_cases: int
    restrictions: int


def erase(state: Person, ties: Ties, *, by: str, reason: str) -> Decision | Refusal:
    """Forget the person, or hold the request while he is barred (edge case 66). An open case is ended first."""
    if state.joined_into is not None:
        return refuse("record_joined", into=state.joined_into)
    if state.erasure == "done":
        return refuse("person_erased")
    if ties.open_cases:
        return refuse("case_still_open", count=ties.open_cases)
    if ties.restrictions:
        return refuse("erasure_held") if state.erasure else Decision((ErasureHeld(by=by, reason=reason),))
    return Decision((PersonErased(by=by, reason=state.erasure_reason or reason),))


def _unusable(state: Person, field: str = "") -> Refusal | None:
    if state.joined_into is not None:
        return refuse("record_joined", field=field, into=state.joined_into)
    if state.erasure:
        return refuse("person_erased" if state.erasure == "done" else "erasure_held", field=field)
    return None
