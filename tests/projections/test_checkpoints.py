"""Waiting for a sequence, from a process that does not project."""

import asyncio
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from projections.checkpoints import Checkpoints, ViewBehind, status
from projections.engine import Projector
from tests.projections.histories import BOOK, append, record
from tests.projections.trainee_lives import nominated, trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"


async def test_another_process_waits_until_the_projector_has_come_so_far(
    database_url: str, pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    recorded = await record(ledger, [trainee(1, "closed")])
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as own_pool:
        checkpoints = Checkpoints(own_pool)
        waiting = [asyncio.create_task(checkpoints.wait_for(BOOK, recorded)) for _ in range(20)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        await projector.catch_up()
        assert await asyncio.gather(*waiting) == [recorded] * 20
        # What was reached is remembered: no connection is needed for it any more.
        async with own_pool.acquire():
            assert await checkpoints.wait_for(BOOK, recorded) == recorded
        await checkpoints.close()


async def test_a_sequence_that_is_not_reached_in_time_is_an_error_that_says_how_far_it_came(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated())
    await projector.catch_up()
    checkpoints = Checkpoints(pool)
    with pytest.raises(ViewBehind) as behind:
        await checkpoints.wait_for(BOOK, 2, timeout_seconds=0.1)
    assert (behind.value.book, behind.value.sequence, behind.value.reached) == (BOOK, 2, 1)
    with pytest.raises(ViewBehind):
        await checkpoints.wait_for("people", 1, timeout_seconds=0.1)
    await checkpoints.close()


async def test_one_waiter_s_timeout_takes_nothing_from_the_others(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    checkpoints = Checkpoints(pool)
    patient = asyncio.create_task(checkpoints.wait_for(BOOK, 1))
    for _ in range(5):
        with pytest.raises(ViewBehind):
            await checkpoints.wait_for(BOOK, 1, timeout_seconds=0.01)
    await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated())
    await projector.catch_up()
    assert await patient == 1
    await checkpoints.close()


async def test_nothing_has_to_be_waited_for_before_the_first_event(pool: Pool) -> None:
    assert await Checkpoints(pool).wait_for(BOOK, 0) == 0


async def test_many_waiters_cost_one_question_per_poll(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await pool.execute("CREATE SEQUENCE questions")
    await pool.execute("ALTER TABLE view.checkpoints RENAME TO real_checkpoints")
    await pool.execute(
        "CREATE VIEW view.checkpoints AS SELECT 'x'::text AS book, 1::bigint AS sequence FROM nextval('questions')"
    )
    checkpoints = Checkpoints(pool)
    waiting = [asyncio.create_task(checkpoints.wait_for(BOOK, 1, timeout_seconds=0.3)) for _ in range(50)]
    await asyncio.gather(*waiting, return_exceptions=True)
    await checkpoints.close()
    assert await pool.fetchval("SELECT last_value FROM questions") <= 16


async def test_the_database_s_failure_reaches_the_waiter(database_url: str, pool: Pool) -> None:
    checkpoints = Checkpoints(pool)
    await pool.execute("DROP TABLE view.checkpoints")
    with pytest.raises(asyncpg.UndefinedTableError):
        await checkpoints.wait_for(BOOK, 1)


async def test_the_lag_is_told_in_seconds_of_the_wall_clock_too(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated())
    await projector.catch_up()
    assert [each.lag_seconds for each in await status(pool)] == [0.0]
    # What is recorded says 2022; the waiting began now.
    await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, nominated(who=2))
    await asyncio.sleep(0.1)
    await append(ledger, BOOK, "trainee/zz22-410181-00003", 0, nominated(who=3))
    (behind,) = await status(pool)
    assert behind.lag == 2
    assert behind.lag_seconds is not None
    assert 0.1 <= behind.lag_seconds < 60


async def test_an_id_that_does_not_say_when_it_was_made_gives_no_seconds(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated())
    partition = await pool.fetchval("SELECT DISTINCT tableoid::regclass::text FROM ledger.events")
    await pool.execute(f"ALTER TABLE {partition} DISABLE TRIGGER refuse_change")
    await pool.execute(f"UPDATE {partition} SET id = gen_random_uuid()")
    assert [each.lag_seconds for each in await status(pool)] == [None]
