"""Making Temporal agree with the ledger: `recover` starts what is missing, `reconcile` says what differs.

Nothing here is a special path. A workflow that is started for an existing stream reads its case from the ledger and
arms its next deadline, exactly as it does after any restart.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from database import application_pool
from domain.numbers import quota_number
from event_schemas import SCHEMAS
from ledger.store import Ledger
from projections.engine import Projector
from projections.streams import StreamVersion, stream_versions
from projections.trainees import lines_with_waiting
from schedules import ensure_schedules
from settings import Settings
from temporal_client import connect
from workflows.messages import WORKFLOW_TYPES, ProcessKind, ProcessStart, Receipt, workflow_id

KINDS: tuple[ProcessKind, ...] = ("campaign", "class", "quota", "restriction", "trainee")
CONCURRENCY = 16
POOL_SIZE = 4
Difference = Literal["missing", "behind", "ahead", "deadline"]


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """How many workflows of each kind were made to run, or ran already."""

    running: dict[str, int]

    @property
    def total(self) -> int:
        """All kinds together."""
        return sum(self.running.values())


@dataclass(frozen=True, slots=True)
class Drift:
    """A workflow that does not agree with its stream. `workflow_version` is None when it does not run."""

    workflow_id: str
    difference: Difference
    stream_version: int
    workflow_version: int | None


async def recover(settings: Settings) -> RecoveryReport:
    """Make every unfinished stream's workflow run. Safe to repeat, and safe while the system is in use."""
    client = await connect(settings)
    # A lost cluster has lost its schedules as well.
    await ensure_schedules(client, settings)
    gate = asyncio.Semaphore(CONCURRENCY)

    async def start(stream: StreamVersion, kind: ProcessKind) -> None:
        async with gate:
            await client.start_workflow(
                WORKFLOW_TYPES[kind],
                ProcessStart(number=stream.number, campaign=stream.campaign),
                id=workflow_id(kind, stream.number),
                task_queue=settings.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{stream.number} · {stream.phase} · recovered from the ledger",
            )

    running: dict[str, int] = {}
    for kind in KINDS:
        streams = [stream async for stream in _unfinished(settings, kind)]
        await asyncio.gather(*(start(stream, kind) for stream in streams))
        running[kind] = len(streams)
    await _wake_waiting_lines(settings, client)
    return RecoveryReport(running)


async def _wake_waiting_lines(settings: Settings, client: Client) -> None:
    """The lines that somebody waits for: a seat may have become free while nothing listened."""
    async with application_pool(settings, min_size=1, max_size=1) as pool:
        lines = await lines_with_waiting(pool)
    for campaign, line in lines:
        await client.start_workflow(
            WORKFLOW_TYPES["quota"],
            ProcessStart(number=quota_number(campaign, line), campaign=campaign),
            id=workflow_id("quota", quota_number(campaign, line)),
            task_queue=settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal="wake",
            static_summary=f"{line} · {campaign} · recovered from the ledger",
        )


async def reconcile(settings: Settings) -> list[Drift]:
    """Compare the version and deadline of every unfinished stream with its workflow's; empty when all agree.

    Commands that are under way meanwhile can look like drift: what differs is looked at a second time.
    """
    client = await connect(settings)
    found: list[Drift] = []
    for kind in KINDS:
        streams = {stream.number: stream async for stream in _unfinished(settings, kind)}
        suspects = await _compare(client, kind, list(streams.values()))
        if suspects:
            again = [stream async for stream in _unfinished(settings, kind) if stream.number in suspects]
            found += (await _compare(client, kind, again)).values()
    return found


async def _compare(client: Client, kind: ProcessKind, streams: list[StreamVersion]) -> dict[str, Drift]:
    gate = asyncio.Semaphore(CONCURRENCY)

    async def look(stream: StreamVersion) -> Drift | None:
        async with gate:
            receipt = await _case(client, workflow_id(kind, stream.number))
        difference = _difference(stream, receipt)
        if difference is None:
            return None
        seen = receipt.version if receipt else None
        return Drift(workflow_id(kind, stream.number), difference, stream.version, seen)

    drifts = await asyncio.gather(*(look(stream) for stream in streams))
    return {stream.number: drift for stream, drift in zip(streams, drifts, strict=True) if drift is not None}


def _difference(stream: StreamVersion, receipt: Receipt | None) -> Difference | None:
    if receipt is None:
        return "missing"
    if receipt.version != stream.version:
        return "behind" if receipt.version < stream.version else "ahead"
    return None if receipt.deadline == stream.deadline else "deadline"


async def _case(client: Client, id_: str) -> Receipt | None:
    handle = client.get_workflow_handle(id_)
    try:
        description = await handle.describe()
        if description.close_time is not None:
            return None
        receipt: Receipt | None = await handle.query("case", result_type=Receipt)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    except WorkflowQueryFailedError:
        return None
    return receipt


async def _unfinished(settings: Settings, kind: ProcessKind) -> AsyncIterator[StreamVersion]:
    """The streams of a kind that a workflow must run for, from views that have caught up with the ledger."""
    async with application_pool(settings, min_size=1, max_size=POOL_SIZE) as pool:
        ledger = Ledger(pool, SCHEMAS)
        try:
            projector = Projector(pool, ledger)
            await projector.catch_up()
            await projector.close()
            async for stream in stream_versions(pool, kind):
                yield stream
        finally:
            await ledger.close()
