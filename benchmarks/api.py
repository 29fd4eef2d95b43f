"""`bench api`: what the HTTP API costs, as ratios in one run on one machine.

One API process and one worker on the embedded stack (PostgreSQL with fsync on, a Temporal dev server with WAL), asked
over loopback by this process.

- Reads of one trainee and of a list (a host's, 100 rows), 8 connections with one request each under way, in turns with
  the same FastAPI routes that return a constant (`benchmarks/constant_api.py` says what these are).
- A bulk: `POST /v1/classes/{number}/registrations` with 300 rows, in turns with 300 bare Updates of running workflows
  that do nothing (`floor` of `benchmarks/baselines.py`), as many at once as the API sends. `bare` is the same with a
  local activity and one INSERT per Update: what a single command costs by itself. Ours answers when all rows are
  recorded; `followed` is the time until the last of their workflows is listed in its new phase, and nothing else is
  measured until then.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx2
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from api.permissions import KeyRole, scopes_of
from api.receipts import CONCURRENT_ROWS
from api.registry import issue_key
from benchmarks.baselines import CREATE_TABLE
from benchmarks.lifecycle import COUNTY, HOST, PROJECT_TYPE, SCHOOL, plan_of_today
from benchmarks.load import request_of, requests_per_second
from domain.calendar import local_date
from domain.identity import check_digit
from domain.institution import InstitutionRegistered
from domain.plan import Plan
from embedded.child_processes import free_port
from embedded.local_stack import LocalStack
from event_schemas import SCHEMAS
from ledger.store import Ledger
from migrations import migrate
from projections.plans import PlanStore
from simulator.receivers import MailReceiver
from temporal_client import data_converter

ROOT: Final = Path(__file__).parent.parent
BULK: Final = 300
READS, LISTS = 1_500, 600
READ_ROUNDS, BULK_ROUNDS = 7, 5
CONNECTIONS: Final = 8
READ_TARGET, BULK_TARGET = 0.5, 1.4
TIMEOUT_S: Final = 600
SEEN_PAUSE_S: Final = 0.1
BEYOND_REACH: Final = {"XUNJI_RATE_LIMIT_PER_MINUTE": "1000000", "XUNJI_RATE_LIMIT_BURST": "1000000"}
"""Requests are counted as in production, but one key may ask as fast as it can."""

ATTEMPTS, SHOWN = 5, 2_000
ROLES: Final[dict[str, KeyRole]] = {"zzedu": "bureau", COUNTY: "county", SCHOOL: "school", HOST: "host"}
CONSTANTS: Final = ("route", "bytes", "model")
BASELINES: Final = ("floor", "bare")


class Desk:
    """The API, with a key for each organisation."""

    def __init__(self, http: httpx2.AsyncClient, keys: dict[str, str]) -> None:
        self._http = http
        self.keys = keys

    async def get(self, organisation: str, path: str) -> httpx2.Response:
        response = await self._http.get(path, headers=self._headers(organisation))
        assert response.status_code == 200, response.text
        return response

    async def post(self, organisation: str, path: str, body: Any, **more: Any) -> dict[str, Any]:
        """Send one thing that must be accepted, in every row; again while a row meets something that is away."""
        headers = self._headers(organisation) | {"Idempotency-Key": str(uuid4())} | more.pop("headers", {})
        content = more.get("content") or json.dumps(body)
        failed: list[Any] = []
        for _ in range(ATTEMPTS):
            response = await self._http.post(path, headers=headers, content=content)
            assert response.status_code < 300, response.text[:SHOWN]
            answer: dict[str, Any] = response.json()
            failed = [row for row in answer.get("items", ()) if row["status"] >= 300]
            if not failed:
                return answer
            assert all(row["status"] >= 500 for row in failed), str(failed)[:SHOWN]
        raise AssertionError(str(failed)[:SHOWN])

    def _headers(self, organisation: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[organisation]}", "Content-Type": "application/json"}


class School:
    """Makes trainees who wait for their registration."""

    def __init__(self, desk: Desk, campaign: str) -> None:
        self._desk = desk
        self._campaign = campaign
        self._next = 0

    async def open(self, plan: Plan) -> None:
        """Open the campaign and plan the class that everybody attends."""
        yaml_type = {"Content-Type": "application/yaml"}
        await self._desk.post("zzedu", "/v1/campaigns", None, content=plan.canonical(), headers=yaml_type)

    async def class_of(self, size: int) -> tuple[str, list[str]]:
        """A class that begins today, and so many trainees who have confirmed that they come."""
        today = str(local_date(datetime.now(UTC)))
        planned = {
            "campaign": self._campaign,
            "project_type": PROJECT_TYPE,
            "starts": today,
            "ends": today,
            "place": "A",
            "capacity": size,
        }
        number = str((await self._desk.post(HOST, "/v1/classes", planned))["number"])
        bodies = [self._nomination() for _ in range(size)]
        answer = await self._desk.post(SCHOOL, "/v1/nominations", {"items": bodies})
        trainees = [str(each["number"]) for each in answer["items"]]
        for organisation, command, fields in (
            (COUNTY, "approve", {}),
            ("zzedu", "approve", {"host": HOST}),
            (HOST, "enroll", {"training_class": number}),
            (SCHOOL, "confirm", {}),
        ):
            rows = [{"trainee": each, **fields} for each in trainees]
            await self._desk.post(organisation, f"/v1/trainees/{command}", {"items": rows})
        return number, trainees

    def _nomination(self) -> dict[str, Any]:
        self._next += 1
        first_17 = f"{COUNTY}{1960 + self._next % 40}0307{self._next // 40:03d}"
        person = {
            "name": "王小明",
            "identity_number": first_17 + check_digit(first_17),
            "telephone": f"138{self._next:08d}",
            "email": f"teacher{self._next}@example.invalid",
        }
        return {
            "campaign": self._campaign,
            "project_type": PROJECT_TYPE,
            "stage": "senior",
            "subject": "chinese",
            "years_of_service": 9,
            "person": person,
        }


class Updates:
    """Updates of workflows that run already, as many at once as the API sends for the rows of one request."""

    def __init__(self, client: Client, kind: str) -> None:
        self._client = client
        self._kind = kind

    async def prepare(self, count: int) -> list[str]:
        ids = [f"{self._kind}/{uuid4()}" for _ in range(count)]
        await self.send(ids)
        return ids

    async def send(self, ids: list[str]) -> None:
        """One Update to each."""
        gate = asyncio.Semaphore(CONCURRENT_ROWS)

        async def one(id_: str) -> None:
            async with gate:
                for attempt in range(ATTEMPTS):
                    try:
                        await self._client.execute_update_with_start_workflow(
                            "step",
                            str(uuid4()),
                            start_workflow_operation=self._start_of(id_),
                            id=str(uuid4()),
                            result_type=int,
                        )
                        break
                    except RPCError as error:
                        # Its task has failed and is tried again, as `api.commands` meets it, too.
                        if error.status != RPCStatusCode.FAILED_PRECONDITION or attempt == ATTEMPTS - 1:
                            raise
                        await asyncio.sleep(SEEN_PAUSE_S)

        await asyncio.gather(*(one(each) for each in ids))

    def _start_of(self, id_: str) -> WithStartWorkflowOperation[Any, Any]:
        return WithStartWorkflowOperation(
            self._kind.capitalize(),
            id_,
            id=id_,
            task_queue=self._kind,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )


async def measure(rounds: tuple[int, int], say: Callable[[str], None]) -> dict[str, Any]:
    """Run everything on a fresh stack and give the figures."""
    async with AsyncExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="xunji-bench-")))
        stack = await exits.enter_async_context(LocalStack(directory / "state"))
        await migrate(stack.database_url, stack.application_url)
        plan = plan_of_today()
        async with asyncpg.create_pool(stack.database_url, min_size=1, max_size=2) as pool:
            await pool.execute(CREATE_TABLE)
            await PlanStore(pool).adopt(plan)
            keys = await keys_of(pool)
        mails = MailReceiver()
        await mails.start()
        exits.push_async_callback(mails.stop)
        port = free_port(None)
        await start_ours(stack, port, mails.port)
        address = f"http://127.0.0.1:{port}"
        http = await exits.enter_async_context(httpx2.AsyncClient(base_url=address, timeout=TIMEOUT_S))
        desk = Desk(http, keys)
        school = School(desk, plan.id)
        await school.open(plan)
        bulk = await measure_bulk(stack, desk, school, rounds[1], say)
        reads = await measure_reads(stack, desk, port, directory, rounds[0], say)
        return {"reads": reads, "bulk": bulk, "load_before": os.getloadavg(), "machine": machine()}


async def start_ours(stack: LocalStack, port: int, smtp_port: int) -> None:
    """A worker and the API, as they are in production."""
    await start(stack, "worker", [sys.executable, "worker.py"], XUNJI_SMTP_PORT=str(smtp_port))
    await start(stack, "api", [sys.executable, "cli.py", "api"], port, XUNJI_API_PORT=str(port), **BEYOND_REACH)


async def start(stack: LocalStack, name: str, argv: list[str], port: int = 0, **environment: str) -> None:
    """A child of the stack; with a port, one that answers there when this returns."""

    async def ready() -> bool:
        try:
            async with httpx2.AsyncClient(trust_env=False) as http:
                await http.get(f"http://127.0.0.1:{port}/")
        except httpx2.TransportError:
            return False
        return True

    await stack.run_child(name, argv, environment, ready=ready if port else None, cwd=ROOT)


async def keys_of(pool: "asyncpg.Pool[Any]") -> dict[str, str]:
    """The organisations, each with a key of every scope of its role."""
    keys = {}
    async with Ledger(pool, SCHEMAS) as ledger:
        for id_, role in ROLES.items():
            parent = {"county": "zzedu", "school": COUNTY}.get(role, "")
            registered = InstitutionRegistered(
                id=id_, kind=role, name_zh=f"基准{id_}", parent=parent, email=f"{id_}@example.invalid"
            )
            scopes = scopes_of(role)
            keys[id_] = (await issue_key(pool, ledger, id_, role, scopes, "bench", institution=registered)).text
    return keys


# ---------------------------------------------------------------------------------------------------- the bulk


async def measure_bulk(
    stack: LocalStack, desk: Desk, school: School, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """A bulk of registrations, and as many bare Updates. The first round warms up and is not counted."""
    client = await Client.connect(stack.temporal_address, data_converter=data_converter)
    for kind in BASELINES:
        argv = [sys.executable, "-m", "benchmarks.baselines", kind]
        await start(stack, f"bench-{kind}", argv, DATABASE_URL=stack.database_url)
    updates = {kind: Updates(client, kind) for kind in BASELINES}
    seconds: dict[str, list[float]] = {kind: [] for kind in ("ours", "followed", *BASELINES)}
    for turn in range(rounds + 1):
        number, trainees = await school.class_of(BULK)
        ids = {kind: await each.prepare(BULK) for kind, each in updates.items()}
        await seen(desk, number)
        rows = {"items": [{"trainee": each} for each in trainees]}
        works: dict[str, Callable[[], Awaitable[Any]]] = {
            "ours": partial(desk.post, HOST, f"/v1/classes/{number}/registrations", rows),
            **{kind: partial(each.send, ids[kind]) for kind, each in updates.items()},
        }
        order = list(works)
        for kind in order if turn % 2 == 0 else reversed(order):
            began_s = time.perf_counter()
            await works[kind]()
            taken = {kind: time.perf_counter() - began_s}
            if kind == "ours":
                await listed(client, number, BULK)
                taken["followed"] = time.perf_counter() - began_s
            for each in taken if turn else ():
                seconds[each].append(taken[each])
        say(f"bulk {turn}: " + "  ".join(f"{kind} {each[-1]:.2f} s" for kind, each in seconds.items() if each))
    return {
        "rows": BULK,
        "target": BULK_TARGET,
        **{f"ratio_to_{kind}": _ratio(seconds["ours"], seconds[kind]) for kind in BASELINES},
        "followed_to_floor": _ratio(seconds["followed"], seconds["floor"]),
        "rounds": {kind: [round(each, 3) for each in times] for kind, times in seconds.items()},
    }


async def seen(desk: Desk, number: str) -> None:
    """Wait until the views show everybody of the class, so that nothing of the preparation is left to do."""
    while True:
        page = (await desk.get(HOST, f"/v1/trainees?training_class={number}&phase=confirmed&limit=500")).json()
        if len(page["items"]) >= BULK:
            return
        await asyncio.sleep(SEEN_PAUSE_S)


async def listed(client: Client, number: str, count: int) -> None:
    """Wait until so many workflows of the class are listed as in training."""
    query = f'XunjiClass = "{number}" AND XunjiPhase = "in-training"'
    while (await client.count_workflows(query)).count < count:
        await asyncio.sleep(SEEN_PAUSE_S)


# ---------------------------------------------------------------------------------------------------- the reads


async def measure_reads(
    stack: LocalStack, desk: Desk, port: int, directory: Path, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Requests per second of both reads, ours and the constants', in turns."""
    page = await desk.get(HOST, "/v1/trainees")
    numbers = [each["number"] for each in page.json()["items"]]
    one = await desk.get(HOST, f"/v1/trainees/{numbers[0]}")
    (directory / "list.json").write_bytes(page.content)
    (directory / "trainee.json").write_bytes(one.content)
    ports = {"ours": port}
    for kind in CONSTANTS:
        ports[kind] = free_port(None)
        argv = [sys.executable, "-m", "benchmarks.constant_api", kind, str(ports[kind]), str(directory)]
        await start(stack, f"constant-{kind}", argv, ports[kind], **BEYOND_REACH)
    key = desk.keys[HOST]
    asked = {
        "trainee": ([request_of(f"/v1/trainees/{each}", key) for each in numbers], READS),
        "list": ([request_of("/v1/trainees", key)], LISTS),
    }
    figures: dict[str, Any] = {"target": READ_TARGET, "connections": CONNECTIONS, "list_bytes": len(page.content)}
    for name, (requests, count) in asked.items():
        rates: dict[str, list[float]] = {kind: [] for kind in ports}
        for turn in range(rounds + 1):
            order = list(ports)
            for kind in order if turn % 2 == 0 else reversed(order):
                rate = await requests_per_second(ports[kind], requests, count, CONNECTIONS)
                if turn:
                    rates[kind].append(rate)
            say(f"{name} {turn}: " + "  ".join(f"{kind} {each[-1]:,.0f}/s" for kind, each in rates.items() if each))
        figures[name] = {
            **{f"ratio_to_{kind}": _ratio(rates["ours"], rates[kind]) for kind in CONSTANTS},
            "per_s": {kind: round(statistics.median(each)) for kind, each in rates.items()},
            "rounds": {kind: [round(each) for each in found] for kind, found in rates.items()},
        }
    return figures


def _ratio(ours: list[float], others: list[float]) -> float:
    """The median of each round's own ratio."""
    return round(statistics.median(mine / other for mine, other in zip(ours, others, strict=True)), 3)


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def main(arguments: list[str]) -> int:
    """Measure, print, and write the figures to a file if asked to; 1 when a ratio misses its target."""
    parser = argparse.ArgumentParser(prog="bench api", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--read-rounds", type=int, default=READ_ROUNDS)
    parser.add_argument("--bulk-rounds", type=int, default=BULK_ROUNDS)
    options = parser.parse_args(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    result = asyncio.run(measure((options.read_rounds, options.bulk_rounds), say))
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    reads, bulk = result["reads"], result["bulk"]
    good = all(reads[name]["ratio_to_route"] >= READ_TARGET for name in ("trainee", "list"))
    return 0 if good and bulk["ratio_to_floor"] <= BULK_TARGET else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
