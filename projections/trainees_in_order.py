"""Nominations that wait for their county, in the plan's declared order; and those whose identity is under review."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from domain.decision import Actor
from projections import query
from projections.query import Page, Where
from projections.schema import Database
from projections.trainees import OWN, TABLE


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A nomination before its county. `priority` has one number per step of the order, the smaller first."""

    number: str
    county: str
    school: str
    stage: str
    subject: str
    submitted_at: datetime
    priority: list[int]


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A nomination whose identity number is known under another name."""

    number: str
    campaign: str
    county: str
    school: str
    person: UUID
    phase: str
    submitted_at: datetime


_ORDER: Final = "ORDER BY priority, submitted_at, number LIMIT"


async def waiting(
    database: Database, viewer: Actor, campaign: str, project_type: str, county: str | None, limit: int
) -> tuple[int, list[WaitingRow]]:
    """How many wait, and the first of them. One with no place in the order, from before it, goes by its time."""
    where = Where().own(viewer, OWN).equal(campaign=campaign, project_type=project_type, county=county)
    where.equal(phase="nominated", returned=False)
    count = await database.fetchval(query.sql("SELECT count(*) FROM", TABLE, where), *where.arguments)
    statement = query.sql("SELECT", query.columns_of(WaitingRow), "FROM", TABLE, where, _ORDER, limit)
    return count, [WaitingRow(**record) for record in await database.fetch(statement, *where.arguments)]


async def to_review(database: Database, after: str, limit: int) -> Page[ReviewRow]:
    """Open nominations whose identity nobody has decided on yet, by number; for the bureau."""
    where = Where().equal(identity_review="open", closed=False)
    return await query.page(database, ReviewRow, TABLE, where, key="number", after=after, limit=limit)
