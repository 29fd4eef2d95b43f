"""A subscription gives every event once and in order, whatever happens to commits, connections and readers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ledger import subscription as module
from ledger.batch import QUERY, arguments, prepare
from ledger.errors import LedgerUnavailable, PageOutOfRange
from ledger.store import Ledger
from ledger.subscription import (
    LONGEST_WAIT_S,
    MAX_BATCH_EVENTS,
    SHORTEST_WAIT_S,
    BeyondHead,
    SequenceGap,
    Subscription,
    SubscriptionBusy,
)
from ledger.types import Append, Appended, RecordedEvent
from tests.ledger.appends import BOOK, append, fill, write

Pool = asyncpg.Pool
WRITERS = 16
APPENDS_PER_WRITER = 40
READER = "reader"
MAX_CHECKS = 30_000
"""A condition that is not met after so many looks fails the test; each look waits a millisecond."""


@pytest_asyncio.fixture
async def readers(pool: "Pool[Any]", database_url: str) -> AsyncIterator["Pool[Any]"]:
    """A pool whose sessions a test finds by their name. `pool` has migrated the database."""
    settings = {"application_name": READER}
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4, server_settings=settings) as readers:
        yield readers


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of events that each answered poll has brought, one entry per poll."""
    counts: list[int] = []
    checked = Subscription._checked

    def count(self: Subscription, head: int, bodies: Sequence[bytes]) -> list[RecordedEvent]:
        counts.append(len(bodies))
        return checked(self, head, bodies)

    monkeypatch.setattr(Subscription, "_checked", count)
    return counts


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(MAX_CHECKS):
        if await holds():
            return
        await asyncio.sleep(0.001)
    pytest.fail("the condition was not met")


async def polled_twice(polls: list[int]) -> None:
    """Wait for two more polls: the second has begun after this was called."""
    before = len(polls)

    async def more() -> bool:
        return len(polls) >= before + 2

    await until(more)


async def waits_for_lock(pool: "Pool[Any]", pid: int) -> None:
    async def waits() -> bool:
        return bool(await pool.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid))

    await until(waits)


async def blocked_reader(pool: "Pool[Any]") -> int:
    """Wait for a session of `readers` that waits for a lock, and give its process id."""
    found: list[int] = []

    async def blocked() -> bool:
        rows = await pool.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 "
            "AND state = 'active' AND wait_event_type = 'Lock'",
            READER,
        )
        found[:] = [row["pid"] for row in rows]
        return len(found) == 1

    await until(blocked)
    return found[0]


async def kill_readers(pool: "Pool[Any]") -> int:
    return int(
        await pool.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = $1",
            READER,
        )
    )


async def send(connection: Any, one: Append) -> str:
    """Append on a connection of the test's own, in whatever transaction it is; give the outcome."""
    row = await connection.fetchrow(QUERY, *arguments([prepare(one)]))
    return str(row["outcomes"][0])


async def take(subscription: Subscription, count: int) -> list[int]:
    """Read until so many events have come, and give their sequences."""
    seen: list[int] = []
    while len(seen) < count:
        seen += [event.sequence for event in await anext(subscription)]
    return seen


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

    async def kill_along(reading: "asyncio.Task[list[int]]") -> None:
        nonlocal killed
        while not reading.done():
            # The next kill waits until a session is there again, so the reader gets on in between.
            killed += await kill_readers(pool)
            await asyncio.sleep(0.02)

    reading = asyncio.create_task(take(Subscription(readers, BOOK, batch_events=5), total))
    killing = asyncio.create_task(kill_along(reading))
    for number in range(total):
        await ledger.append(append(write(f"s/{number}")))
    assert await reading == list(range(1, total + 1))
    await killing
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


async def collect(subscription: Subscription) -> list[int]:
    """Read until the subscription ends, and give the sequences."""
    return [event.sequence async for batch in subscription for event in batch]


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
