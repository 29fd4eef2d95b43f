"""A table as people make it: titles above the headings, merged cells, hidden rows, blank rows and columns behind.

`Grid` is what stands on the sheet; `Headings` is what is looked for; `Table` is the rows under the headings. All three
travel between processes as JSON.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from spreadsheets.errors import SpreadsheetError

TITLE_ROWS: Final = 20
"""The headings stand within so many rows from the top."""

ENOUGH_HEADINGS: Final = 2
"""A row with fewer known headings is a title, or data."""

_IN_BRACKETS: Final = re.compile(r"\([^)]*\)|\[[^\]]*\]|【[^】]*】|《[^》]*》")
_BESIDE: Final = re.compile(r"[\s*_\-:/.·、,，。]+")

Row = tuple[int, list[str]]
"""The row's number as the spreadsheet shows it, and its cells; trailing blanks may be missing."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What stands on a sheet, without blank rows. `kind` is xlsx or csv; what it does not have is empty.

    `formulas` are the cells whose value was computed, as row (from 1) and column (from 0).
    """

    kind: str
    rows: list[Row]
    hidden: list[int] = field(default_factory=list)
    sheet: str = ""
    encoding: str = ""
    delimiter: str = ""
    formulas: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Headings:
    """What columns may be called: the names of each field, the first of which is ours; and which must be there."""

    names: Mapping[str, Sequence[str]]
    required: frozenset[str]

    def field_of(self, heading: str) -> str | None:
        """The field that a heading means, None for one that is not known."""
        return self._by_name().get(plain_heading(heading))

    def _by_name(self) -> dict[str, str]:
        return {plain_heading(name): key for key, names in self.names.items() for name in names}

    def as_json(self) -> dict[str, Any]:
        return {"names": {key: list(names) for key, names in self.names.items()}, "required": sorted(self.required)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Headings":
        return cls(data["names"], frozenset(data["required"]))


@dataclass(frozen=True, slots=True)
class Table:
    """The rows under the headings. `columns` says where each field stands (from 0), `ignored` which headings mean
    nothing to us, `others` are the rows that hold no field of ours: titles, headings, remarks.
    """

    grid: Grid
    heading_row: int
    columns: dict[str, int]
    ignored: list[str]
    others: list[Row]
    rows: list[Row]

    def cell(self, row: Sequence[str], name: str) -> str:
        """The text of a field in a row, "" where the file has no such column or the row ends before it."""
        index = self.columns.get(name)
        return row[index] if index is not None and index < len(row) else ""

    def as_json(self) -> dict[str, Any]:
        grid = self.grid
        return {
            "kind": grid.kind,
            "sheet": grid.sheet,
            "encoding": grid.encoding,
            "delimiter": grid.delimiter,
            "hidden": grid.hidden,
            "formulas": grid.formulas,
            "heading_row": self.heading_row,
            "columns": self.columns,
            "ignored": self.ignored,
            "others": self.others,
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Table":
        others, rows = ([(number, cells) for number, cells in data[name]] for name in ("others", "rows"))
        formulas = [(row, column) for row, column in data["formulas"]]
        grid = Grid(data["kind"], [], data["hidden"], data["sheet"], data["encoding"], data["delimiter"], formulas)
        return cls(grid, data["heading_row"], data["columns"], data["ignored"], others, rows)


def plain_heading(text: str) -> str:
    """A heading without what people put beside it: blanks, stars, `（必填）`; full-width letters as plain ones."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return _BESIDE.sub("", _IN_BRACKETS.sub("", plain))


def find_table(grid: Grid, headings: Headings, max_rows: int) -> Table:
    """The rows under the headings. Raises SpreadsheetError when a needed column is missing or stands there twice."""
    place = _heading_place(grid, headings)
    number, cells = grid.rows[place]
    columns: dict[str, int] = {}
    ignored: list[str] = []
    for index, text in enumerate(cells):
        name = headings.field_of(text) if text else None
        if name is None:
            ignored += [text] if text else []
        elif name in columns:
            raise SpreadsheetError("heading_twice", headings.names[name][0], number)
        else:
            columns[name] = index
    missing = [name for name in headings.names if name in headings.required and name not in columns]
    if missing:
        raise SpreadsheetError("heading_missing", _with_nearest(missing, headings, ignored), number)
    rows = [row for row in grid.rows[place + 1 :] if _is_filled(row, columns)]
    if not rows:
        raise SpreadsheetError("file_empty")
    if len(rows) > max_rows:
        raise SpreadsheetError("file_too_many_rows")
    taken = {each for each, _ in rows}
    others = [row for row in grid.rows if row[0] not in taken]
    return Table(grid, number, columns, ignored, others, rows)


def known_headings(grid: Grid, headings: Headings) -> int:
    """How many known headings the best row of a sheet has."""
    return max((_known(cells, headings) for _, cells in _top(grid)), default=0)


def _heading_place(grid: Grid, headings: Headings) -> int:
    if not grid.rows:
        raise SpreadsheetError("file_empty")
    scores = [_known(cells, headings) for _, cells in _top(grid)]
    best = max(scores, default=0)
    if best < min(ENOUGH_HEADINGS, len(headings.names)):
        needed = [name for name in headings.names if name in headings.required]
        raise SpreadsheetError("heading_missing", _with_nearest(needed, headings, []))
    # Headings that are merged over two rows are in both of them; the rows begin under the last one.
    return max(place for place, score in enumerate(scores) if score == best)


def _top(grid: Grid) -> list[Row]:
    return [row for row in grid.rows[:TITLE_ROWS] if row[0] <= TITLE_ROWS]


def _known(cells: Sequence[str], headings: Headings) -> int:
    return len({name for text in cells if text and (name := headings.field_of(text))})


def _is_filled(row: Row, columns: Mapping[str, int]) -> bool:
    cells = row[1]
    return any(index < len(cells) and cells[index] for index in columns.values())


def _with_nearest(missing: Sequence[str], headings: Headings, found: Sequence[str]) -> str:
    """The missing headings, each with a heading of the file that is nearly the same."""
    words = []
    for name in missing:
        ours = headings.names[name][0]
        nearest = get_close_matches(ours, found, n=1)
        words.append(f"{ours} ({nearest[0][:32]}?)" if nearest else ours)
    return ", ".join(words)
