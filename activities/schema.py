"""The tables of this package (`app.deliveries`), and its SQL statements, one per file in `sql/`."""

from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

SQL = Path(__file__).parent / "sql"
SETUP_LOCK = 0x78756E6A69616374
"""Held while the tables are made: CREATE … IF NOT EXISTS fails when two sessions do it at the same moment."""
LOCK_TIMEOUT_S = 30
STATEMENT_TIMEOUT_S = 300


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


async def migrate(conn: "asyncpg.Connection[Any]") -> None:
    """Make the tables of this package, or leave them as they are. Comes after the ledger's own migration."""
    async with conn.transaction():
        await conn.execute(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
            "SET LOCAL client_min_messages = warning"
        )
        await conn.execute("SELECT pg_advisory_xact_lock($1)", SETUP_LOCK)
        for path in sorted(SQL.glob("[0-9]*.sql")):
            await conn.execute(path.read_text(encoding="utf-8"))
