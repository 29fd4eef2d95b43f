"""Turn appends into the arguments of the SQL function `ledger.append`, and its row into answers.

An append is prepared by its caller: checked, and its events spelt. So whatever is wrong with it meets its own caller
before it shares a call with others. A batch of prepared appends then becomes parallel arrays; positions in them count
from 1, as PostgreSQL does.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar, assert_never
from uuid import UUID, uuid5

import orjson
import uuid_utils

from ledger.canonical import MAX_INTEGER, bounded_bytes, envelope_halves, instant
from ledger.errors import AppendTooLarge, InvalidAppend, InvalidName
from ledger.types import (
    Append,
    Appended,
    AppendResult,
    BlockClaim,
    Claim,
    ClaimRefused,
    ClearClaim,
    CommandReused,
    CountClaim,
    Duplicate,
    LimitClaim,
    OutboxEntry,
    ReleaseClaim,
    StreamWrite,
    TakeClaim,
    UnblockClaim,
    VersionConflict,
)

MAX_APPEND_WRITES: Final = 1_000
MAX_APPEND_EVENTS: Final = 10_000
MAX_APPEND_CLAIMS: Final = 1_000
MAX_APPEND_OUTBOX: Final = 10_000
MAX_REPLY_BYTES: Final = 65_536
MAX_VERSION: Final = 2**53 - 1
MAX_SCHEMA_VERSION: Final = 2**31 - 1

_Key = TypeVar("_Key")

_BOOK = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_KEY = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,300}")

SpeltEvent = tuple[int, str, str, int, str, str, str]
"""An event's place in its write (from 1), id, type, schema version, effective time or NULL, and its two halves."""

_SEPARATOR: Final = "\x1f"
"""Between names, and between the halves of envelopes: neither ever holds a control character."""

_PARAMETERS: Final = (
    # Appends: command ids, content hashes, replies, recorded at.
    "literal uuid", "array bytea", "array bytea", "literal timestamptz",
    # Books: names. Streams: books, names. Writes: appends, streams, expected versions, counts of events.
    "names", "literal integer", "names", "literal integer", "literal integer", "literal bigint", "literal integer",
    # Events: writes, places, ids, types, schema versions, effective at, heads, tails.
    "literal integer", "literal integer", "literal uuid", "names", "literal integer", "literal timestamptz",
    "names", "names",
    # Claims: appends, kinds, keys, pairs, numbers, owners, from, until.
    "literal integer", "names", "literal integer", "literal integer", "literal bigint", "names",
    "literal date", "literal date",
    # Keys of counters, holds and blocks; pairs of a blocked key and an owner: keys, owners.
    "names", "names", "names", "literal integer", "names",
    # Outbox: appends, ids, recipients, topics, dedups, bodies.
    "literal integer", "literal uuid", "names", "names", "array text", "array bytea",
)  # fmt: skip
"""How each argument travels. The driver asks two abstract base classes about every element of an array, which for
single appends would cost more than all our own work on them. So nearly everything travels as one text, which
PostgreSQL splits: numbers, ids and times as array literals, names and JSON between separators."""


def query_terms(parameters: Sequence[str]) -> str:
    """Give the arguments of a call in SQL, for parameters that travel as said above; `one TYPE` is no array."""
    return ", ".join(_term(place, parameter) for place, parameter in enumerate(parameters, start=1))


def _term(place: int, parameter: str) -> str:
    passing, _, kind = parameter.partition(" ")
    match passing:
        case "names":
            return f"string_to_array(${place}::text, E'\\x1f')"
        case "literal":
            return f"${place}::text::{kind}[]"
        case "one":
            return f"${place}::{kind}"
        case _:
            return f"${place}::{kind}[]"


QUERY: Final = (
    "SELECT outcomes, details, first_replies, write_lasts FROM ledger.append("  # noqa: S608 - made of constants
    + query_terms(_PARAMETERS)
    + ")"
)
"""The one statement of an append. Its answer is read by `answers`."""

_NULL: Final = "NULL"
_NOBODY: Final = "-"
"""Stands for the owner in claims that name none; it is not looked at."""


class PreparedAppend(NamedTuple):
    """A checked append with its events (one list per write) and outbox bodies spelt; safe to share a call."""

    append: Append
    command_id: str
    recorded_at: str
    events: list[list[SpeltEvent]]
    outbox: list[tuple[UUID, bytes]]
    event_count: int
    size_bytes: int


def prepare(append: Append) -> PreparedAppend:
    """Check an append and spell its events. Raises a subclass of InvalidAppend; nothing is sent then."""
    _check_append(append)
    events: list[list[SpeltEvent]] = []
    event_count = 0
    size_bytes = len(append.reply)
    command_id = str(append.command_id)
    recorded_at = instant(append.recorded_at)
    for write in append.writes:
        spelt = _spell_write(append, command_id, recorded_at, write)
        events.append(spelt)
        event_count += len(spelt)
        for _, _, _, _, _, head, tail in spelt:
            size_bytes += len(head) + len(tail)
    if event_count > MAX_APPEND_EVENTS:
        raise AppendTooLarge(f"{event_count} events in one append; at most {MAX_APPEND_EVENTS} are allowed")
    outbox = [_spell_entry(append.command_id, place, entry) for place, entry in enumerate(append.outbox)]
    for _, body in outbox:
        size_bytes += len(body)
    return PreparedAppend(append, command_id, recorded_at, events, outbox, event_count, size_bytes)


def _check_append(append: Append) -> None:
    if len(append.content_hash) != 32:
        raise InvalidAppend(f"a content hash has 32 bytes, not {len(append.content_hash)}")
    if not append.actor:
        raise InvalidAppend("an append names its actor")
    for what, count, limit in (
        ("bytes of reply", len(append.reply), MAX_REPLY_BYTES),
        ("writes", len(append.writes), MAX_APPEND_WRITES),
        ("claims", len(append.claims), MAX_APPEND_CLAIMS),
        ("outbox entries", len(append.outbox), MAX_APPEND_OUTBOX),
    ):
        if count > limit:
            raise AppendTooLarge(f"{count} {what} in one append; at most {limit} are allowed")
    if len(append.writes) > 1 and len({write.stream for write in append.writes}) < len(append.writes):
        raise InvalidAppend("an append writes each stream once, and no two streams of the same name")
    for claim in append.claims:
        _check_claim(claim)


def _spell_write(append: Append, command_id: str, recorded_at: str, write: StreamWrite) -> list[SpeltEvent]:
    if _BOOK.fullmatch(write.book) is None:
        raise InvalidName(f"not a name of a book: {write.book!r}")
    if _NAME.fullmatch(write.stream) is None:
        raise InvalidName(f"not a name of a stream: {write.stream!r}")
    if not 0 <= write.expected_version <= MAX_VERSION:
        raise InvalidAppend(f"an expected version is 0 or more, not {write.expected_version}")
    if not write.events:
        raise InvalidAppend(f"no events for stream {write.stream}")
    spelt: list[SpeltEvent] = []
    for place, event in enumerate(write.events, start=1):
        if _NAME.fullmatch(event.type) is None:
            raise InvalidName(f"not a type of event: {event.type!r}")
        if not 1 <= event.schema_version <= MAX_SCHEMA_VERSION:
            raise InvalidAppend(f"a schema version is 1 or more, not {event.schema_version}")
        event_id = str(uuid_utils.uuid7())
        effective_at = _NULL if event.effective_at is None else instant(event.effective_at)
        head, tail = envelope_halves(
            {
                "actor": append.actor,
                "book": write.book,
                "causation_id": append.causation_id,
                "command_id": command_id,
                "correlation_id": append.correlation_id,
                "data": event.data,
                "effective_at": recorded_at if effective_at is _NULL else effective_at,
                "id": event_id,
                "recorded_at": recorded_at,
                "schema_version": event.schema_version,
            },
            {"stream": write.stream, "type": event.type, "version": write.expected_version + place},
        )
        spelt.append((place, event_id, event.type, event.schema_version, effective_at, head, tail))
    return spelt


def _spell_entry(command_id: UUID, place: int, entry: OutboxEntry) -> tuple[UUID, bytes]:
    _check_key("recipient", entry.recipient)
    _check_key("topic", entry.topic)
    if entry.dedup:
        _check_key("dedup", entry.dedup)
    return uuid5(command_id, str(place)), bounded_bytes(entry.body)


def _check_claim(claim: Claim) -> None:
    _check_key("claim key", claim.key)
    match claim:
        case CountClaim(_, delta):
            if not -MAX_INTEGER <= delta <= MAX_INTEGER:
                raise InvalidAppend(f"a counter does not change by {delta}")
        case LimitClaim(_, limit):
            if not 0 <= limit <= MAX_INTEGER:
                raise InvalidAppend(f"a limit is 0 or more, not {limit}")
        case BlockClaim(_, owner, from_, until):
            _check_key("owner", owner)
            if not from_ < until:
                raise InvalidAppend(f"a block from {from_} until {until} holds no day")
        case TakeClaim(_, owner) | ReleaseClaim(_, owner) | UnblockClaim(_, owner):
            _check_key("owner", owner)
        case ClearClaim():
            pass
        case _:
            assert_never(claim)


def _check_key(what: str, key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise InvalidName(f"not a {what}: {key!r}")


def arguments(batch: Sequence[PreparedAppend]) -> list[Any]:
    """Give the arguments of QUERY for a batch. The command ids in it differ from each other."""
    columns = [*_append_columns(batch), *_claim_columns(batch), *outbox_columns(batch)]
    return values_of(_PARAMETERS, columns)


def values_of(parameters: Sequence[str], columns: Sequence[Any]) -> list[Any]:
    """Give the values of a call's arguments, each in the way that its parameter travels."""
    return [_value(parameter, column) for parameter, column in zip(parameters, columns, strict=True)]


def _value(parameter: str, column: Any) -> Any:
    if parameter == "names":
        return _SEPARATOR.join(column)
    if parameter.startswith("literal"):
        return "{" + ",".join(map(str, column)) + "}"
    return column


def _append_columns(batch: Sequence[PreparedAppend]) -> list[Sequence[Any]]:
    names = sorted({write.book for prepared in batch for write in prepared.append.writes})
    books = {name: place for place, name in enumerate(names, start=1)}
    streams: dict[tuple[str, str], int] = {}
    stream_books: list[int] = []
    writes: list[tuple[int, int, int, int]] = []
    event_writes: list[int] = []
    events: list[SpeltEvent] = []
    for position, prepared in enumerate(batch, start=1):
        for write, spelt in zip(prepared.append.writes, prepared.events, strict=True):
            key = (write.book, write.stream)
            stream = streams.get(key)
            if stream is None:
                stream = streams[key] = len(streams) + 1
                stream_books.append(books[write.book])
            writes.append((position, stream, write.expected_version, len(spelt)))
            event_writes.extend([len(writes)] * len(spelt))
            events.extend(spelt)
    return [
        [prepared.command_id for prepared in batch],
        [prepared.append.content_hash for prepared in batch],
        [prepared.append.reply for prepared in batch],
        [prepared.recorded_at for prepared in batch],
        names,
        stream_books,
        [stream_name for _, stream_name in streams],
        *_transpose(writes, 4),
        event_writes,
        *_transpose(events, 7),
    ]


def _claim_columns(batch: Sequence[PreparedAppend]) -> list[Sequence[Any]]:
    counters: dict[str, int] = {}
    holds: dict[str, int] = {}
    blocks: dict[str, int] = {}
    pairs: dict[tuple[int, str], int] = {}
    rows: list[tuple[Any, ...]] = []
    for position, prepared in enumerate(batch, start=1):
        for claim in prepared.append.claims:
            match claim:
                case CountClaim(key, number):
                    rows.append((position, "count", _place(counters, key), _NULL, number, _NOBODY, _NULL, _NULL))
                case LimitClaim(key, number):
                    rows.append((position, "limit", _place(counters, key), _NULL, number, _NOBODY, _NULL, _NULL))
                case TakeClaim(key, owner):
                    rows.append((position, "take", _place(holds, key), _NULL, _NULL, owner, _NULL, _NULL))
                case ReleaseClaim(key, owner):
                    rows.append((position, "release", _place(holds, key), _NULL, _NULL, owner, _NULL, _NULL))
                case BlockClaim(key, owner, from_, until):
                    block = _place(blocks, key)
                    pair = _place(pairs, (block, owner))
                    rows.append((position, "block", block, pair, _NULL, owner, from_, until))
                case UnblockClaim(key, owner):
                    block = _place(blocks, key)
                    pair = _place(pairs, (block, owner))
                    rows.append((position, "unblock", block, pair, _NULL, owner, _NULL, _NULL))
                case ClearClaim(key, on):
                    rows.append((position, "clear", _place(blocks, key), _NULL, _NULL, _NOBODY, on, _NULL))
                case _:
                    assert_never(claim)
    return [
        *_transpose(rows, 8),
        list(counters),
        list(holds),
        list(blocks),
        [block for block, _ in pairs],
        [owner for _, owner in pairs],
    ]


def outbox_columns(batch: Sequence[PreparedAppend]) -> list[Sequence[Any]]:
    """Give the outbox entries of a batch: appends, ids, recipients, topics, dedups, bodies."""
    rows = [
        (position, entry_id, entry.recipient, entry.topic, entry.dedup, body)
        for position, prepared in enumerate(batch, start=1)
        for entry, (entry_id, body) in zip(prepared.append.outbox, prepared.outbox, strict=True)
    ]
    return _transpose(rows, 6)


def _place(places: dict[_Key, int], key: _Key) -> int:
    return places.setdefault(key, len(places) + 1)


def _transpose(rows: Sequence[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [[] for _ in range(width)]


def answers(batch: Sequence[PreparedAppend], row: Sequence[Any]) -> list[AppendResult]:
    """Read the row that QUERY gave for this batch: one answer per append, in order."""
    outcomes, details, first_replies, write_lasts = row
    results: list[AppendResult] = []
    write = claim = 0
    for position, prepared in enumerate(batch):
        append = prepared.append
        match outcomes[position]:
            case "appended":
                versions: dict[str, int] = {}
                sequences: dict[str, int] = {}
                for place, stream_write in enumerate(append.writes):
                    versions[stream_write.stream] = stream_write.expected_version + len(stream_write.events)
                    # Writes of one append are numbered in their order, so a book's last write holds its last event.
                    sequences[stream_write.book] = write_lasts[write + place]
                results.append(Appended(append.reply, versions, sequences))
            case "duplicate":
                results.append(Duplicate(first_replies[position]))
            case "reused":
                results.append(CommandReused(append.command_id))
            case "conflict":
                results.append(VersionConflict(**orjson.loads(details[position])))
            case _:
                detail = orjson.loads(details[position])
                refused = append.claims[detail.pop("claim") - 1 - claim]
                results.append(ClaimRefused(refused, detail.pop("code"), detail))
        write += len(append.writes)
        claim += len(append.claims)
    return results
