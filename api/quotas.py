"""Quotas 名额: the lines of a campaign with what is in use. A county sees its own, the bureau all."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import documented
from api.receipts import CampaignId
from api.routing import router
from api.services import ServicesHere, allowed
from domain.trainee_messages import Code
from projections import quotas as view

routes = router("/v1/quotas", "quotas")
Reader = Annotated[Caller, allowed("quotas:read")]


class QuotaOut(BaseModel):
    """A quota line. `size` = `used` + `left`, from the counter that decides at this moment."""

    campaign: str
    line: str = Field(examples=["gp1:410181"])
    project_type: str
    recipient: str
    issued: int = Field(description="Seats first issued.")
    size: int
    used: int
    left: int
    invented: bool = Field(description="Stands in for the notice's missing annexes.")


@routes.get("", operation_id="list_quotas", summary="List quota lines", responses=documented())
async def list_quotas(
    *,
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    campaign: Annotated[CampaignId, Query()],
    project_type: Annotated[Code | None, Query()] = None,
    recipient: Annotated[Code | None, Query()] = None,
) -> Page[QuotaOut]:
    """The lines by key, each with its size, what is used and what is left."""
    found = await view.page(
        services.pool,
        services.ledger,
        caller.actor,
        campaign,
        project_type=project_type,
        recipient=recipient,
        after=window.after,
        limit=window.limit,
    )
    return Page(items=[_shown(each) for each in found.items], next=next_cursor(found.next))


def _shown(use: view.QuotaUse) -> QuotaOut:
    return QuotaOut(
        campaign=use.quota.campaign,
        line=use.quota.line,
        project_type=use.quota.project_type,
        recipient=use.quota.recipient,
        issued=use.quota.issued,
        size=use.size,
        used=use.used,
        left=use.left,
        invented=use.quota.invented,
    )
