"""Hours and duties of the hosts' staff (N12), to be credited where they work: as a list and as a file."""

import csv
import io
from typing import Annotated, Final

from fastapi import Depends, Query, Response
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
CSV: Final = "text/csv; charset=utf-8"
PAGE: Final = 500
MAX_CLASSES: Final = 50_000
"""A file holds the duties of so many classes at most."""
HEADINGS: Final = ("training_class", "campaign", "host", "project_type", "staff", "duty", "hours")


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
        services.pool, caller.actor, campaign=campaign, host=host, after=window.after, limit=window.limit
    )
    return Page(items=[_shown(each) for each in found.items], next=next_cursor(found.next))


@routes.get(
    "/export",
    operation_id="export_duties",
    summary="Export staff hours and duties",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {}}, "description": "One line for each member of the staff and duty"},
        **documented(),
    },
)
async def export_duties(
    *,
    caller: Reader,
    services: ServicesHere,
    campaign: Annotated[CampaignId | None, Query()] = None,
    host: Annotated[Code | None, Query()] = None,
) -> Response:
    """The same as a file that spreadsheets open, a line for each member of the staff and duty."""
    text = io.StringIO()
    # The mark tells spreadsheets that this is UTF-8.
    text.write("\ufeff")
    lines = csv.writer(text)
    lines.writerow(HEADINGS)
    after = ""
    for _ in range(MAX_CLASSES // PAGE):
        found = await view.duties(services.pool, caller.actor, campaign=campaign, host=host, after=after, limit=PAGE)
        for each in found.items:
            about = (each.number, each.campaign, each.host, each.project_type)
            lines.writerows((*about, duty.staff, duty.duty, duty.hours) for duty in each.duties)
        if found.next is None:
            break
        after = found.next
    headers = {"Content-Disposition": 'attachment; filename="duties.csv"'}
    return Response(text.getvalue(), media_type=CSV, headers=headers)


def _shown(row: view.ClassDuties) -> ClassDutiesOut:
    return ClassDutiesOut(
        training_class=row.number,
        campaign=row.campaign,
        host=row.host,
        project_type=row.project_type,
        duties=list(row.duties),
    )
