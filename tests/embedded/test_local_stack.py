"""The local stack with its real servers: started, used, lost, killed and started again."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from embedded import local_stack
from embedded.child_processes import LOOPBACK, StackError
from embedded.local_stack import LocalStack
from embedded.postgres import EmbeddedPostgres
from embedded.temporal import find_binary
from settings import load_settings
from temporal_client import SEARCH_ATTRIBUTES

ROOT = Path(__file__).resolve().parents[2]
READY_MAXIMUM_S = 15.0
NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens there

PARENT = """
import asyncio, sys
from pathlib import Path
from embedded.child_processes import cancelled_by
from embedded.local_stack import LocalStack

async def main():
    with cancelled_by():
        async with LocalStack(Path(sys.argv[1])) as stack:
            await stack.run_child("sleeper", ["sleep", "1000"])
            print("ready", stack.database_url, flush=True)
            await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.fixture
def state(session_dir: Path) -> Iterator[Path]:
    """A state directory; pytest's own are closed to everybody else, which is a case of its own."""
    directory = Path(tempfile.mkdtemp(prefix="state-", dir=session_dir))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment without what a developer may have set for himself."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("XUNJI_") and name not in ("DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE")
    }


@pytest.fixture
def postgres_only(environ: dict[str, str], temporal_dev_server: str) -> dict[str, str]:
    """For tests that are about PostgreSQL: the session's Temporal saves them a start and a stop."""
    return environ | {"TEMPORAL_ADDRESS": temporal_dev_server}


def processes_of(state: Path) -> set[psutil.Process]:
    """Every process that has this state directory on its command line, and their children."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(state) in word for word in process.cmdline()):
                found |= {process, *process.children(recursive=True)}
    return found


async def gone(processes: set[psutil.Process]) -> None:
    """Wait until all of them have ended; a test that waits for ever has found an orphan."""
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
        await asyncio.sleep(0.05)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.asynccontextmanager
async def running_parent(state: Path, environ: dict[str, str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process of its own that keeps a stack running, and its database's address."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(state),
        stdout=asyncio.subprocess.PIPE,
        env={**environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )  # fmt: skip
    try:
        assert parent.stdout is not None
        word, _, url = (await parent.stdout.readline()).decode().strip().partition(" ")
        assert word == "ready"
        yield parent, url
    finally:
        with contextlib.suppress(ProcessLookupError):
            parent.kill()
        await parent.wait()


async def test_start_stop_and_start_again(state: Path, environ: dict[str, str]) -> None:
    async with LocalStack(state, environ=environ) as stack:
        assert stack.ready_seconds < READY_MAXIMUM_S
        settings = load_settings(state)
        assert settings.database_url.get_secret_value() == stack.application_url
        assert settings.owner_database_url() == stack.database_url
        assert settings.temporal_address == stack.temporal_address
        for url in (stack.database_url, stack.database_tcp_url):
            connection = await asyncpg.connect(url)
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            assert await connection.fetchval("SHOW fsync") == "on"
            await connection.close()
        assert mode_of(state / "secrets.env") == mode_of(state / "stack.env") == 0o600
        running = processes_of(state)
        assert len(running) > 3
    secrets = (state / "secrets.env").read_text()
    assert not any(process.is_running() for process in running)
    assert not (state / "stack.env").exists()
    assert list((state / "run").iterdir()) == []
    async with LocalStack(state, environ=environ) as stack:
        connection = await asyncpg.connect(stack.database_url)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()
        assert (state / "secrets.env").read_text() == secrets
        assert stack.peak_rss_mib > 0


async def test_a_second_start_on_the_same_state_is_refused(state: Path, postgres_only: dict[str, str]) -> None:
    async with LocalStack(state, environ=postgres_only) as stack:
        with pytest.raises(StackError, match=f"already runs.*{os.getpid()}") as refused:
            await LocalStack(state, environ=postgres_only).start()
        assert "--state" in refused.value.remedy
        connection = await asyncpg.connect(stack.database_url)
        await connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_a_killed_parent_leaves_no_orphan(
    state: Path, environ: dict[str, str], postgres_only: dict[str, str], number: signal.Signals
) -> None:
    async with running_parent(state, environ) as (parent, url):
        children: set[psutil.Process] = set()
        while not {"postgres", "temporal", "sleep"} <= {child.name() for child in children}:
            children = set(psutil.Process(parent.pid).children(recursive=True))
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int)")
        # The terminal sends a Ctrl-C to the whole group.
        os.killpg(parent.pid, number)
        await parent.wait()
        if number != signal.SIGKILL:
            assert not any(child.is_running() for child in children)
            assert not (state / "stack.env").exists()
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            await connection.close(timeout=1)
    await gone(children)
    async with LocalStack(state, environ=postgres_only) as stack:
        connection = await asyncpg.connect(stack.database_url)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()


async def test_a_start_right_after_a_kill_waits_for_what_is_still_ending(
    state: Path, postgres_only: dict[str, str]
) -> None:
    async with running_parent(state, postgres_only) as (parent, url):
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int)")
        parent.kill()
        await parent.wait()
        async with LocalStack(state, environ=postgres_only) as stack:
            again = await asyncpg.connect(stack.database_url)
            assert await again.fetchval("SELECT count(*) FROM kept") == 0
            await again.close()
        connection.terminate()


async def test_a_killed_server_and_its_lock_file_do_not_hinder(
    state: Path, postgres_only: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    async with LocalStack(state, environ=postgres_only) as stack:
        lock = state / "postgresql" / "postmaster.pid"
        words = lock.read_text()
        server = psutil.Process(int(words.splitlines()[0]))
        assert stack.supervisor.dead() == []
        server.kill()
        dead = await stack.supervisor.wait_for_death()
        assert (dead.name, dead.died) == ("postgresql", True)
    # The number in the lock file belongs to somebody else by now: the same user's, so PostgreSQL itself would stop.
    assert postgres.child is not None
    lock.write_text(words.replace(str(server.pid), str(postgres.child.process.pid), 1))
    async with LocalStack(state, environ=postgres_only) as stack:
        connection = await asyncpg.connect(stack.database_url)
        await connection.close()


async def test_temporal_can_be_lost_and_comes_back_empty(state: Path, environ: dict[str, str]) -> None:
    async with LocalStack(state, environ=environ) as stack:
        address, ui_url = stack.temporal_address, stack.temporal_ui_url
        client = await Client.connect(address)
        await client.start_workflow("Anything", id="trainee/1", task_queue="nobody")
        await stack.lose_temporal()
        assert not (state / "temporal.db").exists()
        assert stack.supervisor.dead() == []
        with socket.socket() as intruder:
            intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            intruder.bind((LOOPBACK, int(address.rpartition(":")[2])))
            intruder.listen()
            with pytest.raises(StackError, match="was taken while it was away"):
                await stack.start_temporal()
        await stack.start_temporal()
        assert (stack.temporal_address, stack.temporal_ui_url) == (address, ui_url)
        client = await Client.connect(address)
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle("trainee/1").describe()
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
        assert dict(listed.custom_attributes).items() >= SEARCH_ATTRIBUTES.items()


async def test_temporal_keeps_its_workflows_over_a_restart(state: Path, environ: dict[str, str]) -> None:
    for start in (True, False):
        async with LocalStack(state, environ=environ) as stack:
            client = await Client.connect(stack.temporal_address)
            if start:
                await client.start_workflow("Anything", id="trainee/1", task_queue="nobody")
            assert (await client.get_workflow_handle("trainee/1").describe()).id == "trainee/1"


async def test_taken_ports_are_avoided_and_said(state: Path, environ: dict[str, str]) -> None:
    said: list[str] = []
    with contextlib.ExitStack() as held:
        for port in (7233, 8233):
            listener = held.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # somebody else holds it, which is as good
                listener.bind((LOOPBACK, port))
                listener.listen()
        async with LocalStack(state, environ=environ, say=said.append) as stack:
            assert stack.temporal_address != f"{LOOPBACK}:7233"
            assert len(said) == 2
            assert said[0] == f"Port 7233 is taken; Temporal listens on {stack.temporal_address.partition(':')[2]}."
            assert said[1].startswith("Port 8233 is taken; its Web UI listens on ")


async def test_given_servers_win(
    state: Path, environ: dict[str, str], database_url: str, temporal_dev_server: str
) -> None:
    environ |= {"DATABASE_URL": database_url, "TEMPORAL_ADDRESS": temporal_dev_server}
    async with LocalStack(state, environ=environ) as stack:
        assert (stack.database_url, stack.temporal_address) == (database_url, temporal_dev_server)
        assert stack.supervisor.children == ()
        assert stack.temporal_ui_url is None
        assert stack.environment()["DATABASE_URL"] == database_url
        with pytest.raises(StackError, match="not ours to delete"):
            await stack.lose_temporal()


@pytest.mark.parametrize(
    ("given", "said", "remedy"),
    [
        ({"DATABASE_URL": f"postgresql://u@{NOWHERE}/x"}, "No PostgreSQL", "DATABASE_URL"),
        ({"DATABASE_URL": "nonsense://"}, "No PostgreSQL", "DATABASE_URL"),
        ({"TEMPORAL_ADDRESS": NOWHERE}, "No Temporal answers at 127.0.0.1:9", "TEMPORAL_ADDRESS"),
    ],
)
async def test_a_given_server_that_is_away_is_named(
    state: Path, environ: dict[str, str], given: dict[str, str], said: str, remedy: str
) -> None:
    with pytest.raises(StackError, match=said) as refused:
        await LocalStack(state, environ=environ | given).start()
    assert remedy in refused.value.remedy
    assert processes_of(state) == set()


async def test_an_unknown_namespace_is_named(state: Path, environ: dict[str, str], temporal_dev_server: str) -> None:
    environ |= {"TEMPORAL_ADDRESS": temporal_dev_server, "TEMPORAL_NAMESPACE": "elsewhere"}
    with pytest.raises(StackError, match="no namespace 'elsewhere'"):
        await LocalStack(state, environ=environ).start()


async def test_a_full_disk_is_named(state: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_stack, "DISK_FREE_MINIMUM_MIB", 10**9)
    with pytest.raises(StackError, match="MiB are free") as refused:
        await LocalStack(state, environ=environ).start()
    assert "Free some space" in refused.value.remedy


async def test_a_state_directory_that_is_a_file_is_named(state: Path, environ: dict[str, str]) -> None:
    (state / "file").touch()
    with pytest.raises(StackError, match="cannot be written"):
        await LocalStack(state / "file", environ=environ).start()


async def test_missing_binaries_are_named(
    state: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(StackError, match="PostgreSQL is not installed") as refused:
        await LocalStack(state, environ=environ).start()
    assert "make setup" in refused.value.remedy
    assert processes_of(state) == set()


async def test_lost_secrets_are_not_replaced(state: Path, postgres_only: dict[str, str]) -> None:
    async with LocalStack(state, environ=postgres_only):
        pass
    secrets = state / "secrets.env"
    lines = secrets.read_text().splitlines(keepends=True)
    secrets.write_text("".join(line for line in lines if "INDEX" not in line))
    with pytest.raises(StackError, match="lacks XUNJI_INDEX_KEY"):
        await LocalStack(state, environ=postgres_only).start()
    secrets.write_text("".join("XUNJI_POSTGRES_PASSWORD='other'\n" if "PASSWORD" in line else line for line in lines))
    with pytest.raises(StackError, match="another password"):
        await LocalStack(state, environ=postgres_only).start()
    assert processes_of(state) == set()


async def test_a_long_path_is_no_hindrance(state: Path, postgres_only: dict[str, str]) -> None:
    deep = state / ("a" * 60) / ("b" * 60)
    async with LocalStack(deep, environ=postgres_only) as stack:
        connection = await asyncpg.connect(stack.database_url)
        await connection.close()
        sockets = Path((deep / "postgresql.socket").read_text())
        assert sockets.is_dir()
    assert not sockets.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has directories that its servers may not enter")
async def test_root_may_keep_the_state_in_a_closed_directory(state: Path, postgres_only: dict[str, str]) -> None:
    state.chmod(0o700)
    async with LocalStack(state / "inner", environ=postgres_only) as stack:
        connection = await asyncpg.connect(stack.database_url)
        await connection.close()
        owners = {process.username() for process in processes_of(state) if process.name() == "postgres"}
        assert owners
        assert "root" not in owners
    assert mode_of(state) == 0o700


async def test_a_running_child_can_be_found_by_its_program(
    state: Path, environ: dict[str, str], database_url: str, temporal_dev_server: str
) -> None:
    """A child is told by its environment where everything is, and its output is kept."""
    environ |= {"DATABASE_URL": database_url, "TEMPORAL_ADDRESS": temporal_dev_server}
    program = textwrap.dedent("""
        from settings import load_settings
        settings = load_settings()
        print(settings.temporal_address, settings.api_port, settings.clock, flush=True)
    """)
    async with LocalStack(state, environ=environ | {"PYTHONPATH": str(ROOT)}) as stack:
        child = await stack.run_child("worker", [sys.executable, "-c", program], {"XUNJI_CLOCK": "demo"})
        assert await child.process.wait() == 0
        assert child.died
        log = (state / "logs" / "worker.log").read_text()
        assert log == f"{temporal_dev_server} 8080 demo\n"


def test_an_old_temporal_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "temporal"
    old.write_text("#!/bin/sh\necho 'temporal version 1.1.0 (Server 1.25.0, UI 2.30.0)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = find_binary()
    assert found is not None
    assert found != old
    old.write_text("#!/bin/sh\necho 'temporal version 1.9.9 (Server 1.99.0, UI 2.60.0)'\n")
    assert find_binary() == old


def test_a_leftover_of_the_tests_would_be_seen() -> None:
    """`processes_of` finds a process by its command line; without this the tests above could not fail."""
    marker = Path(f"/xunji-marker-{os.getpid()}")
    with subprocess.Popen(["sleep", "1000", str(marker)], stderr=subprocess.DEVNULL) as sleeper:
        sleeper.kill()
    with subprocess.Popen([sys.executable, "-c", "input()", str(marker)], stdin=subprocess.PIPE) as waiter:
        assert {process.pid for process in processes_of(marker)} == {waiter.pid}
