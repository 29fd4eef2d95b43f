"""Restrictions are seen by the bureau, the county and the school concerned, and by nobody else."""

from datetime import date
from typing import Any, TypeAlias

import asyncpg

from domain.decision import Actor
from ledger.store import Ledger
from projections import restrictions
from projections.engine import Projector
from projections.restrictions import RestrictionFigures
from tests.projections.histories import BOOK, Stream, person, record
from tests.projections.restriction_lives import RESTRICTION_LIVES, proposed, recorded_earlier

Pool: TypeAlias = "asyncpg.Pool[Any]"

BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
NUMBERS = {life: f"zz22-410181-{place:05d}-r1" for place, life in enumerate(RESTRICTION_LIVES, start=1)}


async def all_of_them(ledger: Ledger, projector: Projector) -> None:
    streams = [
        Stream("restrictions", f"restriction/{NUMBERS[life]}", (proposed(NUMBERS[life][:-3], who=place), *events))
        for place, (life, events) in enumerate(RESTRICTION_LIVES.items(), start=1)
    ]
    other = proposed("zz22-410182-00001", "410182", "410182-s01", who=50)
    streams.append(Stream("restrictions", "restriction/zz22-410182-00001-r1", (other,)))
    streams.append(Stream("restrictions", "restriction/prior-00001", (recorded_earlier(),)))
    await record(ledger, streams)
    await projector.catch_up()


async def test_who_sees_which_restriction(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await all_of_them(ledger, projector)
    own = sorted(NUMBERS.values())
    seen = {
        BUREAU: ["prior-00001", *own, "zz22-410182-00001-r1"],
        COUNTY: own,
        Actor(organisation="410181-s01", role="school"): own,
        Actor(organisation="410182", role="county"): ["zz22-410182-00001-r1"],
        Actor(organisation="h001", role="host"): [],
    }
    for viewer, expected in seen.items():
        assert [row.number for row in (await restrictions.page(pool, viewer)).items] == expected
        assert sum((await restrictions.count_by_phase(pool, viewer)).values()) == len(expected)
        for number in seen[BUREAU]:
            assert (await restrictions.get(pool, viewer, number) is not None) == (number in expected)


async def test_the_filters(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await all_of_them(ledger, projector)

    async def found(**wanted: Any) -> list[str]:
        return [row.number for row in (await restrictions.page(pool, BUREAU, **wanted)).items]

    assert await found(county="410182") == ["zz22-410182-00001-r1"]
    assert await found(phase="imposed") == ["prior-00001", NUMBERS["imposed"]]
    assert await found(trainee="zz22-410181-00003") == [NUMBERS["dropped"]]
    assert await found(person=person(9)) == ["prior-00001"]
    assert await found(ground="dismissed") == []
    assert await found(campaign="2023-zhengzhou") == []
    assert await restrictions.count_by_phase(pool, BUREAU, BOOK) == {
        "dropped": 1, "expired": 1, "imposed": 2, "proposed": 2, "reversed": 1,
    }  # fmt: skip


async def test_the_figures_say_how_many_ever_came_so_far(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await all_of_them(ledger, projector)
    assert await restrictions.figures(pool, BOOK) == RestrictionFigures(
        proposed=6, served=4, objected=1, imposed=3, dropped=1, recorded=1, expired=1
    )
    nothing = await restrictions.figures(pool, "2023-zhengzhou")
    assert nothing == RestrictionFigures(0, 0, 0, 0, 0, 0, 0)


async def test_a_person_is_barred_from_the_first_day_until_the_stored_one(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await all_of_them(ledger, projector)

    async def until(who: int, on: date) -> date | None:
        return await restrictions.barred_until(pool, person(who), on)

    end = date(2024, 5, 1)
    assert await until(9, date(2021, 4, 30)) is None
    assert await until(9, date(2021, 5, 1)) == end
    assert await until(9, date(2024, 4, 30)) == end
    assert await until(9, end) is None
    imposed, dropped = list(RESTRICTION_LIVES).index("imposed") + 1, list(RESTRICTION_LIVES).index("dropped") + 1
    assert await until(imposed, date(2023, 1, 1)) == date(2025, 11, 5)
    assert await until(dropped, date(2023, 1, 1)) is None


async def test_a_row_tells_its_restriction(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await all_of_them(ledger, projector)
    row = await restrictions.get(pool, BUREAU, NUMBERS["imposed"])
    assert row is not None
    assert (row.ground, row.served_via, row.decided_by, row.host) == ("absent", "school", "officer-1", "h001")
    assert (row.starts, row.until, row.closed) == (date(2022, 11, 5), date(2025, 11, 5), False)
    assert row.objected_at is not None
    assert row.dropped_at is None
    earlier = await restrictions.get(pool, BUREAU, "prior-00001")
    assert earlier is not None
    assert (earlier.trainee, earlier.proposed_at, earlier.policy) == ("", None, "")
    assert earlier.recorded_at is not None


async def test_what_a_second_decision_and_a_bulletin_ask(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await all_of_them(ledger, projector)
    place = list(RESTRICTION_LIVES).index("imposed") + 1
    assert await restrictions.last_barred_until(pool, person(place), "zz22-410181-00999-r1") == date(2025, 11, 5)
    assert await restrictions.last_barred_until(pool, person(place), NUMBERS["imposed"]) is None
    row = await restrictions.get(pool, BUREAU, NUMBERS["reversed"])
    assert row is not None and row.closed and row.waived_at is not None and row.service_failed_at is not None
    assert await restrictions.last_reversal(pool, BOOK) == row.reversed_at
    assert await restrictions.last_reversal(pool, "2023-zhengzhou") is None
