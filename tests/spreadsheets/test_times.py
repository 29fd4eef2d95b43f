"""Days and times as people write them."""

from datetime import date, datetime, time

import pytest

from spreadsheets.cells import text_of
from spreadsheets.times import day_of, moment_of

DAY = date(2022, 9, 5)
HALF_PAST_EIGHT = datetime.combine(DAY, time(8, 30))


@pytest.mark.parametrize(
    "text",
    [
        "2022-09-05 08:30",
        "2022/9/5 8:30",
        "2022.9.5 8:30:00",
        "2022年9月5日8时30分",
        "2022年9月5日 8点30分",
        "２０２２－０９－０５　０８：３０",
        "2022-09-05T08:30:00.25",
        text_of(HALF_PAST_EIGHT),
    ],
)
def test_case_9_a_time_is_read_however_it_is_written(text: str) -> None:
    assert moment_of(text) == HALF_PAST_EIGHT
    assert day_of(text) == DAY


def test_a_day_alone_is_its_beginning() -> None:
    for text in ("2022-9-5", "2022年09月05日", text_of(DAY), text_of(datetime.combine(DAY, time()))):
        assert moment_of(text) == datetime.combine(DAY, time()), text


@pytest.mark.parametrize(
    "text", ["", "44809.354", "9月5日", "2022-13-05", "2022-09-05 25:00", "今天", "2022-09-05 上午"]
)
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    assert moment_of(text) is None
