"""One projector writes at a time, and a former one cannot, whatever it believes about its lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from projections import engine, lease
from projections.advance import Applier
from projections.database import AnyConnection
from projections.engine import OtherDefinition, Projector
from projections.lease import LeaseLost, take
from tests.projections.histories import BOOK, append, record
from tests.projections.running import running
from tests.projections.trainee_lives import nominated, trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"
TRAINEES = "SELECT count(*) FROM view.trainees"


@asynccontextmanager
async def session(pool: Pool) -> AsyncIterator[AnyConnection]:
    """A connection as a projector has it."""
    async with pool.acquire() as connection:
        await connection.execute("SET search_path TO view")
        yield connection


async def test_a_former_leader_whose_lock_ended_unnoticed_writes_nothing_at_the_very_same_checkpoint(
    pool: Pool, ledger: Ledger
) -> None:
    await record(ledger, [trainee(1, "closed")])
    async with session(pool) as first, session(pool) as second:
        held = await take(first)
        assert held is not None
        assert await take(second) is None
        former = Applier(first, held)
        (behind,) = await former.behind()
        # Behind a pooler, or after a connection was cut, the lock is gone while its holder still works.
        await first.execute("SELECT pg_advisory_unlock_all()")
        taken = await take(second)
        assert taken is not None
        assert taken.token > held.token
        with pytest.raises(LeaseLost):
            await former.advance(behind)
        assert await pool.fetchval(TRAINEES) == 0
        assert await Applier(second, taken).project() == len(trainee(1, "closed").events)
        assert await pool.fetchval("SELECT token FROM view.checkpoints") == taken.token
    assert await pool.fetchval(TRAINEES) == 1


async def test_a_frozen_leader_s_lease_is_taken_over_its_living_lock(
    pool: Pool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(ledger, [trainee(1, "selected")])
    async with session(pool) as first, session(pool) as second:
        frozen = await take(first)
        assert frozen is not None
        assert await take(second) is None
        monkeypatch.setattr(lease, "LEASE_SECONDS", 0.0)
        taken = await take(second)
        assert taken is not None
        assert not taken.exclusive
        # It wakes up, and neither renews nor writes.
        monkeypatch.setattr(lease, "RENEW_SECONDS", 0.0)
        with pytest.raises(LeaseLost):
            await frozen.keep(first)
        monkeypatch.setattr(lease, "RENEW_SECONDS", 60.0)
        with pytest.raises(LeaseLost):
            await Applier(first, frozen).project()
        assert await Applier(second, taken).project() > 0


async def test_who_takes_the_lease_waits_for_the_batch_under_way(pool: Pool, ledger: Ledger) -> None:
    recorded = await record(ledger, [trainee(1, "closed")])
    async with session(pool) as first, session(pool) as second:
        held = await take(first)
        assert held is not None
        transaction = first.transaction()
        await transaction.start()
        await Applier(first, held).project()
        await first.execute("SELECT pg_advisory_unlock_all()")
        taking = asyncio.create_task(take(second))
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        assert not taking.done()
        await transaction.commit()
        taken = await taking
        assert taken is not None
        assert await Applier(second, taken).project() == 0
    assert await pool.fetchval("SELECT sequence FROM view.checkpoints") == recorded


async def test_a_projector_that_was_fenced_off_takes_the_lease_anew(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    async with running(projector):
        await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated())
        await projector.wait_for(BOOK, 1)
        async with pool.acquire() as other, other.transaction():
            await lease.revoke(other)
        await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, nominated(who=2))
        await projector.wait_for(BOOK, 2)
    assert await pool.fetchval(TRAINEES) == 2


async def test_a_projector_of_a_release_without_leases_cannot_write(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "selected")])
    await projector.catch_up()
    with pytest.raises(asyncpg.NotNullViolationError):
        await pool.execute(
            "INSERT INTO view.checkpoints AS c (book, sequence) VALUES ($1, 7) "
            "ON CONFLICT (book) DO UPDATE SET sequence = excluded.sequence WHERE c.sequence = 6",
            BOOK,
        )


async def test_a_projector_leaves_the_views_of_another_release_alone_until_they_are_its_own(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STANDBY_POLL_SECONDS", 0.02)
    ours = await pool.fetchval("SELECT obj_description('view'::regnamespace, 'pg_namespace')")
    await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, nominated())
    await pool.execute("COMMENT ON SCHEMA view IS 'definition of another release'")
    with pytest.raises(OtherDefinition):
        await projector.catch_up()
    async with running(projector):
        await asyncio.sleep(0.1)
        assert await pool.fetchval(TRAINEES) == 0
        assert await pool.fetchval("SELECT token FROM projection.lease") == 0
        await pool.execute(f"COMMENT ON SCHEMA view IS '{ours}'")
        await projector.wait_for(BOOK, 1)
    assert await pool.fetchval(TRAINEES) == 1
