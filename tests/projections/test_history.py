"""The facts of one person: over campaigns and joined records, with how far the books had been read."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.history import History
from domain.person import PersonJoined, PersonRegistered
from domain.priority import places
from ledger.store import Ledger
from projections import history, persons, trainees_in_order
from projections.engine import Projector
from tests.projections.histories import BOOK, append, person
from tests.projections.register_lives import DAYS_LIFE
from tests.projections.restriction_lives import IMPOSED, SERVED, proposed
from tests.projections.trainee_lives import (
    CITY_APPROVED,
    COMPLETED,
    CONFIRMED,
    COUNTY_APPROVED,
    ENROLLED,
    REGISTERED,
    nominated,
)
from tests.specification import the_plan

Pool = asyncpg.Pool
OTHER_BOOK = "2021-zhengzhou"
ONE, DOUBLE, STRANGER = person(1), person(2), person(3)
LIFE = (COUNTY_APPROVED, CITY_APPROVED, ENROLLED, CONFIRMED, REGISTERED, COMPLETED)


async def registered(ledger: Ledger, *ids: UUID) -> None:
    for id_ in ids:
        await append(ledger, "people", f"person/{id_}", 0, PersonRegistered(person=id_, sealed="v1."))


async def test_facts_come_from_every_campaign_and_never_from_the_nomination_itself(
    pool: "Pool[Any]", ledger: Ledger, projector: Projector
) -> None:
    await registered(ledger, ONE, STRANGER)
    at = datetime(2021, 11, 4, 17, tzinfo=UTC)
    await append(
        ledger, OTHER_BOOK, "trainee/zz21-410182-00001", 0, nominated("410182", who=1, project="gp2"), *LIFE, at=at
    )
    await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated(who=1))
    await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, nominated(who=3, project="gp6"))
    await projector.catch_up()
    known = await history.of_person(pool, ONE, "zz22-410181-00001")
    (other,) = known.others
    assert (other["campaign"], other["project_type"], other["phase"]) == (BOOK, "gp2", "completed")
    assert (other["centralised_days"], other["starts"], other["ends"]) == (7, "2022-10-10", "2022-10-16")
    # The day of Zhengzhou, not of Greenwich.
    assert other["completed_on"] == "2021-11-05"
    assert known.records == (ONE,)
    assert known.sequences[OTHER_BOOK] == 1 + len(LIFE)
    assert known.sequences[BOOK] == 2
    assert not {"number", "county", "school", "host", "restriction"} & set(other)


async def test_a_plan_made_on_empty_views_reads_no_whole_table(pool: "Pool[Any]") -> None:
    """It is kept while 20,000 nominations come in, until PostgreSQL looks how large the tables have become."""
    async with pool.acquire() as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE known (text, text, int) AS {history._KNOWN}")
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE known ('{ONE}', '', 100)")]
    scanned = [line.strip() for line in plan if "Seq Scan" in line]
    assert [line for line in scanned if "checkpoints" not in line] == []
    assert any("on trainees" in line for line in plan)


async def test_case_57_the_days_are_those_that_stand_in_the_ledger_of_days(
    pool: "Pool[Any]", ledger: Ledger, projector: Projector
) -> None:
    await registered(ledger, ONE)
    await append(ledger, "people", f"training-days/{ONE}:2021-2025", 0, DAYS_LIFE[0])
    await projector.catch_up()
    assert (await history.of_person(pool, ONE, "")).days == {"2021-2025": 7}
    await append(ledger, "people", f"training-days/{ONE}:2021-2025", 1, *DAYS_LIFE[1:])
    await projector.catch_up()
    assert (await history.of_person(pool, ONE, "")).days == {"2021-2025": 0}
    assert (await history.of_person(pool, STRANGER, "")).days == {}


async def test_case_74_the_facts_of_joined_records_are_one_persons_from_either_end(
    pool: "Pool[Any]", ledger: Ledger, projector: Projector
) -> None:
    await registered(ledger, ONE, DOUBLE)
    await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, nominated(who=2, project="gp2"))
    restriction = "restriction/zz22-410181-00002-r1"
    await append(ledger, "restrictions", restriction, 0, proposed("zz22-410181-00002", who=2), SERVED, IMPOSED)
    await projector.catch_up()
    apart = await history.of_person(pool, ONE, "")
    assert (apart.others, apart.barred) == ((), ())
    joined = PersonJoined(into=ONE, by="bureau:zzedu", decided_by="b7", reasons="r")
    await append(ledger, "people", f"person/{DOUBLE}", 1, joined)
    await projector.catch_up()
    for end in (ONE, DOUBLE):
        known = await history.of_person(pool, end, "")
        assert set(known.records) == {ONE, DOUBLE}
        assert [each["person"] for each in known.others] == [str(DOUBLE)]
        assert known.barred == ((date(2022, 11, 5), date(2025, 11, 5)),)
    assert await persons.ties(pool, (ONE, DOUBLE)) == (1, 1)
    assert await persons.ties(pool, (ONE,)) == (0, 0)


async def test_nobody_is_held_who_did_not_ask(pool: "Pool[Any]", ledger: Ledger, projector: Projector) -> None:
    await registered(ledger, ONE)
    await projector.catch_up()
    assert await persons.held(pool) == []
    waiting = await trainees_in_order.to_review(pool, "", 10)
    assert (waiting.items, waiting.next) == ((), None)


@settings(deadline=None)
@given(st.booleans(), st.integers(0, 60), st.booleans(), st.integers(0, 60))
def test_the_order_is_total_and_the_front_line_never_stands_behind(
    rural: bool, years: int, other_rural: bool, other_years: int
) -> None:
    now = datetime(2022, 8, 26, tzinfo=UTC)
    one = places(the_plan(), History(), now, county="410181", rural=rural, years_of_service=years)
    other = places(the_plan(), History(), now, county="410181", rural=other_rural, years_of_service=other_years)
    assert len(one) == len(other) == len(the_plan().eligibility.priority)
    if rural and not other_rural:
        assert one < other
    if rural == other_rural:
        assert one == other
