"""The API with Temporal and a worker, as examples meet it: at an address."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.activities.conftest import office
from tests.api.conftest import database_url, stack
from tests.api.front_door import API
from tests.serving import served

__all__ = ["address", "database_url", "office", "stack"]


@pytest_asyncio.fixture
async def address(stack: API) -> AsyncIterator[str]:
    """Where the app of `stack` listens."""
    async with served(stack.app) as url:
        yield url
