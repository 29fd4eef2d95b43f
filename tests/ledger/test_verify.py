"""Every kind of tampering is found, told apart, and pinned to the first event concerned.

Who tampers here owns the database: the triggers are switched off, and hashes are made to fit where that is possible.
"""

import tracemalloc
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import verify as verify_module
from ledger.checkpoint import open_note, origin_of
from ledger.seal import Sealer, checkpoint_file, public_key_of
from ledger.store import Ledger
from ledger.verify import BookReport, verify
from tests.ledger.appends import BOOK, NOW, append, fill, write

KEY = bytes(range(32))
PUBLIC_KEY = public_key_of(KEY)
ORIGIN = "xunji.example"
EVENTS = 30


@pytest.fixture
async def sealed(ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path) -> "asyncpg.Pool[Any]":
    """A book of thirty events with checkpoints at 10 and 20, the last one also in a file, and an unsealed rest."""
    sealer = Sealer(pool, KEY, ORIGIN, tmp_path)
    for third in range(3):
        await fill(ledger, 10, prefix=f"part-{third}")
        if third < 2:
            await sealer.seal_due()
    return pool


async def tamper(pool: "asyncpg.Pool[Any]", *statements: str) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for table in ("ledger.events", "ledger.events_1", "ledger.checkpoints"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER refuse_change")
        for statement in statements:
            await connection.execute(statement)
        for table in ("ledger.events", "ledger.events_1", "ledger.checkpoints"):
            await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_change")


async def report(pool: "asyncpg.Pool[Any]", directory: Path | None = None) -> BookReport:
    (found,) = await verify(pool, PUBLIC_KEY, BOOK, directory)
    return found


async def test_an_untouched_book_is_verified(sealed: "asyncpg.Pool[Any]", tmp_path: Path) -> None:
    found = await report(sealed, tmp_path)
    assert (found.verified, found.size, found.sealed, found.problem, found.first_wrong) == (True, 30, 20, None, None)
    await Sealer(sealed, KEY, ORIGIN, tmp_path).seal_due()
    found = await report(sealed, tmp_path)
    assert found.sealed == 30
    assert found.root_hex == (await sealed.fetchval("SELECT root FROM ledger.checkpoints WHERE size = 30")).hex()


async def test_all_books_are_verified_by_name(ledger: Ledger, sealed: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write('odd/"\\名', book="people"), write("r/1", book="restrictions")))
    async with sealed.acquire() as connection:
        reports = await verify(connection, PUBLIC_KEY)
    assert [(one.book, one.verified, one.size) for one in reports] == [
        (BOOK, True, 30),
        ("people", True, 1),
        ("restrictions", True, 1),
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("version", "version + 100"),
        ("recorded_at", "recorded_at + interval '1 microsecond'"),
        ("effective_at", "effective_at - interval '1 day'"),
        ("schema_version", "2"),
        ("id", "gen_random_uuid()"),
        ("command_id", "gen_random_uuid()"),
        ("stream", "stream || 'x'"),
        ("type", "upper(type)"),
        ("leaf_hash", "sha256(leaf_hash)"),
        ("body", "set_byte(body, 40, get_byte(body, 40) # 1)"),
        ("body", "set_byte(body, octet_length(body) - 4, get_byte(body, octet_length(body) - 4) # 1)"),
    ],
)
async def test_a_changed_column_is_found(sealed: "asyncpg.Pool[Any]", column: str, value: str) -> None:
    await tamper(sealed, f"UPDATE ledger.events SET {column} = {value} WHERE sequence = 14")
    found = await report(sealed)
    assert (found.verified, found.problem, found.first_wrong, found.size) == (False, "changed", 14, 13)
    assert column in ("leaf_hash", "body") or column in found.detail


@pytest.mark.defect("linear fake")
async def test_a_changed_event_with_a_fitting_hash_is_found_at_the_next_checkpoint(sealed: "asyncpg.Pool[Any]") -> None:
    change = "overlay(body placing 'X'::bytea from 12)"
    await tamper(
        sealed,
        f"UPDATE ledger.events SET body = {change}, leaf_hash = sha256('\\x00'::bytea || {change}) WHERE sequence = 14",
    )
    found = await report(sealed)
    assert (found.problem, found.first_wrong, found.sealed) == ("rewritten", 11, 10)
    assert "events 11 to 20" in found.detail


async def test_a_gap_is_found(sealed: "asyncpg.Pool[Any]") -> None:
    await tamper(sealed, "DELETE FROM ledger.events WHERE sequence BETWEEN 14 AND 16")
    found = await report(sealed)
    assert (found.problem, found.first_wrong) == ("missing", 14)
    assert "comes event 17" in found.detail


async def test_a_deleted_last_row_is_found_by_the_head_row(sealed: "asyncpg.Pool[Any]") -> None:
    await tamper(sealed, "DELETE FROM ledger.events WHERE sequence = 30")
    found = await report(sealed)
    assert (found.problem, found.first_wrong) == ("missing", 30)
    assert "head row" in found.detail


async def test_deleted_sealed_rows_are_found_by_the_checkpoint(sealed: "asyncpg.Pool[Any]") -> None:
    await tamper(sealed, "DELETE FROM ledger.events WHERE sequence > 15", "UPDATE ledger.books SET sequence = 15")
    found = await report(sealed)
    assert (found.problem, found.first_wrong) == ("missing", 16)
    assert "the checkpoint at 20" in found.detail


async def test_rows_deleted_with_their_checkpoints_are_found_by_the_file_outside(
    sealed: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await tamper(
        sealed,
        "DELETE FROM ledger.events WHERE sequence > 15",
        "UPDATE ledger.books SET sequence = 15",
        "DELETE FROM ledger.checkpoints WHERE size > 15",
    )
    assert (await report(sealed)).verified
    found = await report(sealed, tmp_path)
    assert (found.problem, found.first_wrong) == ("missing", 16)


async def test_a_book_that_was_removed_as_a_whole_is_found_by_the_file_outside(
    sealed: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await tamper(sealed, "DELETE FROM ledger.events", "DELETE FROM ledger.checkpoints", "DELETE FROM ledger.books")
    assert await verify(sealed, PUBLIC_KEY) == []
    (found,) = await verify(sealed, PUBLIC_KEY, directory=tmp_path)
    assert (found.book, found.problem, found.first_wrong) == (BOOK, "missing", 1)


async def test_exchanged_rows_are_found(sealed: "asyncpg.Pool[Any]") -> None:
    await tamper(
        sealed,
        "UPDATE ledger.events SET sequence = 1000 WHERE sequence = 14",
        "UPDATE ledger.events SET sequence = 14 WHERE sequence = 17",
        "UPDATE ledger.events SET sequence = 17 WHERE sequence = 1000",
    )
    found = await report(sealed)
    assert (found.problem, found.first_wrong) == ("exchanged", 14)
    assert "event 17" in found.detail


async def test_exchanged_streams_are_found(sealed: "asyncpg.Pool[Any]") -> None:
    await tamper(
        sealed,
        "UPDATE ledger.events SET stream = 'x' WHERE stream = 'part-1/00000'",
        "UPDATE ledger.events SET stream = 'part-1/00000' WHERE stream = 'part-1/00003'",
        "UPDATE ledger.events SET stream = 'part-1/00003' WHERE stream = 'x'",
    )
    found = await report(sealed)
    assert (found.problem, found.first_wrong) == ("streams-exchanged", 11)
    assert "part-1/00000" in found.detail
    assert "part-1/00003" in found.detail


async def test_events_beyond_the_head_are_found(sealed: "asyncpg.Pool[Any]") -> None:
    await tamper(sealed, "UPDATE ledger.books SET sequence = 25")
    found = await report(sealed)
    assert (found.problem, found.first_wrong) == ("head", 26)


async def test_events_without_a_head_row_are_found(ledger: Ledger, sealed: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write(book="other")))
    await sealed.execute("DELETE FROM ledger.books WHERE book = 'other'")
    reports = await verify(sealed, PUBLIC_KEY)
    assert [(one.book, one.problem, one.first_wrong) for one in reports] == [(BOOK, None, None), ("other", "head", 1)]


async def test_an_unknown_book_is_missing(pool: "asyncpg.Pool[Any]") -> None:
    (found,) = await verify(pool, PUBLIC_KEY, "nowhere")
    assert (found.verified, found.problem) == (False, "missing")


async def test_a_bad_signature_is_found(sealed: "asyncpg.Pool[Any]") -> None:
    other = public_key_of(bytes(32))
    (found,) = await verify(sealed, other, BOOK)
    assert (found.verified, found.problem, found.first_wrong) == (False, "signature", None)
    await tamper(sealed, "UPDATE ledger.checkpoints SET note = replace(note, E'\\n20\\n', E'\\n21\\n') WHERE size = 20")
    found = await report(sealed)
    assert (found.problem, found.sealed) == ("signature", 10)


@pytest.mark.parametrize(
    "change",
    ["root = sha256(root)", "size = 21", "sealed_at = sealed_at + interval '1 second'", "note = 'not a checkpoint'"],
)
async def test_a_changed_checkpoint_is_found(sealed: "asyncpg.Pool[Any]", change: str) -> None:
    await tamper(sealed, f"UPDATE ledger.checkpoints SET {change} WHERE size = 20")
    found = await report(sealed)
    assert (found.verified, found.problem) == (False, "checkpoint")


async def test_a_checkpoint_of_another_book_does_not_count(
    ledger: Ledger, sealed: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 5, book="other")
    await Sealer(sealed, KEY, ORIGIN, tmp_path).seal_due()
    checkpoint_file(tmp_path, "other").write_text(
        await sealed.fetchval("SELECT note FROM ledger.checkpoints WHERE book = $1 AND size = 10", BOOK)
    )
    reports = await verify(sealed, PUBLIC_KEY, "other", tmp_path)
    assert reports[0].problem == "checkpoint"


async def test_a_forged_file_outside_is_found(sealed: "asyncpg.Pool[Any]", tmp_path: Path) -> None:
    path = checkpoint_file(tmp_path, BOOK)
    good = path.read_text()
    path.write_text(good.replace("\n20\n", "\n12\n"))
    assert (await report(sealed, tmp_path)).problem == "signature"
    path.write_bytes(b"\xff\xfe")
    assert (await report(sealed, tmp_path)).problem == "checkpoint"
    assert open_note(good, PUBLIC_KEY).origin == origin_of(ORIGIN, BOOK)


async def test_pages_of_events_and_of_checkpoints_are_read_beside_each_other(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "EVENTS_PER_FETCH", 3)
    monkeypatch.setattr(verify_module, "CHECKPOINTS_PER_FETCH", 1)
    sealer = Sealer(pool, KEY, ORIGIN, tmp_path)
    for part in range(12):
        await fill(ledger, 1 + part % 5, prefix=f"part-{part}")
        await sealer.seal_due()
    found = await report(pool, tmp_path)
    assert (found.verified, found.size, found.sealed) == (True, 33, 33)
    await tamper(pool, "UPDATE ledger.events SET type = 'x' WHERE sequence = 17")
    found = await report(pool, tmp_path)
    assert (found.problem, found.first_wrong, found.sealed) == ("changed", 17, 16)


@pytest.mark.parametrize("microsecond", [0, 1, 10, 100_000, 120_300, 999_999])
async def test_times_of_any_fraction_are_compared(ledger: Ledger, pool: "asyncpg.Pool[Any]", microsecond: int) -> None:
    moment = NOW.replace(microsecond=microsecond)
    for number, recorded_at in enumerate((moment, moment.replace(year=1), moment.replace(year=9999, month=12, day=31))):
        await ledger.append(append(write(f"trainee/{number}"), recorded_at=recorded_at))
    assert (await report(pool)).verified
    # The bytes are what is slow to compare; they are only read where the columns seem to differ from them.
    async with pool.acquire() as connection:
        await connection.execute("SET DateStyle = 'German'; SET TimeZone = 'Asia/Shanghai'")
        (found,) = await verify(connection, PUBLIC_KEY, BOOK)
    assert found.verified


async def test_a_book_of_any_length_is_read_in_constant_memory(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    async def peak_bytes() -> int:
        tracemalloc.start()
        try:
            assert (await report(pool)).verified
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await fill(ledger, 6_000)
    small = await peak_bytes()
    await fill(ledger, 18_000, prefix="more")
    assert await peak_bytes() < small * 1.5
