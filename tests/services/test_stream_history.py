"""A stream as it stood at a moment, as the library gives it and as `xunji ledger show` prints it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from cli import app
from ledger.reading import InvalidMoment, VersionNotReached
from ledger.store import Ledger
from ledger.types import NewEvent
from services.stream_history import Moment, NoSuchStream, StreamInSeveralBooks, history
from tests.projections.campaign_lives import quota
from tests.projections.histories import BOOK, START, append, as_new
from tests.projections.register_lives import organisation
from tests.projections.trainee_lives import CITY_APPROVED, COUNTY_APPROVED, nominated

Pool: TypeAlias = "asyncpg.Pool[Any]"
Run: TypeAlias = Callable[..., Awaitable[Result]]
NUMBER = "zz22-410181-00001"
STREAM = f"trainee/{NUMBER}"
HOUR = timedelta(hours=1)
PHASES = ["nominated", "county-approved", "selected"]


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A nomination of three events, an hour apart, and a few streams beside it."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        async with Ledger(pool) as ledger:
            for version, event in enumerate((nominated(), COUNTY_APPROVED, CITY_APPROVED)):
                await append(ledger, BOOK, STREAM, version, event, at=START + version * HOUR)
            await append(ledger, "institutions", "institution/410181", 0, organisation("410181", "county", "zzedu"))
            for book in (BOOK, "2023-zhengzhou"):
                await append(ledger, book, "quota/gp1:410181", 0, quota("gp1:410181", 30))
        yield pool


@pytest_asyncio.fixture
async def xunji(pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in ("SIGNING", "MASTER", "INDEX", "LINK"):
        monkeypatch.setenv(f"XUNJI_{name}_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")

    async def run(*arguments: str) -> Result:
        given = ["ledger", "show", *arguments, "--state", str(tmp_path)]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))

    return run


async def test_the_state_of_now(pool: Pool) -> None:
    shown = await history(pool, STREAM)
    assert (shown.book, shown.version, shown.newest_version, shown.phase) == (BOOK, 3, 3, "selected")
    assert shown.state is not None and (shown.state["county"], shown.state["host"]) == ("410181", "h001")
    assert [event["version"] for event in shown.events] == [1, 2, 3]
    assert shown.waiting_for == "the host to place the trainee in a class"
    assert shown.problem == ""


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_the_state_of_a_version(pool: Pool, version: int) -> None:
    shown = await history(pool, STREAM, moment=Moment(version=version))
    assert (shown.version, shown.newest_version, shown.phase) == (version, 3, PHASES[version - 1])
    assert len(shown.events) == version


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_the_state_of_a_time(pool: Pool, version: int) -> None:
    then = START + (version - 1) * HOUR
    for moment in (Moment(recorded_at=then), Moment(effective_at=then + HOUR / 2)):
        assert (await history(pool, STREAM, moment=moment)).phase == PHASES[version - 1]
    nothing = await history(pool, STREAM, moment=Moment(recorded_at=START - HOUR))
    assert (nothing.version, nothing.state, nothing.events, nothing.problem) == (0, None, [], "")


async def test_an_effect_that_was_recorded_later_stands_in_its_own_time(pool: Pool) -> None:
    """The county's approval is recorded late, and held before: by record it was not known, by effect it was."""
    late = START + 24 * HOUR
    stream = "trainee/zz22-410181-00002"
    approved = as_new(COUNTY_APPROVED)
    async with Ledger(pool) as ledger:
        await append(ledger, BOOK, stream, 0, nominated(who=2))
        earlier = NewEvent(approved.type, approved.data, 1, START + HOUR)
        await append(ledger, BOOK, stream, 1, earlier, at=late)
    noon = START + 2 * HOUR
    assert (await history(pool, stream, moment=Moment(recorded_at=noon))).phase == "nominated"
    assert (await history(pool, stream, moment=Moment(effective_at=noon))).phase == "county-approved"


async def test_events_that_make_no_state_are_shown_with_the_reason(pool: Pool) -> None:
    async with Ledger(pool) as ledger:
        await append(ledger, BOOK, STREAM, 3, NewEvent("trainee.promoted", {"rank": "first"}))
    shown = await history(pool, STREAM)
    assert shown.state is None and shown.problem.startswith("UnknownEvent: ") and "trainee.promoted" in shown.problem
    assert shown.events[-1]["data"] == {"rank": "first"}
    assert (await history(pool, STREAM, moment=Moment(version=3))).phase == "selected"


async def test_a_stream_without_a_process_has_events_and_no_state(pool: Pool) -> None:
    shown = await history(pool, "institution/410181")
    assert (shown.book, shown.state, shown.phase, shown.problem) == ("institutions", None, "", "")
    assert shown.events[0]["data"]["kind"] == "county"


async def test_a_stream_is_found_by_its_name_alone_unless_several_books_have_it(pool: Pool) -> None:
    with pytest.raises(NoSuchStream):
        await history(pool, "trainee/zz22-410181-99999")
    with pytest.raises(NoSuchStream):
        await history(pool, STREAM, "people")
    with pytest.raises(StreamInSeveralBooks, match="2022-zhengzhou, 2023-zhengzhou"):
        await history(pool, "quota/gp1:410181")
    assert (await history(pool, "quota/gp1:410181", "2023-zhengzhou")).book == "2023-zhengzhou"


async def test_a_moment_that_cannot_be_is_an_error_by_name(pool: Pool) -> None:
    with pytest.raises(VersionNotReached):
        await history(pool, STREAM, moment=Moment(version=4))
    with pytest.raises(InvalidMoment, match="exactly one"):
        await history(pool, STREAM, moment=Moment(version=1, recorded_at=START))
    with pytest.raises(InvalidMoment, match="time zone"):
        await history(pool, STREAM, moment=Moment(recorded_at=datetime(2022, 8, 25)))  # noqa: DTZ001 - meant


# ------------------------------------------------------------------------------------------------------ the command


async def test_the_command_shows_the_state_of_now_and_of_then(xunji: Run) -> None:
    now = await xunji(STREAM)
    assert now.exit_code == 0, now.output
    assert f"{STREAM} in {BOOK}: version 3 of 3, selected, waits for the host" in now.output
    assert "nomination.approved" in now.output
    then = json.loads((await xunji(STREAM, "--version", "1", "--json")).output)
    assert (then["version"], then["newest_version"], then["phase"]) == (1, 3, "nominated")
    assert then["state"]["county"] == "410181"
    local = (START + HOUR).astimezone(UTC).isoformat()
    for option in ("--at", "--effective-at"):
        known = json.loads((await xunji(STREAM, option, local, "--json")).output)
        assert (known["version"], known["phase"], known["deadline"]) == (
            2,
            "county-approved",
            "2022-08-31T01:00:00.000000Z",
        )


async def test_the_command_ends_with_a_code_and_says_why(xunji: Run, pool: Pool) -> None:
    for arguments, words in (
        (("trainee/nobody",), "There is no stream"),
        ((STREAM, "--at", "yesterday"), "is no time"),
        ((STREAM, "--at", "2022-08-25T09:00:00"), "no time zone"),
        ((STREAM, "--version", "9"), "not yet at 9"),
        ((STREAM, "--version", "1", "--at", "2022-08-25T09:00:00Z"), "exactly one"),
        (("quota/gp1:410181",), "--book"),
    ):
        result = await xunji(*arguments)
        assert (result.exit_code in (1, 2, 3), words in result.output) == (True, True), (arguments, result.output)
    async with Ledger(pool) as ledger:
        await append(ledger, BOOK, STREAM, 3, NewEvent(COUNTY_APPROVED.type, {}, 7))
    result = await xunji(STREAM)
    assert result.exit_code == 1
    assert "EventFromNewerRelease" in result.output and "schema version 7" in result.output
