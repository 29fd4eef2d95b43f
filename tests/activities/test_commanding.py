"""A command to a workflow whose task has failed waits a moment, and leaves no failure behind that nobody has taken."""

import asyncio
import gc
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import commanding
from activities.commanding import SystemCommands
from workflows.messages import CommandMessage, ProcessStart, Receipt, workflow_id

NOT_READY_FROM = 3
"""From this attempt of a task on the server turns Updates away."""


@workflow.defn(name="Trainee")
class Stumbling:
    """A trainee's workflow whose task fails until a fault is mended."""

    mended: ClassVar[bool] = False

    @workflow.init
    def __init__(self, start: ProcessStart) -> None:
        self._number = start.number

    @workflow.run
    async def run(self, start: ProcessStart) -> None:
        if not self.mended:
            raise RuntimeError("the fault")
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def lapse(self, message: CommandMessage) -> Receipt:
        return Receipt(number=self._number, version=1, phase="rejected", closed=True)


def worker(client: Client, queue: str) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Stumbling], workflow_runner=UnsandboxedWorkflowRunner())


async def failing(client: Client, queue: str, number: str) -> None:
    """Start a trainee's workflow, and wait until its task has failed so often that it is not ready."""
    Stumbling.mended = False
    start = ProcessStart(number=number, campaign="2022-test")
    handle = await client.start_workflow("Trainee", start, id=workflow_id("trainee", number), task_queue=queue)
    while (await handle.describe()).raw_description.pending_workflow_task.attempt < NOT_READY_FROM:
        await asyncio.sleep(0.05)


async def send(client: Client, queue: str, number: str) -> object:
    return await SystemCommands(client, queue).send(
        "trainee", "2022-test", number, "lapse", command_id=str(uuid4()), correlation_id="class/c1"
    )


async def test_a_task_that_has_failed_is_waited_for_and_no_failure_is_left_behind(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, number, left = str(uuid4()), uuid4().hex[:8], list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    # Pauses longer than the server's own between two attempts of a task.
    monkeypatch.setattr(commanding, "FIRST_PAUSE_S", 1.0)
    async with worker(temporal_client, queue):
        await failing(temporal_client, queue, number)
        turned_away: list[RPCStatusCode] = []
        first = commanding.SystemCommands._attempt

        async def seen(self: SystemCommands, *arguments: Any) -> object:
            try:
                return await first(self, *arguments)
            except RPCError as error:
                turned_away.append(error.status)
                Stumbling.mended = True
                raise

        monkeypatch.setattr(commanding.SystemCommands, "_attempt", seen)
        assert await send(temporal_client, queue, number) is None
    assert turned_away, "the workflow was not ready at first"
    gc.collect()
    await asyncio.sleep(0)
    assert left == []
