"""A closed book leaves the database when it is safe elsewhere, says where it went, and comes back."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from ledger import detaching
from ledger.archive import export_book
from ledger.archive_audit import EVENTS_FILE
from ledger.closing import close_book
from ledger.detaching import attach_book, detach_book, detached_books
from ledger.errors import (
    BookBusy,
    BookClosed,
    BookDetached,
    BookNotClosed,
    BookNotDetached,
    BookUnknown,
    ExportDiffers,
)
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.types import Appended, Duplicate
from ledger.verify import verify
from tests.ledger.appends import BOOK, append, fill, write

KEY = bytes(range(32))
PUBLIC = public_key_of(KEY)
WHO: dict[str, Any] = {"actor": "operator:ci", "reason": "older than five years"}
Pool: TypeAlias = "asyncpg.Pool[Any]"


@pytest.fixture
def sealer(pool: Pool, tmp_path: Path) -> Sealer:
    return Sealer(pool, KEY, "test", tmp_path / "checkpoints")


@pytest_asyncio.fixture
async def export(ledger: Ledger, pool: Pool, sealer: Sealer, tmp_path: Path) -> Path:
    """A closed book of 12 events and its export; another book stays open."""
    await fill(ledger, 12)
    await fill(ledger, 4, book="restrictions", prefix="r")
    await close_book(pool, sealer, BOOK, **WHO)
    directory = tmp_path / "export"
    await export_book(pool, BOOK, directory)
    return directory


async def rows_of(pool: Pool, book: str = BOOK) -> list[Any]:
    return [tuple(row) for row in await pool.fetch("SELECT * FROM ledger.events WHERE book = $1 ORDER BY 1", book)]


async def test_reads_of_a_detached_book_say_where_it_went_and_others_go_on(
    pool: Pool, ledger: Ledger, export: Path
) -> None:
    detached = await detach_book(pool, BOOK, export, PUBLIC, **WHO, place="archive room 3, tape 2027-11")
    assert await detached_books(pool) == [detached]
    async with Ledger(pool) as fresh:
        for read in (fresh.read_book(BOOK, 0, 10), fresh.read_stream(BOOK, "trainee/00000")):
            with pytest.raises(BookDetached, match="archive room 3, tape 2027-11"):
                await read
        assert len(await fresh.read_book("restrictions", 0, 10)) == 4
        assert await fresh.read_stream("restrictions", "r/unknown") == []
    with pytest.raises(BookClosed):
        await ledger.append(append(write("trainee/late")))
    assert isinstance(await ledger.append(append(write("r/new", book="restrictions"))), Appended)
    assert await ledger.stream_version(BOOK, "trainee/00000") == 3, "what is known without the events stays"


@pytest.mark.parametrize("drop", [False, True])
async def test_an_attached_book_is_the_one_that_was_detached(
    pool: Pool, ledger: Ledger, export: Path, drop: bool
) -> None:
    before = await rows_of(pool)
    await detach_book(pool, BOOK, export, PUBLIC, **WHO, drop=drop)
    assert await rows_of(pool) == []
    attached = await attach_book(pool, BOOK, PUBLIC, **WHO, export=export if drop else None)
    assert (attached.size, attached.from_export) == (12, drop)
    assert await rows_of(pool) == before
    assert [report.verified for report in await verify(pool, PUBLIC)] == [True, True]
    assert await detached_books(pool) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("DELETE FROM ledger.events_1")
    acts = await pool.fetch("SELECT act, actor, reason FROM ledger.procedures ORDER BY number")
    assert [row["act"] for row in acts] == ["closed", "detached", "attached"]
    assert {(row["actor"], row["reason"]) for row in acts} == {("operator:ci", "older than five years")}
    with pytest.raises(BookClosed):
        await ledger.append(append(write("trainee/late")))


async def test_it_can_be_detached_and_attached_again_and_again(pool: Pool, export: Path) -> None:
    for drop in (False, True, False):
        await detach_book(pool, BOOK, export, PUBLIC, **WHO, drop=drop)
        await attach_book(pool, BOOK, PUBLIC, **WHO, export=export)
    assert [report.verified for report in await verify(pool, PUBLIC)] == [True, True]


async def test_a_repeated_command_gets_its_first_answer_from_a_detached_book(
    pool: Pool, ledger: Ledger, sealer: Sealer, tmp_path: Path
) -> None:
    first = append(write("trainee/1"))
    await ledger.append(first)
    await close_book(pool, sealer, BOOK, **WHO)
    await export_book(pool, BOOK, tmp_path / "e")
    await detach_book(pool, BOOK, tmp_path / "e", PUBLIC, **WHO, drop=True)
    assert isinstance(await ledger.append(first), Duplicate)


async def test_nothing_is_detached_that_is_not_safe_elsewhere(
    pool: Pool, ledger: Ledger, sealer: Sealer, export: Path, tmp_path: Path
) -> None:
    before = await rows_of(pool)
    with pytest.raises(BookNotClosed):
        await detach_book(pool, "restrictions", export, PUBLIC, **WHO)
    with pytest.raises(BookUnknown):
        await detach_book(pool, "unknown", export, PUBLIC, **WHO)
    with pytest.raises(ExportDiffers, match="no export"):
        await detach_book(pool, BOOK, tmp_path / "nothing", PUBLIC, **WHO)
    other = tmp_path / "other"
    await export_book(pool, "restrictions", other, signing_key=KEY, origin="test")
    with pytest.raises(ExportDiffers, match="restrictions"):
        await detach_book(pool, BOOK, other, PUBLIC, **WHO)
    events = export / EVENTS_FILE
    events.write_bytes(events.read_bytes().replace(b"county:410181", b"county:410182", 1))
    with pytest.raises(ExportDiffers, match="line 1"):
        await detach_book(pool, BOOK, export, PUBLIC, **WHO)
    assert await rows_of(pool) == before
    assert await pool.fetchval("SELECT count(*) FROM ledger.procedures WHERE act <> 'closed'") == 0


async def test_rows_that_are_not_those_that_were_signed_are_not_detached(pool: Pool, export: Path) -> None:
    await pool.execute(
        "ALTER TABLE ledger.events_1 DISABLE TRIGGER ALL; "
        "UPDATE ledger.events_1 SET body = overlay(body placing 'X'::bytea from 12) WHERE sequence = 4"
    )
    with pytest.raises(ExportDiffers, match="verify the book"):
        await detach_book(pool, BOOK, export, PUBLIC, **WHO)


async def test_a_table_that_was_changed_while_it_stood_aside_does_not_come_back(pool: Pool, export: Path) -> None:
    await detach_book(pool, BOOK, export, PUBLIC, **WHO)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE ledger.events_1 SET type = type")
    await pool.execute(
        "ALTER TABLE ledger.events_1 DISABLE TRIGGER ALL; "
        "UPDATE ledger.events_1 SET body = overlay(body placing 'X'::bytea from 12) WHERE sequence = 4"
    )
    with pytest.raises(ExportDiffers, match="stand aside"):
        await attach_book(pool, BOOK, PUBLIC, **WHO)
    assert await rows_of(pool) == []
    await pool.execute("DROP TABLE ledger.events_1")
    await attach_book(pool, BOOK, PUBLIC, **WHO, export=export)
    assert len(await rows_of(pool)) == 12


async def test_a_book_that_is_here_is_not_attached_and_a_dropped_one_needs_its_export(pool: Pool, export: Path) -> None:
    with pytest.raises(BookNotDetached):
        await attach_book(pool, BOOK, PUBLIC, **WHO)
    await detach_book(pool, BOOK, export, PUBLIC, **WHO, drop=True)
    with pytest.raises(ExportDiffers, match="give its export"):
        await attach_book(pool, BOOK, PUBLIC, **WHO)
    with pytest.raises(BookDetached):
        await detach_book(pool, BOOK, export, PUBLIC, **WHO)
    manifest = json.loads((export / "manifest.json").read_text())
    (export / "manifest.json").write_text(json.dumps(manifest | {"size": 11}))
    with pytest.raises(ExportDiffers):
        await attach_book(pool, BOOK, PUBLIC, **WHO, export=export)
    assert await rows_of(pool) == []


async def test_a_long_reader_is_not_waited_for(pool: Pool, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detaching, "LOCK_TIMEOUT_S", 1)
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT count(*) FROM ledger.events")
        with pytest.raises(BookBusy):
            await detach_book(pool, BOOK, export, PUBLIC, **WHO)
    assert len(await rows_of(pool)) == 12
    await detach_book(pool, BOOK, export, PUBLIC, **WHO)
