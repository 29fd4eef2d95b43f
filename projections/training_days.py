"""Training days by person and cycle: who has reached what the notice asks for (N6); for the bureau."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from projections import query
from projections.query import Page, Where
from projections.schema import Database

TABLE: Final = "view.training_days"


@dataclass(frozen=True, slots=True)
class TrainingDaysRow:
    """What stands for a person in a cycle."""

    number: str
    version: int
    sequence: int
    person: UUID
    cycle: str
    centralised_days: int
    online_days: int
    hours: int


async def page(
    database: Database,
    *,
    cycle: str,
    person: UUID | None = None,
    below: int | None = None,
    after: str = "",
    limit: int = 100,
) -> Page[TrainingDaysRow]:
    """The rows of a cycle, those with fewer centralised days than `below` if it is given. Raises LimitOutOfRange."""
    where = Where().equal(cycle=cycle, person=person)
    if below is not None:
        where.that("centralised_days < ?", below)
    return await query.page(database, TrainingDaysRow, TABLE, where, key="number", after=after, limit=limit)
