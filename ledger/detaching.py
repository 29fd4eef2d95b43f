"""Taking a closed book's events out of the database once they are safe elsewhere, and bringing them back.

A book is detached only when an export of all of it was audited, and its signed root is the root over the rows that the
database holds at that moment. What stays is the head row, the checkpoints, the answers to its commands, and the record
of who detached it, why, and where to. The rows themselves stand aside as a table that nobody reads, or are dropped.

Reads of a detached book raise BookDetached, which names the place. Appends are refused because it is closed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.advance import Advance, uncounted
from ledger.archive_audit import Event, Reading, Wrong
from ledger.checkpoint import open_note
from ledger.closing import check_words
from ledger.errors import (
    BookBusy,
    BookDetached,
    BookNotClosed,
    BookNotDetached,
    BookNotSealed,
    BookUnknown,
    ExportDiffers,
    ProcedureError,
)
from ledger.merkle import Frontier
from ledger.schema import AnyConnection

LOCK_TIMEOUT_S: Final = 3
"""So long everybody else waits behind a detach that waits for a long reader; then it gives up."""

LEAVES_PER_FETCH: Final = 5_000
ATTACHED_FOR_S: Final = 5.0
"""So long a book that was seen to be here is not asked for again."""

MAX_REMEMBERED_BOOKS: Final = 10_000

_WHERE_NOW: Final = """
SELECT p.place FROM ledger.books b JOIN ledger.procedures p ON p.book = b.book AND p.act = 'detached'
WHERE b.book = $1 AND b.detached_at IS NOT NULL ORDER BY p.number DESC LIMIT 1
"""
_DETACHED: Final = """
SELECT DISTINCT ON (b.book) b.book, p.size, p.root, p.place, p.actor, p.reason, p.at
FROM ledger.books b JOIN ledger.procedures p ON p.book = b.book AND p.act = 'detached'
WHERE b.detached_at IS NOT NULL ORDER BY b.book, p.number DESC
"""
_RECORD: Final = """
INSERT INTO ledger.procedures (book, act, actor, reason, size, root, place) VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING at
"""
# The hash of the bytes and not the stored hash: it is the bytes that were exported.
_LEAVES: Final = (
    "SELECT sequence, sha256('\\x00'::bytea || body) AS leaf FROM {table} WHERE book = $1 ORDER BY sequence"
)


@dataclass(frozen=True, slots=True)
class Detached:
    """A book whose `size` events with this root were put into `place`."""

    book: str
    size: int
    root_hex: str
    place: str
    actor: str
    reason: str
    detached_at: datetime


@dataclass(frozen=True, slots=True)
class Attached:
    """A book whose events are back, from the table that stood aside or from an export."""

    book: str
    size: int
    root_hex: str
    from_export: bool


class Whereabouts:
    """Says of a book without rows whether it was detached. Cheap: a book that is here is believed for a few seconds."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._here: dict[str, float] = {}

    async def check(self, book: str) -> None:
        """Raise BookDetached when the book's events are elsewhere."""
        now = time.monotonic()
        if now - self._here.get(book, -ATTACHED_FOR_S) < ATTACHED_FOR_S:
            return
        place = await self._pool.fetchval(_WHERE_NOW, book)
        if place is not None:
            raise BookDetached(book, place)
        if len(self._here) >= MAX_REMEMBERED_BOOKS:
            self._here.clear()
        self._here[book] = now


async def refuse_detached(connection: AnyConnection, book: str) -> None:
    """Raise BookDetached when the book's events are elsewhere."""
    place = await connection.fetchval(_WHERE_NOW, book)
    if place is not None:
        raise BookDetached(book, place)


async def detached_books(database: "asyncpg.Pool[Any] | AnyConnection") -> list[Detached]:
    """The books whose events are not in the database, by name."""
    return [
        Detached(row["book"], row["size"], row["root"].hex(), row["place"], row["actor"], row["reason"], row["at"])
        for row in await database.fetch(_DETACHED)
    ]


async def detach_book(
    pool: "asyncpg.Pool[Any]",
    book: str,
    export: Path,
    public_key: Ed25519PublicKey,
    *,
    actor: str,
    reason: str,
    place: str = "",
    drop: bool = False,
    advance: Advance = uncounted,
) -> Detached:
    """Take the events of a closed book out, as the owner, after `export` was audited and compared with the rows.

    `place` is what readers are told (`export` itself when left out). With `drop` the rows are gone for good from this
    database; otherwise they stand aside in a table of their own. `advance` counts every event twice.

    Raises BookUnknown, BookNotClosed, BookDetached, BookNotSealed, ExportDiffers, BookBusy, InvalidProcedure, OSError
    and asyncpg's errors; nothing is changed then.
    """
    check_words(actor, reason)
    said = place or str(export.absolute())
    size, number, detached = await _head(pool, book)
    if detached:
        raise BookDetached(book, await pool.fetchval(_WHERE_NOW, book))
    root = await _signed_root(pool, book, size, public_key)
    await asyncio.to_thread(_audit, export, public_key, book, size, root, advance)
    table = f"ledger.events_{number}"
    # In a transaction of its own: a partition that a cursor has read cannot be taken out in the same one. Nothing comes
    # between, because the book is closed and its rows are guarded.
    async with pool.acquire() as reader, reader.transaction(readonly=True):
        if await _root_over(reader, table, book, size, advance) != root:
            raise ExportDiffers(f"the rows of {book} are not those that were signed and exported: verify the book")
    async with _partitions_changing(pool) as connection:
        if await _head(connection, book) != (size, number, False):
            raise BookDetached(book, await connection.fetchval(_WHERE_NOW, book))
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        await connection.execute(f"ALTER TABLE ledger.events DETACH PARTITION {table}")
        if drop:
            await connection.execute(f"DROP TABLE {table}")
        await connection.execute("UPDATE ledger.books SET detached_at = now() WHERE book = $1", book)
        at = await connection.fetchval(_RECORD, book, "detached", actor, reason, size, root, said)
    return Detached(book, size, root.hex(), said, actor, reason, at)


async def attach_book(
    pool: "asyncpg.Pool[Any]",
    book: str,
    public_key: Ed25519PublicKey,
    *,
    actor: str,
    reason: str,
    export: Path | None = None,
    advance: Advance = uncounted,
) -> Attached:
    """Bring a detached book's events back, as the owner: the table that stands aside, or else `export`.

    Either must come to the signed root. Raises BookUnknown, BookNotClosed, BookNotDetached, BookNotSealed,
    ExportDiffers, BookBusy, InvalidProcedure, OSError and asyncpg's errors; nothing is changed then.
    """
    check_words(actor, reason)
    size, number, detached = await _head(pool, book)
    if not detached:
        raise BookNotDetached(f"the events of {book} are in the database")
    root = await _signed_root(pool, book, size, public_key)
    table = f"ledger.events_{number}"
    async with _partitions_changing(pool) as connection:
        if await _head(connection, book) != (size, number, True):
            raise BookNotDetached(f"the events of {book} are in the database")
        aside = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
        if not aside and export is None:
            place = await connection.fetchval(_WHERE_NOW, book)
            raise ExportDiffers(f"the rows of {book} were dropped: give its export, which was put into {place}")
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        if aside:
            await connection.execute(f"ALTER TABLE ledger.events ATTACH PARTITION {table} FOR VALUES IN ('{book}')")
        else:
            assert export is not None, "refused above"
            await connection.execute("SELECT ledger.create_partition($1)", book)
            await _copy(connection, export, public_key, book, size, root)
        if await _root_over(connection, table, book, size, advance) != root:
            raise ExportDiffers(f"the rows of {book} that stand aside are not those that were signed: give its export")
        await connection.execute("UPDATE ledger.books SET detached_at = NULL WHERE book = $1", book)
        await connection.execute(_RECORD, book, "attached", actor, reason, size, root, "")
    return Attached(book, size, root.hex(), from_export=not aside)


@asynccontextmanager
async def _partitions_changing(pool: "asyncpg.Pool[Any]") -> AsyncIterator[AnyConnection]:
    """A transaction whose wait for a lock is told as BookBusy."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            yield connection
    except asyncpg.LockNotAvailableError as error:
        raise BookBusy(f"somebody has read the events for {LOCK_TIMEOUT_S} s: try again when he is done") from error


async def _head(database: "asyncpg.Pool[Any] | AnyConnection", book: str) -> tuple[int, int, bool]:
    """Size, number, and whether it is detached, of a closed book."""
    row = await database.fetchrow(
        "SELECT closed_size, number, detached_at IS NOT NULL AS detached FROM ledger.books WHERE book = $1", book
    )
    if row is None:
        raise BookUnknown(f"there is no book {book}")
    if row["closed_size"] is None:
        raise BookNotClosed(f"{book} is open: close it first")
    return row["closed_size"], row["number"], row["detached"]


async def _signed_root(pool: "asyncpg.Pool[Any]", book: str, size: int, public_key: Ed25519PublicKey) -> bytes:
    note = await pool.fetchval("SELECT note FROM ledger.checkpoints WHERE book = $1 AND size = $2", book, size)
    if note is None:
        raise BookNotSealed(f"no checkpoint covers all {size} events of {book}: close it again")
    signed = open_note(note, public_key)
    if signed.size != size or signed.origin.rpartition("/")[2] != book:
        raise BookNotSealed(f"the checkpoint at {size} of {book} is over something else: verify the book")
    return signed.root


def _audit(export: Path, public_key: Ed25519PublicKey, book: str, size: int, root: bytes, advance: Advance) -> None:
    reading = Reading(export, public_key)
    try:
        _compare(reading, book, size, root)
        for page in reading.pages():
            advance(len(page))
    except Wrong as found:
        raise ExportDiffers(f"the export in {export} is not right: {found}") from None
    finally:
        reading.close()


def _compare(reading: Reading, book: str, size: int, root: bytes) -> None:
    manifest, checkpoint = reading.open()
    if (manifest.book, checkpoint.size, checkpoint.root) != (book, size, root):
        raise ExportDiffers(
            f"the export is of {manifest.book} with {checkpoint.size} events, and {book} has {size}: export it anew"
        )


async def _copy(
    connection: AnyConnection, export: Path, public_key: Ed25519PublicKey, book: str, size: int, root: bytes
) -> None:
    reading = Reading(export, public_key)
    try:
        await asyncio.to_thread(_compare, reading, book, size, root)
        await connection.copy_records_to_table(
            "events", schema_name="ledger", columns=Event._fields, records=_events(reading)
        )
    except Wrong as found:
        raise ExportDiffers(f"the export in {export} is not right: {found}") from None
    finally:
        reading.close()


async def _events(reading: Reading) -> AsyncIterator[Event]:
    pages = reading.pages()
    while page := await asyncio.to_thread(next, pages, None):
        for event in page:
            yield event


async def _root_over(connection: AnyConnection, table: str, book: str, size: int, advance: Advance) -> bytes:
    frontier = Frontier()
    rows = await connection.cursor(_LEAVES.format(table=table), book)
    while page := await rows.fetch(LEAVES_PER_FETCH):
        for expected, row in enumerate(page, start=frontier.size + 1):
            if row["sequence"] != expected:
                raise ExportDiffers(f"event {expected} of {book} is missing: verify the book")
        frontier.extend([row["leaf"] for row in page])
        advance(len(page))
    if frontier.size != size:
        raise ProcedureError(f"{book} has {size} events by its head row, and {frontier.size} are left: verify the book")
    return frontier.root()
