"""Releasing parked events: another try, after what was wrong with them or with their view has been mended.

A parked event blocks the rest of its stream, so a stream is released as a whole: its parked events are applied in their
order from the first one on, and what still cannot be applied is parked again with the reason of today. Nothing is ever
passed over: a stream whose first parked event fails again stays as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.types import RecordedEvent
from projections import batch
from projections.advance import ROW_REFUSED, apply_singly
from projections.builds import definition, live_definition
from projections.database import SCHEMA, AnyConnection
from projections.newest import read_event

RELEASE_EVENTS: Final = 1_000
"""So many events of a stream are applied at once."""

MAX_STREAMS: Final = 10_000
"""One call releases no more streams than this; the next call goes on."""

RELEASE_LOCK_TIMEOUT_S: Final = 30

_STREAM_OF: Final = "SELECT stream FROM parked WHERE book = $1 AND sequence = $2"
_STREAMS: Final = """
SELECT book, stream FROM parked WHERE $1::text IS NULL OR book = $1
GROUP BY book, stream ORDER BY book, min(sequence) LIMIT $2
"""
_STILL_PARKED: Final = "SELECT count(*) FROM parked WHERE book = $1 AND stream = $2"
# Nobody moves the live views while this row is locked; a batch under way is waited for.
_HOLD: Final = "SELECT token FROM projection.lease FOR UPDATE"
_TAKE_OUT: Final = """
WITH first AS (
    SELECT sequence FROM parked WHERE book = $1 AND stream = $2 ORDER BY sequence LIMIT $3
), gone AS (
    DELETE FROM parked p USING first f WHERE p.book = $1 AND p.sequence = f.sequence RETURNING p.sequence
)
SELECT e.body FROM ledger.events e JOIN gone USING (sequence) WHERE e.book = $1 ORDER BY e.sequence
"""


class NotParked(LookupError):
    """No such event is parked."""


class ReleaseRefused(RuntimeError):
    """The live views are those of another release, whose code this is not."""


@dataclass(frozen=True, slots=True)
class Release:
    """What became of one stream: `applied` events are in the views now, `parked` ones are not, for this reason."""

    book: str
    stream: str
    applied: int
    parked: int
    reason: str


async def release(connection: AnyConnection, book: str, sequence: int) -> Release:
    """Try the stream of one parked event again. Raises NotParked, ReleaseRefused."""
    async with connection.transaction():
        await _begin(connection)
        stream = await connection.fetchval(_STREAM_OF, book, sequence)
        if stream is None:
            raise NotParked(f"event {sequence} of {book} is not parked")
        return await _release(connection, book, stream)


async def release_all(connection: AnyConnection, book: str | None = None) -> list[Release]:
    """Try every stream with parked events again, those of one book or of all; give what became of each.

    At most MAX_STREAMS in one call. Raises ReleaseRefused.
    """
    async with connection.transaction():
        await _begin(connection)
        streams = await connection.fetch(_STREAMS, book, MAX_STREAMS)
    released = []
    for record in streams:
        async with connection.transaction():
            await _begin(connection)
            released.append(await _release(connection, record["book"], record["stream"]))
    return released


async def _begin(connection: AnyConnection) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{RELEASE_LOCK_TIMEOUT_S}s'; SET LOCAL search_path TO {SCHEMA}")
    await connection.execute(_HOLD)
    if await live_definition(connection) != definition():
        raise ReleaseRefused("the live views are those of another release: release the events with its own command")


async def _release(connection: AnyConnection, book: str, stream: str) -> Release:
    """Apply the parked events of a stream, in the caller's transaction that holds the lease's row."""
    statements = await batch.prepare(connection)
    total = 0
    parked: list[batch.Parked] = []
    while not parked:
        bodies = await connection.fetch(_TAKE_OUT, book, stream, RELEASE_EVENTS)
        events = [read_event(row["body"]) for row in bodies]
        if not events:
            break
        total += len(events)
        parked = await _apply(connection, statements, book, events)
    return Release(
        book=book,
        stream=stream,
        applied=total - len(parked),
        parked=await connection.fetchval(_STILL_PARKED, book, stream),
        reason=parked[0].reason if parked else "",
    )


async def _apply(
    connection: AnyConnection, statements: dict[str, batch.Statements], book: str, events: Sequence[RecordedEvent]
) -> list[batch.Parked]:
    # Later events of the stream may still be parked, and must not stop these: `some_parked` is False.
    try:
        async with connection.transaction():
            return await batch.apply(connection, statements, book, events, some_parked=False)
    except ROW_REFUSED:
        return await apply_singly(connection, statements, book, events, some_parked=False)
