"""Reading the ledger in other ways than by stream or book: by type, by correlation, as things once stood, and stream
after stream.

A page is a list of at most MAX_PAGE_EVENTS events in the order of sequences. The next page begins after the last
sequence of this one; a page that is shorter than its limit was the last one for now.

By type and by correlation there is no index: the book is scanned from `after_sequence` on, and only there. Of 100,000
events, a scan that finds nothing takes 33 ms by type and 93 ms by correlation; one that fills its page ends before.
An index would be paid for by every append: measured in turns, medians of three runs, appends fell to 0.90-0.96 of
their rate with one on the type, to 0.90-0.94 with one on the correlation id's bytes, and to 0.75-0.77 with one on the
id as PostgreSQL parses it. Who asks often keeps a projection; who knows the stream says so, and only it is looked at.

Events are given in their newest version where `schemas` are given, see `ledger.evolution`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
import asyncpg.pool

from ledger.canonical import canonical_bytes, parse_event
from ledger.errors import LedgerError, NotCanonical, PageOutOfRange, StreamTooLong
from ledger.evolution import OPAQUE, Schemas
from ledger.store import MAX_STREAM_EVENTS
from ledger.types import RecordedEvent

MAX_PAGE_EVENTS: Final = 1_000
"""No page is longer than this."""

MAX_BODIES: Final = 10_000
"""No page of bodies is longer than this."""

Database: TypeAlias = "asyncpg.Pool[Any] | asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
"""A pool, or one connection: several reads in one transaction of it (REPEATABLE READ) see one state of the ledger."""

State = TypeVar("State")

_LAST: Final = 2**63 - 1
"""The last number that a sequence or a version may be."""

# In an envelope's canonical bytes, only texts stand before "correlation_id", and "data" follows it. A quote within a
# text is escaped, so the first of these bytes begin that key, whatever texts and data hold.
_CORRELATION_KEY: Final = b',"correlation_id":'
_AFTER_CORRELATION: Final = b',"data":'

_IN_ORDER: Final = "SELECT body FROM ledger.events WHERE book = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"
_BY_STREAM: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND (stream, version) > ($2, $3) AND sequence <= $4
ORDER BY stream, version LIMIT $5
"""
_OF_STREAM: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND stream = $2 AND version > $3 AND sequence <= $4
ORDER BY version LIMIT $5
"""
_BY_TYPE: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND sequence > $2 AND type = $4
ORDER BY sequence LIMIT $3
"""
_BY_CORRELATION: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND sequence > $2 AND position($4::bytea in body) > 0
  AND position($4::bytea in body) = position($5::bytea in body)
ORDER BY sequence LIMIT $3
"""
# The stream's few events are found by their own index and sorted after; without MATERIALIZED the planner may prefer
# to walk through the book for the sake of the order.
_BY_CORRELATION_IN_STREAM: Final = """
WITH stream_events AS MATERIALIZED (
    SELECT sequence, body FROM ledger.events WHERE book = $1 AND stream = $6 AND sequence > $2
)
SELECT body FROM stream_events
WHERE position($4::bytea in body) > 0 AND position($4::bytea in body) = position($5::bytea in body)
ORDER BY sequence LIMIT $3
"""

_AT_VERSION: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND stream = $2 AND version <= $3
ORDER BY version LIMIT $4
"""
# What was recorded when is said by those who append, whose clocks may differ. A stream stood at each of its versions
# and never at a selection of its events: so the first one that was recorded later ends what is given.
_AT_RECORDING: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND stream = $2 AND version < coalesce(
    (SELECT min(version) FROM ledger.events WHERE book = $1 AND stream = $2 AND recorded_at > $3),
    9223372036854775807)
ORDER BY version LIMIT $4
"""
_IN_EFFECT: Final = """
SELECT body FROM ledger.events
WHERE book = $1 AND stream = $2 AND effective_at <= $3
ORDER BY version LIMIT $4
"""


class ReadingError(LedgerError):
    """The root of the errors about what is to be read."""


class InvalidFilter(ReadingError):
    """A name to look for is empty or holds a character that no stored name holds, so nothing can be meant by it."""


class InvalidMoment(ReadingError):
    """Not exactly one moment was given, or a version below 0, or a time without a time zone."""


class VersionNotReached(ReadingError):
    """The stream has fewer events than the version that was asked for; an unknown stream has none."""


async def events_in_order(
    database: Database, book: str, after_sequence: int = 0, limit: int = MAX_PAGE_EVENTS
) -> list[RecordedEvent]:
    """Give at most `limit` events of a book after a sequence, in order, without a gap. Raises PageOutOfRange.

    `Ledger.read_book` does the same on its own pool; this reads on any connection, within its transaction. The events
    are as they were stored: whoever folds them brings them to their newest schema version.
    """
    _check_page(after_sequence, limit)
    _check_names(book=book)
    return _parsed(await database.fetch(_IN_ORDER, book, after_sequence, limit), OPAQUE)


async def bodies_by_stream(
    database: Database, book: str, until_sequence: int, after: tuple[str, int] = ("", 0), limit: int = MAX_BODIES
) -> list[bytes]:
    """Give at most `limit` stored events up to `until_sequence`, stream by stream and each in order of its versions.

    `after` is the stream and version of the last event of the page before. Who folds every stream to its end reads a
    book like this, and needs to remember one stream at a time. `ledger.canonical.parse_event` reads a body. Raises
    PageOutOfRange.
    """
    _check_bodies(limit)
    _check_names(book=book)
    return [row["body"] for row in await database.fetch(_BY_STREAM, book, *after, until_sequence, limit)]


async def bodies_of_stream(
    database: Database, book: str, stream: str, until_sequence: int, after_version: int = 0, limit: int = MAX_BODIES
) -> list[bytes]:
    """Give at most `limit` stored events of one stream after a version, up to `until_sequence` of the book.

    Raises PageOutOfRange.
    """
    _check_bodies(limit)
    _check_names(book=book, stream=stream)
    rows = await database.fetch(_OF_STREAM, book, stream, after_version, until_sequence, limit)
    return [row["body"] for row in rows]


async def events_by_type(
    database: Database,
    book: str,
    event_type: str,
    after_sequence: int = 0,
    limit: int = MAX_PAGE_EVENTS,
    *,
    schemas: Schemas = OPAQUE,
) -> list[RecordedEvent]:
    """Give at most `limit` events of one type, in the order of the book, after a sequence; none for an unknown book.

    Scans the book from there. Raises PageOutOfRange, InvalidFilter.
    """
    _check_page(after_sequence, limit)
    _check_names(book=book, type=event_type)
    return _parsed(await database.fetch(_BY_TYPE, book, after_sequence, limit, event_type), schemas)


async def events_by_correlation(
    database: Database,
    book: str,
    correlation_id: str,
    after_sequence: int = 0,
    limit: int = MAX_PAGE_EVENTS,
    *,
    stream: str | None = None,
    schemas: Schemas = OPAQUE,
) -> list[RecordedEvent]:
    """Give at most `limit` events that carry this correlation id, in the order of the book, after a sequence.

    Scans the book from there, or only `stream` when it is given. Raises PageOutOfRange, InvalidFilter.
    """
    _check_page(after_sequence, limit)
    if not correlation_id:
        raise InvalidFilter("an empty correlation id correlates nothing; give the one that the events carry")
    try:
        value = canonical_bytes(correlation_id)
    except NotCanonical as error:
        raise InvalidFilter("the correlation id holds a character that no event can hold") from error
    wanted = _CORRELATION_KEY + value + _AFTER_CORRELATION
    if stream is None:
        _check_names(book=book)
        rows = await database.fetch(_BY_CORRELATION, book, after_sequence, limit, wanted, _CORRELATION_KEY)
    else:
        _check_names(book=book, stream=stream)
        rows = await database.fetch(
            _BY_CORRELATION_IN_STREAM, book, after_sequence, limit, wanted, _CORRELATION_KEY, stream
        )
    return _parsed(rows, schemas)


async def stream_at(
    database: Database,
    book: str,
    stream: str,
    *,
    version: int | None = None,
    recorded_at: datetime | None = None,
    effective_at: datetime | None = None,
    schemas: Schemas = OPAQUE,
) -> list[RecordedEvent]:
    """Give a stream's events, by version, as they stood at one moment. Exactly one is given:

    version       the first so many events; 0 gives none
    recorded_at   what the ledger knew then: the events before the first one that was recorded later
    effective_at  what held then, as the ledger knows it today: events with a later effective time are left out,
                  and those that were recorded afterwards stand in

    An event at the very instant counts as before it. Times are aware. Raises InvalidMoment, InvalidFilter,
    VersionNotReached, and StreamTooLong for more than MAX_STREAM_EVENTS events.
    """
    query, moment = _moment(version, recorded_at, effective_at)
    _check_names(book=book, stream=stream)
    rows = await database.fetch(query, book, stream, moment, MAX_STREAM_EVENTS + 1)
    if len(rows) > MAX_STREAM_EVENTS:
        raise StreamTooLong(f"{stream} holds more than {MAX_STREAM_EVENTS} events up to that moment")
    if version is not None and len(rows) < version:
        raise VersionNotReached(f"{stream} in {book} stands at version {len(rows)}, not yet at {version}")
    return _parsed(rows, schemas)


async def fold_at(
    database: Database,
    book: str,
    stream: str,
    initial: State,
    evolve: Callable[[State, RecordedEvent], State],
    *,
    version: int | None = None,
    recorded_at: datetime | None = None,
    effective_at: datetime | None = None,
    schemas: Schemas = OPAQUE,
) -> State:
    """Give the state that `evolve` makes, beginning with `initial`, of the events that `stream_at` gives.

    Raises what `stream_at` raises, and whatever `evolve` does.
    """
    state = initial
    for event in await stream_at(
        database, book, stream, version=version, recorded_at=recorded_at, effective_at=effective_at, schemas=schemas
    ):
        state = evolve(state, event)
    return state


def _moment(
    version: int | None, recorded_at: datetime | None, effective_at: datetime | None
) -> tuple[str, int | datetime]:
    """Give the query for the one moment that was named, and its value. Raises InvalidMoment."""
    given: list[tuple[str, str, int | datetime]] = [
        (name, query, value)
        for name, query, value in (
            ("version", _AT_VERSION, version),
            ("recorded_at", _AT_RECORDING, recorded_at),
            ("effective_at", _IN_EFFECT, effective_at),
        )
        if value is not None
    ]
    if len(given) != 1:
        names = " and ".join(name for name, _, _ in given) or "none"
        raise InvalidMoment(f"give exactly one of version, recorded_at and effective_at, not {names}")
    name, query, value = given[0]
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidMoment(f"{name} has no time zone, so it names no instant; give an aware datetime")
    elif not 0 <= value <= _LAST:
        raise InvalidMoment(f"a version is 0 or more, not {value}")
    return query, value


def _check_page(after_sequence: int, limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE_EVENTS:
        raise PageOutOfRange(f"a page holds 1 to {MAX_PAGE_EVENTS} events, not {limit}")
    if not 0 <= after_sequence <= _LAST:
        raise PageOutOfRange(f"a page begins after a sequence of 0 or more, not {after_sequence}")


def _check_bodies(limit: int) -> None:
    if not 1 <= limit <= MAX_BODIES:
        raise PageOutOfRange(f"a page holds 1 to {MAX_BODIES} events, not {limit}")


def _check_names(**names: str) -> None:
    # Only what PostgreSQL could not compare: any other name is just not found.
    for what, name in names.items():
        if not name or "\x00" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise InvalidFilter(f"the {what} to read is empty or holds a character that no name may hold")


def _parsed(rows: list[asyncpg.Record], schemas: Schemas) -> list[RecordedEvent]:
    return [schemas.newest(parse_event(row["body"])) for row in rows]
