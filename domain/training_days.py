"""A teacher's training days by mode in one 继续教育周期 (stream `training-days/{person}:{cycle}`, book `people`).

An entry is made in the append of the completion that it comes from, so that neither is ever without the other. An
entry is never changed: what is taken back is a second entry with negative amounts (edge case 57), and what stands is
the sum. A training counts in the cycle that its first day lies in (edge case 56), whole, whenever it ends and whatever
is corrected later. Days follow the person (edge case 13).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar
from uuid import UUID

from domain.decision import Event, EventCatalogue, StreamEvents
from domain.numbers import PEOPLE, days_number, stream_name


class DaysCredited(Event):
    """计入: what one completion adds."""

    type: ClassVar[str] = "days.credited"
    person: UUID
    cycle: str
    campaign: str
    trainee: str
    project_type: str
    starts: date
    centralised_days: int
    online_days: int
    hours: int
    certificate: str


class DaysReversed(Event):
    """冲销: an earlier entry is taken back; its amounts are not positive."""

    type: ClassVar[str] = "days.reversed"
    person: UUID
    cycle: str
    campaign: str
    trainee: str
    centralised_days: int
    online_days: int
    hours: int
    certificate: str
    reason: str
    document: str


EVENTS = EventCatalogue(DaysCredited, DaysReversed)


@dataclass(frozen=True, slots=True)
class TrainingDays:
    """What stands for a person in a cycle: the sums of all entries."""

    person: UUID
    cycle: str
    centralised_days: int = 0
    online_days: int = 0
    hours: int = 0
    entries: int = 0


def fold(events: Iterable[Event]) -> TrainingDays | None:
    """The sums after `events`, None before the first."""
    state: TrainingDays | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: TrainingDays | None, event: Event) -> TrainingDays:
    """The sums after one more entry."""
    if not isinstance(event, DaysCredited | DaysReversed):
        raise TypeError(f"no evolution for {event.type}")
    before = state or TrainingDays(event.person, event.cycle)
    return replace(
        before,
        centralised_days=before.centralised_days + event.centralised_days,
        online_days=before.online_days + event.online_days,
        hours=before.hours + event.hours,
        entries=before.entries + 1,
    )


def entries(person: UUID, cycle: str, version: int, *events: Event) -> StreamEvents:
    """Entries for the person's stream of a cycle, which has `version` of them."""
    return StreamEvents(PEOPLE, stream_name("training-days", days_number(person, cycle)), version, events)
