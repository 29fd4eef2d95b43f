"""Two builds of the views are equal, and a rebuild takes the live one's place while events come in."""

import asyncio
import dataclasses
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from ledger.types import NewEvent
from projections.builds import BuildUnknown, builds, definition, live_build, versions
from projections.checkpoints import parked
from projections.database import LOCK_CLASS, REBUILD_LOCK
from projections.engine import Projector
from projections.hashing import state_hash, state_hashes
from projections.rebuild import RebuildUnderWay, Rebuilt, RollbackRefused, compare, drop_kept, roll_back
from projections.rebuild import rebuild as rebuild_views
from projections.views import ALL_VIEWS, VIEWS_BY_KIND
from tests.projections.histories import BOOK, append, record
from tests.projections.running import running
from tests.projections.trainee_lives import nominated, trainee
from tests.projections.world import world

Pool: TypeAlias = "asyncpg.Pool[Any]"


async def live(pool: Pool) -> dict[str, str]:
    async with pool.acquire() as connection:
        return await state_hashes(connection)


async def rebuild(pool: Pool) -> Rebuilt:
    async with pool.acquire() as connection:
        rebuilt = await rebuild_views(connection)
    assert rebuilt is not None
    return rebuilt


async def test_a_rebuild_gives_the_same_rows(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, world())
    await projector.catch_up()
    before = await live(pool)
    assert set(before) == {view.table for view in ALL_VIEWS}
    assert (await rebuild(pool)).hashes == before
    assert await live(pool) == before
    comment = await pool.fetchval("SELECT obj_description('view'::regnamespace, 'pg_namespace')")
    assert comment == f"definition {definition()}"
    assert await pool.fetchval("SELECT to_regnamespace('view@2') IS NULL")
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
    await rebuild(pool)
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
            await rebuild(pool)
        await writing
        await projector.wait_for(BOOK, await ledger.head(BOOK))
    # Nobody who has read an event in the views sees them without it afterwards.
    reached = await watching
    assert reached == sorted(reached)
    assert await parked(pool) == []
    kept = await live(pool)
    assert (await rebuild(pool)).hashes == kept


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
    await rebuild(pool)
    assert await parked(pool) == []
    assert await pool.fetchval("SELECT phase FROM view.trainees") == "county-approved"


async def test_two_rebuilds_do_not_run_at_once(pool: Pool, ledger: Ledger) -> None:
    async with pool.acquire() as other:
        await other.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, REBUILD_LOCK)
        with pytest.raises(RebuildUnderWay):
            await rebuild(pool)
    await rebuild(pool)


async def test_an_unfinished_rebuild_is_no_obstacle(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await pool.execute("CREATE SCHEMA view_rebuild; CREATE TABLE view_rebuild.trainees (left_over int)")
    await rebuild(pool)
    assert await pool.fetchval("SELECT count(*) FROM view.trainees") == 1


async def test_a_table_that_is_no_view_has_no_state_hash(pool: Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(KeyError):
            await state_hash(connection, "parked")


async def test_the_replaced_build_is_kept_until_the_next_one_or_until_it_is_dropped(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    first = await rebuild(pool)
    assert (first.replaced, first.build) == (1, 2)
    async with pool.acquire() as connection:
        assert [(each.schema, each.state) for each in await builds(connection)] == [
            ("view", "live"),
            ("view@1", "kept"),
        ]
        assert (await live_build(connection)).versions == versions() == first.versions
        await rebuild(pool)
        assert [each.schema for each in await builds(connection)] == ["view", "view@2"]
        assert (await drop_kept(connection)).number == 2
        assert [each.schema for each in await builds(connection)] == ["view"]
        with pytest.raises(BuildUnknown):
            await drop_kept(connection)
        with pytest.raises(BuildUnknown):
            await roll_back(connection)


async def test_a_rollback_puts_the_kept_build_back_up_to_date_and_keeps_the_other(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await rebuild(pool)
    await pool.execute("UPDATE view.trainees SET phase = 'wrong'")
    await record(ledger, [trainee(2, "selected")])
    await projector.catch_up()
    async with pool.acquire() as connection:
        assert (await roll_back(connection)).number == 1
    phases = "SELECT array_agg(phase ORDER BY number) FROM {}.trainees"
    assert await pool.fetchval(phases.format("view")) == ["closed", "selected"]
    assert await pool.fetchval(phases.format('"view@2"')) == ["wrong", "selected"]
    # The live one goes on, the kept one stays where it was.
    await record(ledger, [trainee(3, "enrolled")])
    await projector.catch_up()
    assert await pool.fetchval(phases.format("view")) == ["closed", "selected", "enrolled"]
    assert await pool.fetchval(phases.format('"view@2"')) == ["wrong", "selected"]


async def test_a_build_of_another_release_is_not_rolled_back_to(pool: Pool) -> None:
    await rebuild(pool)
    await pool.execute("COMMENT ON SCHEMA \"view@1\" IS 'definition of another release'")
    async with pool.acquire() as connection:
        with pytest.raises(RollbackRefused, match="go back to that release"):
            await roll_back(connection)


async def test_two_builds_are_compared_at_the_same_sequence_while_events_come_in(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, world())
    async with running(projector):
        await projector.wait_for(BOOK, await ledger.head(BOOK))
        writing = asyncio.create_task(record(ledger, [trainee(number, "closed") for number in range(700, 730)]))
        async with pool.acquire() as connection:
            equal = await compare(connection)
            await connection.execute("UPDATE view.campaigns SET phase = 'wrong'")
            other = await compare(connection)
        await writing
        await projector.wait_for(BOOK, await ledger.head(BOOK))
    assert equal.differing == []
    assert set(equal.hashes) == {view.table for view in ALL_VIEWS}
    assert other.differing == ["campaigns"]
    assert other.compared_at[BOOK] >= equal.compared_at[BOOK]
    assert await pool.fetchval("SELECT to_regnamespace('view@2') IS NULL")
    assert await parked(pool) == []


async def test_a_build_beside_changes_nothing_outside_its_own_schema(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [*world(), trainee(800, "closed")])
    await append(ledger, BOOK, "trainee/zz22-410181-00801", 0, NewEvent("trainee.promoted", {}))
    await projector.catch_up()
    # A trigger on every table there is says who is written to.
    await pool.execute(
        "CREATE TABLE public.written (place text); CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.written VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME); RETURN NULL; END$$"
    )
    tables = await pool.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND NOT relispartition "
        "AND relnamespace::regnamespace::text IN ('view', 'ledger', 'vault', 'app', 'projection')"
    )
    assert {"ledger.outbox", "ledger.commands", "view.trainees"} <= {record["name"] for record in tables}
    for record_ in tables:
        await pool.execute(
            f"CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON {record_['name']} "
            "FOR EACH STATEMENT EXECUTE FUNCTION public.tell()"
        )
    async with pool.acquire() as connection:
        await compare(connection)
    # The lease alone, which keeps the projector still while the hashes are taken.
    assert {record["place"] for record in await pool.fetch("SELECT place FROM public.written")} == {"projection.lease"}


async def test_a_reader_is_not_waited_for_and_finds_the_new_build_with_its_next_transaction(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    async with pool.acquire() as reader, pool.acquire() as other:
        statement = await reader.prepare("SELECT phase FROM view.trainees")
        await other.execute("UPDATE view.trainees SET phase = 'wrong'")
        transaction = reader.transaction()
        await transaction.start()
        assert await statement.fetchval() == "wrong"
        # It ends although the reader's transaction has the old tables in hand. Which build that transaction goes on
        # with is PostgreSQL's to say; the next one finds the new build.
        await rebuild(pool)
        assert await statement.fetchval() in {"wrong", "closed"}
        await transaction.commit()
        assert await statement.fetchval() == "closed"


async def test_a_rebuild_that_ends_in_the_middle_leaves_the_live_views_and_no_lock(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, world())
    await projector.catch_up()
    before = await live(pool)

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    async with pool.acquire() as connection:
        with pytest.raises(KeyboardInterrupt):
            await rebuild_views(connection, fail)
        assert [each.state for each in await builds(connection)] == ["live", "building"]
    assert await live(pool) == before
    await rebuild(pool)
    assert await live(pool) == before
    async with pool.acquire() as connection:
        assert [each.state for each in await builds(connection)] == ["live", "kept"]
