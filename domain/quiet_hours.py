"""Quiet hours 免打扰时段: at night nobody is written to, unless what he has to do cannot wait until the morning."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from domain.calendar import SHANGHAI
from domain.restriction_messages import RestrictionServed

ACT_WITHIN: Final = timedelta(hours=1)
"""Who reads a notice in the morning needs so long at least to do something about it."""
AT_ONCE: Final = frozenset({RestrictionServed.type})
"""Types that never wait: the objection window runs from the service, and a night would shorten it."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` to `ends`, in Asia/Shanghai; past midnight when they begin later than they end."""

    begins: time
    ends: time

    @classmethod
    def from_text(cls, text: str) -> "QuietHours | None":
        """`21:00-08:00`; None for an empty text, and for a span without length. Raises ValueError."""
        if not text:
            return None
        begins, ends = (time.fromisoformat(each) for each in text.split("-"))
        return None if begins == ends else cls(begins, ends)

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that `now` falls into end, in UTC; None outside of them."""
        local = now.astimezone(SHANGHAI)
        overnight = self.begins > self.ends
        is_evening, is_morning = local.time() >= self.begins, local.time() < self.ends
        if not (is_evening or is_morning if overnight else is_evening and is_morning):
            return None
        day = local.date() + timedelta(days=1) if overnight and is_evening else local.date()
        return datetime.combine(day, self.ends, SHANGHAI).astimezone(UTC)


def can_wait(type_: str, data: Mapping[str, Any], now: datetime, morning: datetime) -> bool:
    """Whether a notice loses nothing by waiting until `morning`: none of its instants comes about before ACT_WITHIN
    after it.
    """
    last = morning + ACT_WITHIN
    return type_ not in AT_ONCE and not any(now < each < last for each in map(_instant, data.values()) if each)


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None
