"""The projector: reads the ledger's books in order and keeps the views up to date.

    read the next events of a book ─► [ move the checkpoint (compare-and-set) ─► apply the events ]  one transaction

The checkpoint comes first, so that whoever holds it, holds nothing else that another could wait for.
Rows and checkpoint change together or not at all, so a crash at any point neither loses an event nor applies one
twice. An advisory lock lets one process project; the others stand by, and take over when its connection ends.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import structlog

from ledger.errors import LedgerError
from ledger.store import Ledger
from ledger.types import RecordedEvent
from projections import batch
from projections.checkpoints import WAIT_TIMEOUT_SECONDS, BookStatus, Checkpoints, status
from projections.schema import LOCK_CLASS, PROJECTOR_LOCK, SCHEMA, AnyConnection

BATCH_EVENTS: Final = 1_000
"""A transaction applies no more events than this, but for a single command that wrote more."""

POLL_SECONDS: Final = 0.1
STANDBY_POLL_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
CATCH_UP_TIMEOUT_SECONDS: Final = 600.0
MAX_CONFLICTS: Final = 10
MINIMUM_POOL_SIZE: Final = 2

_BEHIND = """
SELECT b.book, b.sequence AS head, coalesce(c.sequence, 0) AS reached,
       EXISTS (SELECT FROM parked p WHERE p.book = b.book) AS some_parked
FROM ledger.books b LEFT JOIN checkpoints c ON c.book = b.book
WHERE b.sequence > coalesce(c.sequence, 0) AND b.detached_at IS NULL
ORDER BY b.book
"""
# The events of a detached book are not here to be applied; its rows stay as they were.
_HEADS = "SELECT book, sequence FROM ledger.books WHERE sequence > 0 AND detached_at IS NULL"
_MOVE = """
INSERT INTO checkpoints AS c (book, sequence) VALUES ($1, $2)
ON CONFLICT (book) DO UPDATE SET sequence = excluded.sequence, moved_at = excluded.moved_at WHERE c.sequence = $3
RETURNING sequence
"""
_ROW_REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_PASSING = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, LedgerError)
"""Failures of what is around us: tried again after a pause, for as long as the process lives."""

log = structlog.get_logger(__name__)


class CheckpointMoved(RuntimeError):
    """Somebody else has moved the checkpoint since it was read; what was applied is rolled back."""


class GapInBook(RuntimeError):
    """The ledger gave events that do not follow the checkpoint. A book is dense, so this is damage."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """A book with events that the views have not met."""

    book: str
    head: int
    reached: int
    some_parked: bool


class Projector:
    """Keeps the views of one database. It holds one of the pool's connections while it projects, and the ledger needs
    its own beside it.

    `schema` is another one than `view` only while `projections.rebuild` fills it.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger, schema: str = SCHEMA) -> None:
        if pool.get_max_size() < MINIMUM_POOL_SIZE:
            raise ValueError(f"the projector's pool needs {MINIMUM_POOL_SIZE} connections")
        self._pool = pool
        self._ledger = ledger
        self._schema = schema
        self._checkpoints = Checkpoints(pool)

    async def run(self, stop: asyncio.Event) -> None:
        """Project until `stop` is set. Failures of the database are waited out; a poison event is parked."""
        pause = FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                async with self._session() as connection:
                    if await _take_lock(connection):
                        await self._lead(connection, stop)
                await _sleep(stop, STANDBY_POLL_SECONDS)
                pause = FIRST_PAUSE_SECONDS
            except (*_PASSING, CheckpointMoved) as error:
                log.warning("projections.interrupted", error=type(error).__name__, pause_seconds=pause)
                await _sleep(stop, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await self._checkpoints.close()

    async def catch_up(self, timeout_seconds: float = CATCH_UP_TIMEOUT_SECONDS) -> int:
        """Bring the views to where the books stand now; give the number of events that this call applied.

        Where another process projects, its work is waited for, and the answer is 0. Raises ViewBehind then when it
        takes too long.
        """
        async with self._session() as connection:
            if await _take_lock(connection):
                return await self.project(connection)
            heads = {record["book"]: record["sequence"] for record in await connection.fetch(_HEADS)}
        for book, head in heads.items():
            await self._checkpoints.wait_for(book, head, timeout_seconds)
        return 0

    async def wait_for(self, book: str, sequence: int, timeout_seconds: float = WAIT_TIMEOUT_SECONDS) -> int:
        """Wait until the views have met `sequence`, whichever process projects. See `Checkpoints.wait_for`."""
        return await self._checkpoints.wait_for(book, sequence, timeout_seconds)

    async def status(self) -> list[BookStatus]:
        """Lag and parked events of every book."""
        return await status(self._pool)

    async def close(self) -> None:
        """End what `wait_for` may still have under way; needed when `run` was not used."""
        await self._checkpoints.close()

    async def project(self, connection: AnyConnection) -> int:
        """Apply all that is recorded by now; give how many events. The connection's search path names the views.

        It may stand within the caller's transaction, which then holds every batch.
        """
        statements = await batch.prepare(connection)
        heads = {record["book"]: record["sequence"] for record in await connection.fetch(_HEADS)}
        applied = conflicts = 0
        while True:
            behind = [each for each in await _behind(connection) if each.reached < heads.get(each.book, 0)]
            if not behind:
                return applied
            for each in behind:
                try:
                    applied += await self._advance(connection, statements, each)
                except CheckpointMoved:
                    # A rebuild was switched in between: what is behind now is another question.
                    conflicts += 1
                    if conflicts > MAX_CONFLICTS:
                        raise

    async def _lead(self, connection: AnyConnection, stop: asyncio.Event) -> None:
        statements = await batch.prepare(connection)
        log.info("projections.leading", schema=self._schema)
        while not stop.is_set():
            full = False
            for each in await _behind(connection):
                full |= await self._advance(connection, statements, each) >= BATCH_EVENTS
            if not full:
                await _sleep(stop, POLL_SECONDS)

    async def _advance(
        self, connection: AnyConnection, statements: dict[str, batch.Statements], behind: _Behind
    ) -> int:
        """Apply the next batch of a book; give how many events it had."""
        events = _whole_commands(await self._ledger.read_book(behind.book, behind.reached, BATCH_EVENTS), BATCH_EVENTS)
        _check_dense(behind, events)
        try:
            async with connection.transaction():
                await _move(connection, behind, events[-1].sequence)
                parked = await batch.apply(connection, statements, behind.book, events, some_parked=behind.some_parked)
        except _ROW_REFUSED:
            parked = await self._advance_singly(connection, statements, behind, events)
        for each in parked:
            log.error(
                "projections.parked",
                book=behind.book,
                sequence=each.event.sequence,
                type=each.event.type,
                reason=each.reason,
            )
        return len(events)

    async def _advance_singly(
        self,
        connection: AnyConnection,
        statements: dict[str, batch.Statements],
        behind: _Behind,
        events: Sequence[RecordedEvent],
    ) -> list[batch.Parked]:
        """Apply a batch event by event, because the database refused one of its rows, and park the culprit."""
        parked: list[batch.Parked] = []
        async with connection.transaction():
            await _move(connection, behind, events[-1].sequence)
            for event in events:
                some_parked = behind.some_parked or bool(parked)
                try:
                    async with connection.transaction():
                        parked += await batch.apply(
                            connection, statements, behind.book, [event], some_parked=some_parked
                        )
                except _ROW_REFUSED as error:
                    refused = batch.Parked(event, batch.database_reason(error))
                    await batch.park(connection, [refused])
                    parked.append(refused)
        return parked

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AnyConnection]:
        """A connection that sees the views' schema first, given back as it was, without the lock."""
        async with self._pool.acquire() as connection:
            try:
                await connection.execute("SELECT set_config('search_path', $1, false)", f'"{self._schema}"')
                yield connection
            finally:
                await _give_back(connection)


async def _give_back(connection: AnyConnection) -> None:
    # A pool may be set up not to reset its connections, and a lock left behind would stop every projector.
    try:
        await connection.execute("RESET search_path; SELECT pg_advisory_unlock_all()")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncio.CancelledError):
        connection.terminate()
        raise


async def _take_lock(connection: AnyConnection) -> bool:
    taken: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, PROJECTOR_LOCK)
    return taken


async def _behind(connection: AnyConnection) -> list[_Behind]:
    return [_Behind(**record) for record in await connection.fetch(_BEHIND)]


async def _move(connection: AnyConnection, behind: _Behind, sequence: int) -> None:
    moved = await connection.fetchval(_MOVE, behind.book, sequence, behind.reached)
    if moved is None:
        raise CheckpointMoved(f"the checkpoint of {behind.book} is no longer {behind.reached}")


def _check_dense(behind: _Behind, events: Sequence[RecordedEvent]) -> None:
    """Raise GapInBook unless the events follow the checkpoint one by one, and there are some, as the head says."""
    expected = range(behind.reached + 1, behind.reached + 1 + len(events))
    if not events or [event.sequence for event in events] != list(expected):
        raise GapInBook(f"{behind.book} lacks event {behind.reached + 1} or one after it, up to {behind.head}")


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


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
