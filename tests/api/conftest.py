"""The API for a test: without Temporal, or with a worker and an open campaign."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest_asyncio
from temporalio.client import Client

from clock import create_demo_clock
from domain.plan import Plan, Training
from migrations import migrate
from tests.api.front_door import (
    API,
    DAYS_PER_SECOND,
    FIRST_MOMENT,
    open_campaign,
    own_plan,
    running,
    settings_for,
    working,
)


@pytest_asyncio.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[API]:
    """The API without Temporal, on real time. The plan is adopted; no campaign is open."""
    await migrate(database_url)
    plan = own_plan()
    async with running(settings_for(database_url, tmp_path), plan) as api:
        await api.services.plans.adopt(plan)
        yield api


@contextlib.asynccontextmanager
async def _open(
    database_url: str, tmp_path: Path, temporal_dev_server: str, temporal_client: Client, plan: Plan
) -> AsyncIterator[API]:
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    await create_demo_clock(connection, FIRST_MOMENT, DAYS_PER_SECOND)
    # Earlier restrictions have no prefix of their own, and tests share one Temporal server.
    await connection.execute("INSERT INTO app.number_series VALUES ('prior', $1)", secrets.randbelow(10**8))
    await connection.close()
    settings = settings_for(
        database_url, tmp_path, temporal_address=temporal_dev_server, clock="demo", task_queue=f"test-{uuid4()}"
    )
    async with running(settings, plan) as api, working(api, temporal_client):
        await open_campaign(api)
        yield api


@pytest_asyncio.fixture
async def stack(
    database_url: str, tmp_path: Path, temporal_dev_server: str, temporal_client: Client
) -> AsyncIterator[API]:
    """The API with Temporal, a worker and a demo clock that stands at the first morning; the campaign is open."""
    async with _open(database_url, tmp_path, temporal_dev_server, temporal_client, own_plan()) as api:
        yield api


@pytest_asyncio.fixture
async def asking(
    database_url: str, tmp_path: Path, temporal_dev_server: str, temporal_client: Client
) -> AsyncIterator[API]:
    """The same with a plan that asks for four fifths of the units."""
    plan = own_plan().model_copy(update={"training": Training(attendance_percent=80)})
    async with _open(database_url, tmp_path, temporal_dev_server, temporal_client, plan) as api:
        yield api
