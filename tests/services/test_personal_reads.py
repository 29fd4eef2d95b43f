"""The trail of reads is written for many at once, and loses none of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from services.personal_reads import READS_PER_WRITE, Read, Trail, page

MANY = 3 * READS_PER_WRITE


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        yield pool


def read(number: int, operation: str = "get_trainee") -> Read:
    return Read("h001", "host", "key", operation, f"zz22-410181-{number:05d}", [uuid4()], 1, f"request-{number}")


async def written(pool: "asyncpg.Pool[Any]") -> list[str]:
    found = await page(pool, person=None, organisation=None, operation=None, before=2**62, limit=1_000)
    return sorted(each.request_id for each in found)


async def test_who_asks_at_the_same_time_shares_a_commit(pool: "asyncpg.Pool[Any]") -> None:
    trail = Trail(pool)
    reads = [read(number) for number in range(MANY)]
    await asyncio.gather(*(trail.record(each) for each in reads))
    assert await written(pool) == sorted(each.request_id for each in reads)
    commits: int = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM app.personal_reads")
    assert commits <= MANY / READS_PER_WRITE + 1
    await trail.record(read(MANY))
    assert len(await written(pool)) == MANY + 1


async def test_one_that_cannot_be_written_fails_alone(pool: "asyncpg.Pool[Any]") -> None:
    trail = Trail(pool)
    reads = [read(0), read(1), read(2, operation=""), read(3)]
    outcomes = await asyncio.gather(*(trail.record(each) for each in reads), return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), type(None), asyncpg.CheckViolationError, type(None)]
    assert await written(pool) == ["request-0", "request-1", "request-3"]


async def test_who_goes_away_takes_nobody_along(pool: "asyncpg.Pool[Any]") -> None:
    trail = Trail(pool)
    tasks = [asyncio.create_task(trail.record(read(number))) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in outcomes].count(asyncio.CancelledError) == 1
    assert {f"request-{number}" for number in (0, 1, 3, 4)} <= set(await written(pool))


async def test_nothing_is_said_to_be_written_that_is_not(pool: "asyncpg.Pool[Any]") -> None:
    trail = Trail(pool)
    await pool.close()
    with pytest.raises(asyncpg.InterfaceError):
        await trail.record(read(0))
