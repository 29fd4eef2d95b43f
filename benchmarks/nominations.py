"""`bench nominations`: 20,000 nominations through the domain, appended in bulk, then their workflows started.

One worker runs from the beginning: it brings the views along and posts what the nominations owe to the county.

- append: a process of its own decides each nomination by the domain's rules and appends it as the worker does, CALLERS
  at a time, so that the ledger commits them together. In turns with it, in the same run, the same number of events of
  the same size go into a plain table, eight rows a statement (unnest): the floor of anything that stores them.
- start: the workflows are started from the ledger, as `xunji recover` starts them, until the last one is listed with
  its phase. Before and after, workflows that do nothing but list themselves are started the same way: the floor.

Memory of the appending process, the worker and the Temporal server is looked at each STEP nominations.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import asyncpg
import psutil
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.facts import LedgerFacts
from activities.ledger import LedgerActivities
from benchmarks.ledger import CREATE_PLAIN, INSERT_SET, ROWS_PER_INSERT
from benchmarks.lifecycle import (
    BUREAU,
    BY_SCHOOL,
    COUNTY,
    PROJECT_TYPE,
    ROOT,
    SCHOOL,
    Ours,
    plan_of_today,
    register_school,
    sealed_person,
)
from clock import SystemClock
from database import APPLICATION_ROLE
from domain.numbers import trainee_number
from embedded.local_stack import LocalStack
from event_schemas import SCHEMAS
from ledger.store import Ledger
from migrations import migrate
from projections.checkpoints import Checkpoints
from projections.plans import PlanStore
from simulator.receivers import MailReceiver
from temporal_client import data_converter
from worker import GARBAGE_THRESHOLDS, POOL_SIZE, keep_session
from workflows.messages import TASK_QUEUE, CommandMessage, ProcessStart, UpdateLedger, workflow_id

COUNT: Final = 20_000
STEP: Final = 1_000
CALLERS: Final = 64
STARTERS: Final = 16
"""As many as `xunji recover` has under way."""
FLOOR_STARTS: Final = 2_000
FLOOR_PHASE: Final = "floor"
LOOK_S: Final = 0.25
POOL: Final[dict[str, Any]] = {"min_size": 2, "max_size": POOL_SIZE, "reset": keep_session}
AS_THE_WORKER: Final[dict[str, Any]] = {"server_settings": {"role": APPLICATION_ROLE}}
PHASE: Final = SearchAttributeKey.for_keyword("XunjiPhase")
NAMESPACE: Final = UUID("a0b9a2a4-2e5a-4f3e-9f5e-0d6f6f0f9a11")
MIB: Final = 1024 * 1024


def number_of(index: int) -> str:
    """The number of the nomination at this place, from 1."""
    return trainee_number("zz22", COUNTY, index)


# ------------------------------------------------------------------------------------------------------ appending


@dataclass
class Appending:
    """The appending process: decisions of the domain, and the floor beside them."""

    pool: "asyncpg.Pool[Any]"
    plain: "asyncpg.Pool[Any]"
    activities: LedgerActivities
    campaign: str
    sealed: str

    async def nominate(self, index: int) -> None:
        """One nomination, decided and appended exactly as a worker does it."""
        body = {
            "project_type": PROJECT_TYPE,
            "county": COUNTY,
            "school": SCHOOL,
            "person": {"id": str(uuid5(NAMESPACE, str(index))), "sealed": self.sealed},
            "stage": "senior",
            "subject": "chinese",
            "position": "teacher",
            "years_of_service": 9,
        }
        number = number_of(index)
        request = UpdateLedger(
            kind="trainee",
            number=number,
            campaign=self.campaign,
            command="nominate",
            command_id=uuid4(),
            message=CommandMessage(actor=BY_SCHOOL, body=body, digest=number),
        )
        outcome = await self.activities.update_ledger(request)
        assert outcome.refusal is None, outcome.refusal

    async def append(self, indexes: range) -> float:
        """Seconds for these nominations, CALLERS at a time."""
        waiting = iter(indexes)

        async def caller() -> None:
            for index in waiting:
                await self.nominate(index)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return time.perf_counter() - began

    async def insert(self, events: int, body: bytes, turn: int) -> float:
        """Seconds for so many plain rows of this size, eight a statement, from as many callers."""
        versions, bodies = list(range(1, ROWS_PER_INSERT + 1)), [body] * ROWS_PER_INSERT
        waiting = iter(range(0, events, ROWS_PER_INSERT))
        now = datetime.now(UTC)

        async def caller() -> None:
            for place in waiting:
                stream = f"trainee/{turn}-{place}"
                await self.plain.execute(INSERT_SET, stream, "trainee.nominated", now, versions, bodies)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return time.perf_counter() - began

    async def events(self) -> tuple[int, int]:
        """Events recorded, and the bytes of their bodies."""
        row = await self.pool.fetchrow("SELECT count(*) AS n, sum(length(body)) AS bytes FROM ledger.events")
        assert row is not None, "an aggregate gives a row"
        return row["n"], int(row["bytes"] or 0)


async def append_all(count: int, sealed: str) -> None:
    """Be the appending process: a line of JSON each STEP nominations."""
    plan = plan_of_today()
    owner = os.environ["BENCH_OWNER_URL"]
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], **AS_THE_WORKER, **POOL) as pool,
        asyncpg.create_pool(owner, **POOL) as plain,
        Ledger(pool, SCHEMAS) as ledger,
    ):
        facts = LedgerFacts(pool, ledger, Checkpoints(pool))
        this = Appending(plain, plain, LedgerActivities(ledger, SystemClock(), facts), plan.id, sealed)
        process = psutil.Process()
        before, bytes_before = await this.events()
        for turn, first in enumerate(range(1, count + 1, STEP)):
            indexes = range(first, min(first + STEP, count + 1))
            seconds = await this.append(indexes)
            after, bytes_after = await this.events()
            events = after - before
            body = b"x" * round((bytes_after - bytes_before) / events)
            floor_s = await this.insert(events, body, turn)
            line = {
                "done": indexes[-1],
                "events": events,
                "seconds": seconds,
                "floor_seconds": floor_s,
                "event_bytes": len(body),
                "rss_mib": process.memory_info().rss / MIB,
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            before, bytes_before = after, bytes_after


# ---------------------------------------------------------------------------------------------------- the workflows


@workflow.defn(name="Listed")
class ListedWorkflow:
    """Lists itself and waits for ever: nothing that can be found by its phase is started with less."""

    @workflow.run
    async def run(self) -> None:
        workflow.upsert_search_attributes([PHASE.value_set(FLOOR_PHASE)])
        await workflow.wait_condition(lambda: False)


async def listed(client: Client, phase: str) -> int:
    """How many workflows the list shows in the phase."""
    return (await client.count_workflows(f'XunjiPhase = "{phase}"')).count


async def until_listed(client: Client, phase: str, count: int) -> None:
    while await listed(client, phase) < count:
        await asyncio.sleep(LOOK_S)


async def start_floor(client: Client, count: int) -> float:
    """Workflows per second that do nothing but list themselves."""
    queue = f"floor-{uuid4()}"
    already = await listed(client, FLOOR_PHASE)
    waiting = iter(range(count))

    async def starter() -> None:
        for index in waiting:
            await client.start_workflow("Listed", id=f"{queue}/{index}", task_queue=queue)

    worker = Worker(client, task_queue=queue, workflows=[ListedWorkflow], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        began = time.perf_counter()
        await asyncio.gather(*(starter() for _ in range(STARTERS)))
        await until_listed(client, FLOOR_PHASE, already + count)
        return count / (time.perf_counter() - began)


@dataclass
class Memory:
    """Resident memory of the worker and of the Temporal server, by how many workflows were started."""

    worker: psutil.Process
    temporal: psutil.Process
    seen: list[dict[str, Any]] = field(default_factory=list)

    def look(self, part: str, done: int) -> None:
        both = {
            "worker_mib": self.worker.memory_info().rss / MIB,
            "temporal_mib": self.temporal.memory_info().rss / MIB,
        }
        self.seen.append({"part": part, "done": done, **{key: round(value) for key, value in both.items()}})


async def start_all(client: Client, campaign: str, count: int, memory: Memory) -> list[float]:
    """Workflows per second of each STEP, from the first start until the last of them is listed."""
    rates = []
    for first in range(1, count + 1, STEP):
        indexes = range(first, min(first + STEP, count + 1))
        waiting = iter(indexes)

        async def starter(waiting: Any = waiting) -> None:
            for index in waiting:
                number = number_of(index)
                await client.start_workflow(
                    "Trainee",
                    ProcessStart(number=number, campaign=campaign),
                    id=workflow_id("trainee", number),
                    task_queue=TASK_QUEUE,
                )

        began = time.perf_counter()
        await asyncio.gather(*(starter() for _ in range(STARTERS)))
        await until_listed(client, "nominated", indexes[-1])
        rates.append(len(indexes) / (time.perf_counter() - began))
        memory.look("start", indexes[-1])
        print(f"{indexes[-1]:6} started: {rates[-1]:6.0f}/s", memory.seen[-1], file=sys.stderr)
    return rates


# ---------------------------------------------------------------------------------------------------------- the run


async def measure(count: int) -> dict[str, Any]:
    """Run everything on a fresh stack and give the figures."""
    with tempfile.TemporaryDirectory(prefix="xunji-bench-") as directory:
        async with AsyncExitStack() as exits:
            stack = await exits.enter_async_context(LocalStack(Path(directory)))
            await migrate(stack.database_url, stack.application_url)
            plan = plan_of_today()
            pool = await exits.enter_async_context(asyncpg.create_pool(stack.database_url, min_size=1, max_size=2))
            await PlanStore(pool).adopt(plan)
            await pool.execute(CREATE_PLAIN)
            await register_school(pool)
            sealed = await sealed_person(pool, stack.environment())
            mails = MailReceiver()
            await mails.start()
            exits.push_async_callback(mails.stop)
            client = await Client.connect(stack.temporal_address, data_converter=data_converter)
            environment = {"XUNJI_LOG_LEVEL": "warning", "XUNJI_SMTP_PORT": str(mails.port)}
            child = await stack.run_child("bench-nominations", [sys.executable, "worker.py"], environment, cwd=ROOT)
            ours = Ours(plan, sealed)
            await ours.send(client, "campaign", plan.id, "open", BUREAU, {"plan_sha256": plan.sha256()}, new=True)
            memory = Memory(psutil.Process(child.process.pid), process_named(stack, "temporal"))
            memory.look("append", 0)
            appended = await appending(stack, count, sealed, memory)
            caught_up_s = await views_caught_up(pool)
            floors = [await start_floor(client, FLOOR_STARTS)]
            memory.look("start", 0)
            rates = await start_all(client, plan.id, count, memory)
            floors.append(await start_floor(client, FLOOR_STARTS))
            return figures(count, appended, rates, floors, memory, caught_up_s)


def process_named(stack: LocalStack, name: str) -> psutil.Process:
    """The process of one of the stack's servers."""
    return next(psutil.Process(each.process.pid) for each in stack.supervisor.children if each.name == name)


async def appending(stack: LocalStack, count: int, sealed: str, memory: Memory) -> list[dict[str, float]]:
    """Let a process of its own append; what it said, line by line."""
    argv = (sys.executable, "-m", "benchmarks.nominations", "append", str(count), sealed)
    environment = {**os.environ, **stack.environment(), "BENCH_OWNER_URL": stack.database_url}
    child = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    lines: list[dict[str, float]] = []
    while raw := await child.stdout.readline():
        lines.append(json.loads(raw))
        memory.look("append", int(lines[-1]["done"]))
        last = lines[-1]
        rate = last["events"] / last["seconds"]
        print(f"{last['done']:6} appended: {rate:6.0f} events/s, {last['rss_mib']:.0f} MiB", file=sys.stderr)
    if await child.wait():
        raise RuntimeError("the appending process has failed; what it said is above")
    return lines


async def views_caught_up(pool: "asyncpg.Pool[Any]") -> float:
    """Seconds until the views have read everything that was appended."""
    began = time.perf_counter()
    behind = (
        "SELECT sum(b.sequence - coalesce(c.sequence, 0)) FROM ledger.books b LEFT JOIN view.checkpoints c USING (book)"
    )
    while await pool.fetchval(behind):
        await asyncio.sleep(LOOK_S)
    return time.perf_counter() - began


def figures(
    count: int,
    appended: list[dict[str, float]],
    rates: list[float],
    floors: list[float],
    memory: Memory,
    caught_up_s: float,
) -> dict[str, Any]:
    """Rates of the whole, the median ratio of the turns, and memory at a quarter, a half and the end."""
    events, seconds = sum(each["events"] for each in appended), sum(each["seconds"] for each in appended)
    started_s = sum(STEP / rate for rate in rates)
    quarter = [each for each in appended if each["done"] >= count / 4]
    after_quarter = [each for each in memory.seen if each["part"] == "start" and each["done"] >= count / 4]
    return {
        "nominations": count,
        "append": {
            "events": round(events),
            "event_bytes": round(appended[-1]["event_bytes"]),
            "nominations_per_s": round(count / seconds),
            "events_per_s": round(events / seconds),
            "ratio_to_unnest": round(statistics.median(e["floor_seconds"] / e["seconds"] for e in appended), 3),
            "first_and_last_per_s": [round(each["events"] / each["seconds"]) for each in (appended[0], appended[-1])],
            "rss_mib": [round(each["rss_mib"]) for each in appended],
            "growth_after_a_quarter_mib": round(quarter[-1]["rss_mib"] - quarter[0]["rss_mib"], 1),
            "views_behind_s": round(caught_up_s, 1),
        },
        "start": {
            "workflows_per_s": round(count / started_s, 1),
            "floor_per_s": [round(each, 1) for each in floors],
            "ratio_to_floor": round(count / started_s / statistics.mean(floors), 3),
            "first_and_last_per_s": [round(rates[0], 1), round(rates[-1], 1)],
            "worker_growth_after_a_quarter_mib": after_quarter[-1]["worker_mib"] - after_quarter[0]["worker_mib"],
            "temporal_growth_after_a_quarter_mib": after_quarter[-1]["temporal_mib"] - after_quarter[0]["temporal_mib"],
        },
        "memory": memory.seen,
        "load_average": os.getloadavg(),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
    }


def main(arguments: list[str]) -> int:
    """Measure, print, and write the figures to a file if asked to."""
    parser = argparse.ArgumentParser(prog="bench nominations", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args(arguments)
    result = asyncio.run(measure(options.count))
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__" and sys.argv[1:2] == ["append"]:
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    asyncio.run(append_all(int(sys.argv[2]), sys.argv[3]))
