"""A campaign through the front door: every step by the organisation whose step it is, on a real Temporal and worker."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx2

from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_HOST, SCHOOL
from tests.api.nominations import nominated

PAUSE_S = 0.02
CLASS: dict[str, Any] = {
    "project_type": "gp5",
    "starts": "2022-10-10",
    "ends": "2022-10-16",
    "place": "河南大学明伦校区",
    "capacity": 20,
}


def at(month: int, day: int, hour: int = 2) -> datetime:
    return datetime(2022, month, day, hour, tzinfo=UTC)


async def done(response: httpx2.Response, phase: str = "") -> dict[str, Any]:
    assert response.status_code in (200, 201), response.text
    receipt: dict[str, Any] = response.json()
    if phase:
        assert receipt["phase"] == phase
    assert response.headers["etag"] == f'"{receipt["version"]}"'
    return receipt


async def planned_class(api: API) -> str:
    response = await api.post(HOST, "/v1/classes", {"campaign": api.plan.id, **CLASS})
    receipt = await done(response, "planned")
    assert response.headers["location"] == f"/v1/classes/{receipt['number']}"
    await done(await api.post(HOST, f"/v1/classes/{receipt['number']}/announce"), "announced")
    return str(receipt["number"])


async def rows_done(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 207, response.text
    body = response.json()
    assert body["failed"] == 0, response.text
    assert [each["index"] for each in body["items"]] == list(range(len(body["items"])))
    items: list[dict[str, Any]] = body["items"]
    return items


async def test_from_nomination_to_completion_and_restriction(stack: API) -> None:
    """Four teachers: one completes, one fails, one is dismissed, one does not come."""
    api = stack
    trainees = [await nominated(api, counter) for counter in range(1, 5)]
    each: list[dict[str, Any]] = [{"trainee": number} for number in trainees]
    await rows_done(await api.post(COUNTY, "/v1/trainees/approve", {"items": each}))
    await rows_done(await api.post(BUREAU, "/v1/trainees/approve", {"items": [row | {"host": HOST} for row in each]}))
    number = await planned_class(api)
    await rows_done(
        await api.post(HOST, "/v1/trainees/enroll", {"items": [row | {"training_class": number} for row in each]})
    )
    await rows_done(await api.post(SCHOOL, "/v1/trainees/confirm", {"items": each}))
    early = await api.post(HOST, f"/v1/classes/{number}/registrations", {"items": each[:1]})
    assert early.json()["items"][0]["status"] == 409
    assert early.json()["items"][0]["problem"]["type"].endswith("/problems/too-early")

    await api.go_to(at(10, 10))
    await rows_done(await api.post(HOST, f"/v1/classes/{number}/registrations", {"items": each[:3]}))
    await wait_for_phase(api, number, "registration-open")
    await done(await api.post(HOST, f"/v1/classes/{number}/confirm-check-in"), "running")
    await wait_for_trainee(api, trainees[3], "absent")

    await api.go_to(at(10, 16))
    await wait_for_phase(api, number, "running")
    outcomes = [
        {"trainee": trainees[0], "outcome": "complete", "centralised_days": 7, "hours": 56},
        {"trainee": trainees[1], "outcome": "fail", "reasons": ["attendance"]},
        {"trainee": trainees[2], "outcome": "dismiss", "reason": "conduct", "evidence": "记录 3"},
    ]
    results = await rows_done(await api.post(HOST, f"/v1/classes/{number}/outcomes", {"items": outcomes}))
    assert [row["receipt"]["phase"] for row in results] == ["following-up", "not-completed", "dismissed"]

    await api.go_to(at(10, 20))
    await api.seen()
    await wait_for_phase(api, number, "closed")
    await done(await api.post(HOST, f"/v1/classes/{number}/report"), "reported")
    await _decide_a_restriction(api, f"{trainees[2]}-r1")
    # By now the excuse window of whoever did not come has passed.
    while (await api.get(COUNTY, f"/v1/restrictions/{trainees[3]}-r1")).status_code == 404:
        await asyncio.sleep(PAUSE_S)
    await _figures_add_up(api, number)


async def _decide_a_restriction(api: API, number: str) -> None:
    """Served, objected to, and imposed after the window; seen by its county, masked, and by nobody else."""
    await done(await api.post(COUNTY, f"/v1/restrictions/{number}/serve", {"via": "school"}), "served")
    early = await api.post(BUREAU, f"/v1/restrictions/{number}/impose", {"decided_by": "b7", "reasons": "…"})
    assert api.problem(early) == "objection-window-open"
    await done(await api.post(SCHOOL, f"/v1/restrictions/{number}/object", {"statement": "异议书 1"}), "objected")
    assert (await api.get(OTHER_COUNTY, f"/v1/restrictions/{number}")).status_code == 404
    await api.go_to(at(11, 10))
    decision = {"decided_by": "b7", "reasons": "事实清楚"}
    await done(await api.post(BUREAU, f"/v1/restrictions/{number}/impose", decision), "imposed")
    shown = (await api.get(COUNTY, f"/v1/restrictions/{number}")).json()
    assert shown["until"] == "2025-11-10"
    assert shown["person"]["name"] == "王**"
    await api.seen()
    listed = (await api.get(COUNTY, f"/v1/restrictions?campaign={api.plan.id}")).json()["items"]
    assert {row["phase"] for row in listed} == {"proposed", "imposed"}
    assert all(row["person"]["name"] == "王**" for row in listed)
    assert (await api.get(OTHER_COUNTY, "/v1/restrictions")).json()["items"] == []


async def _figures_add_up(api: API, training_class: str) -> None:
    await api.seen()
    figures = (await api.get(BUREAU, f"/v1/campaigns/{api.plan.id}/figures")).json()
    assert figures["nominated"] == sum(figures["phases"].values()) == 4
    assert figures["classes"] == {"reported": 1}
    assert figures["restrictions_ever"]["proposed"] == 3
    others = (await api.get(OTHER_COUNTY, f"/v1/campaigns/{api.plan.id}/figures")).json()
    assert others["nominated"] == 0
    assert others["restrictions_ever"] is None
    bulletins = (await api.get(BUREAU, f"/v1/bulletins?campaign={api.plan.id}")).json()
    county = next(row for row in bulletins["counties"]["rows"] if row["organisation"] == COUNTY)
    assert county["rates"]["completion_rate"] == {"numerator": 1, "denominator": 3, "text": "33.3%"}
    assert bulletins["as_of_sequence"] == await api.services.ledger.head(api.plan.id)
    own = (await api.get(HOST, f"/v1/bulletins?campaign={api.plan.id}")).json()
    assert [row["organisation"] for row in own["hosts"]["rows"]] == [HOST]
    assert own["counties"]["rows"] == []
    assert own["sha256"] is None
    assert (await api.get(SCHOOL, f"/v1/classes/{training_class}")).json()["phase"] == "reported"
    assert (await api.get(OTHER_HOST, f"/v1/classes/{training_class}")).status_code == 404
    assert (await api.get(OTHER_COUNTY, f"/v1/classes/{training_class}")).status_code == 404


async def wait_for_phase(api: API, number: str, phase: str) -> None:
    """Until the class's own timer has brought it there."""
    while (await api.get(HOST, f"/v1/classes/{number}")).json()["phase"] != phase:
        await asyncio.sleep(PAUSE_S)


async def wait_for_trainee(api: API, number: str, phase: str) -> None:
    while (await api.get(HOST, f"/v1/trainees/{number}")).json()["phase"] != phase:
        await asyncio.sleep(PAUSE_S)
