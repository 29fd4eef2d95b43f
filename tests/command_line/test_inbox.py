"""`xunji inbox` on a database where something waits, and on one where nothing does."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from api.commands import Delivery, Target
from api.inbox import Inbox
from cli import app
from command_line.exit_codes import OK, UNAVAILABLE, WRONG
from database import operator_pool
from domain.decision import Actor
from migrations import migrate
from secrets_box import SecretsBox
from settings import Settings, key_bytes
from tests.api.front_door import settings_for
from workflows.messages import CommandMessage

OPERATION = UUID("0b6f1b2d-0000-4000-8000-000000000001")
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def configured(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = settings_for(database_url, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in ("master_key", "index_key", "signing_key", "link_key"):
        monkeypatch.setenv(f"XUNJI_{name.upper()}", getattr(settings, name).get_secret_value())
    return settings


async def xunji(settings: Settings, *arguments: str) -> Result:
    given = ["inbox", *arguments, "--state", str(settings.state_dir)]
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))


async def keep(settings: Settings, *numbers: str) -> None:
    """A county approves some nominations while Temporal is away."""
    actor = Actor(organisation="410181", role="county", key="k" * 16)
    message = CommandMessage(actor=actor, body={"evidence": "not to be shown"}, digest="0" * 64)
    rows: list[tuple[int | None, Delivery]] = [
        (
            index,
            Delivery(
                Target("trainee", number, "2022-zhengzhou", "gp5 · 410181"), "approve", message, UUID(int=index + 1)
            ),
        )
        for index, number in enumerate(numbers)
    ]
    async with operator_pool(settings, min_size=1, max_size=1) as pool:
        await Inbox(pool, SecretsBox(key_bytes(settings.master_key))).keep(OPERATION, rows)


async def test_what_waits_is_listed_without_what_it_says(configured: Settings, database_url: str) -> None:
    await migrate(database_url)
    empty = await xunji(configured)
    assert (empty.exit_code, empty.stdout.strip()) == (OK, "Nothing waits.")
    await keep(configured, "zz22-410181-00001", "zz22-410181-00002")
    shown = await xunji(configured)
    assert shown.exit_code == OK, shown.output
    assert "trainee/zz22-410181-00002" in shown.stdout
    assert "2 wait" in shown.stdout
    listed = json.loads((await xunji(configured, "--json", "--limit", "1")).stdout)
    assert (listed["count"], len(listed["items"])) == (2, 1)
    (first,) = listed["items"]
    assert (first["command"], first["process"], first["organisation"], first["operation"]) == (
        "approve",
        "trainee/zz22-410181-00001",
        "410181",
        str(OPERATION),
    )
    assert "not to be shown" not in shown.stdout + json.dumps(listed)


async def test_a_long_wait_is_an_alarm(configured: Settings, database_url: str) -> None:
    await migrate(database_url)
    await keep(configured, "zz22-410181-00001")
    async with operator_pool(configured, min_size=1, max_size=1) as pool:
        await pool.execute("UPDATE app.inbox SET kept_at = kept_at - interval '10 minutes'")
    assert (await xunji(configured)).exit_code == WRONG
    assert (await xunji(configured, "--alarm-after", "900")).exit_code == OK


async def test_a_database_that_is_away_is_told(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NOWHERE)
    assert (await xunji(configured)).exit_code == UNAVAILABLE
