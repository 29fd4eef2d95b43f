"""What we write: text stays text, and comes back as it was."""

import io

from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from spreadsheets.cells import address, column_letters, for_csv, from_csv, is_formula_like, text_of, without_control
from spreadsheets.reading import read_table
from spreadsheets.writing import Sheet, as_csv, as_xlsx, numbered
from tests.spreadsheets.files import HEADINGS

EVIL = ("=1+1", "+86 138", "-2+3", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x","y")', "＝1+1", " =1", "|cmd")
ROWS = [["姓名", "身份证号"], *[[text, "1"] for text in EVIL]]


def test_case_64_formulas_stay_text_in_csv() -> None:
    lines = as_csv(Sheet("名单", numbered(ROWS))).decode("utf-8-sig").split("\r\n")
    assert lines[1] == "'=1+1,1"
    for line, text in zip(lines[1:], EVIL, strict=False):
        assert not is_formula_like(line.strip('"')), text


def test_case_64_formulas_stay_text_in_xlsx() -> None:
    content = as_xlsx(Sheet("名单", numbered(ROWS)))
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert [row[0] for row in book.get_sheet_by_index(0).to_python()][1:] == list(EVIL)
    import zipfile  # noqa: PLC0415 - looked into only here

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet


def test_case_64_what_we_wrote_reads_as_it_was() -> None:
    for write in (as_csv, as_xlsx):
        table = read_table(write(Sheet("名单", numbered(ROWS))), HEADINGS, 100)
        assert [table.cell(cells, "name") for _, cells in table.rows] == [text_of(each) for each in EVIL]


def test_rows_keep_their_numbers() -> None:
    rows = [(2, ["姓名", "身份证号"]), (5, ["王", "1"]), (9, ["李", "2"])]
    for write in (as_csv, as_xlsx):
        table = read_table(write(Sheet("名单", rows, heading_row=2)), HEADINGS, 100)
        assert (table.heading_row, [number for number, _ in table.rows]) == (2, [5, 9])


def test_addresses_are_those_of_the_spreadsheet() -> None:
    assert [column_letters(n) for n in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
    assert address(5, 2) == "C5"


@given(st.text(max_size=20))
def test_every_text_for_csv_is_harmless_and_comes_back(text: str) -> None:
    written = for_csv(text)
    assert not is_formula_like(written)
    if is_formula_like(text) and without_control(text) == text:
        assert from_csv(written) == text
