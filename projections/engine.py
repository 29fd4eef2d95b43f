"""The projector: reads the ledger's books in order and keeps the live views up to date.

One process projects, under the lease of `projections.lease`; the others stand by and take over. What one batch does is
in `projections.advance`. A projector leaves views of another definition than its own alone: during a release the old
workers stand by as soon as the new build is live, and the new ones until it is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
import structlog

from ledger.errors import DATABASE_LOST, LedgerError
from ledger.store import Ledger
from projections import advance
from projections.advance import Applier, CheckpointMoved, heads
from projections.builds import definition, live_definition
from projections.checkpoints import WAIT_TIMEOUT_SECONDS, BookStatus, Checkpoints, status
from projections.database import SCHEMA, AnyConnection
from projections.lease import LEASE_SECONDS, Lease, LeaseLost, take

POLL_SECONDS: Final = 0.1
STANDBY_POLL_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
CATCH_UP_TIMEOUT_SECONDS: Final = 600.0
MAX_TAKES: Final = 5
MINIMUM_POOL_SIZE: Final = 2

# A leader that is frozen within a batch would hold the lease's row for ever: the server ends its connection.
_BEGIN_SESSION = f"SET search_path TO {SCHEMA}; SET idle_in_transaction_session_timeout TO '{LEASE_SECONDS}s'"
_END_SESSION = "RESET search_path; RESET idle_in_transaction_session_timeout; SELECT pg_advisory_unlock_all()"
_PASSING = (*DATABASE_LOST, LedgerError)
"""Failures of what is around us: tried again after a pause, for as long as the process lives."""

log = structlog.get_logger(__name__)


class OtherDefinition(RuntimeError):
    """The live views are those of another release. `xunji migrate` of this one builds its own and switches to them."""


class Projector:
    """Keeps the views of one database. It holds one of the pool's connections while it projects, and the ledger needs
    its own beside it.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger) -> None:
        if pool.get_max_size() < MINIMUM_POOL_SIZE:
            raise ValueError(f"the projector's pool needs {MINIMUM_POOL_SIZE} connections")
        self._pool = pool
        self._ledger = ledger
        self._checkpoints = Checkpoints(pool)

    async def run(self, stop: asyncio.Event) -> None:
        """Project until `stop` is set. Failures of the database are waited out; a poison event is parked."""
        pause = FIRST_PAUSE_SECONDS
        waiting = False
        while not stop.is_set():
            try:
                async with self._session() as connection:
                    lease = await _take_if_ours(connection)
                    if lease is not None:
                        await self._lead(connection, lease, stop)
                waiting = False
                await _sleep(stop, STANDBY_POLL_SECONDS)
                pause = FIRST_PAUSE_SECONDS
            except LeaseLost as lost:
                # Another one leads, or the builds were switched: what is to be done now is another question.
                log.info("projections.lease_lost", reason=str(lost))
            except OtherDefinition as error:
                if not waiting:
                    log.warning("projections.standing_by", reason=str(error))
                waiting = True
                await _sleep(stop, STANDBY_POLL_SECONDS)
            except (*_PASSING, CheckpointMoved) as error:
                log.warning("projections.interrupted", error=type(error).__name__, pause_seconds=pause)
                await _sleep(stop, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await self._checkpoints.close()

    async def catch_up(self, timeout_seconds: float = CATCH_UP_TIMEOUT_SECONDS) -> int:
        """Bring the views to where the books stand now; give the number of events that this call applied.

        Where another process projects, its work is waited for, and the answer is 0. Raises ViewBehind then when it
        takes too long, and OtherDefinition when the views are not those of this release.
        """
        wanted = await heads(self._pool)
        for _ in range(MAX_TAKES):
            async with self._session() as connection:
                lease = await _take_if_ours(connection)
                if lease is None:
                    break
                with suppress(LeaseLost):
                    return await Applier(connection, lease, self._ledger.read_book).project()
        for book, head in wanted.items():
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

    async def _lead(self, connection: AnyConnection, lease: Lease, stop: asyncio.Event) -> None:
        log.info("projections.leading", token=lease.token, exclusive=lease.exclusive)
        applier = Applier(connection, lease, self._ledger.read_book)
        while not stop.is_set():
            await lease.keep(connection)
            full = False
            for each in await applier.behind():
                full |= await applier.advance(each) >= advance.BATCH_EVENTS
            if not full:
                await _sleep(stop, POLL_SECONDS)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AnyConnection]:
        """A connection that sees the live views first, given back as it was, without the lock."""
        async with self._pool.acquire() as connection:
            try:
                await connection.execute(_BEGIN_SESSION)
                yield connection
            finally:
                await _give_back(connection)


async def _take_if_ours(connection: AnyConnection) -> Lease | None:
    """The lease, None while somebody else has it. Raises OtherDefinition."""
    await _refuse_others(connection)
    lease = await take(connection)
    # Looked at again under the lease: a switch before it made another build the live one, a switch after it takes the
    # lease away.
    await _refuse_others(connection)
    return lease


async def _refuse_others(connection: AnyConnection) -> None:
    if await live_definition(connection) != definition():
        raise OtherDefinition("the live views are of another release; `xunji migrate` of this one builds its own")


async def _give_back(connection: AnyConnection) -> None:
    # A pool may be set up not to reset its connections, and a lock left behind would stop every projector.
    try:
        await connection.execute(_END_SESSION)
    except (*_PASSING, asyncio.CancelledError):
        connection.terminate()
        raise


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
