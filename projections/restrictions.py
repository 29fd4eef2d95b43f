"""Restrictions as the bureau, the county and the school concerned ask for them. They are never published, and a host
or another county does not see them: it learns only until when somebody is not eligible (edge case 15).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from domain.decision import Actor
from projections import query
from projections.database import Database
from projections.query import Page, Where

TABLE: Final = "view.restrictions"
OWN: Final = {"county": "county", "school": "school"}

_BARRED_UNTIL = """
SELECT max(until) FROM view.restrictions WHERE person = $1 AND phase = 'imposed' AND starts <= $2 AND until > $2
"""
_LAST_BARRED_UNTIL = """
SELECT max(until) FROM view.restrictions WHERE person = $1 AND phase = 'imposed' AND number <> $2
"""
_LAST_REVERSAL = "SELECT max(reversed_at) FROM view.restrictions WHERE campaign = $1"
_FIGURES = """
SELECT count(proposed_at) AS proposed, count(served_at) AS served, count(objected_at) AS objected,
       count(imposed_at) AS imposed, count(dropped_at) AS dropped, count(recorded_at) AS recorded,
       count(expired_at) AS expired
FROM view.restrictions WHERE campaign = $1
"""


@dataclass(frozen=True, slots=True)
class RestrictionRow:
    """One restriction. An earlier one that was recorded from its document has `recorded_at` and no trainee.

    `until` is the first day that is free again; it was stored by the decision and is never computed anew.
    """

    number: str
    version: int
    sequence: int
    campaign: str
    trainee: str
    person: UUID
    county: str
    school: str
    host: str
    ground: str
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    window_closed: bool
    service_overdue: bool
    incident_on: date | None
    proposed_at: datetime | None
    served_at: datetime | None
    served_via: str
    objection_until: datetime | None
    objected_at: datetime | None
    decided_at: datetime | None
    decided_by: str
    imposed_at: datetime | None
    dropped_at: datetime | None
    recorded_at: datetime | None
    expired_at: datetime | None
    starts: date | None
    until: date | None
    policy: str
    service_failed_at: datetime | None
    waived_at: datetime | None
    reversed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RestrictionFigures:
    """How many restrictions of a campaign have ever come so far. `recorded` are the earlier ones, imposed elsewhere."""

    proposed: int
    served: int
    objected: int
    imposed: int
    dropped: int
    recorded: int
    expired: int


async def get(database: Database, viewer: Actor, number: str) -> RestrictionRow | None:
    """The restriction, or None when there is none or when it is not the viewer's."""
    where = Where().own(viewer, OWN).equal(number=number)
    return await query.one(database, RestrictionRow, TABLE, where)


async def page(
    database: Database,
    viewer: Actor,
    *,
    campaign: str | None = None,
    county: str | None = None,
    phase: str | None = None,
    ground: str | None = None,
    trainee: str | None = None,
    person: UUID | None = None,
    after: str = "",
    limit: int = 100,
) -> Page[RestrictionRow]:
    """The restrictions that the viewer may see, by number. Raises LimitOutOfRange."""
    where = Where().own(viewer, OWN)
    where.equal(campaign=campaign, county=county, phase=phase, ground=ground, trainee=trainee, person=person)
    return await query.page(database, RestrictionRow, TABLE, where, key="number", after=after, limit=limit)


async def count_by_phase(database: Database, viewer: Actor, campaign: str | None = None) -> dict[str, int]:
    """How many of the restrictions that the viewer may see are in each phase."""
    where = Where().own(viewer, OWN).equal(campaign=campaign)
    return await query.count_by(database, TABLE, "phase", where)


async def figures(database: Database, campaign: str) -> RestrictionFigures:
    """How many restrictions of a campaign have come how far; for the system."""
    record = await database.fetchrow(_FIGURES, campaign)
    assert record is not None, "an aggregate always gives a row"
    return RestrictionFigures(**record)


async def barred_until(database: Database, person: UUID, on: date) -> date | None:
    """The first day on which the person is free again, if a restriction covers the day `on`; for the system.

    It explains a refusal. Whether somebody is barred at the instant of an append is the ledger's claim to say.
    """
    until: date | None = await database.fetchval(_BARRED_UNTIL, person, on)
    return until


async def last_barred_until(database: Database, person: UUID, aside_from: str) -> date | None:
    """The first free day after all imposed restrictions of the person but the one of that number; for the system."""
    until: date | None = await database.fetchval(_LAST_BARRED_UNTIL, person, aside_from)
    return until


async def last_reversal(database: Database, campaign: str) -> datetime | None:
    """When a restriction of the campaign was last reversed, None when none was; for the system."""
    at: datetime | None = await database.fetchval(_LAST_REVERSAL, campaign)
    return at
