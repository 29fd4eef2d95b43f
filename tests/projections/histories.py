"""What histories to project have in common, and the way into the ledger.

The events themselves are made by what they are about: `trainee_lives`, `class_lives`, `restriction_lives`,
`campaign_lives`, `register_lives`; `world` holds one of each.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from domain.decision import Event
from ledger.store import Ledger
from ledger.types import Append, Appended, NewEvent, StreamWrite

BOOK = "2022-zhengzhou"
START = datetime(2022, 8, 25, 1, 0, tzinfo=UTC)
NAMESPACE = UUID("0193a5b0-0000-7000-8000-000000000000")
BY = "county:410181"


def day(number: int) -> datetime:
    """The same hour so many days after the start."""
    return START + timedelta(days=number)


def person(number: int) -> UUID:
    return uuid5(NAMESPACE, f"person {number}")


@dataclass(frozen=True)
class Stream:
    """A stream with all its events; each is recorded by a command of its own."""

    book: str
    name: str
    events: tuple[Event, ...]


def as_new(event: Event) -> NewEvent:
    return NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)


async def record(ledger: Ledger, streams: Sequence[Stream], *, together: int = 1) -> int:
    """Record the streams' next events in turn, so that they are mixed as in life; give the number of events.

    `together` events of a stream share a command.
    """
    versions = {stream.name: 0 for stream in streams}
    recorded = 0
    while waiting := [stream for stream in streams if versions[stream.name] < len(stream.events)]:
        for stream in waiting:
            done = versions[stream.name]
            events = stream.events[done : done + together]
            await append(ledger, stream.book, stream.name, done, *events, at=day(0) + timedelta(minutes=recorded))
            versions[stream.name] += len(events)
            recorded += len(events)
    return recorded


async def append(
    ledger: Ledger, book: str, stream: str, version: int, *events: Event | NewEvent, at: datetime = START
) -> int:
    """Append events to a stream that has `version` events; give their last sequence in the book."""
    new = tuple(event if isinstance(event, NewEvent) else as_new(event) for event in events)
    command = uuid4()
    result = await ledger.append(
        Append(
            command_id=command,
            content_hash=hashlib.sha256(command.bytes).digest(),
            actor="system:xunji",
            writes=(StreamWrite(book, stream, version, new),),
            recorded_at=at,
        )
    )
    assert isinstance(result, Appended), result
    return result.sequences[book]
