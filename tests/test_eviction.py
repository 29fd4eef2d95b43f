"""Workflows that leave the worker's cache are gone, without Python having to look for garbage."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from eviction import EvictingWorkflowRunner

CACHED = 2
STARTED = 6
alive: "weakref.WeakSet[WaitsForEver]" = weakref.WeakSet()


@workflow.defn
class WaitsForEver:
    """Keeps what ours keep: a task of its own, a timer, a lock and a condition."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0
        alive.add(self)

    @workflow.run
    async def run(self) -> None:
        self.sleeper = asyncio.create_task(asyncio.sleep(3600))
        await workflow.wait_condition(lambda: self.count > 1, timeout=3600)

    @workflow.update
    async def add(self) -> int:
        async with self.lock:
            self.count += 1
            return self.count


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_evicted_workflows_are_gone_at_once_and_go_on_when_they_are_needed(temporal_client: Client) -> None:
    queue = f"eviction-{uuid4()}"
    worker = Worker(
        temporal_client,
        task_queue=queue,
        workflows=[WaitsForEver],
        workflow_runner=EvictingWorkflowRunner(),
        max_cached_workflows=CACHED,
        max_concurrent_workflow_tasks=CACHED,
        debug_mode=True,
    )
    async with worker:
        handles = [
            await temporal_client.start_workflow(WaitsForEver.run, id=f"{queue}-{number}", task_queue=queue)
            for number in range(STARTED)
        ]
        for handle in handles:
            assert await handle.execute_update(WaitsForEver.add) == 1
        # One may be on its way out.
        assert len(alive) <= CACHED + 1
        for handle in handles:
            assert await handle.execute_update(WaitsForEver.add) == 2
            await handle.result()
    assert not alive
