"""What goes into the ledger and what comes out of it: appends, their answers, and recorded events.

An `Append` is one atomic unit. It may write several streams in several books, take claims and put entries in the
outbox; all of it is stored or nothing is. It is named by its `command_id`: sending it again changes nothing and
answers what the first one answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

JSON: TypeAlias = "bool | int | str | datetime | Sequence[JSON] | Mapping[str, JSON] | None"
"""What an event may hold. Datetimes are aware and stored as RFC 3339 text in UTC; floats are refused."""

RefusalCode = Literal["count_exhausted", "count_below_zero", "limit_below_used", "held", "blocked"]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be recorded. `effective_at` (aware) defaults to the append's `recorded_at`."""

    type: str
    data: Mapping[str, JSON]
    schema_version: int = 1
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamWrite:
    """Events for one stream of one book. `expected_version` is the version before them; 0 = it must not exist."""

    book: str
    stream: str
    expected_version: int
    events: tuple[NewEvent, ...]


@dataclass(frozen=True, slots=True)
class CountClaim:
    """The counter `key` changes by `delta` and stays within 0 ≤ used ≤ limit. A counter never seen has limit 0."""

    key: str
    delta: int


@dataclass(frozen=True, slots=True)
class LimitClaim:
    """The counter's limit becomes `limit`; refused when more than that is in use."""

    key: str
    limit: int


@dataclass(frozen=True, slots=True)
class TakeClaim:
    """`key` belongs to `owner` from now on; refused while another owner holds it."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class ReleaseClaim:
    """`owner` gives `key` back; nothing happens when it does not hold it."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class BlockClaim:
    """The days from `from_` (inclusive) to `until` (exclusive) are barred on `key` by `owner`.

    Owners may overlap each other; refused when the same owner already bars one of the days.
    """

    key: str
    owner: str
    from_: date
    until: date


@dataclass(frozen=True, slots=True)
class UnblockClaim:
    """`owner` lifts all its blocks on `key`; nothing happens when it has none."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class ClearClaim:
    """No block on `key` may cover the day `on`. The refusal's detail gives `until`, the first clear day after it."""

    key: str
    on: date


Claim = CountClaim | LimitClaim | TakeClaim | ReleaseClaim | BlockClaim | UnblockClaim | ClearClaim


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Something to be told to `recipient` once the append is committed.

    Its id is uuid5 of the command id and the entry's place in the append. A recipient gets one entry per `dedup`;
    an empty `dedup` means that entries are never compared.
    """

    recipient: str
    topic: str
    body: Mapping[str, JSON]
    dedup: str


@dataclass(frozen=True, slots=True)
class Append:
    """One atomic unit of writes, claims and outbox entries, done at most once per `command_id`.

    `content_hash` (32 bytes) tells the same command sent again from another one under the same id. `reply` is kept
    and given back for every repetition. `recorded_at` is aware; `actor`, correlation and causation stand in each
    event. The claims are judged in their order, each one seeing what the ones before it have changed.
    """

    command_id: UUID
    content_hash: bytes
    actor: str
    writes: tuple[StreamWrite, ...]
    recorded_at: datetime
    claims: tuple[Claim, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    reply: bytes = b""
    correlation_id: str = ""
    causation_id: str = ""


@dataclass(frozen=True, slots=True)
class Appended:
    """Stored now. `versions` is each stream's new version, `sequences` the last sequence in each book."""

    reply: bytes
    versions: dict[str, int]
    sequences: dict[str, int]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The command was stored before; `reply` is the first answer. Nothing was changed."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class CommandReused:
    """The command id stands for another content. Nothing was changed."""

    command_id: UUID


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """The stream's version is `actual`, not `expected`. Nothing was changed."""

    stream: str
    expected: int
    actual: int


@dataclass(frozen=True, slots=True)
class ClaimRefused:
    """A claim does not hold. Nothing was changed.

    `detail` holds `used` and `limit` (counters), `owner` (held) or `until` as an ISO date (blocked).
    """

    claim: Claim
    code: RefusalCode
    detail: dict[str, Any]


AppendResult = Appended | Duplicate | CommandReused | VersionConflict | ClaimRefused


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What is kept of a command that was carried out."""

    content_hash: bytes
    reply: bytes


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it was recorded. `sequence` is its place in the book, `version` its place in the stream, from 1."""

    book: str
    sequence: int
    id: UUID
    stream: str
    version: int
    type: str
    schema_version: int
    command_id: UUID
    causation_id: str
    correlation_id: str
    actor: str
    recorded_at: datetime
    effective_at: datetime
    data: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """A place in a stream: what comes after the version is wanted."""

    book: str
    stream: str
    after_version: int = 0


@dataclass(frozen=True, slots=True)
class StreamHead:
    """A stream of a book and the version of its last event."""

    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class Counter:
    """How much of a counter is in use, and how much may be."""

    key: str
    used: int
    limit: int
