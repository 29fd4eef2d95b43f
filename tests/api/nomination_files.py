"""Files of nominations, and what became of them."""

import asyncio
from typing import Any

import httpx2

from spreadsheets.writing import XLSX, Sheet, as_csv, as_xlsx, numbered
from tests.api.front_door import API, COUNTY
from tests.api.nominations import identity_number

HEADINGS = ["姓名", "身份证号", "手机号", "项目", "学段", "学科", "教龄"]
FINISHED = ("done", "failed")


def row(counter: int, **changes: str) -> list[str]:
    """A row that the plan allows, in the order of HEADINGS."""
    cells = {
        "姓名": "王小明",
        "身份证号": identity_number(counter),
        "手机号": f"138{counter:08d}",
        "项目": "gp5",
        "学段": "小学",
        "学科": "语文",
        "教龄": "5",
    } | changes
    return list(cells.values())


def as_file(*rows: list[str], title: str = "2022年推荐名单") -> bytes:
    """An XLSX with a title, a blank row, headings in row 3, and the rows from 4."""
    numbers = [(1, [title]), (3, HEADINGS), *((4 + place, cells) for place, cells in enumerate(rows))]
    return as_xlsx(Sheet("名单", numbers, heading_row=3))


def as_text(*rows: list[str], encoding: str = "utf-8") -> bytes:
    """A CSV with headings in row 1."""
    return as_csv(Sheet("", numbered([HEADINGS, *rows]))).decode("utf-8-sig").encode(encoding)


async def send(
    api: API, content: bytes, organisation: str = COUNTY, media_type: str = XLSX, key: str = "", **options: Any
) -> httpx2.Response:
    """POST a file."""
    query = "&".join(f"{name}={value}" for name, value in {"campaign": api.plan.id, **options}.items())
    headers = {"Content-Type": media_type}
    path = f"/v1/nomination-imports?{query}"
    return await api.call(organisation, "POST", path, key=key, headers=headers, content=content)


async def finished(api: API, response: httpx2.Response, organisation: str = COUNTY) -> dict[str, Any]:
    """The import when its operation has ended."""
    assert response.status_code == 202, response.text
    location = response.headers["location"]
    while True:
        operation = (await api.get(organisation, location)).json()
        if operation["state"] in FINISHED:
            shown: dict[str, Any] = (await api.get(organisation, operation["result"])).json()
            return shown
        await asyncio.sleep(0.02)


async def rows_of(api: API, shown: dict[str, Any], query: str = "", organisation: str = COUNTY) -> list[dict[str, Any]]:
    response = await api.get(organisation, f"/v1/nomination-imports/{shown['id']}/rows{query}")
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items
