"""Two builds of the views are equal, and a rebuild takes the live one's place while events come in."""

import asyncio
import dataclasses
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from ledger.types import NewEvent
from projections.checkpoints import parked
from projections.engine import Projector
from projections.rebuild import RebuildUnderWay, rebuild, state_hash, state_hashes
from projections.schema import LOCK_CLASS, REBUILD_LOCK, definition
from projections.views import ALL_VIEWS, VIEWS_BY_KIND
from tests.projections.histories import BOOK, append, nominated, record, trainee, world
from tests.projections.running import running

Pool: TypeAlias = "asyncpg.Pool[Any]"


async def live(pool: Pool) -> dict[str, str]:
    async with pool.acquire() as connection:
        return await state_hashes(connection)


async def test_a_rebuild_gives_the_same_rows(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, world())
    await projector.catch_up()
    before = await live(pool)
    assert set(before) == {view.table for view in ALL_VIEWS}
    assert await rebuild(pool, ledger) == before
    assert await live(pool) == before
    comment = await pool.fetchval("SELECT obj_description('view'::regnamespace, 'pg_namespace')")
    assert comment == f"definition {definition()}"
    assert await pool.fetchval("SELECT to_regnamespace('view_rebuild') IS NULL")
    # The views go on from there.
    await record(ledger, [trainee(500, "closed")])
    await projector.catch_up()
    assert await pool.fetchval("SELECT phase FROM view.trainees WHERE number = 'zz22-410181-00500'") == "closed"


async def test_a_rebuild_mends_what_somebody_changed_by_hand(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, world())
    await projector.catch_up()
    before = await live(pool)
    await pool.execute("UPDATE view.trainees SET phase = 'completed' WHERE phase = 'dismissed'")
    assert (await live(pool))["trainees"] != before["trainees"]
    await rebuild(pool, ledger)
    assert await live(pool) == before


async def test_every_row_and_column_counts_in_the_state_hash_and_the_time_zone_does_not(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "closed"), trainee(2, "closed")])
    await projector.catch_up()
    async with pool.acquire() as connection:
        first = await state_hash(connection, "trainees")
        await connection.execute("SET TimeZone = 'Asia/Shanghai'")
        assert await state_hash(connection, "trainees") == first
        await connection.execute("UPDATE view.trainees SET rural = false WHERE number = 'zz22-410181-00002'")
        second = await state_hash(connection, "trainees")
        await connection.execute("DELETE FROM view.trainees WHERE number = 'zz22-410181-00002'")
        third = await state_hash(connection, "trainees")
    assert len({first, second, third}) == 3


async def watch(pool: Pool, until: "asyncio.Task[int]") -> list[int]:
    """How far the views had come, asked for again and again."""
    reached: list[int] = []
    while not until.done():
        reached.append(
            await pool.fetchval("SELECT coalesce(max(sequence), 0) FROM view.checkpoints WHERE book = $1", BOOK)
        )
    return reached


async def test_a_projector_goes_on_through_the_switch(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, world())
    async with running(projector):
        writing = asyncio.create_task(record(ledger, [trainee(number, "closed") for number in range(600, 640)]))
        watching = asyncio.create_task(watch(pool, writing))
        for _ in range(3):
            await rebuild(pool, ledger)
        await writing
        await projector.wait_for(BOOK, await ledger.head(BOOK))
    # Nobody who has read an event in the views sees them without it afterwards.
    reached = await watching
    assert reached == sorted(reached)
    assert await parked(pool) == []
    kept = await live(pool)
    assert await rebuild(pool, ledger) == kept


async def test_a_rebuild_gives_parked_events_another_try(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = "trainee/zz22-410181-00001"
    await append(ledger, BOOK, stream, 0, nominated())
    await append(ledger, BOOK, stream, 1, NewEvent("trainee.promoted", {}))
    await append(ledger, BOOK, stream, 2, *trainee(1, "county-approved").events[1:])
    await projector.catch_up()
    assert [each.version for each in await parked(pool)] == [2, 3]
    # A later version of the code knows the event.
    view = next(view for view in ALL_VIEWS if view.table == "trainees")
    known = view.apply

    def apply(row: Any, event: Any) -> Any:
        if event.type == "trainee.promoted":
            return {**row, "version": event.version, "sequence": event.sequence}
        return known(row, event)

    wider = dataclasses.replace(view, apply=apply)
    monkeypatch.setitem(VIEWS_BY_KIND, "trainee", (wider,))
    await rebuild(pool, ledger)
    assert await parked(pool) == []
    assert await pool.fetchval("SELECT phase FROM view.trainees") == "county-approved"


async def test_two_rebuilds_do_not_run_at_once(pool: Pool, ledger: Ledger) -> None:
    async with pool.acquire() as other:
        await other.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, REBUILD_LOCK)
        with pytest.raises(RebuildUnderWay):
            await rebuild(pool, ledger)
    await rebuild(pool, ledger)


async def test_an_unfinished_rebuild_is_no_obstacle(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await pool.execute("CREATE SCHEMA view_rebuild; CREATE TABLE view_rebuild.trainees (left_over int)")
    await rebuild(pool, ledger)
    assert await pool.fetchval("SELECT count(*) FROM view.trainees") == 1


async def test_a_table_that_is_no_view_has_no_state_hash(pool: Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(KeyError):
            await state_hash(connection, "parked")
