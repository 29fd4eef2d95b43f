"""The ledger is slow or fails while a command is decided: the command waits, and the case goes on.

Nothing is cached, so that every step replays the ones before: what a workflow does about a failure must come out the
same when it is not the failure itself but only its record that is met.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.workflows.conftest import SCHOOL, CoreFactory, SetClock, at, nomination, open_campaign, until
from workflows.messages import workflow_id

BROKEN = """
CREATE FUNCTION ledger.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON ledger.books EXECUTE FUNCTION ledger.broken();
"""


@asynccontextmanager
async def slow(pool: Any) -> AsyncIterator[None]:
    """No append comes through."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE ledger.books IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def failing(pool: Any) -> AsyncIterator[None]:
    """Every append is answered with an error."""
    await pool.execute(BROKEN)
    try:
        yield
    finally:
        await pool.execute("DROP TRIGGER broken ON ledger.books")


@pytest.mark.parametrize("trouble", [slow, failing], ids=lambda each: each.__name__)
async def test_a_command_waits_for_the_ledger_and_the_case_goes_on(
    temporal_client: Client,
    core_on: CoreFactory,
    trouble: Callable[[Any], AbstractAsyncContextManager[None]],
) -> None:
    async with core_on(temporal_client, SetClock(at(8, 26)), max_cached_workflows=0) as core:
        await open_campaign(core)
        number = core.number("t1")
        await core.send("trainee", number, "nominate", SCHOOL, nomination(), new=True)
        handle = temporal_client.get_workflow_handle(workflow_id("trainee", number))

        async def waits() -> bool:
            history = await handle.fetch_history()
            return any(each.HasField("activity_task_scheduled_event_attributes") for each in history.events)

        async with trouble(core.pool):
            sending = asyncio.create_task(core.send("trainee", number, "withdraw", SCHOOL, {"reason": "ill"}))
            await until(waits)
        assert (await sending).phase == "withdrawn"
        await handle.result()
        types = [each.event_type for each in (await handle.fetch_history()).events]
        assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in types
        assert await core.events("trainee", number) == ["trainee.nominated", "nomination.withdrawn"]
