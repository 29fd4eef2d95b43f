"""What the contract is about: an event store as its callers see it, and short ways to say what is appended to one.

An implementation is held to the contract by a test class for each part, and one fixture:

    class TestAppending(AppendContract): ...
    class TestClaims(ClaimContract): ...

    @pytest.fixture
    def open_store(storage) -> OpenStore:
        return lambda: MyStore(storage)

`open_store` opens the same storage again each time, as another process would; it is empty when a test begins. The
stores are asynchronous context managers. The tests are coroutines, so the plugin `pytest-asyncio` (mode `auto`) or
one like it runs them; `pytest.register_assert_rewrite("ledger.testing")` lets it say what an assertion has found. The
package itself imports nothing of pytest.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from uuid import UUID, uuid4

from ledger.types import (
    Append,
    Appended,
    AppendResult,
    Claim,
    Counter,
    NewEvent,
    RecordedEvent,
    StoredReply,
    StreamHead,
    StreamWrite,
)

BOOK: Final = "book-a"
OTHER_BOOK: Final = "book-b"
STREAM: Final = "thing/1"
TYPE: Final = "thing.done"
NOW: Final = datetime(2022, 8, 25, 9, 30, 0, 250_000, tzinfo=UTC)
FIRST_ANSWER: Final = b"first answer"


class EventStore(Protocol):
    """The methods that the contract calls; `ledger.store.Ledger` says what each one promises."""

    async def append(self, append: Append) -> AppendResult: ...
    async def append_many(self, appends: list[Append]) -> list[AppendResult]: ...
    async def find_command(self, command_id: UUID) -> StoredReply | None: ...
    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]: ...
    async def read_book(self, book: str, after_sequence: int, limit: int) -> list[RecordedEvent]: ...
    async def stream_version(self, book: str, stream: str) -> int: ...
    async def head(self, book: str) -> int: ...
    async def books(self) -> list[str]: ...
    async def streams(self, book: str, prefix: str = "", after: str = "", limit: int = 10_000) -> list[StreamHead]: ...
    async def counter(self, key: str) -> Counter: ...


OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[EventStore]]
Error = TypeVar("Error", bound=BaseException)


def write(stream: str = STREAM, expected: int = 0, events: int = 1, book: str = BOOK) -> StreamWrite:
    """So many events for a stream; each says its place, from 0, in `place`."""
    return StreamWrite(book, stream, expected, tuple(NewEvent(TYPE, {"place": place}) for place in range(events)))


def append(*writes: StreamWrite, claims: Sequence[Claim] = (), command_id: UUID | None = None, **more: Any) -> Append:
    """An append with sensible values for whatever a test does not care about."""
    values: dict[str, Any] = {
        "content_hash": sha256(b"command").digest(),
        "actor": "somebody",
        "recorded_at": NOW,
        "reply": FIRST_ANSWER,
        "correlation_id": "story-1",
        "causation_id": "event-1",
    } | more
    return Append(command_id or uuid4(), writes=writes or (write(),), claims=tuple(claims), **values)


def claiming(*claims: Claim) -> Append:
    """An append that does nothing but claim."""
    return Append(uuid4(), sha256(b"claim").digest(), "somebody", (), NOW, claims)


def appended(results: Sequence[AppendResult]) -> list[Appended]:
    """Those that were stored."""
    return [result for result in results if isinstance(result, Appended)]


async def error_of(attempt: Awaitable[object], kind: type[Error]) -> Error:
    """The error of this kind that the attempt must end with."""
    try:
        await attempt
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected, and nothing was raised")
