"""The API for a test: without Temporal, or with a worker and an open campaign."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client

from api.draining import Drainer
from domain.plan import Plan, Training
from tests.api.front_door import (
    API,
    open_campaign,
    own_plan,
    prepared,
    running,
    settings_for,
    working,
)


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """A database with the schema of this release."""
    return migrated_url


@pytest_asyncio.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[API]:
    """The API without Temporal, on real time. The plan is adopted; no campaign is open."""
    plan = own_plan()
    async with running(settings_for(database_url, tmp_path), plan) as api:
        await api.services.plans.adopt(plan)
        yield api


@contextlib.asynccontextmanager
async def _open(
    database_url: str, tmp_path: Path, temporal_dev_server: str, temporal_client: Client, plan: Plan
) -> AsyncIterator[API]:
    async with prepared(database_url, tmp_path, temporal_dev_server, plan) as api, working(api, temporal_client):
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


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Nothing is drained until the event is set."""
    free, drain = asyncio.Event(), Drainer.drain

    async def when_free(drainer: Drainer) -> bool:
        return await drain(drainer) if free.is_set() else False

    monkeypatch.setattr(Drainer, "drain", when_free)
    return free
