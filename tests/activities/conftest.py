"""A post office per test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.activities.post_office import PostOffice, open_post_office


@pytest_asyncio.fixture
async def office(database_url: str) -> AsyncIterator[PostOffice]:
    async with open_post_office(database_url) as opened:
        yield opened
