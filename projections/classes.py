"""Classes as people and processes ask for them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import orjson
from pydantic import TypeAdapter

from domain.bulletin import HostDuties
from domain.decision import Actor
from domain.training_class_messages import StaffDuty
from projections import query
from projections.database import Database
from projections.query import Page, Where

TABLE: Final = "view.classes"
_OWED: Final = """
SELECT host AS organisation,
       2 * count(*) + count(*) FILTER (WHERE phase = 'reported' OR outcomes_overdue) AS due,
       count(*) FILTER (WHERE announced_at < (starts::timestamp AT TIME ZONE 'Asia/Shanghai'))
       + count(check_in_confirmed_at) + count(*) FILTER (WHERE phase = 'reported' AND NOT outcomes_overdue) AS kept
FROM view.classes WHERE campaign = $1 AND phase IN ('closed', 'reported') GROUP BY host ORDER BY host
"""
_HAS_OWN_TRAINEES: Final = {
    "county": "EXISTS (SELECT FROM view.trainees t WHERE t.training_class = classes.number AND t.county = ?)",
    "school": "EXISTS (SELECT FROM view.trainees t WHERE t.training_class = classes.number AND t.school = ?)",
}


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of a host; both dates count as training days, `deadline` is the next date that its process keeps."""

    number: str
    version: int
    sequence: int
    campaign: str
    host: str
    project_type: str
    starts: date
    ends: date
    place: str
    mode: str
    capacity: int
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    check_in_confirmed_at: datetime | None
    absences_recorded: bool
    outcomes_overdue: bool
    outcomes_escalated: bool
    check_in_late: bool
    revision: int
    centralised_days: int
    merged_into: str
    cancelled_at: datetime | None
    planned_at: datetime
    announced_at: datetime | None
    reported_at: datetime | None


def _seen_by(viewer: Actor) -> Where:
    """A host sees its classes; a county or a school those that it has trainees in."""
    own_trainees = _HAS_OWN_TRAINEES.get(viewer.role)
    if own_trainees:
        return Where().that(own_trainees, viewer.organisation)
    return Where().own(viewer, {"host": "host"})


async def get(database: Database, viewer: Actor, number: str) -> ClassRow | None:
    """The class, or None when there is none or when it is no business of the viewer's."""
    return await query.one(database, ClassRow, TABLE, _seen_by(viewer).equal(number=number))


async def page(
    database: Database,
    viewer: Actor,
    *,
    campaign: str | None = None,
    host: str | None = None,
    phase: str | None = None,
    project_type: str | None = None,
    after: str = "",
    limit: int = 100,
) -> Page[ClassRow]:
    """The classes that the viewer may see, by number. Raises LimitOutOfRange."""
    where = _seen_by(viewer).equal(campaign=campaign, host=host, phase=phase, project_type=project_type)
    return await query.page(database, ClassRow, TABLE, where, key="number", after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class ClassDuties:
    """Hours and duties of a class's staff (N12)."""

    number: str
    campaign: str
    host: str
    project_type: str
    duties: tuple[StaffDuty, ...]


_DUTIES: Final = TypeAdapter(tuple[StaffDuty, ...])


async def duties(
    database: Database,
    viewer: Actor,
    *,
    campaign: str | None = None,
    host: str | None = None,
    after: str = "",
    limit: int = 100,
) -> Page[ClassDuties]:
    """The classes with recorded duties, by number; of a host its own, of the bureau all. Raises LimitOutOfRange."""
    if not 1 <= limit <= query.PAGE_LIMIT:
        raise query.LimitOutOfRange(f"a page holds 1 to {query.PAGE_LIMIT} rows, not {limit}")
    where = Where().own(viewer, {"host": "host"}).equal(campaign=campaign, host=host).that("number > ?", after)
    where.that("jsonb_array_length(state->'duties') > 0")
    statement = query.sql(
        "SELECT number, campaign, host, project_type, state->'duties' AS duties FROM",
        TABLE,
        where,
        "ORDER BY number LIMIT",
        limit + 1,
    )
    found = await database.fetch(statement, *where.arguments)
    items = tuple(
        ClassDuties(
            record["number"],
            record["campaign"],
            record["host"],
            record["project_type"],
            _DUTIES.validate_python(orjson.loads(record["duties"])),
        )
        for record in found[:limit]
    )
    return Page(items, items[-1].number if len(found) > limit else None)


async def count_by_phase(database: Database, viewer: Actor, campaign: str | None = None) -> dict[str, int]:
    """How many of the viewer's classes are in each phase."""
    return await query.count_by(database, TABLE, "phase", _seen_by(viewer).equal(campaign=campaign))


async def duties_of_hosts(database: Database, campaign: str) -> tuple[HostDuties, ...]:
    """What every host owed its classes that are over, and what of it was done in time; for the system."""
    return tuple(HostDuties(**record) for record in await database.fetch(_OWED, campaign))
