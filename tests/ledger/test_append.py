"""What an append stores, and what it answers."""

import asyncio
from dataclasses import replace
from datetime import timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import uuid4, uuid5

import asyncpg
import orjson
import pytest

from ledger.errors import AppendTooLarge, InvalidAppend, InvalidName, LedgerClosed, LedgerError, NaiveDatetime
from ledger.merkle import leaf_hash
from ledger.store import Ledger
from ledger.types import (
    Appended,
    BlockClaim,
    CommandReused,
    CountClaim,
    Duplicate,
    LimitClaim,
    NewEvent,
    StoredReply,
    StreamWrite,
    VersionConflict,
)
from tests.ledger.appends import BOOK, NOW, STREAM, append, fill, notice, write


async def test_an_event_is_read_as_it_was_written(ledger: Ledger) -> None:
    later = NOW + timedelta(days=2)
    data: dict[str, Any] = {"姓名": "王", "days": [1, 2], "nested": {"b": None, "a": True}, "quote": '"\\', "at": later}
    one = append(StreamWrite(BOOK, STREAM, 0, (NewEvent("trainee.nominated", data, 3, later),)))

    result = await ledger.append(one)

    assert result == Appended(b"first answer", {STREAM: 1}, {BOOK: 1})
    (event,) = await ledger.read_stream(BOOK, STREAM)
    assert (event.book, event.sequence, event.stream, event.version) == (BOOK, 1, STREAM, 1)
    assert (event.type, event.schema_version) == ("trainee.nominated", 3)
    assert (event.recorded_at, event.effective_at) == (NOW, later)
    assert (event.command_id, event.correlation_id, event.causation_id) == (one.command_id, "workflow-1", "event-1")
    assert event.actor == "county:410181"
    assert event.id.version == 7
    assert event.data == {**data, "at": "2022-08-27T09:30:00.250000Z"}
    assert await ledger.read_book(BOOK, 0, 10) == [event]


async def test_the_stored_bytes_are_canonical_and_hashed_as_they_are(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write(events=12)))

    rows = await pool.fetch("SELECT * FROM ledger.events ORDER BY sequence")

    for row in rows:
        envelope = orjson.loads(row["body"])
        assert orjson.dumps(envelope, option=orjson.OPT_SORT_KEYS) == row["body"]
        assert row["leaf_hash"] == leaf_hash(row["body"])
        assert envelope["sequence"] == row["sequence"]
    assert [row["sequence"] for row in rows] == list(range(1, 13))


async def test_a_time_of_another_zone_is_stored_in_utc(ledger: Ledger) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=8)))
    await ledger.append(append(recorded_at=local))
    (event,) = await ledger.read_stream(BOOK, STREAM)
    assert event.recorded_at == NOW
    assert event.recorded_at.utcoffset() == timedelta(0)


async def test_a_repeated_command_is_answered_with_its_first_answer(ledger: Ledger) -> None:
    first = append()
    await ledger.append(first)

    assert await ledger.append(replace(first, reply=b"another answer")) == Duplicate(b"first answer")
    assert await ledger.head(BOOK) == 1
    assert await ledger.find_command(first.command_id) == StoredReply(first.content_hash, b"first answer")
    assert await ledger.find_command(uuid4()) is None


async def test_a_command_id_is_not_reused_for_another_command(ledger: Ledger) -> None:
    first = append()
    await ledger.append(first)
    other = append(write("trainee/2"), command_id=first.command_id, content_hash=sha256(b"other").digest())

    assert await ledger.append(other) == CommandReused(first.command_id)
    assert await ledger.head(BOOK) == 1


async def test_the_same_command_from_many_callers_is_carried_out_once(ledger: Ledger) -> None:
    one = append()
    results = await asyncio.gather(*(ledger.append(one) for _ in range(20)))
    assert [type(result) for result in results].count(Appended) == 1
    assert results.count(Duplicate(b"first answer")) == 19
    assert await ledger.head(BOOK) == 1


async def test_the_same_command_through_two_processes_is_carried_out_once(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    one = append()
    async with Ledger(pool) as other:
        results = await asyncio.gather(ledger.append(one), other.append(one))
    assert sorted(type(result).__name__ for result in results) == ["Appended", "Duplicate"]


async def test_the_same_command_for_different_books_through_two_processes_is_carried_out_once(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    # Their books do not make them wait for each other: they meet at the command's row only.
    async with Ledger(pool) as other:
        for _ in range(20):
            here, there = append(write(f"a/{uuid4()}", book="here")), append(write(f"a/{uuid4()}", book="there"))
            there = replace(there, command_id=here.command_id)
            results = await asyncio.gather(ledger.append(here), other.append(there))
            assert sorted(type(result).__name__ for result in results) == ["Appended", "Duplicate"]
    assert await ledger.head("here") + await ledger.head("there") == 20


async def test_a_wrong_expected_version_is_a_conflict_that_names_the_actual_one(ledger: Ledger) -> None:
    await ledger.append(append(write(events=3)))

    assert await ledger.append(append(write(expected=2))) == VersionConflict(STREAM, 2, 3)
    assert await ledger.append(append(write(expected=0))) == VersionConflict(STREAM, 0, 3)
    assert await ledger.append(append(write("trainee/2", expected=1))) == VersionConflict("trainee/2", 1, 0)
    assert await ledger.head(BOOK) == 3


async def test_appends_of_one_batch_to_one_stream_build_on_each_other(ledger: Ledger) -> None:
    results = await ledger.append_many([append(write(expected=version)) for version in (0, 1, 1, 2, 5)])

    assert [result.versions[STREAM] for result in results if isinstance(result, Appended)] == [1, 2, 3]
    assert results[2] == VersionConflict(STREAM, 1, 2)
    assert results[4] == VersionConflict(STREAM, 5, 3)
    assert [event.version for event in await ledger.read_stream(BOOK, STREAM)] == [1, 2, 3]


async def test_several_streams_in_several_books_are_one_append(ledger: Ledger) -> None:
    result = await ledger.append(
        append(write(events=2), write("restriction/1", book="restrictions"), write("class/1", events=3))
    )

    assert result == Appended(
        b"first answer", {STREAM: 2, "restriction/1": 1, "class/1": 3}, {BOOK: 5, "restrictions": 1}
    )
    refused = await ledger.append(append(write("trainee/9"), write("restriction/1", book="restrictions")))
    assert refused == VersionConflict("restriction/1", 0, 1)
    assert await ledger.read_stream(BOOK, "trainee/9") == []
    assert await ledger.stream_version(BOOK, STREAM) == 2
    assert await ledger.stream_version(BOOK, "trainee/9") == 0
    assert await ledger.books() == [BOOK, "restrictions"]


async def test_a_refused_append_makes_no_book(ledger: Ledger) -> None:
    assert await ledger.append(append(write(expected=4, book="nowhere"))) == VersionConflict(STREAM, 4, 0)
    assert await ledger.books() == []
    assert isinstance(await ledger.append(append(write(book="nowhere"))), Appended)


async def test_processes_that_make_the_same_books_at_once_share_them(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    async with Ledger(pool) as second, Ledger(pool) as third:
        ledgers = (ledger, second, third)
        for attempt in range(5):
            books = [f"book-{attempt}-{name}" for name in "abc"]
            results = await asyncio.gather(
                *(
                    one.append(append(*(write(f"{book}/{place}", book=book) for book in books[place:] + books[:place])))
                    for place, one in enumerate(ledgers)
                )
            )
            assert all(isinstance(result, Appended) for result in results)
            assert [await ledger.head(book) for book in books] == [3, 3, 3]


async def test_one_append_holds_a_thousand_and_one_events(ledger: Ledger) -> None:
    result = await ledger.append(append(write(events=1001)))

    assert result == Appended(b"first answer", {STREAM: 1001}, {BOOK: 1001})
    events = await ledger.read_stream(BOOK, STREAM)
    assert [event.data["place"] for event in events] == list(range(1001))
    assert await ledger.read_stream(BOOK, STREAM, after_version=999) == events[999:]


async def test_two_thousand_appends_each_get_their_own_answer(ledger: Ledger) -> None:
    await ledger.append(append(write("trainee/0777")))
    commands = [append(write(f"trainee/{number:04}")) for number in range(2000)]

    results = await ledger.append_many(commands)

    assert results[777] == VersionConflict("trainee/0777", 0, 1)
    appended = [result for result in results if isinstance(result, Appended)]
    assert len(appended) == 1999
    assert [result.sequences[BOOK] for result in appended] == list(range(2, 2001))


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
