"""At night nobody is written to, unless it cannot wait until the morning."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.calendar import local_instant
from domain.quiet_hours import QuietHours, can_wait

NIGHT = QuietHours.from_text("21:00-08:00")
NOON = QuietHours.from_text("12:00-14:30")
MORNING = local_instant("2022-08-31 08:00")


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (NIGHT, "2022-08-30 20:59:59", None),
        (NIGHT, "2022-08-30 21:00", "2022-08-31 08:00"),
        (NIGHT, "2022-08-30 24:00", "2022-08-31 08:00"),
        (NIGHT, "2022-08-31 07:59:59", "2022-08-31 08:00"),
        (NIGHT, "2022-08-31 08:00", None),
        (NIGHT, "2022-12-31 23:00", "2023-01-01 08:00"),
        (NOON, "2022-08-30 11:59:59", None),
        (NOON, "2022-08-30 12:00", "2022-08-30 14:30"),
        (NOON, "2022-08-30 14:30", None),
        (NOON, "2022-08-30 23:00", None),
    ],
)
def test_quiet_hours_end_in_the_campaigns_time_zone(quiet: QuietHours, now: str, until: str | None) -> None:
    assert quiet.until(local_instant(now)) == (until and local_instant(until))


def test_the_zone_of_the_asking_clock_makes_no_difference() -> None:
    assert NIGHT is not None
    assert NIGHT.until(datetime(2022, 8, 30, 13, 0, tzinfo=UTC)) == MORNING


@pytest.mark.parametrize("text", ["", "08:00-08:00"])
def test_without_a_span_there_are_none(text: str) -> None:
    assert QuietHours.from_text(text) is None


@pytest.mark.parametrize(
    ("type_", "data", "waits"),
    [
        ("nomination.received", {}, True),
        ("campaign.selection_reminder", {"deadline": "2022-08-31 24:00"}, True),
        ("campaign.selection_reminder", {"deadline": "2022-08-30 24:00"}, False),
        ("seat.offered", {"until": "2022-08-31 08:59"}, False),
        ("seat.offered", {"until": "2022-08-31 09:00"}, True),
        # What is over already is no reason to wake anybody.
        ("follow_up.overdue", {"due": "2022-08-30 18:00"}, True),
        ("restriction.served", {"until": "2022-10-01 24:00"}, False),
    ],
)
def test_what_has_to_be_done_before_the_morning_does_not_wait(type_: str, data: dict[str, str], waits: bool) -> None:
    instants: dict[str, Any] = {name: local_instant(text).isoformat() for name, text in data.items()}
    now = MORNING - timedelta(hours=10)
    assert can_wait(type_, {"starts": "2022-08-31", "seats": 3, "place": "T", **instants}, now, MORNING) is waits
