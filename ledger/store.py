"""The event store: append, and read streams, books, commands and counters.

An append goes through the coalescer, so that concurrent callers share commits. Events are read from their stored
bytes, not from the columns.

Order: a book's sequence is dense and given out under the lock of its head row, which is held until the commit. So
commits become visible in the order of sequences: a reader that has seen sequence n will never find a new event at n or
before. A number whose transaction failed goes to the next one. Within a stream, the order of versions is the order of
sequences. Between books there is no order.

Answers: whatever is answered to an append rests on what is committed. Appends of one batch are judged one after the
other, each on what the ones before it have changed, and all of them in one transaction under the locks of all that they
touch. The database hands its answers out when it has committed; when the commit fails there are none, and each append
is asked anew. So a refusal whose cause stands in its own batch is as right as if the two had come one by one.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import asyncpg

from ledger import together
from ledger.batch import prepare
from ledger.canonical import parse_event
from ledger.closing import named
from ledger.coalescer import Coalescer
from ledger.detaching import Whereabouts
from ledger.errors import AppendRejected, LedgerError, PageOutOfRange, StreamInAnotherBook, StreamTooLong
from ledger.evolution import OPAQUE, Schemas
from ledger.schema import ONE_BOOK
from ledger.types import Append, AppendResult, Counter, RecordedEvent, StoredReply, StreamHead, StreamPlace

PAGE_LIMIT: Final = 10_000
"""No page is longer than this."""

MAX_STREAM_EVENTS: Final = 100_000
"""No stream that is read as a whole is longer than this."""

MAX_BOOKS: Final = 10_000
MIN_POOL_CONNECTIONS: Final = 2
"""One connection is the writer's own; reads need another."""

_LAST_CHARACTER: Final = chr(0x10FFFF)

# Each is looked up by index, however small the tables were when PostgreSQL planned it.
_REPLIES: Final = """
SELECT c.command_id, c.content_hash, c.reply
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM ledger.commands WHERE command_id = wanted.id LIMIT 1) AS c
"""
_NEWER: Final = """
SELECT wanted.place, e.body
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS wanted (book, stream, version, place)
CROSS JOIN LATERAL (
    SELECT body, version FROM ledger.events
    WHERE book = wanted.book AND stream = wanted.stream AND version > wanted.version ORDER BY version LIMIT $4
) AS e
ORDER BY wanted.place, e.version LIMIT $4
"""


class Ledger:
    """An event store on a pool of connections to a migrated database.

    `schemas` are the events that may be written; every event is read in its newest version (see `ledger.evolution`).
    Close it before its pool: until then it keeps one of the pool's connections. Reads raise asyncpg's errors.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", schemas: Schemas = OPAQUE) -> None:
        if pool.get_max_size() < MIN_POOL_CONNECTIONS:
            raise LedgerError(f"a ledger needs a pool of at least {MIN_POOL_CONNECTIONS} connections")
        self._pool = pool
        self._schemas = schemas
        self._coalescer = Coalescer(pool)
        self._whereabouts = Whereabouts(pool)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def append(self, append: Append) -> AppendResult:
        """Store one append, or say why not; see `ledger.types` for the answers.

        Raises a subclass of InvalidAppend for a malformed one, LedgerUnavailable when the database did not answer
        (then send it again under the same command id: it is stored at most once), AppendRejected (StreamInAnotherBook
        and BookClosed among them), LedgerClosed.
        """
        self._schemas.check(append)
        try:
            return await self._coalescer.append(prepare(append))
        except AppendRejected as error:
            raise _named(error) from error.__cause__

    async def append_many(self, appends: list[Append]) -> list[AppendResult]:
        """Store many appends, in their order, and give an answer for each in the same order.

        They share commits but not their fate: a refused one changes nothing for the others. A malformed append
        raises before any is sent; when the database is lost on the way, the first error is raised, and sending all
        of them again is safe.
        """
        for append in appends:
            self._schemas.check(append)
        prepared = [prepare(append) for append in appends]
        pending = [await self._coalescer.enqueue(one) for one in prepared]
        results: list[AppendResult] = []
        errors: list[BaseException] = []
        for result in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(result, BaseException):
                errors.append(_named(result) if isinstance(result, AppendRejected) else result)
            else:
                results.append(result)
        if errors:
            raise errors[0]
        return results

    async def append_together(self, appends: Sequence[Append], *, only_try: bool = False) -> list[AppendResult]:
        """Store all of them in one transaction or none, and give an answer for each, in order.

        Each is judged on what the ones before it would leave. When one is not appended, or `only_try` is set, nothing
        is stored, and the answers say what would have been. Raises as `append` does, and TooManyTogether.
        """
        for append in appends:
            self._schemas.check(append)
        try:
            return await together.send(self._pool, [prepare(append) for append in appends], only_try=only_try)
        except AppendRejected as error:
            raise _named(error) from error.__cause__

    async def find_command(self, command_id: UUID) -> StoredReply | None:
        """Give what was answered to a command, or None when it was never carried out."""
        row = await self._pool.fetchrow(
            "SELECT content_hash, reply FROM ledger.commands WHERE command_id = $1", command_id
        )
        return None if row is None else StoredReply(row["content_hash"], row["reply"])

    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """Give a stream's events after a version, in order; none for an unknown stream.

        Raises StreamTooLong, and BookDetached when the book's events are not here any more.
        """
        rows = await self._pool.fetch(
            "SELECT body FROM ledger.events WHERE book = $1 AND stream = $2 AND version > $3 ORDER BY version LIMIT $4",
            book,
            stream,
            after_version,
            MAX_STREAM_EVENTS + 1,
        )
        if len(rows) > MAX_STREAM_EVENTS:
            raise StreamTooLong(f"{stream} holds more than {MAX_STREAM_EVENTS} events after version {after_version}")
        if not rows:
            await self._whereabouts.check(book)
        newest = self._schemas.newest
        return [newest(parse_event(row["body"])) for row in rows]

    async def find_commands(self, command_ids: Sequence[UUID]) -> dict[UUID, StoredReply]:
        """Give what was answered to commands; those that were never carried out are not in it."""
        rows = await self._pool.fetch(_REPLIES, command_ids)
        return {row["command_id"]: StoredReply(row["content_hash"], row["reply"]) for row in rows}

    async def read_newer(self, places: Sequence[StreamPlace]) -> dict[StreamPlace, list[RecordedEvent]]:
        """Give the events of streams after a version each, in order; a stream without any is not in it.

        Raises StreamTooLong when they are more than MAX_STREAM_EVENTS together, and BookDetached when the events of
        one of the books are not here any more.
        """
        rows = await self._pool.fetch(
            _NEWER,
            [each.book for each in places],
            [each.stream for each in places],
            [each.after_version for each in places],
            MAX_STREAM_EVENTS + 1,
        )
        if len(rows) > MAX_STREAM_EVENTS:
            raise StreamTooLong(f"{len(places)} streams hold more than {MAX_STREAM_EVENTS} such events together")
        newest = self._schemas.newest
        found: dict[StreamPlace, list[RecordedEvent]] = {}
        for row in rows:
            found.setdefault(places[row["place"] - 1], []).append(newest(parse_event(row["body"])))
        for book in {each.book for each in places if each not in found}:
            await self._whereabouts.check(book)
        return found

    async def stream_version(self, book: str, stream: str) -> int:
        """Give the version of a stream, which is the number of its events; 0 for an unknown one."""
        version = await self._pool.fetchval(
            "SELECT version FROM ledger.streams WHERE book = $1 AND stream = $2", book, stream
        )
        return 0 if version is None else int(version)

    async def read_book(self, book: str, after_sequence: int, limit: int) -> list[RecordedEvent]:
        """Give at most `limit` (1 to PAGE_LIMIT) events of a book after a sequence, in order, without a gap.

        Raises BookDetached when the book's events are not here any more.
        """
        _check_page(limit)
        rows = await self._pool.fetch(
            "SELECT body FROM ledger.events WHERE book = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            book,
            after_sequence,
            limit,
        )
        if not rows:
            await self._whereabouts.check(book)
        newest = self._schemas.newest
        return [newest(parse_event(row["body"])) for row in rows]

    async def head(self, book: str) -> int:
        """Give the last sequence of a book; 0 for one without events."""
        sequence = await self._pool.fetchval("SELECT sequence FROM ledger.books WHERE book = $1", book)
        return 0 if sequence is None else int(sequence)

    async def books(self) -> list[str]:
        """Give the names of the books, in order."""
        rows = await self._pool.fetch("SELECT book FROM ledger.books ORDER BY book LIMIT $1", MAX_BOOKS + 1)
        if len(rows) > MAX_BOOKS:
            raise PageOutOfRange(f"there are more than {MAX_BOOKS} books")
        return [row["book"] for row in rows]

    async def streams(self, book: str, prefix: str = "", after: str = "", limit: int = PAGE_LIMIT) -> list[StreamHead]:
        """Give the streams of a book whose names begin with `prefix`, by name, a page after the name `after`."""
        _check_page(limit)
        rows = await self._pool.fetch(
            "SELECT stream, version FROM ledger.streams "
            "WHERE book = $1 AND stream >= $2 AND stream < $3 AND stream > $4 ORDER BY stream LIMIT $5",
            book,
            prefix,
            prefix + _LAST_CHARACTER,
            after,
            limit,
        )
        return [StreamHead(row["stream"], row["version"]) for row in rows]

    async def counter(self, key: str) -> Counter:
        """Give one counter; one that was never seen has nothing in use and a limit of 0."""
        row = await self._pool.fetchrow("SELECT used, maximum FROM ledger.counters WHERE key = $1", key)
        return Counter(key, 0, 0) if row is None else Counter(key, row["used"], row["maximum"])

    async def counters(self, prefix: str, after: str = "", limit: int = PAGE_LIMIT) -> list[Counter]:
        """Give the counters whose keys begin with `prefix`, by key, a page after the key `after`."""
        _check_page(limit)
        rows = await self._pool.fetch(
            "SELECT key, used, maximum FROM ledger.counters "
            "WHERE key >= $1 AND key < $2 AND key > $3 ORDER BY key LIMIT $4",
            prefix,
            prefix + _LAST_CHARACTER,
            after,
            limit,
        )
        return [Counter(row["key"], row["used"], row["maximum"]) for row in rows]

    async def close(self) -> None:
        """Answer whoever still waits for an append, and give the writer's connection back to the pool."""
        await self._coalescer.close()


def _named(error: AppendRejected) -> AppendRejected:
    """The error by its name, where the name of the rule that the database has kept tells it."""
    if getattr(error.__cause__, "constraint_name", None) != ONE_BOOK:
        return named(error)
    return StreamInAnotherBook(
        "a stream that is to begin lives in another book already: send its events there, or correct its name"
    )


def _check_page(limit: int) -> None:
    if not 1 <= limit <= PAGE_LIMIT:
        raise PageOutOfRange(f"a page holds 1 to {PAGE_LIMIT} rows, not {limit}")
