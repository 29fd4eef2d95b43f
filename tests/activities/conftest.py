"""A post office per test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.activities.post_office import PostOffice, open_post_office


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """A database with the schema of this release."""
    return migrated_url


@pytest_asyncio.fixture
async def office(database_url: str) -> AsyncIterator[PostOffice]:
    async with open_post_office(database_url) as opened:
        yield opened
