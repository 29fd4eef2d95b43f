"""States of streams that are kept in memory, so that only what is newer is read.

Events never change, so a state at a version stays what it is: each look asks the database for the events after that
version. What was appended by whomever is seen at once; what is saved is reading and folding the rest again.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ledger.store import Ledger
from ledger.types import RecordedEvent

STREAMS_KEPT: Final = 2_000
"""States that are kept by default, with their events; those that were looked at last."""

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Folded(Generic[State]):
    """A stream's events, of which there is at least one, and what they come to."""

    state: State
    events: Sequence[RecordedEvent]

    @property
    def version(self) -> int:
        return self.events[-1].version


class Folds(Generic[State]):
    """Folds streams of one kind. `fold` is pure, and gives None for events that come to nothing."""

    def __init__(
        self, ledger: Ledger, fold: Callable[[Sequence[RecordedEvent]], State | None], limit: int = STREAMS_KEPT
    ) -> None:
        self._ledger = ledger
        self._fold = fold
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], Folded[State]] = OrderedDict()

    def kept(self, book: str, stream: str) -> Folded[State] | None:
        """The stream as it was when it was looked at last, None when it is not in memory. It may have gone on since."""
        found = self._kept.get((book, stream))
        if found is not None:
            self._kept.move_to_end((book, stream))
        return found

    async def find(self, book: str, stream: str) -> Folded[State] | None:
        """The stream as it stands at this moment, None for an unknown one. Raises what `Ledger.read_stream` raises."""
        place = (book, stream)
        kept = self.kept(book, stream)
        newer = await self._ledger.read_stream(book, stream, kept.version if kept else 0)
        if kept is not None and not newer:
            return kept
        events = (*kept.events, *newer) if kept else newer
        state = self._fold(events)
        if state is None:
            return None
        found = Folded(state, events)
        self._kept[place] = found
        self._kept.move_to_end(place)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return found
