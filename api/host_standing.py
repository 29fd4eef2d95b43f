"""承训单位动态管理: a named person of the bureau suspends a host, or lets it plan classes again, with reasons."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.conditional import SeenHere, etag
from api.idempotency import Answer, OnceHere
from api.institutions import InstitutionId, recording_of
from api.permissions import Caller
from api.problems import documented, not_found, refused
from api.receipts import Day
from api.routing import router
from api.services import Services, ServicesHere, allowed
from domain import calendar, institution_standing
from domain.decision import Refusal
from domain.institution_standing import Institution
from domain.trainee_messages import Code, Text

routes = router("/v1/institutions", "institutions")

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
        host = await _host(services, institution)
        decided = institution_standing.suspend(
            host,
            body.until,
            calendar.local_date(await services.clock.now()),
            by=str(caller.actor),
            decided_by=body.decided_by,
            reasons=body.reasons,
            document=body.document,
        )
        if isinstance(decided, Refusal):
            raise refused(decided)
        recording = await recording_of(services, once, seen)
        version = await services.registry.record_decision(institution, decided, recording)
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
        recording = await recording_of(services, once, seen)
        # A repetition is decided as it was the first time.
        host = await _host(services, institution, aside_from=recording.command_id)
        decided = institution_standing.reinstate(
            host, by=str(caller.actor), decided_by=body.decided_by, reasons=body.reasons
        )
        if isinstance(decided, Refusal):
            raise refused(decided)
        version = await services.registry.record_decision(institution, decided, recording)
        shown = StandingOut(host=institution, suspended=False, until=None)
        return Answer(shown, headers={"ETag": etag(version)})

    return await once.answer(run)


async def _host(services: Services, institution: str, aside_from: UUID | None = None) -> Institution:
    standing = await services.registry.standing(institution, aside_from)
    if standing is None or standing.kind != "host":
        raise not_found("host", institution)
    return standing
