"""The short ways of an append do what the long way does, and leave to it whatever does not pass."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from ledger import plain
from ledger.batch import PreparedAppend, prepare
from ledger.store import Ledger
from ledger.types import Append, Appended, CommandReused, Duplicate, LimitClaim, OutboxEntry, VersionConflict
from tests.ledger.appends import BOOK, append, notice, write


def way_of(*appends: Append) -> str:
    """The name of the SQL function that a batch would call."""
    call = plain.call([prepare(one) for one in appends])
    return "append" if call is None else call[0].partition("ledger.")[2].partition("(")[0]


def test_each_batch_takes_the_shortest_way_that_serves_it() -> None:
    one, other = append(write("a/1")), append(write("a/2", events=3))
    assert way_of(one) == "append_one"
    assert way_of(other) == way_of(one, other) == "append_plain"
    assert way_of(append(write("a/1"), outbox=(notice(),))) == "append_plain"
    assert way_of(append(write("a/1"), claims=[LimitClaim("k", 1)])) == "append"
    assert way_of(append(write("a/1"), write("a/2"))) == "append"
    assert way_of(one, append(write("a/1", book="another"))) == "append"
    # A stream that goes on within the batch is plain; one that two callers expect at the same version is not.
    assert way_of(one, append(write("a/1", expected=1))) == "append_plain"
    assert way_of(one, append(write("a/1"))) == "append"


async def rows(pool: "asyncpg.Pool[Any]") -> list[tuple[Any, ...]]:
    """Every column that does not hold an id, of every table that an append writes."""
    events = await pool.fetch(
        "SELECT book, sequence, stream, version, type, schema_version, recorded_at, effective_at,"
        " regexp_replace(convert_from(body, 'UTF8'), '[0-9a-f-]{36}', '', 'g') AS body,"
        " leaf_hash = sha256('\\x00'::bytea || body) AS hashed FROM ledger.events ORDER BY book, sequence"
    )
    streams = await pool.fetch("SELECT book, stream, version FROM ledger.streams ORDER BY stream")
    commands = await pool.fetch("SELECT content_hash, reply, recorded_at FROM ledger.commands ORDER BY reply")
    outbox = await pool.fetch("SELECT recipient, topic, dedup, body, created_at FROM ledger.outbox ORDER BY position")
    return [tuple(row) for table in (events, streams, commands, outbox) for row in table]


async def play(pool: "asyncpg.Pool[Any]", together: bool) -> None:
    appends = [
        append(write("a/1"), reply=b"1"),
        append(write("a/2", events=4), reply=b"2", outbox=(notice(), notice("h001", dedup="once"))),
        append(write("a/1", expected=1, events=2), reply=b"3", outbox=(notice("h001", dedup="once"),)),
        append(write("a/1", expected=3), reply=b"4"),
        append(write("a/3"), reply=b"5"),
    ]
    async with Ledger(pool) as ledger:
        await ledger.append(append(write("first"), reply=b"0"))
        if together:
            results = await ledger.append_many(appends)
        else:
            results = [await ledger.append(one) for one in appends]
    assert [result.versions for result in results if isinstance(result, Appended)] == [
        {"a/1": 1}, {"a/2": 4}, {"a/1": 3}, {"a/1": 4}, {"a/3": 1},
    ]  # fmt: skip
    assert [result.sequences[BOOK] for result in results if isinstance(result, Appended)] == [2, 6, 8, 9, 10]


@pytest.mark.parametrize("together", [True, False])
async def test_the_short_ways_store_what_the_long_way_stores(
    pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    await play(pool, together)
    short = await rows(pool)
    await pool.execute(
        "ALTER TABLE ledger.events DISABLE TRIGGER ALL; ALTER TABLE ledger.events_1 DISABLE TRIGGER ALL;"
        "ALTER TABLE ledger.commands DISABLE TRIGGER ALL; ALTER TABLE ledger.outbox DISABLE TRIGGER ALL;"
        "TRUNCATE ledger.events, ledger.events_1, ledger.streams, ledger.commands, ledger.outbox;"
        "UPDATE ledger.books SET sequence = 0; DROP TABLE ledger.events_1"
    )

    def never(batch: list[PreparedAppend]) -> None:
        return None

    monkeypatch.setattr(plain, "call", never)
    await play(pool, together)
    assert await rows(pool) == short


@pytest.mark.parametrize("events", [1, 2])
async def test_what_does_not_pass_is_told_apart_and_its_neighbours_are_stored(ledger: Ledger, events: int) -> None:
    first = append(write("a/1", events=events))
    await ledger.append(append(write("a-book")))
    await ledger.append(first)
    reused = append(write("a/5", events=events), command_id=first.command_id, content_hash=b"x" * 32)
    behind, ahead = append(write("a/1", events=events)), append(write("a/9", expected=3, events=events))
    wanted = [
        Duplicate(b"first answer"),
        CommandReused(first.command_id),
        VersionConflict("a/1", 0, events),
        VersionConflict("a/9", 3, 0),
    ]
    for one, answer in zip((first, reused, behind, ahead), wanted, strict=True):
        assert await ledger.append(one) == answer
        good = append(write(f"good/{uuid4()}", events=events))
        stored, refused = await ledger.append_many([good, one])
        assert isinstance(stored, Appended)
        assert refused == answer
    assert await ledger.head(BOOK) == 1 + events + len(wanted) * events


async def test_events_that_do_not_add_up_to_their_streams_are_refused(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    """The function is all that the application may call, so it trusts no caller's arithmetic."""
    await ledger.append(append(write("a-book")))
    call = plain.call([prepare(append(write("a/1", events=2)))])
    assert call is not None
    query, values = call
    for place, lie in ((6, "{1}"), (7, "{3}"), (10, "{1,1}"), (10, "{2,3}"), (10, "{0,1}")):
        with pytest.raises(asyncpg.PostgresError):
            await pool.fetchval(query, *[lie if at == place else value for at, value in enumerate(values)])
    assert await ledger.head(BOOK) == 1
    assert await ledger.stream_version(BOOK, "a/1") == 0


async def test_an_entry_for_the_outbox_is_stored_with_its_events(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write("a-book")))
    entry = OutboxEntry("410181", "trainee.nominated", {"number": 1}, "")
    await ledger.append(append(write("a/1"), outbox=(entry, entry)))
    assert await pool.fetchval("SELECT count(*) FROM ledger.outbox WHERE recipient = '410181'") == 2
