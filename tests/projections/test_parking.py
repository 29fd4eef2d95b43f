"""Releasing parked events: another try for the whole stream, and nothing passed over."""

import dataclasses
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from ledger.types import NewEvent
from projections import parking
from projections.batch import BLOCKED
from projections.checkpoints import parked
from projections.engine import Projector
from projections.parking import NotParked, Release, ReleaseRefused, release, release_all
from projections.views import ALL_VIEWS, VIEWS_BY_KIND
from tests.projections import campaign_lives, trainee_lives
from tests.projections.histories import BOOK, append
from tests.projections.trainee_lives import trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"
FIRST, SECOND = "trainee/zz22-410181-00001", "trainee/zz22-410181-00002"
PHASES = "SELECT number, phase FROM view.trainees ORDER BY 1"


@pytest.fixture
async def two_parked(ledger: Ledger, projector: Projector) -> None:
    """Two nominations stopped by an event that no view knows; events 2 and 3, and 5 and 6, are parked."""
    for stream, who in ((FIRST, 1), (SECOND, 2)):
        await append(ledger, BOOK, stream, 0, trainee_lives.nominated(who=who))
        await append(ledger, BOOK, stream, 1, NewEvent("trainee.promoted", {}))
        await append(ledger, BOOK, stream, 2, trainee_lives.COUNTY_APPROVED)
    await projector.catch_up()


def learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later release does: the view knows the event."""
    view = next(view for view in ALL_VIEWS if view.table == "trainees")
    known = view.apply

    def apply(row: Any, event: Any) -> Any:
        if event.type == "trainee.promoted":
            return {**row, "version": event.version, "sequence": event.sequence}
        return known(row, event)

    monkeypatch.setitem(VIEWS_BY_KIND, "trainee", (dataclasses.replace(view, apply=apply),))


async def phases(pool: Pool) -> dict[str, str]:
    return {row["number"][-1]: row["phase"] for row in await pool.fetch(PHASES)}


@pytest.mark.usefixtures("two_parked")
@pytest.mark.parametrize("sequence", [2, 3])
async def test_a_mended_event_is_released_with_the_rest_of_its_stream(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch, sequence: int
) -> None:
    learn(monkeypatch)
    async with pool.acquire() as connection:
        assert await release(connection, BOOK, sequence) == Release(BOOK, FIRST, applied=2, parked=0, reason="")
    assert await phases(pool) == {"1": "county-approved", "2": "nominated"}
    assert [each.sequence for each in await parked(pool)] == [5, 6]
    # The stream goes on where the projector is.
    await append(ledger, BOOK, FIRST, 3, *trainee(1, "selected").events[-1:])
    await projector.catch_up()
    assert (await phases(pool))["1"] == "selected"


@pytest.mark.usefixtures("two_parked")
async def test_what_is_still_poison_stays_parked_with_today_s_reason(pool: Pool) -> None:
    await pool.execute("UPDATE view.parked SET reason = 'of old' WHERE sequence = 2")
    async with pool.acquire() as connection:
        released = await release(connection, BOOK, 2)
    assert (released.applied, released.parked) == (0, 2)
    assert released.reason.startswith("UnknownEvent")
    found = await parked(pool, BOOK)
    assert [(each.sequence, each.reason == BLOCKED) for each in found] == [(2, False), (3, True), (5, False), (6, True)]
    assert found[0].reason == released.reason
    assert await phases(pool) == {"1": "nominated", "2": "nominated"}


@pytest.mark.usefixtures("two_parked")
async def test_all_are_released_or_those_of_one_book(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(monkeypatch)
    async with pool.acquire() as connection:
        assert await release_all(connection, "people") == []
        assert [(each.stream, each.applied) for each in await release_all(connection)] == [(FIRST, 2), (SECOND, 2)]
        assert await release_all(connection) == []
    assert await parked(pool) == []
    assert await phases(pool) == {"1": "county-approved", "2": "county-approved"}


@pytest.mark.usefixtures("two_parked")
async def test_a_long_stream_is_released_in_parts_and_stops_where_it_fails_again(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(
        ledger, BOOK, FIRST, 3, trainee_lives.CITY_APPROVED, NewEvent("trainee.demoted", {}), trainee_lives.ENROLLED
    )
    await projector.catch_up()
    learn(monkeypatch)
    monkeypatch.setattr(parking, "RELEASE_EVENTS", 2)
    async with pool.acquire() as connection:
        released = await release(connection, BOOK, 2)
    assert (released.applied, released.parked) == (3, 2)
    assert (await phases(pool))["1"] == "selected"
    assert [each.version for each in await parked(pool) if each.stream == FIRST] == [5, 6]


async def test_an_event_that_the_database_refused_is_parked_again_until_it_takes_it(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await append(ledger, BOOK, "quota/gp1:410181", 0, campaign_lives.quota("gp1:410181", -1))
    await projector.catch_up()
    async with pool.acquire() as connection:
        refused = await release(connection, BOOK, 1)
        assert (refused.applied, refused.parked) == (0, 1)
        assert refused.reason == "CheckViolationError (quotas_issued_check)"
        await connection.execute("ALTER TABLE view.quotas DROP CONSTRAINT quotas_issued_check")
        await connection.execute("ALTER TABLE view.quotas DROP CONSTRAINT quotas_seats_check")
        assert (await release(connection, BOOK, 1)).applied == 1
    assert await pool.fetchval("SELECT issued FROM view.quotas") == -1


@pytest.mark.usefixtures("two_parked")
async def test_what_is_not_parked_and_what_another_release_parked_is_not_released(pool: Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(NotParked, match="event 1 of"):
            await release(connection, BOOK, 1)
        await connection.execute("COMMENT ON SCHEMA view IS 'definition of another release'")
        with pytest.raises(ReleaseRefused):
            await release(connection, BOOK, 2)
        with pytest.raises(ReleaseRefused):
            await release_all(connection)
    assert len(await parked(pool)) == 4
