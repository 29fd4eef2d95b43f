"""`bench lifecycle`: complete lifecycles per second, against a floor and against the naive design, in one run.

All five run on the same embedded stack (PostgreSQL with fsync on, a Temporal dev server with WAL), each with one
worker process, in many short turns: floor, bare, ours, naive, burst, floor, … A machine that others share is faster in
one minute than in the next, so the ratios of the rounds count, never seconds against seconds of another day. `ours` is
the full path: commands decided in the ledger, claims, notices in the outbox and delivered by the mailboxes, views kept
up to date. `benchmarks/baselines.py` says what the others do.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import yaml
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from api.commands import Target, start_of
from api.registry import Recording, Registry
from benchmarks.baselines import CREATE_TABLE, STEPS
from domain.calendar import local_date
from domain.decision import Actor
from domain.institution import InstitutionRegistered
from domain.plan import Plan
from domain.plan_loader import load_plan
from domain.trainee_state import attributes_of
from embedded.local_stack import LocalStack
from event_schemas import SCHEMAS
from ledger.store import Ledger
from ledger.vault import Vault
from migrations import migrate
from projections.plans import PlanStore
from simulator.receivers import MailReceiver
from temporal_client import data_converter
from workflows.messages import (
    TASK_QUEUE,
    CommandMessage,
    ProcessKind,
    Receipt,
    workflow_id,
)

ROOT = Path(__file__).parent.parent
CONCURRENCY = 32
CLASSES = tuple(f"zz22-c-h001-{number:02}" for number in range(1, 9))
"""The lifecycles take turns in these classes: one holds 2,000 seats."""
PROJECT_TYPE, COUNTY, SCHOOL, HOST = "sp4", "410181", "410181-s01", "h001"
SEATS = 50_000
READY_TIMEOUT_S = 60
WATCH_S = 0.02
WAITED_FOR = """
SELECT trainee, step FROM benchmark.steps JOIN unnest($1::text[], $2::text[]) AS w (trainee, step) USING (trainee, step)
"""
BUREAU = Actor(organisation="zzedu", role="bureau")
BY_SCHOOL = Actor(organisation=SCHOOL, role="school")
BY_COUNTY = Actor(organisation=COUNTY, role="county")
BY_HOST = Actor(organisation=HOST, role="host")
Lifecycle = Callable[[Client, int], Awaitable[None]]


def plan_of_today() -> Plan:
    """The 2022 plan with its dates moved, so that every command of a lifecycle is allowed today, and seats enough."""
    data = yaml.safe_load((ROOT / "plans" / "2022-zhengzhou.yaml").read_text(encoding="utf-8"))
    year = datetime.now(UTC).year + 5
    today = local_date(datetime.now(UTC))
    data["dates"]["opens"] = str(today)
    data["dates"]["soft_end"] = f"{year}-12-31"
    data["dates"]["closes"] = f"{year + 1}-02-10"
    for level, day in (("school", 29), ("county", 30), ("city", 31)):
        data["dates"]["selection"][level]["at"] = f"{year}-08-{day} 18:00"
    data["rules"]["unpublished_calendar_year"] = "weekends-only"
    data["quotas"]["city_totals"][PROJECT_TYPE] = 2 * SEATS
    data["quotas"]["seats"][COUNTY][PROJECT_TYPE] = SEATS
    for host in data["hosts"]:
        if host["id"] == HOST:
            host["levels"] = ["national", "provincial"]
    return load_plan(yaml.safe_dump(data, allow_unicode=True))


def updates_only(kind: str) -> Lifecycle:
    """A lifecycle of as many Updates as ours has commands, sent the same way; the workflow is of the type `kind`."""

    async def lifecycle(client: Client, index: int) -> None:
        id_ = f"{kind}/{uuid4()}"
        for step in STEPS:
            start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
                kind.capitalize(),
                id_,
                id=id_,
                task_queue=kind,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            await client.execute_update_with_start_workflow(
                "step", step, start_workflow_operation=start, result_type=int
            )

    return lifecycle


async def burst_lifecycle(client: Client, index: int) -> None:
    """Signals one after another; nobody waits for what becomes of them before the end."""
    id_ = f"burst/{uuid4()}"
    handle = await client.start_workflow("Naive", id_, id=id_, task_queue="burst")
    for step in STEPS:
        await handle.signal("step", step)
    await handle.result()


class Naive:
    """Signals, each sent when the row of the one before is there. One query looks for the rows of all lifecycles."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._waiting: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def watch(self) -> None:
        """Tell the lifecycles which rows are there, until cancelled."""
        while True:
            if self._waiting:
                for row in await self._pool.fetch(WAITED_FOR, *map(list, zip(*self._waiting, strict=True))):
                    self._waiting.pop((row["trainee"], row["step"])).set_result(None)
            await asyncio.sleep(WATCH_S)

    async def lifecycle(self, client: Client, index: int) -> None:
        """A signal, its row, the next signal."""
        id_ = f"naive/{uuid4()}"
        handle = await client.start_workflow("Naive", id_, id=id_, task_queue="naive")
        for step in STEPS:
            there = self._waiting[id_, step] = asyncio.get_running_loop().create_future()
            await handle.signal("step", step)
            await there
        await handle.result()


class Ours:
    """Complete lifecycles through the workflows and the ledger."""

    def __init__(self, plan: Plan, sealed: str) -> None:
        self._plan = plan
        self._sealed = sealed
        self._next = 0
        self.last_number = ""

    async def prepare(self, client: Client) -> None:
        """Open the campaign and plan the classes that everybody attends."""
        today = str(local_date(datetime.now(UTC)))
        await self.send(
            client, "campaign", self._plan.id, "open", BUREAU, {"plan_sha256": self._plan.sha256()}, new=True
        )
        body = {
            "host": HOST,
            "project_type": PROJECT_TYPE,
            "starts": today,
            "ends": today,
            "place": "A",
            "capacity": 2_000,
        }
        for number in CLASSES:
            await self.send(client, "class", number, "plan", BY_HOST, body, new=True)

    async def lifecycle(self, client: Client, index: int) -> None:
        """Nomination to completion, seven commands."""
        self._next += 1
        number = self.last_number = f"zz22-{COUNTY}-{self._next:05d}"
        person = {"id": str(uuid4()), "sealed": self._sealed}
        nomination = {
            "project_type": PROJECT_TYPE,
            "county": COUNTY,
            "school": SCHOOL,
            "person": person,
            "stage": "senior",
            "subject": "chinese",
            "position": "teacher",
            "years_of_service": 9,
        }
        await self.send(client, "trainee", number, "nominate", BY_SCHOOL, nomination, new=True)
        for command, actor, body in (
            ("approve", BY_COUNTY, {}),
            ("approve", BUREAU, {"host": HOST}),
            ("enroll", BY_HOST, {"training_class": CLASSES[self._next % len(CLASSES)]}),
            ("confirm", BY_SCHOOL, {}),
            ("register", BY_HOST, {}),
            ("complete", BY_HOST, {"centralised_days": 1, "hours": 8}),
        ):
            await self.send(client, "trainee", number, command, actor, body)

    async def send(
        self,
        client: Client,
        kind: ProcessKind,
        number: str,
        command: str,
        actor: Actor,
        body: dict[str, Any],
        *,
        new: bool = False,
    ) -> Receipt:
        """The way the API sends a command."""
        target = Target(kind, number, self._plan.id, "", new=new)
        if kind == "trainee" and new:
            listed = attributes_of("nominated", self._plan.id, PROJECT_TYPE, COUNTY)
            target = replace(target, attributes=listed, deadline=self._plan.selection_deadline("county"))
        id_: UUID = uuid4()
        receipt: Receipt = await client.execute_update_with_start_workflow(
            command,
            CommandMessage(actor=actor, body=body, digest=str(id_)),
            id=str(id_),
            start_workflow_operation=start_of(target, TASK_QUEUE),
            result_type=Receipt,
        )
        return receipt


async def timed(client: Client, lifecycle: Lifecycle, count: int) -> float:
    """Lifecycles per second of `count`, CONCURRENCY at a time."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(index: int) -> None:
        async with gate:
            await lifecycle(client, index)

    began = time.monotonic()
    await asyncio.gather(*(one(index) for index in range(count)))
    return count / (time.monotonic() - began)


async def measure(count: int, rounds: int, runner: str) -> dict[str, Any]:
    """Run everything on a fresh stack and give the figures."""
    with tempfile.TemporaryDirectory(prefix="xunji-bench-") as directory:
        async with AsyncExitStack() as exits:
            stack = await exits.enter_async_context(LocalStack(Path(directory)))
            await migrate(stack.database_url)
            plan = plan_of_today()
            pool = await asyncpg.create_pool(stack.database_url, min_size=1, max_size=2)
            await PlanStore(pool).adopt(plan)
            await pool.execute(CREATE_TABLE)
            client = await Client.connect(stack.temporal_address, data_converter=data_converter)
            mails = MailReceiver()
            await mails.start()
            exits.push_async_callback(mails.stop)
            await register_school(pool)
            ours = Ours(plan, await sealed_person(pool, stack.environment()))
            naive = Naive(pool)
            watching = asyncio.create_task(naive.watch())
            exits.callback(watching.cancel)
            kinds: dict[str, Lifecycle] = {
                "floor": updates_only("floor"),
                "bare": updates_only("bare"),
                "ours": ours.lifecycle,
                "naive": naive.lifecycle,
                "burst": burst_lifecycle,
            }
            rates: dict[str, list[float]] = {kind: [] for kind in kinds}
            for turn in range(1, rounds + 1):
                for kind, lifecycle in kinds.items():
                    child = await start_worker(stack, kind, runner, mails.port)
                    try:
                        if kind == "ours" and turn == 1:
                            await ours.prepare(client)
                        # Caches, connections and pollers warm up.
                        await timed(client, lifecycle, CONCURRENCY)
                        rate = await timed(client, lifecycle, count)
                    finally:
                        await stack.stop_child(child)
                    rates[kind].append(rate)
                    print(f"round {turn}: {kind:6} {rate:6.1f} lifecycles/s", file=sys.stderr)
            handle = client.get_workflow_handle(workflow_id("trainee", ours.last_number))
            history = await handle.fetch_history()
            await pool.close()
            return figures(rates, len(history.events), stack.peak_rss_mib, count, rounds, runner)


async def register_school(pool: "asyncpg.Pool[Any]") -> None:
    """The school that nominates, with an address for its mail."""
    ledger = Ledger(pool, SCHEMAS)
    school = InstitutionRegistered(
        id=SCHOOL, kind="school", name_zh="基准小学", parent=COUNTY, email="school@example.invalid"
    )
    recording = Recording(uuid4(), "", str(BY_COUNTY), datetime.now(UTC))
    await Registry(ledger).register(school, recording)
    await ledger.close()


async def sealed_person(pool: "asyncpg.Pool[Any]", environment: Mapping[str, str]) -> str:
    """Personal fields as the API seals them; sealing is the front door's work and not measured here."""
    keys = (base64.b64decode(environment[f"XUNJI_{name}_KEY"]) for name in ("MASTER", "INDEX"))
    vault = Vault(pool, *keys)
    subject = await vault.subject_for("benchmark")
    return await vault.seal(subject.id, {"name": "基准", "identity_number": "", "telephone": "", "email": ""})


async def start_worker(stack: LocalStack, kind: str, runner: str, smtp_port: int) -> Any:
    """One worker process for one of the five."""
    argv = [sys.executable, "worker.py"] if kind == "ours" else [sys.executable, "-m", "benchmarks.baselines", kind]
    environment = (
        {
            "XUNJI_WORKFLOW_RUNNER": runner,
            "XUNJI_LOG_LEVEL": "warning",
            "XUNJI_SMTP_PORT": str(smtp_port),
            # What is measured must not depend on the hour.
            "XUNJI_QUIET_HOURS": "",
        }
        if kind == "ours"
        # What we are measured against has its own table and none of our roles.
        else {"DATABASE_URL": stack.database_url}
    )
    return await stack.run_child(f"bench-{kind}", argv, environment, cwd=ROOT)


def figures(
    rates: dict[str, list[float]], history_events: int, peak_rss_mib: float, count: int, rounds: int, runner: str
) -> dict[str, Any]:
    """Medians, and the median of each round's own ratio."""
    ratios = {
        base: statistics.median(ours / other for ours, other in zip(rates["ours"], rates[base], strict=True))
        for base in ("floor", "bare", "naive", "burst")
    }
    return {
        "ratio_to_floor": round(ratios["floor"], 3),
        "ratio_to_bare": round(ratios["bare"], 3),
        "ratio_to_naive": round(ratios["naive"], 3),
        "ratio_to_burst": round(ratios["burst"], 3),
        "history_events": history_events,
        "lifecycles_per_s": round(statistics.median(rates["ours"]), 1),
        "floor_per_s": round(statistics.median(rates["floor"]), 1),
        "bare_per_s": round(statistics.median(rates["bare"]), 1),
        "naive_per_s": round(statistics.median(rates["naive"]), 1),
        "burst_per_s": round(statistics.median(rates["burst"]), 1),
        "rounds": {kind: [round(rate, 1) for rate in each] for kind, each in rates.items()},
        "commands": len(STEPS),
        "lifecycles_per_round": count,
        "runner": runner,
        "peak_rss_mib": round(peak_rss_mib),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "system": platform.system(),
        },
    }


def main(arguments: list[str]) -> int:
    """Measure, print, and write the figures to a file if asked to."""
    parser = argparse.ArgumentParser(prog="bench lifecycle", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--lifecycles", type=int, default=80, help="per round and kind, after a warm-up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runner", choices=("unsandboxed", "passthrough", "sandboxed"), default="unsandboxed")
    options = parser.parse_args(arguments)
    result = asyncio.run(measure(options.lifecycles, options.rounds, options.runner))
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0
