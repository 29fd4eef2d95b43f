"""Classes as people and processes ask for them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from domain.bulletin import HostDuties
from domain.decision import Actor
from projections import query
from projections.query import Page, Where
from projections.schema import Database

TABLE: Final = "view.classes"
_DUTIES: Final = """
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


async def count_by_phase(database: Database, viewer: Actor, campaign: str | None = None) -> dict[str, int]:
    """How many of the viewer's classes are in each phase."""
    return await query.count_by(database, TABLE, "phase", _seen_by(viewer).equal(campaign=campaign))


async def duties(database: Database, campaign: str) -> tuple[HostDuties, ...]:
    """What every host owed its classes that are over, and what of it was done in time; for the system."""
    return tuple(HostDuties(**record) for record in await database.fetch(_DUTIES, campaign))
