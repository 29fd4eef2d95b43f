"""Campaigns. Every organisation that takes part may see which there are and how far they have come."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from projections import query
from projections.database import Database
from projections.query import Page, Where

TABLE: Final = "view.campaigns"
MAX_OPEN: Final = 1_000
_OPEN_IDS = "SELECT id FROM view.campaigns WHERE NOT closed ORDER BY id LIMIT $1"


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign; `plan_sha256` names the plan whose rules it follows."""

    id: str
    version: int
    sequence: int
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    plan_sha256: str
    opened_at: datetime
    closed_at: datetime | None


async def get(database: Database, campaign: str) -> CampaignRow | None:
    """The campaign, or None when it was not opened."""
    return await query.one(database, CampaignRow, TABLE, Where().equal(id=campaign))


async def page(
    database: Database, *, closed: bool | None = None, after: str = "", limit: int = 100
) -> Page[CampaignRow]:
    """The campaigns by id. Raises LimitOutOfRange."""
    return await query.page(
        database, CampaignRow, TABLE, Where().equal(closed=closed), key="id", after=after, limit=limit
    )


async def open_ids(database: Database) -> tuple[str, ...]:
    """The campaigns that are not closed, at most MAX_OPEN."""
    return tuple(record["id"] for record in await database.fetch(_OPEN_IDS, MAX_OPEN))
