"""Work that takes longer than a request: answered with 202 and an address where its progress is to be seen.

    queued → running → done
                ↕  ↘ failed
             waiting        another part of the system is away; it goes on by itself

An operation is a row in `app.operations`. Whichever API process has its lease carries it out; when that process ends,
another one goes on from what was kept. What an operation does has command ids of its own, so going on changes nothing
twice. Commands that were kept while Temporal was away are operations too; those are carried out by `api/draining.py`,
and very many rows that belong together by `api/rows_together.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid4

import orjson
import structlog
from fastapi import Path, Response
from pydantic import BaseModel, Field

from api import inbox
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import RETRY_AFTER_S, documented, known_problem, not_found
from api.receipts import RowResult
from api.routing import router
from api.services import Services, ServicesHere, allowed
from ledger.errors import DATABASE_LOST

routes = router("/v1/operations", "operations")
LEASE: Final = timedelta(seconds=30)
PAUSE_S: Final = 2.0
"""How often a process looks for work that nobody in it has announced."""

RETRY_S: Final = 5.0
"""How long an operation waits when a part of the system is away."""

MAX_ATTEMPTS: Final = 20
"""So often a defect may end the process's attempt before the operation counts as failed. An outage is no attempt."""

RETENTION: Final = timedelta(days=7)
SWEEP_ROWS: Final = 1_000

State = Literal["queued", "running", "waiting", "done", "failed"]
Reader = Annotated[Caller, allowed("operations:read")]
IdInPath = Annotated[UUID, Path(description="The operation's id.")]
log = structlog.get_logger(__name__)


class Progress(BaseModel):
    """How much is done, in rows."""

    done: int
    total: int


class OperationOut(BaseModel):
    """Work that goes on after its request was answered. The state may get further values."""

    id: UUID
    kind: str = Field(examples=["nomination-import"])
    state: State
    progress: Progress
    result: str | None = Field(description="Where to read what came of it.")
    error: str | None = Field(description="Why it waits or has failed: the slug of a problem type.")
    created_at: datetime
    finished_at: datetime | None
    outcome: RowResult | None = Field(
        default=None, description="Of a single command that was kept: what its request would have been answered with."
    )


class Away(Exception):
    """A part of the system is away; the operation goes on later. `slug` is the problem type."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


class LeaseLost(Exception):
    """Another process has taken the operation over."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to carry out an operation, for as long as it is renewed."""

    operation: UUID
    kind: str
    lease: UUID
    total: int
    attempts: int


Worker = Callable[[Services, Lease], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Operations:
    """Carries out operations in this process, one after the other. `workers` are by kind."""

    workers: Mapping[str, Worker]

    async def run_for_ever(self, services: Services) -> None:
        """Look for operations and carry them out, until cancelled."""
        while True:
            try:
                while await self.run_one(services):
                    pass
                await sweep(services)
            except DATABASE_LOST as error:
                log.warning("operations_not_read", cause=type(error).__name__)
            services.work_announced.clear()
            try:
                async with asyncio.timeout(PAUSE_S):
                    await services.work_announced.wait()
            except TimeoutError:
                continue

    async def run_one(self, services: Services) -> bool:
        """Carry out the oldest operation that nobody does; False when there is none."""
        row = await services.pool.fetchrow(_CLAIM, list(self.workers), LEASE, uuid4())
        if row is None:
            return False
        lease = Lease(row["id"], row["kind"], row["lease"], row["total"], row["attempts"])
        renewing = asyncio.create_task(_renew_for_ever(services, lease), name="api.renew_lease")
        try:
            await self.workers[lease.kind](services, lease)
        except LeaseLost:
            log.warning("operation_taken_over", operation=str(lease.operation))
        except Away as away:
            await _wait(services, lease, away.slug)
        except Exception as error:
            # The edge of the operation: whatever happens, it gets a state.
            await _give_back(services, lease, error)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        return True


async def begin(connection: Any, id_: UUID, organisation: str, kind: str, total: int) -> bool:
    """Queue an operation, in the transaction of `connection`; False when it is there already."""
    status: str = await connection.execute(_INSERT, id_, organisation, kind, total)
    return status.endswith(" 1")


async def advance(connection: Any, lease: Lease, done: int) -> None:
    """Say how far it is, and keep the lease. Raises LeaseLost."""
    _require(await connection.execute(_ADVANCE, lease.operation, lease.lease, done, LEASE))


async def finish(connection: Any, lease: Lease, failure: str | None = None) -> None:
    """It is done, or has failed with the problem of this slug. Raises LeaseLost."""
    _require(await connection.execute(_FINISH, lease.operation, lease.lease, failure))


def _require(status: str) -> None:
    if not status.endswith(" 1"):
        raise LeaseLost


async def _renew_for_ever(services: Services, lease: Lease) -> None:
    """Keep the lease while one step takes long, for instance because every command waits for a worker."""
    while True:
        await asyncio.sleep(LEASE.total_seconds() / 3)
        try:
            await services.pool.execute(_RENEW, lease.operation, lease.lease, LEASE)
        except DATABASE_LOST as error:
            log.warning("lease_not_renewed", operation=str(lease.operation), cause=type(error).__name__)


async def _wait(services: Services, lease: Lease, slug: str) -> None:
    await services.pool.execute(_WAIT, lease.operation, lease.lease, slug, timedelta(seconds=RETRY_S))


async def _give_back(services: Services, lease: Lease, error: Exception) -> None:
    problem = known_problem(error)
    if problem is not None and problem.type.status == 503:
        await _wait(services, lease, problem.type.slug)
        return
    # The text of an unforeseen error may repeat a cell.
    log.error("operation_broken", operation=str(lease.operation), kind=lease.kind, error=type(error).__name__)
    if lease.attempts >= MAX_ATTEMPTS:
        await services.pool.execute(_FAIL, lease.operation, lease.lease, "internal-error")
    else:
        await _wait(services, lease, "internal-error")


async def sweep(services: Services) -> None:
    """Forget at most SWEEP_ROWS operations that ended longer than RETENTION ago, with what belongs to them."""
    await services.pool.execute(_SWEEP, RETENTION, SWEEP_ROWS)


@routes.get(
    "/{operation}",
    operation_id="get_operation",
    summary="Read an operation's progress",
    response_model=OperationOut,
    responses=documented(404),
)
async def get_operation(operation: IdInPath, caller: Reader, services: ServicesHere, response: Response) -> Any:
    """How far it is. Ask again after `Retry-After` until the state is done or failed. Kept for 7 days."""
    shown = await show(services, caller, operation)
    if shown.finished_at is None:
        response.headers["Retry-After"] = str(RETRY_AFTER_S if shown.state == "waiting" else 1)
    return shown


async def show(services: Services, caller: Caller, operation: UUID) -> OperationOut:
    """One of the caller's own operations. Raises Problem `unknown-number`."""
    row = await services.own_rows(caller).fetchrow(_SELECT, operation, caller.organisation)
    if row is None:
        raise not_found("operation", str(operation))
    return OperationOut(
        id=row["id"],
        kind=row["kind"],
        state=row["state"],
        progress=Progress(done=row["done"], total=row["total"]),
        result=f"/v1/operations/{row['id']}/rows" if row["kind"] in inbox.KINDS else f"/v1/{row['kind']}s/{row['id']}",
        error=row["error"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        outcome=_outcome(0, row["outcome"]) if row["outcome"] else None,
    )


@routes.get(
    "/{operation}/rows",
    operation_id="list_operation_rows",
    summary="Read what came of commands that were kept",
    responses=documented(404),
)
async def list_operation_rows(
    operation: IdInPath, caller: Reader, services: ServicesHere, window: WindowHere
) -> Page[RowResult]:
    """A result for each row that was kept: 202 until it was handled, then what it would have come to at once."""
    own = services.own_rows(caller)
    kind = await own.fetchval(_KIND, operation, caller.organisation)
    if kind not in inbox.KINDS:
        raise not_found("operation with kept commands", str(operation))
    after = int(window.after) if window.after.isdecimal() and len(window.after) < 10 else -1
    rows = await own.fetch(_ROWS, operation, after, window.limit + 1)
    page = rows[: window.limit]
    more = str(page[-1]["place"]) if len(rows) > window.limit else None
    return Page(items=[_outcome(row["place"], row["outcome"]) for row in page], next=next_cursor(more))


def _outcome(index: int, outcome: str | None) -> RowResult:
    return RowResult.model_validate({"status": 202} | (orjson.loads(outcome) if outcome else {}) | {"index": index})


_SELECT: Final = """
SELECT id, kind, state, done, total, error, created_at, finished_at,
       (SELECT outcome::text FROM app.inbox WHERE operation = o.id AND item IS NULL) AS outcome
FROM app.operations AS o WHERE id = $1 AND organisation = $2
"""
_KIND: Final = "SELECT kind FROM app.operations WHERE id = $1 AND organisation = $2"
_ROWS: Final = """
SELECT coalesce(item, 0) AS place, outcome::text AS outcome FROM app.inbox
WHERE operation = $1 AND coalesce(item, 0) > $2 ORDER BY coalesce(item, 0) LIMIT $3
"""
_INSERT: Final = """
INSERT INTO app.operations (id, organisation, kind, total) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING
"""
_CLAIM: Final = """
UPDATE app.operations SET state = 'running', error = NULL, lease = $3, leased_until = clock_timestamp() + $2::interval,
       attempts = attempts + CASE WHEN state = 'waiting' AND error <> 'internal-error' THEN 0 ELSE 1 END
WHERE id = (
    SELECT id FROM app.operations
    WHERE finished_at IS NULL AND kind = ANY ($1) AND (leased_until IS NULL OR leased_until < clock_timestamp())
    ORDER BY created_at FOR UPDATE SKIP LOCKED LIMIT 1
) RETURNING id, kind, lease, total, attempts
"""
_ADVANCE: Final = """
UPDATE app.operations SET done = $3, leased_until = clock_timestamp() + $4::interval WHERE id = $1 AND lease = $2
"""
_RENEW: Final = """
UPDATE app.operations SET leased_until = clock_timestamp() + $3::interval WHERE id = $1 AND lease = $2
"""
_FINISH: Final = """
UPDATE app.operations SET state = CASE WHEN $3::text IS NULL THEN 'done' ELSE 'failed' END, done = total, error = $3,
       finished_at = clock_timestamp(), lease = NULL
WHERE id = $1 AND lease = $2
"""
_WAIT: Final = """
UPDATE app.operations SET state = 'waiting', error = $3, leased_until = clock_timestamp() + $4::interval, lease = NULL
WHERE id = $1 AND lease = $2
"""
_FAIL: Final = """
UPDATE app.operations SET state = 'failed', error = $3, finished_at = clock_timestamp(), lease = NULL
WHERE id = $1 AND lease = $2
"""
_SWEEP: Final = """
DELETE FROM app.operations WHERE id IN (
    SELECT id FROM app.operations WHERE finished_at < clock_timestamp() - $1::interval LIMIT $2)
"""
