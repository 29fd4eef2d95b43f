"""What the views know of one person: the facts of a decision on his eligibility, read at a known sequence.

One statement reads rows and checkpoints, so that they belong together. A fact may be a moment old; what must hold at
the instant of the append is a claim.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

import orjson

from domain.history import MAX_RECORDS
from projections.schema import Database

# The records of one teacher: the one that answers for all, and those that were joined into it.
_KNOWN: Final = """
WITH root AS (
    SELECT coalesce((SELECT nullif(joined_into, '') FROM view.persons WHERE id = $1), $1) AS id
), records AS (
    SELECT id FROM root
    UNION SELECT p.id FROM view.persons p, root WHERE p.joined_into <> '' AND p.joined_into = root.id
), others AS (
    SELECT number, person, campaign, project_type, subject, phase, starts, ends, centralised_days,
           (completed_at AT TIME ZONE 'Asia/Shanghai')::date AS completed_on
    FROM view.trainees
    WHERE person = ANY (SELECT id::uuid FROM records) AND number <> $2 ORDER BY submitted_at DESC, number LIMIT $3
), barred AS (
    SELECT starts, until FROM view.restrictions
    WHERE person = ANY (SELECT id::uuid FROM records) AND phase = 'imposed' ORDER BY until DESC LIMIT $3
), days AS (
    SELECT cycle, sum(centralised_days)::int AS days FROM view.training_days
    WHERE person = ANY (SELECT id::uuid FROM records) GROUP BY cycle ORDER BY cycle DESC LIMIT $3
)
SELECT (SELECT json_agg(id ORDER BY id) FROM records) AS records,
       (SELECT json_agg(row_to_json(o)) FROM others o) AS others,
       (SELECT json_agg(row_to_json(b)) FROM barred b) AS barred,
       (SELECT json_object_agg(cycle, days ORDER BY cycle) FROM days) AS days,
       (SELECT json_object_agg(book, sequence) FROM view.checkpoints) AS sequences
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a person. `records` are all ids under which he is kept; `others` are rows of nominations.

    `numbers` are those rows' numbers in their order: not a fact of a decision, but whom to tell of an overlap. `days`
    are the centralised days that stand for him in each cycle; what was reversed counts for nothing (edge case 57).
    """

    records: tuple[UUID, ...]
    others: tuple[Mapping[str, Any], ...]
    numbers: tuple[str, ...]
    barred: tuple[tuple[date, date], ...]
    sequences: Mapping[str, int]
    days: Mapping[str, int]


async def of_person(database: Database, person: UUID, but_number: str) -> Known:
    """What is known of a person beyond the nomination `but_number`; for the system."""
    row = await database.fetchrow(_KNOWN, str(person), but_number, MAX_RECORDS)
    assert row is not None, "a selection of scalars gives a row"
    read = {name: orjson.loads(row[name] or "null") for name in ("records", "others", "barred", "sequences", "days")}
    others = read["others"] or ()
    return Known(
        records=tuple(UUID(each) for each in read["records"] or [str(person)]),
        others=tuple({name: each[name] for name in each if name != "number"} for each in others),
        numbers=tuple(each["number"] for each in others),
        barred=tuple(
            (date.fromisoformat(each["starts"]), date.fromisoformat(each["until"])) for each in read["barred"] or ()
        ),
        sequences=read["sequences"] or {},
        days=read["days"] or {},
    )
