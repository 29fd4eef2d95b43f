"""A book goes out as files, is checked without a database, and comes back as it was, or not at all."""

import asyncio
import json
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest
import pytest_asyncio

from embedded.postgres import EmbeddedPostgres
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
from ledger.schema import migrate
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.types import Appended, CommandReused, CountClaim, Duplicate, LimitClaim, VersionConflict
from ledger.verify import verify
from tests.ledger.appends import BOOK, NOW, append, fill, notice, write

KEY = bytes(range(32))
PUBLIC_KEY = public_key_of(KEY)
ORIGIN = "xunji.example"
EVENTS = 20
COLUMNS = (
    "sequence, version, recorded_at, effective_at, schema_version, id, command_id, book, stream, type, leaf_hash, body"
)
Lines = list[bytes]
Pool = asyncpg.Pool


@pytest_asyncio.fixture
async def other_pool(postgres: EmbeddedPostgres) -> AsyncIterator["Pool[Any]"]:
    """A second, migrated and empty database."""
    name = f"test_{os.getpid()}_{uuid4().hex}"
    administrator = await asyncpg.connect(postgres.url("postgres"))
    try:
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        async with asyncpg.create_pool(postgres.url(name), min_size=1, max_size=8) as pool:
            async with pool.acquire() as connection:
                await migrate(connection)
            yield pool
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


@pytest.fixture
async def exported(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> Path:
    """A sealed book of twenty events, as files."""
    await fill(ledger, EVENTS)
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    await export_book(pool, BOOK, tmp_path / "export")
    return tmp_path / "export"


def lines_of(directory: Path) -> Lines:
    return (directory / EVENTS_FILE).read_bytes().splitlines(keepends=True)


def change_manifest(directory: Path, **fields: Any) -> None:
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


async def rows_of(pool: "Pool[Any]", book: str = BOOK) -> list[tuple[Any, ...]]:
    rows = await pool.fetch(f"SELECT {COLUMNS} FROM ledger.events WHERE book = $1 ORDER BY sequence", book)
    return [tuple(row) for row in rows]


async def counts_of(pool: "Pool[Any]") -> dict[str, int]:
    tables = ("books", "events", "streams", "commands", "checkpoints")
    return {table: await pool.fetchval(f"SELECT count(*) FROM ledger.{table}") for table in tables}


async def assert_nothing_in(pool: "Pool[Any]") -> None:
    assert set((await counts_of(pool)).values()) == {0}
    assert await pool.fetchval("SELECT to_regclass('ledger.events_1')") is None


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


def changed_data(lines: Lines) -> None:
    lines[6] = lines[6].replace(b'"place":0', b'"place":7')


def changed_spelling(lines: Lines) -> None:
    lines[6] = lines[6].replace(b'"place":0', b'"place": 0')


def broken_json(lines: Lines) -> None:
    lines[6] = b"\x00" + lines[6][1:]


def changed_sequence(lines: Lines) -> None:
    lines[6] = lines[6].replace(b'"sequence":7,', b'"sequence":9,')


def changed_version(lines: Lines) -> None:
    lines[7] = lines[7].replace(b'"version":2}', b'"version":3}')


def blank_line(lines: Lines) -> None:
    lines.insert(6, b"\n")


def very_long_line(lines: Lines) -> None:
    lines[6] = b"x" * 200_000 + b"\n"


def without_last(lines: Lines) -> None:
    del lines[-1]


def without_all(lines: Lines) -> None:
    lines.clear()


def without_two(lines: Lines) -> None:
    del lines[6:8]


def without_last_but_one(lines: Lines) -> None:
    del lines[-2]


def exchanged_neighbours(lines: Lines) -> None:
    lines[6], lines[7] = lines[7], lines[6]


def exchanged_far(lines: Lines) -> None:
    lines[6], lines[15] = lines[15], lines[6]


def exchanged_last_two(lines: Lines) -> None:
    lines[-1], lines[-2] = lines[-2], lines[-1]


def repeated(lines: Lines) -> None:
    lines.insert(6, lines[3])


def foreign(lines: Lines) -> None:
    lines[6] = lines[6].replace(BOOK.encode(), b"people")


def foreign_between(lines: Lines) -> None:
    lines.insert(6, lines[6].replace(BOOK.encode(), b"people"))


def foreign_behind(lines: Lines) -> None:
    lines.append(lines[6].replace(BOOK.encode(), b"people"))


def surplus(lines: Lines) -> None:
    lines.append(lines[-1].replace(b'"sequence":20', b'"sequence":21').replace(b'"version":2', b'"version":3'))


def cut(lines: Lines) -> None:
    lines[-1] = lines[-1][:-1]


def cut_in_the_middle(lines: Lines) -> None:
    lines[6:] = [lines[6][:50]]


TAMPERING = [
    (changed_data, "changed", 7),
    (changed_spelling, "changed", 7),
    (broken_json, "changed", 7),
    (changed_sequence, "changed", 7),
    (changed_version, "changed", 8),
    (blank_line, "changed", 7),
    (very_long_line, "changed", 7),
    (without_last, "missing", 20),
    (without_all, "missing", 1),
    (without_two, "missing", 7),
    (without_last_but_one, "missing", 19),
    (exchanged_neighbours, "exchanged", 7),
    (exchanged_far, "exchanged", 7),
    (exchanged_last_two, "exchanged", 19),
    (repeated, "repeated", 7),
    (foreign, "foreign", 7),
    (foreign_between, "foreign", 7),
    (foreign_behind, "foreign", 21),
    (surplus, "surplus", 21),
    (cut, "cut", 20),
    (cut_in_the_middle, "cut", 7),
]


@pytest.mark.parametrize(("tamper", "problem", "line"), TAMPERING, ids=[one[0].__name__ for one in TAMPERING])
async def test_tampering_is_told_by_its_kind_and_first_line_and_is_not_imported(
    exported: Path, other_pool: "Pool[Any]", tamper: Callable[[Lines], None], problem: str, line: int
) -> None:
    lines = lines_of(exported)
    tamper(lines)
    assert lines != lines_of(exported)
    (exported / EVENTS_FILE).write_bytes(b"".join(lines))
    # Whoever tampers makes the manifest fit.
    change_manifest(exported, events_sha256=sha256(b"".join(lines)).hexdigest())
    found = audit(exported, PUBLIC_KEY)
    assert (found.verified, found.problem, found.first_wrong) == (False, problem, line)
    assert found.size == line - 1
    assert found.detail.startswith(f"line {line}: ")
    with pytest.raises(ArchiveRejected) as refused:
        await import_book(other_pool, exported, PUBLIC_KEY)
    assert refused.value.report == found
    await assert_nothing_in(other_pool)


@pytest.mark.parametrize(
    ("tamper", "problem", "line"),
    [
        (changed_data, "rewritten", None),
        (changed_spelling, "changed", 7),
        (changed_version, "unsound", 8),
        (without_last, "missing", 20),
        (without_two, "missing", 7),
        (exchanged_neighbours, "exchanged", 7),
        (repeated, "repeated", 7),
        (foreign, "foreign", 7),
        (surplus, "surplus", 21),
        (cut, "cut", 20),
    ],
)
@pytest.mark.parametrize("leaves", ["missing", "forged", "odd"])
async def test_tampering_is_found_without_the_leaves_too(
    exported: Path, tamper: Callable[[Lines], None], problem: str, line: int | None, leaves: str
) -> None:
    lines = lines_of(exported)
    tamper(lines)
    (exported / EVENTS_FILE).write_bytes(b"".join(lines))
    if leaves == "missing":
        (exported / LEAVES_FILE).unlink()
    else:
        forged = b"".join(leaf_hash(one[:-1]) for one in lines)
        (exported / LEAVES_FILE).write_bytes(forged if leaves == "forged" else forged[:-1])
    found = audit(exported, PUBLIC_KEY)
    assert (found.verified, found.problem, found.first_wrong) == (False, problem, line)


async def test_a_wrong_key_and_a_changed_checkpoint_are_told_apart(exported: Path, other_pool: "Pool[Any]") -> None:
    stranger = public_key_of(bytes(32))
    assert audit(exported, stranger).problem == "key"
    with pytest.raises(ArchiveRejected):
        await import_book(other_pool, exported, stranger)
    note = json.loads((exported / MANIFEST_FILE).read_text())["checkpoint"]
    change_manifest(exported, checkpoint=note.replace("\n20\n", "\n19\n"))
    assert audit(exported, PUBLIC_KEY).problem == "checkpoint"
    with pytest.raises(ArchiveRejected):
        await import_book(other_pool, exported, PUBLIC_KEY)
    await assert_nothing_in(other_pool)


async def test_the_checkpoint_of_another_book_does_not_count(
    ledger: Ledger, exported: Path, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, EVENTS, book="people")
    await export_book(pool, "people", tmp_path / "people", signing_key=KEY, origin=ORIGIN)
    other = json.loads((tmp_path / "people" / MANIFEST_FILE).read_text())
    change_manifest(exported, checkpoint=other["checkpoint"], root=other["root"])
    assert audit(exported, PUBLIC_KEY).problem == "checkpoint"


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 19},
        {"root": "0" * 64},
        {"events_sha256": "0" * 64},
        {"events_sha256": 3},
        {"size": True},
        {"size": "20"},
        {"size": -1},
        {"root": "x"},
        {"root": None},
        {"book": "../x"},
        {"format": 2},
        {"more": 1},
        {"checkpoint": None},
    ],
)
async def test_a_manifest_that_does_not_fit_is_refused(exported: Path, fields: dict[str, Any]) -> None:
    change_manifest(exported, **fields)
    found = audit(exported, PUBLIC_KEY)
    assert (found.verified, found.problem, found.first_wrong) == (False, "manifest", None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b" " * 100_000, b'{"format":1}'])
async def test_a_manifest_that_is_none_is_refused(exported: Path, content: bytes) -> None:
    (exported / MANIFEST_FILE).write_bytes(content)
    assert audit(exported, PUBLIC_KEY).problem == "manifest"


async def test_files_that_are_not_there_are_told(exported: Path, tmp_path: Path) -> None:
    (exported / EVENTS_FILE).unlink()
    found = audit(exported, PUBLIC_KEY)
    assert found.problem == "manifest" and EVENTS_FILE in found.detail
    found = audit(tmp_path / "nowhere", PUBLIC_KEY)
    assert found.problem == "manifest" and MANIFEST_FILE in found.detail


async def test_what_was_signed_though_it_is_no_right_event_is_refused(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    """Whoever owns the database has the sealer sign a forged event before anybody looks."""
    await fill(ledger, 6)
    await pool.execute("ALTER TABLE ledger.events DISABLE TRIGGER refuse_change")
    await pool.execute("ALTER TABLE ledger.events_1 DISABLE TRIGGER refuse_change")
    body = await pool.fetchval("SELECT body FROM ledger.events WHERE sequence = 4")
    for name, value in (("version", 5), ("sequence", 5), ("id", "x"), ("recorded_at", "2022-08-25"), ("stream", " ")):
        forged = orjson.dumps(orjson.loads(body) | {name: value}, option=orjson.OPT_SORT_KEYS)
        await pool.execute(
            "UPDATE ledger.events SET body = $1, leaf_hash = $2 WHERE sequence = 4", forged, leaf_hash(forged)
        )
        directory = tmp_path / name
        await export_book(pool, BOOK, directory, signing_key=KEY, origin=ORIGIN)
        found = audit(directory, PUBLIC_KEY)
        assert (found.problem, found.first_wrong) == ("unsound", 4)


async def test_details_never_quote_a_line(exported: Path) -> None:
    secret = b'"stream":"secret"'
    lines = lines_of(exported)
    lines[6] = lines[6].replace(b'"stream":"trainee/00006"', secret)
    (exported / EVENTS_FILE).write_bytes(b"".join(lines))
    assert secret in b"".join(lines)
    assert "secret" not in repr(audit(exported, PUBLIC_KEY))


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
