"""A subscription whose sessions are killed, whose reader is cancelled, or that is closed while it waits."""

import asyncio
import logging
from typing import Any

import asyncpg
import pytest

from ledger import subscription as module
from ledger.errors import LedgerUnavailable
from ledger.store import Ledger
from ledger.subscription import (
    Subscription,
    SubscriptionBusy,
)
from ledger.types import RecordedEvent
from tests.ledger.appends import BOOK, append, fill, write
from tests.ledger.readers import (
    READER,
    Pool,
    blocked_reader,
    collect,
    kill_readers,
    polled_twice,
    take,
    until,
)


@pytest.mark.defect("notify stalls")
async def test_a_session_that_is_killed_within_a_poll_is_replaced(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]", caplog: pytest.LogCaptureFixture
) -> None:
    await fill(ledger, 5)
    async with Subscription(readers, BOOK, batch_events=3) as subscription:
        assert await take(subscription, 3) == [1, 2, 3]
        with caplog.at_level(logging.WARNING, module.__name__):
            async with pool.acquire() as locker, locker.transaction():
                await locker.execute("LOCK TABLE ledger.books IN ACCESS EXCLUSIVE MODE")
                waiting = asyncio.create_task(take(subscription, 2))
                killed = await blocked_reader(pool)
                assert await pool.fetchval("SELECT pg_terminate_backend($1)", killed)
                assert await blocked_reader_other_than(pool, killed) != killed
            assert await waiting == [4, 5]
        assert "a poll of the book" in caplog.text
        await ledger.append(append(write("new")))
        assert await take(subscription, 1) == [6]


async def blocked_reader_other_than(pool: "Pool[Any]", killed: int) -> int:
    async def gone() -> bool:
        return not await pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", killed)

    await until(gone)
    return await blocked_reader(pool)


async def test_killing_its_sessions_again_and_again_neither_skips_nor_repeats(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]"
) -> None:
    total = 300
    killed = 0
    seen: list[int] = []

    async def read(subscription: Subscription) -> None:
        while len(seen) < total:
            seen.extend(event.sequence for event in await anext(subscription))

    async def kill_along(reading: "asyncio.Task[None]") -> None:
        nonlocal killed
        before = -1
        while not reading.done():
            # The next kill waits until the reader has got on: without that, a slow machine would never let it.
            if len(seen) > before:
                before = len(seen)
                killed += await kill_readers(pool)
            await asyncio.sleep(0.005)

    reading = asyncio.create_task(read(Subscription(readers, BOOK, batch_events=5)))
    killing = asyncio.create_task(kill_along(reading))
    for number in range(total):
        await ledger.append(append(write(f"s/{number}")))
    await reading
    await killing
    assert seen == list(range(1, total + 1))
    assert killed > 1


async def test_a_database_that_stays_away_is_an_error_and_reading_goes_on_afterwards(
    ledger: Ledger,
    pool: "Pool[Any]",
    readers: "Pool[Any]",
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_WAIT_S", 0.0)
    await fill(ledger, 6)
    subscription = Subscription(readers, BOOK, batch_events=2)
    assert await take(subscription, 2) == [1, 2]
    name = await pool.fetchval("SELECT current_database()")
    outside = await asyncpg.connect(database_url.replace(f"/{name}", "/postgres"))
    try:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await outside.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        with pytest.raises(LedgerUnavailable, match="after 2"):
            await anext(subscription)
    finally:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await outside.close()
    assert subscription.position == 2
    assert await take(subscription, 4) == [3, 4, 5, 6]


async def test_a_closed_pool_is_an_error_at_once(
    pool: "Pool[Any]", database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_WAIT_S", 1e6)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as closed:
        pass
    with pytest.raises(LedgerUnavailable):
        await anext(Subscription(closed, BOOK))


async def test_a_cancelled_wait_keeps_the_position(ledger: Ledger, readers: "Pool[Any]", polls: list[int]) -> None:
    await fill(ledger, 2)
    subscription = Subscription(readers, BOOK)
    assert await take(subscription, 2) == [1, 2]
    waiting = asyncio.create_task(take(subscription, 1))
    await polled_twice(polls)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ledger.append(append(write("new")))
    assert await take(subscription, 1) == [3]


async def test_a_batch_whose_reader_is_cancelled_as_it_comes_is_given_again(
    ledger: Ledger, readers: "Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(ledger, 3)
    subscription = Subscription(readers, BOOK)
    next_batch = Subscription._next_batch

    async def cancel_reader(self: Subscription) -> list[RecordedEvent]:
        batch = await next_batch(self)
        assert len(batch) == 3
        reading.cancel()
        return batch

    with monkeypatch.context() as patch:
        patch.setattr(Subscription, "_next_batch", cancel_reader)
        reading = asyncio.create_task(take(subscription, 3))
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert subscription.position == 0
    assert await take(subscription, 3) == [1, 2, 3]


async def sessions_waiting(pool: "Pool[Any]") -> int:
    return int(
        await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 "
            "AND state = 'active'",
            READER,
        )
    )


async def test_cancelling_within_a_poll_leaves_no_query_behind(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    # The query must not end for another reason.
    monkeypatch.setattr(module, "POLL_TIMEOUT_S", 1e6)
    await fill(ledger, 2)
    subscription = Subscription(readers, BOOK)
    async with pool.acquire() as locker, locker.transaction():
        await locker.execute("LOCK TABLE ledger.books IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(take(subscription, 2))
        await blocked_reader(pool)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # The lock is still held: nothing but the cancellation has ended the query.
        await until(lambda: nobody_waits(pool))
    assert await take(subscription, 2) == [1, 2]


async def nobody_waits(pool: "Pool[Any]") -> bool:
    return await sessions_waiting(pool) == 0


async def test_closing_ends_a_reader_that_waits_within_a_poll(
    ledger: Ledger, pool: "Pool[Any]", readers: "Pool[Any]"
) -> None:
    await fill(ledger, 2)
    subscription = Subscription(readers, BOOK)
    async with pool.acquire() as locker, locker.transaction():
        await locker.execute("LOCK TABLE ledger.books IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(collect(subscription))
        await blocked_reader(pool)
        subscription.close()
        assert await waiting == []


async def test_closing_ends_a_reader_that_waits_between_polls_at_once(
    ledger: Ledger, readers: "Pool[Any]", polls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wait that no test would live to see the end of.
    monkeypatch.setattr(module, "SHORTEST_WAIT_S", 1e6)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 1e6)
    await fill(ledger, 2)
    subscription = Subscription(readers, BOOK)
    waiting = asyncio.create_task(collect(subscription))

    async def found_nothing() -> bool:
        return polls == [2, 0]

    await until(found_nothing)
    subscription.close()
    assert await waiting == [1, 2]
    subscription.close()
    assert await collect(subscription) == []


async def test_closing_drops_a_batch_that_was_not_handed_over(ledger: Ledger, readers: "Pool[Any]") -> None:
    await fill(ledger, 2)
    subscription = Subscription(readers, BOOK)
    waiting = asyncio.create_task(collect(subscription))
    await asyncio.sleep(0)
    subscription.close()
    assert await waiting == []
    assert subscription.position == 0


async def test_two_readers_of_one_subscription_are_refused(
    ledger: Ledger, readers: "Pool[Any]", polls: list[int]
) -> None:
    async with Subscription(readers, BOOK) as subscription:
        waiting = asyncio.create_task(take(subscription, 1))
        await polled_twice(polls)
        with pytest.raises(SubscriptionBusy):
            await anext(subscription)
        await ledger.append(append())
        assert await waiting == [1]
