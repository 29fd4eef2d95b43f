"""An app at an address on loopback, for what comes over the network: another process, a browser, a bare connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn

from embedded.child_processes import LOOPBACK, free_port

PAUSE_S = 0.01


class QuietServer(uvicorn.Server):
    """Leaves signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: Any, port: int | None = None, lifespan: Literal["on", "off"] = "off") -> AsyncIterator[str]:
    """The address of `app` for as long as the block runs, at a free port unless one is named.

    With `lifespan="off"` the app runs already, or has nothing to start.
    """
    port = port or free_port()
    config = uvicorn.Config(
        app, host=LOOPBACK, port=port, lifespan=lifespan, log_config=None, access_log=False, ws="none"
    )
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done(), "the server did not start"
            await asyncio.sleep(PAUSE_S)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        # Whatever the test came to: a socket left open would fail another one, whenever it is collected.
        server.should_exit = True
        await serving
