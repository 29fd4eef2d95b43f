"""A subscription: a book's events in order from a sequence, waiting for new ones for as long as somebody reads.

    after_sequence ─► poll ─► events? ── yes ─► a batch, and poll again at once
                       ▲         └────── no ──► wait; each wait is twice the last one, up to LONGEST_WAIT_S
                       └────────────────────────┘

It polls, and nothing notifies it. A NOTIFY in the appending transaction takes a lock that all commits of the server
share, so it takes away what books of their own give: with 16 connections that append one by one to 16 books, appends
fell to half (ratio 0.49, measured on two cores with a disk), and to 0.88 with one book. A poll reads one row of an
index. So a new event is seen at the latest LONGEST_WAIT_S after its commit, and sooner while events keep coming.

Commits become visible in the order of sequences (see `ledger.store`), and one poll is one statement with one
snapshot: what it finds after a sequence is dense, or the book is damaged. The position moves when a batch is handed
over, and at no other time. So neither a lost connection nor a cancelled wait skips or repeats an event.
"""

import asyncio
import logging
from asyncio import sleep
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import asyncpg

from ledger.canonical import parse_event
from ledger.errors import LedgerError, LedgerUnavailable, PageOutOfRange
from ledger.evolution import OPAQUE, Schemas
from ledger.types import RecordedEvent

MAX_BATCH_EVENTS: Final = 1_000
"""No batch holds more events than this."""

BATCH_EVENTS: Final = 200

SHORTEST_WAIT_S: Final = 0.005
LONGEST_WAIT_S: Final = 0.25
"""The waits between two polls that find nothing."""

POLL_TIMEOUT_S: Final = 30.0
POLL_ATTEMPTS: Final = 8
"""So many polls in a row may fail before the database counts as unavailable; about 6 s when they fail at once."""

FIRST_RETRY_WAIT_S: Final = 0.05

_LAST_SEQUENCE: Final = 2**63 - 1

_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # What the driver says when the loss is noticed while a call begins.
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # The database takes no connections for the moment.
)

# The head and the events after a position, in one snapshot. There is always a row, so that the head is always known.
_POLL: Final = """
SELECT h.head, e.body
FROM (SELECT coalesce((SELECT b.sequence FROM ledger.books b WHERE b.book = $1), 0) AS head) h
LEFT JOIN LATERAL (
    SELECT x.sequence, x.body FROM ledger.events x WHERE x.book = $1 AND x.sequence > $2 ORDER BY x.sequence LIMIT $3
) e ON true
ORDER BY e.sequence
"""

_log = logging.getLogger(__name__)


class SubscriptionError(LedgerError):
    """The root of the errors about subscriptions."""


class BeyondHead(SubscriptionError):
    """The position is after the book's last event: another book, or another database, is meant. Begin at its head."""


class SequenceGap(SubscriptionError):
    """A sequence is missing from a book whose sequences are dense. Nothing after it is read; verify the ledger."""


class SubscriptionBusy(SubscriptionError):
    """Two tasks wait on one subscription. Events have one order, so each reader needs a subscription of its own."""


class Subscription:
    """Gives a book's events after `after_sequence` in lists of 1 to `batch_events`, in order, waiting for new ones.

        async with Subscription(pool, "2022-zhengzhou", after_sequence=17) as subscription:
            async for batch in subscription: ...

    It takes a connection from the pool for each poll and holds none in between. A book without events is waited for.
    Each event is given in its newest version by `schemas` (see `ledger.evolution`). The iteration ends when the
    subscription is closed. It raises BeyondHead, SequenceGap, or LedgerUnavailable when the database stays away for
    POLL_ATTEMPTS; iterating again then goes on at `position`.
    """

    def __init__(
        self,
        database: "asyncpg.Pool[Any]",
        book: str,
        *,
        after_sequence: int = 0,
        batch_events: int = BATCH_EVENTS,
        schemas: Schemas = OPAQUE,
    ) -> None:
        if not 0 <= after_sequence <= _LAST_SEQUENCE:
            raise PageOutOfRange(f"a subscription begins after a sequence of 0 or more, not {after_sequence}")
        if not 1 <= batch_events <= MAX_BATCH_EVENTS:
            raise PageOutOfRange(f"a batch holds 1 to {MAX_BATCH_EVENTS} events, not {batch_events}")
        self._database = database
        self._book = book
        self._position = after_sequence
        self._batch_events = batch_events
        self._schemas = schemas
        self._closed = False
        self._wait: asyncio.Task[list[RecordedEvent]] | None = None

    @property
    def position(self) -> int:
        """The sequence of the last event that was handed over; at first the one to begin after."""
        return self._position

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[RecordedEvent]:
        if self._closed:
            raise StopAsyncIteration
        if self._wait is not None:
            raise SubscriptionBusy(f"another task waits for the events of {self._book}; give each reader its own")
        # A task of its own, so that `close` can end the wait without cancelling the reader.
        wait = self._wait = asyncio.create_task(self._next_batch(), name="ledger.subscription")
        wait.add_done_callback(_look_at_error)
        try:
            await asyncio.wait((wait,))
        except asyncio.CancelledError:
            wait.cancel()
            await asyncio.wait((wait,))
            raise
        finally:
            self._wait = None
        if self._closed:
            raise StopAsyncIteration
        batch = wait.result()
        # Nothing is awaited between here and the reader: what counts as handed over is in its hands.
        self._position = batch[-1].sequence
        return batch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration at once, whoever waits in it; a batch that was not handed over is dropped."""
        self._closed = True
        if self._wait is not None:
            self._wait.cancel()

    async def _next_batch(self) -> list[RecordedEvent]:
        wait_s = SHORTEST_WAIT_S
        while True:  # Ends with an event, an error, or the task that is cancelled: waiting is what it is for.
            batch = await self._poll_until_answered()
            if batch:
                return batch
            await sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _poll_until_answered(self) -> list[RecordedEvent]:
        lost: Exception | None = None
        is_gap_seen = False
        for attempt in range(POLL_ATTEMPTS):
            if attempt > 0:
                await sleep(FIRST_RETRY_WAIT_S * 2 ** (attempt - 1))
            try:
                rows = await self._database.fetch(
                    _POLL, self._book, self._position, self._batch_events, timeout=POLL_TIMEOUT_S
                )
            except _LOST as error:
                _log.warning("a poll of the book %s failed: %s", self._book, type(error).__name__)
                lost = error
                if self._database.is_closing():
                    break
                continue
            try:
                return self._checked(rows[0]["head"], [row["body"] for row in rows if row["body"] is not None])
            except SequenceGap:
                # A statement that was planned while a book's partition was being made sees the book's head and not its
                # events. Asked again, it does; so a gap is believed when it is met twice.
                if is_gap_seen or attempt == POLL_ATTEMPTS - 1:
                    raise
                is_gap_seen = True
        raise LedgerUnavailable(
            f"the events of {self._book} after {self._position} could not be read; iterate again to go on there"
        ) from lost

    def _checked(self, head: int, bodies: Sequence[bytes]) -> list[RecordedEvent]:
        """Parse a page up to its first gap. Raises SequenceGap when that is at once, and BeyondHead."""
        if self._position > head:
            raise BeyondHead(f"{self._book} ends at {head}, so there is nothing after {self._position} to wait for")
        batch: list[RecordedEvent] = []
        for expected, body in enumerate(bodies, start=self._position + 1):
            event = parse_event(body)
            if event.sequence != expected:
                break
            batch.append(self._schemas.newest(event))
        if not batch and head > self._position:
            raise SequenceGap(
                f"{self._book} ends at {head} but has no event {self._position + 1}; nothing after it is read"
            )
        return batch


def _look_at_error(wait: "asyncio.Task[list[RecordedEvent]]") -> None:
    # The error of a wait whose reader was cancelled or has closed interests nobody; asyncio would complain of it.
    if not wait.cancelled():
        wait.exception()
