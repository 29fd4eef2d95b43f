"""`xunji ledger rebuild | parked | release` as a script uses them: what is printed, and the exit codes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from cli import app
from ledger.store import Ledger
from ledger.types import NewEvent
from projections.database import LOCK_CLASS, REBUILD_LOCK
from projections.engine import Projector
from tests.projections import trainee_lives
from tests.projections.histories import BOOK, append, record
from tests.projections.world import world

Run = Callable[..., Awaitable[Result]]


@pytest_asyncio.fixture
async def pool(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """A database whose views hold a whole world and one nomination that was stopped by an unknown event."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in ("SIGNING", "MASTER", "INDEX", "LINK"):
        monkeypatch.setenv(f"XUNJI_{name}_KEY", "A" * 43 + "=")
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool, Ledger(pool) as ledger:
        await record(ledger, world())
        stream = "trainee/zz22-410182-00001"
        await append(ledger, BOOK, stream, 0, trainee_lives.nominated("410182"))
        await append(ledger, BOOK, stream, 1, NewEvent("trainee.promoted", {}))
        projector = Projector(pool, ledger)
        await projector.catch_up()
        await projector.close()
        yield pool


@pytest.fixture
def xunji(pool: "asyncpg.Pool[Any]", tmp_path: Path) -> Run:
    async def run(*arguments: str) -> Result:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(
            lambda: CliRunner().invoke(app, ["ledger", *arguments, "--state", str(tmp_path)])
        )

    return run


async def test_a_rebuild_is_compared_switched_listed_and_rolled_back(xunji: Run, pool: "asyncpg.Pool[Any]") -> None:
    compared = await xunji("rebuild", "--compare", "--json")
    assert compared.exit_code == 0, compared.output
    assert json.loads(compared.stdout)["differing"] == []
    await pool.execute("UPDATE view.quotas SET seats = 99")
    differing = await xunji("rebuild", "--compare")
    assert differing.exit_code == 1
    assert "DIFFERS" in differing.stdout
    rebuilt = await xunji("rebuild", "--json")
    assert rebuilt.exit_code == 0, rebuilt.output
    told = json.loads(rebuilt.stdout)
    events = await pool.fetchval("SELECT sum(sequence)::int FROM ledger.books")
    assert (told["events"], told["parked"], told["replaced"]) == (events, 1, 1)
    assert (await xunji("rebuild", "--compare")).exit_code == 0
    listed = json.loads((await xunji("rebuild", "--list", "--json")).stdout)
    assert {each["number"]: each["state"] for each in listed} == {told["build"]: "live", 1: "kept"}
    assert (await xunji("rebuild", "--rollback")).exit_code == 0
    assert (await xunji("rebuild", "--compare")).exit_code == 1, "the old build is back, with its wrong seats"
    assert (await xunji("rebuild", "--drop-kept")).exit_code == 0
    assert (await xunji("rebuild", "--rollback")).exit_code == 3
    assert "is live" in (await xunji("rebuild")).stdout


async def test_a_second_rebuild_is_told_to_come_later_and_a_misuse_is_told_apart(
    xunji: Run, pool: "asyncpg.Pool[Any]"
) -> None:
    async with pool.acquire() as other:
        await other.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, REBUILD_LOCK)
        busy = await xunji("rebuild")
        await other.execute("SELECT pg_advisory_unlock_all()")
    assert (busy.exit_code, "another process" in busy.stderr) == (3, True)
    assert (await xunji("rebuild", "--compare", "--rollback")).exit_code == 2
    for arguments in ((), (BOOK,), (BOOK, "3", "--all")):
        assert (await xunji("release", *arguments)).exit_code == 2


async def test_parked_events_are_listed_and_released_by_command(xunji: Run, pool: "asyncpg.Pool[Any]") -> None:
    listed = await xunji("parked", "--json")
    assert listed.exit_code == 1
    (parked,) = json.loads(listed.stdout)
    assert parked["reason"] == "UnknownEvent: this release does not know trainee.promoted in such a stream"
    assert (await xunji("parked", "people")).exit_code == 0
    assert parked["type"] in (await xunji("parked")).stdout
    again = await xunji("release", BOOK, str(parked["sequence"]), "--json")
    assert again.exit_code == 1
    assert json.loads(again.stdout)[0]["parked"] == 1
    unknown = await xunji("release", BOOK, "1")
    assert (unknown.exit_code, "is not parked" in unknown.stderr) == (1, True)
    assert (await xunji("release", "--all")).exit_code == 1
    # As if it had been mended in the meantime.
    await pool.execute("DELETE FROM view.parked")
    assert (await xunji("release", "--all", "--json")).exit_code == 0


async def test_lag_is_told_in_events_and_seconds(xunji: Run, pool: "asyncpg.Pool[Any]") -> None:
    async with Ledger(pool) as ledger:
        await append(ledger, BOOK, "trainee/zz22-410182-00002", 0, trainee_lives.nominated("410182", who=2))
    told = await xunji("lag", "--json")
    assert told.exit_code == 1, "an event is parked"
    behind = {each["book"]: each for each in json.loads(told.stdout)}
    assert behind[BOOK]["lag"] == 1
    assert 0 <= behind[BOOK]["lag_seconds"] < 600
    assert behind["restrictions"]["lag_seconds"] == 0
    assert "1 behind for " in (await xunji("lag")).stdout
