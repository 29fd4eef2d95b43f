"""Making the views' tables."""

import asyncio
import dataclasses
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from projections import builds, filling, schema
from projections.engine import Projector
from projections.plans import PlanStore
from projections.views import ALL_VIEWS
from tests.projections.histories import record
from tests.projections.trainee_lives import trainee
from tests.specification import the_plan

Pool: TypeAlias = "asyncpg.Pool[Any]"


async def migrate(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await schema.migrate(connection)


async def test_migrating_again_even_by_several_at_once_keeps_every_row(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await asyncio.gather(*(migrate(pool) for _ in range(3)))
    assert await pool.fetchval("SELECT count(*) FROM view.trainees") == 1


async def test_views_of_another_definition_are_built_beside_and_switched_and_plans_stay(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await PlanStore(pool).adopt(the_plan())
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await pool.execute("ALTER TABLE view.trainees DROP COLUMN subject; COMMENT ON SCHEMA view IS 'definition of old'")
    await migrate(pool)
    assert await pool.fetchval("SELECT subject FROM view.trainees") == "maths"
    assert await PlanStore(pool).by_campaign(the_plan().id) == the_plan()


async def test_views_are_read_and_kept_for_a_rollback_while_a_migration_builds_others(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(ledger, [trainee(number, "closed") for number in range(1, 31)])
    await projector.catch_up()
    await pool.execute("COMMENT ON SCHEMA view IS 'definition of old'")
    monkeypatch.setattr(filling, "PAGE_EVENTS", 20)
    counts: set[int] = set()
    migrating = asyncio.create_task(migrate(pool))
    while not migrating.done():
        counts.add(await pool.fetchval("SELECT count(*) FROM view.trainees"))
    await migrating
    assert counts == {30}
    assert await pool.fetchval("SELECT number FROM view.build") == 2
    assert await pool.fetchval('SELECT count(*) FROM "view@1".trainees') == 30


async def test_a_view_s_version_is_part_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = builds.definition()
    now = next(view.version for view in ALL_VIEWS if view.table == "trainees")
    assert f"trainees@{now}" in builds.versions()
    later = tuple(dataclasses.replace(view, version=view.version + 1) for view in ALL_VIEWS)
    monkeypatch.setattr(builds, "ALL_VIEWS", later)
    assert f"trainees@{now + 1}" in builds.versions()
    assert builds.definition() != before


async def test_views_of_a_release_before_builds_are_replaced_too(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await pool.execute(
        "DROP TABLE view.build; ALTER TABLE view.checkpoints DROP COLUMN token; DROP SCHEMA projection CASCADE"
    )
    await pool.execute("CREATE SCHEMA view_rebuild; COMMENT ON SCHEMA view IS 'definition of old'")
    await migrate(pool)
    assert await pool.fetchval("SELECT count(*) FROM view.trainees") == 1
    assert await pool.fetchval("SELECT to_regnamespace('view_rebuild') IS NULL")
    async with pool.acquire() as connection:
        assert [(each.schema, each.number) for each in await builds.builds(connection)] == [("view", 1), ("view@0", 0)]


async def test_migrating_leaves_the_connection_s_settings_alone(pool: Pool) -> None:
    async with pool.acquire() as connection:
        before = await connection.fetchval("SELECT current_setting('search_path')")
        await connection.execute("COMMENT ON SCHEMA view IS 'definition of old'")
        await schema.migrate(connection)
        assert await connection.fetchval("SELECT current_setting('search_path')") == before


async def test_the_application_s_role_may_keep_the_views_and_read_and_add_plans(pool: Pool) -> None:
    may = "SELECT has_table_privilege('xunji_app', $1, $2)"
    assert await pool.fetchval(may, "projection.lease", "SELECT, UPDATE")
    for table in ("view.trainees", "view.checkpoints", "view.parked"):
        assert await pool.fetchval(may, table, "SELECT, INSERT, UPDATE, DELETE")
    assert await pool.fetchval(may, "app.plans", "INSERT")
    assert not await pool.fetchval(may, "app.plans", "UPDATE")
    assert not await pool.fetchval(may, "app.plans", "DELETE")
