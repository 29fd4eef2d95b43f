"""Instants in Asia/Shanghai, and working days against the arrangements that were really published."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendar import (
    MAX_WORKING_DAYS,
    SHANGHAI,
    CalendarNotPublishedError,
    add_calendar_years,
    add_working_days,
    end_of_day,
    is_published,
    is_working_day,
    local_date,
    local_instant,
    start_of_day,
)

# The State Council's arrangements of 2022 and 2023: weekdays off, and weekends worked.
OFF_2022 = "01-03 01-31 02-01 02-02 02-03 02-04 04-04 04-05 05-02 05-03 05-04 06-03 09-12 10-03 10-04 10-05 10-06 10-07"
WORKED_2022 = "01-29 01-30 04-02 04-24 05-07 10-08 10-09"
OFF_2023 = "01-02 01-23 01-24 01-25 01-26 01-27 04-05 05-01 05-02 05-03 06-22 06-23 09-29 10-02 10-03 10-04 10-05 10-06"
WORKED_2023 = "01-28 01-29 04-23 05-06 06-25 10-07 10-08"

published_days = st.dates(date(2022, 1, 1), date(2023, 12, 31))
published_instants = st.integers(0, 668 * 24 * 60).map(
    lambda minutes: datetime(2022, 1, 1, tzinfo=SHANGHAI) + timedelta(minutes=minutes)
)


def days(year: int, text: str) -> set[date]:
    return {date.fromisoformat(f"{year}-{part}") for part in text.split()}


@pytest.mark.parametrize(("year", "off", "worked"), [(2022, OFF_2022, WORKED_2022), (2023, OFF_2023, WORKED_2023)])
def test_a_whole_year_matches_the_published_arrangement(year: int, off: str, worked: str) -> None:
    every_day = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    expected = {day for day in every_day if day.weekday() < 5} - days(year, off) | days(year, worked)
    assert {day for day in every_day if is_working_day(day)} == expected


def test_national_day_2022_with_its_make_up_workdays() -> None:
    assert [is_working_day(date(2022, 10, day)) for day in range(1, 11)] == [False] * 7 + [True] * 3


def test_the_end_of_a_day_is_the_next_midnight_in_shanghai() -> None:
    assert end_of_day(date(2022, 8, 31)) == datetime(2022, 8, 31, 16, tzinfo=UTC)
    assert end_of_day(date(2022, 8, 31)).utcoffset() == timedelta(0)
    last_moment = datetime(2022, 8, 31, 23, 59, 59, 999_999, tzinfo=SHANGHAI)
    assert end_of_day(date(2022, 8, 31)) - last_moment == timedelta(microseconds=1)


@given(published_days)
@settings(deadline=None)
def test_an_instant_before_the_end_of_a_day_is_on_the_day_or_earlier(day: date) -> None:
    assert local_date(end_of_day(day)) == day + timedelta(days=1)
    assert local_date(end_of_day(day) - timedelta(microseconds=1)) == day
    assert local_date(start_of_day(day)) == day


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-08-29 18:00", datetime(2022, 8, 29, 10, tzinfo=UTC)),
        ("2022-08-31 24:00", datetime(2022, 8, 31, 16, tzinfo=UTC)),
        ("2022-09-01 00:00", datetime(2022, 8, 31, 16, tzinfo=UTC)),
        ("2022-08-31 23:59:59", datetime(2022, 8, 31, 15, 59, 59, tzinfo=UTC)),
    ],
)
def test_local_time_is_read(text: str, expected: datetime) -> None:
    assert local_instant(text) == expected


@pytest.mark.parametrize(
    "text", ["2022-08-31", "2022-08-31 24:01", "2022-08-32 10:00", "2022-08-31 25:00", "٢٠٢٢-08-31 10:00", ""]
)
def test_what_is_no_local_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        local_instant(text)


def test_five_working_days_over_the_national_holiday() -> None:
    # Wednesday 28 September: 29, 30, then seven days off, 8 and 9 October are worked, 10 is the fifth.
    assert add_working_days(local_instant("2022-09-28 15:00"), 5) == local_instant("2022-10-10 24:00")


def test_the_hour_of_the_instant_does_not_matter_but_its_local_date_does() -> None:
    monday = local_instant("2022-11-14 00:00")
    assert add_working_days(monday, 1) == local_instant("2022-11-15 24:00")
    assert add_working_days(local_instant("2022-11-14 23:59"), 1) == local_instant("2022-11-15 24:00")
    # 16:30 UTC is already Tuesday in Shanghai.
    assert add_working_days(datetime(2022, 11, 14, 16, 30, tzinfo=UTC), 1) == local_instant("2022-11-16 24:00")


def test_an_instant_on_a_holiday_starts_with_the_next_working_day() -> None:
    assert add_working_days(local_instant("2022-10-01 09:00"), 1) == local_instant("2022-10-08 24:00")


@given(published_instants, st.integers(1, 30))
@settings(deadline=None)
def test_the_last_day_is_worked_and_exactly_n_days_are_counted(instant: datetime, n: int) -> None:
    end = add_working_days(instant, n)
    first, last = local_date(instant), local_date(end - timedelta(microseconds=1))
    assert end == end_of_day(last)
    assert is_working_day(last)
    between = [first + timedelta(days=k) for k in range(1, (last - first).days + 1)]
    assert sum(is_working_day(day) for day in between) == n


@given(published_instants, st.integers(1, 20), st.integers(1, 10))
@settings(deadline=None)
def test_windows_add_up_and_grow(instant: datetime, a: int, b: int) -> None:
    last_moment = add_working_days(instant, a) - timedelta(microseconds=1)
    assert add_working_days(last_moment, b) == add_working_days(instant, a + b)
    assert add_working_days(instant, a) < add_working_days(instant, a + b)


@given(published_instants, st.integers(1, 30), st.integers(-14, 14))
@settings(deadline=None)
def test_the_zone_in_which_an_instant_is_written_changes_nothing(instant: datetime, n: int, hours: int) -> None:
    elsewhere = instant.astimezone(timezone(timedelta(hours=hours)))
    assert add_working_days(elsewhere, n) == add_working_days(instant, n)


def test_an_unpublished_year_is_an_error_unless_a_fallback_is_stated() -> None:
    far = next(year for year in range(2027, 2200) if not is_published(year))
    with pytest.raises(CalendarNotPublishedError) as caught:
        is_working_day(date(far, 5, 4))
    assert caught.value.year == far
    late_in_the_last_year = end_of_day(date(far, 1, 1))
    with pytest.raises(CalendarNotPublishedError):
        add_working_days(late_in_the_last_year, 1)
    assert [is_working_day(date(far, 10, day), "weekends-only") for day in range(1, 8)] == [
        date(far, 10, day).weekday() < 5 for day in range(1, 8)
    ]


def test_a_window_that_ends_in_a_published_year_needs_no_other() -> None:
    last = max(year for year in range(2020, 2200) if is_published(year))
    assert local_date(add_working_days(end_of_day(date(last, 12, 1)), 3)).year == last
    with pytest.raises(CalendarNotPublishedError):
        add_working_days(end_of_day(date(last, 12, 1)), 60)


@pytest.mark.parametrize("year", [2000, 1949, 2150])
def test_years_outside_the_published_ones(year: int) -> None:
    assert not is_published(year)


@pytest.mark.parametrize("n", [0, -1, MAX_WORKING_DAYS + 1])
def test_the_number_of_working_days_is_bounded(n: int) -> None:
    with pytest.raises(ValueError, match="working days"):
        add_working_days(local_instant("2022-09-28 15:00"), n)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        add_working_days(datetime(2022, 9, 28, 15), 1)  # noqa: DTZ001


def test_three_years_are_calendar_years_and_29_february_becomes_the_28th() -> None:
    assert add_calendar_years(date(2022, 11, 30), 3) == date(2025, 11, 30)
    assert add_calendar_years(date(2024, 2, 29), 3) == date(2027, 2, 28)
    assert add_calendar_years(date(2024, 2, 29), 4) == date(2028, 2, 29)
    assert add_calendar_years(date(2023, 2, 28), 1) == date(2024, 2, 28)


@given(
    st.dates(date(1950, 1, 1), date(2150, 1, 1)),
    st.dates(date(1950, 1, 1), date(2150, 1, 1)),
    st.integers(1, 20),
)
@settings(deadline=None)
def test_adding_years_keeps_order_and_the_month(a: date, b: date, years: int) -> None:
    later = add_calendar_years(a, years)
    assert (later.year, later.month) == (a.year + years, a.month)
    assert a.day - later.day in (0, 1)
    if a <= b:
        assert later <= add_calendar_years(b, years)
