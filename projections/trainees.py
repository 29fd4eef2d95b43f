"""Nominations as people and processes ask for them. What an organisation asks for is limited to its own cases."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import orjson

from domain.bulletin import CaseRecord
from domain.decision import Actor
from domain.trainee_state import BEFORE_REGISTRATION
from projections import query
from projections.database import Database
from projections.query import Page, Where

TABLE: Final = "view.trainees"
OWN: Final = {"county": "county", "school": "school", "host": "host"}
WITHOUT_OUTCOME: Final = ("enrolled", "confirmed", "in-training")
"""Phases of a trainee in a class of whom it is not yet known what became of him. Absence is an outcome."""

MAX_IN_FLIGHT: Final = 100
"""More nominations of one person than this are not under way in any campaign."""

RECORDS_PAGE: Final = 5_000
_FIRST_RECORDS_AFTER: Final = ""

_WAITING_COUNTIES = """
SELECT DISTINCT county FROM view.trainees WHERE campaign = $1 AND NOT closed AND phase = 'nominated' ORDER BY county
"""
_OPEN = "SELECT count(*) FROM view.trainees WHERE campaign = $1 AND NOT closed"
_OF_HOST = """
SELECT count(*) FILTER (WHERE phase = 'selected') AS assigned,
       count(*) FILTER (WHERE phase IN ('enrolled', 'confirmed', 'in-training')) AS in_class
FROM view.trainees WHERE campaign = $1 AND host = $2 AND NOT closed
"""
_WAITING = """
SELECT number, school, project_type, county, waiting_rank, priority, submitted_at
FROM view.trainees WHERE campaign = $1 AND project_type = $2 AND county = $3 AND phase = 'waitlisted'
  AND (NOT $5 OR frozen_until IS NULL)
ORDER BY waiting_rank, priority, submitted_at, number LIMIT $4
"""
_SEATS_IN_SUSPENSE = """
SELECT project_type || ':' || county AS line, count(*) FILTER (WHERE phase = 'waitlisted') AS waiting,
       count(*) FILTER (WHERE phase = 'offered') AS offered
FROM view.trainees WHERE campaign = $1 AND phase IN ('waitlisted', 'offered') GROUP BY 1
"""
_LINES_WITH_WAITING = """
SELECT DISTINCT campaign, project_type || ':' || county AS line FROM view.trainees WHERE phase = 'waitlisted'
ORDER BY 1, 2
"""
_WITHOUT_OUTCOME = "SELECT count(*) FROM view.trainees WHERE training_class = $1 AND phase = ANY($2)"
_IN_FLIGHT = """
SELECT number, campaign, county, version FROM view.trainees
WHERE person = $1 AND NOT closed AND phase = ANY($2) AND (frozen_until IS NOT NULL) = $3 ORDER BY number LIMIT $4
"""
_LAST_CORRECTION = "SELECT coalesce(max(corrected_sequence), 0) FROM view.trainees WHERE campaign = $1"
_RECORDS = """
SELECT number, county, host, selected_at IS NOT NULL AS selected, given_up_at IS NOT NULL AS given_up,
       enrolled_at IS NOT NULL AS enrolled, confirmed_at IS NOT NULL AS confirmed,
       registered_at IS NOT NULL AS registered, no_show_at IS NOT NULL AS no_show, excused_at IS NOT NULL AS excused,
       completed_at IS NOT NULL AS completed, dismissed_at IS NOT NULL AS dismissed,
       not_completed_at IS NOT NULL AS not_completed
FROM view.trainees WHERE campaign = $1 AND number > $2 ORDER BY number LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class TraineeRow:
    """One nomination. `sequence` is that of its last event in the campaign's book, `version` the stream's.

    `class_cancelled_at` is set while the class he had was cancelled and there is no other: bulletins leave him out of
    every denominator. `withdrawal_reason` is the code, `class_changed` when the host's change was the reason.
    `host`, `training_class`, `certificate` and `restriction` are empty until there is one; `follow_up` is empty,
    assigned, submitted, returned, overdue, accepted or lapsed. A `…_at` says when something last happened.
    """

    number: str
    version: int
    sequence: int
    campaign: str
    project_type: str
    county: str
    school: str
    person: UUID
    stage: str
    subject: str
    position: str
    rural: bool
    phase: str
    closed: bool
    returned: bool
    waiting_for: str
    deadline: datetime | None
    host: str
    training_class: str
    seat_held: bool
    certificate: str
    restriction: str
    follow_up: str
    submitted_at: datetime
    county_approved_at: datetime | None
    selected_at: datetime | None
    enrolled_at: datetime | None
    confirmed_at: datetime | None
    registered_at: datetime | None
    no_show_at: datetime | None
    excused_at: datetime | None
    completed_at: datetime | None
    dismissed_at: datetime | None
    not_completed_at: datetime | None
    given_up_at: datetime | None
    class_changed_at: datetime | None
    class_cancelled_at: datetime | None
    withdrawal_reason: str
    closed_at: datetime | None
    frozen_until: date | None
    corrected_sequence: int
    substitutes: str
    substituted_by: str


@dataclass(frozen=True, slots=True)
class InFlightRow:
    """A nomination on its way to its training."""

    number: str
    campaign: str
    county: str
    version: int


@dataclass(frozen=True, slots=True)
class TraineeFilter:
    """Which nominations: those that meet everything that is not None."""

    campaign: str | None = None
    county: str | None = None
    school: str | None = None
    host: str | None = None
    training_class: str | None = None
    phase: str | None = None
    project_type: str | None = None
    person: UUID | None = None
    closed: bool | None = None

    def where(self, viewer: Actor) -> Where:
        """The conditions, the viewer's scope first."""
        return (
            Where()
            .own(viewer, OWN)
            .equal(
                campaign=self.campaign,
                county=self.county,
                school=self.school,
                host=self.host,
                training_class=self.training_class,
                phase=self.phase,
                project_type=self.project_type,
                person=self.person,
                closed=self.closed,
            )
        )


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """Somebody who waits for a seat of a line: by the plan's declared order, then by first submission (case 45).

    `priority` has one number for each step of the order, the smaller first; `waiting_rank` stands before it, and is 0
    for everybody who has such places.
    """

    number: str
    school: str
    project_type: str
    county: str
    waiting_rank: int
    priority: list[int]
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Suspense:
    """How many wait for a seat of a line, and how many have an offer open that holds one."""

    waiting: int
    offered: int


@dataclass(frozen=True, slots=True)
class Reachable:
    """A case that a class or a campaign has to reach, and the phase in which the view has it."""

    number: str
    phase: str


EVERYTHING: Final = TraineeFilter()


async def get(database: Database, viewer: Actor, number: str) -> TraineeRow | None:
    """The nomination, or None when there is none or when it is not the viewer's."""
    where = Where().own(viewer, OWN).equal(number=number)
    return await query.one(database, TraineeRow, TABLE, where)


async def page(
    database: Database, viewer: Actor, wanted: TraineeFilter = EVERYTHING, after: str = "", limit: int = 100
) -> Page[TraineeRow]:
    """The viewer's nominations by number. Raises LimitOutOfRange."""
    return await query.page(database, TraineeRow, TABLE, wanted.where(viewer), key="number", after=after, limit=limit)


async def page_of_items(database: Database, viewer: Actor, wanted: TraineeFilter, after: str, limit: int) -> Page[str]:
    """The same as JSON objects with the fields `trainee_view.ITEM_FIELDS` and `restriction`, which is empty for hosts.

    They lie in the view as they are shown. Raises LimitOutOfRange.
    """
    is_host = viewer.role == "host"
    columns = ("number", "item") if is_host else ("number", "item", "restriction")
    where = wanted.where(viewer)
    found = await query.page_of_columns(database, columns, TABLE, where, key="number", after=after, limit=limit)
    items = (_item(each["item"], "" if is_host else each["restriction"]) for each in found.items)
    return Page(tuple(items), found.next)


def _item(shown: str, restriction: str) -> str:
    return f'{shown[:-1]},"restriction":{orjson.dumps(restriction).decode()}}}'


async def count_by_phase(database: Database, viewer: Actor, wanted: TraineeFilter = EVERYTHING) -> dict[str, int]:
    """How many of the viewer's nominations are in each phase; phases without any are left out."""
    return await query.count_by(database, TABLE, "phase", wanted.where(viewer))


async def page_for_reach(
    database: Database,
    campaign: str,
    phases: Iterable[str],
    training_class: str | None = None,
    *,
    after: str = "",
    limit: int = query.PAGE_LIMIT,
) -> Page[Reachable]:
    """The open cases of a campaign, or of one class, in these phases, by number; for the system.

    A case that leaves the phases between two pages is no loss, and one that enters them behind the cursor is found
    by the next reach: the command that reaches it is refused or repeated without effect.
    """
    where = Where().equal(campaign=campaign, closed=False, training_class=training_class)
    where.that("phase = ANY(?)", query.texts(phases))
    return await query.page(database, Reachable, TABLE, where, key="number", after=after, limit=limit)


async def waiting_counties(database: Database, campaign: str) -> tuple[str, ...]:
    """The counties with nominations that still wait before their own cut-off; for the system."""
    return tuple(record["county"] for record in await database.fetch(_WAITING_COUNTIES, campaign))


async def open_cases(database: Database, campaign: str) -> int:
    """How many cases of a campaign still wait for something; for the system."""
    count: int = await database.fetchval(_OPEN, campaign)
    return count


async def without_outcome(database: Database, training_class: str) -> int:
    """How many trainees of a class have no outcome yet; for the system."""
    count: int = await database.fetchval(_WITHOUT_OUTCOME, training_class, list(WITHOUT_OUTCOME))
    return count


async def records(database: Database, campaign: str) -> AsyncIterator[CaseRecord]:
    """What a bulletin counts of every case of a campaign; for the system."""
    after = _FIRST_RECORDS_AFTER
    while True:
        found = await database.fetch(_RECORDS, campaign, after, RECORDS_PAGE)
        for record in found:
            columns = dict(record)
            after = columns.pop("number")
            yield CaseRecord(**columns)
        if len(found) < RECORDS_PAGE:
            return


async def in_flight(database: Database, person: UUID, *, frozen: bool) -> tuple[InFlightRow, ...]:
    """The person's nominations before 报到 that stand still, or that do not; for the system."""
    found = await database.fetch(_IN_FLIGHT, person, list(BEFORE_REGISTRATION), frozen, MAX_IN_FLIGHT)
    return tuple(InFlightRow(**record) for record in found)


async def last_correction(database: Database, campaign: str) -> int:
    """The sequence of the campaign's last correction of an outcome, 0 when there was none; for the system."""
    sequence: int = await database.fetchval(_LAST_CORRECTION, campaign)
    return sequence


async def of_host(database: Database, campaign: str, host: str) -> tuple[int, int]:
    """How many trainees are assigned to the host and not placed, and how many are in its classes; for the system."""
    record = await database.fetchrow(_OF_HOST, campaign, host)
    assert record is not None, "a count is always answered"
    return record["assigned"], record["in_class"]


async def waiting(
    database: Database,
    campaign: str,
    project_type: str,
    county: str,
    *,
    limit: int = query.PAGE_LIMIT,
    but_frozen: bool = False,
) -> tuple[WaitingRow, ...]:
    """Those who wait for a seat of a line, in the order in which they are offered one; for the system.

    `but_frozen` leaves out who stands still because a restriction was imposed: he is offered nothing meanwhile.
    """
    found = await database.fetch(_WAITING, campaign, project_type, county, limit, but_frozen)
    return tuple(WaitingRow(**record) for record in found)


async def suspense(database: Database, campaign: str) -> dict[str, Suspense]:
    """Per line who waits and who has an offer; lines without either are left out. For the system."""
    found = await database.fetch(_SEATS_IN_SUSPENSE, campaign)
    return {each["line"]: Suspense(each["waiting"], each["offered"]) for each in found}


async def lines_with_waiting(database: Database) -> tuple[tuple[str, str], ...]:
    """(campaign, line) of every line that somebody waits for; for the system."""
    return tuple((each["campaign"], each["line"]) for each in await database.fetch(_LINES_WITH_WAITING))
