"""Quotas, waiting lists and substitutions on real parts: PostgreSQL decides on the last seat, Temporal keeps time."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client

from activities.dispatch import Dispatcher
from activities.outbox import Outbox
from domain.decision import Actor
from domain.numbers import quota_number
from projections import quotas, trainees
from tests.workflows.conftest import (
    BUREAU,
    COUNTY,
    HOST,
    SCHOOL,
    Core,
    CoreFactory,
    Refused,
    SetClock,
    at,
    nomination,
    open_campaign,
    until,
)
from tests.workflows.test_trainee import plan_class
from workflows.messages import workflow_id

NEXT = Actor(organisation="410182", role="county")
LINE, OTHER, CITY = "gp5:410181", "gp5:410182", "gp5:zzedu"


def number(core: Core, line: str) -> str:
    return quota_number(core.book, line)


async def quota(core: Core, line: str, command: str, by: Actor, **body: Any) -> str:
    receipt = await core.send("quota", number(core, line), command, by, body)
    return receipt.phase


async def seats(core: Core, line: str) -> tuple[int, int]:
    counter = await core.ledger.counter(f"seat:{core.book}:{line}")
    return counter.used, counter.limit


async def shrink(core: Core, line: str, size: int) -> None:
    """Leave the line with so few seats that a test can fill them."""
    await quota(core, line, "override", BUREAU, seats=size, reason="a small year", document="doc 1")


async def nominated(core: Core, name: str, **changes: Any) -> str:
    number_ = core.number(name)
    await core.send("trainee", number_, "nominate", SCHOOL, nomination(**changes), new=True)
    return number_


async def phase(core: Core, trainee: str) -> str:
    await core.projector.catch_up()
    row = await trainees.get(core.pool, BUREAU, trainee)
    assert row is not None
    return row.phase


async def dispatched(core: Core) -> None:
    """Start and wake what the outbox asks for, as the worker's dispatcher does."""
    await Dispatcher(core.pool, core.client, task_queue=core.task_queue).poll(Outbox(core.pool))


async def reaches(core: Core, trainee: str, wanted: str) -> None:
    async def there() -> bool:
        await dispatched(core)
        return await phase(core, trainee) == wanted

    await until(there)


async def test_case_1_two_counties_claim_the_citys_last_seat_at_once(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    async with core_on(temporal_client, SetClock(at(8, 26))) as core:
        await open_campaign(core)
        used, _ = await seats(core, CITY)
        await shrink(core, CITY, used + 1)
        before = {line: (await seats(core, line))[1] for line in (LINE, OTHER)}
        # Two overrides on two lines, each for the one seat that the city has left.
        results = await asyncio.gather(
            *(
                quota(core, line, "override", BUREAU, seats=before[line] + 1, reason="r", document="d")
                for line in (LINE, OTHER)
            ),
            return_exceptions=True,
        )
        refused = [each for each in results if isinstance(each, Refused)]
        assert [each.code for each in refused] == ["quota_exhausted"]
        after = {line: (await seats(core, line))[1] for line in (LINE, OTHER)}
        assert sum(after.values()) == sum(before.values()) + 1
        assert await seats(core, CITY) == (used + 1, used + 1)


async def test_case_1_two_counties_take_the_last_seat_of_one_offer_line_at_once(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    """Approvals and an offer of the same last seat: the claim gives it to one of them."""
    async with core_on(temporal_client, SetClock(at(8, 26))) as core:
        await open_campaign(core)
        await shrink(core, LINE, 1)
        trainee = await nominated(core, "t1")
        results = await asyncio.gather(
            core.send("trainee", trainee, "approve", COUNTY),
            quota(core, LINE, "offer-seats", COUNTY, seats=1, candidates=["410182"], reason="r"),
            quota(core, LINE, "return-seats", COUNTY, seats=1, reason="r"),
            return_exceptions=True,
        )
        refused = [each.code for each in results if isinstance(each, Refused)]
        assert len(refused) == 2 and set(refused) <= {"quota_exhausted", "capacity_below_used"}
        used, limit = await seats(core, LINE)
        assert used <= limit


async def test_case_2_seats_left_over_go_to_the_next_and_both_numbers_stay(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(9, 5))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        (_, mine), (_, theirs) = await seats(core, LINE), await seats(core, OTHER)
        answer = await quota(core, LINE, "offer-seats", COUNTY, seats=2, candidates=["410182"], reason="too few")
        assert answer == "offering"
        assert await seats(core, LINE) == (2, mine)
        assert await quota(core, LINE, "accept-seats", NEXT, offer=1) == "issued"
        assert (await seats(core, LINE), await seats(core, OTHER)) == ((0, mine - 2), (0, theirs + 2))
        await core.projector.catch_up()
        rows = await quotas.page(core.pool, core.ledger, BUREAU, core.book, project_type="gp5")
        found = {each.quota.line: each.quota for each in rows.items}
        assert (found[LINE].issued, found[LINE].seats) == (mine, mine - 2)
        assert (found[OTHER].issued, found[OTHER].seats) == (theirs, theirs + 2)
        assigned = {each.organisation: each for each in await quotas.assigned(core.pool, core.book)}
        assert assigned["410181"].original - assigned["410181"].adjusted == 2
        assert assigned["410182"].adjusted - assigned["410182"].original == 2
        assert "zzedu" not in assigned
        # The line has no offer open any more, so its workflow has ended.
        handle = core.client.get_workflow_handle(workflow_id("quota", number(core, LINE)))
        await handle.result()


async def test_case_2_an_offer_that_nobody_answers_lapses_by_the_lines_own_timer(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(9, 5))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        await quota(core, LINE, "offer-seats", COUNTY, seats=1, candidates=["410182"], reason="too few")
        clock.at = at(9, 7)

        async def lapsed() -> bool:
            return (await core.events("quota", LINE))[-1] == "quota.reallocation_ended"

        await until(lapsed)
        assert (await seats(core, LINE))[0] == 0
        with pytest.raises(Refused) as refused:
            await quota(core, LINE, "accept-seats", NEXT, offer=1)
        assert refused.value.code == "offer_not_open"


async def test_case_7_one_freed_seat_gives_one_offer_in_the_declared_order(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        await shrink(core, LINE, 1)
        seated = await nominated(core, "t1")
        await core.send("trainee", seated, "approve", COUNTY)
        first = await nominated(core, "t2")
        clock.at = at(8, 26, 3)
        second = await nominated(core, "t3")
        rural = await nominated(core, "t4", rural=True)
        for each in (second, first, rural):
            await core.send("trainee", each, "waitlist", COUNTY)
        await dispatched(core)
        await core.projector.catch_up()
        rows = await trainees.waiting(core.pool, core.book, "gp5", "410181")
        # The plan's preference for the rural front line comes first, then the first submission.
        assert [each.number for each in rows] == [rural, first, second]
        await core.send("trainee", seated, "withdraw", SCHOOL, {"reason": "ill"})
        await reaches(core, rural, "offered")
        assert await phase(core, first) == await phase(core, second) == "waitlisted"
        assert await seats(core, LINE) == (1, 1)
        await core.send("trainee", rural, "decline-seat", SCHOOL)
        await reaches(core, first, "offered")
        # Nobody answers: the trainee's own timer ends the offer, and the seat goes on to the last one.
        clock.at = at(8, 28)
        await reaches(core, second, "offered")
        assert (await core.events("trainee", first))[-2:] == ["seat.offer_lapsed", "nomination.rejected"]
        assert (await core.send("trainee", second, "accept-seat", SCHOOL)).phase == "county-approved"
        assert await seats(core, LINE) == (1, 1)


async def test_case_7_a_raised_quota_gives_exactly_one_offer_per_seat(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    async with core_on(temporal_client, SetClock(at(8, 26))) as core:
        await open_campaign(core)
        await shrink(core, LINE, 0)
        waiting = [await nominated(core, f"t{index}") for index in range(5)]
        for each in waiting:
            await core.send("trainee", each, "waitlist", COUNTY)
        await quota(core, CITY, "delegate", BUREAU, to="410181", seats=2)
        # The line hears of its seats several times; each seat is offered once.
        await asyncio.gather(*(dispatched(core) for _ in range(3)))
        await quota(core, CITY, "delegate", BUREAU, to="410181", seats=1)
        await reaches(core, waiting[2], "offered")
        assert [await phase(core, each) for each in waiting] == ["offered"] * 3 + ["waitlisted"] * 2
        assert await seats(core, LINE) == (3, 3)
        use = await quotas.get(core.pool, core.ledger, BUREAU, core.book, LINE)
        assert use is not None
        assert (use.size, use.used, use.held, use.waiting, use.left) == (3, 3, 3, 2, 0)


async def test_case_16_a_substitute_takes_the_seat_through_the_whole_way(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        training_class, old = core.number("c1"), await nominated(core, "t1")
        await core.send("trainee", old, "approve", COUNTY)
        await core.send("trainee", old, "approve", BUREAU, {"host": "h001"})
        await plan_class(core, clock, training_class)
        await core.send("trainee", old, "enroll", HOST, {"training_class": training_class})
        await core.send("trainee", old, "confirm", SCHOOL)
        clock.at = at(10, 8)
        new, person = core.number("t2"), uuid4()
        body = substitution(new, person)
        assert (await core.send("trainee", old, "substitute", COUNTY, body)).phase == "withdrawn"
        assert (await seats(core, LINE))[0] == 1
        assert (await core.ledger.counter(f"class-seat:{training_class}")).used == 0
        await dispatched(core)
        for by, more in ((COUNTY, {}), (BUREAU, {"host": "h001"})):
            await core.send("trainee", new, "approve", by, more)
        await core.send("trainee", new, "enroll", HOST, {"training_class": training_class})
        clock.at = at(10, 10)
        await core.send("trainee", new, "register", HOST)
        with pytest.raises(Refused) as refused:
            await core.send("trainee", old, "register", HOST)
        assert refused.value.code == "substituted"
        assert (await seats(core, LINE))[0] == 1
        row = await trainees.get(core.pool, BUREAU, new) if await phase(core, new) == "in-training" else None
        assert row is not None and row.substitutes == old


async def test_case_17_a_substitute_who_is_not_approved_in_time_gives_the_seat_back(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        old = await nominated(core, "t1")
        await core.send("trainee", old, "approve", COUNTY)
        await core.send("trainee", old, "approve", BUREAU, {"host": "h001"})
        clock.at = at(12, 1)
        new = core.number("t2")
        await core.send("trainee", old, "substitute", COUNTY, substitution(new, uuid4()))
        await core.start("trainee", new)
        clock.at = at(12, 28)
        await reaches(core, new, "rejected")
        assert (await seats(core, LINE))[0] == 0


async def test_case_44_one_county_is_reopened_and_only_that_one(temporal_client: Client, core_on: CoreFactory) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        clock.at = at(9, 1)
        with pytest.raises(Refused) as refused:
            await nominated(core, "t1")
        assert refused.value.code == "deadline_passed"
        body = {"county": "410181", "until": at(9, 3).isoformat(), "reason": "flood"}
        await core.send("campaign", core.book, "reopen", BUREAU, body)
        trainee, slow = await nominated(core, "t2"), await nominated(core, "t3")
        await core.send("trainee", trainee, "approve", COUNTY)
        assert (await core.send("trainee", trainee, "approve", BUREAU, {"host": "h001"})).phase == "selected"
        other = nomination(county="410182", school="410182-s01")
        with pytest.raises(Refused) as refused:
            await core.send(
                "trainee",
                core.number("t4"),
                "nominate",
                Actor(organisation="410182-s01", role="school"),
                other,
                new=True,
            )
        assert refused.value.code == "deadline_passed"
        clock.at = at(9, 4)
        await reaches(core, slow, "rejected")
        assert await phase(core, trainee) == "selected"


async def test_case_4_a_removed_hosts_trainees_are_told_and_moved(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        other = next(each.id for each in core.plan.hosts if each.id != "h001" and len(each.levels) == 2)
        trainee = await nominated(core, "t1")
        await core.send("trainee", trainee, "approve", COUNTY)
        await core.send("trainee", trainee, "approve", BUREAU, {"host": "h001"})
        with pytest.raises(Refused) as refused:
            await core.send("campaign", core.book, "remove-host", BUREAU, {"host": "h001", "reason": "fire"})
        assert refused.value.code == "host_in_use"
        body = {"host": "h001", "replacement": other, "reason": "fire"}
        await core.send("campaign", core.book, "remove-host", BUREAU, body)

        async def moved() -> bool:
            await core.projector.catch_up()
            row = await trainees.get(core.pool, BUREAU, trainee)
            return row is not None and row.host == other

        await until(moved)

        async def settled() -> bool:
            return (await core.events("campaign", core.book))[-1] == "campaign.settled"

        await until(settled)


def substitution(new: str, person: UUID) -> dict[str, Any]:
    """A substitute whom the plan allows."""
    return {
        "number": new,
        "reason": "ill",
        "school": "410181-s01",
        "person": {"id": str(person), "sealed": "sealed"},
        "stage": "primary",
        "subject": "chinese",
        "years_of_service": 5,
    }
