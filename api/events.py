"""The pull feed: the notices to the caller's organisation, in order, beside the webhooks and under the same ids.

A position of the outbox is given out before its transaction commits, so a later one may be seen first. A page ends
before nothing that could still appear:

    S  the newest position that is seen
    L  the transactions that hold the outbox's writing lock now: whoever has a position up to S and has not ended
    wait until L has ended ─► everything up to S that will ever be there is there
"""

import asyncio
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from api.notices import NoticeOut, notice_of
from api.pagination import WindowHere, encode_cursor
from api.permissions import Caller
from api.problems import documented
from api.routing import router
from api.services import Services, ServicesHere, allowed

routes = router("/v1/events", "events")
Reader = Annotated[Caller, allowed("webhooks:read")]
SETTLE_ATTEMPTS: Final = 100
SETTLE_PAUSE_S: Final = 0.01
"""Appends take milliseconds. After a second the page stays empty and the same cursor is given again."""

_NEWEST: Final = "SELECT coalesce(max(position), 0) FROM ledger.outbox WHERE recipient = $1"
_WRITING: Final = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'ledger.outbox'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_PAGE: Final = """
SELECT id, position, topic, body, created_at FROM ledger.outbox
WHERE recipient = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4
"""


class EventPage(BaseModel):
    """Notices in order. `next` is always given: what comes later is asked for with it."""

    items: list[NoticeOut]
    next: str = Field(description="The `cursor` of the next page. Keep it: on an empty page, ask again later with it.")
    more: bool = Field(description="Whether there is more already.")


@routes.get("", operation_id="list_events", summary="Pull notices", responses=documented())
async def list_events(caller: Reader, services: ServicesHere, window: WindowHere) -> EventPage:
    """Every notice to the caller's organisation from the first one on, whether it was posted, mailed or neither.

    The same notices as the webhooks', with the same ids; an endpoint's filter does not count here.
    """
    after = int(window.after) if window.after.isdecimal() and len(window.after) < 19 else 0
    settled = await _settled(services, caller)
    rows: list[Any] = []
    if settled > after:
        rows = await services.own_rows(caller).fetch(_PAGE, caller.organisation, after, settled, window.limit + 1)
    more = len(rows) > window.limit
    page = rows[: window.limit]
    items = [each for each in map(notice_of, page) if each is not None]
    last = page[-1]["position"] if page else after
    return EventPage(items=items, next=encode_cursor(str(last)), more=more)


async def _settled(services: Services, caller: Caller) -> int:
    """A position up to which nothing will appear any more that is not seen now; 0 when that takes too long to tell."""
    newest: int = await services.own_rows(caller).fetchval(_NEWEST, caller.organisation)
    writing = await _writing(services)
    for _ in range(SETTLE_ATTEMPTS):
        if not writing:
            return newest
        await asyncio.sleep(SETTLE_PAUSE_S)
        writing &= await _writing(services)
    return 0


async def _writing(services: Services) -> set[str]:
    return {row["virtualtransaction"] for row in await services.pool.fetch(_WRITING)}
