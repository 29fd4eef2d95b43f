"""Bring a database up to what this package needs: tables, functions, guards and roles from `ledger/sql/*.sql`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import asyncpg.pool

LOCK_CLASS: Final = 0x78756E6A
"""The class of the ledger's advisory locks; `ledger.lock_class()` says the same to SQL, and lists its members."""

SEALING_LOCK: Final = -1
MIGRATION_LOCK: Final = -2
WITNESSING_LOCK: Final = -3
ONE_BOOK: Final = "streams_one_book"
"""The unique index that keeps a stream in one book, by which its violation is known."""

LOCK_TIMEOUT_S: Final = 30
STATEMENT_TIMEOUT_S: Final = 300

_SQL_DIRECTORY: Final = Path(__file__).parent / "sql"

AnyConnection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"


async def migrate(connection: AnyConnection, local_kinds: Sequence[str] = ()) -> None:
    """Create or update the schemas `ledger` and `vault`, all or nothing; doing it again changes nothing.

    A stream lives in one book. `local_kinds` are the kinds of streams (what stands before the first slash of a name)
    that each book has for itself under the same names. Raises asyncpg's UniqueViolationError when the database holds
    another stream in two books.

    Concurrent callers wait for each other. The connecting user becomes the owner, in whose name appends run; the
    role `xunji_app` is made where that user may make roles.
    """
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
            "SET LOCAL client_min_messages = warning"
        )
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK_CLASS, MIGRATION_LOCK)
        for path in sorted(_SQL_DIRECTORY.glob("*.sql")):
            await connection.execute(path.read_text(encoding="utf-8"))
        await connection.execute("SELECT ledger.keep_one_book($1::text[])", sorted(local_kinds))
