"""Hours and duties of the hosts' staff (N12), to be credited where they work: as a list; `api.exports` has the file."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel

from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import documented
from api.receipts import CampaignId
from api.routing import router
from api.services import Allowed, ServicesHere
from domain.trainee_messages import Code
from domain.training_class_messages import StaffDuty
from projections import classes as view

routes = router("/v1/duties", "classes")
Reader = Annotated[Caller, Depends(Allowed("classes:read", ("bureau", "host")))]


class ClassDutiesOut(BaseModel):
    """What the staff did for one class, in whole class hours (学时)."""

    training_class: str
    campaign: str
    host: str
    project_type: str
    duties: list[StaffDuty]


@routes.get("", operation_id="list_duties", summary="List staff hours and duties", responses=documented())
async def list_duties(
    *,
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    campaign: Annotated[CampaignId | None, Query()] = None,
    host: Annotated[Code | None, Query()] = None,
) -> Page[ClassDutiesOut]:
    """By class: of a host its own, of the bureau all. Staff are named by the host's own numbers."""
    found = await view.duties(
        services.own_rows(caller), caller.actor, campaign=campaign, host=host, after=window.after, limit=window.limit
    )
    return Page(items=[_shown(each) for each in found.items], next=next_cursor(found.next))


def _shown(row: view.ClassDuties) -> ClassDutiesOut:
    return ClassDutiesOut(
        training_class=row.number,
        campaign=row.campaign,
        host=row.host,
        project_type=row.project_type,
        duties=list(row.duties),
    )
