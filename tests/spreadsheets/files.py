"""Files as schools make them."""

import io
from collections.abc import Callable
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from spreadsheets.table import Headings

HEADINGS = Headings(
    {"name": ("姓名", "name"), "number": ("身份证号", "ID number"), "years": ("教龄", "years of service")},
    frozenset({"name", "number"}),
)


def xlsx(fill: Callable[[Workbook, Worksheet], Any]) -> bytes:
    """A workbook whose one sheet `fill` has written."""
    out = io.BytesIO()
    with Workbook(out, {"in_memory": True}) as book:
        fill(book, book.add_worksheet("名单"))
    return out.getvalue()


def table_of(rows: list[list[Any]]) -> bytes:
    """A workbook with these rows from A1."""

    def fill(_book: Workbook, page: Worksheet) -> None:
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)

    return xlsx(fill)
