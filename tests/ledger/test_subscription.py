"""A subscription gives every event once and in order, whatever happens to commits, connections and readers."""

import asyncio
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from ledger import subscription as module
from ledger.errors import PageOutOfRange
from ledger.store import Ledger
from ledger.subscription import (
    LONGEST_WAIT_S,
    MAX_BATCH_EVENTS,
    SHORTEST_WAIT_S,
    BeyondHead,
    SequenceGap,
    Subscription,
)
from ledger.types import Appended
from tests.ledger.appends import BOOK, append, fill, write
from tests.ledger.readers import (
    APPENDS_PER_WRITER,
    WRITERS,
    Pool,
    collect,
    polled_twice,
    send,
    take,
    until,
    waits_for_lock,
)


async def test_it_starts_in_the_past_and_goes_on_with_new_events(ledger: Ledger, readers: "Pool[Any]") -> None:
    await fill(ledger, 9)
    async with Subscription(readers, BOOK, after_sequence=4) as subscription:
        assert subscription.position == 4
        batch = await anext(subscription)
        assert batch == (await ledger.read_book(BOOK, 4, 10))
        assert subscription.position == 9
        waiting = asyncio.create_task(take(subscription, 2))
        await ledger.append(append(write("new", events=2)))
        assert await waiting == [10, 11]


async def test_it_starts_at_the_head_and_waits(ledger: Ledger, readers: "Pool[Any]", polls: list[int]) -> None:
    await fill(ledger, 3)
    async with Subscription(readers, BOOK, after_sequence=3) as subscription:
        waiting = asyncio.create_task(take(subscription, 1))
        await polled_twice(polls)
        assert not waiting.done()
        await ledger.append(append(write("new")))
        assert await waiting == [4]


async def test_it_waits_for_a_book_that_is_not_there_yet(
    ledger: Ledger, readers: "Pool[Any]", polls: list[int]
) -> None:
    async with Subscription(readers, BOOK) as subscription:
        waiting = asyncio.create_task(take(subscription, 1))
        await polled_twice(polls)
        await ledger.append(append(write("another/1", book="another")))
        await polled_twice(polls)
        assert not waiting.done()
        await ledger.append(append())
        assert await waiting == [1]


async def test_it_refuses_to_start_beyond_the_head(ledger: Ledger, readers: "Pool[Any]") -> None:
    await fill(ledger, 3)
    with pytest.raises(BeyondHead, match="ends at 3"):
        await anext(Subscription(readers, BOOK, after_sequence=4))
    with pytest.raises(BeyondHead, match="ends at 0"):
        await anext(Subscription(readers, "unknown", after_sequence=1))


@pytest.mark.parametrize("after", [-1, 2**63])
async def test_it_refuses_a_sequence_that_cannot_be(pool: "Pool[Any]", after: int) -> None:
    with pytest.raises(PageOutOfRange, match="0 or more"):
        Subscription(pool, BOOK, after_sequence=after)


@pytest.mark.parametrize("batch_events", [0, MAX_BATCH_EVENTS + 1])
async def test_it_refuses_a_batch_out_of_bounds(pool: "Pool[Any]", batch_events: int) -> None:
    with pytest.raises(PageOutOfRange, match=f"1 to {MAX_BATCH_EVENTS}"):
        Subscription(pool, BOOK, batch_events=batch_events)


async def test_batches_and_polls_are_bounded(ledger: Ledger, readers: "Pool[Any]", polls: list[int]) -> None:
    await fill(ledger, 25)
    sizes: list[int] = []
    async with Subscription(readers, BOOK, batch_events=10) as subscription:
        async for batch in subscription:
            sizes.append(len(batch))
            if subscription.position == 25:
                break
    assert sizes == polls == [10, 10, 5]


@pytest.mark.defect("skipped events")
async def test_the_later_number_cannot_commit_first(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]", polls: list[int]
) -> None:
    """The first transaction holds the head row, so the second gets no number before the first has ended."""
    await fill(ledger, 3)
    async with (
        Subscription(readers, BOOK, after_sequence=3) as subscription,
        pool.acquire() as first,
        pool.acquire() as second,
    ):
        waiting = asyncio.create_task(take(subscription, 3))
        open_transaction = first.transaction()
        await open_transaction.start()
        assert await send(first, append(write("first", events=2))) == "appended"
        later = asyncio.create_task(send(second, append(write("second"))))
        await waits_for_lock(pool, second.get_server_pid())
        await polled_twice(polls)
        assert not later.done() and not waiting.done()

        await open_transaction.commit()

        assert await later == "appended"
        assert await waiting == [4, 5, 6]
    assert [event.stream for event in await ledger.read_book(BOOK, 3, 9)] == ["first", "first", "second"]


@pytest.mark.defect("skipped events")
async def test_a_number_that_is_given_back_goes_to_the_next_one(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]"
) -> None:
    await fill(ledger, 3)
    async with (
        Subscription(readers, BOOK, after_sequence=3) as subscription,
        pool.acquire() as first,
        pool.acquire() as second,
    ):
        open_transaction = first.transaction()
        await open_transaction.start()
        assert await send(first, append(write("first", events=2))) == "appended"
        later = asyncio.create_task(send(second, append(write("second"))))
        await waits_for_lock(pool, second.get_server_pid())

        await open_transaction.rollback()

        assert await later == "appended"
        batch = await anext(subscription)
        assert [(event.sequence, event.stream) for event in batch] == [(4, "second")]


async def remove(pool: "Pool[Any]", sequence: int) -> asyncpg.Record:
    """Take an event out of the book by force, and give its row."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE ledger.events_1 DISABLE TRIGGER refuse_change")
        row: asyncpg.Record | None = await connection.fetchrow(
            "DELETE FROM ledger.events_1 WHERE sequence = $1 RETURNING *", sequence
        )
    assert row is not None
    return row


@pytest.mark.parametrize("missing", [1, 3, 6])
async def test_it_never_reads_past_a_gap(ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]", missing: int) -> None:
    """At the beginning, within, and at the end, which only the head row tells."""
    await fill(ledger, 6)
    await remove(pool, missing)
    subscription = Subscription(readers, BOOK)
    assert await take(subscription, missing - 1) == list(range(1, missing))
    for _ in range(2):
        with pytest.raises(SequenceGap, match=f"no event {missing};"):
            await anext(subscription)
    assert subscription.position == missing - 1


@pytest.mark.defect("skipped events")
async def test_without_the_lock_a_late_commit_is_an_error_and_not_a_skipped_event(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]"
) -> None:
    """Event 2 is written by a transaction that has not committed, though 3 is there: what the head row excludes."""
    await fill(ledger, 3)
    row = await remove(pool, 2)
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    subscription = Subscription(readers, BOOK)
    async with pool.acquire() as late, late.transaction():
        await late.execute(f"INSERT INTO ledger.events ({', '.join(row.keys())}) VALUES ({places})", *row.values())
        assert await take(subscription, 1) == [1]
        with pytest.raises(SequenceGap):
            await anext(subscription)
    assert await take(subscription, 2) == [2, 3]


@pytest.mark.defect("skipped events")
async def test_sixteen_writers_and_each_reader_sees_every_event_once(pool: "Pool[Any]", readers: "Pool[Any]") -> None:
    total = WRITERS * sum(1 + place % 3 for place in range(APPENDS_PER_WRITER))

    async def write_some(number: int) -> None:
        async with Ledger(pool) as own:
            for place in range(APPENDS_PER_WRITER):
                one = append(write(f"{number}/{place}", events=1 + place % 3))
                assert isinstance(await own.append(one), Appended)

    async with asyncio.TaskGroup() as group:
        reading = [
            group.create_task(take(Subscription(readers, BOOK, batch_events=size), total)) for size in (1, 7, 1_000)
        ]
        for number in range(WRITERS):
            group.create_task(write_some(number))
    for one in reading:
        assert one.result() == list(range(1, total + 1))


@pytest.mark.defect("notify stalls")
async def test_waits_double_up_to_the_longest_and_begin_anew_after_an_event(
    ledger: Ledger, readers: "Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(delay: float) -> None:
        waits.append(delay)
        await sleep(0)

    async def after_ten() -> bool:
        return len(waits) >= 10

    subscription = Subscription(readers, BOOK)
    waiting = asyncio.create_task(take(subscription, 1))
    monkeypatch.setattr(module, "sleep", note)
    await until(after_ten)
    first = waits[:10]
    await ledger.append(append())
    await waiting
    waits.clear()
    ending = asyncio.create_task(collect(subscription))
    await until(after_ten)
    assert waits[:10] == first
    assert first[0] == SHORTEST_WAIT_S and first[-1] == LONGEST_WAIT_S
    assert all(later == min(2 * earlier, LONGEST_WAIT_S) for earlier, later in pairwise(first))
    subscription.close()
    assert await ending == []


async def test_a_subscription_holds_no_connection_while_it_waits(
    ledger: Ledger, pool: "Pool[Any]", database_url: str, polls: list[int]
) -> None:
    """Many subscriptions share one connection."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as single:
        subscriptions = [Subscription(single, BOOK) for _ in range(10)]
        waiting = [asyncio.create_task(take(one, 1)) for one in subscriptions]
        await polled_twice(polls)
        await ledger.append(append())
        assert await asyncio.gather(*waiting) == [[1]] * 10


async def test_the_application_may_subscribe(ledger: Ledger, pool: "Pool[Any]", database_url: str) -> None:
    await fill(ledger, 2)
    async with asyncpg.create_pool(
        database_url, min_size=1, max_size=1, server_settings={"role": "xunji_app"}
    ) as restricted:
        assert await take(Subscription(restricted, BOOK), 2) == [1, 2]
