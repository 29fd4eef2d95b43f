"""Short ways to say what the tests append."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from ledger.store import Ledger
from ledger.types import Append, Appended, Claim, NewEvent, OutboxEntry, StreamWrite

BOOK = "2022-zhengzhou"
STREAM = "trainee/zz22-410181-00001"
NOW = datetime(2022, 8, 25, 9, 30, 0, 250_000, tzinfo=UTC)


def write(stream: str = STREAM, expected: int = 0, events: int = 1, book: str = BOOK) -> StreamWrite:
    return StreamWrite(
        book, stream, expected, tuple(NewEvent("trainee.nominated", {"place": place}) for place in range(events))
    )


def append(*writes: StreamWrite, claims: Sequence[Claim] = (), command_id: UUID | None = None, **more: Any) -> Append:
    """An append with sensible values for whatever a test does not care about; one event when no write is given."""
    values: dict[str, Any] = {
        "content_hash": sha256(b"command").digest(),
        "actor": "county:410181",
        "recorded_at": NOW,
        "reply": b"first answer",
        "correlation_id": "workflow-1",
        "causation_id": "event-1",
    } | more
    return Append(command_id or uuid4(), writes=writes or (write(),), claims=tuple(claims), **values)


def claiming(*claims: Claim) -> Append:
    """An append that does nothing but claim."""
    return Append(
        command_id=uuid4(),
        content_hash=sha256(b"claim").digest(),
        actor="bureau:zzedu",
        writes=(),
        recorded_at=NOW,
        claims=claims,
    )


def notice(recipient: str = "410181", dedup: str = "", **body: Any) -> OutboxEntry:
    return OutboxEntry(recipient, "trainee.nominated", body, dedup)


async def fill(ledger: Ledger, events: int, book: str = BOOK, prefix: str = "trainee") -> None:
    """Put so many events into a book, three to a stream. The streams of another book have other names."""
    prefix = prefix if book == BOOK else f"{prefix}/{book}"
    appends = [
        append(write(f"{prefix}/{first:05}", events=min(3, events - first), book=book)) for first in range(0, events, 3)
    ]
    assert all(isinstance(result, Appended) for result in await ledger.append_many(appends))
