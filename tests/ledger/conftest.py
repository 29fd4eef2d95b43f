"""A migrated database, a pool on it, and a ledger."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ledger.schema import migrate
from ledger.store import Ledger

pytest.register_assert_rewrite("ledger.testing")

POOL_SIZE = 24
"""Room for the twenty callers of a race, each with a ledger and so a connection of its own."""


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=POOL_SIZE) as pool:
        async with pool.acquire() as connection:
            await migrate(connection)
        yield pool


@pytest.fixture
def open_store(pool: "asyncpg.Pool[Any]") -> Callable[[], Ledger]:
    """What the contract of `ledger.testing` opens: each one is another process on the same database."""
    return lambda: Ledger(pool)


@pytest_asyncio.fixture
async def ledger(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Ledger]:
    async with Ledger(pool) as ledger:
        yield ledger
