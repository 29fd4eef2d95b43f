"""The demo clock against a real database; its real seconds come from a counter that the test turns."""

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from asyncpg.pool import PoolConnectionProxy

from clock import (
    CACHE_S,
    PACE_MEMORY_S,
    RESOLUTION_S,
    SLOWEST_PACE_SHARE,
    STANDING_SHARE,
    STANDING_WAIT_MAX_S,
    ClockError,
    DemoClock,
    SystemClock,
    advance_cap,
    clock_for,
    create_demo_clock,
    set_speed,
)

START = datetime(2022, 8, 25, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Counter:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        yield pool


@pytest_asyncio.fixture
async def conn(pool: "asyncpg.Pool[Any]") -> AsyncIterator["PoolConnectionProxy[Any]"]:
    async with pool.acquire() as conn:
        yield conn


async def stop_real_time(pool: "asyncpg.Pool[Any]", elapsed_s: float) -> None:
    """Pretend that `elapsed_s` real seconds have passed since the anchor."""
    await pool.execute(
        "UPDATE app.demo_clock SET anchor_real = clock_timestamp() - make_interval(secs => $1)", elapsed_s
    )


async def test_system_clock_tells_real_time_in_utc() -> None:
    before = datetime.now(UTC)
    now = await SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


async def test_system_clock_counts_real_seconds_and_never_less_than_none() -> None:
    clock = SystemClock()
    assert 3_590 < await clock.real_seconds_until(datetime.now(UTC) + timedelta(hours=1)) <= 3_600.001
    assert await clock.real_seconds_until(START) == 0.0


async def test_an_instant_without_a_zone_is_refused(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    naive = START.replace(tzinfo=None)
    await create_demo_clock(conn, START, 1.0)
    with pytest.raises(ValueError, match="time zone"):
        await SystemClock().real_seconds_until(naive)
    with pytest.raises(ValueError, match="time zone"):
        await DemoClock(pool).real_seconds_until(naive)
    with pytest.raises(ValueError, match="time zone"):
        await advance_cap(conn, naive)


async def test_a_new_demo_clock_stands_still_until_the_cap_moves(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 1_000.0)
    clock = DemoClock(pool)
    assert await clock.now() == START
    await stop_real_time(pool, 3_600)
    assert await DemoClock(pool).now() == START


async def test_time_passes_at_its_speed_up_to_the_cap(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 0.002)
    assert await advance_cap(conn, START + 10 * DAY) == START + 10 * DAY
    await stop_real_time(pool, 1_000.0)
    counter = Counter()
    clock = DemoClock(pool, counter)
    first = await clock.now()
    assert START + 2 * DAY <= first < START + 2 * DAY + timedelta(hours=12)
    counter.seconds += CACHE_S
    assert await clock.now() - first == pytest.approx(timedelta(days=0.002 * CACHE_S), abs=timedelta(microseconds=1))
    await stop_real_time(pool, 60_000.0)
    counter.seconds += 1
    assert await clock.now() == START + 10 * DAY


async def test_a_reading_is_kept_for_the_cache_time_only(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 1e-9)
    counter = Counter()
    clock = DemoClock(pool, counter)
    await clock.now()
    await pool.execute("UPDATE app.demo_clock SET anchor_app = $1, cap_app = $1", START + DAY)
    counter.seconds += CACHE_S
    assert await clock.now() == START
    counter.seconds += CACHE_S / 100
    assert await clock.now() == START + DAY


async def test_moving_the_cap_after_a_long_wait_does_not_make_time_jump(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 0.001)
    await advance_cap(conn, START + DAY)
    await stop_real_time(pool, 400 * 365 * 86_400.0)
    assert await DemoClock(pool).now() == START + DAY
    await advance_cap(conn, START + 2 * DAY)
    assert START + DAY <= await DemoClock(pool).now() < START + DAY + timedelta(minutes=30)


async def test_the_cap_never_goes_back(conn: "PoolConnectionProxy[Any]") -> None:
    await create_demo_clock(conn, START, 1.0)
    await advance_cap(conn, START + 5 * DAY)
    assert await advance_cap(conn, START + DAY) == START + 5 * DAY


async def test_a_new_speed_counts_from_now_on(pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]") -> None:
    await create_demo_clock(conn, START, 0.001)
    await advance_cap(conn, START + 100 * DAY)
    await stop_real_time(pool, 10_000.0)
    await set_speed(conn, 1e-6)
    clock = DemoClock(pool)
    now = await clock.now()
    assert START + 10 * DAY <= now < START + 11 * DAY
    assert await clock.real_seconds_until(now + DAY) == pytest.approx(1e6, rel=1e-3)


async def test_real_seconds_until_is_the_campaign_time_divided_by_the_speed(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 4.0)
    clock = DemoClock(pool)
    assert await clock.real_seconds_until(START + 10 * DAY) == pytest.approx(2.5)
    assert await clock.real_seconds_until(START) == 0.0
    # A thousandth of a second is the least that anybody can sleep, so less is never answered.
    assert await clock.real_seconds_until(START + timedelta(milliseconds=1)) >= RESOLUTION_S


async def test_a_clock_that_stands_still_asks_for_more_patience_the_longer_it_stands(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 1_000.0)
    soon = START + timedelta(hours=1)
    await stop_real_time(pool, 1.0)
    assert await DemoClock(pool).real_seconds_until(soon) == pytest.approx(STANDING_SHARE, abs=0.2)
    await stop_real_time(pool, 3_600.0)
    assert await DemoClock(pool).real_seconds_until(soon) == STANDING_WAIT_MAX_S
    assert await DemoClock(pool).real_seconds_until(START) == 0.0, "what has come has come"
    await advance_cap(conn, START + 100_000 * DAY)
    assert await DemoClock(pool).real_seconds_until(START + 1_000 * DAY) <= 1.0, "time passes again"


async def test_beyond_the_cap_it_is_the_pace_of_the_last_seconds_that_counts(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 10.0)
    await advance_cap(conn, START + 10 * DAY)
    assert await DemoClock(pool).real_seconds_until(START + 110 * DAY) == pytest.approx(11.0, rel=0.05), "at its speed"
    # Ten days in forty seconds: time was held up for thirty-nine of them.
    await stop_real_time(pool, 40.0)
    await advance_cap(conn, START + 20 * DAY)
    clock = DemoClock(pool)
    assert await clock.real_seconds_until(START + 15 * DAY) == pytest.approx(0.5, abs=0.2), "within the cap, as ever"
    pace = 0.25 + (10.0 - 0.25) * math.exp(-40.0 / PACE_MEMORY_S)
    assert await clock.real_seconds_until(START + 110 * DAY) == pytest.approx(100 / pace, rel=0.05)
    await stop_real_time(pool, 10_000.0)
    await advance_cap(conn, START + 30 * DAY)
    slowest = 10.0 * SLOWEST_PACE_SHARE
    assert await DemoClock(pool).real_seconds_until(START + 120 * DAY) == pytest.approx(100 / slowest, rel=0.05)
    await set_speed(conn, 5.0)
    assert await DemoClock(pool).real_seconds_until(START + 110 * DAY) == pytest.approx(18.0, rel=0.05), "starts anew"


async def test_after_the_real_seconds_the_instant_has_come_and_not_before(
    pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]"
) -> None:
    await create_demo_clock(conn, START, 1_000.0)
    await advance_cap(conn, START + 100_000 * DAY)
    counter = Counter()
    clock = DemoClock(pool, counter)
    instant = await clock.now() + 10 * DAY
    seconds = await clock.real_seconds_until(instant)
    assert seconds < CACHE_S
    counter.seconds += seconds - 2 * RESOLUTION_S
    assert await clock.now() < instant
    counter.seconds += 2 * RESOLUTION_S
    assert await clock.now() >= instant


async def test_making_it_again_keeps_the_time(pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]") -> None:
    await create_demo_clock(conn, START, 1.0)
    await advance_cap(conn, START + 3 * DAY)
    await stop_real_time(pool, 60.0)
    await create_demo_clock(conn, START - 100 * DAY, 7.0)
    assert await DemoClock(pool).now() == START + 3 * DAY


async def test_several_processes_may_make_it_at_once(pool: "asyncpg.Pool[Any]") -> None:
    async def make() -> None:
        async with pool.acquire() as connection:
            await create_demo_clock(connection, START, 1.0)

    await asyncio.gather(*(make() for _ in range(4)))
    assert await pool.fetchval("SELECT count(*) FROM app.demo_clock") == 1


async def test_concurrent_readers_share_one_query(pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]") -> None:
    await create_demo_clock(conn, START, 1.0)
    clock = DemoClock(pool, Counter())
    async with pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE app.demo_clock IN ACCESS EXCLUSIVE MODE")
        readers = [asyncio.create_task(clock.now()) for _ in range(50)]
        while pool.get_size() - pool.get_idle_size() < 2:
            await asyncio.sleep(0)
        assert pool.get_size() - pool.get_idle_size() == 2
    assert set(await asyncio.gather(*readers)) == {START}


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
async def test_a_speed_that_is_none_is_refused(conn: "PoolConnectionProxy[Any]", speed: float) -> None:
    with pytest.raises(ValueError, match="days_per_second"):
        await create_demo_clock(conn, START, speed)
    await create_demo_clock(conn, START, 1.0)
    with pytest.raises(ValueError, match="days_per_second"):
        await set_speed(conn, speed)


async def test_a_missing_clock_is_named(pool: "asyncpg.Pool[Any]", conn: "PoolConnectionProxy[Any]") -> None:
    with pytest.raises(ClockError, match="create_demo_clock"):
        await DemoClock(pool).now()
    await create_demo_clock(conn, START, 1.0)
    await pool.execute("DELETE FROM app.demo_clock")
    with pytest.raises(ClockError, match="create_demo_clock"):
        await DemoClock(pool).now()
    with pytest.raises(ClockError, match="create_demo_clock"):
        await advance_cap(conn, START + DAY)


async def test_the_setting_chooses_the_clock(pool: "asyncpg.Pool[Any]") -> None:
    assert isinstance(clock_for("system", pool), SystemClock)
    assert isinstance(clock_for("demo", pool), DemoClock)
