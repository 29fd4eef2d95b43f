"""Days and times of day as people write them in cells: `2022-09-05`, `2022/9/5 8:30`, `2022年9月5日 8时30分`.

What a spreadsheet has made of a time, such as 44809.354, is not guessed back: the same number may be a count of days.
"""

import re
from datetime import date, datetime, time
from typing import Final

from spreadsheets.cells import narrow

_DAY: Final = r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
_TIME: Final = r"(\d{1,2})\s*[:时点]\s*(\d{1,2})\s*分?(?:\s*:?\s*(\d{1,2})(?:\.\d+)?\s*秒?)?"
_MOMENT: Final = re.compile(rf"{_DAY}(?:[\sT]*{_TIME})?", re.ASCII)


def day_of(text: str) -> date | None:
    """The day that a cell says, None when it says none. A time of day behind it is left aside."""
    moment = moment_of(text)
    return moment.date() if moment is not None else None


def moment_of(text: str) -> datetime | None:
    """The moment that a cell says, without a time zone, None when it says none. A day alone is its beginning."""
    match = _MOMENT.fullmatch(narrow(text))
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        return datetime.combine(date(year, month, day), time(hour, minute, second))
    except ValueError:
        return None
