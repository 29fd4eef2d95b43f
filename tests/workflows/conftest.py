"""The core on real parts: workflows and ledger activities, on the session's PostgreSQL and a Temporal server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.facts import LedgerFacts
from activities.ledger import LedgerActivities
from activities.reach import ReachActivities
from activities.waiting import WaitingActivities
from clock import Clock
from domain.decision import Actor, Refusal
from domain.plan import Plan
from event_schemas import SCHEMAS
from ledger.store import Ledger
from migrations import STEPS
from projections.checkpoints import Checkpoints
from projections.engine import Projector
from projections.plans import PlanStore
from tests.specification import the_plan
from workflows.campaign import CampaignWorkflow
from workflows.messages import REFUSED, WORKFLOW_TYPES, CommandMessage, ProcessKind, ProcessStart, Receipt, workflow_id
from workflows.quota import QuotaWorkflow
from workflows.restriction import RestrictionWorkflow
from workflows.trainee import TraineeWorkflow
from workflows.training_class import TrainingClassWorkflow

BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
SCHOOL = Actor(organisation="410181-s01", role="school")
HOST = Actor(organisation="h001", role="host")
SHORTEST_WAIT_S = 0.05
WORKFLOWS = [TraineeWorkflow, TrainingClassWorkflow, CampaignWorkflow, RestrictionWorkflow, QuotaWorkflow]


class SetClock:
    """A clock that stands where a test has put it; a month of its time is a real second."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    async def now(self) -> datetime:
        return self.at

    async def real_seconds_until(self, instant: datetime) -> float:
        return max(SHORTEST_WAIT_S, (instant - self.at) / timedelta(days=30))


@dataclass
class Core:
    """A running worker and the ways in: send a command as the API would, read what was recorded."""

    client: Client
    ledger: Ledger
    pool: "asyncpg.Pool[Any]"
    projector: Projector
    task_queue: str
    prefix: str
    plan: Plan

    @property
    def book(self) -> str:
        """The campaign's book: a campaign of this test's own, because tests share one Temporal server."""
        return self.plan.id

    def number(self, text: str) -> str:
        """A number of this test's own, so that tests can share one Temporal server."""
        return f"{self.prefix}-{text}"

    async def send(
        self,
        kind: ProcessKind,
        number: str,
        command: str,
        by: Actor,
        body: dict[str, Any] | None = None,
        *,
        new: bool = False,
        command_id: UUID | None = None,
    ) -> Receipt:
        """Update with start, exactly as the API does it. Raises `Refused`."""
        id_ = str(command_id or uuid4())
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW_TYPES[kind],
            ProcessStart(number=number, campaign=self.book, new=new),
            id=workflow_id(kind, number),
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        try:
            receipt: Receipt = await self.client.execute_update_with_start_workflow(
                command,
                CommandMessage(actor=by, body=body or {}, digest=f"{command}:{body}"),
                id=id_,
                start_workflow_operation=start,
                result_type=Receipt,
            )
        except WorkflowUpdateFailedError as error:
            if not isinstance(error.cause, ApplicationError) or error.cause.type != REFUSED:
                raise
            raise Refused(Refusal.model_validate(error.cause.details[0])) from None
        return receipt

    async def start(self, kind: ProcessKind, number: str) -> None:
        """Start a process for an existing stream, as the dispatcher and recovery do."""
        await self.client.start_workflow(
            WORKFLOW_TYPES[kind],
            ProcessStart(number=number, campaign=self.book),
            id=workflow_id(kind, number),
            task_queue=self.task_queue,
        )

    async def events(self, kind: str, number: str, book: str = "") -> list[str]:
        """The types of a stream's events."""
        return [each.type for each in await self.ledger.read_stream(book or self.book, f"{kind}/{number}")]


class Refused(Exception):
    """A command was refused; `code` is its first reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.code = refusal.code


CoreFactory = Callable[..., AbstractAsyncContextManager[Core]]


@asynccontextmanager
async def running_core(
    database_url: str, client: Client, clock: Clock, *, prefix: str = "", max_cached_workflows: int = 1_000
) -> AsyncIterator[Core]:
    """A worker on a database whose schema is there; `prefix` names its campaign and numbers, else they are its own."""
    async with asyncpg.create_pool(database_url, min_size=2, max_size=10) as pool:
        ledger = Ledger(pool, SCHEMAS)
        checkpoints = Checkpoints(pool)
        projector = Projector(pool, ledger)
        prefix = prefix or uuid4().hex[:8]
        plan = the_plan().model_copy(update={"id": f"test-{prefix}"})
        await PlanStore(pool).adopt(plan)
        facts = LedgerFacts(pool, ledger, checkpoints)
        task_queue = f"test-{uuid4()}"
        worker = Worker(
            client,
            task_queue=task_queue,
            workflows=WORKFLOWS,
            activities=[
                *LedgerActivities(ledger, clock, facts).all(),
                *ReachActivities(client, facts, task_queue).all(),
                *WaitingActivities(client, facts, task_queue).all(),
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=max_cached_workflows,
        )
        stop = asyncio.Event()
        projecting = asyncio.create_task(projector.run(stop))
        try:
            async with worker:
                yield Core(client, ledger, pool, projector, task_queue, prefix, plan)
        finally:
            stop.set()
            await projecting
            await checkpoints.close()
            await ledger.close()


async def prepare(database_url: str) -> None:
    """The schema that a core needs."""
    connection = await asyncpg.connect(database_url)
    for step in STEPS:
        await step(connection)
    await connection.close()


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """A database with the schema of this release."""
    return migrated_url


@pytest_asyncio.fixture
async def core_on(database_url: str) -> AsyncIterator[CoreFactory]:
    """A factory: `async with core_on(client, clock) as core`."""
    yield partial(running_core, database_url)


def at(month: int, day: int, hour: int = 2) -> datetime:
    """An instant of 2022; 2 o'clock UTC is 10 in Zhengzhou."""
    return datetime(2022, month, day, hour, tzinfo=UTC)


def nomination(person: UUID | None = None, **changes: Any) -> dict[str, Any]:
    """A nomination that the plan allows."""
    body = {
        "project_type": "gp5",
        "county": "410181",
        "school": "410181-s01",
        "person": {"id": str(person or uuid4()), "sealed": "sealed"},
        "stage": "primary",
        "subject": "chinese",
        "position": "teacher",
        "years_of_service": 5,
    }
    return body | changes


async def open_campaign(core: Core) -> Receipt:
    """The bureau opens the plan's campaign."""
    return await core.send("campaign", core.plan.id, "open", BUREAU, {"plan_sha256": core.plan.sha256()}, new=True)


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the answer is yes; the suite's own limit ends a test that waits in vain."""
    while not await question():
        await asyncio.sleep(0.02)
