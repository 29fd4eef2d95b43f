"""What is read and written for a caller: PostgreSQL shows him the rows of his own organisation and no others, even
where a query forgets to say whose rows it is about (row security, `projections/sql/app/020_acting.sql`).

A read says in the same statement for whom it is, so it costs no round trip. What it says ends with its transaction:
nothing is left on a pooled connection, whatever becomes of the request. A statement that says nothing sees nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from api.permissions import Caller

STATEMENTS_KEPT: Final = 1_000
_READ: Final = "SELECT"
_ACT: Final = "SELECT app.acting_as($1, $2)"


class OwnRows:
    """The database as one caller sees it; `pool` is one of the callers' role. Methods raise asyncpg's errors."""

    def __init__(self, pool: "asyncpg.Pool[Any]", caller: Caller) -> None:
        self._pool = pool
        self._whom = (caller.role, caller.organisation)

    async def fetch(self, query: str, /, *args: object) -> list[Any]:
        """The rows that a statement gives."""
        if _is_read(query):
            return await self._pool.fetch(_acting(query, len(args)), *args, *self._whom)
        async with self.transaction() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, /, *args: object) -> Any:
        """The first row that a statement gives, None when it gives none."""
        if _is_read(query):
            return await self._pool.fetchrow(_acting(query, len(args)), *args, *self._whom)
        async with self.transaction() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, /, *args: object) -> Any:
        """The first value that a statement gives, None when it gives none."""
        row = await self.fetchrow(query, *args)
        return None if row is None else row[0]

    async def execute(self, query: str, /, *args: object) -> str:
        """Carry out a statement; its status, as `UPDATE 1`."""
        async with self.transaction() as connection:
            return await connection.execute(query, *args)

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[PoolConnectionProxy[Any]]":
        """A transaction in which everything is done for the caller."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.fetchval(_ACT, *self._whom)
            yield connection


def _is_read(query: str) -> bool:
    """Whether it can be asked within another query. One that begins with a change cannot."""
    return query.lstrip().startswith(_READ)


@lru_cache(maxsize=STATEMENTS_KEPT)
def _acting(query: str, arguments: int) -> str:
    """The query, asked for the organisation that two more arguments name.

    The condition names no column, so PostgreSQL checks it once before it reads anything ("One-Time Filter").
    """
    # The line breaks end a comment in the query's last line. Its order is kept: it is no simple subquery if it has one.
    return f"SELECT own.* FROM (\n{query}\n) AS own WHERE app.acting_as(${arguments + 1}, ${arguments + 2})"  # noqa: S608
