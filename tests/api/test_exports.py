"""Lists and bulletins as files, with the scope of the lists."""

import io
from typing import Any

import httpx2
from python_calamine import CalamineWorkbook

from api import exports
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, SCHOOL
from tests.api.nominations import identity_number, nominated


def cells(response: httpx2.Response) -> list[list[Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    return CalamineWorkbook.from_filelike(io.BytesIO(response.content)).get_sheet_by_index(0).to_python()


async def test_nominations_are_exported_with_the_filters_and_the_scope_of_their_list(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in range(1, 4)]
    await stack.post(COUNTY, f"/v1/trainees/{numbers[0]}/approve")
    await stack.seen()
    rows = cells(await stack.get(COUNTY, "/v1/trainees/export"))
    assert rows[0][0] == "编号 number"
    assert [row[0] for row in rows[1:]] == sorted(numbers)
    approved = cells(await stack.get(SCHOOL, "/v1/trainees/export?phase=county-approved"))
    assert [row[0] for row in approved[1:]] == [numbers[0]]
    assert len(cells(await stack.get(OTHER_COUNTY, "/v1/trainees/export"))) == 1
    text = await stack.get(BUREAU, f"/v1/trainees/export?format=csv&campaign={stack.plan.id}")
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    assert text.content.startswith(b"\xef\xbb\xbf")
    assert [line.split(",")[0] for line in text.content.decode("utf-8-sig").splitlines()[1:]] == sorted(numbers)
    assert "王小明" not in text.content.decode()
    listed = (await stack.get(COUNTY, "/v1/trainees")).json()["items"]
    assert len(rows[0]) == len(listed[0])


async def test_restrictions_are_exported_masked_and_only_to_whom_they_concern(stack: API) -> None:
    earlier = {
        "campaign": stack.plan.id,
        "person": {"name": "王小明", "identity_number": identity_number(5)},
        "starts": "2021-03-01",
        "until": "2024-03-01",
        "document": "=1+1〔2021〕88号",
    }
    recorded = await stack.post(BUREAU, "/v1/restrictions", earlier)
    await stack.seen()
    rows = cells(await stack.get(BUREAU, "/v1/restrictions/export"))
    assert rows[1][:3] == ["王**", identity_number(5)[:4] + "**********" + identity_number(5)[-4:], ""]
    assert recorded.json()["number"] in rows[1]
    assert len(cells(await stack.get(COUNTY, "/v1/restrictions/export"))) == 1
    assert (await stack.get(HOST, "/v1/restrictions/export")).status_code == 403


async def test_both_bulletins_are_exported_as_they_may_be_published(stack: API) -> None:
    await nominated(stack)
    await stack.seen()
    shown = (await stack.get(BUREAU, f"/v1/bulletins?campaign={stack.plan.id}")).json()
    for kind in ("counties", "hosts"):
        path = f"/v1/bulletins/export?campaign={stack.plan.id}&kind={kind}"
        rows = cells(await stack.get(BUREAU, path))
        assert rows[1] == [f"{each['zh']} {each['en']}" for each in shown[kind]["columns"]]
        assert rows[2:] == shown[kind]["published"]
        assert str(shown["as_of_sequence"]) in rows[0][0]
        assert (await stack.get(SCHOOL, path)).status_code == 403
    missing = await stack.get(BUREAU, "/v1/bulletins/export?campaign=nowhere&kind=hosts&format=csv")
    assert missing.status_code == 404


async def test_a_list_that_is_too_long_is_refused_with_the_way_out(stack: API, monkeypatch: Any) -> None:
    await nominated(stack)
    await stack.seen()
    monkeypatch.setattr(exports, "MAX_TRAINEES", 0)
    response = await stack.get(BUREAU, "/v1/trainees/export")
    assert (response.status_code, stack.problem(response)) == (422, "export-too-large")
    unknown = await stack.get(BUREAU, "/v1/trainees/export?fase=nominated")
    assert "`phase`" in unknown.json()["errors"][0]["remedy"]
