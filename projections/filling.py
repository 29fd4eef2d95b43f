"""Fills a new build of the views from the first event, as fast as one process can.

Nobody sees a build before it is finished, so a book need not be read in the order in which it was recorded: it is read
stream after stream. Each stream is folded in memory to its end and its rows are written once, a page of streams at a
time; what has to be remembered is one page and one stream. The result is that of `projections.advance`, event by event:
a stream that cannot be taken in is handed to the same code, which parks what is wrong with it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson
from asyncpg.pgproto.pgproto import UUID

from ledger.reading import bodies_by_stream, bodies_of_stream
from ledger.types import RecordedEvent
from projections import batch
from projections.advance import ROW_REFUSED, apply_singly
from projections.database import AnyConnection
from projections.newest import read_event
from projections.rows import Row, View

PAGE_EVENTS: Final = 2_000
"""So many events are in memory at once, and the next page is on its way."""

SLICE_EVENTS: Final = 200
"""So many events are folded before the connection gets its turn."""

Progress: TypeAlias = Callable[[int], None]
"""Is told how many events of all books were read so far."""

# A build that a crash of the server interrupts is begun anew. The switch is durable, and so is then all before it.
_LAZILY = "SET LOCAL synchronous_commit = off"
_FILLED = "INSERT INTO checkpoints (book, sequence, token) VALUES ($1, $2, 0)"


@dataclass(slots=True)
class _Stream:
    """A stream that is being folded, or has been."""

    name: str
    views: tuple[View, ...]
    rows: dict[str, dict[str, Row]]
    parked: list[batch.Parked] = field(default_factory=list)
    blocked: bool = False


def fillable(views: Mapping[str, tuple[View, ...]]) -> bool:
    """Whether all views may be filled stream by stream."""
    return all(view.per_stream for group in views.values() for view in group)


async def fill(
    connection: AnyConnection,
    views: Mapping[str, tuple[View, ...]],
    until: Mapping[str, int],
    progress: Progress | None = None,
) -> int:
    """Fill the empty tables that the connection's search path names with each book up to `until`; give how many events.

    `views` are those of each kind of stream; all of them must be `per_stream`.
    """
    assert fillable(views), "a view that mixes streams is filled in the order of the book"
    filled = 0
    statements = await batch.prepare(connection, views)
    for book in sorted(until):
        filled += await _Filling(connection, statements, views, book, until[book]).run(filled, progress)
    return filled


class _Filling:
    """One book on its way into one build."""

    def __init__(
        self,
        connection: AnyConnection,
        statements: dict[str, batch.Statements],
        views: Mapping[str, tuple[View, ...]],
        book: str,
        until: int,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._views = views
        self._book = book
        self._until = until
        self._open: _Stream | None = None
        self._closed: list[_Stream] = []

    async def run(self, before: int, progress: Progress | None) -> int:
        """Read the book to its end and write the checkpoint; give how many events there were.

        `before` is how many events the books before this one had.
        """
        read = 0
        bodies = await self._page("", 0)
        while bodies:
            last = read_event(bodies[-1])
            finished, self._closed = self._closed, []
            # The server is busy with the page before and with the next one while this one is folded.
            meanwhile = asyncio.create_task(self._write_and_read(finished, last))
            try:
                await self._fold(bodies)
                read += len(bodies)
            finally:
                bodies = await meanwhile
            if progress is not None:
                progress(before + read)
        if self._open is not None:
            self._closed.append(self._open)
        await self._write(self._closed)
        await self._connection.execute(_FILLED, self._book, self._until)
        return read

    async def _write_and_read(self, finished: Sequence[_Stream], last: RecordedEvent) -> list[bytes]:
        await self._write(finished)
        return await self._page(last.stream, last.version)

    async def _page(self, stream: str, version: int) -> list[bytes]:
        return await bodies_by_stream(self._connection, self._book, self._until, (stream, version), PAGE_EVENTS)

    async def _fold(self, bodies: Sequence[bytes]) -> None:
        """Fold the events into their streams; the last stream stays open, since it may go on in the next page."""
        stream = self._open
        for start in range(0, len(bodies), SLICE_EVENTS):
            for event in (read_event(body, UUID) for body in bodies[start : start + SLICE_EVENTS]):
                if stream is None or event.stream != stream.name:
                    if stream is not None:
                        self._closed.append(stream)
                    stream = self._begin(event)
                elif stream.blocked:
                    stream.parked.append(batch.Parked(event, batch.BLOCKED))
                    continue
                if not stream.blocked:
                    _apply(stream, event)
            # Lets what the server has sent meanwhile be taken in, and the next question be asked.
            await asyncio.sleep(0)
        self._open = stream

    def _begin(self, event: RecordedEvent) -> _Stream:
        try:
            views = batch.views_of(event, self._views)
        except batch.POISON as error:
            return _Stream(event.stream, (), {}, [batch.Parked(event, batch.reason(error))], blocked=True)
        return _Stream(event.stream, views, {view.table: {} for view in views})

    async def _write(self, closed: Sequence[_Stream]) -> None:
        """Write the rows and the parked events of streams that are folded to their end."""
        if not closed:
            return
        rows: dict[str, list[Row]] = {}
        for stream in closed:
            for view in stream.views:
                rows.setdefault(view.table, []).extend(map(view.freeze, stream.rows[view.table].values()))
        try:
            async with self._connection.transaction():
                await self._connection.execute(_LAZILY)
                for table, each in rows.items():
                    await self._connection.execute(
                        self._statements[table].insert, orjson.dumps(each, default=str).decode()
                    )
                await batch.park(self._connection, [each for stream in closed for each in stream.parked])
        except ROW_REFUSED:
            for stream in closed:
                await self._write_singly(stream)

    async def _write_singly(self, stream: _Stream) -> None:
        """Take in a stream event by event, because the database refused a row of this page."""
        after = 0
        async with self._connection.transaction():
            while bodies := await bodies_of_stream(
                self._connection, self._book, stream.name, self._until, after, PAGE_EVENTS
            ):
                events = [read_event(body) for body in bodies]
                after = events[-1].version
                await apply_singly(self._connection, self._statements, self._book, events, some_parked=True)


def _apply(stream: _Stream, event: RecordedEvent) -> None:
    """Change the rows that the event concerns, all or none; without an answer it is parked."""
    rows = stream.rows
    try:
        changed = []
        for view in stream.views:
            key = view.key_of(event)
            if key is not None:
                row = view.apply(rows[view.table].get(key), event)
                if row[view.key] != key:
                    raise ValueError(batch.misplaced(view))
                changed.append((view.table, key, row))
    except batch.POISON as error:
        stream.parked.append(batch.Parked(event, batch.reason(error)))
        stream.blocked = True
        return
    for table, key, row in changed:
        rows[table][key] = row
