"""Cells: their addresses as a spreadsheet shows them, their values as text, and text that no program takes for a
formula (edge case 64).
"""

import datetime
import unicodedata
from typing import Final

MAX_EXACT: Final = 10**15
"""A spreadsheet keeps 15 digits of a number. What is larger was rounded, so it is shown as what it has become."""

MAX_TEXT: Final = 32_767
"""The longest text of a cell."""

_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")
_BLANKS: Final = " \u00a0\u3000\u200b\ufeff"
_APOSTROPHE: Final = "'"
_LETTERS: Final = 26

CellValue = str | int | float | bool | datetime.date | datetime.datetime | datetime.time | datetime.timedelta | None


def column_letters(index: int) -> str:
    """`0` → `A`, `26` → `AA`."""
    if index < 0:
        raise ValueError("columns are counted from 0")
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, _LETTERS)
        letters = chr(ord("A") + rest) + letters
    return letters


def column_index(letters: str) -> int:
    """The inverse of `column_letters`: `A` → `0`, `AA` → `26`."""
    number = 0
    for letter in letters:
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    return number - 1


def address(row: int, column: int) -> str:
    """`5`, `2` → `C5`; rows from 1 as they are shown, columns from 0."""
    return f"{column_letters(column)}{row}"


def text_of(value: CellValue) -> str:
    """What the cell says, without the blanks around it; "" for an empty one.

    A number too long to be exact is written in scientific notation, so that nobody takes its made-up digits for real.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip().strip(_BLANKS).strip()[:MAX_TEXT]
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return _number(value) if isinstance(value, int | float) else str(value)


def _number(value: float) -> str:
    if abs(value) >= MAX_EXACT:
        return f"{value:.5E}"
    # 15 digits are what a spreadsheet shows; more would show 4.9999999999999996 for a 5.
    return f"{value:.15g}"


def narrow(text: str) -> str:
    """Full-width digits, letters and punctuation as plain ones, for codes, numbers and addresses."""
    return unicodedata.normalize("NFKC", text).strip()


def is_formula_like(text: str) -> bool:
    """Whether some spreadsheet program would take the text for a formula if it was typed in."""
    return text[:1] in _FORMULA_STARTS or text.lstrip(_BLANKS)[:1] in _FORMULA_STARTS if text else False


def for_csv(text: str) -> str:
    """The text for a cell of a CSV file: with an apostrophe before it where it would be taken for a formula."""
    text = without_control(text)
    return _APOSTROPHE + text if is_formula_like(text) else text


def from_csv(text: str) -> str:
    """The inverse of `for_csv`, so that a file we wrote reads as it was."""
    return text[1:] if text[:1] == _APOSTROPHE and is_formula_like(text[1:]) else text


def without_control(text: str) -> str:
    """Without the characters that XML, and so XLSX, cannot hold."""
    kept = (char for char in text if char in "\t\n\r" or (char >= " " and not "\ud800" <= char <= "\udfff"))
    return "".join(kept).replace("\ufffe", "").replace("\uffff", "")[:MAX_TEXT]
