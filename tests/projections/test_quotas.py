"""Quota lines: seats from the view, use from the counter that decides."""

import hashlib
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from domain.bulletin import AssignedSeats
from domain.decision import Actor
from domain.numbers import seat_key
from ledger.store import Ledger
from ledger.types import Append, Appended, Claim, CountClaim, LimitClaim, StreamWrite
from projections import quotas
from projections.engine import Projector
from tests.projections.campaign_lives import quota
from tests.projections.histories import BOOK, START, as_new

Pool: TypeAlias = "asyncpg.Pool[Any]"

BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
LINES = {"gp1:410181": 30, "gp1:410182": 20, "gp2:410181": 5}


async def issued(ledger: Ledger, projector: Projector, used: int = 12) -> None:
    """The lines with their limits, and `used` seats taken of the first."""
    claims: tuple[Claim, ...] = tuple(LimitClaim(seat_key(BOOK, line), seats) for line, seats in LINES.items())
    command = uuid4()
    result = await ledger.append(
        Append(
            command_id=command,
            content_hash=hashlib.sha256(command.bytes).digest(),
            actor="bureau:zzedu",
            writes=tuple(
                StreamWrite(BOOK, f"quota/{line}", 0, (as_new(quota(line, seats)),)) for line, seats in LINES.items()
            ),
            claims=(*claims, CountClaim(seat_key(BOOK, "gp1:410181"), used)),
            recorded_at=START,
        )
    )
    assert isinstance(result, Appended)
    await projector.catch_up()


async def test_a_recipient_sees_its_own_lines_with_their_use(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await issued(ledger, projector)
    all_lines = await quotas.page(pool, ledger, BUREAU, BOOK)
    assert [each.quota.line for each in all_lines.items] == sorted(LINES)
    own = await quotas.page(pool, ledger, COUNTY, BOOK)
    assert [(each.quota.line, each.size, each.used, each.left) for each in own.items] == [
        ("gp1:410181", 30, 12, 18),
        ("gp2:410181", 5, 0, 5),
    ]
    assert (await quotas.page(pool, ledger, COUNTY, BOOK, recipient="410182")).items == ()
    for role in ("host", "school"):
        viewer = Actor.model_validate({"organisation": "410181", "role": role})
        assert (await quotas.page(pool, ledger, viewer, BOOK)).items == ()


async def test_one_line(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await issued(ledger, projector, used=30)
    line = await quotas.get(pool, ledger, COUNTY, BOOK, "gp1:410181")
    assert line is not None
    assert (line.quota.issued, line.quota.seats, line.left, line.quota.invented) == (30, 30, 0, True)
    assert await quotas.get(pool, ledger, COUNTY, BOOK, "gp1:410182") is None
    assert await quotas.get(pool, ledger, BUREAU, "2023-zhengzhou", "gp1:410181") is None


@pytest.mark.parametrize("page_limit", [1, 2, 3, 10_000])
async def test_every_counter_is_read_however_many_pages_they_fill(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch, page_limit: int
) -> None:
    monkeypatch.setattr(quotas, "PAGE_LIMIT", page_limit)
    await issued(ledger, projector)
    first = await quotas.page(pool, ledger, BUREAU, BOOK, limit=2)
    assert first.next is not None
    rest = await quotas.page(pool, ledger, BUREAU, BOOK, after=first.next)
    assert {each.quota.line: each.size for each in (*first.items, *rest.items)} == LINES


async def test_the_seats_of_a_recipient_are_added_up(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await issued(ledger, projector)
    assert await quotas.assigned(pool, BOOK) == (AssignedSeats("410181", 35, 35), AssignedSeats("410182", 20, 20))
