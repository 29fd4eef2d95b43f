"""What an append stores in the tables, beside what `ledger.testing` demands of any store."""

import asyncio
from typing import Any
from uuid import uuid5

import asyncpg
import orjson
import pytest

from ledger.errors import AppendTooLarge, InvalidAppend, InvalidName, LedgerClosed, LedgerError, NaiveDatetime
from ledger.merkle import leaf_hash
from ledger.store import Ledger
from ledger.types import (
    Appended,
    BlockClaim,
    CountClaim,
    LimitClaim,
    NewEvent,
    StreamWrite,
)
from tests.ledger.appends import BOOK, NOW, STREAM, append, fill, notice, write


async def test_the_stored_bytes_are_canonical_and_hashed_as_they_are(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write(events=12)))

    rows = await pool.fetch("SELECT * FROM ledger.events ORDER BY sequence")

    for row in rows:
        envelope = orjson.loads(row["body"])
        assert orjson.dumps(envelope, option=orjson.OPT_SORT_KEYS) == row["body"]
        assert row["leaf_hash"] == leaf_hash(row["body"])
        assert envelope["sequence"] == row["sequence"]
    assert [row["sequence"] for row in rows] == list(range(1, 13))


async def test_the_outbox_holds_what_the_append_says(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    one = append(outbox=(notice(dedup="roster-1", b=1, a="二"), notice("process:start", trainee="x")))
    await ledger.append(one)
    await ledger.append(one)
    await ledger.append(
        append(write("trainee/2"), outbox=(notice(dedup="roster-1"), notice("410182", dedup="roster-1")))
    )
    await ledger.append(append(write("trainee/2"), outbox=(notice("nobody"),)))

    rows = await pool.fetch("SELECT * FROM ledger.outbox ORDER BY position")

    assert [row["recipient"] for row in rows] == ["410181", "process:start", "410182"]
    assert [row["id"] for row in rows[:2]] == [uuid5(one.command_id, "0"), uuid5(one.command_id, "1")]
    assert (rows[0]["topic"], rows[0]["body"]) == ("trainee.nominated", '{"a":"二","b":1}'.encode())
    assert (rows[0]["created_at"], rows[0]["delivered_at"]) == (NOW, None)


@pytest.mark.parametrize(
    ("malformed", "error"),
    [
        (append(content_hash=b"short"), InvalidAppend),
        (append(actor=""), InvalidAppend),
        (append(recorded_at=NOW.replace(tzinfo=None)), NaiveDatetime),
        (append(reply=b"x" * 65_537), AppendTooLarge),
        (append(write(events=10_001)), AppendTooLarge),
        (append(write(events=0)), InvalidAppend),
        (append(write(expected=-1)), InvalidAppend),
        (append(write(), write()), InvalidAppend),
        (append(write(), write(book="other")), InvalidAppend),
        (append(write("")), InvalidName),
        (append(write("two words")), InvalidName),
        (append(write("nul\x00")), InvalidName),
        (append(write("half \ud800")), InvalidName),
        (append(write("x" * 201)), InvalidName),
        (append(write(book="../etc")), InvalidName),
        (append(write(book="Book")), InvalidName),
        (append(StreamWrite(BOOK, STREAM, 0, (NewEvent("", {}),))), InvalidName),
        (append(StreamWrite(BOOK, STREAM, 0, (NewEvent("x", {}, 0),))), InvalidAppend),
        (
            append(StreamWrite(BOOK, STREAM, 0, (NewEvent("x", {}, effective_at=NOW.replace(tzinfo=None)),))),
            NaiveDatetime,
        ),
        (append(claims=[CountClaim("", 1)]), InvalidName),
        (append(claims=[CountClaim("seat", 2**53)]), InvalidAppend),
        (append(claims=[LimitClaim("seat", -1)]), InvalidAppend),
        (append(claims=[BlockClaim("person", "r1", NOW.date(), NOW.date())]), InvalidAppend),
        (append(claims=[CountClaim("seat", 1)] * 1001), AppendTooLarge),
        (append(outbox=(notice(""),)), InvalidName),
    ],
)
async def test_a_malformed_append_meets_its_own_caller_only(
    ledger: Ledger, malformed: Any, error: type[Exception]
) -> None:
    good, bad = await asyncio.gather(
        ledger.append(append(write("trainee/good"))), ledger.append(malformed), return_exceptions=True
    )
    assert isinstance(good, Appended)
    assert isinstance(bad, error)


async def test_pages_of_books_streams_and_counters(ledger: Ledger) -> None:
    await fill(ledger, 10)
    await ledger.append(append(write("class/1"), claims=[LimitClaim("seat:a", 5), LimitClaim("seat:b", 7)]))
    await ledger.append(append(write("class/2"), claims=[CountClaim("seat:b", 3), LimitClaim("seats", 1)]))

    assert [event.sequence for event in await ledger.read_book(BOOK, 3, 4)] == [4, 5, 6, 7]
    assert await ledger.read_book("unknown", 0, 4) == []
    page = await ledger.streams(BOOK, "trainee/", limit=2)
    assert [head.stream for head in page] == ["trainee/00000", "trainee/00003"]
    rest = await ledger.streams(BOOK, "trainee/", after=page[-1].stream)
    assert [(head.stream, head.version) for head in rest] == [("trainee/00006", 3), ("trainee/00009", 1)]
    counter = await ledger.counter("seat:b")
    assert (counter.used, counter.limit) == (3, 7)
    assert (await ledger.counter("seat:none")).limit == 0
    assert [one.key for one in await ledger.counters("seat:")] == ["seat:a", "seat:b"]
    assert [one.key for one in await ledger.counters("seat:", after="seat:a")] == ["seat:b"]
    assert await ledger.head("unknown") == 0
    with pytest.raises(LedgerError):
        await ledger.read_book(BOOK, 0, 0)
    with pytest.raises(LedgerError):
        await ledger.counters("", limit=10_001)


async def test_a_closed_ledger_answers_who_is_waiting_and_refuses_the_rest(pool: "asyncpg.Pool[Any]") -> None:
    ledger = Ledger(pool)
    waiting = [asyncio.create_task(ledger.append(append(write(f"trainee/{n}")))) for n in range(100)]
    await asyncio.sleep(0)
    await ledger.close()

    assert all(isinstance(result, Appended) for result in await asyncio.gather(*waiting))
    with pytest.raises(LedgerClosed):
        await ledger.append(append())
    await ledger.close()


async def test_a_ledger_needs_a_connection_for_its_readers(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        with pytest.raises(LedgerError):
            Ledger(pool)
