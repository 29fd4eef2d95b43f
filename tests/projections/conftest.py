"""A migrated database with a ledger, and a projector that a test runs by hand."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from ledger import schema as ledger_schema
from ledger.store import Ledger
from projections import schema
from projections.engine import Projector
from tests.databases import Databases


@pytest_asyncio.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A database with the schemas of the ledger and of the views."""
    async with databases.one(ledger_schema.migrate, schema.migrate) as url:
        yield url


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """A pool on a fresh database with both schemas."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=8) as pool:
        yield pool


@pytest_asyncio.fixture
async def ledger(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Ledger]:
    async with Ledger(pool) as ledger:
        yield ledger


@pytest_asyncio.fixture
async def projector(pool: "asyncpg.Pool[Any]", ledger: Ledger) -> AsyncIterator[Projector]:
    projector = Projector(pool, ledger)
    yield projector
    await projector.close()
