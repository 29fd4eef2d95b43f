"""Claims of every kind: what holds, what is refused and with which detail, alone and in company."""

import asyncio
from datetime import date
from typing import Any

import asyncpg
import pytest

from ledger.store import Ledger
from ledger.types import (
    Append,
    Appended,
    AppendResult,
    BlockClaim,
    Claim,
    ClaimRefused,
    ClearClaim,
    CountClaim,
    LimitClaim,
    ReleaseClaim,
    TakeClaim,
    UnblockClaim,
)
from tests.ledger.appends import append, claiming, write

SEAT = "seat:2022-zhengzhou:gp1:410181"
ACTIVE = "active:person:2022-zhengzhou:gp1"
PERSON = "restriction:person"


def day(text: str) -> date:
    return date.fromisoformat(text)


YEARS = BlockClaim(PERSON, "r1", day("2022-10-01"), day("2025-10-01"))


async def claim(ledger: Ledger, *claims: Claim) -> AppendResult:
    return await ledger.append(claiming(*claims))


async def test_a_counter_stays_between_zero_and_its_limit(ledger: Ledger) -> None:
    assert await claim(ledger, CountClaim(SEAT, 1)) == ClaimRefused(
        CountClaim(SEAT, 1), "count_exhausted", {"used": 0, "limit": 0}
    )
    assert isinstance(await claim(ledger, LimitClaim(SEAT, 2), CountClaim(SEAT, 2)), Appended)
    assert await claim(ledger, CountClaim(SEAT, 1)) == ClaimRefused(
        CountClaim(SEAT, 1), "count_exhausted", {"used": 2, "limit": 2}
    )
    assert await claim(ledger, LimitClaim(SEAT, 1)) == ClaimRefused(
        LimitClaim(SEAT, 1), "limit_below_used", {"used": 2, "limit": 2}
    )
    assert isinstance(await claim(ledger, CountClaim(SEAT, -1), LimitClaim(SEAT, 1)), Appended)
    assert await claim(ledger, CountClaim(SEAT, -2)) == ClaimRefused(
        CountClaim(SEAT, -2), "count_below_zero", {"used": 1, "limit": 1}
    )
    counter = await ledger.counter(SEAT)
    assert (counter.used, counter.limit) == (1, 1)


async def test_a_key_has_one_owner_at_a_time(ledger: Ledger) -> None:
    assert isinstance(await claim(ledger, TakeClaim(ACTIVE, "t1")), Appended)
    assert isinstance(await claim(ledger, TakeClaim(ACTIVE, "t1")), Appended)
    assert await claim(ledger, TakeClaim(ACTIVE, "t2")) == ClaimRefused(
        TakeClaim(ACTIVE, "t2"), "held", {"owner": "t1"}
    )
    assert isinstance(await claim(ledger, ReleaseClaim(ACTIVE, "t2")), Appended)
    assert isinstance(await claim(ledger, TakeClaim(ACTIVE, "t2")), ClaimRefused)
    assert isinstance(await claim(ledger, ReleaseClaim(ACTIVE, "t1"), TakeClaim(ACTIVE, "t2")), Appended)
    assert isinstance(await claim(ledger, ReleaseClaim(ACTIVE, "t2"), ReleaseClaim(ACTIVE, "t2")), Appended)
    assert isinstance(await claim(ledger, TakeClaim(ACTIVE, "t3")), Appended)


@pytest.mark.parametrize(
    ("on", "clear"),
    [("2022-09-30", True), ("2022-10-01", False), ("2025-09-30", False), ("2025-10-01", True)],
)
async def test_a_block_covers_its_days_from_the_first_to_before_the_last(ledger: Ledger, on: str, clear: bool) -> None:
    await claim(ledger, YEARS)
    result = await claim(ledger, ClearClaim(PERSON, day(on)))
    if clear:
        assert isinstance(result, Appended)
    else:
        assert result == ClaimRefused(ClearClaim(PERSON, day(on)), "blocked", {"until": "2025-10-01"})


async def test_a_refusal_tells_the_first_clear_day_over_all_owners(ledger: Ledger) -> None:
    await claim(ledger, YEARS)
    await claim(ledger, BlockClaim(PERSON, "r2", day("2024-01-01"), day("2027-01-01")))
    await claim(ledger, BlockClaim(PERSON, "r3", day("2030-01-01"), day("2033-01-01")))

    result = await claim(ledger, ClearClaim(PERSON, day("2023-01-01")))

    assert isinstance(result, ClaimRefused)
    assert result.detail == {"until": "2027-01-01"}


async def test_an_owner_bars_no_day_twice_and_lifts_only_its_own(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await claim(ledger, YEARS, BlockClaim(PERSON, "r2", day("2023-01-01"), day("2023-02-01")))

    twice = await claim(ledger, BlockClaim(PERSON, "r1", day("2025-09-30"), day("2026-01-01")))
    assert isinstance(twice, ClaimRefused)
    assert (twice.code, twice.detail) == ("blocked", {"until": "2025-10-01"})
    assert isinstance(await claim(ledger, UnblockClaim(PERSON, "r1"), UnblockClaim(PERSON, "none")), Appended)
    assert isinstance(await claim(ledger, ClearClaim(PERSON, day("2024-01-01"))), Appended)
    assert isinstance(await claim(ledger, ClearClaim(PERSON, day("2023-01-15"))), ClaimRefused)
    rows = await pool.fetch("SELECT owner, lower(period) AS first FROM ledger.blocks")
    assert [(row["owner"], row["first"]) for row in rows] == [("r2", day("2023-01-01"))]


async def test_an_append_sees_what_its_own_claims_have_changed(ledger: Ledger) -> None:
    await claim(ledger, YEARS)
    replaced = await claim(
        ledger,
        UnblockClaim(PERSON, "r1"),
        ClearClaim(PERSON, day("2024-01-01")),
        BlockClaim(PERSON, "r1", day("2023-10-01"), day("2026-10-01")),
    )
    assert isinstance(replaced, Appended)
    assert isinstance(await claim(ledger, ClearClaim(PERSON, day("2022-12-01"))), Appended)
    assert isinstance(await claim(ledger, ClearClaim(PERSON, day("2026-09-30"))), ClaimRefused)


async def test_a_refused_claim_undoes_the_ones_before_it(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await claim(
        ledger,
        LimitClaim(SEAT, 5),
        TakeClaim("key:a", "me"),
        BlockClaim("p", "r2", day("2022-01-01"), day("2022-02-01")),
    )
    refused = append(
        write("trainee/refused"),
        claims=[
            CountClaim(SEAT, 3),
            LimitClaim(SEAT, 9),
            TakeClaim("key:b", "me"),
            ReleaseClaim("key:a", "me"),
            YEARS,
            UnblockClaim("p", "r2"),
            TakeClaim("key:c", "me"),
            CountClaim(SEAT, 100),
        ],
    )
    # In one batch, so that the appends after the refused one are judged on what it leaves behind.
    results = await ledger.append_many(
        [
            refused,
            claiming(CountClaim(SEAT, 5), TakeClaim("key:b", "you"), ClearClaim(PERSON, day("2023-01-01"))),
            claiming(TakeClaim("key:a", "you")),
            claiming(ClearClaim("p", day("2022-01-15"))),
            claiming(LimitClaim(SEAT, 4)),
        ]
    )

    # Asked again alone, behind the others of its batch, it meets their five seats.
    assert results[0] == ClaimRefused(CountClaim(SEAT, 3), "count_exhausted", {"used": 5, "limit": 5})
    assert isinstance(results[1], Appended)
    assert [result.code for result in results[2:] if isinstance(result, ClaimRefused)] == [
        "held",
        "blocked",
        "limit_below_used",
    ]
    assert await ledger.read_stream("2022-zhengzhou", "trainee/refused") == []
    assert {row["key"]: row["owner"] for row in await pool.fetch("SELECT * FROM ledger.holds")} == {
        "key:a": "me",
        "key:b": "you",
    }


async def test_a_claim_sees_the_blocks_taken_earlier_in_its_batch(ledger: Ledger) -> None:
    results = await ledger.append_many(
        [
            claiming(ClearClaim(PERSON, day("2023-01-01"))),
            claiming(YEARS),
            claiming(ClearClaim(PERSON, day("2023-01-01"))),
            claiming(UnblockClaim(PERSON, "r1")),
        ]
    )
    # The third was refused in its batch, and asked again alone when the fourth had lifted the block.
    assert all(isinstance(result, Appended) for result in results)

    results = await ledger.append_many([claiming(YEARS), claiming(ClearClaim(PERSON, day("2023-01-01")))])
    assert isinstance(results[1], ClaimRefused)


async def test_a_refusal_in_company_is_confirmed_alone(ledger: Ledger) -> None:
    await claim(ledger, LimitClaim(SEAT, 1), CountClaim(SEAT, 1))
    taken, freed = await ledger.append_many([claiming(CountClaim(SEAT, 1)), claiming(CountClaim(SEAT, -1))])
    assert isinstance(freed, Appended)
    assert isinstance(taken, Appended)
    assert (await ledger.counter(SEAT)).used == 1


async def at_once(pool: "asyncpg.Pool[Any]", appends: list[Append]) -> list[AppendResult]:
    """Send each append through a ledger and so a connection of its own, all at the same time."""
    ledgers = [Ledger(pool) for _ in appends]
    try:
        return await asyncio.gather(*(one.append(each) for one, each in zip(ledgers, appends, strict=True)))
    finally:
        for one in ledgers:
            await one.close()


async def test_the_last_seat_is_sold_once(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await claim(ledger, LimitClaim(SEAT, 1))
    results = await at_once(
        pool, [append(write(f"trainee/{n}", book=f"book-{n % 4}"), claims=[CountClaim(SEAT, 1)]) for n in range(20)]
    )
    assert [type(result) for result in results].count(Appended) == 1
    assert [type(result) for result in results].count(ClaimRefused) == 19
    assert (await ledger.counter(SEAT)).used == 1


async def test_without_the_claim_the_last_seat_is_sold_many_times(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    """The race that the claim is there for: look first, then append."""
    together = asyncio.Barrier(20)

    async def sell(number: int) -> AppendResult | None:
        taken = await ledger.streams("2022-zhengzhou", "trainee/")
        await together.wait()
        return await ledger.append(append(write(f"trainee/{number}"))) if not taken else None

    sold = await asyncio.gather(*(sell(number) for number in range(20)))
    assert len([one for one in sold if isinstance(one, Appended)]) > 1


async def test_a_key_nobody_has_seen_is_taken_once(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    results = await at_once(
        pool, [append(write(f"t/{n}", book=f"book-{n % 4}"), claims=[TakeClaim(ACTIVE, f"t{n}")]) for n in range(20)]
    )
    assert [type(result) for result in results].count(Appended) == 1


async def test_a_clear_and_a_block_on_an_unseen_key_never_pass_each_other(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    """Whoever comes first decides: a clear that passed came before the block, so its event has the lower number.

    Both write the same book, so that their order can be told; the keys are new, so that no row could be locked.
    """
    for attempt in range(10):
        key = f"restriction:{attempt}"
        clear = append(write(f"clear/{attempt}"), claims=[ClearClaim(key, day("2023-01-01"))])
        block = append(write(f"block/{attempt}"), claims=[BlockClaim(key, "r", day("2022-01-01"), day("2024-01-01"))])
        cleared, blocked = await at_once(pool, [clear, block])
        assert isinstance(blocked, Appended)
        if isinstance(cleared, Appended):
            assert cleared.sequences["2022-zhengzhou"] < blocked.sequences["2022-zhengzhou"]


async def test_a_clear_waits_for_a_block_that_is_not_committed(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    """The same race, held open: the block's transaction has its locks and has not committed when the clear comes."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT ledger.lock_claims(ARRAY[$1]::text[])", PERSON)
        await connection.execute(
            "INSERT INTO ledger.blocks VALUES ($1, 'r1', daterange('2022-01-01', '2024-01-01'))", PERSON
        )
        waiting = asyncio.create_task(claim(ledger, ClearClaim(PERSON, day("2023-01-01"))))
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert not waiting.done()
        await transaction.commit()
    assert isinstance(await waiting, ClaimRefused)


async def test_the_tables_refuse_what_the_function_would_never_write(pool: "asyncpg.Pool[Any]") -> None:
    for statement in (
        "INSERT INTO ledger.counters VALUES ('a', 2, 1)",
        "INSERT INTO ledger.counters VALUES ('a', -1, 1)",
        "INSERT INTO ledger.holds VALUES ('', 'a')",
        "INSERT INTO ledger.blocks VALUES ('a', 'b', 'empty')",
        "INSERT INTO ledger.blocks VALUES ('a', 'b', daterange('2022-01-01', NULL))",
        "INSERT INTO ledger.streams VALUES ('a', 'b', 0)",
        "INSERT INTO ledger.books (book, sequence) VALUES ('a', -1)",
        "INSERT INTO ledger.commands VALUES (gen_random_uuid(), 'short', '', now())",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(statement)
    await pool.execute("INSERT INTO ledger.blocks VALUES ('a', 'b', daterange('2022-01-01', '2022-02-01'))")
    await pool.execute("INSERT INTO ledger.blocks VALUES ('a', 'c', daterange('2022-01-01', '2022-02-01'))")
    with pytest.raises(asyncpg.ExclusionViolationError):
        await pool.execute("INSERT INTO ledger.blocks VALUES ('a', 'b', daterange('2022-01-31', '2022-03-01'))")
