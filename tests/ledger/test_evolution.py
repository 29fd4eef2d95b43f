"""Schema versions: what is written, what is read of older and of later releases, and that the bytes stay."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.errors import UnknownEventType, WrongSchemaVersion
from ledger.evolution import OPAQUE, EventSchema, SchemaDeclaredTwice, Schemas
from ledger.reading import events_by_correlation, events_by_type, fold_at, stream_at
from ledger.store import Ledger
from ledger.subscription import Subscription
from ledger.types import Append, Appended, NewEvent, RecordedEvent, StreamWrite
from tests.ledger.appends import BOOK, STREAM, append, write

Pool: TypeAlias = "asyncpg.Pool[Any]"
TYPE = "seat.given"


def rename_room(data: dict[str, Any]) -> dict[str, Any]:
    data["place"] = data.pop("room")
    return data


def split_place(data: dict[str, Any]) -> dict[str, Any]:
    house, _, room = data["place"].partition("/")
    return {"house": house, "room": room}


FIRST_RELEASE = Schemas([EventSchema(TYPE)])
SECOND_RELEASE = Schemas([EventSchema(TYPE, (rename_room,))])
THIRD_RELEASE = Schemas([EventSchema(TYPE, (rename_room, split_place)), EventSchema("seat.returned")])
WRITTEN: tuple[tuple[Schemas, int, Mapping[str, str]], ...] = (
    (FIRST_RELEASE, 1, {"room": "A/1"}),
    (SECOND_RELEASE, 2, {"place": "B/2"}),
    (THIRD_RELEASE, 3, {"house": "C", "room": "3"}),
)
NEWEST = [{"house": "A", "room": "1"}, {"house": "B", "room": "2"}, {"house": "C", "room": "3"}]


def given(version: int, data: Mapping[str, str], expected: int = 0, type_: str = TYPE) -> Append:
    return append(StreamWrite(BOOK, STREAM, expected, (NewEvent(type_, data, version),)))


@pytest.fixture
async def written(pool: Pool) -> Pool:
    """Three releases have each written an event of the same type into one stream."""
    for place, (schemas, version, data) in enumerate(WRITTEN):
        async with Ledger(pool, schemas) as ledger:
            assert isinstance(await ledger.append(given(version, data, place)), Appended)
    return pool


async def read_stream(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    async with Ledger(pool, schemas) as ledger:
        return await ledger.read_stream(BOOK, STREAM)


async def read_book(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    async with Ledger(pool, schemas) as ledger:
        return await ledger.read_book(BOOK, 0, 10)


async def subscribe(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    async with Subscription(pool, BOOK, schemas=schemas) as subscription:
        return await anext(subscription)


async def by_moment(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    return await stream_at(pool, BOOK, STREAM, version=3, schemas=schemas)


async def by_folding(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    nothing: list[RecordedEvent] = []
    return await fold_at(pool, BOOK, STREAM, nothing, lambda state, event: [*state, event], version=3, schemas=schemas)


async def by_type(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    return await events_by_type(pool, BOOK, TYPE, schemas=schemas)


async def by_correlation(pool: Pool, schemas: Schemas) -> list[RecordedEvent]:
    return await events_by_correlation(pool, BOOK, "workflow-1", schemas=schemas)


WAYS = (read_stream, read_book, subscribe, by_moment, by_folding, by_type, by_correlation)


@pytest.mark.defect("upcasters ignored")
@pytest.mark.parametrize("read", WAYS)
async def test_every_way_to_read_gives_the_newest_version(written: Pool, read: Any) -> None:
    events = await read(written, THIRD_RELEASE)
    assert [event.data for event in events] == NEWEST
    assert {event.schema_version for event in events} == {3}
    # Everything else is as it was recorded.
    stored = await read(written, OPAQUE)
    assert [replace(event, data={}, schema_version=1) for event in events] == [
        replace(event, data={}, schema_version=1) for event in stored
    ]


@pytest.mark.parametrize("read", WAYS)
async def test_without_schemas_everything_is_read_as_it_was_stored(written: Pool, read: Any) -> None:
    events = await read(written, OPAQUE)
    assert [(event.schema_version, event.data) for event in events] == [(version, data) for _, version, data in WRITTEN]


@pytest.mark.parametrize("read", WAYS)
async def test_an_event_of_a_later_release_is_given_as_it_was_stored_beside_the_others(
    written: Pool, read: Any
) -> None:
    events = await read(written, SECOND_RELEASE)
    assert [(event.schema_version, event.data) for event in events] == [
        (2, {"place": "A/1"}),
        (2, {"place": "B/2"}),
        (3, {"house": "C", "room": "3"}),
    ]
    unknown = await read(written, Schemas([EventSchema("another.type", (rename_room,))]))
    assert [event.schema_version for event in unknown] == [1, 2, 3]


async def test_upcasting_changes_no_stored_byte(written: Pool) -> None:
    before = await written.fetch("SELECT * FROM ledger.events ORDER BY sequence")
    await read_stream(written, THIRD_RELEASE)
    assert await written.fetch("SELECT * FROM ledger.events ORDER BY sequence") == before


async def test_an_upcast_that_fails_spoils_neither_its_page_nor_the_log(
    written: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    schemas = Schemas([EventSchema(TYPE, (rename_room, lambda data: {"house": data["nowhere"]}))])
    with caplog.at_level(logging.ERROR):
        events = await read_stream(written, schemas)
    assert [(event.schema_version, event.data) for event in events][:2] == [
        (1, {"room": "A/1"}),
        (2, {"place": "B/2"}),
    ]
    assert events[2].schema_version == 3
    (first, second) = caplog.messages
    assert f"{TYPE} from version 2 failed at {BOOK}/1: KeyError" in first and f"{BOOK}/2" in second
    assert "A/1" not in caplog.text and "B/2" not in caplog.text


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (given(1, {}, type_="seat.sold"), UnknownEventType, "seat.sold"),
        (given(4, {}), WrongSchemaVersion, "written in schema version 3, not 4"),
        (given(2, {}), WrongSchemaVersion, "written in schema version 3, not 2"),
    ],
)
async def test_an_unknown_type_or_another_version_is_an_error_and_nothing_is_written(
    pool: Pool, bad: Append, error: type[Exception], words: str
) -> None:
    good = given(3, {"house": "D", "room": "4"})
    async with Ledger(pool, THIRD_RELEASE) as ledger:
        with pytest.raises(error, match=words):
            await ledger.append(bad)
        with pytest.raises(error, match=words):
            await ledger.append_many([good, bad])
        assert await ledger.books() == []
        assert await ledger.find_command(bad.command_id) is None
        assert await ledger.find_command(good.command_id) is None
        assert isinstance(await ledger.append(good), Appended)


async def test_without_schemas_every_type_may_be_written(pool: Pool) -> None:
    async with Ledger(pool) as ledger:
        assert isinstance(await ledger.append(append(write())), Appended)
        assert isinstance(await ledger.append(given(77, {}, 1, "seat.sold")), Appended)


def test_a_type_has_one_schema() -> None:
    with pytest.raises(SchemaDeclaredTwice, match=TYPE):
        Schemas([EventSchema(TYPE), EventSchema(TYPE, (rename_room,))])
    assert (THIRD_RELEASE.version(TYPE), THIRD_RELEASE.version("unknown")) == (3, None)
