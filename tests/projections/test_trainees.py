"""Lists and counts of nominations: each organisation its own, every page in order, nothing left out."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from domain.decision import SYSTEM, Actor
from domain.history import Grounds
from ledger.store import Ledger
from projections import trainees
from projections.engine import Projector
from projections.query import PAGE_LIMIT, LimitOutOfRange
from projections.trainees import TraineeFilter
from tests.projections.histories import BOOK, Stream, day, person, record
from tests.projections.trainee_lives import CONFIRMED, LIVES, trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"

BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
OTHER_COUNTY = Actor(organisation="410182", role="county")
SCHOOL = Actor(organisation="410181-s01", role="school")
HOST = Actor(organisation="h002", role="host")
CLASS = "zz22-c-h001-01"
FROZEN = [f"zz22-410181-{list(LIVES).index('frozen') + 1:05d}"]


def number_of(stream: Stream) -> str:
    return stream.name.removeprefix("trainee/")


async def cases(ledger: Ledger, projector: Projector) -> dict[str, Stream]:
    """One case of every life in 410181, some in 410182 and in another school and class."""
    ours = [trainee(number, life) for number, life in enumerate(LIVES, start=1)]
    others = [
        trainee(101, "confirmed", "410182", host="h002", training_class="zz22-c-h002-01"),
        trainee(102, "nominated", "410182", project="gp2"),
        trainee(103, "county-approved", "410182"),
    ]
    elsewhere = [
        trainee(201, "selected", school="410181-s02"),
        trainee(202, "absent", school="410181-s02", host="h002"),
    ]
    streams = [*ours, *others, *elsewhere]
    await record(ledger, streams)
    await projector.catch_up()
    return {number_of(stream): stream for stream in streams}


async def numbers(pool: Pool, viewer: Actor, wanted: TraineeFilter = trainees.EVERYTHING) -> set[str]:
    page = await trainees.page(pool, viewer, wanted, limit=PAGE_LIMIT)
    assert page.next is None
    return {row.number for row in page.items}


async def test_each_organisation_lists_counts_and_reads_its_own_cases_only(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    streams = await cases(ledger, projector)
    seen = {
        BUREAU: set(streams),
        SYSTEM: set(streams),
        COUNTY: {number for number in streams if "-410181-" in number},
        OTHER_COUNTY: {number for number in streams if "-410182-" in number},
        SCHOOL: {number for number in streams if "-410181-000" in number},
        HOST: {"zz22-410182-00101", "zz22-410181-00202"},
        Actor(organisation="h001-s01", role="school"): set(),
        # The same id in another role is another organisation.
        Actor(organisation="410181", role="host"): set(),
        Actor(organisation="zzedu", role="county"): set(),
    }
    for viewer, expected in seen.items():
        assert await numbers(pool, viewer) == expected
        assert sum((await trainees.count_by_phase(pool, viewer)).values()) == len(expected)
        for number in streams:
            assert (await trainees.get(pool, viewer, number) is not None) == (number in expected)
    # A filter never widens the scope.
    assert await numbers(pool, COUNTY, TraineeFilter(county="410182")) == set()


async def test_the_filters(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await cases(ledger, projector)
    assert await numbers(pool, BUREAU, TraineeFilter(campaign="2023-zhengzhou")) == set()
    assert await numbers(pool, BUREAU, TraineeFilter(project_type="gp2")) == {"zz22-410182-00102"}
    assert await numbers(pool, BUREAU, TraineeFilter(person=person(101))) == {"zz22-410182-00101"}
    assert await numbers(pool, BUREAU, TraineeFilter(school="410181-s02", phase="absent")) == {"zz22-410181-00202"}
    assert await numbers(pool, BUREAU, TraineeFilter(host="h002", county="410182")) == {"zz22-410182-00101"}
    in_class = await numbers(pool, BUREAU, TraineeFilter(training_class="zz22-c-h002-01"))
    assert in_class == {"zz22-410182-00101"}
    everybody = await numbers(pool, BUREAU, TraineeFilter(campaign=BOOK))
    closed = await numbers(pool, BUREAU, TraineeFilter(closed=True))
    still_open = await numbers(pool, BUREAU, TraineeFilter(closed=False))
    assert closed | still_open == everybody
    assert not closed & still_open
    assert await trainees.open_cases(pool, BOOK) == len(still_open)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_the_cursor_meets_every_case_once_and_in_order(
    pool: Pool, ledger: Ledger, projector: Projector, limit: int
) -> None:
    streams = await cases(ledger, projector)
    met: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await trainees.page(pool, BUREAU, after=after, limit=limit)
        assert len(page.items) == limit if page.next else 1 <= len(page.items) <= limit
        met += [row.number for row in page.items]
        after = page.next
    assert met == sorted(streams)


@pytest.mark.parametrize("limit", [0, -1, PAGE_LIMIT + 1])
async def test_a_page_has_its_bounds(pool: Pool, limit: int) -> None:
    with pytest.raises(LimitOutOfRange):
        await trainees.page(pool, BUREAU, limit=limit)


async def test_a_row_tells_its_case(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    streams = await cases(ledger, projector)
    number = next(number for number, stream in streams.items() if stream.events[-1] == CONFIRMED)
    row = await trainees.get(pool, COUNTY, number)
    assert row is not None
    assert (row.phase, row.waiting_for, row.closed) == ("confirmed", "registration at the host", False)
    assert (row.host, row.training_class, row.seat_held) == ("h001", CLASS, True)
    assert (row.subject, row.position, row.rural, row.stage) == ("maths", "teacher", True, "primary")
    assert row.version == len(streams[number].events)
    assert row.sequence == max(event.sequence for event in await ledger.read_stream(BOOK, f"trainee/{number}"))
    assert row.confirmed_at is not None
    assert row.registered_at is None


async def test_reach_finds_every_open_case_in_the_phases_and_no_other(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await cases(ledger, projector)
    found: list[trainees.Reachable] = []
    after: str | None = ""
    while after is not None:
        page = await trainees.page_for_reach(pool, BOOK, ("nominated", "county-approved"), after=after, limit=1)
        found += page.items
        after = page.next
    assert {(each.number, each.phase) for each in found} == {
        ("zz22-410181-00001", "nominated"),
        ("zz22-410181-00002", "county-approved"),
        ("zz22-410182-00102", "nominated"),
        ("zz22-410182-00103", "county-approved"),
        # A frozen one lapses like any other.
        *((number, "county-approved") for number in FROZEN),
    }
    of_class = await trainees.page_for_reach(pool, BOOK, ("enrolled", "confirmed"), "zz22-c-h002-01")
    assert [each.number for each in of_class.items] == ["zz22-410182-00101"]
    assert (await trainees.page_for_reach(pool, "2023-zhengzhou", ("nominated",))).items == ()


async def test_what_deadlines_ask(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await cases(ledger, projector)
    assert await trainees.waiting_counties(pool, BOOK) == ("410181", "410182")
    # enrolled, confirmed, in training twice (once unconfirmed), a completion taken back; the absent have an outcome.
    # Two more: asked anew after a change of the class's dates, and placed again after a cancelled class.
    assert await trainees.without_outcome(pool, CLASS) == 7
    assert await trainees.without_outcome(pool, "zz22-c-h002-01") == 1
    assert await trainees.without_outcome(pool, "zz22-c-h003-01") == 0


async def test_a_returned_nomination_says_so(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    stream = trainee(1, "selected")
    await record(ledger, [Stream(BOOK, stream.name, stream.events[:3])])
    await projector.catch_up()
    row = await trainees.get(pool, SCHOOL, number_of(stream))
    assert row is not None
    assert (row.phase, row.returned, row.waiting_for, row.seat_held) == (
        "nominated", True, "the resubmission", False,
    )  # fmt: skip


async def test_what_a_restriction_and_a_bulletin_ask(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await cases(ledger, projector)

    async def in_flight(life: str, *, frozen: bool) -> list[str]:
        who = list(LIVES).index(life) + 1
        return [row.number for row in await trainees.in_flight(pool, person(who), frozen=frozen)]

    assert await in_flight("frozen", frozen=True) == FROZEN
    assert await in_flight("frozen", frozen=False) == []
    assert len(await in_flight("resumed", frozen=False)) == 1
    assert await in_flight("in-training", frozen=False) == [], "he is in training already"
    assert await in_flight("withdrawn", frozen=False) == []
    last = await pool.fetchval("SELECT max(corrected_sequence) FROM view.trainees")
    assert await trainees.last_correction(pool, BOOK) == last > 0
    assert await trainees.last_correction(pool, "2023-zhengzhou") == 0


async def test_who_waits_for_a_seat_stands_in_the_plans_declared_order(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    """Step by step, not by a weight: an earlier step decides, and among equals the first submission (case 45)."""
    places = {1: (1, 0, 0), 2: (0, 1, 1), 3: (0, 1, 0), 4: (0, 1, 0)}
    streams = []
    for number, priority in places.items():
        stream = trainee(number, "waitlisted")
        nominated = stream.events[0].model_copy(
            update={"grounds": Grounds(rule_version="1", priority=priority), "submitted_at": day(9 - number)}
        )
        streams.append(Stream(stream.book, stream.name, (nominated, *stream.events[1:])))
    await record(ledger, streams)
    await projector.catch_up()
    rows = await trainees.waiting(pool, BOOK, "gp1", "410181")
    assert [row.number[-1] for row in rows] == ["4", "3", "2", "1"]
    assert rows[0].priority == [0, 1, 0]
