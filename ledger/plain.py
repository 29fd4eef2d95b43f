"""The short way of a batch whose appends need no judging: each writes one stream of the same book and claims nothing.

Most commands are of this kind. `ledger.append_plain` stores them as if all passed, at about half the cost of
`ledger.append` for a single one, and gives up as a whole (`NOT_PLAIN`) when one does not pass; nothing is stored then,
and the batch takes the long way, which tells who is refused and why.
"""

from collections.abc import Sequence
from typing import Any, Final

from ledger.batch import PreparedAppend, outbox_columns, query_terms, values_of
from ledger.types import Appended, AppendResult

NOT_PLAIN: Final = "XJ001"
"""The SQLSTATE by which the database says that the batch must be judged."""

_PARAMETERS: Final = (
    # The book. Appends: command ids, content hashes end to end, replies, recorded at.
    "one text", "literal uuid", "one bytea", "array bytea", "literal timestamptz",
    # Streams: names, versions before, versions after.
    "names", "literal bigint", "literal bigint",
    # Events: appends, streams, versions, ids, types, schema versions, effective at, heads, tails.
    "literal integer", "literal integer", "literal bigint", "literal uuid", "names", "literal integer",
    "literal timestamptz", "names", "names",
    # Outbox: appends, ids, recipients, topics, dedups, bodies.
    "literal integer", "literal uuid", "names", "names", "array text", "array bytea",
)  # fmt: skip

_QUERY: Final = f"SELECT ledger.append_plain({query_terms(_PARAMETERS)})"
_QUERY_ONE: Final = "SELECT ledger.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


def call(batch: Sequence[PreparedAppend]) -> tuple[str, Sequence[Any]] | None:
    """Give the query for a batch and its arguments, or None when it must be judged. The answer is for `answers`."""
    if len(batch) == 1 and (values := _one(batch[0])) is not None:
        return _QUERY_ONE, values
    several = _arguments(batch)
    return None if several is None else (_QUERY, several)


def _one(prepared: PreparedAppend) -> Sequence[Any] | None:
    append = prepared.append
    if append.claims or append.outbox or prepared.event_count != 1 or len(append.writes) != 1:
        return None
    write = append.writes[0]
    _, event_id, event_type, schema_version, _, head, tail = prepared.events[0][0]
    return (
        write.book,
        append.command_id,
        append.content_hash,
        append.reply,
        append.recorded_at,
        write.stream,
        write.expected_version,
        event_id,
        event_type,
        schema_version,
        write.events[0].effective_at,
        head,
        tail,
    )


def _arguments(batch: Sequence[PreparedAppend]) -> list[Any] | None:
    book = batch[0].append.writes[0].book if batch[0].append.writes else ""
    streams: dict[str, int] = {}
    befores: list[int] = []
    afters: list[int] = []
    event_appends: list[int] = []
    event_streams: list[int] = []
    versions: list[int] = []
    events: list[tuple[Any, ...]] = []
    for position, prepared in enumerate(batch, start=1):
        append = prepared.append
        if append.claims or len(append.writes) != 1 or append.writes[0].book != book:
            return None
        write = append.writes[0]
        spelt = prepared.events[0]
        expected = write.expected_version
        stream = streams.get(write.stream)
        if stream is None:
            stream = streams[write.stream] = len(streams) + 1
            befores.append(expected)
            afters.append(expected + len(spelt))
        elif afters[stream - 1] == expected:
            afters[stream - 1] = expected + len(spelt)
        else:
            return None
        for event in spelt:
            event_appends.append(position)
            event_streams.append(stream)
            versions.append(expected + event[0])
            events.append(event)
    _, ids, types, schema_versions, effective_ats, heads, tails = zip(*events, strict=True)
    columns = [
        book,
        [prepared.command_id for prepared in batch],
        b"".join([prepared.append.content_hash for prepared in batch]),
        [prepared.append.reply for prepared in batch],
        [prepared.recorded_at for prepared in batch],
        streams,
        befores,
        afters,
        event_appends,
        event_streams,
        versions,
        ids,
        types,
        schema_versions,
        effective_ats,
        heads,
        tails,
        *outbox_columns(batch),
    ]
    return values_of(_PARAMETERS, columns)


def answers(batch: Sequence[PreparedAppend], last_sequence: int) -> list[AppendResult]:
    """Read what the call gave for this batch: all were appended, and the last event of all has this sequence."""
    results: list[AppendResult] = []
    sequence = last_sequence - sum(prepared.event_count for prepared in batch)
    for prepared in batch:
        write = prepared.append.writes[0]
        sequence += prepared.event_count
        version = write.expected_version + prepared.event_count
        results.append(Appended(prepared.append.reply, {write.stream: version}, {write.book: sequence}))
    return results
