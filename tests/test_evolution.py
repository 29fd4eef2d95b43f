"""Events of an older and of a newer release, through everything that reads them: commands, views, rebuild, exports.

The release of these tests pretends: the county of a nomination was called `district` in schema version 1, and is
called `county` in version 2. What the older release has written is read by all; what a newer one has written stops
only its own stream, until every process runs the newer release.
"""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from activities.facts import LedgerFacts
from activities.ledger import LedgerActivities
from clock import SystemClock
from domain.decision import Actor
from domain.event_catalogues import EVENT_CATALOGUES
from domain.numbers import quota_line, seat_key
from domain.trainee_messages import TraineeNominated
from ledger.evolution import EventSchema, Schemas
from ledger.store import Ledger
from ledger.types import CountClaim, LimitClaim, NewEvent
from ledger.vault import Vault
from migrations import migrate
from projections import newest
from projections.checkpoints import Checkpoints, parked
from projections.engine import Projector
from projections.hashing import state_hashes
from projections.plans import PlanStore
from projections.rebuild import rebuild
from services import person_export
from services.person_export import export_person
from tests.ledger.appends import claiming
from tests.projections.histories import BOOK, append, as_new
from tests.projections.trainee_lives import CITY_APPROVED, COUNTY_APPROVED, nominated
from tests.specification import the_plan
from workflows.messages import CommandMessage, LoadCase, Outcome, UpdateLedger

Pool: TypeAlias = "asyncpg.Pool[Any]"
NUMBER, OTHER = "zz22-410181-00001", "zz22-410181-00002"
STREAM, OTHER_STREAM = f"trainee/{NUMBER}", f"trainee/{OTHER}"
TYPE = TraineeNominated.type
COUNTY = Actor(organisation="410181", role="county")


def county_from_district(data: dict[str, Any]) -> dict[str, Any]:
    data["county"] = data.pop("district")
    return data


def schemas_of(newest: dict[str, Any]) -> Schemas:
    """The release's schemas, with the upcasts that are given for a type."""
    types = [each for events in EVENT_CATALOGUES.values() for each in events.types()]
    return Schemas(EventSchema(each, newest.get(each, ())) for each in types)


OLDER = schemas_of({})
NEWER = schemas_of({TYPE: (county_from_district,)})


def written_in(version: int, **changes: Any) -> NewEvent:
    event = as_new(nominated(**changes))
    data = dict(event.data)
    if version == 1:
        data["district"] = data.pop("county")
    return NewEvent(TYPE, data, version)


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    await migrate(database_url)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=8) as pool:
        await PlanStore(pool).adopt(the_plan())
        async with Ledger(pool) as ledger:
            # The seats that the county's approvals below have taken.
            seat = seat_key(BOOK, quota_line("gp1", "410181"))
            await ledger.append(claiming(LimitClaim(seat, 5), CountClaim(seat, 2)))
        yield pool


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """This release is the newer one."""
    upgrade(monkeypatch)


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TraineeNominated, "schema_version", 2)
    monkeypatch.setattr(person_export, "SCHEMAS", NEWER)
    monkeypatch.setattr(newest, "SCHEMAS", NEWER)


async def both_releases_have_written(pool: Pool) -> None:
    """The older release's event, the newer one's, and the same case as if the newer one had written it all."""
    async with Ledger(pool) as ledger:
        await append(ledger, BOOK, STREAM, 0, written_in(1))
        await append(ledger, BOOK, STREAM, 1, COUNTY_APPROVED)
        await append(ledger, BOOK, OTHER_STREAM, 0, written_in(2))
        await append(ledger, BOOK, OTHER_STREAM, 1, COUNTY_APPROVED)


async def decide(pool: Pool, ledger: Ledger, command: str, **more: Any) -> Outcome:
    """What the activity says to the county's command on the first nomination."""
    checkpoints = Checkpoints(pool)
    activities = LedgerActivities(ledger, SystemClock(), LedgerFacts(pool, ledger, checkpoints))
    message = CommandMessage(actor=COUNTY, body=more.pop("body", {}), digest="digest")
    request = UpdateLedger(
        kind="trainee",
        number=NUMBER,
        campaign=BOOK,
        command=command,
        command_id=more.pop("command_id", None) or uuid4(),
        message=message,
    )
    try:
        return await activities.update_ledger(request)
    finally:
        await checkpoints.close()


async def load(pool: Pool, ledger: Ledger, number: str = NUMBER) -> Outcome:
    checkpoints = Checkpoints(pool)
    activities = LedgerActivities(ledger, SystemClock(), LedgerFacts(pool, ledger, checkpoints))
    try:
        return await activities.load_case(LoadCase(kind="trainee", number=number, campaign=BOOK))
    finally:
        await checkpoints.close()


async def rebuilt(pool: Pool) -> dict[str, str]:
    """Build the views anew; give their state hashes."""
    async with pool.acquire() as connection:
        await rebuild(connection)
        return await state_hashes(connection)


async def project(pool: Pool, ledger: Ledger) -> dict[str, str]:
    """Bring the views up to date; give their state hashes."""
    projector = Projector(pool, ledger)
    await projector.catch_up()
    await projector.close()
    async with pool.acquire() as connection:
        return await state_hashes(connection)


async def rows(pool: Pool) -> list[tuple[str, str, int]]:
    found = await pool.fetch("SELECT county, phase, version FROM view.trainees ORDER BY number")
    return [(row["county"], row["phase"], row["version"]) for row in found]


# ------------------------------------------------------------------------------------ what an older one has written


@pytest.mark.usefixtures("newer")
async def test_a_command_is_decided_on_what_an_older_release_has_written(pool: Pool) -> None:
    await both_releases_have_written(pool)
    async with Ledger(pool, NEWER) as ledger:
        loaded, same = await load(pool, ledger), await load(pool, ledger, OTHER)
        assert loaded.receipt is not None and same.receipt is not None
        assert loaded.receipt.model_copy(update={"number": OTHER, "summary": ""}) == same.receipt.model_copy(
            update={"summary": ""}
        )
        assert loaded.receipt.attributes["XunjiCounty"] == "410181"
        done = await decide(pool, ledger, "withdraw", body={"reason": "ill"})
        assert done.receipt is not None and done.receipt.version == 3, done


@pytest.mark.defect("upcasters ignored")
@pytest.mark.usefixtures("newer")
async def test_the_views_and_their_rebuild_apply_the_upcasts(pool: Pool) -> None:
    """Marten #2615: upcasters that live folding applied were ignored by the asynchronous projections."""
    await both_releases_have_written(pool)
    async with Ledger(pool, NEWER) as ledger:
        live = await project(pool, ledger)
        assert await rows(pool) == [("410181", "county-approved", 2)] * 2
        assert await rebuilt(pool) == live
        assert await rows(pool) == [("410181", "county-approved", 2)] * 2
    assert await parked(pool) == []


@pytest.mark.defect("upcasters ignored")
@pytest.mark.usefixtures("newer")
async def test_a_reader_without_the_schemas_is_stopped_and_misreads_nothing(pool: Pool) -> None:
    """The negative of the test above: a projector that leaves the upcasts out parks what it cannot read."""
    await both_releases_have_written(pool)
    async with Ledger(pool) as ledger:
        await project(pool, ledger)
    assert await rows(pool) == [("410181", "county-approved", 2)]
    reasons = {each.stream: each.reason for each in await parked(pool) if each.version == 1}
    assert set(reasons) == {STREAM}
    assert "EventNotUpcast" in reasons[STREAM] and "version 1" in reasons[STREAM]


@pytest.mark.usefixtures("newer")
async def test_a_person_is_shown_what_an_older_release_has_written_as_it_is_understood_today(pool: Pool) -> None:
    vault = Vault(pool, b"m" * 32, b"i" * 32)
    person = (await vault.subject_for("11010519491231002X")).id
    event = written_in(1)
    async with Ledger(pool) as ledger:
        await append(ledger, BOOK, STREAM, 0, NewEvent(TYPE, {**event.data, "person": str(person)}, 1))
    (shown,) = (await export_person(pool, vault, person))["events"]
    assert shown["data"]["county"] == "410181"
    assert "district" not in shown["data"]


# -------------------------------------------------------------------------------------- what a newer one has written


async def newer_has_written(pool: Pool) -> int:
    """The newer release has opened a case while this one is still the older; give the number of events."""
    async with Ledger(pool, NEWER) as ledger:
        await append(ledger, BOOK, STREAM, 0, written_in(2))
        await append(ledger, BOOK, STREAM, 1, COUNTY_APPROVED)
        return await ledger.head(BOOK)


async def everything(pool: Pool) -> tuple[int, ...]:
    tables = ("events", "commands", "outbox", "counters", "holds", "blocks", "streams", "books")
    return tuple([await pool.fetchval(f"SELECT count(*) FROM ledger.{table}") for table in tables])


async def test_a_version_from_the_future_refuses_the_command_and_nothing_is_written(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = await newer_has_written(pool)
    before = await everything(pool)
    async with Ledger(pool, OLDER) as ledger:
        refused, loaded = await decide(pool, ledger, "withdraw", body={"reason": "ill"}), await load(pool, ledger)
        for outcome in (refused, loaded):
            assert outcome.receipt is None and outcome.refusal is not None
            (reason,) = outcome.refusal.reasons
            assert reason.code == "history_unreadable"
            assert "schema version 2" in reason.en and "schema version 2" in reason.zh
        assert await everything(pool) == before
        # Another case of the same book goes on.
        await append(ledger, BOOK, OTHER_STREAM, 0, nominated())
        head += 1
    upgrade(monkeypatch)
    async with Ledger(pool, NEWER) as ledger:
        done = await decide(pool, ledger, "withdraw", body={"reason": "ill"})
        assert done.receipt is not None and done.receipt.version == 3
        assert await ledger.head(BOOK) == head + 1


async def test_a_command_that_the_newer_release_has_done_gets_its_first_answer_from_the_older(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply was lost, and the command comes again to a process that is not upgraded yet."""
    await newer_has_written(pool)
    command = uuid4()
    with monkeypatch.context() as upgraded:
        upgrade(upgraded)
        async with Ledger(pool, NEWER) as ledger:
            done = await decide(pool, ledger, "withdraw", body={"reason": "ill"}, command_id=command)
    async with Ledger(pool, OLDER) as ledger:
        again = await decide(pool, ledger, "withdraw", body={"reason": "ill"}, command_id=command)
    assert done.receipt is not None and again.receipt is not None
    assert again.receipt == done.receipt.model_copy(update={"sequence": 0})


async def test_the_views_put_a_version_from_the_future_aside_and_go_on(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await newer_has_written(pool)
    async with Ledger(pool, OLDER) as ledger:
        await append(ledger, BOOK, OTHER_STREAM, 0, nominated())
        await append(ledger, BOOK, OTHER_STREAM, 1, COUNTY_APPROVED, CITY_APPROVED)
        await project(pool, ledger)
    assert await rows(pool) == [("410181", "selected", 3)]
    first, second = await parked(pool)
    assert (first.stream, first.version, second.version) == (STREAM, 1, 2)
    assert "EventFromNewerRelease" in first.reason and "schema version 2" in first.reason
    assert second.reason == "an earlier event of this stream is parked"
    # The newer release builds its views anew and has them all.
    upgrade(monkeypatch)
    monkeypatch.setattr(newest, "SCHEMAS", schemas_of({TYPE: (lambda data: data,)}))
    await rebuilt(pool)
    assert await parked(pool) == []
    assert await rows(pool) == [("410181", "county-approved", 2), ("410181", "selected", 3)]
