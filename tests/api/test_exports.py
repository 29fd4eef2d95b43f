"""Lists and bulletins as files, with the scope of the lists."""

import io
from typing import Any, get_args

import httpx2
import pytest
from fastapi.routing import APIRoute
from python_calamine import CalamineWorkbook

from api import exports, trainees
from api.app import ROUTERS
from api.export_headings import heading
from api.permissions import Caller
from api.problems import Problem
from api.routing import _query_parameters
from projections.trainees import EVERYTHING
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, SCHOOL
from tests.api.nominations import identity_number, nominated
from tests.api.test_class_changes import phase_of_class
from tests.api.test_outcomes import registered


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
    headings, row = cells(await stack.get(BUREAU, "/v1/restrictions/export"))
    shown = dict(zip(headings, row, strict=True))
    assert shown["编号 number"] == recorded.json()["number"]
    assert shown["姓名 person.name"] == "王**"
    masked = identity_number(5)[:4] + "**********" + identity_number(5)[-4:]
    assert shown["身份证号 person.identity_number"] == masked
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


WITHOUT_EXPORT = {
    "list_trainee_events": "the story of one case: `xunji ledger person` and `/explanation` give it whole",
    "list_candidates": "at most 500 who wait for one choice, each with a reasoned place; /v1/trainees/export has them",
    "list_nomination_import_rows": "the file itself comes back with its results, at `/file`",
    "list_registration_import_rows": "the same",
    "list_attendance_import_rows": "the same",
    "list_outcome_import_rows": "the same",
    "list_operation_rows": "each row is what its request would have been answered with, for the program that sent it",
    "list_trainee_deliveries": "the part of /v1/deliveries/export that concerns one case, shown with it",
    "list_restriction_deliveries": "the same",
    "list_undeliverable_addresses": "addresses to be mended one by one, where they are shown",
    "list_keys": "a handful of keys, to be handled where they are shown",
    "list_webhook_endpoints": "at most a few addresses of one institution",
    "list_events": "a feed for machines that goes on for ever",
}


def is_list(route: APIRoute) -> bool:
    model = route.response_model
    return "GET" in (route.methods or ()) and isinstance(model, type) and "items" in getattr(model, "model_fields", {})


def test_every_list_can_be_downloaded_or_it_is_said_why_not() -> None:
    paths = {route.path for each in ROUTERS for route in each.routes if isinstance(route, APIRoute)}
    lists = [route for each in ROUTERS for route in each.routes if isinstance(route, APIRoute) and is_list(route)]
    without = {str(route.operation_id) for route in lists if f"{route.path}/export" not in paths}
    assert without == WITHOUT_EXPORT.keys()
    assert len(lists) - len(without) == len(exports.LISTS) > 10


@pytest.mark.parametrize("each", exports.LISTS, ids=lambda each: each.name)
def test_every_column_has_a_word_and_every_filter_of_the_list_is_the_exports(each: exports.List) -> None:
    assert all(heading(each.item, column) for column in exports.columns_of(each.item))
    by_path = {route.path: route for route in exports.routes.routes if isinstance(route, APIRoute)}
    export = by_path[f"/v1{each.path}/export"]
    listed = next(
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and is_list(route) and route.path == f"/v1{each.path}"
    )
    assert get_args(listed.response_model.model_fields["items"].annotation) == (each.item,)
    assert parameters_of(export) == (parameters_of(listed) - {"limit", "cursor"}) | {"format"}


def parameters_of(route: APIRoute) -> set[str]:
    return {
        *(name for name, _ in _query_parameters(route.dependant)),
        *(each.alias for each in route.dependant.path_params),
    }


async def test_a_host_is_not_shown_in_a_file_what_its_list_does_not_show(stack: API) -> None:
    (number,) = await registered(stack, 1)
    dismissed = {"reason": "conduct", "evidence": "记录 3"}
    assert (await stack.post(HOST, f"/v1/trainees/{number}/dismiss", dismissed)).status_code == 200
    await stack.seen()
    for organisation, restriction in ((BUREAU, f"{number}-r1"), (HOST, "")):
        headings, row = cells(await stack.get(organisation, "/v1/trainees/export"))
        assert dict(zip(headings, row, strict=True))["限制编号 restriction"] == restriction


async def test_a_list_of_lists_has_a_line_for_each_and_goes_over_its_pages(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_LIMIT", 1)
    trainees = await registered(stack, 1, 2)
    training_class = (await stack.get(HOST, f"/v1/trainees/{trainees[0]}")).json()["training_class"]
    sessions = [{"day": "2022-10-10", "session": each, "units": 4} for each in ("morning", "afternoon")]
    set_ = await stack.post(HOST, f"/v1/classes/{training_class}/set-timetable", {"sessions": sessions})
    assert set_.status_code == 200, set_.text
    await phase_of_class(stack, training_class, "registration-open")
    marks = [{"trainee": trainees[0], "day": "2022-10-10", "session": each["session"], "units": 4} for each in sessions]
    marked = await stack.post(HOST, f"/v1/classes/{training_class}/attendance", {"items": marks})
    assert marked.json()["failed"] == 0, marked.text
    await stack.seen()
    headings, *rows = cells(await stack.get(HOST, f"/v1/classes/{training_class}/attendance/export"))
    places = [headings.index(each) for each in ("学员编号 trainee", "时段 marks.session", "出勤学时 attended")]
    assert [[row[place] for place in places] for row in rows] == [
        [trainees[0], "afternoon", "8"],
        [trainees[0], "morning", "8"],
        [trainees[1], "", "0"],
    ]
    for path in ("classes", "campaigns", f"quotas?campaign={stack.plan.id}", "institutions", "mailboxes"):
        name, _, query = path.partition("?")
        listed = (await stack.get(BUREAU, f"/v1/{name}?limit=500&{query}")).json()["items"]
        assert len(cells(await stack.get(BUREAU, f"/v1/{name}/export?{query}"))) == len(listed) + 1, path
        assert listed or name == "mailboxes"


async def test_a_list_that_is_too_long_is_refused_with_the_way_out(stack: API) -> None:
    for counter in (1, 2):
        await nominated(stack, counter)
    await stack.seen()
    bureau = Caller("k", BUREAU, "bureau", frozenset())
    short = exports.List("/trainees", trainees.read_page, "trainees", max_rows=1)
    with pytest.raises(Problem) as raised:
        await exports._rows(short, caller=bureau, services=stack.services, wanted=EVERYTHING)
    assert (raised.value.type.slug, raised.value.type.status) == ("export-too-large", 422)
    assert "筛选" in raised.value.faults[0].remedy_zh
    unknown = await stack.get(BUREAU, "/v1/trainees/export?fase=nominated")
    assert "`phase`" in unknown.json()["errors"][0]["remedy"]
