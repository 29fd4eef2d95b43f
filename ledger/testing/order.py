"""The contract of order: a book's sequence is dense, and whoever has read up to n has missed nothing before it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from ledger.testing.store import BOOK, OTHER_BOOK, OpenStore, append, appended, write
from ledger.types import Appended

WRITERS: Final = 16
EVENTS_PER_WRITER: Final = 1_500
"""With these, keyset paging over an identity column was measured to lose 11 to 22 of 24,000 events elsewhere."""

AT_ONCE: Final = 50
PAGE: Final = 500


class OrderContract:
    """Readers that run beside the writers see every event once, in the order of sequences."""

    async def test_sixteen_writers_and_a_reader_that_skips_nothing(self, open_store: OpenStore) -> None:
        """Skipped events: the reader follows the head while 24,000 events are written, and goes back for nothing."""
        total = WRITERS * EVENTS_PER_WRITER
        seen: list[int] = []

        async def write_some(number: int) -> None:
            async with open_store() as store:
                for first in range(0, EVENTS_PER_WRITER, AT_ONCE):
                    some = [append(write(f"s/{number}/{place}")) for place in range(first, first + AT_ONCE)]
                    assert len(appended(await asyncio.gather(*map(store.append, some)))) == AT_ONCE

        async def read_along(writing: "asyncio.Future[list[None]]") -> None:
            async with open_store() as store:
                while True:
                    written = writing.done()
                    page = await store.read_book(BOOK, seen[-1] if seen else 0, PAGE)
                    seen.extend(event.sequence for event in page)
                    if written and not page:
                        return
                    await asyncio.sleep(0)

        writing = asyncio.gather(*map(write_some, range(WRITERS)))
        await read_along(writing)
        await writing
        assert seen == list(range(1, total + 1))

    async def test_writers_of_two_books_in_any_order_leave_both_dense(self, open_store: OpenStore) -> None:
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(open_store()) for _ in range(WRITERS)]

            async def write_some(number: int) -> int:
                books = (BOOK, OTHER_BOOK) if number % 2 else (OTHER_BOOK, BOOK)
                count = 0
                for place in range(20):
                    size = 1 + place % 3
                    both = append(*(write(f"{book}/{number}/{place}", events=size, book=book) for book in books))
                    assert isinstance(await stores[number].append(both), Appended)
                    count += size
                return count

            total = sum(await asyncio.gather(*map(write_some, range(WRITERS))))
            for book in (BOOK, OTHER_BOOK):
                events = await stores[0].read_book(book, 0, total + 1)
                assert [event.sequence for event in events] == list(range(1, total + 1))

    async def test_a_stream_is_read_in_the_order_of_its_versions(self, open_store: OpenStore) -> None:
        """Order on read (emmett #239): a stream was read in whatever order its rows were found."""
        async with open_store() as store:
            for version in range(30):
                await store.append_many([append(write(f"s/{stream}", version)) for stream in range(3)])
            for stream in range(3):
                events = await store.read_stream(BOOK, f"s/{stream}")
                assert [event.version for event in events] == list(range(1, 31))
                assert [event.sequence for event in events] == sorted(event.sequence for event in events)

    async def test_pages_of_a_book_meet_without_a_gap_or_an_overlap(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.append_many([append(write(f"s/{place}", events=1 + place % 4)) for place in range(40)])
            head = await store.head(BOOK)
            seen: list[int] = []
            while page := await store.read_book(BOOK, seen[-1] if seen else 0, 7):
                assert len(page) <= 7
                seen += [event.sequence for event in page]
            assert seen == list(range(1, head + 1))
            streams = [one.stream for one in await store.streams(BOOK, "s/1")]
            assert streams == sorted(["s/1", *(f"s/1{place}" for place in range(10))])
            assert await store.head("nowhere") == 0
