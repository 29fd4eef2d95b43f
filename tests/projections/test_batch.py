"""Poison: an event that cannot be applied is parked with its reason, and everybody else goes on."""

from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import pytest

from domain.decision import Event
from ledger.store import Ledger
from ledger.types import NewEvent
from projections.checkpoints import ParkedEvent, parked
from projections.engine import Projector
from tests.projections import campaign_lives, class_lives, register_lives, restriction_lives, trainee_lives
from tests.projections.histories import BOOK, append, as_new, record
from tests.projections.trainee_lives import trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"
FIRST = "trainee/zz22-410181-00001"


async def trainees(pool: Pool) -> dict[str, tuple[str, int]]:
    found = await pool.fetch("SELECT number, phase, version FROM view.trainees")
    return {row["number"]: (row["phase"], row["version"]) for row in found}


def places(found: list[ParkedEvent]) -> list[tuple[str, int]]:
    return [(each.stream, each.version) for each in found]


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (NewEvent("trainee.promoted", {}), "UnknownEvent"),
        (NewEvent("nomination.approved", {"level": "village", "by": "Wang Fang"}), "level: literal_error"),
        (NewEvent("nomination.approved", {"level": "county", "by": "x", "extra": 1}), "extra: extra_forbidden"),
        (as_new(class_lives.class_planned()), "UnknownEvent"),
    ],
)
async def test_a_poison_event_is_parked_and_so_is_the_rest_of_its_stream_but_nothing_else(
    pool: Pool, ledger: Ledger, projector: Projector, poison: NewEvent, reason: str
) -> None:
    await append(ledger, BOOK, FIRST, 0, trainee_lives.nominated())
    await append(ledger, BOOK, FIRST, 1, poison)
    await append(ledger, BOOK, FIRST, 2, trainee_lives.COUNTY_APPROVED)
    await record(ledger, [trainee(2, "closed")])
    await projector.catch_up()
    assert await trainees(pool) == {
        "zz22-410181-00001": ("nominated", 1),
        "zz22-410181-00002": ("closed", len(trainee(2, "closed").events)),
    }
    found = await parked(pool)
    assert places(found) == [(FIRST, 2), (FIRST, 3)]
    assert reason in found[0].reason
    assert "Wang Fang" not in found[0].reason
    assert found[1].reason == "an earlier event of this stream is parked"
    assert [(each.lag, each.parked) for each in await projector.status()] == [(0, 2)]
    # In a later batch the stream is still blocked.
    await append(ledger, BOOK, FIRST, 3, trainee_lives.CITY_APPROVED)
    await projector.catch_up()
    assert places(await parked(pool, BOOK)) == [(FIRST, 2), (FIRST, 3), (FIRST, 4)]
    assert await parked(pool, "people") == []


async def test_an_event_that_the_database_refuses_is_found_within_its_batch_and_parked(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    # PostgreSQL keeps no NUL in a text, though JSON may hold one.
    planned = class_lives.class_planned().model_copy(update={"place": "郑\x00州"})
    await record(ledger, [trainee(1, "selected")])
    await append(ledger, BOOK, "class/zz22-c-h001-01", 0, planned)
    await append(ledger, BOOK, "class/zz22-c-h001-01", 1, *class_lives.CLASS_LIFE[:1])
    await record(ledger, [trainee(2, "enrolled")])
    await projector.catch_up()
    assert {number: phase for number, (phase, _) in (await trainees(pool)).items()} == {
        "zz22-410181-00001": "selected",
        "zz22-410181-00002": "enrolled",
    }
    found = await parked(pool)
    assert places(found) == [("class/zz22-c-h001-01", 1), ("class/zz22-c-h001-01", 2)]
    assert found[0].reason == "UntranslatableCharacterError"
    assert await pool.fetchval("SELECT count(*) FROM view.classes") == 0


async def test_a_row_that_breaks_a_constraint_is_parked_with_the_constraint_s_name(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await append(ledger, BOOK, "quota/gp1:410181", 0, campaign_lives.quota("gp1:410181", -1))
    await append(ledger, BOOK, "quota/gp2:410181", 0, campaign_lives.quota("gp2:410181", 5))
    await projector.catch_up()
    assert [each.reason for each in await parked(pool)] == ["CheckViolationError (quotas_issued_check)"]
    assert await pool.fetchval("SELECT array_agg(line) FROM view.quotas") == ["gp2:410181"]


@pytest.mark.parametrize(
    "misplaced",
    [
        (BOOK, "lesson/1", trainee_lives.COUNTY_APPROVED),
        (BOOK, "trainee", trainee_lives.nominated()),
        ("institutions", "institution/410182", register_lives.organisation("410181", "county")),
        (BOOK, "campaign/2022-kaifeng", campaign_lives.campaign_opened(BOOK)),
        (BOOK, "quota/gp1:410182", campaign_lives.quota("gp1:410181", 5)),
        (BOOK, f"campaign/{BOOK}", campaign_lives.bulletin("hosts")),
        (BOOK, FIRST, trainee_lives.COUNTY_APPROVED),
        ("institutions", "institution/410181", register_lives.INSTITUTION_LIFE[0]),
        ("restrictions", "restriction/zz22-410181-00001-r1", restriction_lives.SERVED),
    ],
)
async def test_what_makes_no_sense_where_it_stands_is_parked(
    pool: Pool, ledger: Ledger, projector: Projector, misplaced: tuple[str, str, Event]
) -> None:
    book, stream, event = misplaced
    await append(ledger, book, stream, 0, event)
    await projector.catch_up()
    assert places(await parked(pool)) == [(stream, 1)]
    assert [each.lag for each in await projector.status()] == [0]


async def test_a_bulletin_issued_twice_is_parked_with_the_campaign_s_row_untouched(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    name = f"campaign/{BOOK}"
    await append(ledger, BOOK, name, 0, campaign_lives.campaign_opened(), campaign_lives.bulletin("hosts"))
    await append(ledger, BOOK, name, 2, campaign_lives.bulletin("hosts"))
    await projector.catch_up()
    assert places(await parked(pool)) == [(name, 3)]
    assert await pool.fetchval("SELECT version FROM view.campaigns") == 2


async def test_a_parked_event_says_when_it_was_parked(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await append(ledger, BOOK, FIRST, 0, NewEvent("trainee.promoted", {}))
    await projector.catch_up()
    (found,) = await parked(pool)
    assert isinstance(found.parked_at, datetime)
    assert (found.book, found.sequence, found.type) == (BOOK, 1, "trainee.promoted")
