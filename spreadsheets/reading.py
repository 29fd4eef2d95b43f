"""Reading XLSX and CSV that others made. Runs in a process of its own (`spreadsheets.child`), because a file may be
made to take all memory or to bring its reader down.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from spreadsheets.cells import MAX_TEXT, column_index, from_csv, text_of
from spreadsheets.errors import SpreadsheetError
from spreadsheets.table import TITLE_ROWS, Grid, Headings, Row, Table, find_table, known_headings

MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
MAX_PARTS: Final = 1_000
"""Files within an XLSX."""

MAX_SHEETS: Final = 20
MAX_COLUMNS: Final = 256
MAX_SHEET_ROWS: Final = 100_000
"""Rows of a sheet, blank ones among them."""

MAX_MERGED_CELLS: Final = 200_000
MAX_FORMULAS: Final = 100_000
SNIFFED_BYTES: Final = 8_192
DELIMITERS: Final = ",\t;，"

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_MACROS: Final = "vbaproject.bin"
_SEPARATOR_LINE: Final = re.compile(r"\A\ufeff?sep=(.)\r?\n", re.IGNORECASE)
_ROW_TAG: Final = re.compile(rb"<(?:\w+:)?row\b[^>]*>")
_ROW_NUMBER: Final = re.compile(rb"\br=[\"'](\d+)[\"']")
_ROW_HIDDEN: Final = re.compile(rb"\bhidden=[\"'](?:1|true)[\"']")
_FORMULA: Final = re.compile(rb"<(?:\w+:)?c\b[^>]*\br=[\"']([A-Z]{1,3})(\d{1,7})[\"'][^>]*>\s*<(?:\w+:)?f\b")
_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def kind_of(content: bytes) -> str:
    """`xlsx` or `csv`, by the content and not by a name. Raises SpreadsheetError."""
    if not content.strip():
        raise SpreadsheetError("file_empty")
    if content.startswith(_OLE):
        # What Excel encrypts becomes a part of this name within the container that the old format is, too.
        raise SpreadsheetError("file_encrypted" if _ENCRYPTED in content else "file_old_format")
    return "xlsx" if content.startswith(_ZIP) else "csv"


def read_table(content: bytes, headings: Headings, max_rows: int) -> Table:
    """The table in a file, on the first visible sheet that has the headings. Raises SpreadsheetError."""
    if kind_of(content) == "csv":
        return find_table(_csv_grid(content), headings, max_rows)
    return find_table(_xlsx_grid(content, headings), headings, max_rows)


# ------------------------------------------------------------------------------------------------------------- CSV


def _csv_grid(content: bytes) -> Grid:
    text, encoding = _decoded(content)
    separator = _SEPARATOR_LINE.match(text)
    delimiter = separator.group(1) if separator else _delimiter(text)
    # The line that names the separator is no row for a spreadsheet program, so it does not count.
    body = text[separator.end() :] if separator else text
    csv.field_size_limit(MAX_TEXT)
    rows: list[Row] = []
    try:
        # Records and not lines are counted: a cell may hold line breaks, and is one row all the same.
        for number, record in enumerate(csv.reader(io.StringIO(body, newline=""), delimiter=delimiter), start=1):
            if number > MAX_SHEET_ROWS:
                raise SpreadsheetError("file_too_many_rows")
            _add(rows, number, [text_of(from_csv(cell)) for cell in record])
    except csv.Error:
        raise SpreadsheetError("file_unreadable") from None
    return Grid("csv", rows, encoding=encoding, delimiter=delimiter)


def _decoded(content: bytes) -> tuple[str, str]:
    if content.startswith(b"\xef\xbb\xbf"):
        candidates = ["utf-8-sig"]
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ["utf-16"]
    else:
        # GBK by its whole superset; hardly any Chinese text in GBK is valid UTF-8 by chance.
        candidates = ["utf-8", "gb18030"]
    for encoding in candidates:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            break
        return text, encoding
    raise SpreadsheetError("file_encoding")


def _delimiter(text: str) -> str:
    """The delimiter that the first rows have most of."""
    lines = text[:SNIFFED_BYTES].splitlines()[:TITLE_ROWS]
    return max(DELIMITERS, key=lambda each: max((line.count(each) for line in lines), default=0))


def _add(rows: list[Row], number: int, cells: list[str]) -> None:
    while cells and not cells[-1]:
        cells.pop()
    if len(cells) > MAX_COLUMNS:
        raise SpreadsheetError("file_too_many_columns", row=number)
    if cells:
        rows.append((number, cells))


# ------------------------------------------------------------------------------------------------------------ XLSX


def _xlsx_grid(content: bytes, headings: Headings) -> Grid:
    unpacked = _checked_archive(content)
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            names = [
                each.name
                for each in book.sheets_metadata[:MAX_SHEETS]
                if each.visible == SheetVisibleEnum.Visible and each.typ == SheetTypeEnum.WorkSheet
            ]
            best: Grid | None = None
            for name in names:
                grid = _sheet_grid(book.get_sheet_by_name(name), unpacked)
                if best is None or known_headings(grid, headings) > known_headings(best, headings):
                    best = grid
    except (CalamineError, zipfile.BadZipFile, ElementTree.ParseError, ValueError, KeyError):
        raise SpreadsheetError("file_unreadable") from None
    if best is None:
        raise SpreadsheetError("file_empty")
    return best


def _checked_archive(content: bytes) -> zipfile.ZipFile:
    """The archive, whose parts were unpacked once and counted: what a part says of its own size may be a lie."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        parts = archive.infolist()
        if any(part.filename.lower().endswith(_MACROS) for part in parts):
            raise SpreadsheetError("file_has_macros")
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
            raise SpreadsheetError("file_unpacks_too_large")
        left = MAX_UNPACKED_BYTES
        for part in parts:
            with archive.open(part) as stream:
                while piece := stream.read(1 << 20):
                    left -= len(piece)
                    if left < 0:
                        raise SpreadsheetError("file_unpacks_too_large")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        raise SpreadsheetError("file_unreadable") from None
    return archive


def _sheet_grid(sheet: CalamineSheet, archive: zipfile.ZipFile) -> Grid:
    start = sheet.start
    if start is None:
        return Grid("xlsx", [], sheet=sheet.name)
    if sheet.total_height > MAX_SHEET_ROWS:
        raise SpreadsheetError("file_too_many_rows")
    if sheet.total_width > MAX_COLUMNS:
        raise SpreadsheetError("file_too_many_columns")
    first_row, first_column = start
    cells = [[""] * first_column + [text_of(value) for value in row] for row in sheet.to_python(skip_empty_area=True)]
    _spread(cells, sheet, first_row)
    rows: list[Row] = []
    for number, each in enumerate(cells, start=first_row + 1):
        _add(rows, number, each)
    xml = _xml_of(archive, sheet.name)
    return Grid("xlsx", rows, sorted(_hidden_rows(xml)), sheet=sheet.name, formulas=sorted(_formulas(xml)))


def _spread(cells: list[list[str]], sheet: CalamineSheet, first_row: int) -> None:
    """Give every cell of a merged range the value that is shown over all of it."""
    left = MAX_MERGED_CELLS
    for (top, start), (bottom, end) in sheet.merged_cell_ranges or ():
        left -= (bottom - top + 1) * (end - start + 1)
        if left < 0:
            raise SpreadsheetError("file_unpacks_too_large")
        if top < first_row or top - first_row >= len(cells) or start >= len(cells[top - first_row]):
            continue
        value = cells[top - first_row][start]
        for row in cells[top - first_row : bottom - first_row + 1]:
            for column in range(start, min(end + 1, len(row))):
                row[column] = value


def _hidden_rows(xml: bytes) -> Iterator[int]:
    """The numbers of the rows that the spreadsheet does not show, by a filter or by hand."""
    for tag in _ROW_TAG.finditer(xml):
        number = _ROW_NUMBER.search(tag.group())
        if number and _ROW_HIDDEN.search(tag.group()):
            yield int(number.group(1))


def _formulas(xml: bytes) -> Iterator[tuple[int, int]]:
    """The cells that hold a formula, as row and column: what they show depends on who has opened the file last."""
    for count, cell in enumerate(_FORMULA.finditer(xml)):
        if count == MAX_FORMULAS:
            raise SpreadsheetError("file_unpacks_too_large")
        yield int(cell.group(2)), column_index(cell.group(1).decode())


def _xml_of(archive: zipfile.ZipFile, sheet: str) -> bytes:
    path = _path_of(archive, sheet)
    return archive.read(path) if path is not None else b""


def _path_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - the parser bounds what entities expand to
    wanted = next((each.get(_RELATION) for each in book.iter(f"{_MAIN}sheet") if each.get("name") == sheet), None)
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    target = next((each.get("Target", "") for each in relations if wanted and each.get("Id") == wanted), None)
    if target is None:
        return None
    path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return path if path in archive.namelist() else None
