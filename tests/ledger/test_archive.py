"""A book goes out as files, is checked without a database, and comes back as it was, or not at all."""

import asyncio
import json
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import archive, archive_audit
from ledger.archive import (
    UNKNOWN_CONTENT_HASH,
    ArchiveRejected,
    BookDamaged,
    BookExists,
    BookNotFound,
    CheckpointMissing,
    DirectoryNotEmpty,
    ImportNotPermitted,
    SigningRefused,
    export_book,
    import_book,
)
from ledger.archive_audit import EVENTS_FILE, LEAVES_FILE, MANIFEST_FILE, AuditReport, audit
from ledger.checkpoint import open_note
from ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from ledger.seal import Sealer
from ledger.store import Ledger
from ledger.types import Appended, CommandReused, CountClaim, Duplicate, LimitClaim, VersionConflict
from ledger.verify import verify
from tests.ledger.appends import BOOK, NOW, append, fill, notice, write
from tests.ledger.archives import (
    EVENTS,
    KEY,
    ORIGIN,
    PUBLIC_KEY,
    Pool,
    assert_nothing_in,
    changed_data,
    counts_of,
    lines_of,
    rows_of,
)


async def test_an_export_holds_the_stored_bytes_under_the_stored_checkpoint(exported: Path, pool: "Pool[Any]") -> None:
    bodies = [row[-1] for row in await rows_of(pool)]
    manifest = json.loads((exported / MANIFEST_FILE).read_text())
    text = (exported / EVENTS_FILE).read_bytes()
    assert text == b"".join(body + b"\n" for body in bodies)
    assert (exported / LEAVES_FILE).read_bytes() == b"".join(leaf_hash(body) for body in bodies)
    frontier = Frontier()
    frontier.extend([leaf_hash(body) for body in bodies])
    assert manifest == {
        "format": 1,
        "book": BOOK,
        "size": EVENTS,
        "root": frontier.root().hex(),
        "events_sha256": sha256(text).hexdigest(),
        "checkpoint": await pool.fetchval("SELECT note FROM ledger.checkpoints"),
    }
    assert sorted(path.name for path in exported.iterdir()) == sorted((EVENTS_FILE, MANIFEST_FILE, LEAVES_FILE))


async def test_a_right_export_is_found_right(exported: Path) -> None:
    root = json.loads((exported / MANIFEST_FILE).read_text())["root"]
    right = AuditReport(True, BOOK, EVENTS, 7, root, None, None, "")
    assert audit(exported, PUBLIC_KEY) == right
    (exported / LEAVES_FILE).unlink()
    assert audit(exported, PUBLIC_KEY) == right


async def test_a_book_comes_back_into_another_database_as_it_was(
    exported: Path, pool: "Pool[Any]", other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    report = await import_book(other_pool, exported, PUBLIC_KEY)
    assert (report.book, report.events, report.streams, report.commands) == (BOOK, EVENTS, 7, 7)
    assert await rows_of(other_pool) == await rows_of(pool)
    for query in (
        "SELECT book, sequence FROM ledger.books",
        "SELECT book, stream, version FROM ledger.streams ORDER BY book, stream",
        "SELECT book, size, root, sealed_at, note, frontier FROM ledger.checkpoints ORDER BY book, size",
        "SELECT command_id, recorded_at FROM ledger.commands ORDER BY command_id",
    ):
        assert await other_pool.fetch(query) == await pool.fetch(query)
    (found,) = await verify(other_pool, PUBLIC_KEY)
    assert (found.verified, found.size, found.sealed, found.root_hex) == (True, EVENTS, EVENTS, report.root_hex)
    await export_book(other_pool, BOOK, tmp_path / "again")
    for name in (EVENTS_FILE, MANIFEST_FILE, LEAVES_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


async def test_appending_and_sealing_go_on_after_an_import(
    exported: Path, other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    await import_book(other_pool, exported, PUBLIC_KEY)
    async with Ledger(other_pool) as ledger:
        stream = "trainee/00000"
        result = await ledger.append(append(write(stream, expected=3, events=2)))
        assert isinstance(result, Appended)
        assert (result.versions, result.sequences) == ({stream: 5}, {BOOK: EVENTS + 2})
        assert isinstance(await ledger.append(append(write(stream, expected=0))), VersionConflict)
        assert isinstance(await ledger.append(append(write("new/1", book="another"))), Appended)
    sealed = await Sealer(other_pool, KEY, ORIGIN, tmp_path / "elsewhere").seal_due()
    assert [one.size for one in sealed] == [EVENTS + 2, 1]
    assert all(found.verified for found in await verify(other_pool, PUBLIC_KEY))


async def test_the_imported_partition_refuses_changes(exported: Path, other_pool: "Pool[Any]") -> None:
    await import_book(other_pool, exported, PUBLIC_KEY)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await other_pool.execute("DELETE FROM ledger.events_1")


async def test_an_imported_command_is_not_carried_out_twice(
    ledger: Ledger, pool: "Pool[Any]", other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    command = append(write())
    await ledger.append(command)
    await export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN)
    await import_book(other_pool, tmp_path / "export", PUBLIC_KEY)
    async with Ledger(other_pool) as other:
        assert await other.append(command) == CommandReused(command.command_id)
        assert await other.head(BOOK) == 1
        stored = await other.find_command(command.command_id)
    assert stored is not None
    assert (stored.content_hash, stored.reply) == (UNKNOWN_CONTENT_HASH, b"")


async def test_a_command_of_two_books_keeps_what_is_known_of_it(
    ledger: Ledger, pool: "Pool[Any]", other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    both = append(write(), write("r/1", book="restrictions"))
    await ledger.append(both)
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    for book in (BOOK, "restrictions"):
        await export_book(pool, book, tmp_path / book)
    first = await import_book(other_pool, tmp_path / BOOK, PUBLIC_KEY)
    second = await import_book(other_pool, tmp_path / "restrictions", PUBLIC_KEY)
    assert (first.commands, second.commands) == (1, 0)
    assert all(found.verified for found in await verify(other_pool, PUBLIC_KEY))
    # Where the ledger still has the command itself, its reply stays.
    for statement in (
        "ALTER TABLE ledger.events DETACH PARTITION ledger.events_2",
        "ALTER TABLE ledger.checkpoints DISABLE TRIGGER refuse_change",
        "DELETE FROM ledger.checkpoints WHERE book = 'restrictions'",
        "DELETE FROM ledger.streams WHERE book = 'restrictions'",
        "DELETE FROM ledger.books WHERE book = 'restrictions'",
    ):
        await pool.execute(statement)
    assert (await import_book(pool, tmp_path / "restrictions", PUBLIC_KEY)).commands == 0
    assert await ledger.append(both) == Duplicate(b"first answer")


async def test_claims_and_outbox_stay_behind(
    ledger: Ledger, pool: "Pool[Any]", other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    await ledger.append(append(write(), claims=[LimitClaim("seats", 5), CountClaim("seats", 2)], outbox=(notice(),)))
    await export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN)
    await import_book(other_pool, tmp_path / "export", PUBLIC_KEY)
    assert await other_pool.fetchval("SELECT count(*) FROM ledger.counters") == 0
    assert await other_pool.fetchval("SELECT count(*) FROM ledger.outbox") == 0


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 12, 13])
async def test_pages_of_any_length_come_back(
    ledger: Ledger,
    pool: "Pool[Any]",
    other_pool: "Pool[Any]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(archive, "EVENTS_PER_PAGE", 6)
    monkeypatch.setattr(archive_audit, "EVENTS_PER_PAGE", 6)
    monkeypatch.setattr(archive_audit, "LEAVES_PER_READ", 5)
    await pool.execute("INSERT INTO ledger.books (book) VALUES ($1)", BOOK)
    await pool.execute("UPDATE ledger.books SET sequence = 0")
    if size:
        await fill(ledger, size)
    await export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN)
    assert audit(tmp_path / "export", PUBLIC_KEY).verified
    assert (await import_book(other_pool, tmp_path / "export", PUBLIC_KEY)).events == size
    assert await rows_of(other_pool) == await rows_of(pool)


async def test_times_and_names_of_any_kind_come_back(
    ledger: Ledger, pool: "Pool[Any]", other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    for number, moment in enumerate((NOW.replace(year=1), NOW.replace(year=9999, microsecond=0), NOW)):
        await ledger.append(append(write(f'训/"\\{number}'), recorded_at=moment, actor="甲\n\t\x7f\u2028乙"))
    await export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN)
    await import_book(other_pool, tmp_path / "export", PUBLIC_KEY)
    assert await rows_of(other_pool) == await rows_of(pool)
    (found,) = await verify(other_pool, PUBLIC_KEY)
    assert found.verified


async def test_an_empty_book_goes_out_and_comes_back(
    pool: "Pool[Any]", other_pool: "Pool[Any]", tmp_path: Path
) -> None:
    await pool.execute("INSERT INTO ledger.books (book) VALUES ($1)", BOOK)
    with pytest.raises(CheckpointMissing):
        await export_book(pool, BOOK, tmp_path / "export")
    await export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN)
    found = audit(tmp_path / "export", PUBLIC_KEY)
    assert (found.verified, found.size, found.root_hex) == (True, 0, EMPTY_ROOT.hex())
    report = await import_book(other_pool, tmp_path / "export", PUBLIC_KEY)
    assert (report.events, report.streams, report.commands) == (0, 0, 0)
    assert [one.verified for one in await verify(other_pool, PUBLIC_KEY)] == [True]
    async with Ledger(other_pool) as ledger:
        result = await ledger.append(append())
        assert isinstance(result, Appended) and result.sequences == {BOOK: 1}


async def test_an_export_that_no_checkpoint_covers_needs_the_key(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 5)
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    await fill(ledger, 4, prefix="later")
    directory = tmp_path / "export"
    with pytest.raises(CheckpointMissing, match="wait for the sealer"):
        await export_book(pool, BOOK, directory)
    for wrong in ({"signing_key": bytes(32), "origin": ORIGIN}, {"signing_key": KEY, "origin": "somebody.else"}):
        with pytest.raises(SigningRefused):
            await export_book(pool, BOOK, directory, **wrong)  # type: ignore[arg-type]
    assert not directory.exists()
    report = await export_book(pool, BOOK, directory, signing_key=KEY, origin=ORIGIN)
    note = json.loads((directory / MANIFEST_FILE).read_text())["checkpoint"]
    signed = open_note(note, PUBLIC_KEY)
    assert (signed.origin, signed.size, signed.root.hex()) == (f"{ORIGIN}/{BOOK}", 9, report.root_hex)
    assert audit(directory, PUBLIC_KEY).verified
    assert await pool.fetchval("SELECT count(*) FROM ledger.checkpoints") == 1


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE ledger.events SET body = overlay(body placing 'X'::bytea from 12) WHERE sequence = 4", "event 4 was"),
        (
            "UPDATE ledger.events SET body = overlay(body placing 'X'::bytea from 12), "
            "leaf_hash = sha256('\\x00'::bytea || overlay(body placing 'X'::bytea from 12)) WHERE sequence = 4",
            "first 6 events",
        ),
        ("DELETE FROM ledger.events WHERE sequence = 4", "event 4 is missing"),
        ("DELETE FROM ledger.events WHERE sequence = 9", "8 are left"),
        ("UPDATE ledger.books SET sequence = 5", "6 events .* were signed"),
        ("UPDATE ledger.checkpoints SET note = 'no note'", "cannot be read"),
    ],
)
async def test_a_damaged_book_is_not_exported(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path, statement: str, match: str
) -> None:
    await fill(ledger, 6)
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    await fill(ledger, 3, prefix="later")
    for table in ("events", "events_1", "checkpoints"):
        await pool.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER refuse_change")
    await pool.execute(statement)
    with pytest.raises(BookDamaged, match=match):
        await export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN)
    assert not (tmp_path / "export").exists()


async def test_an_unknown_book_is_not_exported(pool: "Pool[Any]", tmp_path: Path) -> None:
    with pytest.raises(BookNotFound):
        await export_book(pool, "nowhere", tmp_path / "export")
    assert not (tmp_path / "export").exists()


async def test_nothing_is_written_over(exported: Path, pool: "Pool[Any]", tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    file = tmp_path / "file"
    file.touch()
    for occupied in (exported, file):
        with pytest.raises(DirectoryNotEmpty):
            await export_book(pool, BOOK, occupied)
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
    (tmp_path / "empty").mkdir()
    await export_book(pool, BOOK, tmp_path / "empty")
    assert audit(tmp_path / "empty", PUBLIC_KEY).verified


async def test_an_export_is_of_one_moment(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> None:
    await fill(ledger, 30)
    exporting = asyncio.create_task(
        export_book(pool, BOOK, tmp_path / "export", signing_key=KEY, origin=ORIGIN),
    )
    part = 0
    while not exporting.done():
        part += 1
        await fill(ledger, 3, prefix=f"part-{part}")
    report = await exporting
    found = audit(tmp_path / "export", PUBLIC_KEY)
    assert found.verified and found.size == report.size >= 30


async def test_a_second_import_is_refused_and_changes_nothing(exported: Path, other_pool: "Pool[Any]") -> None:
    await import_book(other_pool, exported, PUBLIC_KEY)
    before = await counts_of(other_pool)
    with pytest.raises(BookExists):
        await import_book(other_pool, exported, PUBLIC_KEY)
    assert await counts_of(other_pool) == before


async def test_of_two_imports_at_once_one_is_refused(exported: Path, other_pool: "Pool[Any]") -> None:
    results = await asyncio.gather(
        *(import_book(other_pool, exported, PUBLIC_KEY) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["BookExists", "ImportReport"]
    assert (await verify(other_pool, PUBLIC_KEY))[0].verified


async def test_leftovers_of_a_book_are_not_imported_over(
    exported: Path, pool: "Pool[Any]", other_pool: "Pool[Any]"
) -> None:
    await import_book(other_pool, exported, PUBLIC_KEY)
    await other_pool.execute("ALTER TABLE ledger.checkpoints DISABLE TRIGGER refuse_change")
    await other_pool.execute("DELETE FROM ledger.checkpoints")
    await other_pool.execute("DELETE FROM ledger.books")
    with pytest.raises(BookExists, match="without its head row"):
        await import_book(other_pool, exported, PUBLIC_KEY)
    assert await rows_of(other_pool) == await rows_of(pool)


async def test_files_that_change_between_the_audit_and_the_import_do_not_get_in(
    exported: Path, other_pool: "Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_audit, "EVENTS_PER_PAGE", 4)

    def audit_then_change(directory: Path, public_key: Any) -> AuditReport:
        found = audit(directory, public_key)
        lines = lines_of(directory)
        changed_data(lines)
        (directory / EVENTS_FILE).write_bytes(b"".join(lines))
        return found

    monkeypatch.setattr(archive, "audit", audit_then_change)
    with pytest.raises(ArchiveRejected) as refused:
        await import_book(other_pool, exported, PUBLIC_KEY)
    assert (refused.value.report.problem, refused.value.report.first_wrong) == ("changed", 7)
    await assert_nothing_in(other_pool)


async def test_the_application_may_not_import(exported: Path, other_pool: "Pool[Any]") -> None:
    async with other_pool.acquire() as connection:
        await connection.execute("SET ROLE xunji_app")
        with pytest.raises(ImportNotPermitted):
            await import_book(connection, exported, PUBLIC_KEY)
        await connection.execute("RESET ROLE")
    await assert_nothing_in(other_pool)


async def test_an_export_of_any_length_is_written_and_read_in_constant_memory(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    async def peak_bytes(directory: Path) -> int:
        tracemalloc.start()
        try:
            await export_book(pool, BOOK, directory, signing_key=KEY, origin=ORIGIN)
            assert audit(directory, PUBLIC_KEY).verified
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await ledger.append(append(write(events=3_000)))
    small = await peak_bytes(tmp_path / "small")
    for _ in range(2):
        version = await ledger.stream_version(BOOK, write().stream)
        await ledger.append(append(write(expected=version, events=6_000)))
    assert await peak_bytes(tmp_path / "large") < small * 1.5
