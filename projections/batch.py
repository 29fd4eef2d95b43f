"""Applies a batch of one book's events to the view tables, in a handful of statements whatever its size.

The rows that the batch concerns are read at once, changed in memory event by event, and written back at once. The
caller owns the transaction, in which it also moves the checkpoint, and has set the search path to the views' schema.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError

from domain.numbers import parse_stream_name
from ledger.types import RecordedEvent
from projections.database import AnyConnection
from projections.rows import Row, View
from projections.views import ALL_VIEWS, VIEWS_BY_KIND

MAX_REASON_CHARACTERS: Final = 1_000
MAX_FAULTS_NAMED: Final = 5

BLOCKED: Final = "an earlier event of this stream is parked"

POISON: Final = (ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What applying an event may raise (pydantic's ValidationError is a ValueError); anything else is our own failure."""

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_PARKED_STREAMS = "SELECT DISTINCT stream FROM parked WHERE book = $1 AND stream = ANY($2)"
_PARK = """
INSERT INTO parked (book, sequence, stream, version, type, reason)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[])
"""


class ViewMissing(RuntimeError):
    """A view's table does not exist: the database was not migrated."""


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that could not be applied. The reason names types and fields, never a value of the event."""

    event: RecordedEvent
    reason: str


@dataclass(frozen=True, slots=True)
class Statements:
    """How one view's rows are read and written."""

    load: str
    store: str
    insert: str


_Rows = dict[str, Row]


@dataclass(slots=True)
class _Tables:
    """The rows of each view that the batch concerns, by key, and the keys of those that changed."""

    rows: dict[str, _Rows] = field(default_factory=dict)
    changed: dict[str, set[str]] = field(default_factory=dict)


async def prepare(
    connection: AnyConnection, views: Mapping[str, tuple[View, ...]] = VIEWS_BY_KIND
) -> dict[str, Statements]:
    """The statements of every view, by table, made from the columns that the tables have. Raises ViewMissing."""
    statements = {}
    for view in (view for group in views.values() for view in group):
        columns = [record["attname"] for record in await connection.fetch(_COLUMNS, view.table)]
        if not columns:
            raise ViewMissing(f"there is no table {view.table}; run the migrations")
        statements[view.table] = _statements(view, columns)
    return statements


def _statements(view: View, columns: Sequence[str]) -> Statements:
    # Names of tables and columns come from our own code and our own tables, never from an event.
    quoted = [f'"{column}"' for column in columns]
    updates = ", ".join(f"{name} = excluded.{name}" for name in quoted if name != f'"{view.key}"')
    insert = (
        f'INSERT INTO "{view.table}" ({", ".join(quoted)}) '  # noqa: S608
        f'SELECT {", ".join(quoted)} FROM json_populate_recordset(NULL::"{view.table}", $1::json)'
    )
    return Statements(
        load=f'SELECT row_to_json(t) AS row FROM "{view.table}" t WHERE "{view.key}" = ANY($1)',  # noqa: S608
        store=f'{insert} ON CONFLICT ("{view.key}") DO UPDATE SET {updates}',
        insert=insert,
    )


async def apply(
    connection: AnyConnection,
    statements: dict[str, Statements],
    book: str,
    events: Sequence[RecordedEvent],
    *,
    some_parked: bool,
) -> list[Parked]:
    """Apply `events` of `book` in their order; give those that were parked instead.

    `some_parked` says that the book has parked events already, so that their streams have to be looked up. Raises
    asyncpg's DataError or IntegrityConstraintViolationError when the database refuses a row: nothing tells then which
    event it was, so the caller rolls back and applies them one by one.
    """
    streams = {event.stream for event in events}
    blocked: set[str] = set()
    if some_parked:
        found = await connection.fetch(_PARKED_STREAMS, book, sorted(streams))
        blocked = {record["stream"] for record in found}
    concerns: list[tuple[RecordedEvent, list[tuple[View, str]]]] = []
    parked: list[Parked] = []
    for event in events:
        try:
            # Of a blocked stream's event only its name is asked: it is parked below whatever it is.
            concerns.append((event, [] if event.stream in blocked else _concerned(event)))
        except POISON as error:
            concerns.append((event, []))
            parked.append(Parked(event, reason(error)))
            blocked.add(event.stream)
    tables = await _load(connection, statements, [pair for _, pairs in concerns for pair in pairs])
    refused = {each.event.sequence for each in parked}
    for event, pairs in concerns:
        if event.sequence in refused:
            continue
        refusal = _apply_one(tables, event, pairs, blocked)
        if refusal:
            parked.append(Parked(event, refusal))
            blocked.add(event.stream)
    await _store(connection, statements, tables)
    await park(connection, parked)
    return parked


def views_of(event: RecordedEvent, views: Mapping[str, tuple[View, ...]] = VIEWS_BY_KIND) -> tuple[View, ...]:
    """The views that the event's stream concerns. Raises ValueError or LookupError, which are POISON."""
    kind, _ = parse_stream_name(event.stream)
    found = views.get(kind)
    if found is None:
        raise LookupError(f"no view knows streams of the kind {kind}")
    return found


def misplaced(view: View) -> str:
    """Why an event is parked that speaks of another row than its stream."""
    return f"the event speaks of another {view.key} than its stream"


def _concerned(event: RecordedEvent) -> list[tuple[View, str]]:
    return [(view, key) for view in views_of(event) if (key := view.key_of(event)) is not None]


async def _load(
    connection: AnyConnection, statements: dict[str, Statements], pairs: Sequence[tuple[View, str]]
) -> _Tables:
    tables = _Tables()
    keys: dict[str, set[str]] = {}
    for view, key in pairs:
        keys.setdefault(view.table, set()).add(key)
    for view in {view.table: view for view, _ in pairs}.values():
        found = await connection.fetch(statements[view.table].load, sorted(keys[view.table]))
        stored = [orjson.loads(record["row"]) for record in found]
        tables.rows[view.table] = {row[view.key]: view.thaw(row) for row in stored}
    return tables


def _apply_one(tables: _Tables, event: RecordedEvent, pairs: Sequence[tuple[View, str]], blocked: set[str]) -> str:
    """Change the rows that `event` concerns, all or none. The answer is why it was not applied, or empty."""
    if event.stream in blocked:
        return BLOCKED
    changed: list[tuple[View, str, Row]] = []
    try:
        for view, key in pairs:
            row = view.apply(tables.rows[view.table].get(key), event)
            if row[view.key] != key:
                raise ValueError(misplaced(view))
            changed.append((view, key, row))
    except POISON as error:
        return reason(error)
    for view, key, row in changed:
        tables.rows[view.table][key] = row
        tables.changed.setdefault(view.table, set()).add(key)
    return ""


async def _store(connection: AnyConnection, statements: dict[str, Statements], tables: _Tables) -> None:
    for view in ALL_VIEWS:
        keys = tables.changed.get(view.table)
        if keys:
            # Sorted, so that equal histories fill the table in the same way.
            rows = [view.freeze(tables.rows[view.table][key]) for key in sorted(keys)]
            await connection.execute(statements[view.table].store, orjson.dumps(rows).decode())


async def park(connection: AnyConnection, parked: Sequence[Parked]) -> None:
    """Write down that these events were not applied, and why."""
    if not parked:
        return
    columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
    for each in parked:
        event = each.event
        values = (event.book, event.sequence, event.stream, event.version, event.type, each.reason)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    await connection.execute(_PARK, *columns)


def reason(error: Exception) -> str:
    """Why an event was not applied, in words that tell nothing of its values."""
    if isinstance(error, ValidationError):
        # The values stay out: a parked event's reason is read by people who may not read the event.
        faults = error.errors(include_input=False, include_url=False, include_context=False)[:MAX_FAULTS_NAMED]
        named = "; ".join(f"{'.'.join(str(step) for step in each['loc'])}: {each['type']}" for each in faults)
        return f"not a valid event: {named}"[:MAX_REASON_CHARACTERS]
    return f"{type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS]


def database_reason(error: Exception) -> str:
    """Why the database refused a row, without the row."""
    constraint = getattr(error, "constraint_name", None)
    return f"{type(error).__name__}" + (f" ({constraint})" if constraint else "")
