"""What a counter is used for, by a convention of the caller's own; the ledger knows no word of it."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.breakdown import Breakdown, InvalidTally, Parts, Tally, TallyBroken, breakdown, breakdowns
from ledger.errors import PageOutOfRange
from ledger.store import Ledger
from ledger.types import Appended, Claim, ClaimRefused, CountClaim, LimitClaim, ReleaseClaim, TakeClaim
from tests.ledger.appends import append, write

Pool: TypeAlias = "asyncpg.Pool[Any]"

ROOM = "room:7"
BY_HOLDS = Parts(held=Tally.holds("held/{key}/"), waiting=Tally.holds("waiting/{key}/"))
BY_COUNTERS = Parts(held=Tally.counter("{key}#held"), waiting=Tally.counter("{key}#waiting"))


class Guests:
    """Who waits, is offered a bed, and takes it or lets it go: each of it one append with its claims."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._streams: Iterator[int] = iter(range(1_000))

    async def __call__(self, *claims: Claim) -> None:
        assert isinstance(await self.tried(*claims), Appended)

    async def tried(self, *claims: Claim) -> object:
        return await self._ledger.append(append(write(f"guest/{next(self._streams)}"), claims=claims))


@pytest.fixture
def guests(ledger: Ledger) -> Guests:
    return Guests(ledger)


def of(key: str, size: int, used: int, held: int, waiting: int) -> Breakdown:
    return Breakdown(key, size, used, held, waiting)


async def test_who_waits_is_offered_a_place_and_takes_it_or_lets_it_go(pool: Pool, guests: Guests) -> None:
    await guests(LimitClaim(ROOM, 2), CountClaim(ROOM, 1))
    for guest in ("ada", "bo"):
        await guests(TakeClaim(f"waiting/{ROOM}/{guest}", guest))
    assert await breakdown(pool, ROOM, BY_HOLDS) == of(ROOM, size=2, used=1, held=0, waiting=2)
    await guests(CountClaim(ROOM, 1), ReleaseClaim(f"waiting/{ROOM}/ada", "ada"), TakeClaim(f"held/{ROOM}/ada", "ada"))
    offered = await breakdown(pool, ROOM, BY_HOLDS)
    assert (offered, offered.left) == (of(ROOM, size=2, used=1, held=1, waiting=1), 0)
    # What is held is taken: the limit guards it against everybody else.
    assert isinstance(await guests.tried(CountClaim(ROOM, 1)), ClaimRefused)
    await guests(ReleaseClaim(f"held/{ROOM}/ada", "ada"))
    assert await breakdown(pool, ROOM, BY_HOLDS) == of(ROOM, size=2, used=2, held=0, waiting=1)
    await guests(LimitClaim(ROOM, 3))
    await guests(CountClaim(ROOM, 1), ReleaseClaim(f"waiting/{ROOM}/bo", "bo"), TakeClaim(f"held/{ROOM}/bo", "bo"))
    await guests(ReleaseClaim(f"held/{ROOM}/bo", "bo"), CountClaim(ROOM, -1))
    declined = await breakdown(pool, ROOM, BY_HOLDS)
    assert (declined, declined.left) == (of(ROOM, size=3, used=2, held=0, waiting=0), 1)


async def test_the_parts_may_be_counters_and_do_not_stand_in_a_page_themselves(pool: Pool, guests: Guests) -> None:
    for key in ("room:7", "room:70", "room:8"):
        await guests(LimitClaim(key, 5), LimitClaim(f"{key}#held", 5), LimitClaim(f"{key}#waiting", 100))
    await guests(CountClaim("room:70", 3), CountClaim("room:70#held", 1), CountClaim("room:70#waiting", 4))
    assert await breakdown(pool, "room:70", BY_COUNTERS) == of("room:70", size=5, used=2, held=1, waiting=4)
    page = await breakdowns(pool, "room:", BY_COUNTERS)
    assert [each.key for each in page] == ["room:7", "room:70", "room:8"]
    assert page[1] == await breakdown(pool, "room:70", BY_COUNTERS)
    assert await breakdowns(pool, "room:", BY_COUNTERS, after="room:7", limit=1) == page[1:2]
    assert await breakdowns(pool, "hall:", BY_COUNTERS) == []


async def test_one_key_s_holds_do_not_count_for_another_that_begins_alike(pool: Pool, guests: Guests) -> None:
    await guests(LimitClaim("room:7", 9), LimitClaim("room:70", 9), CountClaim("room:70", 1))
    await guests(TakeClaim("held/room:70/ada", "ada"), TakeClaim("waiting/room:70/王", "bo"))
    assert await breakdowns(pool, "room:", BY_HOLDS) == [
        of("room:7", size=9, used=0, held=0, waiting=0),
        of("room:70", size=9, used=0, held=1, waiting=1),
    ]


async def test_a_counter_never_seen_may_already_be_waited_for_and_parts_may_be_left_out(
    pool: Pool, guests: Guests
) -> None:
    await guests(TakeClaim("waiting/room:9/ada", "ada"))
    assert await breakdown(pool, "room:9", BY_HOLDS) == of("room:9", size=0, used=0, held=0, waiting=1)
    await guests(LimitClaim("room:9", 4), CountClaim("room:9", 3))
    assert await breakdown(pool, "room:9", Parts()) == of("room:9", size=4, used=3, held=0, waiting=0)


async def test_holding_without_taking_is_a_broken_convention_and_said_so(pool: Pool, guests: Guests) -> None:
    await guests(LimitClaim(ROOM, 4), TakeClaim(f"held/{ROOM}/ada", "ada"))
    with pytest.raises(TallyBroken, match="1 of room:7 are held and only 0 were taken"):
        await breakdown(pool, ROOM, BY_HOLDS)


@pytest.mark.parametrize("limit", [0, 1_001])
async def test_a_page_has_a_bound(pool: Pool, limit: int) -> None:
    with pytest.raises(PageOutOfRange):
        await breakdowns(pool, "room:", BY_HOLDS, limit=limit)


@pytest.mark.parametrize("pattern", ["held", "{key}{key}/", ""])
def test_a_pattern_names_the_key_once(pattern: str) -> None:
    for make in (Tally.counter, Tally.holds):
        with pytest.raises(InvalidTally):
            make(pattern)


def test_a_pattern_that_would_count_something_else_is_refused() -> None:
    with pytest.raises(InvalidTally, match="room:70"):
        Tally.holds("held/{key}")
    with pytest.raises(InvalidTally, match="itself"):
        Tally.counter("{key}")
