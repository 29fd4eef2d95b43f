"""Claims in the tables and in company, beside what `ledger.testing` demands of any store."""

import asyncio
from datetime import date
from typing import Any

import asyncpg
import pytest

from ledger.batch import QUERY, arguments, prepare
from ledger.errors import AppendRejected
from ledger.store import Ledger
from ledger.types import (
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


POISONED = """
CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.reply = 'poison' THEN
        RAISE EXCEPTION 'refused at the commit' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refuse_poison AFTER INSERT ON ledger.commands
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_poison();
"""
"""Lets the function give its answers, and the transaction fail after that, when it is to be committed."""


async def test_a_refusal_whose_cause_is_not_committed_is_never_answered(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    """The first takes the last seat, so the second is refused in the same call; then the call's commit fails."""
    await claim(ledger, LimitClaim(SEAT, 1))
    first = append(write("first"), claims=[CountClaim(SEAT, 1)], reply=b"poison")
    second = append(write("second"), claims=[CountClaim(SEAT, 1)])
    async with pool.acquire() as connection:
        # In a transaction that is rolled back, the answers can be seen: the second is refused because of the first.
        transaction = connection.transaction()
        await transaction.start()
        row = await connection.fetchrow(QUERY, *arguments([prepare(first), prepare(second)]))
        assert row is not None and row["outcomes"] == ["appended", "refused"]
        await transaction.rollback()
        await connection.execute(POISONED)
        # By itself, as the ledger calls it, nothing is answered before the commit: there is an error in its place.
        with pytest.raises(asyncpg.CheckViolationError, match="refused at the commit"):
            await connection.fetchrow(QUERY, *arguments([prepare(first), prepare(second)]))

    rejected, taken = await asyncio.gather(ledger.append(first), ledger.append(second), return_exceptions=True)

    assert isinstance(rejected, AppendRejected)
    assert isinstance(taken, Appended), "it was refused for a seat that nobody has taken"
    assert (await ledger.counter(SEAT)).used == 1
    assert await ledger.read_stream("2022-zhengzhou", "first") == []


async def test_a_refusal_whose_cause_is_committed_with_it_is_right(ledger: Ledger) -> None:
    await claim(ledger, LimitClaim(SEAT, 1))
    sold, refused = await asyncio.gather(
        ledger.append(append(write("first"), claims=[CountClaim(SEAT, 1)])),
        ledger.append(append(write("second"), claims=[CountClaim(SEAT, 1)])),
    )
    assert isinstance(sold, Appended)
    assert refused == ClaimRefused(CountClaim(SEAT, 1), "count_exhausted", {"used": 1, "limit": 1})
