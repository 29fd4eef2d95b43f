"""Making the views anew from the ledger, beside the live ones, and comparing two builds."""

from typing import Any, Final

import asyncpg

from ledger.store import Ledger
from projections.engine import Projector
from projections.schema import (
    LOCK_CLASS,
    REBUILD_LOCK,
    SCHEMA,
    AnyConnection,
    create_views,
)
from projections.views import ALL_VIEWS

REBUILD_SCHEMA: Final = "view_rebuild"
REBUILD_LOCK_TIMEOUT_S: Final = 30

_KEYS: Final = {view.table: view.key for view in ALL_VIEWS}


class RebuildUnderWay(RuntimeError):
    """Another process rebuilds the views at this moment."""


async def state_hash(connection: AnyConnection, table: str, schema: str = SCHEMA) -> str:
    """Hex SHA-256 over all rows of a view in the order of their keys: equal for equal rows, whoever built them.

    It costs 32 bytes of the server's memory per row. Raises KeyError for a table that is no view.
    """
    key = _KEYS[table]
    async with connection.transaction():
        # Instants are rendered in the session's time zone, which must not matter.
        await connection.execute("SET LOCAL TimeZone = 'UTC'")
        digest: str = await connection.fetchval(
            "SELECT encode(sha256(coalesce(string_agg(sha256(convert_to(to_jsonb(t)::text, 'UTF8')), ''::bytea "  # noqa: S608
            f'ORDER BY "{key}"), \'\'::bytea)), \'hex\') FROM "{schema}"."{table}" t'
        )
    return digest


async def state_hashes(connection: AnyConnection, schema: str = SCHEMA) -> dict[str, str]:
    """The state hash of every view, by table."""
    return {table: await state_hash(connection, table, schema) for table in sorted(_KEYS)}


async def rebuild(pool: "asyncpg.Pool[Any]", ledger: Ledger) -> dict[str, str]:
    """Build all views from the first event and put them in the place of the live ones; give their state hashes.

    The live views are read and kept up to date meanwhile; only the switch at the end, with the events that came in
    between, makes them wait. Parked events get another try. Raises RebuildUnderWay.
    """
    async with pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, REBUILD_LOCK):
            raise RebuildUnderWay("the views are being rebuilt by another process")
        try:
            return await _rebuild(connection, Projector(pool, ledger, REBUILD_SCHEMA))
        finally:
            await connection.execute(f"RESET search_path; SELECT pg_advisory_unlock({LOCK_CLASS}, {REBUILD_LOCK})")


async def _rebuild(connection: AnyConnection, projector: Projector) -> dict[str, str]:
    async with connection.transaction():
        await create_views(connection, REBUILD_SCHEMA)
    await connection.execute(f"SET search_path TO {REBUILD_SCHEMA}")
    await projector.project(connection)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{REBUILD_LOCK_TIMEOUT_S}s'")
        # A projector's transaction touches its checkpoint first: from here on it waits, and then finds the new one.
        await connection.execute(f"LOCK TABLE {SCHEMA}.checkpoints IN ACCESS EXCLUSIVE MODE")
        await projector.project(connection)
        hashes = await state_hashes(connection, REBUILD_SCHEMA)
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE; ALTER SCHEMA {REBUILD_SCHEMA} RENAME TO {SCHEMA}")
    return hashes
