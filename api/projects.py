"""Projects 培训项目: the project types of every campaign, with what each asks for and the hosts that may run it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query
from pydantic import Field

from api.campaigns import ProjectTypeOut
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import documented
from api.receipts import CampaignId
from api.routing import router
from api.services import Services, ServicesHere, allowed
from domain.plan import LevelId, Plan
from projections import campaigns as view

routes = router("/v1/projects", "projects")
CAMPAIGNS_AT_ONCE = 100
Reader = Annotated[Caller, allowed("campaigns:read")]


class ProjectOut(ProjectTypeOut):
    """A project type of one campaign. Quotas, nominations and classes name both: `campaign` and, as theirs, `id`."""

    campaign: str
    hosts: list[str] = Field(description="The hosts of its level, by the plan; one that was removed later stays named.")


@routes.get("", operation_id="list_projects", summary="List projects", responses=documented())
async def list_projects(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    campaign: Annotated[CampaignId | None, Query()] = None,
    level: Annotated[LevelId | None, Query()] = None,
) -> Page[ProjectOut]:
    """The project types of every campaign that was opened, by campaign and id; whoever takes part may see them."""
    beginning, _, last = window.after.partition(":")
    found: list[ProjectOut] = []
    async for plan in _plans(services, caller, campaign, beginning):
        for project in _projects(plan):
            if (level is None or project.level == level) and (plan.id, project.id) > (beginning, last):
                found.append(project)
        if len(found) > window.limit:
            break
    page = found[: window.limit]
    more = f"{page[-1].campaign}:{page[-1].id}" if len(found) > window.limit else None
    return Page(items=page, next=next_cursor(more))


def _projects(plan: Plan) -> list[ProjectOut]:
    return [
        ProjectOut(
            **ProjectTypeOut.model_validate(each, from_attributes=True).model_dump(),
            campaign=plan.id,
            hosts=[host.id for host in plan.hosts_of(each.level)],
        )
        for each in sorted(plan.project_types, key=lambda each: each.id)
    ]


async def _plans(services: Services, caller: Caller, campaign: str | None, beginning: str) -> AsyncIterator[Plan]:
    """The plans of the campaigns from the id `beginning` on, or of one campaign, as far as they were opened."""
    own, first = services.own_rows(caller), campaign or beginning
    if first and await view.get(own, first) is not None:
        yield await services.plans.by_campaign(first)
    if campaign is not None:
        return
    after: str | None = beginning
    while after is not None:
        page = await view.page(own, after=after, limit=CAMPAIGNS_AT_ONCE)
        for row in page.items:
            yield await services.plans.by_campaign(row.id)
        after = page.next
