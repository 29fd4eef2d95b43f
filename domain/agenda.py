"""Dates that a process keeps by itself: reminders, cut-offs, openings. Pure, so that a test needs no clock.

A process that was down over several dates catches up in order. A reminder whose own moment has passed is
skipped and recorded as skipped: nobody is told "1 day left" after the deadline (edge case 46).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Item:
    """Something due at `at`. A reminder is about `about`, the instant after which it is pointless."""

    key: str
    at: datetime
    about: datetime | None = None

    @property
    def is_reminder(self) -> bool:
        return self.about is not None


def pending(items: Iterable[Item], done: Collection[str]) -> list[Item]:
    """What is still to be done, earliest first; a tie keeps the order in which the items were given."""
    return sorted((item for item in items if item.key not in done), key=lambda item: item.at)


def next_deadline(items: Iterable[Item], done: Collection[str]) -> datetime | None:
    """The next instant at which something is due, or None."""
    rest = pending(items, done)
    return rest[0].at if rest else None


def due(items: Iterable[Item], done: Collection[str], now: datetime) -> list[tuple[Item, bool]]:
    """What has become due by `now`, each with whether it is stale.

    A reminder is stale when what it is about has passed, or when a later reminder of the same thing is due too.
    """
    ready = [item for item in pending(items, done) if item.at <= now]
    newest = {item.about: item.key for item in ready if item.is_reminder}
    return [
        (
            item,
            item.about is not None and (item.about <= now or newest[item.about] != item.key),
        )
        for item in ready
    ]
