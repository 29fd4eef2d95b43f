"""The dispatcher: turns what appends have put into the outbox into running workflows.

An entry for `process:start` starts that process's workflow and is done. Notices are delivered by their recipient's
mailbox, which is woken here. Losing Temporal loses nothing: a wake is forgotten after a minute and given again.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import asyncpg
import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.asked import AskedLog
from activities.outbox import (
    ORGANISATIONS_PER_POLL,
    STARTS_PER_POLL,
    Outbox,
    QueuedStart,
    UnreadableNotice,
    Waiting,
)
from ledger.errors import DATABASE_LOST
from workflows.messages import (
    MAILBOX_WORKFLOW_TYPE,
    TASK_QUEUE,
    WORKFLOW_TYPES,
    MailboxStart,
    ProcessKind,
    ProcessStart,
    workflow_id,
)

POLL_S = 0.2
POLL_SHARE_MAX = 0.1
"""Where looking takes long, because much is waiting, a longer pause follows: at most this share is spent on it. What is
then to be started is started without a pause."""
WAKE_EVERY_S = 5.0
"""The first notice of a burst is on its way at once; what follows it is gathered for so long into one roster."""
FORGET_S = 60.0
LEADER_RETRY_S = 1.0
RPC_TIMEOUT = timedelta(seconds=5)
CALLS_AT_ONCE = 16
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The pauses after failures in a row; the last one is repeated."""
LEADER_LOCK = 0x78756E6A69647370
log = structlog.get_logger(__name__)


class _TemporalAway(Exception):
    """A call to Temporal failed; the entries stay in the outbox."""


@dataclass(frozen=True, slots=True)
class _Wake:
    """For which notice an organisation's mailbox was woken last, and when."""

    position: int
    at_s: float


class Dispatcher:
    """Polls the outbox. Several processes may run one; the holder of an advisory lock works, the others wait.

    `monotonic` counts seconds; a test may give its own.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        client: Client,
        *,
        task_queue: str = TASK_QUEUE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._client = client
        self._task_queue = task_queue
        self._monotonic = monotonic
        self._woken: dict[tuple[str, bool], _Wake] = {}
        self._below = ""
        self._unstartable: set[UUID] = set()
        self._failures = 0
        self._looked_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. PostgreSQL or Temporal being away is logged once and waited out."""
        while not stop.is_set():
            try:
                async with self._pool.acquire() as connection:
                    await self._lead_when_elected(connection, stop)
            except (_TemporalAway, *DATABASE_LOST) as error:
                if self._failures == 0:
                    log.warning("dispatch.away", problem=type(error.__cause__ or error).__name__)
                pause = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
                self._failures += 1
                await _pause(stop, pause)

    async def _lead_when_elected(self, connection: Any, stop: asyncio.Event) -> None:
        """Hold the lock and work until `stop`; return after a moment if another process holds it."""
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
            await _pause(stop, LEADER_RETRY_S)
            return
        try:
            # All queries go over the connection that holds the lock: when it breaks, so does the leadership.
            outbox = Outbox(connection)
            while not stop.is_set():
                if not await self.poll(outbox):
                    await _pause(stop, max(POLL_S, self._looked_s / POLL_SHARE_MAX - self._looked_s))
        finally:
            # A pool may keep the connection without resetting it.
            with contextlib.suppress(*DATABASE_LOST):
                await connection.execute("SELECT pg_advisory_unlock($1)", LEADER_LOCK)

    async def poll(self, outbox: Outbox) -> bool:
        """Look at the outbox, and at what was asked for, once: start what is to be started, wake whom something waits
        for. Whether more is to be started at once.
        """
        began_s = self._monotonic()
        entries = await outbox.next_starts()
        waiting = await outbox.waiting_organisations(self._below)
        self._below = waiting[-1].organisation if len(waiting) == ORGANISATIONS_PER_POLL else ""
        waiting = [*waiting, *await AskedLog(outbox.database).waiting()]
        self._looked_s = self._monotonic() - began_s
        errors = await self._wake_mailboxes(waiting)
        started, not_started = await self._start_processes(outbox, entries)
        errors += not_started
        if errors:
            raise _TemporalAway from errors[0]
        if self._failures:
            log.info("dispatch.back", failures=self._failures)
            self._failures = 0
        return started >= STARTS_PER_POLL

    # ------------------------------------------------------------------------------------------------ processes

    async def _start_processes(
        self, outbox: Outbox, entries: Sequence[QueuedStart | UnreadableNotice]
    ) -> tuple[int, list[Exception]]:
        starts: list[QueuedStart] = []
        for entry in entries:
            if isinstance(entry, UnreadableNotice) or entry.kind not in get_args(ProcessKind):
                self._report_unstartable(entry.id)
            elif entry.id not in self._unstartable:
                starts.append(entry)
        results = await _gather(self._start(each) for each in starts)
        started = [each.id for each, error in zip(starts, results, strict=True) if error is None]
        if started:
            await outbox.mark_delivered(started)
        for each, error in zip(starts, results, strict=True):
            if _is_refused(error):
                self._report_unstartable(each.id)
        return len(started), _of_temporal(results)

    async def _start(self, start: QueuedStart) -> None:
        kind: ProcessKind = start.kind  # type: ignore[assignment] # it was compared with the kinds
        await self._client.start_workflow(
            WORKFLOW_TYPES[kind],
            ProcessStart(number=start.number, campaign=start.campaign),
            id=workflow_id(kind, start.number),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            # A line that runs already must hear that it has to look again, and so must whoever a decision says.
            start_signal="wake" if start.wake or kind == "quota" else None,
            static_summary=f"{kind} {start.number} · {start.campaign}",
            rpc_timeout=RPC_TIMEOUT,
        )

    def _report_unstartable(self, id_: UUID) -> None:
        """An entry that names no process stays where it is, for somebody to look at, and is reported once."""
        if id_ not in self._unstartable:
            self._unstartable.add(id_)
            log.error("dispatch.unstartable", outbox_id=str(id_))

    # ------------------------------------------------------------------------------------------------ mailboxes

    async def _wake_mailboxes(self, waiting: Sequence[Waiting]) -> list[Exception]:
        now_s = self._monotonic()
        self._woken = {each: wake for each, wake in self._woken.items() if now_s - wake.at_s < 2 * FORGET_S}
        due = [each for each in waiting if self._is_due(each, now_s)]
        results = await _gather(self._wake(each) for each in due)
        for each, error in zip(due, results, strict=True):
            if error is None:
                self._woken[each.organisation, each.asked] = _Wake(each.position, now_s)
            elif _is_refused(error):
                log.error("dispatch.unwakeable", organisation=each.organisation)
        return _of_temporal(results)

    def _is_due(self, waiting: Waiting, now_s: float) -> bool:
        last = self._woken.get((waiting.organisation, waiting.asked))
        if last is None:
            return True
        return now_s - last.at_s >= (FORGET_S if last.position == waiting.position else WAKE_EVERY_S)

    async def _wake(self, waiting: Waiting) -> None:
        """Start the mailbox, or signal the running one when there is something new.

        One that was woken for these notices before is only made sure to run: it may be waiting for its next attempt,
        and a signal would end that wait.
        """
        last = self._woken.get((waiting.organisation, waiting.asked))
        is_new = last is None or last.position != waiting.position
        await self._client.start_workflow(
            MAILBOX_WORKFLOW_TYPE,
            MailboxStart(organisation=waiting.organisation),
            id=workflow_id("mailbox", waiting.organisation),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal="wake" if is_new else None,
            static_summary=f"mailbox of {waiting.organisation}",
            rpc_timeout=RPC_TIMEOUT,
        )


async def _gather(calls: Iterable[Coroutine[Any, Any, None]]) -> list[Exception | None]:
    """Run `calls` to Temporal, CALLS_AT_ONCE together, and give the error of each, None for success.

    After an error those that have not begun are given it too: when Temporal is away, each would take seconds.
    """
    room = asyncio.Semaphore(CALLS_AT_ONCE)
    errors: list[Exception] = []

    async def one(call: Coroutine[Any, Any, None]) -> Exception | None:
        async with room:
            if errors:
                call.close()
                return errors[0]
            try:
                await call
            except (RPCError, RuntimeError) as error:
                # A client that could not even connect raises a RuntimeError.
                if not _is_refused(error):
                    errors.append(error)
                return error
            return None

    return await asyncio.gather(*(one(call) for call in calls))


def _is_refused(error: Exception | None) -> bool:
    """Whether Temporal works and refuses what it was given, which will not change by asking again."""
    return isinstance(error, RPCError) and error.status is RPCStatusCode.INVALID_ARGUMENT


def _of_temporal(errors: Iterable[Exception | None]) -> list[Exception]:
    return [error for error in errors if error is not None and not _is_refused(error)]


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than until `stop` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
