"""What the lifecycle is measured against: a floor that only updates, and the design most people write first.

Run as a program it is the worker of one of them: `python -m benchmarks.baselines floor`.

- floor: as many Updates as a lifecycle has commands, each returning at once. Nothing can be faster on Temporal.
- bare: the floor with a local activity and one INSERT per Update: what the way that ours goes costs by itself.
- naive: a signal per step, a remote activity per signal, one INSERT per activity. No ledger, no claims, no notices.
  The next step is taken when the row of the one before is there, since a county approves what it can see.
- burst: the same, with all signals sent at once and nobody looking; several signals then share a workflow task.
"""

import asyncio
import os
import sys
from datetime import timedelta

import asyncpg
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from temporal_client import data_converter

STEPS = ("nominate", "approve-county", "approve-city", "enroll", "confirm", "register", "complete")
STEP_TIMEOUT = timedelta(seconds=60)
CREATE_TABLE = """
CREATE SCHEMA IF NOT EXISTS benchmark;
CREATE TABLE IF NOT EXISTS benchmark.steps (
    trainee text NOT NULL, step text NOT NULL, body jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (trainee, step)
);
"""


@workflow.defn(name="Floor")
class FloorWorkflow:
    """Ends after as many empty Updates as a lifecycle has commands."""

    @workflow.init
    def __init__(self, trainee: str) -> None:
        self._done = 0

    @workflow.run
    async def run(self, trainee: str) -> None:
        await workflow.wait_condition(lambda: self._done >= len(STEPS))
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    async def step(self, name: str) -> int:
        self._done += 1
        return self._done


@workflow.defn(name="Bare")
class BareWorkflow:
    """The floor, with a row written by a local activity before each answer."""

    @workflow.init
    def __init__(self, trainee: str) -> None:
        self._trainee = trainee
        self._done = 0

    @workflow.run
    async def run(self, trainee: str) -> None:
        await workflow.wait_condition(lambda: self._done >= len(STEPS))
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    async def step(self, name: str) -> int:
        await workflow.execute_local_activity(
            "insert_step", args=[self._trainee, name], start_to_close_timeout=STEP_TIMEOUT
        )
        self._done += 1
        return self._done


@workflow.defn(name="Naive")
class NaiveWorkflow:
    """Takes signals and writes a row for each by a remote activity."""

    @workflow.init
    def __init__(self, trainee: str) -> None:
        self._waiting: list[str] = []
        self._done = 0

    @workflow.run
    async def run(self, trainee: str) -> None:
        while self._done < len(STEPS):
            await workflow.wait_condition(lambda: bool(self._waiting))
            step = self._waiting.pop(0)
            await workflow.execute_activity("insert_step", args=[trainee, step], start_to_close_timeout=STEP_TIMEOUT)
            self._done += 1

    @workflow.signal
    def step(self, name: str) -> None:
        self._waiting.append(name)


class StepActivities:
    """One INSERT per step."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @activity.defn(name="insert_step")
    async def insert_step(self, trainee: str, step: str) -> None:
        """Write the step down."""
        await self._pool.execute(
            "INSERT INTO benchmark.steps (trainee, step, body) VALUES ($1, $2, '{}') ON CONFLICT DO NOTHING",
            trainee,
            step,
        )


async def work(kind: str) -> None:
    """Be the worker of `floor`, `bare`, `naive` or `burst` until the process is stopped."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], data_converter=data_converter)
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=8)
    polling = PollerBehaviorAutoscaling(minimum=1, initial=4, maximum=16)
    async with Worker(
        client,
        task_queue=kind,
        workflows=[FloorWorkflow, BareWorkflow, NaiveWorkflow],
        activities=[StepActivities(pool).insert_step],
        workflow_runner=UnsandboxedWorkflowRunner(),
        workflow_task_poller_behavior=polling,
        activity_task_poller_behavior=polling,
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
