"""Writing XLSX and CSV. No cell that we write is a formula, whatever its text says (edge case 64)."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from spreadsheets.cells import column_letters, for_csv, without_control
from spreadsheets.table import Row

Format = Literal["xlsx", "csv"]
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV: Final = "text/csv; charset=utf-8"
MEDIA_TYPES: Final[dict[Format, str]] = {"xlsx": XLSX, "csv": CSV}
COLUMN_WIDTH: Final = 18
CHOICE_ROWS: Final = 20_000
"""So many rows of a template have its drop-downs."""

LISTS_SHEET: Final = "可选值"
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet to be written. `rows` keep their numbers; `choices` are drop-downs by column, under `heading_row`."""

    name: str
    rows: Sequence[Row]
    heading_row: int = 1
    choices: dict[int, list[str]] = field(default_factory=dict)
    marked: Sequence[int] = ()
    """Numbers of rows that are shown in red."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"choices": {str(key): value for key, value in self.choices.items()}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Sheet":
        choices = {int(key): value for key, value in data["choices"].items()}
        rows = [(number, cells) for number, cells in data["rows"]]
        return cls(data["name"], rows, data["heading_row"], choices, data["marked"])


def numbered(rows: Sequence[Sequence[str]]) -> list[Row]:
    """Rows one under the other, from 1."""
    return [(number, list(cells)) for number, cells in enumerate(rows, start=1)]


def written(format_: Format, sheet: Sheet, delimiter: str = ",") -> bytes:
    """The sheet as a file."""
    return as_xlsx(sheet) if format_ == "xlsx" else as_csv(sheet, delimiter)


def as_csv(sheet: Sheet, delimiter: str = ",") -> bytes:
    """UTF-8 with a byte order mark, without which Excel takes Chinese for something else."""
    out = io.StringIO(newline="")
    out.write(_BOM)
    writer = csv.writer(out, delimiter=delimiter)
    last = 0
    for number, cells in sheet.rows:
        # Rows that were blank are written too, so that every row keeps its number.
        for _ in range(number - last - 1):
            writer.writerow(())
        writer.writerow([for_csv(cell) for cell in cells])
        last = number
    return out.getvalue().encode()


def as_xlsx(sheet: Sheet) -> bytes:
    """A workbook in which every cell is text, so that no digit is lost and no text becomes a formula."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(out, options) as book:
        page = book.add_worksheet(sheet.name)
        text = book.add_format({"num_format": "@"})
        bold = book.add_format({"num_format": "@", "bold": True, "bg_color": "#DDEBF7"})
        red = book.add_format({"num_format": "@", "bg_color": "#FCE4E4"})
        width = max((len(cells) for _, cells in sheet.rows), default=1)
        # Columns of a template are text from the beginning: an 18-digit number that is typed there stays whole.
        page.set_column(0, width - 1, COLUMN_WIDTH, text)
        marked = frozenset(sheet.marked)
        for number, cells in sheet.rows:
            style = bold if number == sheet.heading_row else red if number in marked else text
            for column, cell in enumerate(cells):
                if cell:
                    page.write_string(number - 1, column, without_control(cell), style)
        page.freeze_panes(sheet.heading_row, 0)
        _add_choices(book, page, sheet)
    return out.getvalue()


def _add_choices(book: Workbook, page: Worksheet, sheet: Sheet) -> None:
    if not sheet.choices:
        return
    # Choices stand on a sheet of their own: within a rule they may have 255 characters together.
    lists = book.add_worksheet(LISTS_SHEET)
    for place, (column, values) in enumerate(sorted(sheet.choices.items())):
        for row, value in enumerate(values):
            lists.write_string(row, place, without_control(value))
        letters = column_letters(place)
        page.data_validation(
            sheet.heading_row,
            column,
            sheet.heading_row + CHOICE_ROWS - 1,
            column,
            {
                "validate": "list",
                "source": f"='{LISTS_SHEET}'!${letters}$1:${letters}${len(values)}",
                "error_title": "不在可选值内",
                "error_message": "请从下拉列表中选择。Choose from the list.",
            },
        )
    lists.hide()
