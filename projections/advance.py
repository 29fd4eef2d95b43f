"""Applies events of the books in their order to one build of the views.

    read the next events of a book ─► [ move the checkpoint (compare-and-set) ─► apply the events ]  one transaction

The checkpoint comes first, so that whoever holds it, holds nothing else that another could wait for. Rows and
checkpoint change together or not at all, so a crash at any point neither loses an event nor applies one twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg
import structlog

from ledger.reading import events_in_order
from ledger.types import RecordedEvent
from projections import batch
from projections.database import AnyConnection, Database
from projections.lease import Lease, LeaseLost
from projections.newest import newest

BATCH_EVENTS: Final = 1_000
"""A transaction applies no more events than this, but for a single command that wrote more."""

MAX_CONFLICTS: Final = 10
LOOK_AGAIN_S: Final = 0.05
"""After so long a book that seems to lack an event is read once more before that is believed."""

ReadBook: TypeAlias = Callable[[str, int, int], Awaitable[list[RecordedEvent]]]
"""`(book, after_sequence, limit)`: the next events of a book."""

ROW_REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""The database refuses a row: an event holds what its view cannot."""

_BEHIND = """
SELECT b.book, b.sequence AS head, coalesce(c.sequence, 0) AS reached,
       EXISTS (SELECT FROM parked p WHERE p.book = b.book) AS some_parked
FROM ledger.books b LEFT JOIN checkpoints c ON c.book = b.book
WHERE b.sequence > coalesce(c.sequence, 0) AND b.detached_at IS NULL
ORDER BY b.book
"""
# The events of a detached book are not here to be applied; its rows stay as they were.
_HEADS = "SELECT book, sequence FROM ledger.books WHERE sequence > 0 AND detached_at IS NULL"
_ON_CONFLICT = """
ON CONFLICT (book) DO UPDATE SET sequence = excluded.sequence, token = excluded.token, moved_at = excluded.moved_at
WHERE c.sequence = $3
RETURNING sequence
"""
# The lease's row stays locked until the batch is committed: nobody takes the lease in the middle of one.
_MOVE_LIVE = f"""
WITH held AS MATERIALIZED (SELECT token FROM projection.lease WHERE token = $4 FOR SHARE)
INSERT INTO checkpoints AS c (book, sequence, token) SELECT $1::text, $2::bigint, token FROM held
{_ON_CONFLICT}
"""  # noqa: S608
_MOVE_BESIDE = f"INSERT INTO checkpoints AS c (book, sequence, token) VALUES ($1, $2, 0) {_ON_CONFLICT}"  # noqa: S608
_TOKEN = "SELECT token FROM projection.lease"  # noqa: S105

log = structlog.get_logger(__name__)


class CheckpointMoved(RuntimeError):
    """Somebody else has moved the checkpoint since it was read; what was applied is rolled back."""


class GapInBook(RuntimeError):
    """The ledger gave events that do not follow the checkpoint. A book is dense, so this is damage."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A book with events that the views have not met."""

    book: str
    head: int
    reached: int
    some_parked: bool


async def heads(database: Database) -> dict[str, int]:
    """The last sequence of every book that has one."""
    return {record["book"]: record["sequence"] for record in await database.fetch(_HEADS)}


class Applier:
    """Moves the build that the connection's search path names. With a lease it is the live one; without, none sees it.

    `read` gives the events; by default they are read on the same connection. May stand within a transaction of the
    caller's, which then holds every batch.
    """

    def __init__(self, connection: AnyConnection, lease: Lease | None, read: ReadBook | None = None) -> None:
        self._connection = connection
        self._lease = lease
        self._read = read or self._read_here
        self._statements: dict[str, batch.Statements] = {}

    async def project(self, until: Mapping[str, int] | None = None) -> int:
        """Apply what is recorded by now, or in each book up to `until`; give how many events.

        Raises LeaseLost, CheckpointMoved, GapInBook.
        """
        wanted = await heads(self._connection) if until is None else until
        applied = conflicts = 0
        while behind := [each for each in await self.behind() if each.reached < wanted.get(each.book, 0)]:
            for each in behind:
                try:
                    limit = BATCH_EVENTS if until is None else min(BATCH_EVENTS, until[each.book] - each.reached)
                    applied += await self.advance(each, limit)
                except CheckpointMoved:
                    conflicts += 1
                    if conflicts > MAX_CONFLICTS:
                        raise
        return applied

    async def behind(self) -> list[Behind]:
        """The books that hold more than this build has met."""
        return [Behind(**record) for record in await self._connection.fetch(_BEHIND)]

    async def advance(self, behind: Behind, limit: int = 0) -> int:
        """Apply the next batch of a book, at most `limit` events or BATCH_EVENTS; give how many events it had."""
        limit = limit or BATCH_EVENTS
        if not self._statements:
            self._statements = await batch.prepare(self._connection)
        if self._lease is not None:
            await self._lease.keep(self._connection)
        events = await self._next(behind, limit)
        if not _is_dense(behind, events):
            # A statement that was planned while a book's partition was being made sees the book's head and not its
            # events; asked again, it does.
            await asyncio.sleep(LOOK_AGAIN_S)
            events = await self._next(behind, limit)
        if not _is_dense(behind, events):
            raise GapInBook(f"{behind.book} lacks event {behind.reached + 1} or one after it, up to {behind.head}")
        try:
            async with self._connection.transaction():
                await self._move(behind, events[-1].sequence)
                parked = await batch.apply(
                    self._connection, self._statements, behind.book, events, some_parked=behind.some_parked
                )
        except ROW_REFUSED:
            async with self._connection.transaction():
                await self._move(behind, events[-1].sequence)
                parked = await apply_singly(
                    self._connection, self._statements, behind.book, events, some_parked=behind.some_parked
                )
        if self._lease is not None:
            tell(parked)
        return len(events)

    async def _next(self, behind: Behind, limit: int) -> Sequence[RecordedEvent]:
        events = await self._read(behind.book, behind.reached, limit)
        return _whole_commands(events, limit) if limit == BATCH_EVENTS else events

    async def _move(self, behind: Behind, sequence: int) -> None:
        arguments: tuple[Any, ...] = (behind.book, sequence, behind.reached)
        if self._lease is None:
            moved = await self._connection.fetchval(_MOVE_BESIDE, *arguments)
        else:
            moved = await self._connection.fetchval(_MOVE_LIVE, *arguments, self._lease.token)
        if moved is not None:
            return
        if self._lease is not None and await self._connection.fetchval(_TOKEN) != self._lease.token:
            raise LeaseLost(f"the lease with the token {self._lease.token} was taken by somebody else")
        raise CheckpointMoved(f"the checkpoint of {behind.book} is no longer {behind.reached}")

    async def _read_here(self, book: str, after_sequence: int, limit: int) -> list[RecordedEvent]:
        return [newest(event) for event in await events_in_order(self._connection, book, after_sequence, limit)]


async def apply_singly(
    connection: AnyConnection,
    statements: dict[str, batch.Statements],
    book: str,
    events: Sequence[RecordedEvent],
    *,
    some_parked: bool,
) -> list[batch.Parked]:
    """Apply events one by one, because the database refused a row of them together; park the culprit, and give it.

    Within the caller's transaction.
    """
    parked: list[batch.Parked] = []
    for event in events:
        try:
            async with connection.transaction():
                parked += await batch.apply(
                    connection, statements, book, [event], some_parked=some_parked or bool(parked)
                )
        except ROW_REFUSED as error:
            refused = batch.Parked(event, batch.database_reason(error))
            await batch.park(connection, [refused])
            parked.append(refused)
    return parked


def tell(parked: Sequence[batch.Parked]) -> None:
    """Log what the live views could not take in. A build beside them is silent: it may be thrown away."""
    for each in parked:
        log.error(
            "projections.parked",
            book=each.event.book,
            sequence=each.event.sequence,
            type=each.event.type,
            reason=each.reason,
        )


def _is_dense(behind: Behind, events: Sequence[RecordedEvent]) -> bool:
    """Whether the events follow the checkpoint one by one, and there are some, as the head says."""
    expected = range(behind.reached + 1, behind.reached + 1 + len(events))
    return bool(events) and [event.sequence for event in events] == list(expected)


def _whole_commands(events: list[RecordedEvent], limit: int) -> list[RecordedEvent]:
    """The events up to the last command that is certainly complete, so that no reader sees half of an append."""
    if len(events) < limit:
        return events
    last = events[-1].command_id
    cut = len(events)
    while cut > 0 and events[cut - 1].command_id == last:
        cut -= 1
    # A command with more events than a batch is applied in parts: better than never.
    return events[:cut] if cut else events
