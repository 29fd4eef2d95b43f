"""The tables of the views (`projections/sql/view/`) and of the adopted plans (`projections/sql/app/`).

Views can always be made again from the ledger, so they are not altered but replaced: when their definition has
changed, `migrate` drops them and the projector fills the new ones from the first event. `projections.rebuild` does the
same without a gap. Adopted plans are not derived from anything and stay.
"""

import hashlib
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import asyncpg.pool

SCHEMA: Final = "view"
LOCK_CLASS: Final = 0x76696577
"""The class of the advisory locks of this package ("view" in ASCII); its members follow."""

PROJECTOR_LOCK: Final = 1
MIGRATION_LOCK: Final = 2
REBUILD_LOCK: Final = 3
LOCK_TIMEOUT_S: Final = 30
STATEMENT_TIMEOUT_S: Final = 300

_SQL_DIRECTORY: Final = Path(__file__).parent / "sql"
_DEFINITION_MARK: Final = "definition "

AnyConnection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
Database: TypeAlias = "AnyConnection | asyncpg.Pool[Any]"
"""What a read needs: a pool, or a connection where several reads belong together."""


async def migrate(connection: AnyConnection) -> None:
    """Create the schema `view` as this version defines it, and `app.plans`; doing it again changes nothing.

    All or nothing; concurrent callers wait for each other. Views of another definition are dropped with their rows.
    """
    async with connection.transaction():
        await _wait_for_turn(connection)
        for text in _files("app"):
            await connection.execute(text)
        if await _definition(connection, SCHEMA) != definition():
            await create_views(connection, SCHEMA)


async def create_views(connection: AnyConnection, schema: str) -> None:
    """Make `schema` anew with empty views, within the caller's transaction. What stood there before is dropped."""
    name = '"' + schema.replace('"', '""') + '"'
    await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
    path = await connection.fetchval("SELECT current_setting('search_path')")
    await connection.execute("SELECT set_config('search_path', $1, true)", name)
    for text in _files("view"):
        await connection.execute(text)
    await connection.execute("SELECT set_config('search_path', $1, true)", path)
    await connection.execute(f"COMMENT ON SCHEMA {name} IS '{_DEFINITION_MARK}{definition()}'")


def definition() -> str:
    """Hex SHA-256 of the views' SQL: tells whether a database's views are those of this version."""
    return hashlib.sha256("\n".join(_files("view")).encode()).hexdigest()


async def _definition(connection: AnyConnection, schema: str) -> str:
    comment: str | None = await connection.fetchval(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", schema
    )
    return (comment or "").removeprefix(_DEFINITION_MARK)


async def _wait_for_turn(connection: AnyConnection) -> None:
    await connection.execute(
        f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
        "SET LOCAL client_min_messages = warning"
    )
    await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK_CLASS, MIGRATION_LOCK)


def _files(directory: str) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted((_SQL_DIRECTORY / directory).glob("*.sql"))]
