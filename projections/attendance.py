"""Attendance as people and decisions ask for it: the marks of a class, and its trainees with their granted leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from domain.attendance import AttendanceDay, Days, granted
from domain.decision import Actor
from projections.query import Where, sql
from projections.schema import Database

MAX_DAYS: Final = 366
MAX_MEMBERS: Final = 5_000
"""A class holds 2,000 at once; with those who left it there are never more than this."""

_DAYS = "SELECT day, state FROM view.attendance WHERE training_class = $1 ORDER BY day LIMIT $2"
_OF_TRAINEE = """
SELECT a.day, m->>'session' AS session, (m->>'units')::integer AS units
FROM view.attendance a, jsonb_array_elements(a.state->'marks') m
WHERE a.training_class = $1 AND m->>'trainee' = $2
"""
_STATE: Final[TypeAdapter[AttendanceDay]] = TypeAdapter(AttendanceDay)
_LEAVES: Final = TypeAdapter(list[tuple[date, date]])
_OWN: Final = {"county": "county", "school": "school", "host": "host"}


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A trainee of a class with the leaves that were granted to him."""

    number: str
    phase: str
    county: str
    school: str
    leaves: Days


async def days(database: Database, training_class: str) -> dict[date, AttendanceDay]:
    """Every day of a class with marks; for the system and whoever may read the class."""
    found = await database.fetch(_DAYS, training_class, MAX_DAYS)
    return {record["day"]: _STATE.validate_python(orjson.loads(record["state"])) for record in found}


async def marked(database: Database, training_class: str, trainee: str) -> dict[tuple[date, str], int]:
    """The units of one trainee by day and session; for the system."""
    found = await database.fetch(_OF_TRAINEE, training_class, trainee)
    return {(record["day"], record["session"]): record["units"] for record in found}


async def members(
    database: Database,
    viewer: Actor,
    training_class: str,
    *,
    numbers: Sequence[str] | None = None,
    after: str = "",
    limit: int = MAX_MEMBERS,
) -> list[MemberRow]:
    """The viewer's trainees who are or were placed in the class, by number; only those of `numbers` when given."""
    where = Where().own(viewer, _OWN).equal(training_class=training_class).that("number > ?", after)
    if numbers is not None:
        where.that("number = ANY(?)", list(numbers))
    statement = sql(
        "SELECT number, phase, county, school, state->'leaves' AS leaves, state->'leave_days' AS leave_days",
        "FROM view.trainees",
        where,
        "ORDER BY number LIMIT",
        limit,
    )
    return [
        MemberRow(record["number"], record["phase"], record["county"], record["school"], _granted(record))
        for record in await database.fetch(statement, *where.arguments)
    ]


def _granted(record: Any) -> Days:
    statuses, spans = orjson.loads(record["leaves"]), _LEAVES.validate_json(record["leave_days"])
    return granted(statuses, spans)
