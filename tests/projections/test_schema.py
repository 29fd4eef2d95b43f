"""Making the views' tables."""

import asyncio
from typing import Any, TypeAlias

import asyncpg

from ledger.store import Ledger
from projections import schema
from projections.engine import Projector
from projections.plans import PlanStore
from tests.projections.histories import record, trainee
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


async def test_views_of_another_definition_are_made_anew_and_filled_from_the_first_event_and_plans_stay(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await PlanStore(pool).adopt(the_plan())
    await record(ledger, [trainee(1, "closed")])
    await projector.catch_up()
    await pool.execute("ALTER TABLE view.trainees DROP COLUMN subject; COMMENT ON SCHEMA view IS 'definition of old'")
    await migrate(pool)
    assert await pool.fetchval("SELECT count(*) FROM view.trainees") == 0
    await projector.catch_up()
    assert await pool.fetchval("SELECT subject FROM view.trainees") == "maths"
    assert await PlanStore(pool).by_campaign(the_plan().id) == the_plan()


async def test_migrating_leaves_the_connection_s_settings_alone(pool: Pool) -> None:
    async with pool.acquire() as connection:
        before = await connection.fetchval("SELECT current_setting('search_path')")
        await connection.execute("COMMENT ON SCHEMA view IS 'definition of old'")
        await schema.migrate(connection)
        assert await connection.fetchval("SELECT current_setting('search_path')") == before


async def test_the_application_s_role_may_keep_the_views_and_read_and_add_plans(pool: Pool) -> None:
    may = "SELECT has_table_privilege('xunji_app', $1, $2)"
    for table in ("view.trainees", "view.checkpoints", "view.parked"):
        assert await pool.fetchval(may, table, "SELECT, INSERT, UPDATE, DELETE")
    assert await pool.fetchval(may, "app.plans", "INSERT")
    assert not await pool.fetchval(may, "app.plans", "UPDATE")
    assert not await pool.fetchval(may, "app.plans", "DELETE")
