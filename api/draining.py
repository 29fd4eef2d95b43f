"""Handles what the inbox has kept, as soon as Temporal and the workers are back.

    wait ──something is kept──▶ take the lease ──▶ send what may be sent, at most BATCH at once ──▶ write the outcomes
     ▲                                ▲                          │                                          │
     └────────nothing is left─────────┴───────pause──────────────┴──no answer from anybody──────────────────┘

One process at a time drains: whoever has the lease, which another one takes over when it has run out. What may be sent
is the oldest command of each process that is also of its organisation's oldest request: requests of one organisation
are handled in their order, those of several beside each other. Sending a command a second time changes nothing.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import structlog

from api import problem_types
from api.commands import Unanswered
from api.inbox import KIND, MAX_AGE, OWN_FAILURES
from api.problems import Problem, internal_error
from api.receipts import receipt_body
from api.services import Services
from api.validation import Fault
from ledger.errors import DATABASE_LOST
from secrets_box import SecretBroken
from workflows.messages import Receipt

LEASE: Final = timedelta(seconds=15)
LOOK_S: Final = 2.0
"""How often a process looks for what others have kept, or whether the one that drains is gone."""

BATCH: Final = 64
CONCURRENT: Final = 16
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses after batches in a row without any answer; the last one is repeated."""

RETRIES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Pauses of a command that fails while others are carried out; the last one is repeated."""

MAX_DEFECTS: Final = 5
"""A command that meets a failure of ours so often is given up, with that failure as its outcome."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is to be handled now."""

    position: int
    command_id: UUID
    operation: UUID
    item: int | None
    request_id: str
    content_sealed: bytes
    attempts: int
    kept_at: datetime
    is_old: bool
    is_revoked: bool


class Drainer:
    """Drains the inbox in this process, when it is its turn."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pool = services.pool
        self._lease = uuid4()
        self._is_mine = False
        self._silences = 0
        self._handled = 0

    async def run_for_ever(self) -> None:
        """Handle what is kept, until cancelled. The database being away is waited out."""
        inbox = self._services.inbox
        while True:
            inbox.announced.clear()
            try:
                while await self._turn():
                    pass
            except DATABASE_LOST as error:
                log.warning("inbox_not_read", cause=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await inbox.announced.wait()

    async def _turn(self) -> bool:
        """One batch, if it is this process's turn; False when there is nothing to do (now, or for this process)."""
        if not await self._pool.fetchval(_ANYTHING):
            return False
        self._services.inbox.notice()
        if not await self._take_lease():
            return False
        renewing = asyncio.create_task(self._renew_for_ever(), name="api.renew_inbox_lease")
        try:
            return await self.drain()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def drain(self) -> bool:
        """Handle one batch; False when nothing may be sent now."""
        rows = await self._pool.fetch(_NEXT, OWN_FAILURES, MAX_AGE, BATCH if not self._silences else 1)
        if not rows:
            return False
        entries = [Entry(**row) for row in rows]
        answered = await self._handle_all(entries)
        if answered:
            self._handled += answered
            self._silences = 0
            await self._say_when_empty()
            return True
        pause_s = PAUSES_S[min(self._silences, len(PAUSES_S) - 1)]
        self._silences += 1
        await asyncio.sleep(pause_s)
        return True

    async def _handle_all(self, entries: Sequence[Entry]) -> int:
        """Handle a batch; how many got an outcome."""
        room = asyncio.Semaphore(CONCURRENT)

        async def one(entry: Entry) -> str:
            async with room:
                return await self._handle(entry) if self._is_mine else problem_types.STILL_WORKING.slug

        results = await asyncio.gather(*(one(each) for each in entries), return_exceptions=True)
        slugs: list[str] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            slugs.append(result)
        answered = sum(not slug for slug in slugs)
        silent = [(entry, slug) for entry, slug in zip(entries, slugs, strict=True) if slug]
        if not self._is_mine:
            log.warning("inbox_taken_over", handled=answered)
            return answered
        if silent and await self._is_own_failure(answered, silent[0][1]):
            for entry, slug in silent:
                pause_s = RETRIES_S[min(entry.attempts, len(RETRIES_S) - 1)]
                await self._pool.execute(_FAILED, entry.position, slug, timedelta(seconds=pause_s))
        elif silent:
            await self._pool.execute(_AWAY, KIND, silent[0][1])
            if not self._silences:
                log.warning("inbox_waits", problem=silent[0][1])
        return answered

    async def _is_own_failure(self, answered: int, slug: str) -> bool:
        """Whether a command without an answer is alone with that: others are answered, or could be."""
        if answered:
            return True
        if slug == problem_types.TEMPORAL_AWAY.slug:
            return False
        return await self._services.temporal.has_workers(self._services.settings.task_queue)

    async def _handle(self, entry: Entry) -> str:
        """Give a command its outcome; the slug of what keeps it waiting when it has none yet."""
        if entry.is_old:
            return await self._finish(entry, _problem(problem_types.NOT_CARRIED_OUT, _TOO_OLD))
        if entry.is_revoked:
            return await self._finish(entry, _problem(problem_types.UNAUTHENTICATED, _REVOKED))
        try:
            delivery = self._services.inbox.opened(entry.command_id, entry.content_sealed)
        except SecretBroken:
            log.error("kept_command_unreadable", position=entry.position)
            return problem_types.INTERNAL.slug
        try:
            receipt = await self._services.commands.deliver(delivery)
        except Unanswered as error:
            return error.slug
        except Problem as problem:
            if problem.type.status >= 500 and entry.attempts + 1 < MAX_DEFECTS:
                return problem.type.slug
            return await self._finish(entry, problem)
        except Exception as error:
            # The edge of the command: whatever happens, it gets an outcome, and the others go on.
            log.error("kept_command_broken", position=entry.position, error=type(error).__name__)
            if entry.attempts + 1 < MAX_DEFECTS:
                return problem_types.INTERNAL.slug
            return await self._finish(entry, internal_error())
        return await self._finish(entry, receipt, is_new=delivery.target.new)

    async def _finish(self, entry: Entry, came_to: Receipt | Problem, *, is_new: bool = False) -> str:
        outcome: dict[str, Any]
        if isinstance(came_to, Problem):
            origin = self._services.settings.public_url
            prefix = "" if entry.item is None else f"/items/{entry.item}"
            document = came_to.document(origin, entry.request_id, prefix)
            outcome = {"status": document["status"], "problem": document}
        else:
            receipt = receipt_body(came_to)
            outcome = {"status": 201 if is_new else 200, "number": receipt["number"], "receipt": receipt}
        problem = came_to.type.slug if isinstance(came_to, Problem) else None
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, entry.operation)
            # Whoever was first has given the outcome; a process that was taken over adds nothing.
            if await connection.fetchval(_FINISH, entry.position, orjson.dumps(outcome).decode(), problem):
                await connection.execute(_ADVANCE, entry.operation)
        return ""

    async def _take_lease(self) -> bool:
        """Take the lease, or keep it; False when another process has it."""
        self._is_mine = await self._pool.fetchval(_TAKE_LEASE, self._lease, LEASE) is not None
        return self._is_mine

    async def give_up_lease(self) -> None:
        """Let another process go on at once, because this one ends."""
        with contextlib.suppress(*DATABASE_LOST):
            await self._pool.execute(_END_LEASE, self._lease)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                await self._take_lease()
            except DATABASE_LOST as error:
                log.warning("inbox_lease_not_renewed", cause=type(error).__name__)

    async def _say_when_empty(self) -> None:
        if not await self._pool.fetchval(_ANYTHING):
            log.info("inbox_drained", handled=self._handled)
            self._handled = 0


def _problem(type_: problem_types.ProblemType, fault: Fault) -> Problem:
    return Problem(type_, fault)


_ANYTHING: Final = "SELECT EXISTS (SELECT FROM app.inbox WHERE finished_at IS NULL)"
_TAKE_LEASE: Final = """
UPDATE app.inbox_lease SET lease = $1, leased_until = clock_timestamp() + $2::interval
WHERE lease = $1 OR leased_until < clock_timestamp() RETURNING true
"""
_END_LEASE: Final = "UPDATE app.inbox_lease SET leased_until = '-infinity' WHERE lease = $1"
# A command that keeps failing by itself no longer counts as its organisation's oldest request.
_NEXT: Final = """
WITH kept AS (
    SELECT position, process, organisation, operation, attempts, not_before FROM app.inbox WHERE finished_at IS NULL
), oldest AS (
    SELECT DISTINCT ON (organisation) organisation, operation FROM kept WHERE attempts < $1
    ORDER BY organisation, position
), first AS (
    SELECT DISTINCT ON (process) position, organisation, operation, attempts, not_before FROM kept
    ORDER BY process, position
)
SELECT i.position, i.command_id, i.operation, i.item, i.request_id, i.content_sealed, i.attempts, i.kept_at,
       i.kept_at < clock_timestamp() - $2::interval AS is_old, k.revoked_at IS NOT NULL AS is_revoked
FROM first f LEFT JOIN oldest o ON o.organisation = f.organisation
JOIN app.inbox i ON i.position = f.position LEFT JOIN app.api_keys k ON k.key_id = i.key_id
WHERE (f.attempts >= $1 OR f.operation = o.operation) AND f.not_before <= clock_timestamp()
ORDER BY f.position LIMIT $3
"""
_FAILED: Final = """
UPDATE app.inbox SET attempts = attempts + 1, problem = $2, not_before = clock_timestamp() + $3::interval
WHERE position = $1 AND finished_at IS NULL
"""
_AWAY: Final = """
UPDATE app.operations SET state = 'waiting', error = $2
WHERE kind = $1 AND finished_at IS NULL AND error IS DISTINCT FROM $2
"""
_FINISH: Final = """
UPDATE app.inbox SET outcome = $2::jsonb, problem = $3, finished_at = clock_timestamp(), content_sealed = NULL
WHERE position = $1 AND finished_at IS NULL RETURNING true
"""
_LOCK: Final = "SELECT FROM app.operations WHERE id = $1 FOR UPDATE"
# What was given up makes the operation fail, what was refused does not: a refusal is an answer.
_ADVANCE: Final = """
UPDATE app.operations AS o SET done = done + 1, finished_at = CASE WHEN done + 1 >= total THEN clock_timestamp() END,
       state = CASE WHEN done + 1 < total THEN 'running' WHEN failure IS NULL THEN 'done' ELSE 'failed' END,
       error = CASE WHEN done + 1 >= total THEN failure END
FROM (SELECT min(problem) AS failure FROM app.inbox
      WHERE operation = $1 AND (outcome ->> 'status')::integer >= 500) AS given_up
WHERE o.id = $1
"""
_TOO_OLD: Final = Fault(
    "waited_too_long",
    f"The command has waited for {MAX_AGE.days} days for a part of the system that was away. It was given up.",
    f"系统部分不可用，命令已等待 {MAX_AGE.days} 天，现已放弃执行。",
    "Look whether it is still wanted and send it as a new request. Operators: /v1/readyz says what is away.",
    "请确认是否仍需执行，并作为新请求重新提交。运维：/v1/readyz 显示何处不可用。",
)
_REVOKED: Final = Fault(
    "key_revoked",
    "The key with which the command was sent was revoked before it could be carried out.",
    "提交该命令的密钥在执行前已被吊销。",
    "Send it again with a valid key if it is still wanted.",
    "如仍需执行，请用有效密钥重新提交。",
)
