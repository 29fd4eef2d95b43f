"""Waits until the system has done what it owes by itself, seen through the API; bounded, and named when it is late."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from simulator.client import Desk, JSONObject, UnexpectedAnswer

PATIENCE_S: Final = 180.0
"""Real time after which the system is said to be late; on a slow machine everything is done within seconds."""

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.3
LONGEST_NAP_S: Final = 5.0
SECONDS_PER_DAY: Final = 86_400
NOT_FOUND: Final = 404


class NotInTime(Exception):
    """The system did not do by itself what it had to. The text says what was awaited, and what was seen last."""

    def __init__(self, awaited: str, seen: object, patience_s: float) -> None:
        super().__init__(f"Waited {patience_s:.0f} s in vain: {awaited}.\nLast seen: {seen}")


async def until(
    awaited: str, look: Callable[[], Awaitable[tuple[bool, object]]], patience_s: float = PATIENCE_S
) -> None:
    """Look again and again until what is awaited has come about. Raises NotInTime."""
    gives_up = time.monotonic() + patience_s
    pause_s = FIRST_PAUSE_S
    while True:
        done, seen = await look()
        if done:
            return
        if time.monotonic() > gives_up:
            raise NotInTime(awaited, seen, patience_s)
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)


async def nobody_left(desk: Desk, awaited: str, **filters: str) -> None:
    """No nomination answers to the filters any more."""

    async def look() -> tuple[bool, object]:
        page = await desk.get("/v1/trainees", **filters, limit=5)
        return not page["items"], [item["number"] for item in page["items"]]

    await until(awaited, look)


async def one(desk: Desk, awaited: str, path: str, is_done: Callable[[JSONObject], bool]) -> JSONObject:
    """One thing has become as it must be; what it is then."""
    found: JSONObject = {}

    async def look() -> tuple[bool, object]:
        found.clear()
        found.update(await desk.get(path))
        return is_done(found), {name: value for name, value in found.items() if name != "person"}

    await until(awaited, look)
    return found


async def there(desk: Desk, path: str) -> JSONObject:
    """One thing that was just made is to be seen in the views, which follow within moments; what it is then."""
    found: JSONObject = {}

    async def look() -> tuple[bool, object]:
        try:
            found.update(await desk.get(path))
        except UnexpectedAnswer as error:
            if error.status != NOT_FOUND:
                raise
        return bool(found), found

    await until(f"{path} is there", look)
    return found


async def clock_at(desk: Desk, instant: datetime, days_per_second: float) -> None:
    """The campaign's clock has reached the instant; sleeps as long as it needs at this speed."""

    async def look() -> tuple[bool, object]:
        clock = await desk.get("/v1/clock")
        now = datetime.fromisoformat(clock["now"])
        if now < instant:
            days = (instant - now).total_seconds() / SECONDS_PER_DAY
            await asyncio.sleep(min(LONGEST_NAP_S, days / days_per_second))
        return now >= instant, clock

    await until(f"the clock reaches {instant.isoformat()}", look)


def passed(item: JSONObject, instant: datetime) -> bool:
    """Whether the thing waits for nothing that was due by the instant."""
    deadline: Any = item.get("deadline")
    return deadline is None or datetime.fromisoformat(deadline) > instant
