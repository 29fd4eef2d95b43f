"""Everything that is kept about one person, readable: the answer to his request for access to it.

    id ─► the vault (known, erased) ─► his streams ─► their events, opened ─► what else names him

His streams are those of a person, a trainee, a restriction or training days whose first event names his id. They are
looked for in the ledger and not in the views, which may be behind or lack a parked event: all events are read for
this, which takes seconds for a large ledger, and a request for access is rare. What is given is personal data in the
clear: hand it to him, and do not log it.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import asyncpg.pool
import orjson

from activities.outbox import START_RECIPIENT
from domain.identity import parse_any_document
from domain.numbers import PEOPLE, active_key, parse_stream_name, restriction_key, stream_name
from event_schemas import SCHEMAS
from ledger.canonical import instant, parse_event
from ledger.detaching import detached_books
from ledger.errors import SubjectErased, SubjectUnknown
from ledger.types import RecordedEvent
from ledger.vault import Tombstone, Vault

ROWS_MAX: Final = 20_000
"""More rows of one sort than one person can have; the export then is refused and not cut short."""

OWN_KINDS: Final = frozenset({"person", "trainee", "restriction", "training-days"})
"""The kinds of streams that are about one person: him whom their first event names."""

ATTENDANCE: Final = "attendance"
"""The kind of streams that hold the marks of many people."""

Stream: TypeAlias = tuple[str, str]
"""A book and the name of a stream in it."""

# Identifiers stand in quotes in canonical JSON, so that one number does not match as the beginning of another.
_NAMING: Final = """
SELECT body FROM ledger.events e
WHERE EXISTS (SELECT FROM unnest($1::bytea[]) AS m (mark) WHERE position(m.mark IN e.body) > 0)
ORDER BY e.book, e.sequence LIMIT $2
"""
_FIRST_EVENTS: Final = """
SELECT body FROM ledger.events JOIN unnest($1::text[], $2::text[]) AS s (book, stream) USING (book, stream)
WHERE version = 1 ORDER BY book, sequence LIMIT $3
"""
_EVENTS: Final = """
SELECT body FROM ledger.events JOIN unnest($1::text[], $2::text[]) AS s (book, stream) USING (book, stream)
ORDER BY recorded_at, book, sequence LIMIT $3
"""
_NOTICES: Final = """
SELECT id, created_at, delivered_at, recipient, topic, body FROM ledger.outbox o
WHERE recipient <> $2 AND EXISTS (SELECT FROM unnest($1::bytea[]) AS m (mark) WHERE position(m.mark IN o.body) > 0)
ORDER BY position LIMIT $3
"""
_DELIVERIES: Final = """
SELECT outbox_id, channel, organisation, attempt, status_code, problem, first_at, at, server, reply, content_digest,
       template, recipient_sealed, bounced_at, bounce_status
FROM app.deliveries WHERE outbox_id = ANY ($1::uuid[]) ORDER BY id LIMIT $2
"""
_HOLDS: Final = "SELECT key, owner FROM ledger.holds WHERE starts_with(key, $1) ORDER BY key LIMIT $2"
_BLOCKS: Final = """
SELECT owner, lower(period) AS starts, upper(period) AS until FROM ledger.blocks
WHERE key = $1 ORDER BY owner, period LIMIT $2
"""


class PersonExportError(Exception):
    """The root of this module's errors. None of them repeats an identity number."""


class PersonUnknown(PersonExportError):
    """Nobody with this identity number or id is known; whoever was erased is only found by his id."""


class ExportTooLarge(PersonExportError):
    """More than ROWS_MAX rows of one sort name one person, which nobody's life does: look into the ledger."""


async def export_person(
    pool: "asyncpg.Pool[Any]", vault: Vault, identity_number_or_subject: str | UUID
) -> dict[str, Any]:
    """Give everything known about a person, found by his identity number (text) or his id (UUID), as plain JSON.

    Times are RFC 3339 text, in UTC. Keys: `person` (his id), `exported_at`, `known_since`, `erased` (None, or `at` and
    `reason`), `personal` (his newest fields, None once erased), `events` (of his own streams, by time; `sealed` is
    replaced by `personal`, opened), `mentions` (events of other streams that name him, without what they say of
    others; of attendance his own marks), `claims` (`holds` and `barred` days), `notices` about him with their
    `deliveries`, and `not_searched`: the detached books, whose events are elsewhere, and whose export is to be looked
    through for his id.

    Raises PersonUnknown, ExportTooLarge, IdentityNumberError for what is no identity number, VaultError when a record
    of his cannot be opened, and asyncpg's errors.
    """
    subject = await _subject(vault, identity_number_or_subject)
    try:
        erased = await vault.tombstone(subject)
    except SubjectUnknown:
        raise PersonUnknown("nobody with this id is known") from None
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        known_since = await connection.fetchval("SELECT created_at FROM vault.subjects WHERE id = $1", subject)
        own = await _own_streams(connection, subject)
        marks = _marks([str(subject), *(_number(stream) for _, stream in own)])
        events = _events(await connection.fetch(_EVENTS, *_columns(own), ROWS_MAX + 1))
        naming = _events(await connection.fetch(_NAMING, marks, ROWS_MAX + 1))
        claims = await _claims(connection, subject)
        notices = await _notices(connection, marks)
        elsewhere = await detached_books(connection)
    # Opened without a connection in hand: the vault takes one of its own, perhaps from the same pool.
    opened, personal = await _opened(vault, subject, events)
    await _open_recipients(vault, subject, notices)
    return {
        "person": str(subject),
        "exported_at": _time(datetime.now(UTC)),
        "known_since": _time(known_since),
        "erased": _erasure(erased),
        "personal": personal,
        "events": opened,
        "mentions": [_mention(event, own) for event in naming if (event.book, event.stream) not in own],
        "claims": claims,
        "notices": notices,
        "not_searched": [{"book": each.book, "place": each.place} for each in elsewhere],
    }


async def identity_number_of(pool: "asyncpg.Pool[Any]", vault: Vault, subject: UUID) -> str | None:
    """Give the identity number in the person's newest sealed record, None when there is none or he was erased.

    It is the natural key of the vault's index, for `ledger.vault_rotation.reindex`. Raises VaultError and asyncpg's
    errors.
    """
    own = {(PEOPLE, stream_name("person", str(subject)))}
    events = _events(await pool.fetch(_EVENTS, *_columns(own), ROWS_MAX + 1))
    _, personal = await _opened(vault, subject, events)
    return (personal or {}).get("identity_number") or None


async def _subject(vault: Vault, given: str | UUID) -> UUID:
    if isinstance(given, UUID):
        return given
    found = await vault.find(parse_any_document(given).text)
    if found is None:
        raise PersonUnknown("nobody with this identity number is known")
    return found


async def _own_streams(connection: "asyncpg.pool.PoolConnectionProxy[Any]", subject: UUID) -> set[Stream]:
    naming = _events(await connection.fetch(_NAMING, _marks([str(subject)]), ROWS_MAX + 1))
    perhaps = {(event.book, event.stream) for event in naming if _kind(event.stream) in OWN_KINDS}
    first = _events(await connection.fetch(_FIRST_EVENTS, *_columns(perhaps), ROWS_MAX + 1))
    return {(event.book, event.stream) for event in first if event.data.get("person") == str(subject)}


async def _claims(connection: "asyncpg.pool.PoolConnectionProxy[Any]", subject: UUID) -> dict[str, Any]:
    prefix = active_key(subject, "", "").rstrip(":") + ":"
    holds = _whole(await connection.fetch(_HOLDS, prefix, ROWS_MAX + 1))
    blocks = _whole(await connection.fetch(_BLOCKS, restriction_key(subject), ROWS_MAX + 1))
    return {
        "holds": [{"key": hold["key"], "by": hold["owner"]} for hold in holds],
        "barred": [
            {"by": block["owner"], "starts": block["starts"].isoformat(), "until": block["until"].isoformat()}
            for block in blocks
        ],
    }


async def _notices(connection: "asyncpg.pool.PoolConnectionProxy[Any]", marks: Sequence[bytes]) -> list[dict[str, Any]]:
    rows = _whole(await connection.fetch(_NOTICES, marks, START_RECIPIENT, ROWS_MAX + 1))
    attempts = _whole(await connection.fetch(_DELIVERIES, [row["id"] for row in rows], ROWS_MAX + 1))
    deliveries: dict[UUID, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
    for attempt in attempts:
        deliveries[attempt["outbox_id"]].append(
            {
                "channel": attempt["channel"],
                "organisation": attempt["organisation"],
                "attempt": attempt["attempt"],
                "status_code": attempt["status_code"],
                "problem": attempt["problem"],
                "first_at": _time(attempt["first_at"]),
                "at": _time(attempt["at"]),
                "server": attempt["server"],
                "reply": attempt["reply"],
                "content_sha256": attempt["content_digest"].hex() if attempt["content_digest"] else None,
                "template": attempt["template"],
                "returned_at": _time(attempt["bounced_at"]),
                "returned_status": attempt["bounce_status"],
                "sealed": attempt["recipient_sealed"],
            }
        )
    return [
        {
            "id": str(row["id"]),
            "type": row["topic"],
            "recipient": row["recipient"],
            "created_at": _time(row["created_at"]),
            "delivered_at": _time(row["delivered_at"]),
            "content": _of_himself(orjson.loads(row["body"]), marks),
            "deliveries": deliveries[row["id"]],
        }
        for row in rows
    ]


async def _open_recipients(vault: Vault, subject: UUID, notices: Iterable[dict[str, Any]]) -> None:
    """Say where letters to him went. None for what went elsewhere, or once he was erased."""
    for delivery in (each for notice in notices for each in notice["deliveries"]):
        sealed, delivery["recipient"] = delivery.pop("sealed"), None
        if sealed is not None:
            with suppress(SubjectErased):
                (delivery["recipient"],) = (await vault.open(subject, sealed)).values()


def _of_himself(content: dict[str, Any], marks: Sequence[bytes]) -> dict[str, Any]:
    """A notice about several trainees names only him."""
    data = content.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("trainees"), list):
        return content
    return content | {"data": data | {"trainees": [each for each in data["trainees"] if orjson.dumps(each) in marks]}}


async def _opened(
    vault: Vault, subject: UUID, events: Iterable[RecordedEvent]
) -> tuple[list[dict[str, Any]], dict[str, str] | None]:
    """The events with their sealed fields opened, and the newest fields; None in their place once he was erased."""
    personal: dict[str, str] | None = None
    shown = []
    for event in events:
        data = dict(event.data)
        sealed = data.pop("sealed", None)
        # An objection that came through its organisation has no words of the person's own, and nothing sealed.
        if sealed:
            try:
                fields = await vault.open(subject, sealed)
            except SubjectErased:
                fields = None
            data["personal"] = fields
            if _kind(event.stream) == "person":
                # What came with a nomination that is held for review is not what holds of him.
                personal = fields
        shown.append(_envelope(event) | {"data": data})
    return shown, personal


def _envelope(event: RecordedEvent) -> dict[str, Any]:
    return {
        "book": event.book,
        "sequence": event.sequence,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "actor": event.actor,
        "recorded_at": _time(event.recorded_at),
        "effective_at": _time(event.effective_at),
    }


def _mention(event: RecordedEvent, own: set[Stream]) -> dict[str, Any]:
    """An event that names him among others: of a list of attendance marks his own are his to know."""
    marks = event.data.get("marks")
    if _kind(event.stream) != ATTENDANCE or not isinstance(marks, list):
        return _envelope(event)
    numbers = {_number(stream) for _, stream in own}
    return _envelope(event) | {"data": {"marks": [mark for mark in marks if mark["trainee"] in numbers]}}


def _events(rows: list[Any]) -> list[RecordedEvent]:
    return [SCHEMAS.newest(parse_event(row["body"])) for row in _whole(rows)]


def _whole(rows: list[Any]) -> list[Any]:
    if len(rows) > ROWS_MAX:
        raise ExportTooLarge(f"more than {ROWS_MAX} rows of one sort name one person")
    return rows


def _columns(streams: Iterable[Stream]) -> tuple[list[str], list[str]]:
    ordered = sorted(streams)
    return [book for book, _ in ordered], [stream for _, stream in ordered]


def _marks(names: Iterable[str]) -> list[bytes]:
    return sorted({orjson.dumps(name) for name in names})


def _number(stream: str) -> str:
    return parse_stream_name(stream)[1]


def _kind(stream: str) -> str:
    return stream.partition("/")[0]


def _erasure(tombstone: Tombstone | None) -> dict[str, Any] | None:
    return None if tombstone is None else {"at": _time(tombstone.erased_at), "reason": tombstone.reason}


def _time(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
