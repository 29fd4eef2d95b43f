"""Sessions that a test finds and kills, and waiting for them: what the tests of subscriptions share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from ledger.batch import QUERY, arguments, prepare
from ledger.subscription import (
    Subscription,
)
from ledger.types import Append

Pool = asyncpg.Pool
WRITERS = 16
APPENDS_PER_WRITER = 40
READER = "reader"
MAX_CHECKS = 30_000
"""A condition that is not met after so many looks fails the test; each look waits a millisecond."""


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


async def collect(subscription: Subscription) -> list[int]:
    """Read until the subscription ends, and give the sequences."""
    return [event.sequence async for batch in subscription for event in batch]
