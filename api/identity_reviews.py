"""The queue of identity numbers that came with another name: held for a decision, never merged, never refused (8)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from api import people
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.personal import PERSONAL
from api.problems import documented
from api.routing import router
from api.services import Services, ServicesHere, allowed
from domain.numbers import stream_name
from domain.trainee_messages import EVENTS, TraineeNominated
from ledger.errors import SubjectErased
from projections import trainees_in_order as view

routes = router("/v1/identity-reviews", "people")
LIST_LIMIT = 100
"""Each row opens sealed fields, so its pages are shorter than others."""

Reader = Annotated[Caller, allowed("people:read")]


class IdentityReview(BaseModel):
    """Two names for one number, side by side. Decide with `POST /v1/trainees/{number}/review-identity`."""

    number: str = Field(description="The nomination that is held.")
    campaign: str
    county: str
    school: str
    phase: str
    submitted_at: datetime
    person: UUID
    identity_number: Annotated[str | None, PERSONAL, Field(description="Masked.")]
    recorded_name: Annotated[str | None, PERSONAL]
    given_name: Annotated[str | None, PERSONAL]


@routes.get("", operation_id="list_identity_reviews", summary="List identities to be decided", responses=documented())
async def list_identity_reviews(caller: Reader, services: ServicesHere, window: WindowHere) -> Page[IdentityReview]:
    """Every open nomination whose number is known under another name. At most 100 per page; only the bureau's keys."""
    found = await view.to_review(services.own_rows(caller), window.after, min(window.limit, LIST_LIMIT))
    return Page(items=[await _shown(services, row) for row in found.items], next=next_cursor(found.next))


async def _shown(services: Services, row: view.ReviewRow) -> IdentityReview:
    recorded = await people.show(services, row.person, name_is_clear=True)
    events = await services.ledger.read_stream(row.campaign, stream_name("trainee", row.number))
    nominated = EVENTS.read(events[0])
    assert isinstance(nominated, TraineeNominated), "a nomination's stream begins with it"
    sealed = nominated.sealed
    try:
        given = (await services.vault.open(row.person, sealed)).get("name") if sealed else None
    except SubjectErased:
        given = None
    return IdentityReview(
        number=row.number,
        campaign=row.campaign,
        county=row.county,
        school=row.school,
        phase=row.phase,
        submitted_at=row.submitted_at,
        person=row.person,
        identity_number=recorded.identity_number,
        recorded_name=recorded.name,
        given_name=given,
    )
