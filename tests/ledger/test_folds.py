"""A state that is kept in memory is the stream's state at this moment, whoever has appended to it."""

from collections.abc import Callable, Sequence

from ledger.folds import Folds
from ledger.store import Ledger
from ledger.types import RecordedEvent
from tests.ledger.appends import BOOK, STREAM, append, write

OTHER_STREAM = "trainee/zz22-410181-00002"


class Counting:
    """Folds a stream to the places in its events, and notes how often it did."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, events: Sequence[RecordedEvent]) -> tuple[int, ...] | None:
        self.calls += 1
        return tuple(event.data["place"] for event in events) or None


async def test_what_others_append_is_seen_at_once(ledger: Ledger, open_store: Callable[[], Ledger]) -> None:
    fold = Counting()
    folds = Folds(ledger, fold)
    assert await folds.find(BOOK, STREAM) is None
    async with open_store() as other:
        await other.append(append(write(events=2)))
        first = await folds.find(BOOK, STREAM)
        assert first is not None
        assert (first.state, first.version) == ((0, 1), 2)
        await other.append(append(write(expected=2, events=3)))
        second = await folds.find(BOOK, STREAM)
    assert second is not None
    assert (second.state, second.version) == ((0, 1, 0, 1, 2), 5)
    assert [each.version for each in second.events] == [1, 2, 3, 4, 5]
    assert (first.state, first.version) == ((0, 1), 2)


async def test_an_unchanged_stream_is_not_folded_again(ledger: Ledger) -> None:
    await ledger.append(append(write(events=2)))
    fold = Counting()
    folds = Folds(ledger, fold)
    first, second = await folds.find(BOOK, STREAM), await folds.find(BOOK, STREAM)
    assert first is second is not None
    assert fold.calls == 1


async def test_no_more_streams_are_kept_than_the_limit(ledger: Ledger) -> None:
    await ledger.append(append(write(), write(OTHER_STREAM)))
    fold = Counting()
    folds = Folds(ledger, fold, limit=1)
    for stream in (STREAM, OTHER_STREAM, OTHER_STREAM, STREAM):
        found = await folds.find(BOOK, stream)
        assert found is not None
        assert found.events[0].stream == stream
    assert fold.calls == 3
