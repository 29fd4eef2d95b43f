"""A stream as it stood at one moment, for people: its events, and what the domain makes of them.

The moment is a version, a time that the ledger's knowledge is cut at, or a time that effects are cut at; none means
now. Events are shown in their newest schema version, beside the one that they were recorded in.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import TypeAdapter, ValidationError

from activities.processes import PROCESSES
from domain.decision import UnreadableEvent
from domain.numbers import parse_stream_name
from event_schemas import SCHEMAS
from ledger.canonical import instant
from ledger.evolution import OPAQUE
from ledger.reading import stream_at
from ledger.types import RecordedEvent

_BOOKS = "SELECT book, version FROM ledger.streams WHERE stream = $1 ORDER BY book"
_NO_STATE = (UnreadableEvent, ValidationError, AssertionError, TypeError)
"""Why events make no state: one cannot be read, or those of the moment do not begin where a case does."""


class StreamHistoryError(Exception):
    """The root of this module's errors."""


class NoSuchStream(StreamHistoryError):
    """No book holds a stream of this name."""


class StreamInSeveralBooks(StreamHistoryError):
    """Several books have a stream of this name, so the book has to be said."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Exactly one is given, or none for now. See `ledger.reading.stream_at` for what each one means."""

    version: int | None = None
    recorded_at: datetime | None = None
    effective_at: datetime | None = None

    @property
    def is_now(self) -> bool:
        return self.version is None and self.recorded_at is None and self.effective_at is None


@dataclass(frozen=True, slots=True)
class StreamHistory:
    """The stream at the moment. `state` is None where the domain keeps none, and then `problem` may say why.

    `waiting_for` and `deadline` are the case's, empty and None for a stream without a process.
    """

    book: str
    stream: str
    version: int
    newest_version: int
    phase: str
    waiting_for: str
    deadline: datetime | None
    state: dict[str, Any] | None
    problem: str
    events: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The history as plain JSON; instants as the ledger spells them."""
        return asdict(self) | {"deadline": None if self.deadline is None else instant(self.deadline)}


async def history(
    pool: "asyncpg.Pool[Any]", stream: str, book: str | None = None, moment: Moment | None = None
) -> StreamHistory:
    """Read a stream as it stood. Raises NoSuchStream, StreamInSeveralBooks, ReadingError and asyncpg's errors."""
    book, newest_version = await _find(pool, stream, book)
    then = moment or Moment()
    if then.is_now:
        then = Moment(version=newest_version)
    # As stored at first, so that the version that each was recorded in can be shown as well.
    stored = await stream_at(
        pool,
        book,
        stream,
        version=then.version,
        recorded_at=then.recorded_at,
        effective_at=then.effective_at,
        schemas=OPAQUE,
    )
    events = [SCHEMAS.newest(each) for each in stored]
    state, case, problem = _fold(stream, events)
    return StreamHistory(
        book=book,
        stream=stream,
        version=events[-1].version if events else 0,
        newest_version=newest_version,
        phase=case.phase if case else "",
        waiting_for=case.waiting_for if case else "",
        deadline=case.deadline if case else None,
        state=state,
        problem=problem,
        events=[_shown(event, as_stored) for event, as_stored in zip(events, stored, strict=True)],
    )


async def _find(pool: "asyncpg.Pool[Any]", stream: str, book: str | None) -> tuple[str, int]:
    found = {row["book"]: row["version"] for row in await pool.fetch(_BOOKS, stream)}
    if book is not None:
        found = {name: version for name, version in found.items() if name == book}
    if not found:
        raise NoSuchStream(f"There is no stream {stream}.\n  → Give its whole name, e.g. trainee/zz22-410181-00001.")
    if len(found) > 1:
        raise StreamInSeveralBooks(f"{stream} stands in {', '.join(found)}.\n  → Say which with --book.")
    return next(iter(found.items()))


def _fold(stream: str, events: list[RecordedEvent]) -> tuple[dict[str, Any] | None, Any, str]:
    kind, number = parse_stream_name(stream)
    process = next((each for each in PROCESSES.values() if each.kind == kind), None)
    if process is None or not events:
        return None, None, ""
    try:
        state = process.fold(process.events.read(each) for each in events)
        case = process.case_of(number, state)
    except _NO_STATE as error:
        words = "an event has other fields" if isinstance(error, ValidationError) else str(error)
        return None, None, f"{type(error).__name__}: {words}"
    return TypeAdapter(type(state)).dump_python(state, mode="json"), case, ""


def _shown(event: RecordedEvent, stored: RecordedEvent) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "version": event.version,
        "type": event.type,
        "schema_version": event.schema_version,
        "recorded_schema_version": stored.schema_version,
        "actor": event.actor,
        "recorded_at": instant(event.recorded_at),
        "effective_at": instant(event.effective_at),
        "command_id": str(event.command_id),
        "data": event.data,
    }
