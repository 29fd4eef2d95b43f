"""`bench ledger`: the ledger beside an event store, a plain INSERT, a set-based INSERT and a bare cursor, in one run.

All of them use one embedded PostgreSQL with fsync on, in short turns one after the other; the ratios of the turns
count. What they write has the same bytes. Only the ledger gives a dense order, claims, idempotency and hashes for it.

- eventsourcing: the application recorder of `eventsourcing`, one event per call with its version, as many threads as
  served it best, its pool as large. `eventsourcing_unordered` is the same with its database functions on: faster, but
  without the lock that keeps its order, so that a reader can step over an event; the run shows whether one did.
- insert: one `INSERT` of one row in its own transaction over one prepared connection.
- unnest: one `INSERT … SELECT FROM unnest` of eight rows, from as many callers as the ledger has.
- cursor: the same book's bodies read through a server-side cursor; a view is built anew from it too (`rebuilding`).
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import rebuilding
from embedded.child_processes import Supervisor
from embedded.postgres import EmbeddedPostgres
from ledger.schema import migrate
from ledger.seal import Sealer
from ledger.store import Ledger
from ledger.types import JSON, Append, Appended, NewEvent, StreamWrite
from ledger.verify import verify

CALLERS = 64
EVENTS_PER_STREAM = 8
ROWS_PER_INSERT = 8
POOL_SIZE = 8
EVENTS_PER_FETCH = 1_000
STREAMS_PER_FILL = 500
BOOK = "2022-benchmark"
READ_BOOK = "2022-reading"
NOW = datetime(2022, 8, 25, tzinfo=UTC)
DATA: Mapping[str, JSON] = {
    "county": "410181",
    "note": "nominated by the school",
    "person": "0f9e0c2a-7d5e-4b9a-9b6e-1a2b3c4d5e6f",
    "priority": 3,
    "project_type": "gp1",
}
CONTENT_HASH = sha256(b"benchmark").digest()
CREATE_PLAIN = """
CREATE TABLE plain (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream text NOT NULL, version bigint NOT NULL,
    type text NOT NULL, recorded_at timestamptz NOT NULL, body bytea NOT NULL
)
"""
INSERT_ONE = "INSERT INTO plain (stream, version, type, recorded_at, body) VALUES ($1, $2, $3, $4, $5)"
INSERT_SET = """
INSERT INTO plain (stream, version, type, recorded_at, body)
SELECT $1, version, $2, $3, body FROM unnest($4::bigint[], $5::bytea[]) AS x (version, body)
"""
EVENT_TYPE = "trainee.nominated"
Measure = Callable[[float], Awaitable[float]]


def append_of(book: str, stream: str, version: int, events: int) -> Append:
    """An append as a worker makes it."""
    return Append(
        command_id=uuid4(),
        content_hash=CONTENT_HASH,
        actor="county:410181",
        writes=(StreamWrite(book, stream, version, tuple(NewEvent(EVENT_TYPE, DATA) for _ in range(events))),),
        recorded_at=NOW,
        reply=b"{}",
        correlation_id=stream,
    )


async def repeated(seconds: float, callers: int, call: Callable[[str, int], Awaitable[int]]) -> float:
    """Rows per second of `call(stream, version)`, which gives how many rows it has written."""
    written = 0
    ends = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal written
        while True:
            stream = f"trainee/{uuid4()}"
            version = 0
            while version < EVENTS_PER_STREAM:
                if time.perf_counter() > ends:
                    return
                rows = await call(stream, version)
                version += rows
                written += rows

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return written / (time.perf_counter() - began)


class Contest:
    """Everything that is measured, on one database."""

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger, body: bytes) -> None:
        self._pool = pool
        self._ledger = ledger
        self._body = body

    async def single64(self, seconds: float) -> float:
        """Single events with expected versions, 64 callers."""
        return await repeated(seconds, CALLERS, lambda stream, version: self._append(stream, version, 1))

    async def alone(self, seconds: float) -> float:
        """Single events, one caller."""
        return await repeated(seconds, 1, lambda stream, version: self._append(stream, version, 1))

    async def batch(self, seconds: float) -> float:
        """Eight events an append, 64 callers."""
        return await repeated(seconds, CALLERS, lambda stream, version: self._append(stream, version, ROWS_PER_INSERT))

    async def insert(self, seconds: float) -> float:
        """One plain row a transaction, one caller."""
        async with self._pool.acquire() as connection:

            async def one(stream: str, version: int) -> int:
                await connection.execute(INSERT_ONE, stream, version + 1, EVENT_TYPE, NOW, self._body)
                return 1

            return await repeated(seconds, 1, one)

    async def unnest(self, seconds: float) -> float:
        """Eight plain rows a statement, 64 callers."""
        bodies = [self._body] * ROWS_PER_INSERT

        async def eight(stream: str, version: int) -> int:
            versions = list(range(version + 1, version + 1 + ROWS_PER_INSERT))
            await self._pool.execute(INSERT_SET, stream, EVENT_TYPE, NOW, versions, bodies)
            return ROWS_PER_INSERT

        return await repeated(seconds, CALLERS, eight)

    async def _append(self, stream: str, version: int, events: int) -> int:
        result = await self._ledger.append(append_of(BOOK, stream, version, events))
        assert isinstance(result, Appended), result
        return events


async def fill(ledger: Ledger, events: int) -> None:
    """A book of `events` events to be read."""
    for start in range(0, events // EVENTS_PER_STREAM, STREAMS_PER_FILL):
        streams = range(start, min(start + STREAMS_PER_FILL, events // EVENTS_PER_STREAM))
        await ledger.append_many([append_of(READ_BOOK, f"trainee/{each}", 0, EVENTS_PER_STREAM) for each in streams])


async def read_by_cursor(pool: "asyncpg.Pool[Any]") -> float:
    """Events per second of the bare read."""
    count = 0
    began = time.perf_counter()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        query = "SELECT sequence, body FROM ledger.events WHERE book = $1 ORDER BY sequence"
        cursor = await connection.cursor(query, READ_BOOK)
        while rows := await cursor.fetch(EVENTS_PER_FETCH):
            count += len(rows)
    return count / (time.perf_counter() - began)


async def verified(pool: "asyncpg.Pool[Any]", key: Ed25519PrivateKey, events: int) -> float:
    """Events per second of the full verification of the book that is read."""
    began = time.perf_counter()
    reports = await verify(pool, key.public_key(), READ_BOOK)
    taken = time.perf_counter() - began
    assert all(report.verified for report in reports), "what was just written is right"
    return events / taken


async def measure(rounds: int, seconds: float, events: int) -> dict[str, Any]:
    """Run everything on a fresh PostgreSQL and give the figures."""
    with tempfile.TemporaryDirectory(prefix="xunji-bench-") as name:
        directory = Path(name)
        supervisor = Supervisor(directory)
        server = EmbeddedPostgres(directory / "data", secrets.token_hex(16), supervisor)
        await server.start()
        try:
            async with asyncpg.create_pool(server.url(), min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
                async with pool.acquire() as connection:
                    await migrate(connection)
                    await connection.execute(CREATE_PLAIN)
                ledger = Ledger(pool)
                try:
                    return await _contest(server, pool, ledger, directory, rounds, seconds, events)
                finally:
                    await ledger.close()
        finally:
            await server.stop()


async def _contest(
    server: EmbeddedPostgres,
    pool: "asyncpg.Pool[Any]",
    ledger: Ledger,
    directory: Path,
    rounds: int,
    seconds: float,
    events: int,
) -> dict[str, Any]:
    await ledger.append(append_of(BOOK, "trainee/first", 0, 1))
    body = await pool.fetchval("SELECT body FROM ledger.events WHERE book = $1", BOOK)
    contest = Contest(pool, ledger, body)
    measures: dict[str, Measure] = {
        "single64": contest.single64,
        "alone": contest.alone,
        "insert": contest.insert,
        "batch": contest.batch,
        "unnest": contest.unnest,
    }
    peer = None
    if importlib.util.find_spec("eventsourcing") is not None:
        peer = importlib.import_module("benchmarks.eventsourcing_peer").EventSourcing(server.tcp_url(), body)
        await peer.prepare()
        measures["eventsourcing"] = peer.ordered
        measures["eventsourcing_unordered"] = peer.unordered
    rates: dict[str, list[float]] = {name: [] for name in (*measures, "cursor", "verify", "rebuild")}
    await fill(ledger, events)
    key = Ed25519PrivateKey.generate()
    sealer = Sealer(pool, signing_key=key.private_bytes_raw(), origin="benchmark", directory=directory / "checkpoints")
    await sealer.seal_due()
    for turn in range(rounds):
        for name, measured in measures.items():
            rates[name].append(await measured(seconds))
        rates["cursor"].append(await read_by_cursor(pool))
        rates["verify"].append(await verified(pool, key, events // EVENTS_PER_STREAM * EVENTS_PER_STREAM))
        rates["rebuild"].append(
            (await rebuilding.built(server.url(), READ_BOOK, events - events % EVENTS_PER_STREAM))["per_second"]
        )
        spoken = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in rates.items())
        print(f"turn {turn + 1}: {spoken} per second", file=sys.stderr)
    size = await pool.fetchval(
        "SELECT sum(pg_total_relation_size(inhrelid)) / (SELECT sum(sequence) FROM ledger.books)"
        " FROM pg_inherits WHERE inhparent = 'ledger.events'::regclass"
    )
    found = figures(rates, len(body), float(size), rounds)
    if peer is not None:
        found["eventsourcing_settings"] = peer.settings
        found["eventsourcing_skips_an_event"] = await asyncio.to_thread(peer.skips_an_event, False)
        found["eventsourcing_unordered_skips_an_event"] = await asyncio.to_thread(peer.skips_an_event, True)
    return found | {
        "rebuild": await rebuilding.measured(server.url(), ledger, READ_BOOK, events - events % EVENTS_PER_STREAM)
    }


def figures(rates: dict[str, list[float]], body_bytes: int, bytes_per_event: float, rounds: int) -> dict[str, Any]:
    """Medians, and the medians of each turn's own ratios."""

    def ratio(ours: str, other: str) -> float | None:
        if other not in rates:
            return None
        return round(statistics.median(a / b for a, b in zip(rates[ours], rates[other], strict=True)), 2)

    return {
        "single64_vs_eventsourcing": ratio("single64", "eventsourcing"),
        "single64_vs_eventsourcing_unordered": ratio("single64", "eventsourcing_unordered"),
        "alone_vs_insert": ratio("alone", "insert"),
        "batch_vs_unnest": ratio("batch", "unnest"),
        "verify_vs_cursor": ratio("verify", "cursor"),
        "rebuild_vs_cursor": ratio("rebuild", "cursor"),
        "per_second": {name: round(statistics.median(each)) for name, each in rates.items()},
        "turns": {name: [round(rate) for rate in each] for name, each in rates.items()},
        "body_bytes": body_bytes,
        "bytes_per_event_with_indexes": round(bytes_per_event),
        "rounds": rounds,
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "system": platform.system(),
        },
    }


def main(arguments: list[str]) -> int:
    """Measure, print, and write the figures to a file if asked to."""
    parser = argparse.ArgumentParser(prog="bench ledger", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--events", type=int, default=100_000, help="in the book that is read and verified")
    options = parser.parse_args(arguments)
    result = asyncio.run(measure(options.rounds, options.seconds, options.events))
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0
