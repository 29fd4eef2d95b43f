"""Reading by type and by correlation, and streams as they once stood."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from ledger import reading
from ledger.errors import LedgerError, PageOutOfRange, StreamTooLong
from ledger.reading import (
    MAX_PAGE_EVENTS,
    InvalidFilter,
    InvalidMoment,
    VersionNotReached,
    events_by_correlation,
    events_by_type,
    fold_at,
    stream_at,
)
from ledger.store import Ledger
from ledger.types import Appended, NewEvent, RecordedEvent, StreamPlace, StreamWrite
from tests.ledger.appends import BOOK, NOW, STREAM, append, fill, write

Pool = asyncpg.Pool
HOUR = timedelta(hours=1)


async def store(ledger: Ledger, *appends: Any) -> None:
    for one in appends:
        assert isinstance(await ledger.append(one), Appended)


def typed(stream: str, *types: str, book: str = BOOK) -> StreamWrite:
    return StreamWrite(book, stream, 0, tuple(NewEvent(name, {}) for name in types))


def sequences(events: list[RecordedEvent]) -> list[int]:
    return [event.sequence for event in events]


async def test_events_of_one_type_come_in_the_order_of_the_book(ledger: Ledger, pool: "Pool[Any]") -> None:
    await store(
        ledger,
        append(typed("a", "opened", "closed")),
        append(typed("b", "opened")),
        append(typed("c", "closed", "opened")),
        append(typed("d", "opened", book="another")),
    )
    events = await events_by_type(pool, BOOK, "opened")
    assert sequences(events) == [1, 3, 5]
    assert events == [event for event in await ledger.read_book(BOOK, 0, 10) if event.type == "opened"]
    assert await events_by_type(pool, BOOK, "open") == []
    assert await events_by_type(pool, "unknown", "opened") == []


async def test_pages_by_type_meet_without_a_gap_or_an_overlap(ledger: Ledger, pool: "Pool[Any]") -> None:
    await store(ledger, *(append(typed(f"s/{n}", "opened", "closed")) for n in range(7)))
    seen: list[int] = []
    while page := await events_by_type(pool, BOOK, "closed", seen[-1] if seen else 0, 3):
        assert len(page) <= 3
        seen += sequences(page)
    assert seen == [2, 4, 6, 8, 10, 12, 14]


async def test_events_of_one_correlation_are_found_across_streams(ledger: Ledger, pool: "Pool[Any]") -> None:
    await store(
        ledger,
        append(write("a", events=2), correlation_id="one"),
        append(write("b"), correlation_id="other"),
        append(write("c"), correlation_id="one"),
        append(write("d"), correlation_id="one more"),
    )
    assert sequences(await events_by_correlation(pool, BOOK, "one")) == [1, 2, 4]
    assert sequences(await events_by_correlation(pool, BOOK, "one", 1, 1)) == [2]
    assert sequences(await events_by_correlation(pool, BOOK, "one", 2, 1)) == [4]
    assert sequences(await events_by_correlation(pool, BOOK, "one", stream="a")) == [1, 2]
    assert sequences(await events_by_correlation(pool, BOOK, "one", 1, stream="a")) == [2]
    assert sequences(await events_by_correlation(pool, BOOK, "one", stream="c")) == [4]
    assert await events_by_correlation(pool, BOOK, "one", stream="b") == []
    assert await events_by_correlation(pool, BOOK, "on") == []


@pytest.mark.parametrize(
    "text", ['with "quotes"', "back\\slash", "字 é \U0001f600", "new\nline", "nul\x00", ',"data":']
)
async def test_a_correlation_id_is_compared_as_it_is_spelt(ledger: Ledger, pool: "Pool[Any]", text: str) -> None:
    await store(ledger, append(write("a"), correlation_id=text), append(write("b"), correlation_id="x"))
    assert [event.correlation_id for event in await events_by_correlation(pool, BOOK, text)] == [text]


async def test_data_or_another_text_that_look_like_a_correlation_id_are_not_taken_for_it(
    ledger: Ledger, pool: "Pool[Any]"
) -> None:
    looks = ',"correlation_id":"one","data":{}'
    event = NewEvent("opened", {"a": 1, "correlation_id": "one", "data": {}, "text": looks})
    odd = StreamWrite(BOOK, "a", 0, (event,))
    await store(ledger, append(odd, correlation_id="other", actor=looks, causation_id=looks))
    assert await events_by_correlation(pool, BOOK, "one") == []
    assert sequences(await events_by_correlation(pool, BOOK, "other")) == [1]


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE_EVENTS + 1])
async def test_a_page_out_of_bounds_is_refused(pool: "Pool[Any]", limit: int) -> None:
    with pytest.raises(PageOutOfRange, match=f"1 to {MAX_PAGE_EVENTS}"):
        await events_by_type(pool, BOOK, "opened", 0, limit)
    with pytest.raises(PageOutOfRange, match=f"1 to {MAX_PAGE_EVENTS}"):
        await events_by_correlation(pool, BOOK, "one", 0, limit)


@pytest.mark.parametrize("after", [-1, 2**63])
async def test_a_page_after_no_possible_sequence_is_refused(pool: "Pool[Any]", after: int) -> None:
    with pytest.raises(PageOutOfRange, match="0 or more"):
        await events_by_type(pool, BOOK, "opened", after)
    with pytest.raises(PageOutOfRange, match="0 or more"):
        await events_by_correlation(pool, BOOK, "one", after)


async def test_a_page_may_be_as_long_as_the_limit_and_no_longer(ledger: Ledger, pool: "Pool[Any]") -> None:
    await fill(ledger, MAX_PAGE_EVENTS + 1)
    assert sequences(await events_by_type(pool, BOOK, "trainee.nominated")) == list(range(1, MAX_PAGE_EVENTS + 1))
    assert len(await events_by_correlation(pool, BOOK, "workflow-1")) == MAX_PAGE_EVENTS


@pytest.mark.parametrize("name", ["", "nul\x00", "half\ud800"])
@pytest.mark.parametrize(
    "read",
    [
        lambda pool, name: events_by_type(pool, BOOK, name),
        lambda pool, name: events_by_type(pool, name, "opened"),
        lambda pool, name: events_by_correlation(pool, name, "one"),
        lambda pool, name: events_by_correlation(pool, BOOK, "one", stream=name),
        lambda pool, name: stream_at(pool, BOOK, name, version=0),
        lambda pool, name: stream_at(pool, name, STREAM, version=0),
    ],
)
async def test_a_name_that_nothing_can_have_is_refused(
    pool: "Pool[Any]", read: Callable[[Any, str], Awaitable[Any]], name: str
) -> None:
    with pytest.raises(InvalidFilter):
        await read(pool, name)


@pytest.mark.parametrize("correlation_id", ["", "half\ud800"])
async def test_a_correlation_id_that_no_event_can_be_asked_for_is_refused(
    pool: "Pool[Any]", correlation_id: str
) -> None:
    with pytest.raises(InvalidFilter, match="correlation id"):
        await events_by_correlation(pool, BOOK, correlation_id)


async def history(ledger: Ledger) -> None:
    """Four events. The third becomes known late, about the past; the fourth by a clock that is behind."""
    for version, (recorded, effective) in enumerate([(0, 0), (2, 5), (6, 1), (4, 4)]):
        event = NewEvent("changed", {"place": version + 1}, effective_at=NOW + effective * HOUR)
        await store(ledger, append(StreamWrite(BOOK, STREAM, version, (event,)), recorded_at=NOW + recorded * HOUR))
    await store(ledger, append(write("another", events=9)))


def versions(events: list[RecordedEvent]) -> list[int]:
    return [event.version for event in events]


async def test_a_stream_stands_at_each_of_its_versions(ledger: Ledger, pool: "Pool[Any]") -> None:
    await history(ledger)
    for version in range(5):
        assert versions(await stream_at(pool, BOOK, STREAM, version=version)) == list(range(1, version + 1))
    assert await stream_at(pool, BOOK, STREAM, version=4) == await ledger.read_stream(BOOK, STREAM)


async def test_a_version_that_is_not_there_yet_is_an_error(ledger: Ledger, pool: "Pool[Any]") -> None:
    await history(ledger)
    with pytest.raises(VersionNotReached, match="stands at version 4, not yet at 5"):
        await stream_at(pool, BOOK, STREAM, version=5)
    with pytest.raises(VersionNotReached, match="stands at version 0, not yet at 1"):
        await stream_at(pool, BOOK, "unknown", version=1)


@pytest.mark.parametrize(
    ("hours", "known"),
    [(-1, []), (0, [1]), (1, [1]), (2, [1, 2]), (4, [1, 2]), (5, [1, 2]), (6, [1, 2, 3, 4]), (99, [1, 2, 3, 4])],
)
async def test_a_stream_at_a_recorded_time_ends_before_the_first_later_event(
    ledger: Ledger, pool: "Pool[Any]", hours: int, known: list[int]
) -> None:
    await history(ledger)
    assert versions(await stream_at(pool, BOOK, STREAM, recorded_at=NOW + hours * HOUR)) == known


@pytest.mark.parametrize(
    ("hours", "held"), [(-1, []), (0, [1]), (1, [1, 3]), (3, [1, 3]), (4, [1, 3, 4]), (5, [1, 2, 3, 4])]
)
async def test_a_stream_at_an_effective_time_holds_what_was_in_effect_and_became_known_later(
    ledger: Ledger, pool: "Pool[Any]", hours: int, held: list[int]
) -> None:
    await history(ledger)
    assert versions(await stream_at(pool, BOOK, STREAM, effective_at=NOW + hours * HOUR)) == held


async def test_a_time_counts_to_the_microsecond(ledger: Ledger, pool: "Pool[Any]") -> None:
    await history(ledger)
    just_before = NOW + 2 * HOUR - timedelta(microseconds=1)
    assert versions(await stream_at(pool, BOOK, STREAM, recorded_at=just_before)) == [1]
    just_before = NOW + HOUR - timedelta(microseconds=1)
    assert versions(await stream_at(pool, BOOK, STREAM, effective_at=just_before)) == [1]


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ({}, "not none"),
        ({"version": 1, "recorded_at": NOW}, "not version and recorded_at"),
        ({"recorded_at": NOW, "effective_at": NOW}, "not recorded_at and effective_at"),
        ({"version": 0, "recorded_at": NOW, "effective_at": NOW}, "not version and recorded_at and effective_at"),
        ({"version": -1}, "0 or more, not -1"),
        ({"version": 2**63}, "0 or more"),
        ({"recorded_at": NOW.replace(tzinfo=None)}, "recorded_at has no time zone"),
        ({"effective_at": NOW.replace(tzinfo=None)}, "effective_at has no time zone"),
    ],
)
async def test_a_moment_that_names_no_single_instant_is_refused(
    pool: "Pool[Any]", moment: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidMoment, match=said) as refusal:
        await stream_at(pool, BOOK, STREAM, **moment)
    assert isinstance(refusal.value, LedgerError)
    with pytest.raises(InvalidMoment, match=said):
        await fold_at(pool, BOOK, STREAM, 0, lambda state, _: state, **moment)


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
async def test_the_first_and_the_last_instant_are_times_like_others(
    ledger: Ledger, pool: "Pool[Any]", moment: datetime
) -> None:
    await history(ledger)
    expected = [] if moment < NOW else [1, 2, 3, 4]
    assert versions(await stream_at(pool, BOOK, STREAM, recorded_at=moment)) == expected
    assert versions(await stream_at(pool, BOOK, STREAM, effective_at=moment)) == expected


async def test_a_fold_at_a_moment_gives_the_state_of_then(ledger: Ledger, pool: "Pool[Any]") -> None:
    await history(ledger)

    def evolve(state: tuple[int, ...], event: RecordedEvent) -> tuple[int, ...]:
        return (*state, event.data["place"])

    nothing: tuple[int, ...] = ()
    begun: tuple[int, ...] = (9,)
    assert await fold_at(pool, BOOK, STREAM, nothing, evolve, version=0) == nothing
    assert await fold_at(pool, BOOK, STREAM, nothing, evolve, version=3) == (1, 2, 3)
    assert await fold_at(pool, BOOK, STREAM, nothing, evolve, recorded_at=NOW + HOUR) == (1,)
    assert await fold_at(pool, BOOK, STREAM, nothing, evolve, effective_at=NOW + HOUR) == (1, 3)
    assert await fold_at(pool, BOOK, STREAM, begun, evolve, version=1) == (9, 1)


async def test_a_stream_that_is_too_long_up_to_the_moment_is_an_error(
    ledger: Ledger, pool: "Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_STREAM_EVENTS", 3)
    await history(ledger)
    assert len(await stream_at(pool, BOOK, STREAM, version=3)) == 3
    with pytest.raises(StreamTooLong):
        await stream_at(pool, BOOK, STREAM, version=4)


async def test_reads_in_one_transaction_see_one_state(ledger: Ledger, pool: "Pool[Any]") -> None:
    await store(ledger, append(typed("a", "opened")))
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        assert sequences(await events_by_type(connection, BOOK, "opened")) == [1]
        await store(ledger, append(typed("b", "opened")))
        assert sequences(await events_by_type(connection, BOOK, "opened")) == [1]
    assert sequences(await events_by_type(pool, BOOK, "opened")) == [1, 2]


async def test_the_application_may_read_in_all_these_ways(ledger: Ledger, pool: "Pool[Any]") -> None:
    await history(ledger)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE xunji_app")
        assert len(await events_by_type(connection, BOOK, "changed")) == 4
        assert len(await events_by_correlation(connection, BOOK, "workflow-1", stream=STREAM)) == 4
        assert len(await stream_at(connection, BOOK, STREAM, recorded_at=NOW)) == 1


async def test_streams_are_read_at_once(ledger: Ledger) -> None:
    await store(ledger, append(write("a", events=3)), append(write("b")), append(typed("c", "opened", book="another")))
    a, b, c = StreamPlace(BOOK, "a", 1), StreamPlace(BOOK, "b"), StreamPlace("another", "c")
    found = await ledger.read_newer([b, c, a, StreamPlace(BOOK, "c"), StreamPlace(BOOK, "b", 1)])
    assert {place: [event.version for event in events] for place, events in found.items()} == {
        b: [1],
        c: [1],
        a: [2, 3],
    }
    assert found[a] == await ledger.read_stream(BOOK, "a", 1)
    assert await ledger.read_newer([]) == {}


async def test_streams_that_are_too_long_together_are_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(ledger, append(write("a", events=2)), append(write("b", events=2)))
    monkeypatch.setattr("ledger.store.MAX_STREAM_EVENTS", 3)
    assert len(await ledger.read_newer([StreamPlace(BOOK, "a")])) == 1
    with pytest.raises(StreamTooLong):
        await ledger.read_newer([StreamPlace(BOOK, "a"), StreamPlace(BOOK, "b")])


async def test_the_answers_to_many_commands_are_found_at_once(ledger: Ledger) -> None:
    first, second = append(write("a"), reply=b"one"), append(write("b"), reply=b"two")
    await store(ledger, first, second)
    found = await ledger.find_commands([first.command_id, uuid4(), second.command_id])
    assert {id_: each.reply for id_, each in found.items()} == {first.command_id: b"one", second.command_id: b"two"}
    assert found[first.command_id] == await ledger.find_command(first.command_id)
