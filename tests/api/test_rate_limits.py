"""How often a key may ask, and how often somebody may fail to sign in, over all processes of the API."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from api.problems import Problem
from api.rate_limits import HAND_S, IDLE_S, MAX_HAND, Limit, RateLimits
from tests.api.front_door import API, BUREAU, COUNTY, HOST, new_key, own_plan, running, settings_for

SLOW = 60
KEY = secrets.token_bytes(32)


@pytest_asyncio.fixture
async def limited(database_url: str, tmp_path: Path) -> AsyncIterator[API]:
    """The API with a bucket of 5 requests, and of 3 failures, that fill very slowly."""
    settings = settings_for(
        database_url, tmp_path, rate_limit_per_minute=1, rate_limit_burst=5, failed_sign_ins_per_minute=3
    )
    async with running(settings, own_plan()) as api:
        yield api


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=8) as pool:
        yield pool


class Counting:
    """A pool that writes down how many tokens were asked for."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self.wanted: list[int] = []

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        self.wanted.append(arguments[3])
        return await self._pool.fetchrow(query, *arguments)


def limits(pool: Any, requests: Limit, now: list[float], key: bytes = KEY) -> RateLimits:
    return RateLimits(pool, key, requests=requests, failures=Limit(SLOW, 3), monotonic=lambda: now[0])


async def spend_all(of: RateLimits) -> int:
    """How many requests are let through until one is refused."""
    for spent in range(10_000):
        try:
            await of.spend("k")
        except Problem as problem:
            _check(problem)
            return spent
    raise AssertionError("nothing was refused")


def _check(problem: Problem) -> None:
    assert problem.type.slug == "too-many-requests"
    assert int(problem.headers["Retry-After"]) >= 1


async def test_a_key_that_asks_too_often_waits_and_others_do_not(limited: API) -> None:
    answers = [await limited.get(HOST, "/v1/clock") for _ in range(8)]
    assert [each.status_code for each in answers] == [200] * 5 + [429] * 3
    refused = answers[-1]
    assert limited.problem(refused) == "too-many-requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await limited.get(COUNTY, "/v1/clock")).status_code == 200
    # Another key of the same organisation has a bucket of its own.
    second = await new_key(limited.services, HOST, "host")
    response = await limited.http.get("/v1/clock", headers={"Authorization": f"Bearer {second}"})
    assert response.status_code == 200
    # Nothing is carried out: the refused request may be sent again as it was.
    kept = await limited.services.pool.fetchval("SELECT count(*) FROM app.idempotency")
    assert kept == 0


async def test_what_needs_no_key_is_not_counted(limited: API) -> None:
    for _ in range(12):
        assert (await limited.http.get("/v1/healthz")).status_code == 200


async def test_an_address_that_fails_too_often_waits_and_a_key_in_use_there_goes_on(limited: API) -> None:
    assert (await limited.get(HOST, "/v1/clock")).status_code == 200
    wrong = {"Authorization": f"Bearer xj_{'0' * 16}_{'a' * 32}"}
    answers = [await limited.http.get("/v1/clock", headers=wrong) for _ in range(5)]
    assert [each.status_code for each in answers] == [401, 401, 401, 429, 429]
    assert limited.problem(answers[-1]) == "too-many-failed-sign-ins"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert (await limited.get(HOST, "/v1/clock")).status_code == 200, "the key was looked up before"
    assert (await limited.get(COUNTY, "/v1/clock")).status_code == 429, "this one was not"
    transport = httpx2.ASGITransport(limited.app, client=("127.0.0.9", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://xunji.test") as elsewhere:
        key = {"Authorization": f"Bearer {limited.keys[COUNTY]}"}
        assert (await elsewhere.get("/v1/clock", headers=key)).status_code == 200


async def test_nobody_is_counted_as_failing_for_sending_nothing(limited: API) -> None:
    for _ in range(6):
        assert (await limited.http.get("/v1/clock")).status_code == 401
    assert (await limited.get(BUREAU, "/v1/clock")).status_code == 200


async def test_no_address_and_no_key_stands_in_the_table(limited: API) -> None:
    await limited.get(HOST, "/v1/clock")
    await limited.http.get("/v1/clock", headers={"Authorization": "Bearer x"})
    rows = await limited.services.pool.fetch("SELECT subject FROM app.rate_limits")
    assert len(rows) == 2
    assert all(len(each["subject"]) == 16 and b"127" not in each["subject"] for each in rows)


@pytest.mark.parametrize("burst", [1, 7, 100])
async def test_several_processes_share_one_bucket(pool: "asyncpg.Pool[Any]", burst: int) -> None:
    processes = [limits(pool, Limit(1, burst), [0.0]) for _ in range(3)]
    spent = await asyncio.gather(*(spend_all(each) for each in processes))
    assert sum(spent) == burst


async def test_a_process_asks_the_database_the_less_the_more_is_asked_and_gives_back_the_rest(
    pool: "asyncpg.Pool[Any]",
) -> None:
    counting, now = Counting(pool), [0.0]
    one = limits(counting, Limit(MAX_HAND * 60, 2_000), now)
    for _ in range(1_000):
        await one.spend("k")
    assert counting.wanted == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]
    # 1,023 were taken, so 23 are over; the bucket is set so that what comes back can be told from what it gains.
    await pool.execute("UPDATE app.rate_limits SET tokens = 0, at = clock_timestamp() + interval '1 hour'")
    now[0] = HAND_S
    await one.spend("k")
    assert counting.wanted[-1] == 128, "half of before"
    assert one._hands.popitem()[1].left == 22, "no more than what was given back"


async def test_a_bucket_fills_again(pool: "asyncpg.Pool[Any]") -> None:
    now = [0.0]
    one = limits(pool, Limit(60, 5), now)
    assert await spend_all(one) == 5
    await pool.execute("UPDATE app.rate_limits SET tokens = 0, at = clock_timestamp() - interval '3.5 seconds'")
    now[0] = 60.0
    assert await spend_all(one) >= 3
    await pool.execute("UPDATE app.rate_limits SET at = at - interval '1 hour'")
    now[0] = 120.0
    assert await spend_all(one) == 5, "it holds no more than its burst"


async def test_a_caller_that_is_refused_costs_the_database_nothing(pool: "asyncpg.Pool[Any]") -> None:
    counting = Counting(pool)
    one = limits(counting, Limit(1, 1), [0.0])
    assert await spend_all(one) == 1
    asked = len(counting.wanted)
    for _ in range(100):
        with pytest.raises(Problem):
            await one.spend("k")
    assert len(counting.wanted) == asked


async def test_full_buckets_are_forgotten(pool: "asyncpg.Pool[Any]") -> None:
    one = limits(pool, Limit(60, 5), [0.0])
    await one.spend("k")
    assert await one.sweep() == 0
    await pool.execute("UPDATE app.rate_limits SET at = at - make_interval(secs => $1)", IDLE_S + 1)
    assert await one.sweep() == 1
