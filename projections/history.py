"""What the views know of one person: the facts of a decision on his eligibility, read at a known sequence.

One statement reads rows and checkpoints, so that they belong together. A fact may be a moment old; what must hold at
the instant of the append is a claim.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson

from domain.eligibility import training_dates
from domain.history import MAX_RECORDS, Barred, History, TrainingRecord
from domain.numbers import PEOPLE, RESTRICTIONS
from domain.plan import Plan
from projections.schema import Database

PlanOf: TypeAlias = Callable[[str], Awaitable[Plan]]
"""The plan that a campaign runs on."""

# The records of one teacher: the one that answers for all, and those that were joined into it. Each is looked up by
# itself. Asked for all at once, PostgreSQL reads the whole table if it made its plan while there was little in it, as
# in the first minutes of a campaign, and an import of 20,000 became slower with each thousand.
_KNOWN: Final = """
WITH root AS (
    SELECT coalesce((SELECT nullif(joined_into, '') FROM view.persons WHERE id = $1), $1) AS id
), records AS (
    SELECT id FROM root
    UNION SELECT p.id FROM view.persons p, root WHERE p.joined_into <> '' AND p.joined_into = root.id
), others AS (
    SELECT o.number, o.person, o.campaign, o.project_type, o.subject, o.phase, o.starts, o.ends, o.centralised_days,
           (o.completed_at AT TIME ZONE 'Asia/Shanghai')::date AS completed_on
    FROM records r CROSS JOIN LATERAL (
        SELECT * FROM view.trainees
        WHERE person = r.id::uuid AND number <> $2 ORDER BY submitted_at DESC, number LIMIT $3
    ) o ORDER BY o.submitted_at DESC, o.number LIMIT $3
), barred AS (
    SELECT b.* FROM records r CROSS JOIN LATERAL (
        SELECT starts, until FROM view.restrictions
        WHERE person = r.id::uuid AND phase = 'imposed' ORDER BY until DESC LIMIT $3
    ) b ORDER BY b.until DESC LIMIT $3
), days AS (
    SELECT d.cycle, sum(d.centralised_days)::int AS days FROM records r CROSS JOIN LATERAL (
        SELECT cycle, centralised_days FROM view.training_days WHERE person = r.id::uuid ORDER BY cycle DESC LIMIT $3
    ) d GROUP BY d.cycle ORDER BY d.cycle DESC LIMIT $3
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


async def history_of(
    database: Database, plan_of: PlanOf, campaign: str, number: str, person: UUID
) -> tuple[History, tuple[UUID, ...]]:
    """What the views know of a person beyond the nomination `number`, in domain words, and his other records' ids.

    The sequences are those of the books that it was read from, `campaign` among them.
    """
    known = await of_person(database, person, number)
    records = tuple([await record_of(plan_of, each, person) for each in known.others])
    books = {campaign, PEOPLE, RESTRICTIONS, *(each.campaign for each in records)}
    sequences = {book: known.sequences[book] for book in sorted(books) if book in known.sequences}
    barred = tuple(Barred(starts=starts, until=until) for starts, until in known.barred)
    others = tuple(each for each in known.records if each != person)
    return History(sequences=sequences, records=records, barred=barred, days=dict(known.days)), others


async def record_of(plan_of: PlanOf, row: Mapping[str, Any], person: UUID) -> TrainingRecord:
    """One of a person's other nominations, with the dates of its class or else of its project type."""
    plan = await plan_of(row["campaign"])
    dates = training_dates(plan, row["project_type"]) or (None, None)
    return TrainingRecord.model_validate(
        {
            **{name: value for name, value in row.items() if name != "person"},
            "joined": row["person"] != str(person),
            "year": plan.year,
            "starts": row["starts"] or dates[0],
            "ends": row["ends"] or dates[1],
        }
    )
