"""Bring a database up to what the API needs: the tables and functions of `api/sql/*.sql`."""

from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import asyncpg.pool

LOCK_CLASS: Final = 0x78756E6A
MIGRATION_LOCK: Final = -20
LOCK_TIMEOUT_S: Final = 30
STATEMENT_TIMEOUT_S: Final = 300

_SQL_DIRECTORY: Final = Path(__file__).parent / "sql"

AnyConnection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"


async def migrate(connection: AnyConnection) -> None:
    """Create or update the API's tables in the schema `app`, all or nothing; doing it again changes nothing.

    Concurrent callers wait for each other.
    """
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
            "SET LOCAL client_min_messages = warning"
        )
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK_CLASS, MIGRATION_LOCK)
        for path in sorted(_SQL_DIRECTORY.glob("*.sql")):
            await connection.execute(path.read_text(encoding="utf-8"))
