"""Whether the process lives, and whether everything that it needs is there."""

import asyncio
from typing import Final, Literal

import asyncpg
from pydantic import BaseModel

from api import problem_types
from api.problems import RETRY_AFTER_S, Problem, documented
from api.routing import public_router
from api.services import Services, ServicesHere
from api.validation import Fault
from projections import checkpoints

routes = public_router("/v1", "health")
MAX_LAG: Final = 10_000
"""Events that the views may be behind before the process calls itself not ready."""

DATABASE_TIMEOUT_S: Final = 5.0


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Everything is there. `lag` is how many events the views have not read yet, by book.

    `lag_seconds` is how long the oldest of them has been waiting, where its id says when it was made.
    """

    status: Literal["ready"]
    lag: dict[str, int]
    lag_seconds: dict[str, float | None]
    parked: int


@routes.get("/healthz", operation_id="get_health", summary="Does the process live?")
async def get_health() -> Health:
    """Always, if it answers."""
    return Health(status="ok")


@routes.get("/readyz", operation_id="get_readiness", summary="Is everything there?", responses=documented())
async def get_readiness(services: ServicesHere) -> Readiness:
    """The database with its schema, Temporal, and views that are not far behind; else 503 with what is missing."""
    books, temporal_is_there = await asyncio.gather(_books(services), services.temporal.is_healthy())
    faults: list[Fault] = []
    if books is None:
        faults.append(_DATABASE)
    if not temporal_is_there:
        faults.append(_TEMPORAL)
    lag = {each.book: each.lag for each in books or ()}
    if any(each > MAX_LAG for each in lag.values()):
        faults.append(_BEHIND)
    if faults:
        type_ = problem_types.DATABASE_AWAY if books is None else problem_types.TEMPORAL_AWAY
        if temporal_is_there and books is not None:
            type_ = problem_types.VIEWS_BEHIND
        raise Problem(type_, *faults, headers={"Retry-After": str(RETRY_AFTER_S)})
    return Readiness(
        status="ready",
        lag=lag,
        lag_seconds={each.book: each.lag_seconds for each in books or ()},
        parked=sum(each.parked for each in books or ()),
    )


async def _books(services: Services) -> list[checkpoints.BookStatus] | None:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            return await checkpoints.status(services.pool)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return None


_DATABASE = Fault(
    "database_unavailable",
    "The database does not answer, or its schema is missing.",
    "数据库没有响应，或尚未建立结构。",
    "Check DATABASE_URL and the server; `xunji migrate` makes the schema.",
    "请检查 DATABASE_URL 和数据库服务；`xunji migrate` 建立结构。",
)
_TEMPORAL = Fault(
    "temporal_unavailable",
    "The Temporal service does not answer.",
    "Temporal 服务没有响应。",
    "Check TEMPORAL_ADDRESS and the server; reading still works.",
    "请检查 TEMPORAL_ADDRESS 和服务；读取不受影响。",
)
_BEHIND = Fault(
    "views_behind",
    f"The views are more than {MAX_LAG} events behind.",
    f"视图落后超过 {MAX_LAG} 个事件。",
    "Check that a worker runs; `xunji ledger lag` shows how far they are.",
    "请检查 worker 是否运行；`xunji ledger lag` 显示进度。",
)
