"""The campaign's calendar: instants in Asia/Shanghai, and Chinese working days with make-up workdays (调休).

A deadline is computed once, by these rules, and stored as an absolute instant; nothing here reads a clock.
Working days follow the yearly arrangement of the State Council, which is published only in the autumn before:
asking about a year that the `holidays` library does not know yet is an error, or the fallback of the plan.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import holidays

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAX_WORKING_DAYS = 500
"""Bounds the walk of add_working_days; the longest window of any plan is a few weeks."""

UnpublishedYear = Literal["refuse", "weekends-only"]
"""What a plan does when a window reaches a year without a published calendar.

refuse: CalendarNotPublishedError. weekends-only: Monday to Friday are working days and holidays are ignored,
so a window ends too early rather than never; the caller must say so to whoever reads the deadline.
"""

DeadlineOnHoliday = Literal["keep", "previous-working-day", "next-working-day"]
"""What becomes of a deadline that falls on a day off (edge case 42). Its hour stays."""

_SATURDAY = 5
_LOCAL = re.compile(r"(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2})(?::(\d{2}))?", re.ASCII)


class CalendarNotPublishedError(ValueError):
    """The holidays of `year` are not known, so its working days can't be counted."""

    def __init__(self, year: int) -> None:
        self.year = year
        super().__init__(f"the State Council's holiday calendar of {year} is not known")


def local_date(instant: datetime) -> date:
    """The date an aware instant falls on in Asia/Shanghai."""
    return _aware(instant).astimezone(SHANGHAI).date()


def start_of_day(day: date) -> datetime:
    """00:00 of the day in Asia/Shanghai, as UTC."""
    return datetime.combine(day, time(0), SHANGHAI).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """24:00 of the day in Asia/Shanghai, which is the next day's midnight, as UTC.

    23:59:59.999999 of the day is before it, so "at or after the deadline is late" needs no odd second.
    """
    return start_of_day(day + timedelta(days=1))


def local_instant(text: str) -> datetime:
    """Local time of Asia/Shanghai, `2022-08-30 18:00` or `2022-08-31 24:00`, as UTC. Raises ValueError."""
    match = _LOCAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a local time like '2022-08-31 24:00'")
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    second = int(match.group(6) or 0)
    if hour == 24:
        if minute or second:
            raise ValueError(f"{text!r}: the last instant of a day is 24:00")
        return end_of_day(date(year, month, day))
    return datetime(year, month, day, hour, minute, second, tzinfo=SHANGHAI).astimezone(UTC)


def is_published(year: int) -> bool:
    """Whether the year's holidays with their make-up workdays are known.

    Every arrangement since 2001 has moved at least one weekend, so a year without make-up workdays is a year
    of which the library can only guess the statutory days.
    """
    return any(day.year == year for day in _china(year).weekend_workdays)


def is_working_day(day: date, unpublished: UnpublishedYear = "refuse") -> bool:
    """Whether offices work on the day: make-up workdays count, holidays and days in lieu do not.

    Raises CalendarNotPublishedError for an unknown year unless `unpublished` says otherwise.
    """
    if is_published(day.year):
        return _china(day.year).is_working_day(day)
    if unpublished == "refuse":
        raise CalendarNotPublishedError(day.year)
    return day.weekday() < _SATURDAY


def is_holiday(day: date) -> bool:
    """Whether the day is a public holiday or a day in lieu of one. Of an unpublished year only the statutory days."""
    return day in _china(day.year)


def add_working_days(instant: datetime, working_days: int, unpublished: UnpublishedYear = "refuse") -> datetime:
    """24:00 of the n-th working day after the day of `instant` in Asia/Shanghai, as UTC.

    The day of the instant itself never counts, at whatever hour. `working_days` is 1 to MAX_WORKING_DAYS.
    Raises CalendarNotPublishedError if a day of an unknown year would have to be judged.
    """
    if not 1 <= working_days <= MAX_WORKING_DAYS:
        raise ValueError(f"working days must be 1 to {MAX_WORKING_DAYS}, not {working_days}")
    day = local_date(instant)
    left = working_days
    while left:
        day += timedelta(days=1)
        left -= is_working_day(day, unpublished)
    return end_of_day(day)


def off_holidays(deadline: datetime, policy: DeadlineOnHoliday, unpublished: UnpublishedYear = "refuse") -> datetime:
    """The deadline moved to a working day by `policy`; 24:00 belongs to the day that it ends.

    Raises CalendarNotPublishedError if a day of an unknown year would have to be judged.
    """
    if policy == "keep":
        return deadline
    day = local_date(deadline - timedelta(microseconds=1))
    step = timedelta(days=1 if policy == "next-working-day" else -1)
    moved = timedelta(0)
    for _ in range(MAX_WORKING_DAYS):
        if is_working_day(day + moved, unpublished):
            # China has no summer time, so a day is always 24 hours.
            return deadline + moved
        moved += step
    raise AssertionError(f"no working day within {MAX_WORKING_DAYS} days of {day}")


def add_calendar_years(day: date, years: int) -> date:
    """The same day so many years later; 29 February becomes the last day of February in a common year."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        # The only day that a year can lack is 29 February.
        return date(day.year + years, 2, 28)


@lru_cache(maxsize=32)
def _china(year: int) -> holidays.HolidayBase:
    # One object per year: the library fills a shared one lazily, and no answer may depend on earlier ones.
    return holidays.country_holidays("CN", years=[year], expand=False)


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant
