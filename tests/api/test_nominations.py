"""Nominations as schools and counties send them, with the mess of real life."""

from datetime import UTC, datetime
from typing import Any

import orjson

from tests.api.front_door import (
    API,
    BUREAU,
    COUNTY,
    OTHER_COUNTY,
    OTHER_SCHOOL,
    SCHOOL,
    check_problem,
    own_plan,
)
from tests.api.nominations import identity_number, nominated, nomination


async def test_a_school_nominates_with_its_own_county_and_a_county_for_itself(stack: API) -> None:
    number = await nominated(stack)
    prefix = stack.plan.number_prefix
    assert number == f"{prefix}-{COUNTY}-00001"
    shown = (await stack.get(SCHOOL, f"/v1/trainees/{number}")).json()
    assert (shown["county"], shown["school"], shown["phase"]) == (COUNTY, SCHOOL, "nominated")
    response = await stack.post(COUNTY, "/v1/nominations", nomination(stack, 2))
    assert response.headers["location"] == f"/v1/trainees/{prefix}-{COUNTY}-00002"
    shown = (await stack.get(COUNTY, response.headers["location"])).json()
    assert (shown["county"], shown["school"]) == (COUNTY, COUNTY)


async def test_what_is_personal_reaches_neither_the_ledger_nor_the_list_in_the_clear(stack: API) -> None:
    number = await nominated(stack, 7)
    shown = (await stack.get(COUNTY, f"/v1/trainees/{number}")).json()["person"]
    assert shown["name"] == "王小明"
    assert shown["identity_number"] == identity_number(7)[:4] + "**********" + identity_number(7)[-4:]
    assert shown["telephone"] == "138******07"
    assert shown["email"] == "t***@example.invalid"
    rows = await stack.services.pool.fetch("SELECT body FROM ledger.events")
    rows += await stack.services.pool.fetch("SELECT body FROM app.idempotency WHERE body IS NOT NULL")
    stored = b"".join(row["body"] for row in rows)
    for personal in ("王小明", identity_number(7), "13800000007", "teacher7"):
        assert personal.encode() not in stored
        assert orjson.dumps(personal) not in stored
    await stack.seen()
    assert "王" not in (await stack.get(COUNTY, "/v1/trainees")).text


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"person": {"identity_number": "410181199003070011"}}, "invalid-identity-number", "/person/identity_number"),
    ({"person": {"identity_number": "4.10181E+17"}}, "invalid-identity-number", "/person/identity_number"),
    ({"person": {"name": "X"}}, "invalid-request", "/person/name"),
    ({"person": {"telephon": "1"}}, "invalid-request", "/person/telephon"),
    ({"campaign": "2023-nowhere"}, "invalid-request", "/campaign"),
    ({"projecttype": "gp1"}, "invalid-request", "/projecttype"),
    ({"project_type": "gp99"}, "unknown-project-type", "/project_type"),
    ({"stage": "senior", "project_type": "gp1"}, "stage-not-eligible", "/stage"),
    ({"years_of_service": -1}, "invalid-request", "/years_of_service"),
    ({"school": OTHER_SCHOOL}, "school-of-another-county", "/school"),
    ({"county": OTHER_COUNTY}, "school-of-another-county", "/school"),
    ({"county": "999999", "school": "999999"}, "no-quota-line", "/county"),
]


async def test_a_wrong_nomination_names_the_field_and_leaves_no_event(stack: API) -> None:
    for counter, (changes, slug, pointer) in enumerate(WRONG, start=100):
        head = await stack.services.ledger.head(stack.plan.id)
        body = nomination(stack, 1, **changes)
        response = await stack.post(SCHOOL, "/v1/nominations", body)
        assert response.status_code == 422, response.text
        assert stack.problem(response) == slug
        assert pointer in [each.get("pointer") for each in response.json()["errors"]]
        assert body["person"]["identity_number"] not in response.text
        assert await stack.services.ledger.head(stack.plan.id) == head
        many = await stack.post(SCHOOL, "/v1/nominations", {"items": [nomination(stack, counter), body]})
        good, bad = many.json()["items"]
        assert many.status_code == 207
        assert (good["status"], bad["status"]) == (201, 422)
        assert check_problem(bad["problem"]) == slug
        assert f"/items/1{pointer}" in [each.get("pointer") for each in bad["problem"]["errors"]]


async def test_every_reason_of_the_plan_comes_at_once(stack: API) -> None:
    body = nomination(stack, 1, project_type="gp1", stage="senior", position="principal", years_of_service=0)
    response = await stack.post(SCHOOL, "/v1/nominations", body)
    codes = {each["code"] for each in response.json()["errors"]}
    assert {"stage_not_eligible", "position_not_eligible", "rural_required", "service_too_short"} <= codes
    assert response.json()["rule_version"] == stack.plan.sha256()


async def test_the_same_teacher_twice_is_a_duplicate_in_the_order_of_the_rows(stack: API) -> None:
    rows = [nomination(stack, 1), nomination(stack, 1), nomination(stack, 2)]
    response = await stack.post(SCHOOL, "/v1/nominations", {"items": rows})
    body = response.json()
    assert [each["status"] for each in body["items"]] == [201, 409, 201]
    assert (body["succeeded"], body["failed"]) == (2, 1)
    assert check_problem(body["items"][1]["problem"]) == "duplicate-nomination"
    full_width = identity_number(1).translate({ord(str(d)): chr(0xFF10 + d) for d in range(10)})
    again = nomination(stack, 1, person={"identity_number": full_width})
    assert stack.problem(await stack.post(COUNTY, "/v1/nominations", again)) == "duplicate-nomination"


async def test_a_restricted_teacher_is_refused_and_only_the_date_is_told(stack: API) -> None:
    earlier = {
        "campaign": stack.plan.id,
        "person": {"name": "王小明", "identity_number": identity_number(5)},
        "starts": "2021-03-01",
        "until": "2024-03-01",
        "document": "郑教师函〔2021〕88号",
    }
    recorded = await stack.post(BUREAU, "/v1/restrictions", earlier)
    assert recorded.status_code == 201, recorded.text
    assert recorded.json()["phase"] == "imposed"
    number = recorded.json()["number"]
    assert recorded.headers["location"] == f"/v1/restrictions/{number}"
    response = await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 5))
    assert stack.problem(response) == "restricted-until"
    assert "2024-03-01" in response.json()["detail"]
    assert "88号" not in response.text
    assert (await stack.get(COUNTY, f"/v1/restrictions/{number}")).status_code == 404
    shown = (await stack.get(BUREAU, f"/v1/restrictions/{number}")).json()
    assert shown["person"]["name"] == "王**"
    backwards = earlier | {"starts": "2024-03-01", "until": "2021-03-01"}
    assert stack.problem(await stack.post(BUREAU, "/v1/restrictions", backwards)) == "dates-out-of-order"


async def test_a_full_quota_says_how_many_there_are(stack: API) -> None:
    quotas = (await _quotas(stack))["gp5"]
    size = quotas["size"]
    rows = [nomination(stack, counter) for counter in range(1, size + 2)]
    numbers = [row["number"] for row in (await stack.post(SCHOOL, "/v1/nominations", {"items": rows})).json()["items"]]
    approved = await stack.post(COUNTY, "/v1/trainees/approve", {"items": [{"trainee": each} for each in numbers]})
    statuses = [each["status"] for each in approved.json()["items"]]
    assert sorted(statuses) == [200] * size + [409]
    refused = next(each for each in approved.json()["items"] if each["status"] == 409)
    assert check_problem(refused["problem"]) == "quota-exhausted"
    assert f"has {size}" in refused["problem"]["detail"]
    quotas = (await _quotas(stack))["gp5"]
    assert (quotas["used"], quotas["left"]) == (size, 0)


async def _quotas(api: API) -> dict[str, Any]:
    await api.seen()
    response = await api.get(COUNTY, f"/v1/quotas?campaign={api.plan.id}")
    items = response.json()["items"]
    assert {each["recipient"] for each in items} == {COUNTY}
    return {each["project_type"]: each for each in items}


async def test_another_tenants_nomination_does_not_exist(stack: API) -> None:
    number = await nominated(stack)
    for path in (f"/v1/trainees/{number}", f"/v1/trainees/{number}/events"):
        for stranger in (OTHER_COUNTY, OTHER_SCHOOL, "h001"):
            response = await stack.get(stranger, path)
            unknown = await stack.get(stranger, path.replace("00001", "99999"))
            assert response.status_code == unknown.status_code == 404
            assert response.json()["detail"].replace(number, "") == unknown.json()["detail"].replace(
                number.replace("00001", "99999"), ""
            )
    response = await stack.post(OTHER_COUNTY, f"/v1/trainees/{number}/approve")
    assert stack.problem(response) == "unknown-number"
    events = (await stack.get(SCHOOL, f"/v1/trainees/{number}/events")).json()["items"]
    assert [each["type"] for each in events] == ["trainee.nominated"]


async def test_an_unchanged_case_is_not_sent_again(stack: API) -> None:
    number = await nominated(stack)
    first = await stack.get(SCHOOL, f"/v1/trainees/{number}")
    headers = {"If-None-Match": first.headers["etag"]}
    again = await stack.get(SCHOOL, f"/v1/trainees/{number}", headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    await stack.post(COUNTY, f"/v1/trainees/{number}/approve")
    changed = await stack.get(SCHOOL, f"/v1/trainees/{number}", headers=headers)
    assert changed.json()["phase"] == "county-approved"


async def test_a_nomination_after_the_deadline_is_late(stack: API) -> None:
    await stack.go_to(datetime(2022, 8, 29, 10, tzinfo=UTC))
    response = await stack.post(SCHOOL, "/v1/nominations", nomination(stack))
    assert response.status_code == 409
    assert stack.problem(response) == "deadline-passed"
    assert "2022-08-29 18:00" in response.json()["detail"]


async def test_a_list_is_walked_page_by_page_with_filters(stack: API) -> None:
    rows = [nomination(stack, counter) for counter in range(1, 8)]
    numbers = [row["number"] for row in (await stack.post(SCHOOL, "/v1/nominations", {"items": rows})).json()["items"]]
    await stack.post(COUNTY, f"/v1/trainees/{numbers[3]}/approve")
    await stack.seen()
    found, cursor = [], ""
    while True:
        page = (await stack.get(SCHOOL, f"/v1/trainees?limit=3{cursor}")).json()
        found += [each["number"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == sorted(numbers)
    only = (await stack.get(BUREAU, f"/v1/trainees?phase=county-approved&campaign={stack.plan.id}")).json()["items"]
    assert [each["number"] for each in only] == [numbers[3]]
    assert (await stack.get(OTHER_COUNTY, "/v1/trainees")).json() == {"items": [], "next": None}


async def test_a_campaign_is_listed_and_opened_once(stack: API) -> None:
    await stack.seen()
    listed = (await stack.get(SCHOOL, "/v1/campaigns")).json()["items"]
    assert [each["id"] for each in listed] == [stack.plan.id]
    shown = (await stack.get(SCHOOL, f"/v1/campaigns/{stack.plan.id}")).json()
    assert len(shown["project_types"]) == 12
    assert shown["school_deadline"] == "2022-08-29T10:00:00Z"
    headers = {"Content-Type": "application/yaml"}
    again = await stack.call(BUREAU, "POST", "/v1/campaigns", headers=headers, content=stack.plan.canonical())
    assert stack.problem(again) == "already-exists"
    other = own_plan().model_copy(update={"id": stack.plan.id})
    response = await stack.call(BUREAU, "POST", "/v1/campaigns", headers=headers, content=other.canonical())
    assert stack.problem(response) == "plan-conflict"
