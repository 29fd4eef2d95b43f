"""Making the views anew beside the live ones: switching to them, going back, and comparing two builds.

The live views are read and kept up to date all the while. A build beside them has no side effects that would have to
be held back: a view is rows of its own schema and nothing else, and what is to be told to anybody is an outbox entry of
the append that recorded the event, once, whoever reads the event later (docs/decisions, "views have no side effects").
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from projections import builds
from projections.advance import Applier, heads
from projections.builds import Build, definition, kept_build, live_build, live_definition
from projections.database import LOCK_CLASS, REBUILD_LOCK, SCHEMA, AnyConnection, quoted
from projections.filling import Progress, fill, fillable
from projections.hashing import state_hash, state_hashes
from projections.lease import revoke
from projections.views import VIEWS_BY_KIND

__all__ = ("state_hash", "state_hashes")

SWITCH_LOCK_TIMEOUT_S: Final = 30
MAX_ROUNDS: Final = 10
"""So often a build is brought up to date before its switch, while the books go on."""

NEARLY_EVENTS: Final = 1_000
"""With no more events than this left, the switch may hold up the projector for their sake."""

_REACHED: Final = "SELECT book, sequence FROM {schema}.checkpoints"
_PARKED: Final = "SELECT count(*) FROM {schema}.parked"


class RebuildUnderWay(RuntimeError):
    """Another process rebuilds the views at this moment."""


class RollbackRefused(RuntimeError):
    """The build that is kept has the views of another release."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A build that is live now, with the state hash of every view. `events` were read, at so many a second.

    `replaced` is the build that was live before and is kept. `hashed_at` is how far each book had been read.
    """

    build: int
    replaced: int
    versions: str
    events: int
    events_per_second: int
    parked: int
    hashes: dict[str, str]
    hashed_at: dict[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The live build beside one made anew, both of which have read every book up to `compared_at`.

    `hashes` has the live view's hash and the other's, by table.
    """

    live: int
    compared_at: dict[str, int]
    hashes: dict[str, tuple[str, str]]
    parked: tuple[int, int]

    @property
    def differing(self) -> list[str]:
        """The views that differ; none when the builds are equal."""
        return [table for table, (live, anew) in self.hashes.items() if live != anew]


async def rebuild(
    connection: AnyConnection,
    progress: Progress | None = None,
    *,
    wait_s: float = 0,
    unless_current: bool = False,
) -> Rebuilt | None:
    """Build all views from the first event, put them in the place of the live ones, and keep those.

    Parked events get another try. Waits for another rebuild for `wait_s`, then raises RebuildUnderWay. With
    `unless_current`, None when the live views are those of this release by the time it is this one's turn.
    """
    async with _alone(connection, wait_s):
        if unless_current and await live_definition(connection) == definition():
            return None
        began = time.monotonic()
        build = await _build(connection, await heads(connection), progress)
        taken_s = time.monotonic() - began
        reached = await _reached(connection, build.schema)
        replaced = await live_build(connection)
        await builds.drop(connection, "kept")
        await _switch(connection, build)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return Rebuilt(
                build=build.number,
                replaced=replaced.number,
                versions=build.versions,
                events=sum(reached.values()),
                events_per_second=round(sum(reached.values()) / max(taken_s, 0.001)),
                parked=await connection.fetchval(_PARKED.format(schema=SCHEMA)),
                hashes=await state_hashes(connection),
                hashed_at=await _reached(connection, SCHEMA),
            )


async def compare(connection: AnyConnection, progress: Progress | None = None) -> Comparison:
    """Build all views anew, compare them with the live ones at the same sequences, and drop them again.

    The projector waits while the hashes are taken. Raises RebuildUnderWay.
    """
    async with _alone(connection, 0):
        build = await _build(connection, await _reached(connection, SCHEMA), progress)
        try:
            async with connection.transaction():
                await revoke(connection)
                reached = await _reached(connection, SCHEMA)
                await _catch_up(connection, build, reached)
                live, anew = await state_hashes(connection), await state_hashes(connection, build.schema)
                parked = [
                    await connection.fetchval(_PARKED.format(schema=quoted(schema)))
                    for schema in (SCHEMA, build.schema)
                ]
            return Comparison(
                live=(await live_build(connection)).number,
                compared_at=reached,
                hashes={table: (live[table], anew[table]) for table in live},
                parked=(parked[0], parked[1]),
            )
        finally:
            await builds.drop(connection, "building")


async def roll_back(connection: AnyConnection) -> Build:
    """Put the kept build back in the place of the live one, which is kept in turn; give it.

    It is brought up to date first, so nobody sees the views go back in time. Raises RebuildUnderWay, BuildUnknown when
    none is kept, and RollbackRefused when it has not the views that this release writes.
    """
    async with _alone(connection, 0):
        kept = await kept_build(connection)
        if kept.definition != definition():
            raise RollbackRefused(
                f"build {kept.number} has the views of another release ({kept.versions or 'before builds'}); "
                "go back to that release and run its own rollback"
            )
        for _ in range(MAX_ROUNDS):
            if await _catch_up(connection, kept, None) <= NEARLY_EVENTS:
                break
        await _switch(connection, kept)
        return await live_build(connection)


async def drop_kept(connection: AnyConnection) -> Build:
    """Drop the kept build; there is no way back to it then. Raises RebuildUnderWay, BuildUnknown."""
    async with _alone(connection, 0):
        kept = await kept_build(connection)
        await builds.drop(connection, "kept")
        return kept


async def _build(connection: AnyConnection, until: Mapping[str, int], progress: Progress | None) -> Build:
    """A new build beside the live one that has read each book at least up to `until`."""
    await builds.drop(connection, "building")
    build = await builds.create(connection)
    if fillable(VIEWS_BY_KIND):
        async with _within(connection, build.schema):
            await fill(connection, VIEWS_BY_KIND, until, progress)
    else:
        await _catch_up(connection, build, until)
    return build


async def _catch_up(connection: AnyConnection, build: Build, until: Mapping[str, int] | None) -> int:
    async with _within(connection, build.schema):
        return await Applier(connection, None).project(until)


async def _switch(connection: AnyConnection, incoming: Build) -> None:
    """Bring `incoming` to where the books stand and make it live. Raises asyncpg's errors when a lock is not given."""
    for _ in range(MAX_ROUNDS):
        if await _catch_up(connection, incoming, None) <= NEARLY_EVENTS:
            break
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{SWITCH_LOCK_TIMEOUT_S}s'")
        # From here on the projector waits; it finds its lease gone, and takes it anew for the new build. The second
        # lock stops one of a release that knew no lease. Neither makes a reader wait.
        await revoke(connection)
        await connection.execute(f"LOCK TABLE {SCHEMA}.checkpoints IN SHARE ROW EXCLUSIVE MODE")
        await _catch_up(connection, incoming, None)
        await builds.change_places(connection, incoming)


async def _reached(connection: AnyConnection, schema: str) -> dict[str, int]:
    records = await connection.fetch(_REACHED.format(schema=quoted(schema)))
    return {record["book"]: record["sequence"] for record in records}


@asynccontextmanager
async def _within(connection: AnyConnection, schema: str) -> AsyncIterator[None]:
    """The connection sees `schema` first, and its own search path again afterwards."""
    path = await connection.fetchval("SELECT current_setting('search_path')")
    await connection.execute("SELECT set_config('search_path', $1, false)", quoted(schema))
    try:
        yield
    finally:
        # A transaction that has failed takes its settings back by itself.
        if not connection.is_closed():
            with suppress(asyncpg.InFailedSQLTransactionError):
                await connection.execute("SELECT set_config('search_path', $1, false)", path)


@asynccontextmanager
async def _alone(connection: AnyConnection, wait_s: float) -> AsyncIterator[None]:
    """Nobody else builds views meanwhile. Raises RebuildUnderWay."""
    if wait_s:
        await connection.execute(f"SET lock_timeout = '{round(wait_s * 1_000)}ms'")
        try:
            await connection.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, REBUILD_LOCK)
        except asyncpg.LockNotAvailableError:
            raise RebuildUnderWay("the views are being rebuilt by another process") from None
        finally:
            await connection.execute("RESET lock_timeout")
    elif not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, REBUILD_LOCK):
        raise RebuildUnderWay("the views are being rebuilt by another process")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1, $2)", LOCK_CLASS, REBUILD_LOCK)
