"""The sweep: cases that the ledger has as overdue, and whose workflow has not noticed, are woken.

Every deadline has a timer in its workflow, and that is what passes it. The sweep is the second way, by the ledger's own
dates: it starts a workflow that is lost, and ends a wait that was measured wrongly. Waking a case too early or twice
does nothing: the case asks the clock, and the command of a deadline has one id.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from clock import Clock
from ledger.errors import DATABASE_LOST
from projections.streams import StreamVersion, overdue
from workflows.messages import WORKFLOW_TYPES, ProcessKind, ProcessStart, workflow_id

SWEEP_S: Final = 60.0
DEMO_SWEEP_S: Final = 0.15
"""A campaign day of the demo is an eighth of a second."""
MAX_OVERDUE: Final = 500
AGAIN_AFTER_SWEEPS: Final = 20
"""A case that was woken and is still overdue is woken again after so many sweeps."""
RPC_TIMEOUT: Final = timedelta(seconds=5)
log = structlog.get_logger(__name__)
_Seen = dict[tuple[str, datetime | None], int]


class OverdueSweep:
    """Looks for overdue cases every `interval_s` real seconds. Any number of processes may run one."""

    def __init__(
        self, pool: "asyncpg.Pool[Any]", client: Client, clock: Clock, *, task_queue: str, interval_s: float = SWEEP_S
    ) -> None:
        self._pool = pool
        self._client = client
        self._clock = clock
        self._task_queue = task_queue
        self._interval_s = interval_s
        self._seen: _Seen = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop` is set. PostgreSQL or Temporal being away is logged once and waited out."""
        away = False
        while not stop.is_set():
            try:
                await self.sweep()
                away = False
            except (*DATABASE_LOST, RPCError, RuntimeError) as error:
                # A client that could not even connect raises a RuntimeError.
                if not away:
                    log.warning("overdue.away", problem=type(error).__name__)
                away = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._interval_s)

    async def sweep(self) -> int:
        """Wake what was overdue at the last sweep and still is; give how many cases that are."""
        found = await overdue(self._pool, await self._clock.now(), MAX_OVERDUE)
        sweeps: _Seen = {}
        woken = 0
        for stream in found:
            key = (f"{stream.kind}/{stream.number}", stream.deadline)
            # The first time its own timer, or the views, may be just about to show that it has passed.
            seen = sweeps[key] = self._seen.get(key, -1) + 1
            if seen % AGAIN_AFTER_SWEEPS == 1:
                await self._wake(stream)
                woken += 1
        self._seen = sweeps
        if woken:
            log.info("overdue.woken", cases=woken)
        return woken

    async def _wake(self, stream: StreamVersion) -> None:
        kind: ProcessKind = stream.kind  # type: ignore[assignment] # the views know these kinds only
        await self._client.start_workflow(
            WORKFLOW_TYPES[kind],
            ProcessStart(number=stream.number, campaign=stream.campaign),
            id=workflow_id(kind, stream.number),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal="wake",
            static_summary=f"{kind} {stream.number} · {stream.campaign}",
            rpc_timeout=RPC_TIMEOUT,
        )
