"""Classes: who plans them, what is wrong with them, and whose trainees they take."""

from typing import Any

from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_HOST, SCHOOL, check_problem
from tests.api.nominations import nominated

CLASS: dict[str, Any] = {
    "project_type": "gp5",
    "starts": "2022-10-10",
    "ends": "2022-10-16",
    "place": "河南大学明伦校区",
    "capacity": 2,
}


async def planned(api: API, host: str = HOST, **changes: Any) -> str:
    response = await api.post(host, "/v1/classes", {"campaign": api.plan.id, **CLASS, **changes})
    assert response.status_code == 201, response.text
    return str(response.json()["number"])


async def selected(api: API, counter: int) -> str:
    number = await nominated(api, counter)
    assert (await api.post(COUNTY, f"/v1/trainees/{number}/approve")).status_code == 200
    assert (await api.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST})).status_code == 200
    return number


async def test_a_host_numbers_its_classes_one_by_one(stack: API) -> None:
    prefix = stack.plan.number_prefix
    assert [await planned(stack) for _ in range(2)] == [f"{prefix}-c-{HOST}-01", f"{prefix}-c-{HOST}-02"]
    assert await planned(stack, OTHER_HOST) == f"{prefix}-c-{OTHER_HOST}-01"
    await stack.seen()
    listed = (await stack.get(HOST, "/v1/classes")).json()["items"]
    assert [each["number"] for each in listed] == [f"{prefix}-c-{HOST}-01", f"{prefix}-c-{HOST}-02"]
    assert (await stack.get(SCHOOL, "/v1/classes")).json()["items"] == []


async def test_a_wrong_class_names_the_field(stack: API) -> None:
    for changes, slug, pointer in (
        ({"project_type": "gp99"}, "unknown-project-type", "/project_type"),
        ({"ends": "2022-10-01"}, "dates-out-of-order", "/ends"),
        ({"starts": "2021-10-10"}, "dates-outside-campaign", "/starts"),
        ({"capacity": 0}, "invalid-request", "/capacity"),
        ({"starts": "10.10.2022"}, "invalid-request", "/starts"),
        ({"mode": "outdoors"}, "invalid-request", "/mode"),
        ({"host": OTHER_HOST}, "invalid-request", "/host"),
    ):
        response = await stack.post(HOST, "/v1/classes", {"campaign": stack.plan.id, **CLASS, **changes})
        assert (response.status_code, stack.problem(response)) == (422, slug), changes
        assert pointer in [each.get("pointer") for each in response.json()["errors"]]


async def test_a_class_is_another_hosts_business_only_if_it_is_its_own(stack: API) -> None:
    number = await planned(stack)
    for command in ("announce", "confirm-check-in", "report", "registrations", "outcomes"):
        body = {"items": [{"trainee": f"{stack.plan.number_prefix}-410181-00001"}]} if command.endswith("s") else {}
        response = await stack.post(OTHER_HOST, f"/v1/classes/{number}/{command}", body)
        assert (response.status_code, stack.problem(response)) == (404, "unknown-number"), command
    early = await stack.post(HOST, f"/v1/classes/{number}/report")
    assert (early.status_code, stack.problem(early)) == (409, "not-allowed-in-phase")
    first = await stack.get(HOST, f"/v1/classes/{number}")
    unchanged = await stack.get(HOST, f"/v1/classes/{number}", headers={"If-None-Match": first.headers["etag"]})
    assert unchanged.status_code == 304


async def test_a_row_for_a_trainee_of_another_class_is_refused(stack: API) -> None:
    number, other = await planned(stack), await planned(stack)
    trainee = await selected(stack, 1)
    response = await stack.post(HOST, f"/v1/trainees/{trainee}/enroll", {"training_class": number})
    assert response.json()["phase"] == "enrolled"
    outcome = {"trainee": trainee, "outcome": "fail", "reasons": ["attendance"]}
    for path, row in (("registrations", {"trainee": trainee}), ("outcomes", outcome)):
        rows = (await stack.post(HOST, f"/v1/classes/{other}/{path}", {"items": [row]})).json()["items"]
        assert (rows[0]["status"], check_problem(rows[0]["problem"])) == (409, "trainee-of-another-class")
        assert rows[0]["problem"]["errors"][0]["pointer"] == "/items/0/trainee"
        assert rows[0]["number"] == trainee


async def test_an_outcome_takes_the_fields_of_its_command(stack: API) -> None:
    number = await planned(stack)
    trainee = f"{stack.plan.number_prefix}-410181-00001"
    rows = [
        {"trainee": trainee, "outcome": "complete", "hours": 56},
        {"trainee": trainee, "outcome": "fail", "reasons": [], "hours": 1},
        {"trainee": trainee, "outcome": "vanish"},
        {"trainee": trainee, "outcome": "dismiss", "reason": "conduct", "evidence": "x", "grade": "good"},
    ]
    items = (await stack.post(HOST, f"/v1/classes/{number}/outcomes", {"items": rows})).json()["items"]
    found = [{each["pointer"] for each in item["problem"]["errors"]} for item in items]
    assert found == [
        {"/items/0/centralised_days"},
        {"/items/1/reasons", "/items/1/hours"},
        {"/items/2/outcome"},
        {"/items/3/grade"},
    ]


async def test_a_full_class_takes_nobody_else(stack: API) -> None:
    number = await planned(stack, capacity=1)
    trainees = [await selected(stack, counter) for counter in (1, 2)]
    rows = [{"trainee": each, "training_class": number} for each in trainees]
    items = (await stack.post(HOST, "/v1/trainees/enroll", {"items": rows})).json()["items"]
    assert sorted(each["status"] for each in items) == [200, 409]
    refused = next(each for each in items if each["status"] == 409)
    assert check_problem(refused["problem"]) == "class-full"
