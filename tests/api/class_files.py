"""Files of a class: its template, filled in and sent, and what became of the rows."""

import io
from typing import Any

import httpx2
from python_calamine import CalamineWorkbook

from spreadsheets.writing import XLSX, Sheet, as_xlsx, numbered
from tests.api.front_door import API, HOST
from tests.api.nomination_files import finished

Columns = dict[str, str]


def sheet_of(content: bytes, index: int = 0) -> list[list[str]]:
    """The cells of a sheet from its first row."""
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(index)
    return [[str(cell) for cell in row] for row in sheet.to_python()]


async def template(api: API, kind: str, training_class: str, more: str = "") -> tuple[list[str], list[Columns]]:
    """The headings of a template as they are written, and its rows by heading without `（必填）`."""
    response = await api.get(HOST, f"/v1/{kind}-imports/template?training_class={training_class}{more}")
    assert response.status_code == 200, response.text
    rows = sheet_of(response.content)
    return rows[1], by_heading(rows[1], rows[2:])


def by_heading(headings: list[str], rows: list[list[str]]) -> list[Columns]:
    names = [each.removesuffix("（必填）") for each in headings]
    return [dict(zip(names, row, strict=True)) for row in rows]


def filled(headings: list[str], rows: list[Columns]) -> bytes:
    """An XLSX with a title, the headings in row 2 and the rows from 3."""
    names = [each.removesuffix("（必填）") for each in headings]
    cells = [[row.get(name, "") for name in names] for row in rows]
    return as_xlsx(Sheet("名单", numbered([["题"], headings, *cells]), heading_row=2))


async def send(
    api: API,
    kind: str,
    training_class: str,
    content: bytes,
    organisation: str = HOST,
    media_type: str = XLSX,
    **options: Any,
) -> httpx2.Response:
    """POST a file."""
    query = "&".join(f"{name}={value}" for name, value in {"training_class": training_class, **options}.items())
    headers = {"Content-Type": media_type}
    return await api.call(organisation, "POST", f"/v1/{kind}-imports?{query}", headers=headers, content=content)


async def imported(
    api: API, kind: str, training_class: str, content: bytes, **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The import when it has ended, and its rows."""
    shown = await finished(api, await send(api, kind, training_class, content, **options), HOST)
    assert shown["operation"]["state"] == "done", shown
    response = await api.get(HOST, f"/v1/{kind}-imports/{shown['id']}/rows")
    assert response.status_code == 200, response.text
    return shown, response.json()["items"]


def statuses(rows: list[dict[str, Any]]) -> list[str]:
    return [each["errors"][0]["code"] if each["errors"] else each["status"] for each in rows]
