"""A migrated database, a pool on it, and a ledger."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ledger.archive import export_book
from ledger.schema import migrate
from ledger.seal import Sealer
from ledger.store import Ledger
from ledger.subscription import Subscription
from ledger.types import RecordedEvent
from tests.databases import Databases
from tests.ledger.appends import BOOK, fill
from tests.ledger.archives import EVENTS, KEY, ORIGIN, Pool
from tests.ledger.readers import READER

pytest.register_assert_rewrite("ledger.testing")

POOL_SIZE = 24
"""Room for the twenty callers of a race, each with a ledger and so a connection of its own."""


@pytest_asyncio.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A database with the ledger's schema and nothing else."""
    async with databases.one(migrate) as url:
        yield url


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=POOL_SIZE) as pool:
        yield pool


@pytest.fixture
def open_store(pool: "asyncpg.Pool[Any]") -> Callable[[], Ledger]:
    """What the contract of `ledger.testing` opens: each one is another process on the same database."""
    return lambda: Ledger(pool)


@pytest_asyncio.fixture
async def ledger(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Ledger]:
    async with Ledger(pool) as ledger:
        yield ledger


@pytest_asyncio.fixture
async def other_pool(databases: Databases) -> AsyncIterator["Pool[Any]"]:
    """A second, migrated and empty database."""
    async with databases.one(migrate) as url, asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
async def exported(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> Path:
    """A sealed book of twenty events, as files."""
    await fill(ledger, EVENTS)
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    await export_book(pool, BOOK, tmp_path / "export")
    return tmp_path / "export"


@pytest_asyncio.fixture
async def readers(pool: "Pool[Any]", database_url: str) -> AsyncIterator["Pool[Any]"]:
    """A pool whose sessions a test finds by their name. `pool` has migrated the database."""
    settings = {"application_name": READER}
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4, server_settings=settings) as readers:
        yield readers


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of events that each answered poll has brought, one entry per poll."""
    counts: list[int] = []
    checked = Subscription._checked

    def count(self: Subscription, head: int, bodies: Sequence[bytes]) -> list[RecordedEvent]:
        counts.append(len(bodies))
        return checked(self, head, bodies)

    monkeypatch.setattr(Subscription, "_checked", count)
    return counts
