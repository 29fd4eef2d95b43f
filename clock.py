"""The application's time. Everything that asks what time it is asks a `Clock`; only a clock converts to
real seconds.

Production uses `SystemClock`. The demo uses `DemoClock`: it starts at a given date and passes campaign days
quickly, the same in every process, because its state is one row of the database:

    application time = min(cap_app, anchor_app + (real time - anchor_real) * days_per_second days)

The cap is what makes a slow machine tell the same story as a fast one: time stands still at it until the
demo's driver, having seen that everybody is done with the day, moves it on.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

CACHE_S = 0.05
SECONDS_PER_DAY = 86_400
# Temporal's timers and PostgreSQL's sleeps count whole milliseconds.
RESOLUTION_S = 0.001
# Whoever waits for an instant beyond the cap is asked to come back later and later while time stands still, so that
# thousands of timers do not ask many times a second; but never so late that a night becomes long.
STANDING_SHARE = 0.25
STANDING_WAIT_MAX_S = 3.0
# The cap holds time up again and again, so an instant beyond it comes later than the speed alone says. How much later
# is told by the pace of the last seconds. A wait that proves too long is ended by the sweep (activities/overdue.py).
PACE_MEMORY_S = 10.0
SLOWEST_PACE_SHARE = 0.02
SETUP_LOCK = 0x78756E6A69636C6B

CREATE_SQL = """
CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE IF NOT EXISTS app.demo_clock (
    singleton       boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    anchor_real     timestamptz NOT NULL,
    anchor_app      timestamptz NOT NULL,
    days_per_second float8 NOT NULL CHECK (days_per_second > 0 AND days_per_second < 'infinity'),
    cap_app         timestamptz NOT NULL CHECK (cap_app >= anchor_app),
    pace            float8 NOT NULL CHECK (pace > 0)
);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, UPDATE ON app.demo_clock TO xunji_app;
    END IF;
END
$$;
"""

START_SQL = """
INSERT INTO app.demo_clock (anchor_real, anchor_app, days_per_second, cap_app, pace)
VALUES (clock_timestamp(), $1, $2, $1, $2)
ON CONFLICT (singleton) DO NOTHING
"""

READ_SQL = """
SELECT clock_timestamp() AS real, anchor_real, anchor_app, days_per_second, cap_app, pace FROM app.demo_clock
"""

# The anchor moves to the present, so that application time neither jumps nor goes back. The seconds are
# limited before they become an interval: after a long pause they would be too many for one. The pace is a mean of
# the days per real second between anchors that forgets with PACE_MEMORY_S; a new speed is a new pace.
REANCHOR_SQL = """
UPDATE app.demo_clock SET
    anchor_app = least(cap_app, anchor_app + make_interval(secs => passed.app_s)),
    anchor_real = passed.real,
    cap_app = greatest(cap_app, $1::timestamptz),
    days_per_second = coalesce($2::float8, days_per_second),
    pace = coalesce($2::float8, greatest(days_per_second * $4::float8, pace
        + (1 - exp(-least(passed.real_s, 1000) / $3::float8))
        * (passed.app_s / 86400 / nullif(passed.real_s, 0) - pace)), pace)
FROM (
    SELECT real, real_s, least(room_s, real_s * days_per_second * 86400) AS app_s
    FROM (
        SELECT clock_timestamp() AS real, days_per_second,
               extract(epoch FROM clock_timestamp() - anchor_real)::float8 AS real_s,
               extract(epoch FROM cap_app - anchor_app)::float8 AS room_s
        FROM app.demo_clock FOR UPDATE
    ) AS before
) AS passed
RETURNING cap_app
"""


AnyConnection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"


class ClockError(Exception):
    """The demo clock cannot tell the time."""


class Clock(Protocol):
    """Tells the application's time."""

    async def now(self) -> datetime:
        """The application's time, aware, in UTC."""
        ...

    async def real_seconds_until(self, instant: datetime) -> float:
        """Real seconds after which to ask whether `now()` has reached `instant`; 0.0 if it has.

        A caller sleeps so long and asks again: a demo clock may have stood still meanwhile. For an instant beyond its
        cap a demo clock asks for as long as it takes at the pace of the last seconds, and while it stands still for up
        to STANDING_WAIT_MAX_S more.
        """
        ...


class SystemClock:
    """Real time."""

    async def now(self) -> datetime:
        return datetime.now(UTC)

    async def real_seconds_until(self, instant: datetime) -> float:
        _require_aware(instant)
        return _round_up(max(0.0, (instant - datetime.now(UTC)).total_seconds()))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The clock's row as it was when the monotonic counter stood at `taken_s`."""

    taken_s: float
    real: datetime
    anchor_real: datetime
    anchor_app: datetime
    days_per_second: float
    cap_app: datetime
    pace: float

    def app_time(self, monotonic_s: float) -> datetime:
        elapsed = self.real - self.anchor_real + timedelta(seconds=monotonic_s - self.taken_s)
        ahead_days = elapsed.total_seconds() * self.days_per_second
        # Compared before it is added: after a long pause the sum would be past the year 9999.
        if ahead_days * SECONDS_PER_DAY >= (self.cap_app - self.anchor_app).total_seconds():
            return self.cap_app
        return self.anchor_app + timedelta(days=ahead_days)

    def standing_s(self, monotonic_s: float) -> float:
        """Real seconds for which time has stood still at the cap; 0.0 while it passes."""
        elapsed = self.real - self.anchor_real + timedelta(seconds=monotonic_s - self.taken_s)
        until_cap_s = (self.cap_app - self.anchor_app).total_seconds() / SECONDS_PER_DAY / self.days_per_second
        return max(0.0, elapsed.total_seconds() - until_cap_s)


class DemoClock:
    """The demo's time, read from `app.demo_clock` at most every 50 ms of real time.

    `monotonic` counts real seconds; a test may give its own.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._reading: _Reading | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)

    async def now(self) -> datetime:
        """The demo's time; it never goes back. Raises ClockError if the clock was never created."""
        reading = await self._current()
        # A reading arrives some microseconds after it was taken, and not always equally late.
        self._latest = max(self._latest, reading.app_time(self._monotonic()))
        return self._latest

    async def real_seconds_until(self, instant: datetime) -> float:
        _require_aware(instant)
        missing = instant - await self.now()
        reading = await self._current()
        seconds = missing.total_seconds() / SECONDS_PER_DAY / reading.days_per_second
        if seconds <= 0.0:
            return 0.0
        if instant > reading.cap_app:
            patience = min(STANDING_WAIT_MAX_S, STANDING_SHARE * reading.standing_s(self._monotonic()))
            seconds = max(
                patience, missing.total_seconds() / SECONDS_PER_DAY / min(reading.pace, reading.days_per_second)
            )
        return _round_up(seconds)

    async def _current(self) -> _Reading:
        if (reading := self._fresh()) is not None:
            return reading
        async with self._lock:
            # Whoever waited for the lock finds what its holder has read.
            if (reading := self._fresh()) is not None:
                return reading
            self._reading = await self._read()
            return self._reading

    def _fresh(self) -> _Reading | None:
        reading = self._reading
        if reading is not None and self._monotonic() - reading.taken_s <= CACHE_S:
            return reading
        return None

    async def _read(self) -> _Reading:
        try:
            row = await self._pool.fetchrow(READ_SQL)
        except asyncpg.UndefinedTableError as error:
            raise ClockError("The demo clock does not exist in this database: create_demo_clock() makes it.") from error
        if row is None:
            raise ClockError("The demo clock's row is missing: create_demo_clock() makes it.")
        return _Reading(self._monotonic(), **dict(row))


def clock_for(mode: Literal["system", "demo"], pool: "asyncpg.Pool[Any]") -> Clock:
    """The clock that the setting XUNJI_CLOCK names."""
    return SystemClock() if mode == "system" else DemoClock(pool)


async def create_demo_clock(conn: AnyConnection, start: datetime, days_per_second: float) -> None:
    """Make the demo clock, standing at `start` until the cap is advanced. An existing one is left as it is."""
    _require_aware(start)
    if not (0 < days_per_second < math.inf):
        raise ValueError(f"days_per_second must be positive and finite, not {days_per_second}")
    async with conn.transaction():
        # CREATE ... IF NOT EXISTS fails when two sessions do it at the same moment.
        await conn.execute("SELECT pg_advisory_xact_lock($1)", SETUP_LOCK)
        await conn.execute(CREATE_SQL)
        await conn.execute(START_SQL, start, days_per_second)


async def advance_cap(conn: AnyConnection, until: datetime) -> datetime:
    """Let time pass up to `until` (it never goes back: an earlier one changes nothing); return the cap."""
    _require_aware(until)
    return await _reanchor(conn.fetchval, until, None)


async def set_speed(conn: AnyConnection, days_per_second: float) -> None:
    """Let time pass at `days_per_second` from now on; what has passed stays."""
    if not (0 < days_per_second < math.inf):
        raise ValueError(f"days_per_second must be positive and finite, not {days_per_second}")
    await _reanchor(conn.fetchval, None, days_per_second)


async def _reanchor(
    fetchval: Callable[..., Awaitable[Any]], until: datetime | None, days_per_second: float | None
) -> datetime:
    cap = await fetchval(REANCHOR_SQL, until, days_per_second, PACE_MEMORY_S, SLOWEST_PACE_SHARE)
    if cap is None:
        raise ClockError("The demo clock's row is missing: create_demo_clock() makes it.")
    assert isinstance(cap, datetime)
    return cap


def _require_aware(instant: datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; every instant of xunji has one")


def _round_up(seconds: float) -> float:
    return math.ceil(seconds / RESOLUTION_S) * RESOLUTION_S
