"""Carry a book away as files, check them without any database, and bring them back into another one.

    manifest.json   what the export holds, with the signed checkpoint note over it; written last
    events.ndjson   one line per event, in order of sequence: the stored canonical bytes and a line end
    leaves.bin      the events' leaf hashes, 32 bytes each, in the same order

The manifest is one JSON object of exactly these fields: `format` (1), `book`, `size` (number of events), `root` and
`events_sha256` (64 lower-case hexadecimal digits) and `checkpoint` (the note, see `ledger.checkpoint`). Where the
signing key was handed over, `format` is 2 and `successions` holds the notes that say so (see `ledger.keyring`).

Everything hangs on the signature: lines -> leaf hashes -> root -> signed note. The leaf hashes beside the events add
nothing to that. Being hashes under the same signed root they tell which line is wrong, where the lines alone could
only tell that one is; without that file a right export is still found right.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.advance import Advance, uncounted
from ledger.archive_audit import (
    EVENTS_FILE,
    EVENTS_PER_PAGE,
    FORMAT,
    FORMAT_WITH_SUCCESSIONS,
    LEAVES_FILE,
    MANIFEST_FILE,
    AuditReport,
    Event,
    Reading,
    Wrong,
    audit,
)
from ledger.checkpoint import Checkpoint, origin_of, parse, sign
from ledger.detaching import refuse_detached
from ledger.errors import CheckpointError, LedgerError, StreamInAnotherBook
from ledger.keyring import Keyring, Succession, Trust, read_database
from ledger.merkle import Frontier, leaf_hash
from ledger.schema import ONE_BOOK, AnyConnection

PARTIAL_SUFFIX: Final = ".partial"

UNKNOWN_CONTENT_HASH: Final = bytes(32)
"""The content hash of an imported command. No content is known to have it, so every repetition is `CommandReused`."""

_LEFTOVERS: Final = """
SELECT EXISTS (SELECT FROM ledger.events WHERE book = $1) OR EXISTS (SELECT FROM ledger.streams WHERE book = $1)
"""
_STREAMS: Final = """
INSERT INTO ledger.streams (book, stream, version)
SELECT book, stream, max(version) FROM ledger.events WHERE book = $1 GROUP BY book, stream
"""
# In order of ids, as appends take them. A command that another book has brought, or that was carried out here, keeps
# what is known of it.
_COMMANDS: Final = """
INSERT INTO ledger.commands (command_id, content_hash, reply, recorded_at)
SELECT command_id, $2, ''::bytea, min(recorded_at) FROM ledger.events WHERE book = $1
GROUP BY command_id ORDER BY command_id
ON CONFLICT DO NOTHING
"""
_HEAD: Final = """
UPDATE ledger.books SET sequence = $2, created_at = coalesce(
    (SELECT recorded_at FROM ledger.events WHERE book = $1 AND sequence = 1), created_at)
WHERE book = $1
"""


class ArchiveError(LedgerError):
    """The root of the errors about exports and imports."""


class BookNotFound(ArchiveError):
    """There is no such book to export."""


class DirectoryNotEmpty(ArchiveError):
    """Something stands where the export is to be written."""


class CheckpointMissing(ArchiveError):
    """No checkpoint covers the book as it is: wait for the sealer, or give the signing key and the origin."""


class SigningRefused(ArchiveError):
    """The key or the origin given is not that of the book's last checkpoint: give those that the sealer has."""


class BookDamaged(ArchiveError):
    """The database does not hold what was recorded or signed. Verify the book; nothing was exported."""


class ArchiveRejected(ArchiveError):
    """The export is not right, and nothing was imported. `report` says what is wrong."""

    def __init__(self, report: "AuditReport") -> None:
        super().__init__(f"nothing was imported: {report.detail}")
        self.report = report


class BookExists(ArchiveError):
    """The database already holds this book, or events of it. Import into a database that does not."""


class ImportNotPermitted(ArchiveError):
    """The database user may not import: connect as the owner of the ledger's tables, who migrates them."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written: `size` events with this root, under a checkpoint of `sealed_at`."""

    book: str
    size: int
    root_hex: str
    events_sha256: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was written: `commands` counts those that the database did not know before."""

    book: str
    events: int
    streams: int
    commands: int
    root_hex: str


async def export_book(
    database: "asyncpg.Pool[Any] | AnyConnection",
    book: str,
    directory: Path,
    *,
    signing_key: bytes | None = None,
    origin: str | None = None,
    advance: Advance = uncounted,
) -> ExportReport:
    """Write the book as it is now into `directory`, which is made, or is there and empty. Appends go on meanwhile.

    The checkpoint is the stored one over exactly the exported events. Where none is stored yet, one is signed with
    `signing_key` (an ed25519 seed of 32 bytes) in the name `origin`/book, if what was signed before is by the same
    key and still holds; it is not stored. `database` is a pool, or a connection outside a transaction. `advance` is
    told how many more events are written.

    Raises BookNotFound, BookDetached, DirectoryNotEmpty, CheckpointMissing, SigningRefused, BookDamaged, ValueError for
    a key of another length, OSError and asyncpg's errors; no file is left behind then.
    """
    signer = None if signing_key is None else Ed25519PrivateKey.from_private_bytes(signing_key)
    async with _connection(database) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        head = await connection.fetchval("SELECT sequence FROM ledger.books WHERE book = $1", book)
        await refuse_detached(connection, book)
        if head is None:
            raise BookNotFound("there is no such book: ask for one of those that the ledger lists")
        stored = await _newest_checkpoint(connection, book)
        successions = await read_database(connection)
        if stored is not None and stored[0].size > head:
            raise BookDamaged(f"{stored[0].size} events of {book} were signed and {head} are left: verify the book")
        covered = stored is not None and stored[0].size == head
        if not covered:
            if signer is None or origin is None:
                raise CheckpointMissing(
                    f"no checkpoint covers all {head} events of {book}: wait for the sealer, or give key and origin"
                )
            _refuse_other_signer(stored, signer, successions, origin_of(origin, book))
        writer = await asyncio.to_thread(_Writer, directory, book)
        try:
            await _write_events(connection, writer, head, stored[0] if stored else None, advance)
            if stored is not None and covered:
                checkpoint, note = stored
            else:
                assert signer is not None and origin is not None
                checkpoint = Checkpoint(origin_of(origin, book), head, writer.frontier.root(), datetime.now(UTC))
                note = sign(checkpoint, signer)
            return await asyncio.to_thread(writer.finish, checkpoint, note, successions)
        finally:
            await asyncio.to_thread(writer.close)


async def import_book(
    database: "asyncpg.Pool[Any] | AnyConnection", directory: Path, trust: Trust, *, advance: Advance = uncounted
) -> ImportReport:
    """Bring an export into a migrated database that does not hold its book: audited first, then all or nothing.

    Restored are the events (the same bytes, leaf hashes and columns), the book's head, the streams' versions, the
    checkpoint, and the notes by which its signing key was handed over, if the database has none of its own. An empty
    book has no checkpoint in the database. Appends go on with the next sequence.

    Of the commands only the ids are known from the events. They are stored with an empty reply and the content hash
    UNKNOWN_CONTENT_HASH: a command that is sent again is answered `CommandReused` and is not carried out twice, but
    its first answer is not told either. A command that the database knows already (it wrote to two books) keeps its
    hash and reply. Commands without events are forgotten.

    Not in the events, and so not restored: claims (counters, holds, blocks), outbox entries, and the keys of persons.
    The sealer of this database goes on from the checkpoint if it has the same key and origin; otherwise it refuses.

    `database` is a pool or a connection whose user owns the ledger's tables. Raises ArchiveRejected, BookExists,
    StreamInAnotherBook, ImportNotPermitted, OSError and asyncpg's errors.
    """
    report = await asyncio.to_thread(audit, directory, trust)
    if not report.verified:
        raise ArchiveRejected(report)
    # The files are checked again while they are written, so that a change after the audit does not get in either.
    reading = Reading(directory, trust)
    try:
        await asyncio.to_thread(reading.open)
        async with _connection(database) as connection, connection.transaction():
            return await _restore(connection, reading, advance)
    except Wrong as found:
        raise ArchiveRejected(reading.report(found)) from None
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != ONE_BOOK:
            raise
        words = "nothing was imported: a stream of this book lives in another book of the database already"
        raise StreamInAnotherBook(words) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise ImportNotPermitted("this user may not import: connect as the owner of the ledger's tables") from error
    finally:
        reading.close()


@asynccontextmanager
async def _connection(database: "asyncpg.Pool[Any] | AnyConnection") -> AsyncIterator[AnyConnection]:
    if isinstance(database, asyncpg.Pool):
        async with database.acquire() as connection:
            yield connection
    else:
        yield database


async def _newest_checkpoint(connection: AnyConnection, book: str) -> tuple[Checkpoint, str] | None:
    row = await connection.fetchrow(
        "SELECT size, note FROM ledger.checkpoints WHERE book = $1 ORDER BY size DESC LIMIT 1", book
    )
    if row is None:
        return None
    try:
        checkpoint = parse(row["note"])
    except CheckpointError as error:
        raise BookDamaged(f"the checkpoint at {row['size']} cannot be read: verify the book") from error
    if checkpoint.size != row["size"] or checkpoint.origin.rpartition("/")[2] != book:
        raise BookDamaged(f"the checkpoint at {row['size']} is over something else: verify the book")
    return checkpoint, row["note"]


def _refuse_other_signer(
    stored: tuple[Checkpoint, str] | None, signer: Ed25519PrivateKey, successions: Sequence[Succession], origin: str
) -> None:
    keyring = Keyring([signer.public_key()], successions)
    if not keyring.counts(signer.public_key()):
        raise SigningRefused("the key given was handed over to another one: give that one")
    if stored is None:
        return
    checkpoint, note = stored
    try:
        keyring.open(note)
    except CheckpointError as error:
        raise SigningRefused(f"the checkpoint at {checkpoint.size} is not signed by the key given") from error
    if checkpoint.origin != origin:
        raise SigningRefused(f"the checkpoint at {checkpoint.size} has another origin than the one given")


async def _write_events(
    connection: AnyConnection, writer: "_Writer", head: int, signed: Checkpoint | None, advance: Advance
) -> None:
    frontier = writer.frontier
    rows = await connection.cursor(
        "SELECT sequence, leaf_hash, body FROM ledger.events WHERE book = $1 ORDER BY sequence", writer.book
    )
    # A page ends where the last checkpoint does, so that the root is compared there.
    while page := await rows.fetch(_page_length(frontier.size, signed)):
        await asyncio.to_thread(writer.add, page)
        advance(len(page))
        if signed is not None and frontier.size == signed.size and frontier.root() != signed.root:
            raise BookDamaged(f"the first {signed.size} events are not those that were signed: verify the book")
    if frontier.size != head:
        raise BookDamaged(f"the book has {head} events by its head row, and {frontier.size} are left: verify the book")


def _page_length(size: int, signed: Checkpoint | None) -> int:
    if signed is None or signed.size <= size:
        return EVENTS_PER_PAGE
    return min(EVENTS_PER_PAGE, signed.size - size)


class _Writer:
    """Writes the files under other names, and gives them their own when all is written, the manifest last."""

    def __init__(self, directory: Path, book: str) -> None:
        self.book = book
        self.frontier = Frontier()
        self._directory = directory
        self._digest = sha256()
        self._made = not directory.exists()
        self._files = ExitStack()
        self._partial: list[Path] = []
        self._done: list[Path] = []
        self._finished = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            occupied = any(directory.iterdir())
        except (FileExistsError, NotADirectoryError):
            raise DirectoryNotEmpty(f"{directory} is not a directory: give another name") from None
        if occupied:
            raise DirectoryNotEmpty(f"{directory} is not empty: give a directory that is new or empty")
        try:
            self._events = self._open(EVENTS_FILE)
            self._leaves = self._open(LEAVES_FILE)
        except BaseException:
            self.close()
            raise

    def _open(self, name: str) -> BinaryIO:
        path = self._directory / (name + PARTIAL_SUFFIX)
        try:
            file: BinaryIO = self._files.enter_context(path.open("xb"))
        except FileExistsError:
            raise DirectoryNotEmpty(f"another export is being written into {self._directory}") from None
        self._partial.append(path)
        return file

    def add(self, rows: Sequence[Any]) -> None:
        lines: list[bytes] = []
        leaves: list[bytes] = []
        for expected, (sequence, leaf, body) in enumerate(rows, start=self.frontier.size + 1):
            if sequence != expected:
                raise BookDamaged(f"event {expected} is missing: verify the book")
            if leaf_hash(body) != leaf or b"\n" in body:
                raise BookDamaged(f"event {sequence} was changed: verify the book")
            leaves.append(leaf)
            lines.append(body + b"\n")
        text = b"".join(lines)
        self._digest.update(text)
        self._events.write(text)
        self._leaves.write(b"".join(leaves))
        self.frontier.extend(leaves)

    def finish(self, checkpoint: Checkpoint, note: str, successions: Sequence[Succession]) -> ExportReport:
        report = ExportReport(
            self.book, self.frontier.size, checkpoint.root.hex(), self._digest.hexdigest(), checkpoint.sealed_at
        )
        manifest: dict[str, Any] = {
            "format": FORMAT_WITH_SUCCESSIONS if successions else FORMAT,
            "book": report.book,
            "size": report.size,
            "root": report.root_hex,
            "events_sha256": report.events_sha256,
            "checkpoint": note,
        }
        if successions:
            manifest["successions"] = [each.note for each in successions]
        text = self._open(MANIFEST_FILE)
        text.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
        for file in (self._events, self._leaves, text):
            file.flush()
            os.fsync(file.fileno())
        for path in self._partial:
            target = path.with_suffix("")
            path.rename(target)
            self._done.append(target)
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._finished = True
        return report

    def close(self) -> None:
        self._files.close()
        if not self._finished:
            for path in (*self._partial, *self._done):
                path.unlink(missing_ok=True)
            if self._made:
                with suppress(OSError):
                    self._directory.rmdir()


async def _restore(connection: AnyConnection, reading: Reading, advance: Advance) -> ImportReport:
    manifest, checkpoint = reading.open()
    book = manifest.book
    # Whoever appends to this book or imports it at the same time waits at this row.
    made = await connection.fetchval(
        "INSERT INTO ledger.books (book, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING book",
        book,
        checkpoint.sealed_at,
    )
    if made is None:
        raise BookExists(f"the database holds a book {book} already: import into one that does not")
    if await connection.fetchval(_LEFTOVERS, book):
        raise BookExists(f"the database holds events of {book} without its head row: verify it before anything else")
    if checkpoint.size:
        await connection.execute("SELECT ledger.create_partition($1)", book)
    await connection.copy_records_to_table(
        "events", schema_name="ledger", columns=Event._fields, records=_events(reading, advance)
    )
    streams = _count(await connection.execute(_STREAMS, book))
    commands = _count(await connection.execute(_COMMANDS, book, UNKNOWN_CONTENT_HASH))
    await connection.execute(_HEAD, book, checkpoint.size)
    if checkpoint.size:
        await connection.execute(
            "INSERT INTO ledger.checkpoints (book, size, root, sealed_at, note, frontier) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            book,
            checkpoint.size,
            checkpoint.root,
            checkpoint.sealed_at,
            manifest.checkpoint,
            reading.frontier.encode(),
        )
    await _restore_successions(connection, manifest.successions)
    return ImportReport(book, checkpoint.size, streams, commands, checkpoint.root.hex())


async def _restore_successions(connection: AnyConnection, notes: Sequence[str]) -> None:
    # A database that has such notes follows its own keys; the book's earlier checkpoint stands under the key given.
    if notes and not await connection.fetchval("SELECT EXISTS (SELECT FROM ledger.successions)"):
        await connection.executemany(
            "INSERT INTO ledger.successions (number, note) VALUES ($1, $2)", list(enumerate(notes, start=1))
        )


async def _events(reading: Reading, advance: Advance) -> AsyncIterator[Event]:
    pages = reading.pages()
    while page := await asyncio.to_thread(next, pages, None):
        advance(len(page))
        for event in page:
            yield event


def _count(status: str) -> int:
    # PostgreSQL answers an insert with "INSERT 0" and the number of rows.
    return int(status.rpartition(" ")[2])
