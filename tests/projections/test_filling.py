"""Filling a build stream by stream gives what the projector gives event by event: rows, and what was parked."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from ledger.types import NewEvent
from projections import filling, rebuild
from projections.checkpoints import parked
from projections.engine import Projector
from projections.hashing import state_hashes
from tests.projections import campaign_lives, class_lives, trainee_lives
from tests.projections.histories import BOOK, append, record
from tests.projections.trainee_lives import trainee
from tests.projections.world import world

Pool: TypeAlias = "asyncpg.Pool[Any]"


async def poisoned(ledger: Ledger) -> None:
    """Every kind of stream, and every kind of poison among them."""
    await record(ledger, world())
    first = "trainee/zz22-410182-00099"
    await append(ledger, BOOK, first, 0, trainee_lives.nominated("410182"))
    await append(ledger, BOOK, first, 1, NewEvent("trainee.promoted", {}))
    await append(ledger, BOOK, first, 2, trainee_lives.COUNTY_APPROVED)
    await append(ledger, BOOK, "lesson/1", 0, trainee_lives.COUNTY_APPROVED, trainee_lives.CITY_APPROVED)
    planned = class_lives.class_planned().model_copy(update={"place": "郑\x00州"})
    await append(ledger, BOOK, "class/zz22-c-h001-99", 0, planned)
    await append(ledger, BOOK, "class/zz22-c-h001-99", 1, *class_lives.CLASS_LIFE[:2])
    await append(ledger, BOOK, "quota/gp3:410181", 0, campaign_lives.quota("gp3:410181", -1))
    known = await ledger.stream_version(BOOK, f"campaign/{BOOK}")
    await append(ledger, BOOK, f"campaign/{BOOK}", known, campaign_lives.bulletin("hosts"))


async def told(pool: Pool) -> tuple[dict[str, str], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    async with pool.acquire() as connection:
        hashes = await state_hashes(connection)
    checkpoints = await pool.fetch("SELECT book, sequence FROM view.checkpoints ORDER BY 1")
    return (
        hashes,
        [(each.book, each.sequence, each.stream, each.reason) for each in await parked(pool)],
        [tuple(record) for record in checkpoints],
    )


@pytest.mark.parametrize("page", [1, 2, 3, 7, 2_000])
async def test_the_same_rows_and_the_same_parked_events_whatever_the_page(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    await poisoned(ledger)
    await projector.catch_up()
    event_by_event = await told(pool)
    assert {stream for _, _, stream, _ in event_by_event[1]} == {
        "trainee/zz22-410182-00099",
        "lesson/1",
        "class/zz22-c-h001-99",
        "quota/gp3:410181",
        f"campaign/{BOOK}",
    }
    monkeypatch.setattr(filling, "PAGE_EVENTS", page)
    async with pool.acquire() as connection:
        await rebuild.rebuild(connection)
    assert await told(pool) == event_by_event


async def test_progress_is_told_up_to_the_last_event(
    pool: Pool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = await record(ledger, [trainee(number, "closed") for number in range(1, 6)])
    monkeypatch.setattr(filling, "PAGE_EVENTS", 7)
    seen: list[int] = []
    async with pool.acquire() as connection:
        await rebuild.rebuild(connection, seen.append)
    assert seen == sorted(seen)
    assert (len(seen), seen[-1]) == (-(-recorded // 7), recorded)


async def test_a_view_that_mixes_streams_is_filled_in_the_order_of_the_book(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poisoned(ledger)
    await projector.catch_up()
    event_by_event = await told(pool)
    monkeypatch.setattr(rebuild, "fillable", lambda _: False)
    monkeypatch.setattr(filling, "read_event", None)
    async with pool.acquire() as connection:
        await rebuild.rebuild(connection)
    assert await told(pool) == event_by_event
