"""A plan that cannot be adopted: every mistake with its place, what was expected and what was found."""

import httpx2

from tests.api.front_door import API, BUREAU
from tests.specification import PLAN_FILE


async def send(api: API, content: bytes, media_type: str = "application/yaml") -> httpx2.Response:
    return await api.call(BUREAU, "POST", "/v1/campaigns", content=content, headers={"Content-Type": media_type})


async def test_every_mistake_of_a_plan_is_named_with_line_and_column(api: API) -> None:
    text = PLAN_FILE.read_text(encoding="utf-8")
    wrong = text.replace("edition: 1 ", "edition: one ", 1).replace("opens: 2022-08-25", "opens: 2022-13-25", 1)
    assert wrong.count("\n") == text.count("\n")
    response = await send(api, wrong.encode())
    assert (response.status_code, api.problem(response)) == (422, "plan-invalid")
    lines = wrong.splitlines()
    errors = response.json()["errors"]
    assert len(errors) >= 2
    for each in errors:
        assert each["expected"]
        assert each["found"]
        assert each["column"] >= 1
    assert {"edition", "opens"} <= {lines[each["line"] - 1].strip().partition(":")[0] for each in errors}
    assert "/dates/opens" in [each["pointer"] for each in errors]


async def test_what_is_no_plan_at_all(api: API) -> None:
    for content in (b"", b"[", b"a: *b", b"\xff\xfe\x00", b"just text", b"{}", b"x: " + b"[" * 5_000):
        response = await send(api, content)
        assert (response.status_code, api.problem(response)) == (422, "plan-invalid"), content[:10]
    response = await send(api, b"{}", "application/json")
    assert (response.status_code, api.problem(response)) == (415, "unsupported-media-type")
    assert response.headers["accept"] == "application/yaml"


async def test_another_bureaus_plan_is_refused_and_nothing_is_adopted(api: API) -> None:
    before = await api.services.plans.adopted()
    plan = api.plan.model_copy(update={"id": "2022-elsewhere", "number_prefix": "el22", "bureau": "kfedu"})
    response = await send(api, plan.canonical())
    assert (response.status_code, api.problem(response)) == (422, "plan-invalid")
    assert response.json()["errors"][0]["code"] == "another_bureau"
    assert await api.services.plans.adopted() == before


async def test_a_campaign_that_is_not_there(api: API) -> None:
    for path in ("", "/figures"):
        response = await api.get(BUREAU, f"/v1/campaigns/2022-nowhere{path}")
        assert (response.status_code, api.problem(response)) == (404, "unknown-number")
    assert (await api.get(BUREAU, "/v1/bulletins?campaign=2022-nowhere")).status_code == 404
    assert (await api.get(BUREAU, "/v1/bulletins")).status_code == 422
    assert (await api.get(BUREAU, "/v1/quotas?campaign=2022-nowhere")).json() == {"items": [], "next": None}
