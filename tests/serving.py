"""An app at an address on loopback, for what comes as a process of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from embedded.child_processes import free_port

PAUSE_S = 0.01


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the tests' own business.
        yield


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The address of `app`, which runs already, for as long as the block runs."""
    port = free_port()
    server = _Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, access_log=False, ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done(), "the server did not start"
        await asyncio.sleep(PAUSE_S)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving
