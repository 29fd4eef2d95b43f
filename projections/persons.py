"""Teachers as processes ask for them: which records are one person's, who is to be forgotten, what still needs him."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from projections import query
from projections.query import Page, Where
from projections.schema import Database

TABLE: Final = "view.persons"

MAX_HELD: Final = 500
"""Requests to be forgotten that one sweep looks at."""

_HELD: Final = (
    "SELECT id FROM view.persons WHERE erasure = 'held' AND joined_into = '' AND id > $1 ORDER BY id LIMIT $2"
)
_TIES: Final = """
SELECT (SELECT count(*) FROM view.trainees WHERE person = ANY($1) AND NOT closed) AS open_cases,
       (SELECT count(*) FROM view.restrictions WHERE person = ANY($1) AND NOT closed) AS restrictions
"""
_CASES: Final = """
SELECT number, campaign, county, school, project_type, subject, phase, closed, centralised_days
FROM view.trainees WHERE person = ANY($1) ORDER BY number LIMIT $2
"""
_RESTRICTIONS: Final = """
SELECT number, phase, starts, until FROM view.restrictions WHERE person = ANY($1) ORDER BY number LIMIT $2
"""
MAX_CASES: Final = 200


@dataclass(frozen=True, slots=True)
class PersonCase:
    """A nomination of a person, in short."""

    number: str
    campaign: str
    county: str
    school: str
    project_type: str
    subject: str
    phase: str
    closed: bool
    centralised_days: int


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A teacher's record without anything personal: where he works by the last transfer, and what became of it."""

    id: str
    version: int
    county: str
    joined_into: str
    erasure: str
    registered_at: datetime


async def page(
    database: Database, *, county: str | None = None, erasure: str | None = None, after: str = "", limit: int = 100
) -> Page[PersonRow]:
    """The records of all teachers by id; for the bureau. Raises LimitOutOfRange."""
    where = Where().equal(county=county, erasure=erasure)
    return await query.page(database, PersonRow, TABLE, where, key="id", after=after, limit=limit)


async def held(database: Database, after: str = "") -> list[UUID]:
    """Who is to be forgotten as soon as nothing needs him any more, by id; for the system."""
    return [UUID(record["id"]) for record in await database.fetch(_HELD, after, MAX_HELD)]


async def ties(database: Database, records: tuple[UUID, ...]) -> tuple[int, int]:
    """How many open cases and unfinished restrictions a person has, over all his records; for the system."""
    row = await database.fetchrow(_TIES, list(records))
    assert row is not None, "an aggregate always gives a row"
    return row["open_cases"], row["restrictions"]


async def cases(database: Database, records: tuple[UUID, ...]) -> list[PersonCase]:
    """A person's nominations over all his records, by number, at most MAX_CASES; for the bureau."""
    return [PersonCase(**record) for record in await database.fetch(_CASES, list(records), MAX_CASES)]


async def restrictions(database: Database, records: tuple[UUID, ...]) -> list[dict[str, object]]:
    """Number, phase, first and first free day of a person's restrictions; for the bureau."""
    return [dict(record) for record in await database.fetch(_RESTRICTIONS, list(records), MAX_CASES)]
