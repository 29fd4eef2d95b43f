"""Read every event again and say which one is the first that is not what was recorded.

What is compared, event by event and in constant memory:

    the place       sequences are dense; the last one is the head row's, and no checkpoint is beyond it
    the bytes       the stored leaf hash is the hash of the stored bytes
    the columns     each column says what the bytes say; an event whose bytes name another sequence was exchanged
    the roots       at each checkpoint's size the root over all leaves is the signed one
    the signatures  each checkpoint is signed by a key that counts, and its columns are those of the signed text
    the witnesses   what they have countersigned is still there, and what they should have countersigned is

Events after the last checkpoint are protected by nothing but their own hashes. Checkpoints that stand outside the
database protect against somebody who owns it: give their directory.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import repeat
from operator import contains
from pathlib import Path
from typing import Any, Final, Literal

import asyncpg
import asyncpg.cursor
import orjson

from ledger.advance import Advance, uncounted
from ledger.canonical import instant
from ledger.checkpoint import Checkpoint
from ledger.cosignature import Witness
from ledger.detaching import detached_books
from ledger.errors import BadSignature, CheckpointError, InvalidProofInput
from ledger.keyring import Trust, keyring_of, read_database, read_directory
from ledger.merkle import Frontier
from ledger.outside import Mark, Outside, WitnessMissed
from ledger.schema import AnyConnection
from ledger.seal import checkpoint_file

EVENTS_PER_FETCH: Final = 200
"""What is on its way fits into the buffer of the socket, so that PostgreSQL and Python work at the same time."""
CHECKPOINTS_PER_FETCH: Final = 500

Problem = Literal[
    "changed", "missing", "exchanged", "streams-exchanged", "rewritten", "head", "checkpoint", "signature", "witness"
]

# The end of the envelope as the columns would have it, from "effective_at" on, and the end of what stands before the
# correlation id. Only where the bytes are not like this are they parsed. Canonical bytes end at the top level, so
# nothing inside the data can pass for it. Times are told in UTC, and spelt once where both are one instant. (to_char
# would spell them more plainly, at five times the cost. Each OFFSET keeps the planner from spelling a time again.)
_TIME: Final = "overlay(CASE length({0}) WHEN 19 THEN {0} || '.000000' ELSE rpad({0}, 26, '0') END PLACING 'T' FROM 11)"
_EVENTS: Final = f"""
SELECT sequence, leaf_hash, body,
       convert_to(concat(
           '"effective_at":"',
           CASE WHEN effective_at <> recorded_at THEN {_TIME.format("effective_at::timestamp::text")} ELSE recorded END,
           'Z","id":"', id, '","recorded_at":"', recorded, 'Z","schema_version":', schema_version,
           ',"sequence":', sequence, ',"stream":', to_json(stream), ',"type":', to_json(type),
           ',"version":', version, '}}'), 'UTF8') AS ending,
       convert_to('","command_id":"' || command_id, 'UTF8') AS command
FROM (
    SELECT x.*, {_TIME.format("recorded_text")} AS recorded
    FROM (
        SELECT *, recorded_at::timestamp::text AS recorded_text
        FROM ledger.events WHERE book = $1 ORDER BY sequence OFFSET 0
    ) x OFFSET 0
) y
"""  # noqa: S608 - made of constants

_COLUMNS: Final = """
SELECT book, sequence, id, stream, version, type, schema_version, command_id, recorded_at, effective_at
FROM ledger.events WHERE book = $1 AND sequence = $2
"""

_IN_STREAM: Final = "SELECT body FROM ledger.events WHERE book = $1 AND stream = $2 AND version = $3"

# Every book that any table knows: one whose head row was removed still has its events. The recursion hops from one
# book of the events to the next by the index.
_BOOKS: Final = """
WITH RECURSIVE held(book) AS (
    SELECT min(book) FROM ledger.events
    UNION ALL
    SELECT (SELECT min(e.book) FROM ledger.events e WHERE e.book > held.book) FROM held WHERE held.book IS NOT NULL
)
SELECT book FROM ledger.books
UNION SELECT book FROM ledger.checkpoints
UNION SELECT book FROM held WHERE book IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class BookReport:
    """What was found in one book.

    `size` events from the first on are right, and `root_hex` is the root over them; when the book is `verified`,
    that is all of it. `sealed` of them are covered by good checkpoints. Otherwise `problem` and `detail` say what is
    wrong, and `first_wrong` is the sequence of the first event concerned, if it is an event that is wrong:

        changed     a column, the bytes or the leaf hash are not what was recorded
        missing     events are gone, in between or at the end
        exchanged   an event stands in the place of another one
        streams-exchanged  the event is said to be of another stream, and that one's event of the same version of this
        rewritten   the events up to a checkpoint are sound in themselves, but not those that were signed; the first
                    wrong one is at `first_wrong` or after it, and not after the checkpoint
        head        there are events beyond the head row of the book
        checkpoint  a checkpoint cannot be read, or its columns are not those of its text
        signature   a checkpoint is not signed by a key that counts at its size
        witness     a required witness has not countersigned what it should have, or a countersignature is not right

    All required witnesses have countersigned `witnessed` events.
    """

    book: str
    size: int
    root_hex: str
    verified: bool
    first_wrong: int | None
    problem: Problem | None
    detail: str
    sealed: int
    witnessed: int = 0


@dataclass(frozen=True, slots=True)
class _Sealed:
    size: int
    root: bytes
    where: str


class _Wrong(Exception):
    def __init__(self, problem: Problem, first_wrong: int | None, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.first_wrong = first_wrong


async def verify(
    database: "asyncpg.Pool[Any] | AnyConnection",
    trust: Trust,
    book: str | None = None,
    directory: Path | None = None,
    *,
    witnesses: Sequence[Witness] = (),
    held: Mapping[str, Mapping[str, int]] | None = None,
    advance: Advance = uncounted,
) -> list[BookReport]:
    """Verify one book or, with None, all of them, and report on each, by name. A book that nobody knows is missing.
    Books that were detached are left out of all: their events are verified where their export is.

    `database` is a pool, or a connection outside a transaction. `trust` is the public key, or a ring of them; those
    that followed it or that it followed are found by their notes. With `directory` the checkpoints that the sealer
    wrote there are compared too, and what `witnesses` have countersigned. `held` gives, by book and witness, how many
    events a witness said just now that it has countersigned. Raises asyncpg's errors; what is wrong with a book is
    told in its report.
    """
    async with _connection(database) as connection:
        names = [book] if book is not None else [row["book"] for row in await connection.fetch(_BOOKS)]
        try:
            notes = [*await read_database(connection), *read_directory(directory)]
            outside = Outside(keyring_of(trust).with_successions(notes), directory, witnesses, held or {})
        except CheckpointError as error:
            nothing = Frontier().root().hex()
            return [BookReport(name, 0, nothing, False, None, "signature", str(error), 0) for name in sorted(names)]
        if book is None:
            elsewhere = {each.book for each in await detached_books(connection)}
            names = sorted({*names, *outside.books()} - elsewhere)
        return [await _BookReader(connection, outside, name, advance).report() for name in names]


@asynccontextmanager
async def _connection(database: "asyncpg.Pool[Any] | AnyConnection") -> AsyncIterator[AnyConnection]:
    if isinstance(database, asyncpg.Pool):
        async with database.acquire() as connection:
            yield connection
    else:
        yield database


class _BookReader:
    """Reads one book from its first event to its last, in one snapshot."""

    def __init__(self, connection: AnyConnection, outside: Outside, book: str, advance: Advance) -> None:
        self._connection = connection
        self._outside = outside
        self._book = book
        self._advance = advance
        self._directory = outside.directory
        self._frontier = Frontier()
        self._sealed = 0
        self._wrong: _Wrong | None = None
        self._witnessed = 0
        self._turn = asyncio.Lock()

    async def report(self) -> BookReport:
        wrong: _Wrong | None = None
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            await self._connection.execute(
                "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL TimeZone = 'UTC'; "
                # Whatever the statistics of a young table say: in order by the index, never sorted as a whole.
                "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
            )
            try:
                await self._read()
                await self._compare_with_witnesses()
            except _Wrong as found:
                wrong = found
        return BookReport(
            book=self._book,
            size=self._frontier.size,
            root_hex=self._frontier.root().hex(),
            verified=wrong is None,
            first_wrong=wrong.first_wrong if wrong else None,
            problem=wrong.problem if wrong else None,
            detail=str(wrong) if wrong else "",
            sealed=self._sealed,
            witnessed=self._witnessed,
        )

    async def _read(self) -> None:
        head = await self._connection.fetchval("SELECT sequence FROM ledger.books WHERE book = $1", self._book)
        last_by_head = head or 0
        outside = self._read_file()
        frontier = self._frontier
        async with aclosing(self._checkpoints()) as checkpoints, aclosing(self._pages()) as pages:
            due = await anext(checkpoints, None)
            async for page in pages:
                leaves = self._sound_leaves(page, last_by_head) or await self._look_closely(page, last_by_head)
                # A checkpoint is compared where it stands, in the middle of a page as well as at its end.
                while leaves:
                    sizes = [signed.size for signed in (due, outside) if signed and signed.size > frontier.size]
                    count = min([len(leaves), *(size - frontier.size for size in sizes)])
                    frontier.extend(leaves[:count])
                    leaves = leaves[count:]
                    if outside is not None and frontier.size == outside.size:
                        self._compare(outside)
                    if due is not None and frontier.size == due.size:
                        self._compare(due)
                        due = await anext(checkpoints, None)
                if self._wrong is not None:
                    raise self._wrong
                self._advance(len(page))
        last = frontier.size
        if last_by_head > last:
            raise _Wrong("missing", last + 1, f"the book has {head} events by its head row, and {last} are left")
        for signed in (due, outside):
            if signed is not None and signed.size > last:
                raise _Wrong("missing", last + 1, f"{signed.where} has {signed.size} events, and {last} are left")
        if head is None:
            raise _Wrong("missing", 1, "nobody knows this book")

    def _sound_leaves(self, page: list[Any], last_by_head: int) -> list[bytes]:
        """Give the leaves of a page on which everything is right, and none when something might not be.

        All comparisons of a page run through it in C, one kind after the other: that is most of the speed.
        """
        sequences, leaves, bodies, endings, commands = zip(*page, strict=True)
        first = self._frontier.size + 1
        heads = [body[: body.find(b'","correlation_id":"')] for body in bodies]
        # Quotes inside the actor and the ids are escaped, so such marks are those of the envelope itself.
        book_mark = f'","book":"{self._book}","causation_id":"'.encode()
        sound = (
            sequences == tuple(range(first, first + len(page)))
            and sequences[-1] <= last_by_head
            and tuple([sha256(b"\x00" + body).digest() for body in bodies]) == leaves
            and all(map(bytes.endswith, bodies, endings))
            and all(map(bytes.endswith, heads, commands))
            and all(map(contains, heads, repeat(book_mark)))
        )
        return list(leaves) if sound else []

    async def _look_closely(self, page: list[Any], last_by_head: int) -> list[bytes]:
        """Give the leaves of a page up to its first wrong event, and keep what is wrong with that."""
        leaves: list[bytes] = []
        for row in page:
            self._wrong = await self._explain(row, self._frontier.size + len(leaves) + 1, last_by_head)
            if self._wrong is not None:
                break
            leaves.append(row["leaf_hash"])
        return leaves

    async def _pages(self) -> AsyncGenerator[list[Any], None]:
        # The next page is asked for before this one is looked at, so that PostgreSQL and Python work side by side.
        events = await self._connection.cursor(_EVENTS, self._book)
        asked = asyncio.create_task(self._fetch(events, EVENTS_PER_FETCH))
        try:
            while page := await asked:
                asked = asyncio.create_task(self._fetch(events, EVENTS_PER_FETCH))
                await asyncio.sleep(0)
                yield page
        finally:
            await asyncio.gather(asked, return_exceptions=True)

    async def _fetch(self, rows: "asyncpg.cursor.Cursor[Any]", count: int) -> list[Any]:
        # The connection serves one call at a time, and a page of events may be on its way.
        async with self._turn:
            return await rows.fetch(count)

    async def _explain(self, row: Any, expected: int, last_by_head: int) -> _Wrong | None:
        sequence, leaf, body, *_ = row
        if sequence != expected:
            return _Wrong("missing", expected, f"after event {expected - 1} comes event {sequence}")
        if sha256(b"\x00" + body).digest() != leaf:
            return _Wrong("changed", sequence, "the bytes do not have the stored leaf hash")
        async with self._turn:
            columns = await self._connection.fetchrow(_COLUMNS, self._book, sequence)
        wrong = _compare_columns(sequence, body, columns)
        if wrong is not None and wrong.problem == "changed":
            wrong = await self._explain_stream(sequence, body, columns) or wrong
        if wrong is None and sequence > last_by_head:
            wrong = _Wrong("head", sequence, f"the book ends at {last_by_head} by its head row")
        return wrong

    async def _explain_stream(self, sequence: int, body: bytes, columns: Any) -> _Wrong | None:
        # Two streams were exchanged if the event that stands in this one's place says that it is of the other's.
        try:
            recorded = orjson.loads(body).get("stream")
        except (orjson.JSONDecodeError, AttributeError):
            return None
        if not isinstance(recorded, str) or recorded == columns["stream"]:
            return None
        async with self._turn:
            other = await self._connection.fetchrow(_IN_STREAM, self._book, recorded, columns["version"])
        if other is None or f'"stream":{orjson.dumps(columns["stream"]).decode()},'.encode() not in other["body"]:
            return None
        return _Wrong(
            "streams-exchanged", sequence, f"it was recorded in {recorded}, and that one's event in {columns['stream']}"
        )

    def _compare(self, signed: _Sealed) -> None:
        if self._frontier.root() != signed.root:
            raise _Wrong(
                "rewritten",
                self._sealed + 1,
                f"events {self._sealed + 1} to {signed.size} are not those that were signed in {signed.where}",
            )
        self._sealed = signed.size

    async def _checkpoints(self) -> AsyncGenerator[_Sealed, None]:
        # What others hold of the book comes between our own checkpoints, by size, and once where sizes are equal.
        marks = self._marks()
        rows = await self._connection.cursor(
            "SELECT size, root, sealed_at, note, frontier FROM ledger.checkpoints WHERE book = $1 ORDER BY size",
            self._book,
        )
        while page := await self._fetch(rows, CHECKPOINTS_PER_FETCH):
            for row in page:
                where = f"the checkpoint at {row['size']}"
                signed = self._open(row["note"], where)
                if (signed.size, signed.root, signed.sealed_at) != (row["size"], row["root"], row["sealed_at"]):
                    raise _Wrong("checkpoint", None, f"{where} has other columns than its text")
                if not _adds_up(row["frontier"], signed):
                    raise _Wrong("checkpoint", None, f"{where} has a frontier that does not add up to its root")
                while marks and marks[0].size < signed.size:
                    yield _merged(marks)
                yield _merged(marks, _Sealed(signed.size, signed.root, where))
        while marks:
            yield _merged(marks)

    def _marks(self) -> list[Mark]:
        try:
            return self._outside.marks(self._book)
        except WitnessMissed as missed:
            raise _Wrong("witness", None, str(missed)) from missed

    async def _compare_with_witnesses(self) -> None:
        witness, held = self._outside.longest_held(self._book)
        last = self._frontier.size
        if held > last:
            raise _Wrong("missing", last + 1, f"the witness {witness} has countersigned {held} events, {last} are left")
        try:
            self._witnessed = await self._outside.witnessed(self._connection, self._book)
        except WitnessMissed as missed:
            raise _Wrong("witness", None, str(missed)) from missed

    def _read_file(self) -> _Sealed | None:
        if self._directory is None:
            return None
        path = checkpoint_file(self._directory, self._book)
        try:
            note = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise _Wrong("checkpoint", None, f"{path} cannot be read") from error
        where = f"the checkpoint in {path}"
        signed = self._open(note, where)
        return _Sealed(signed.size, signed.root, where)

    def _open(self, note: str, where: str) -> Checkpoint:
        try:
            signed = self._outside.keyring.open(note)
        except BadSignature as error:
            raise _Wrong("signature", None, f"{where} does not count: {error}") from error
        except CheckpointError as error:
            raise _Wrong("checkpoint", None, f"{where} cannot be read: {error}") from error
        if signed.origin.rpartition("/")[2] != self._book:
            raise _Wrong("checkpoint", None, f"{where} is of another book: {signed.origin}")
        return signed


def _merged(marks: list[Mark], own: _Sealed | None = None) -> _Sealed:
    # Takes the marks of the next size away. Where signed statements of one size differ, no tree can meet them all.
    result = own
    if result is None:
        first = marks.pop(0)
        result = _Sealed(first.size, first.root, first.where)
    while marks and marks[0].size == result.size:
        mark = marks.pop(0)
        if mark.root != result.root:
            result = _Sealed(result.size, b"", f"{result.where}, which contradicts {mark.where}")
    return result


def _adds_up(frontier: bytes, signed: Checkpoint) -> bool:
    try:
        return Frontier.restore(signed.size, frontier).root() == signed.root
    except InvalidProofInput:
        return False


def _compare_columns(sequence: int, body: bytes, columns: Any) -> _Wrong | None:
    try:
        envelope: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Wrong("changed", sequence, "the bytes are not JSON")
    if envelope.get("sequence") != sequence:
        return _Wrong("exchanged", sequence, f"it was recorded as event {envelope.get('sequence')}")
    different = [name for name, value in columns.items() if envelope.get(name) != _spell(value)]
    if different:
        return _Wrong("changed", sequence, f"columns {', '.join(different)} differ from the bytes")
    if orjson.dumps(envelope, option=orjson.OPT_SORT_KEYS) != body:
        return _Wrong("changed", sequence, "the bytes are not in canonical form")
    return None


def _spell(value: object) -> object:
    if isinstance(value, datetime):
        return instant(value)
    return value if isinstance(value, int) else str(value)
