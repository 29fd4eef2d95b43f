"""A projector that runs for the length of a block, and ends with it even when the test fails within."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from projections.engine import Projector


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[None]:
    """Let the projector run until the end of the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(projector.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
