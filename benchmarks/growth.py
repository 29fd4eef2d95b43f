"""`bench growth`: does an append stay as quick, an event as small, and reading as frugal, however long a book gets?

One book grows through the sizes. At each of them, in turns of one run: single appends of one caller beside plain
INSERTs of the same bytes into a table of constant size, whose ratio is what counts; the bytes that an event takes with
its indexes; and verification and a rebuild, each in a process of its own, with the memory by which it grew.
`--plots DIRECTORY` draws it.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import rebuilding
from benchmarks.ledger import CREATE_PLAIN, EVENT_TYPE, EVENTS_PER_STREAM, INSERT_ONE, NOW, append_of
from benchmarks.plot import Line, draw
from embedded.child_processes import Supervisor
from embedded.postgres import EmbeddedPostgres
from ledger.schema import migrate
from ledger.seal import Sealer
from ledger.store import Ledger
from ledger.types import Appended
from ledger.verify import verify

BOOK = "2022-growing"
SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
STREAMS_PER_FILL = 1_000
TURNS = 5
APPENDS_PER_TURN = 400
POOL_SIZE = 4


async def grow(ledger: Ledger, start: int, size: int) -> None:
    """Append until the book has `size` events; both are multiples of EVENTS_PER_STREAM."""
    for first in range(start, size, STREAMS_PER_FILL * EVENTS_PER_STREAM):
        streams = range(first, min(first + STREAMS_PER_FILL * EVENTS_PER_STREAM, size), EVENTS_PER_STREAM)
        await ledger.append_many([append_of(BOOK, f"trainee/{each}", 0, EVENTS_PER_STREAM) for each in streams])


async def latencies(pool: "asyncpg.Pool[Any]", ledger: Ledger, label: str) -> tuple[list[float], list[float]]:
    """Seconds of single appends and of plain INSERTs, in turns, each to the end of its commit."""
    appends: list[float] = []
    inserts: list[float] = []
    body = b"x" * 515
    async with pool.acquire() as connection:
        await connection.execute("TRUNCATE plain")
        for turn in range(TURNS):
            for place in range(APPENDS_PER_TURN):
                began = time.perf_counter()
                await connection.execute(INSERT_ONE, "stream", place + 1, EVENT_TYPE, NOW, body)
                inserts.append(time.perf_counter() - began)
            for place in range(APPENDS_PER_TURN):
                stream, version = divmod(place, EVENTS_PER_STREAM)
                append = append_of(BOOK, f"trainee/{label}-{turn}-{stream}", version, 1)
                began = time.perf_counter()
                result = await ledger.append(append)
                appends.append(time.perf_counter() - began)
                assert isinstance(result, Appended), result
    return appends, inserts


async def verify_alone(url: str, public_key: str) -> dict[str, float]:
    """Verify the book in this process; give events per second and the bytes by which it grew at its peak."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(public_key)).public_key()
    connection = await asyncpg.connect(url)
    try:
        process = psutil.Process()
        before = peak = process.memory_info().rss

        def remember_peak(_: int) -> None:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)

        began = time.perf_counter()
        (report,) = await verify(connection, key, BOOK, advance=remember_peak)
        taken_s = time.perf_counter() - began
        assert report.verified, report
    finally:
        await connection.close()
    return {"per_second": report.size / taken_s, "growth_bytes": peak - before}


async def verified(url: str, signing_key: Ed25519PrivateKey) -> dict[str, float]:
    """The same in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.growth", "verify", url, signing_key.private_bytes_raw().hex(),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the verification ended with {child.returncode}; what it said is above")
    figures: dict[str, float] = json.loads(out)
    return figures


async def at_size(
    server: EmbeddedPostgres, pool: "asyncpg.Pool[Any]", ledger: Ledger, sealer: Sealer, key: Ed25519PrivateKey
) -> dict[str, float]:
    """Everything that is measured of the book as long as it is now."""
    size = await ledger.head(BOOK)
    appends, inserts = await latencies(pool, ledger, f"at-{size}")
    await sealer.seal_due()
    until = await ledger.head(BOOK)
    of_book = await pool.fetchval(
        "SELECT pg_total_relation_size(format('ledger.events_%s', number)::regclass) FROM ledger.books WHERE book = $1",
        BOOK,
    )
    of_commands = await pool.fetchval("SELECT pg_total_relation_size('ledger.commands')")
    of_streams = await pool.fetchval("SELECT pg_total_relation_size('ledger.streams')")
    checked, built = await verified(server.url(), key), await rebuilding.built(server.url(), BOOK, until)
    return {
        "events": size,
        "append_p50_us": round(statistics.median(appends) * 1e6),
        "append_p99_us": round(statistics.quantiles(appends, n=100)[98] * 1e6),
        "insert_p50_us": round(statistics.median(inserts) * 1e6),
        "append_vs_insert": round(statistics.median(appends) / statistics.median(inserts), 2),
        "bytes_per_event": round(of_book / until),
        "bytes_per_event_with_commands_and_streams": round((of_book + of_commands + of_streams) / until),
        "verify_per_second": round(checked["per_second"]),
        "verify_growth_mib": round(checked["growth_bytes"] / 2**20, 1),
        "rebuild_per_second": round(built["per_second"]),
        "rebuild_growth_mib": round(built["growth_bytes"] / 2**20, 1),
    }


async def measure(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Grow one book on a fresh PostgreSQL through the sizes."""
    with tempfile.TemporaryDirectory(prefix="xunji-bench-") as name:
        directory = Path(name)
        server = EmbeddedPostgres(directory / "data", secrets.token_hex(16), Supervisor(directory))
        await server.start()
        try:
            async with asyncpg.create_pool(server.url(), min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
                async with pool.acquire() as connection:
                    await migrate(connection)
                    await connection.execute(CREATE_PLAIN)
                key = Ed25519PrivateKey.generate()
                sealer = Sealer(pool, signing_key=key.private_bytes_raw(), origin="benchmark", directory=directory)
                steps: list[dict[str, float]] = []
                async with Ledger(pool) as ledger:
                    start = 0
                    for size in sizes:
                        await grow(ledger, start, size)
                        start = size
                        steps.append(await at_size(server, pool, ledger, sealer, key))
                        print(json.dumps(steps[-1]), file=sys.stderr)
        finally:
            await server.stop()
    machine = {"cores": os.cpu_count(), "processor": platform.processor(), "python": platform.python_version()}
    return {"steps": steps, "machine": machine}


def plots(steps: list[dict[str, float]], directory: Path) -> None:
    """Draw the figures over the length of the book."""

    def line(label: str, key: str) -> Line:
        return Line(label, [(step["events"], step[key]) for step in steps])

    for name, title, lines in (
        (
            "ledger-latency",
            "One append of one caller, µs",
            [line("append, median", "append_p50_us"), line("append, p99", "append_p99_us"),
             line("plain INSERT, median", "insert_p50_us")],
        ),
        (
            "ledger-bytes",
            "Bytes per event, indexes included",
            [line("events", "bytes_per_event"),
             line("with commands and streams", "bytes_per_event_with_commands_and_streams")],
        ),
        (
            "ledger-memory",
            "Memory by which a process grows, MiB",
            [line("verify", "verify_growth_mib"), line("rebuild of a simple view", "rebuild_growth_mib")],
        ),
    ):  # fmt: skip
        (directory / f"{name}.svg").write_text(draw(title, "events in the book", lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Measure, print, draw, and write the figures to a file if asked to."""
    parser = argparse.ArgumentParser(prog="bench growth", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plots", type=Path, help="draw the figures into this directory")
    parser.add_argument("--sizes", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    options = parser.parse_args(arguments)
    result = asyncio.run(measure(options.sizes))
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.plots:
        plots(result["steps"], options.plots)
    return 0


if __name__ == "__main__" and sys.argv[1] == "verify":
    print(json.dumps(asyncio.run(verify_alone(*sys.argv[2:]))))
