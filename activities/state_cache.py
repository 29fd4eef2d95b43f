"""The newest states of streams that this process knows, so that most decisions read nothing."""

from collections import OrderedDict
from typing import Any

MAX_CACHED_STREAMS = 8_192


class StateCache:
    """State and version by name of stream.

    What it gives may be stale. Whoever decides on it appends with the version as the expected one, which finds that
    out; whoever reads a fact reads on from the version.
    """

    def __init__(self, limit: int = MAX_CACHED_STREAMS) -> None:
        self._states: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._limit = limit

    def get(self, stream: str) -> tuple[Any, int] | None:
        """State and version, or None when the stream is not known."""
        return self._states.get(stream)

    def put(self, stream: str, state: Any, version: int) -> None:
        """Remember a state; the least recently written one goes when there are too many."""
        self._states[stream] = (state, version)
        self._states.move_to_end(stream)
        if len(self._states) > self._limit:
            self._states.popitem(last=False)

    def forget(self, stream: str) -> None:
        """The state was stale."""
        self._states.pop(stream, None)
