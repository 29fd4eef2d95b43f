"""承训单位动态管理: a named person of the bureau suspends a host, or lets it plan classes again, with reasons."""

from datetime import date
from typing import Annotated, Final

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.conditional import SeenHere, etag
from api.idempotency import Answer, OnceHere
from api.institutions import InstitutionId, recording_of
from api.permissions import Caller
from api.problems import documented, not_found, refused
from api.receipts import Day
from api.registry import notice_entry
from api.routing import router
from api.services import Services, ServicesHere, allowed
from domain import calendar
from domain.institution import HostReinstated, HostSuspended
from domain.numbers import suspension_key
from domain.refusals import refuse
from domain.trainee_messages import Code, Text
from ledger.types import BlockClaim, UnblockClaim

routes = router("/v1/institutions", "institutions")
OWNER: Final = "bureau"
OPEN_END: Final = date(2100, 1, 1)
"""Stands for a suspension that lasts until it is lifted."""

Overseer = Annotated[Caller, allowed("institutions:suspend")]
InPath = Annotated[InstitutionId, Path(description="The host's id.")]


class Suspension(BaseModel):
    """Why, on which document, and until when (exclusive); without an end it lasts until the host is reinstated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decided_by: Code
    reasons: Text
    document: Text
    until: Day | None = None


class Reinstatement(BaseModel):
    """Why the host may plan classes again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decided_by: Code
    reasons: Text


class StandingOut(BaseModel):
    """Whether a host is suspended, and the first day on which it may plan classes again."""

    host: str
    suspended: bool
    until: date | None = Field(description="Null when it is not suspended, or suspended until it is reinstated.")


@routes.post(
    "/{institution}/suspend",
    operation_id="suspend_host",
    summary="Suspend a host",
    response_model=StandingOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def suspend_host(
    *, institution: InPath, caller: Overseer, services: ServicesHere, once: OnceHere, seen: SeenHere, body: Suspension
) -> Response:
    """It plans no class from today on; classes that it has planned go on. A second suspension replaces the first."""

    async def run() -> Answer:
        await _require_host(services, institution)
        now = await services.clock.now()
        today = calendar.local_date(now)
        until = body.until or OPEN_END
        if until <= today:
            raise refused(refuse("dates_out_of_order", field="/until"))
        event = HostSuspended(
            by=str(caller.actor),
            decided_by=body.decided_by,
            reasons=body.reasons,
            document=body.document,
            starts=today,
            until=until,
        )
        key = suspension_key(institution)
        told = notice_entry(institution, event.type, {"until": until.isoformat()})
        claims = (UnblockClaim(key, OWNER), BlockClaim(key, OWNER, today, until))
        recording = await recording_of(services, once, seen)
        version = await services.registry.record(institution, event, recording, claims=claims, outbox=(told,))
        shown = StandingOut(host=institution, suspended=True, until=body.until)
        return Answer(shown, headers={"ETag": etag(version)})

    return await once.answer(run)


@routes.post(
    "/{institution}/reinstate",
    operation_id="reinstate_host",
    summary="Reinstate a host",
    response_model=StandingOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def reinstate_host(
    *,
    institution: InPath,
    caller: Overseer,
    services: ServicesHere,
    once: OnceHere,
    seen: SeenHere,
    body: Reinstatement,
) -> Response:
    """It may plan classes again at once."""

    async def run() -> Answer:
        await _require_host(services, institution)
        recording = await recording_of(services, once, seen)
        if not await services.registry.is_suspended(institution, aside_from=recording.command_id):
            raise refused(refuse("not_suspended", host=institution))
        event = HostReinstated(by=str(caller.actor), decided_by=body.decided_by, reasons=body.reasons)
        told = notice_entry(institution, event.type, {})
        claims = (UnblockClaim(suspension_key(institution), OWNER),)
        version = await services.registry.record(institution, event, recording, claims=claims, outbox=(told,))
        shown = StandingOut(host=institution, suspended=False, until=None)
        return Answer(shown, headers={"ETag": etag(version)})

    return await once.answer(run)


async def _require_host(services: Services, institution: str) -> None:
    registered = await services.registry.find(institution)
    if registered is None or registered.kind != "host":
        raise not_found("host", institution)
