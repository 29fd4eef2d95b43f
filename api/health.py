"""Whether the process lives, and whether everything that it needs is there."""

import asyncio
from typing import Final, Literal

from pydantic import BaseModel, Field

from api import inbox, problem_types
from api.problems import RETRY_AFTER_S, Problem, documented
from api.routing import public_router
from api.services import Services, ServicesHere
from api.validation import Fault
from ledger.errors import DATABASE_LOST
from projections import checkpoints

routes = public_router("/v1", "health")
MAX_LAG: Final = 10_000
"""Events that the views may be behind before the process calls itself not ready."""

DATABASE_TIMEOUT_S: Final = 5.0
Part = Literal["temporal", "workers"]


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class KeptCommands(BaseModel):
    """Commands that wait in the inbox, and for how long the oldest of them has."""

    count: int
    oldest_seconds: float | None


class Readiness(BaseModel):
    """Requests are served. `degraded`: what is `away` is missed, so commands are kept and answered 202.

    `lag` is how many events the views have not read yet, by book; `lag_seconds` is how long the oldest of them has been
    waiting, where its id says when it was made.
    """

    status: Literal["ready", "degraded"]
    away: list[Part] = Field(description="`workers`: none has asked for work for more than a minute.")
    kept: KeptCommands
    lag: dict[str, int]
    lag_seconds: dict[str, float | None]
    parked: int


@routes.get("/healthz", operation_id="get_health", summary="Does the process live?")
async def get_health() -> Health:
    """Always, if it answers."""
    return Health(status="ok")


@routes.get("/readyz", operation_id="get_readiness", summary="Is everything there?", responses=documented())
async def get_readiness(services: ServicesHere) -> Readiness:
    """200 while requests can be served, also without Temporal or workers: `away` names them and `kept` counts the
    commands that wait. 503 without the database with its schema, with a full inbox, or with views that are far behind.
    """
    state, away = await asyncio.gather(_database(services), _away(services))
    if state is None:
        raise Problem(problem_types.DATABASE_AWAY, _DATABASE, headers={"Retry-After": str(RETRY_AFTER_S)})
    books, kept = state
    lag = {each.book: each.lag for each in books}
    if any(each > MAX_LAG for each in lag.values()):
        raise Problem(problem_types.VIEWS_BEHIND, _BEHIND, headers={"Retry-After": str(RETRY_AFTER_S)})
    if kept.count >= inbox.MAX_KEPT:
        raise inbox.full()
    return Readiness(
        status="degraded" if away else "ready",
        away=away,
        kept=KeptCommands(count=kept.count, oldest_seconds=kept.oldest_s),
        lag=lag,
        lag_seconds={each.book: each.lag_seconds for each in books},
        parked=sum(each.parked for each in books),
    )


async def _away(services: Services) -> list[Part]:
    if not await services.temporal.is_healthy():
        return ["temporal"]
    return [] if await services.temporal.has_workers(services.settings.task_queue) else ["workers"]


async def _database(services: Services) -> tuple[list[checkpoints.BookStatus], inbox.Waiting] | None:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            return await checkpoints.status(services.pool), await inbox.waiting(services.pool)
    except DATABASE_LOST:
        return None


_DATABASE = Fault(
    "database_unavailable",
    "The database does not answer, or its schema is missing.",
    "数据库没有响应，或尚未建立结构。",
    "Check DATABASE_URL and the server; `xunji migrate` makes the schema.",
    "请检查 DATABASE_URL 和数据库服务；`xunji migrate` 建立结构。",
)
_BEHIND = Fault(
    "views_behind",
    f"The views are more than {MAX_LAG} events behind.",
    f"视图落后超过 {MAX_LAG} 个事件。",
    "Check that a worker runs; `xunji ledger lag` shows how far they are.",
    "请检查 worker 是否运行；`xunji ledger lag` 显示进度。",
)
