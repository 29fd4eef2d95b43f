"""Who has read what about whom, for the bureau: its auditor has a key with the scope `audit:read` and no other."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import documented
from api.routing import router
from api.services import ServicesHere, allowed
from domain.trainee_messages import Code
from services import personal_reads as trail

routes = router("/v1/personal-reads", "audit")
LIST_LIMIT: Final = 100
_SEQUENCE_DIGITS: Final = 19

Auditor = Annotated[Caller, allowed("audit:read")]


class PersonalReadOut(BaseModel):
    """One answer that showed something of persons, masked or not."""

    at: datetime
    organisation: str = Field(description="Empty for the world (a certificate's verification) and for operators.")
    role: str = Field(description="The organisation's role, `public`, or `operator` for a command of `xunji`.")
    reader: str = Field(description="The key's id, a member of staff, or the operator's login.")
    operation: str = Field(examples=["get_trainee"])
    object: str = Field(description="What the address named; empty for a list.")
    persons: list[UUID] = Field(description="Whose data; at most 100 are listed.")
    rows: int = Field(description="How many people's data, also of those who are not known by an id yet.")
    request_id: str


@routes.get("", operation_id="list_personal_reads", summary="List who has read personal data", responses=documented())
async def list_personal_reads(
    caller: Auditor,
    services: ServicesHere,
    window: WindowHere,
    person: Annotated[UUID | None, Query(description="Only what was shown of this person.")] = None,
    organisation: Annotated[Code | None, Query()] = None,
    operation: Annotated[str | None, Query(max_length=100, examples=["get_trainee"])] = None,
) -> Page[PersonalReadOut]:
    """Every answer that showed something of a person, the newest first; at most 100 per page."""
    before = int(window.after) if window.after.isdecimal() and len(window.after) < _SEQUENCE_DIGITS else trail.NEWEST
    limit = min(window.limit, LIST_LIMIT)
    rows = await trail.page(
        services.own_rows(caller),
        person=person,
        organisation=organisation,
        operation=operation,
        before=before,
        limit=limit + 1,
    )
    items = [PersonalReadOut.model_validate(each, from_attributes=True) for each in rows[:limit]]
    return Page(items=items, next=next_cursor(str(rows[limit - 1].sequence) if len(rows) > limit else None))
