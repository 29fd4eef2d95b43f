"""The application's time; and, in a demo only, how it passes."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from api import problem_types
from api.idempotency import Answer, OnceHere
from api.permissions import Caller
from api.problems import Problem, documented
from api.receipts import Instant
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from clock import advance_cap, set_speed
from domain.calendar import SHANGHAI

routes = router("/v1/clock", "clock")
Reader = Annotated[Caller, allowed("clock:read")]
Driver = Annotated[Caller, allowed("clock:write")]


class ClockOut(BaseModel):
    """The application's time. `date` is the day in Asia/Shanghai."""

    now: datetime
    date: str = Field(examples=["2022-08-25"])
    mode: Literal["system", "demo"]


class Advance(BaseModel):
    """Up to which instant time may pass. An earlier one than before changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: Instant


class Speed(BaseModel):
    """How fast time passes, in days per real second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days_per_second: Annotated[float, Field(ge=1e-6, le=1_000, allow_inf_nan=False)]


class Advanced(BaseModel):
    """Where time will stand still next."""

    until: datetime


@routes.get("", operation_id="get_clock", summary="Read the application's time", responses=documented())
async def get_clock(caller: Reader, services: ServicesHere) -> ClockOut:
    """Real time, or the demo's."""
    now = await services.clock.now()
    return ClockOut(now=now, date=now.astimezone(SHANGHAI).date().isoformat(), mode=services.settings.clock)


@routes.post(
    "/advance",
    operation_id="advance_clock",
    summary="Let the demo's time pass",
    response_model=Advanced,
    responses=documented(400, 409, 413, 415),
)
async def advance_clock(body: Advance, caller: Driver, services: ServicesHere, once: OnceHere) -> Response:
    """Time passes at its speed up to the instant and then stands still. It never goes back."""

    async def run() -> Answer:
        _require_demo(services)
        async with services.pool.acquire() as connection:
            until = await advance_cap(connection, body.until)
        return Answer(Advanced(until=until.astimezone(UTC)).model_dump(mode="json"))

    return await once.answer(run)


@routes.post(
    "/speed",
    operation_id="set_clock_speed",
    summary="Set the demo's speed",
    response_model=Speed,
    responses=documented(400, 409, 413, 415),
)
async def set_clock_speed(body: Speed, caller: Driver, services: ServicesHere, once: OnceHere) -> Response:
    """What has passed stays; from now on time passes so fast."""

    async def run() -> Answer:
        _require_demo(services)
        async with services.pool.acquire() as connection:
            await set_speed(connection, body.days_per_second)
        return Answer(body.model_dump())

    return await once.answer(run)


def _require_demo(services: Services) -> None:
    if services.settings.clock == "demo":
        return
    fault = Fault(
        "clock_is_real",
        "This system runs on real time, which nobody moves.",
        "本系统使用真实时间，不能调整。",
        "Only the demo has a clock that can be moved (XUNJI_CLOCK=demo).",
        "只有演示环境的时钟可以调整（XUNJI_CLOCK=demo）。",
    )
    raise Problem(problem_types.CLOCK_IS_REAL, fault)
