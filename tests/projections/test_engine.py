"""The projector on a real database: rows and checkpoint move together, whatever happens in between."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import asyncpg
import pytest

from domain import restriction, trainee_state
from domain.numbers import parse_stream_name
from ledger.store import Ledger
from ledger.types import NewEvent, RecordedEvent
from projections import advance, engine
from projections.checkpoints import ViewBehind, parked
from projections.database import LOCK_CLASS
from projections.engine import Projector
from projections.hashing import state_hashes
from projections.views import ALL_VIEWS
from tests.projections import histories, trainee_lives
from tests.projections.histories import BOOK, append, record
from tests.projections.running import running
from tests.projections.trainee_lives import trainee
from tests.projections.world import world

Pool: TypeAlias = "asyncpg.Pool[Any]"

PROJECTING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1 AND granted"
KILL_LEADER = """
SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1
"""
KILLER = """
CREATE FUNCTION view.kill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END
$$;
CREATE TRIGGER kill AFTER INSERT OR UPDATE ON view.{table} FOR EACH STATEMENT EXECUTE FUNCTION view.kill();
"""


async def phases(pool: Pool) -> dict[str, str]:
    return {row["number"]: row["phase"] for row in await pool.fetch("SELECT number, phase FROM view.trainees")}


async def test_everything_recorded_is_in_the_views_with_the_domain_s_phases(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    streams = world()
    recorded = await record(ledger, streams)
    assert await projector.catch_up() == recorded
    found = await phases(pool)
    found |= {row["number"]: row["phase"] for row in await pool.fetch("SELECT number, phase FROM view.restrictions")}
    for stream in streams:
        kind, number = parse_stream_name(stream.name)
        fold = {"trainee": trainee_state.fold, "restriction": restriction.fold}.get(kind)
        if fold:
            state = fold(stream.events)
            assert state is not None
            assert found[number] == state.phase
    assert {each.lag for each in await projector.status()} == {0}
    assert await parked(pool) == []
    for view in ALL_VIEWS:
        assert await pool.fetchval(f'SELECT count(*) FROM view."{view.table}"') > 0


async def test_catching_up_again_changes_nothing(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, world())
    await projector.catch_up()
    async with pool.acquire() as connection:
        before = await state_hashes(connection)
        assert await projector.catch_up() == 0
        assert await state_hashes(connection) == before


async def test_the_size_of_the_batches_makes_no_difference(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = world()
    await record(ledger, streams)
    await projector.catch_up()
    async with pool.acquire() as connection:
        in_one = await state_hashes(connection)
        await connection.execute("TRUNCATE view.checkpoints, view.trainees, view.classes, view.restrictions")
        await connection.execute("TRUNCATE view.institutions, view.quotas, view.campaigns, view.bulletins")
    monkeypatch.setattr(advance, "BATCH_EVENTS", 3)
    await projector.catch_up()
    async with pool.acquire() as connection:
        assert await state_hashes(connection) == in_one


@pytest.mark.parametrize("table", ["trainees", "checkpoints"])
async def test_a_process_killed_in_the_middle_neither_loses_nor_repeats(
    pool: Pool, ledger: Ledger, projector: Projector, table: str
) -> None:
    first, rest = trainee(1, "closed"), trainee(2, "dismissed")
    await record(ledger, [first])
    await projector.catch_up()
    await record(ledger, [rest])
    await pool.execute(KILLER.format(table=table))
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await projector.catch_up()
    # Neither the rows nor the checkpoint have moved.
    assert await phases(pool) == {"zz22-410181-00001": "closed"}
    assert await pool.fetchval("SELECT sequence FROM view.checkpoints") == len(first.events)
    await pool.execute(f"DROP TRIGGER kill ON view.{table}")
    assert await projector.catch_up() == len(rest.events)
    assert await phases(pool) == {"zz22-410181-00001": "closed", "zz22-410181-00002": "dismissed"}
    assert await parked(pool) == []


async def test_a_checkpoint_moved_by_somebody_else_rolls_the_batch_back(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "selected")])
    async with pool.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("INSERT INTO view.checkpoints (book, sequence, token) VALUES ($1, 1, 1)", BOOK)
        working = asyncio.create_task(projector.catch_up())
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await transaction.commit()
        await working
    # The first event is taken for applied, as the checkpoint says; what follows it is out of place and parked.
    assert await phases(pool) == {}
    assert [each.sequence for each in await parked(pool)] == [2, 3, 4, 5, 6]


async def test_an_append_is_seen_whole_or_not_at_all(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advance, "BATCH_EVENTS", 4)
    await record(ledger, [trainee(1, "following-up")], together=3)
    seen: list[int] = []
    await pool.execute("CREATE TABLE moves (sequence bigint)")
    await pool.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.moves VALUES (NEW.sequence); RETURN NEW; END$$; "
        "CREATE TRIGGER note BEFORE INSERT OR UPDATE ON view.checkpoints FOR EACH ROW EXECUTE FUNCTION note()"
    )
    await projector.catch_up()
    seen = [row["sequence"] for row in await pool.fetch("SELECT DISTINCT sequence FROM moves ORDER BY 1")]
    # Commands of three events each; a batch of four never ends within one.
    assert [sequence % 3 for sequence in seen[:-1]] == [0] * (len(seen) - 1)
    assert len(seen) > 1


async def test_a_command_longer_than_a_batch_is_applied_all_the_same(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advance, "BATCH_EVENTS", 2)
    await record(ledger, [trainee(1, "closed")], together=100)
    await projector.catch_up()
    assert await phases(pool) == {"zz22-410181-00001": "closed"}


async def test_run_projects_what_is_recorded_meanwhile_until_it_is_stopped(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    stream = trainee(1, "closed")
    async with running(projector):
        for version, event in enumerate(stream.events):
            sequence = await append(ledger, BOOK, stream.name, version, event)
            assert await projector.wait_for(BOOK, sequence) >= sequence
    assert await phases(pool) == {"zz22-410181-00001": "closed"}
    await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, trainee_lives.nominated())
    with pytest.raises(ViewBehind):
        await projector.wait_for(BOOK, len(stream.events) + 1, timeout_seconds=0.2)


async def test_only_one_process_projects_and_another_takes_over(
    pool: Pool, ledger: Ledger, projector: Projector, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STANDBY_POLL_SECONDS", 0.02)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as other_pool:
        standby = Projector(other_pool, ledger)
        async with AsyncExitStack() as second:
            async with running(projector):
                await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, trainee_lives.nominated())
                await projector.wait_for(BOOK, 1)
                await second.enter_async_context(running(standby))
                # Where somebody else projects, catching up means waiting for him.
                await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, trainee_lives.nominated(who=2))
                assert await standby.catch_up() == 0
                assert await pool.fetchval(PROJECTING, LOCK_CLASS) == 1
            await append(ledger, BOOK, "trainee/zz22-410181-00003", 0, trainee_lives.nominated(who=3))
            await standby.wait_for(BOOK, 3)
        assert await pool.fetchval(PROJECTING, LOCK_CLASS) == 0
    assert len(await phases(pool)) == 3


async def test_a_lost_connection_is_waited_out(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    async with running(projector):
        await append(ledger, BOOK, "trainee/zz22-410181-00001", 0, trainee_lives.nominated())
        await projector.wait_for(BOOK, 1)
        assert await pool.fetchval(KILL_LEADER, LOCK_CLASS) == 1
        await append(ledger, BOOK, "trainee/zz22-410181-00002", 0, trainee_lives.nominated(who=2))
        await projector.wait_for(BOOK, 2)
    assert len(await phases(pool)) == 2


async def test_a_pool_without_reset_gets_its_connection_back_clean(
    database_url: str, pool: Pool, ledger: Ledger
) -> None:
    async def keep(_: object) -> None:
        """Reset nothing."""

    async with asyncpg.create_pool(database_url, min_size=1, max_size=2, reset=keep) as own_pool:
        projector = Projector(own_pool, ledger)
        await projector.catch_up()
        async with own_pool.acquire() as one, own_pool.acquire() as other:
            for connection in (one, other):
                assert "view" not in await connection.fetchval("SELECT current_setting('search_path')")
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert await pool.fetchval(held) == 0


async def test_a_pool_of_one_connection_is_refused(database_url: str, pool: Pool, ledger: Ledger) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as small:
        with pytest.raises(ValueError, match="2 connections"):
            Projector(small, ledger)


async def test_a_gap_in_a_book_is_damage_and_not_passed_over(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(ledger, [trainee(1, "selected")])
    await pool.execute("ALTER TABLE ledger.events DISABLE TRIGGER refuse_change")
    partition = await pool.fetchval("SELECT DISTINCT tableoid::regclass::text FROM ledger.events")
    await pool.execute(f"ALTER TABLE {partition} DISABLE TRIGGER refuse_change")
    await pool.execute("DELETE FROM ledger.events WHERE sequence = 2")
    with pytest.raises(advance.GapInBook):
        await projector.catch_up()
    assert await phases(pool) == {}


async def test_events_that_are_not_seen_yet_are_no_gap(pool: Pool, ledger: Ledger) -> None:
    """As in the moment in which the partition of a new book is made."""
    await record(ledger, [trainee(1, "selected")])
    unseen = [1]

    async def read(book: str, after: int, limit: int) -> list[RecordedEvent]:
        return [] if unseen and unseen.pop() else await ledger.read_book(book, after, limit)

    async with pool.acquire() as connection:
        await connection.execute("SET search_path TO view")
        assert await advance.Applier(connection, None, read).project() > 0
        await connection.execute("RESET search_path")
    assert await phases(pool) != {}


async def test_a_person_is_read_and_leaves_no_row(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    who = histories.person(1)
    registered = NewEvent("person.registered", {"person": str(who), "sealed": "sealed"})
    await append(ledger, "people", f"person/{who}", 0, registered)
    assert await projector.catch_up() == 1
    assert [(each.book, each.lag, each.parked) for each in await projector.status()] == [("people", 0, 0)]
