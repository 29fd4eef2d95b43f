"""`bench imports`: how fast reads are while a file of 20,000 nominations is imported, against the same reads at rest.

One API process on the embedded stack, asked over loopback by this process. Rounds alternate: reads at rest, then the
same reads while a dry run of the whole file goes on. In the end the file is sent, as where workers have machines of
their own; and another one beside a worker that keeps the views and starts the workflows, which takes all that is left
of the cores. Ratios of one run count, not milliseconds of a shared machine.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx2

from api.permissions import scopes_of
from api.registry import issue_key
from benchmarks.lifecycle import plan_of_today
from domain.identity import check_digit
from domain.institution import InstitutionRegistered
from embedded.local_stack import LocalStack
from event_schemas import SCHEMAS
from ledger.store import Ledger
from migrations import migrate
from projections.plans import PlanStore
from spreadsheets.writing import XLSX, Sheet, as_xlsx, numbered

ROOT: Final = Path(__file__).parent.parent
ROWS: Final = 20_000
ROUNDS: Final = 3
READS: Final = 600
COUNTY: Final = "410181"
HEADINGS: Final = ["姓名", "身份证号", "手机号", "项目", "学段", "学科", "教龄"]
FIRST_17_DIGITS: Final = 17


def file_of(rows: int, first: int = 0) -> bytes:
    """An XLSX with that many teachers who do not exist, from one of them on."""
    lines = [HEADINGS]
    for counter in range(first, first + rows):
        seventeen = f"410181{1970 + counter % 30}03{1 + counter // 30_000:02d}{counter // 30 % 1_000:03d}"
        assert len(seventeen) == FIRST_17_DIGITS
        lines.append(["王小明", seventeen + check_digit(seventeen), f"138{counter:08d}", "gp5", "小学", "语文", "5"])
    return as_xlsx(Sheet("名单", numbered(lines)))


async def read_times(http: httpx2.AsyncClient, path: str, until: asyncio.Event | None, reads: int) -> list[float]:
    """Seconds of each read, one after the other: `reads` of them, or as many as come before `until`."""
    times: list[float] = []
    while (until is None and len(times) < reads) or (until is not None and not until.is_set()):
        began_s = time.perf_counter()
        response = await http.get(path)
        times.append(time.perf_counter() - began_s)
        assert response.status_code == 200, response.text
        await asyncio.sleep(0.002)
    return times


async def imported(
    http: httpx2.AsyncClient, campaign: str, content: bytes, done: asyncio.Event, *, dry_run: bool
) -> dict[str, Any]:
    """Send the file and wait for its end; gives how long the answer and the whole took."""
    began_s = time.perf_counter()
    try:
        response = await http.post(
            f"/v1/nomination-imports?campaign={campaign}&dry_run={str(dry_run).lower()}",
            content=content,
            headers={"Content-Type": XLSX, "Idempotency-Key": str(uuid4())},
        )
        assert response.status_code == 202, response.text
        accepted_s = time.perf_counter() - began_s
        while True:
            operation = (await http.get(response.headers["location"])).json()
            if operation["state"] in ("done", "failed"):
                break
            await asyncio.sleep(0.2)
        whole_s = time.perf_counter() - began_s
        shown = (await http.get(operation["result"])).json()
    finally:
        done.set()
    return {"accepted_s": accepted_s, "whole_s": whole_s, "succeeded": shown["succeeded"], "failed": shown["failed"]}


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


async def measure(rows: int, rounds: int) -> dict[str, Any]:
    """Run everything on a fresh stack and give the figures."""
    content = await asyncio.to_thread(file_of, rows)
    another = await asyncio.to_thread(file_of, rows, rows)
    async with AsyncExitStack() as exits:
        directory = exits.enter_context(tempfile.TemporaryDirectory(prefix="xunji-bench-"))
        stack = await exits.enter_async_context(LocalStack(Path(directory)))
        await migrate(stack.database_url)
        plan = plan_of_today()
        key = await prepared(stack.database_url, plan)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            **stack.environment(),
            "XUNJI_API_PORT": str(port),
            "XUNJI_RATE_LIMIT_PER_MINUTE": "0",
        }
        api = await asyncio.create_subprocess_exec(
            *(sys.executable, "cli.py", "api"),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        exits.push_async_callback(api.wait)
        exits.callback(api.terminate)
        headers = {"Authorization": f"Bearer {key}"}
        address = f"http://127.0.0.1:{port}"
        http = await exits.enter_async_context(httpx2.AsyncClient(base_url=address, headers=headers, timeout=600))
        await _ready(http)
        figures = [await one_round(http, plan.id, content) for _ in range(rounds)]
        sent = [await sent_round(http, plan.id, content, rows)]
        argv = [sys.executable, "worker.py"]
        worker = await stack.run_child("worker", argv, {"XUNJI_LOG_LEVEL": "warning"}, cwd=ROOT)
        sent.append(await sent_round(http, plan.id, another, rows, worker.process))
    ratios = [each["p99_ratio"] for each in figures]
    return {
        "rows": rows,
        "bytes": len(content),
        "rounds": figures,
        "p99_ratio": statistics.median(ratios),
        "sent": sent,
    }


async def one_round(http: httpx2.AsyncClient, campaign: str, content: bytes) -> dict[str, Any]:
    """Reads at rest, and while a file is judged."""
    rest = await read_times(http, "/v1/trainees", None, READS)
    running, during = await while_imported(http, campaign, content, dry_run=True)
    return compared(rest, during, running)


async def sent_round(
    http: httpx2.AsyncClient,
    campaign: str,
    content: bytes,
    rows: int,
    worker: asyncio.subprocess.Process | None = None,
) -> dict[str, Any]:
    """Reads while a file is sent, and at rest: before it, or when the worker, who has work for minutes, is gone."""
    rest = await read_times(http, "/v1/trainees", None, READS) if worker is None else []
    running, during = await while_imported(http, campaign, content, dry_run=False)
    assert running["succeeded"] == rows, running
    if worker is not None:
        worker.terminate()
        await worker.wait()
        rest = await read_times(http, "/v1/trainees", None, READS)
    return compared(rest, during, running) | {"rows_per_s": round(rows / running["whole_s"], 1)}


async def while_imported(
    http: httpx2.AsyncClient, campaign: str, content: bytes, *, dry_run: bool
) -> tuple[dict[str, Any], list[float]]:
    done = asyncio.Event()
    running, during = await asyncio.gather(
        imported(http, campaign, content, done, dry_run=dry_run), read_times(http, "/v1/trainees", done, READS)
    )
    return running, during


def compared(rest: list[float], during: list[float], running: dict[str, Any]) -> dict[str, Any]:
    return {
        "p99_ratio": round(p99(during) / p99(rest), 2),
        "median_ratio": round(statistics.median(during) / statistics.median(rest), 2),
        "worst_ms": round(max(during) * 1_000, 1),
        "p99_rest_ms": round(p99(rest) * 1_000, 1),
        "reads": len(during),
        **{name: round(value, 2) for name, value in running.items()},
    }


async def prepared(database_url: str, plan: Any) -> str:
    """A plan that is adopted, and a county's key."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool, Ledger(pool, SCHEMAS) as ledger:
        await PlanStore(pool).adopt(plan)
        county = InstitutionRegistered(
            id=COUNTY, kind="county", name_zh="测试县", parent=plan.bureau, email="c@example.invalid"
        )
        scopes = scopes_of("county")
        return (await issue_key(pool, ledger, COUNTY, "county", scopes, "bench", institution=county)).text


async def _ready(http: httpx2.AsyncClient) -> None:
    for _ in range(300):
        try:
            if (await http.get("/v1/healthz")).status_code == 200:
                return
        except httpx2.TransportError:
            await asyncio.sleep(0.1)
    raise RuntimeError("the API did not start")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    figures = asyncio.run(measure(given.rows, given.rounds))
    for each in figures["rounds"]:
        print(each)
    for where, each in zip(("sent, the workers elsewhere:", "sent, a worker beside:"), figures["sent"], strict=True):
        print(where, each)
    print(f"p99 of reads while {given.rows} rows are judged: {figures['p99_ratio']} × at rest (bound: 3)")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0
