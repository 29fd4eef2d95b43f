"""Why a nomination stands, and who goes first among those that wait: rules, facts and a declared order in the open."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, Field

from api.nominations import plan_of
from api.permissions import Caller
from api.problems import documented
from api.receipts import CampaignId, TraineeNumber
from api.routing import router
from api.services import ServicesHere, allowed
from domain.explanation import Explanation
from domain.priority import Standing, standings
from domain.trainee_messages import Code
from projections import trainees_in_order as view
from services.explanations import explanation_of

trainee_routes = router("/v1/trainees", "trainees")
routes = router("/v1/nominations", "nominations")

Reader = Annotated[Caller, allowed("trainees:read", "bureau", "county", "school")]
DEFAULT_LIMIT = 100
MAX_LIMIT = 500


class Candidate(BaseModel):
    """A nomination that waits for the county, at its place in the plan's declared order."""

    rank: int = Field(description="1 goes first.")
    number: str
    county: str
    school: str
    stage: str
    subject: str
    submitted_at: datetime
    priority: list[Standing] = Field(description="Each step of the order: of two candidates the smaller place wins.")


class Candidates(BaseModel):
    """Who waits for the county's choice in a project type, in the plan's order. Seats and choice stay the county's."""

    campaign: str
    project_type: str
    waiting: int = Field(description="All that wait, also beyond `limit`.")
    items: list[Candidate]


@trainee_routes.get(
    "/{number}/explanation",
    operation_id="explain_trainee",
    summary="Say why a nomination stands",
    responses=documented(404),
)
async def explain_trainee(
    number: Annotated[TraineeNumber, Path(description="The nomination's number.")],
    caller: Reader,
    services: ServicesHere,
) -> Explanation:
    """Rule version, facts and every rule's verdict at the nomination, and the decisions since; not for hosts."""
    found = await services.cases.trainee(number, caller)
    return await explanation_of(services.plans, number, found.events)


@routes.get(
    "",
    operation_id="list_candidates",
    summary="List who waits for the county, in the declared order",
    responses=documented(),
)
async def list_candidates(
    caller: Reader,
    services: ServicesHere,
    campaign: Annotated[CampaignId, Query()],
    project_type: Annotated[Code, Query()],
    county: Annotated[Code | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> Candidates:
    """The caller's nominations of one project type before the county, with the reason of each one's place."""
    plan = await plan_of(services, campaign)
    waiting, rows = await view.waiting(services.own_rows(caller), caller.actor, campaign, project_type, county, limit)
    items = [
        Candidate(
            rank=rank,
            number=row.number,
            county=row.county,
            school=row.school,
            stage=row.stage,
            subject=row.subject,
            submitted_at=row.submitted_at,
            priority=list(standings(plan, tuple(row.priority))),
        )
        for rank, row in enumerate(rows, start=1)
    ]
    return Candidates(campaign=campaign, project_type=project_type, waiting=waiting, items=items)
