"""Files as people make them, read with the row numbers that their spreadsheet shows."""

import io
import struct
import zipfile
from datetime import date
from typing import Any

import orjson
import pytest
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from spreadsheets import reading
from spreadsheets.errors import FILE_ERROR_CODES, SpreadsheetError
from spreadsheets.process import SpreadsheetProcesses
from spreadsheets.reading import read_table
from spreadsheets.table import Headings, Table, plain_heading
from tests.spreadsheets.files import HEADINGS, table_of, xlsx

NUMBER = "410181199003070014"


def read(content: bytes, headings: Headings = HEADINGS) -> Table:
    return read_table(content, headings, max_rows=100)


def code_of(content: bytes) -> str:
    with pytest.raises(SpreadsheetError) as error:
        read(content)
    return error.value.code


@pytest.mark.parametrize(
    ("encoding", "named"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("gbk", "gb18030"), ("utf-16", "utf-16")]
)
def test_case_65_a_csv_in_any_usual_encoding(encoding: str, named: str) -> None:
    text = f"2022年推荐名单\r\n\r\n姓名,身份证号,备注\r\n王小明,{NUMBER},\r\n\r\n,,\r\n李四,{NUMBER},x\r\n,,,,\r\n"
    table = read(text.encode(encoding))
    assert (table.grid.kind, table.grid.encoding, table.grid.delimiter) == ("csv", named, ",")
    assert table.heading_row == 3
    assert [(number, table.cell(cells, "name")) for number, cells in table.rows] == [(4, "王小明"), (7, "李四")]
    assert table.ignored == ["备注"]


def test_case_65_title_rows_merged_cells_hidden_rows_and_trailing_blanks() -> None:
    def fill(book: Workbook, page: Worksheet) -> None:
        page.merge_range("A1:D1", "郑州市2022年国培推荐表")
        page.write("A2", "填报单位：")
        page.merge_range("A4:A5", "姓名")
        page.merge_range("B4:B5", " 身份证号（必填）* ")
        page.merge_range("C4:D4", "其他")
        page.write_row("C5", ["教 龄", "电话"])
        page.write_row("A6", ["王小明", NUMBER])
        page.merge_range("C6:C8", 5)
        page.write_row("A7", ["李四", NUMBER])
        page.set_row(6, None, None, {"hidden": True})
        page.write_row("A8", ["赵六", NUMBER])
        page.write_blank("A40", None, book.add_format({"bg_color": "red"}))

    table = read(xlsx(fill))
    assert (table.heading_row, table.grid.sheet, table.grid.hidden) == (5, "名单", [7])
    assert table.columns == {"name": 0, "number": 1, "years": 2}
    assert [number for number, _ in table.rows] == [6, 7, 8]
    assert [table.cell(cells, "years") for _, cells in table.rows] == ["5", "5", "5"]
    assert [number for number, _ in table.others] == [1, 2, 4, 5]


def test_case_9_what_excel_made_of_numbers_is_shown_and_not_guessed() -> None:
    rows: list[list[Any]] = [
        ["姓名", "身份证号", "教龄"],
        ["王", 410181199003070014, 4.9999999999999996],
        ["李", 13800000000.0, True],
    ]
    rows += [["赵", date(1990, 3, 7).isoformat(), 5.5]]
    table = read(table_of(rows))
    values = [(table.cell(cells, "number"), table.cell(cells, "years")) for _, cells in table.rows]
    assert values == [("4.10181E+17", "5"), ("13800000000", "TRUE"), ("1990-03-07", "5.5")]


def test_the_sheet_with_the_headings_is_found_and_hidden_ones_are_not() -> None:
    def fill(book: Workbook, page: Worksheet) -> None:
        page.write("A1", "说明：请填写第二张表")
        hidden = book.add_worksheet("旧名单")
        hidden.write_row(0, 0, ["姓名", "身份证号", "教龄"])
        hidden.write_row(1, 0, ["旧", NUMBER, 1])
        hidden.hide()
        wanted = book.add_worksheet("推荐")
        wanted.write_row("B3", ["NAME", "id_number"])
        wanted.write_row("B4", ["新", NUMBER])

    table = read(xlsx(fill))
    assert table.grid.sheet == "推荐"
    assert table.columns == {"name": 1, "number": 2}
    assert table.rows == [(4, ["", "新", NUMBER])]


def test_a_line_that_names_the_separator_is_no_row_and_a_record_may_have_many_lines() -> None:
    table = read(f'sep=;\r\n姓名;身份证号\r\n"王\r\n小明";{NUMBER}\r\n李;{NUMBER}\r\n'.encode())
    assert [number for number, _ in table.rows] == [2, 3]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"  \r\n", "file_empty"),
        ("姓名,身份证号\r\n,\r\n".encode(), "file_empty"),
        (b"\xd0\xcf\x11\xe0 old", "file_old_format"),
        (b"\xd0\xcf\x11\xe0 " + "EncryptedPackage".encode("utf-16-le"), "file_encrypted"),
        (b"PK\x03\x04 not really", "file_unreadable"),
        (b"\xff\xfe\x00", "file_encoding"),
        (b"\x81", "file_encoding"),
        (b"name,ID number\x00", "file_encoding"),
        ("姓名,电话\r\n王,1\r\n".encode(), "heading_missing"),
        ("姓名,身份证号,Name\r\n王,1,2\r\n".encode(), "heading_twice"),
        (("姓名,身份证号\r\n" + "王,1\r\n" * 101).encode(), "file_too_many_rows"),
        (("姓名,身份证号" + ",x" * 300 + "\r\n王,1\r\n").encode(), "file_too_many_columns"),
        (("\r\n" * 100_001 + "x").encode(), "file_too_many_rows"),
    ],
)
def test_a_file_that_is_not_as_expected(content: bytes, code: str) -> None:
    assert code_of(content) == code


def test_a_missing_column_is_named_with_the_nearest_that_is_there() -> None:
    with pytest.raises(SpreadsheetError) as error:
        read("姓名,身份证,教龄\r\n王,1,2\r\n".encode())
    assert "身份证号 (身份证?)" in error.value.zh
    assert error.value.row == 1


def test_every_error_has_words_in_both_languages() -> None:
    for code in FILE_ERROR_CODES:
        error = SpreadsheetError(code, "x")
        assert error.en and error.zh and error.remedy_en and error.remedy_zh


def test_headings_are_known_however_they_are_written() -> None:
    for text in (
        "身份证号",
        " 身份证号＊",
        "身份证号(18位)",
        "【必填】身份证号",
        "身份证号：",
        "ID_Number",
        "id-number",
    ):
        assert HEADINGS.field_of(text) == "number", text
    assert plain_heading("（说明）") == ""


def test_cells_with_formulas_are_named() -> None:
    def fill(_book: Workbook, page: Worksheet) -> None:
        page.write_row(0, 0, ["姓名", "身份证号", "教龄"])
        page.write_row(1, 0, ["王", "1"])
        page.write_formula(1, 2, "=2022-2017", None, 5)
        page.write_row(2, 0, ["李", "2", "5"])
        page.write_formula(2, 27, '="x"')

    table = read(xlsx(fill))
    assert table.grid.formulas == [(2, 2), (3, 27)]
    assert table.cell(table.rows[0][1], "years") == "5"
    assert Table.from_json(orjson.loads(orjson.dumps(table.as_json()))).grid.formulas == [(2, 2), (3, 27)]


# ------------------------------------------------------------------------------------------------------ hostile files


def test_a_file_with_macros_is_refused_by_what_it_holds_and_not_by_its_name() -> None:
    plain = xlsx(lambda _, page: page.write_row(0, 0, ["姓名", "身份证号"]))
    with zipfile.ZipFile(io.BytesIO(plain)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    assert code_of(archive(parts | {"xl/vbaProject.bin": b"x"})) == "file_has_macros"


def archive(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return out.getvalue()


def test_a_zip_bomb_is_not_unpacked() -> None:
    bomb = archive({"xl/worksheets/sheet1.xml": bytes(reading.MAX_UNPACKED_BYTES + 1)})
    assert len(bomb) < 200_000
    assert code_of(bomb) == "file_unpacks_too_large"


def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked() -> None:
    size = reading.MAX_UNPACKED_BYTES + 1
    bomb = archive({"a": bytes(size)}).replace(struct.pack("<I", size), struct.pack("<I", 5))
    assert code_of(bomb) in ("file_unpacks_too_large", "file_unreadable")


def test_a_file_of_too_many_parts_is_not_unpacked() -> None:
    assert code_of(archive({f"p{n}": b"" for n in range(reading.MAX_PARTS + 1)})) == "file_unpacks_too_large"


async def test_a_cell_at_the_far_end_of_the_sheet_takes_the_child_and_not_us() -> None:
    """A reader that holds a sheet as a rectangle would want 17 thousand million cells."""
    content = xlsx(lambda _, page: (page.write("A1", "姓名"), page.write(1_048_575, 16_383, "x")))
    processes = SpreadsheetProcesses()
    with pytest.raises(SpreadsheetError) as error:
        await processes.read(content, HEADINGS, 100)
    assert error.value.code in ("file_too_many_rows", "file_unreadable")
    table = await processes.read(f"姓名,身份证号\n王,{NUMBER}\n".encode(), HEADINGS, 100)
    assert table.rows == [(2, ["王", NUMBER])]


async def test_entities_that_expand_take_the_child_and_not_us() -> None:
    book = (
        '<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "'
        + "x" * 1_000
        + '">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 50}">' for a, b in zip("abcdef", "bcdefg", strict=True))
        + "]><workbook>&g;</workbook>"
    )
    content = table_of([["姓名", "身份证号"], ["王", NUMBER]])
    parts = {}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts["xl/workbook.xml"] = book.encode()
    with pytest.raises(SpreadsheetError):
        await SpreadsheetProcesses().read(archive(parts), HEADINGS, 100)


async def test_a_file_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(SpreadsheetError) as error:
        await SpreadsheetProcesses(timeout_s=0.001).read(b"x,y", HEADINGS, 100)
    assert error.value.code == "file_took_too_long"
