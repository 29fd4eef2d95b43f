"""The contract of appending: what is stored, and what each append is answered."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import uuid4

from ledger.canonical import MAX_PAYLOAD_BYTES
from ledger.errors import InvalidAppend, InvalidName, PayloadTooLarge, StreamInAnotherBook
from ledger.testing.store import (
    BOOK,
    FIRST_ANSWER,
    NOW,
    OTHER_BOOK,
    STREAM,
    TYPE,
    OpenStore,
    append,
    appended,
    error_of,
    write,
)
from ledger.types import Appended, CommandReused, Duplicate, NewEvent, StoredReply, StreamWrite, VersionConflict

CALLERS = 20


class AppendContract:
    """An append is stored as a whole or not at all, and its answer says which."""

    async def test_an_event_is_read_as_it_was_written(self, open_store: OpenStore) -> None:
        later = NOW + timedelta(days=2)
        data: dict[str, Any] = {
            "名": "王",
            "days": [1, 2],
            "deep": {"b": None, "a": True},
            "quote": '"\\',
            "at": later,
        }
        one = append(StreamWrite(BOOK, STREAM, 0, (NewEvent(TYPE, data, 3, later),)))
        async with open_store() as store:
            assert await store.append(one) == Appended(FIRST_ANSWER, {STREAM: 1}, {BOOK: 1})
            (event,) = await store.read_stream(BOOK, STREAM)
            assert (event.book, event.sequence, event.stream, event.version) == (BOOK, 1, STREAM, 1)
            assert (event.type, event.schema_version) == (TYPE, 3)
            assert (event.recorded_at, event.effective_at) == (NOW, later)
            assert event.command_id == one.command_id
            assert (event.correlation_id, event.causation_id, event.actor) == ("story-1", "event-1", "somebody")
            assert event.data == {**data, "at": "2022-08-27T09:30:00.250000Z"}
            assert await store.read_book(BOOK, 0, 10) == [event]

    async def test_a_time_of_another_zone_is_stored_in_utc(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.append(append(recorded_at=NOW.astimezone(timezone(timedelta(hours=8)))))
            (event,) = await store.read_stream(BOOK, STREAM)
            assert (event.recorded_at, event.recorded_at.utcoffset()) == (NOW, timedelta(0))

    async def test_several_streams_in_several_books_are_one_append(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            result = await store.append(append(write(events=2), write("b/1", book=OTHER_BOOK), write("c/1", events=3)))
            versions = {STREAM: 2, "b/1": 1, "c/1": 3}
            assert result == Appended(FIRST_ANSWER, versions, {BOOK: 5, OTHER_BOOK: 1})
            refused = await store.append(append(write("thing/9"), write("b/1", book=OTHER_BOOK)))
            assert refused == VersionConflict("b/1", 0, 1)
            assert await store.read_stream(BOOK, "thing/9") == []
            assert await store.stream_version(BOOK, STREAM) == 2
            assert await store.stream_version(BOOK, "thing/9") == 0
            assert await store.books() == [BOOK, OTHER_BOOK]

    async def test_one_append_holds_a_thousand_and_one_events(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert await store.append(append(write(events=1001))) == Appended(
                FIRST_ANSWER, {STREAM: 1001}, {BOOK: 1001}
            )
            events = await store.read_stream(BOOK, STREAM)
            assert [event.data["place"] for event in events] == list(range(1001))
            assert await store.read_stream(BOOK, STREAM, after_version=999) == events[999:]

    async def test_two_thousand_appends_of_one_call_each_get_their_own_answer(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.append(append(write("thing/0777")))
            results = await store.append_many([append(write(f"thing/{number:04}")) for number in range(2000)])
            assert results[777] == VersionConflict("thing/0777", 0, 1)
            stored = appended(results)
            assert len(stored) == 1999
            assert [result.sequences[BOOK] for result in stored] == list(range(2, 2001))

    # ------------------------------------------------------------------------------------------- expected versions

    async def test_a_wrong_expected_version_is_a_conflict_that_names_the_actual_one(
        self, open_store: OpenStore
    ) -> None:
        async with open_store() as store:
            await store.append(append(write(events=3)))
            for expected in (0, 2, 4):
                assert await store.append(append(write(expected=expected))) == VersionConflict(STREAM, expected, 3)
            assert await store.append(append(write("thing/2", expected=1))) == VersionConflict("thing/2", 1, 0)
            assert await store.head(BOOK) == 3

    async def test_appends_of_one_call_to_one_stream_build_on_each_other(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            results = await store.append_many([append(write(expected=version)) for version in (0, 1, 1, 2, 5)])
            assert [result.versions[STREAM] for result in appended(results)] == [1, 2, 3]
            assert results[2] == VersionConflict(STREAM, 1, 2)
            assert results[4] == VersionConflict(STREAM, 5, 3)
            assert [event.version for event in await store.read_stream(BOOK, STREAM)] == [1, 2, 3]

    async def test_of_twenty_at_once_one_is_stored_and_only_one_is_told_so(self, open_store: OpenStore) -> None:
        """False success on a race (Eventuous #553): all twenty were told that they had succeeded."""
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(open_store()) for _ in range(CALLERS)]
            for version in range(3):
                results = await asyncio.gather(*(store.append(append(write(expected=version))) for store in stores))
                # Whoever lost is told the version, and not what an index of the database has said (marten #1465).
                assert len(appended(results)) == 1
                assert results.count(VersionConflict(STREAM, version, version + 1)) == CALLERS - 1
            events = await stores[0].read_stream(BOOK, STREAM)
            assert [event.version for event in events] == [1, 2, 3]

    # -------------------------------------------------------------------------------------------------- command ids

    async def test_a_repeated_command_is_answered_with_its_first_answer(self, open_store: OpenStore) -> None:
        first = append()
        async with open_store() as store:
            await store.append(first)
            assert await store.append(replace(first, reply=b"another answer")) == Duplicate(FIRST_ANSWER)
            assert await store.head(BOOK) == 1
        async with open_store() as another:
            assert await another.append(first) == Duplicate(FIRST_ANSWER)
            assert await another.find_command(first.command_id) == StoredReply(first.content_hash, FIRST_ANSWER)
            assert await another.find_command(uuid4()) is None

    async def test_a_command_id_is_not_reused_for_another_command(self, open_store: OpenStore) -> None:
        first = append()
        other = append(write("thing/2"), command_id=first.command_id, content_hash=sha256(b"other").digest())
        async with open_store() as store:
            await store.append(first)
            assert await store.append(other) == CommandReused(first.command_id)
            assert await store.head(BOOK) == 1
            assert await store.stream_version(BOOK, "thing/2") == 0

    async def test_the_same_command_from_many_callers_is_carried_out_once(self, open_store: OpenStore) -> None:
        one = append()
        async with open_store() as store:
            results = await asyncio.gather(*(store.append(one) for _ in range(CALLERS)))
            assert len(appended(results)) == 1
            assert results.count(Duplicate(FIRST_ANSWER)) == CALLERS - 1
            assert await store.head(BOOK) == 1

    async def test_the_same_command_through_two_processes_is_carried_out_once(self, open_store: OpenStore) -> None:
        # In different books nothing makes them wait for each other but the command itself.
        async with open_store() as here, open_store() as there:
            for place in range(CALLERS):
                one = append(write(f"a/{place}"))
                for other in (one, replace(one, writes=(write(f"b/{place}", book=OTHER_BOOK),))):
                    results = await asyncio.gather(here.append(one), there.append(other))
                    assert all(isinstance(each, Appended | Duplicate) for each in results), results
            assert await here.head(BOOK) + await here.head(OTHER_BOOK) == CALLERS

    # -------------------------------------------------------------------------------------------------------- books

    async def test_a_refused_append_makes_no_book(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert await store.append(append(write(expected=4))) == VersionConflict(STREAM, 4, 0)
            assert await store.books() == []
            assert isinstance(await store.append(append()), Appended)

    async def test_processes_that_make_the_same_books_at_once_share_them(self, open_store: OpenStore) -> None:
        async with open_store() as first, open_store() as second, open_store() as third:
            for attempt in range(5):
                books = [f"book-{attempt}-{name}" for name in "abc"]
                results = await asyncio.gather(
                    *(
                        store.append(
                            append(*(write(f"{book}/{place}", book=book) for book in books[place:] + books[:place]))
                        )
                        for place, store in enumerate((first, second, third))
                    )
                )
                assert all(isinstance(result, Appended) for result in results)
                assert [await first.head(book) for book in books] == [3, 3, 3]


class BadInputContract:
    """What is malformed is an error by its name, nothing of it is stored, and nobody else is disturbed."""

    async def test_a_payload_over_the_limit_is_an_error_and_nothing_is_written(self, open_store: OpenStore) -> None:
        long = append(StreamWrite(BOOK, "thing/2", 0, (NewEvent(TYPE, {"text": "x" * MAX_PAYLOAD_BYTES}),)))
        await self._refused(open_store, [append(write("thing/3")), long], PayloadTooLarge)

    async def test_a_missing_or_broken_name_is_an_error_and_nothing_is_written(self, open_store: OpenStore) -> None:
        for stream in ("", "two words", "nul\x00", "half \ud800", "x" * 201):
            await self._refused(open_store, [append(write(stream))], InvalidName)
        for book in ("", "../etc", "Book"):
            await self._refused(open_store, [append(write(book=book))], InvalidName)
        await self._refused(open_store, [append(StreamWrite(BOOK, STREAM, 0, (NewEvent("", {}),)))], InvalidName)

    async def test_an_append_without_a_content_hash_an_actor_or_events_is_an_error(self, open_store: OpenStore) -> None:
        for one in (append(content_hash=b""), append(actor=""), append(write(events=0)), append(write(expected=-1))):
            await self._refused(open_store, [one], InvalidAppend)

    async def test_a_stream_of_another_book_is_an_error_and_nothing_is_written(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.append(append())
            astray = append(write("thing/2"), write(book=OTHER_BOOK))
            await error_of(store.append(astray), StreamInAnotherBook)
            await error_of(store.append_many([astray]), StreamInAnotherBook)
            assert await store.books() == [BOOK]
            assert await store.stream_version(BOOK, "thing/2") == 0
            assert await store.find_command(astray.command_id) is None
            # What shares a commit with it is stored.
            others = [append(write(f"thing/{number}")) for number in range(3, 13)]
            results = await asyncio.gather(*map(store.append, [*others, astray]), return_exceptions=True)
            assert all(isinstance(result, Appended) for result in results[:-1]), results
            assert isinstance(results[-1], StreamInAnotherBook)
            assert await store.head(BOOK) == 11

    async def test_a_stream_that_two_books_begin_at_once_lives_in_one(self, open_store: OpenStore) -> None:
        async with open_store() as here, open_store() as there:
            for place in range(CALLERS):
                stream = f"race/{place}"
                results = await asyncio.gather(
                    here.append(append(write(stream))),
                    there.append(append(write(stream, book=OTHER_BOOK))),
                    return_exceptions=True,
                )
                kinds = sorted(type(result).__name__ for result in results)
                assert kinds == ["Appended", "StreamInAnotherBook"], results
            assert await here.head(BOOK) + await here.head(OTHER_BOOK) == CALLERS

    @staticmethod
    async def _refused(open_store: OpenStore, batch: list[Any], error: type[Exception]) -> None:
        async with open_store() as store:
            await error_of(store.append_many(batch), error)
            good, bad = await asyncio.gather(
                store.append(append(write(f"good/{uuid4()}", book=OTHER_BOOK))),
                store.append(batch[-1]),
                return_exceptions=True,
            )
            assert isinstance(good, Appended)
            assert isinstance(bad, error), bad
            assert await store.books() == [OTHER_BOOK]
            assert await store.find_command(batch[-1].command_id) is None
