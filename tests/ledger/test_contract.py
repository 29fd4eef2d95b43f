"""The PostgreSQL ledger is held to the contract of `ledger.testing`, and the contract to finding what it is about."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from ledger.testing.append import AppendContract, BadInputContract
from ledger.testing.claims import ClaimContract
from ledger.testing.order import OrderContract
from ledger.testing.store import EventStore, OpenStore
from ledger.types import Append, Appended, AppendResult, ClaimRefused, Duplicate, RecordedEvent, VersionConflict

Pool: TypeAlias = "asyncpg.Pool[Any]"


class TestAppending(AppendContract):
    pass


class TestBadInput(BadInputContract):
    pass


class TestClaims(ClaimContract):
    pass


class TestOrder(OrderContract):
    pass


# --------------------------------------------------------------------------------- stores that break the contract


class Defective(Ledger):
    """A ledger with a defect that another store has had. `answer` may change what an append is answered."""

    def answer(self, append: Append, result: AppendResult) -> AppendResult:
        return result

    async def append(self, append: Append) -> AppendResult:
        return self.answer(append, await super().append(append))


class FalseSuccess(Defective):
    """Whoever loses a race is told that he has won it."""

    def answer(self, append: Append, result: AppendResult) -> AppendResult:
        if isinstance(result, VersionConflict):
            return Appended(append.reply, {result.stream: result.actual}, {})
        return result


class RawViolation(Defective):
    """Whoever loses a race meets the index that he has lost against."""

    def answer(self, append: Append, result: AppendResult) -> AppendResult:
        if isinstance(result, VersionConflict):
            raise asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
        return result


class LastAnswer(Defective):
    """A repetition is answered with its own reply, and not with the first one."""

    def answer(self, append: Append, result: AppendResult) -> AppendResult:
        return Duplicate(append.reply) if isinstance(result, Duplicate) else result


class OpenClaims(Defective):
    """A claim that does not hold stops nobody."""

    def answer(self, append: Append, result: AppendResult) -> AppendResult:
        return Appended(append.reply, {}, {}) if isinstance(result, ClaimRefused) else result


class Unordered(Defective):
    """A stream comes in whatever order its rows were found."""

    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        events = await super().read_stream(book, stream, after_version)
        return sorted(events, key=lambda event: event.id.bytes[::-1])


class Skipping(Defective):
    """A page leaves an event out that a transaction has not committed yet."""

    async def read_book(self, book: str, after_sequence: int, limit: int) -> list[RecordedEvent]:
        events = await super().read_book(book, after_sequence, limit)
        return [event for event in events if event.sequence != 17]


@pytest.mark.parametrize(
    ("store", "test"),
    [
        (FalseSuccess, AppendContract().test_of_twenty_at_once_one_is_stored_and_only_one_is_told_so),
        (RawViolation, AppendContract().test_of_twenty_at_once_one_is_stored_and_only_one_is_told_so),
        (LastAnswer, AppendContract().test_a_repeated_command_is_answered_with_its_first_answer),
        (OpenClaims, ClaimContract().test_the_last_seat_is_sold_once),
        (Unordered, OrderContract().test_a_stream_is_read_in_the_order_of_its_versions),
        (Skipping, OrderContract().test_writers_of_two_books_in_any_order_leave_both_dense),
        (Skipping, OrderContract().test_pages_of_a_book_meet_without_a_gap_or_an_overlap),
    ],
)
async def test_a_store_with_a_known_defect_fails_the_contract(
    pool: Pool, store: type[Ledger], test: Callable[[OpenStore], Awaitable[None]]
) -> None:
    @asynccontextmanager
    async def defective() -> AsyncIterator[EventStore]:
        async with store(pool) as one:
            yield one

    with pytest.raises((AssertionError, asyncpg.UniqueViolationError)):
        await test(defective)
