"""How far the views have come, in every process: waiting for a sequence, lag, and parked events.

Only one process projects, but many wait for it: an API that has just appended and wants to read its own write, an
activity that needs a fact at a known sequence. They all ask the checkpoint.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from projections.database import Database

WAIT_POLL_SECONDS: Final = 0.02
WAIT_TIMEOUT_SECONDS: Final = 30.0
PARKED_LIMIT: Final = 1_000
_TIMED_UUID_VERSION: Final = 7
_UUID_BITS_BELOW_TIME: Final = 80

_REACHED = "SELECT book, sequence FROM view.checkpoints"
_REACHED_IN = "SELECT coalesce((SELECT sequence FROM view.checkpoints WHERE book = $1), 0)"
# An event's id (UUID version 7) says when it was made, by the clock of the wall: `recorded_at` is the application's,
# which may run at another pace or on another date.
_STATUS = """
SELECT b.book, b.sequence AS head, coalesce(c.sequence, 0) AS reached, c.moved_at, coalesce(p.parked, 0) AS parked,
       e.id AS oldest_unread, clock_timestamp() AS asked_at
FROM ledger.books b
LEFT JOIN view.checkpoints c ON c.book = b.book
LEFT JOIN LATERAL (
    SELECT id FROM ledger.events e WHERE e.book = b.book AND e.sequence = coalesce(c.sequence, 0) + 1
) e ON b.sequence > coalesce(c.sequence, 0)
LEFT JOIN (SELECT book, count(*) AS parked FROM view.parked GROUP BY book) p ON p.book = b.book
ORDER BY b.book
"""
_PARKED = """
SELECT book, sequence, stream, version, type, reason, parked_at FROM view.parked
WHERE $1::text IS NULL OR book = $1 ORDER BY book, sequence LIMIT $2
"""


class ViewBehind(TimeoutError):
    """The views have not reached a sequence in time. They will, unless no projector runs: asking again is safe."""

    def __init__(self, book: str, sequence: int, reached: int) -> None:
        self.book = book
        self.sequence = sequence
        self.reached = reached
        super().__init__(f"the views have read {book} up to {reached}, not yet to {sequence}")


@dataclass(frozen=True, slots=True)
class BookStatus:
    """How far the views have read a book. `parked` events were met and not applied.

    `lag_seconds` is how long the oldest event that was not met has been waiting; 0 when there is none, None when its
    id does not say when it was made.
    """

    book: str
    head: int
    reached: int
    parked: int
    moved_at: datetime | None
    lag_seconds: float | None

    @property
    def lag(self) -> int:
        """Events recorded and not yet met."""
        return self.head - self.reached


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that no view holds, and why."""

    book: str
    sequence: int
    stream: str
    version: int
    type: str
    reason: str
    parked_at: datetime


async def status(database: Database) -> list[BookStatus]:
    """Every book, with lag and parked events."""
    found = []
    for record in await database.fetch(_STATUS):
        columns = dict(record)
        oldest, asked_at = columns.pop("oldest_unread"), columns.pop("asked_at")
        found.append(BookStatus(**columns, lag_seconds=0.0 if oldest is None else _age_seconds(oldest, asked_at)))
    return found


async def reached(database: Database, book: str) -> int:
    """The sequence that the views of a book rest on, as the caller's transaction sees it; 0 before the first event."""
    sequence: int = await database.fetchval(_REACHED_IN, book)
    return sequence


async def parked(database: Database, book: str | None = None) -> list[ParkedEvent]:
    """The parked events of one book or of all, oldest first, at most PARKED_LIMIT."""
    return [ParkedEvent(**record) for record in await database.fetch(_PARKED, book, PARKED_LIMIT)]


def _age_seconds(id_: UUID, at: datetime) -> float | None:
    """How long ago an id was made, to a millisecond; None when it is not of the version that says so."""
    if id_.version != _TIMED_UUID_VERSION:
        return None
    return round(max(0.0, at.timestamp() - (id_.int >> _UUID_BITS_BELOW_TIME) / 1_000), 3)


class Checkpoints:
    """Waits for sequences. However many wait in a process, one query per poll asks for all of them.

    Use one per event loop, and `close` it before its pool.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._reached: dict[str, int] = {}
        self._asked_at = 0.0
        self._poll: asyncio.Task[None] | None = None

    async def wait_for(self, book: str, sequence: int, timeout_seconds: float = WAIT_TIMEOUT_SECONDS) -> int:
        """Wait until the views have met `sequence` of `book`; give the sequence they have reached.

        A parked event counts as met: it is in no view, and `parked` says so. Raises ViewBehind after the timeout, and
        asyncpg's errors when the database is away.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._reached.get(book, 0) < sequence:
                    await self._next_poll()
        except TimeoutError:
            raise ViewBehind(book, sequence, self._reached.get(book, 0)) from None
        return self._reached.get(book, 0)

    async def _next_poll(self) -> None:
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._ask(), name="projections.checkpoints")
        # Shielded: one waiter's timeout must not take the answer from the others.
        await asyncio.shield(self._poll)

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._asked_at + WAIT_POLL_SECONDS - loop.time()))
        self._asked_at = loop.time()
        for record in await self._pool.fetch(_REACHED):
            self._reached[record["book"]] = record["sequence"]

    async def close(self) -> None:
        """End a poll under way. Nobody may wait any more."""
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
