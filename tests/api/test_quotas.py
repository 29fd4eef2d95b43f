"""Quotas, waiting lists and substitution over HTTP: who may see and do what, and what a waiter is told."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from api.permissions import KEY_ROLES, KeyRole, commands_of_people, roles_of
from services.recovery import recover
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, SCHOOL
from tests.api.nominations import identity_number, nominated, nomination
from tests.api.test_permissions import ORGANISATION_OF

PAUSE_S = 0.02
LINE, OTHER_LINE, CITY_LINE = "gp5:410181", "gp5:410182", "gp5:zzedu"
BODIES: dict[str, dict[str, Any]] = {
    "delegate": {"to": SCHOOL, "seats": 1},
    "return-seats": {"seats": 1, "reason": "too few teachers"},
    "offer-seats": {"seats": 1, "candidates": [OTHER_COUNTY], "reason": "too few teachers"},
    "accept-seats": {"offer": 1},
    "decline-seats": {"offer": 1},
    "recall-offer": {"offer": 1},
    "report-shortfall": {"seats": 1, "reason": "teaching_load", "details": "two in one school"},
    "override": {"seats": 2, "reason": "a small year", "document": "doc 1"},
}


def path(api: API, line: str, rest: str = "") -> str:
    return f"/v1/quotas/{api.plan.id}:{line}{rest}"


async def line(api: API, organisation: str, wanted: str) -> dict[str, Any]:
    await api.seen()
    rows = (await api.get(organisation, f"/v1/quotas?campaign={api.plan.id}&project_type=gp5")).json()["items"]
    (found,) = (each for each in rows if each["line"] == wanted)
    return dict(found)


async def done(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def until_phase(api: API, number: str, phase: str) -> None:
    while (await api.get(COUNTY, f"/v1/trainees/{number}")).json()["phase"] != phase:
        await asyncio.sleep(PAUSE_S)


@pytest.mark.parametrize("role", KEY_ROLES)
async def test_every_command_on_a_line_and_a_campaign_knows_its_roles(api: API, role: KeyRole) -> None:
    assert set(BODIES) == set(commands_of_people("quota"))
    for name, body in BODIES.items():
        response = await api.post(ORGANISATION_OF[role], path(api, LINE, f"/{name}"), body)
        wanted = "unknown-number" if role in roles_of("quota", name) else "not-your-part"
        # A line that was never issued does not exist; what is not one's step is refused before that is looked up.
        assert api.problem(response).replace("not-found", "unknown-number") == wanted, (name, role)
    for name in commands_of_people("campaign"):
        response = await api.post(ORGANISATION_OF[role], f"/v1/campaigns/none/{name}", {"reason": "flood"})
        assert response.status_code == (422 if role == "bureau" else 403), (name, role)


async def test_a_county_sees_its_own_line_and_whoever_is_offered_seats_sees_the_offer(stack: API) -> None:
    api = stack
    assert (await api.get(OTHER_COUNTY, path(api, LINE))).status_code == 404
    assert (await api.get(HOST, path(api, LINE))).status_code == 403
    await done(await api.post(COUNTY, path(api, LINE, "/offer-seats"), BODIES["offer-seats"]))
    seen = await done(await api.get(OTHER_COUNTY, path(api, LINE)))
    assert (seen["held"], seen["offers"][0]["candidates"]) == (1, [OTHER_LINE])
    before = (await line(api, OTHER_COUNTY, OTHER_LINE))["size"]
    receipt = await done(await api.post(OTHER_COUNTY, path(api, LINE, "/accept-seats"), {"offer": 1}))
    assert (receipt["phase"], receipt["closed"]) == ("issued", True)
    assert (await api.get(OTHER_COUNTY, path(api, LINE))).status_code == 404
    after = await line(api, OTHER_COUNTY, OTHER_LINE)
    assert (after["issued"], after["seats"], after["size"]) == (before, before + 1, before + 1)
    again = await api.post(OTHER_COUNTY, path(api, LINE, "/accept-seats"), {"offer": 1})
    assert api.problem(again) in ("not-found", "unknown-number")


async def test_seats_go_down_to_a_school_and_are_used_there(stack: API) -> None:
    api = stack
    await done(await api.post(COUNTY, path(api, LINE, "/delegate"), {"to": SCHOOL, "seats": 1}))
    wrong = await api.post(COUNTY, path(api, LINE, "/delegate"), {"to": "410182-s01", "seats": 1})
    assert api.problem(wrong) == "not-below"
    first, second = await nominated(api, 1), await nominated(api, 2)
    await done(await api.post(COUNTY, f"/v1/trainees/{first}/approve", {"quota": "school"}))
    full = await api.post(COUNTY, f"/v1/trainees/{second}/approve", {"quota": "school"})
    assert api.problem(full) == "quota-exhausted"
    school = await line(api, COUNTY, f"gp5:{SCHOOL}")
    assert (school["level"], school["parent"], school["size"], school["used"]) == ("school", LINE, 1, 1)
    used = await api.post(COUNTY, path(api, f"gp5:{SCHOOL}", "/return-seats"), BODIES["return-seats"])
    assert api.problem(used) == "capacity-below-used"
    own = await line(api, COUNTY, LINE)
    assert (own["delegated"], own["used"], own["left"]) == (1, 1, own["size"] - 1)


async def test_case_3_an_override_is_logged_with_role_and_reason(stack: API) -> None:
    api = stack
    assert api.problem(await api.post(COUNTY, path(api, LINE, "/override"), BODIES["override"])) == "not-your-part"
    await done(await api.post(BUREAU, path(api, LINE, "/override"), BODIES["override"]))
    (event,) = (
        each
        for each in await api.services.ledger.read_stream(api.plan.id, f"quota/{LINE}")
        if each.type == "quota.overridden"
    )
    assert event.data["role"] == "bureau" and event.data["reason"] == "a small year"
    assert event.data["document"] == "doc 1" and event.actor.startswith("bureau:zzedu")


async def test_case_7_each_waiter_sees_his_place_and_why_not_yet(stack: API) -> None:
    api = stack
    await done(await api.post(BUREAU, path(api, LINE, "/override"), {**BODIES["override"], "seats": 0}))
    first, second = await nominated(api, 1), await nominated(api, 2)
    for each in (first, second):
        assert api.problem(await api.post(COUNTY, f"/v1/trainees/{each}/approve", {})) == "quota-exhausted"
        receipt = await done(await api.post(COUNTY, f"/v1/trainees/{each}/waitlist", {}))
        assert receipt["phase"] == "waitlisted"
    await api.seen()
    mine = await done(await api.get(SCHOOL, f"/v1/trainees/{second}/waiting"))
    assert (mine["position"], mine["waiting"], mine["left"], mine["reason"]) == (2, 2, 0, "no_seat_left")
    assert mine["reason_zh"] and mine["reason_en"] and mine["until"]
    listed = await done(await api.get(COUNTY, path(api, LINE, "/waiting")))
    assert [(each["position"], each["trainee"]) for each in listed["items"]] == [(1, first), (2, second)]
    order = [each.criterion for each in api.plan.eligibility.priority]
    assert [[step["criterion"] for step in each["priority"]] for each in listed["items"]] == [order, order]
    assert (await api.get(OTHER_COUNTY, path(api, LINE, "/waiting"))).status_code == 404
    # The bureau hands one more seat down: the first is asked, the second still waits.
    await done(await api.post(BUREAU, path(api, LINE, "/override"), {**BODIES["override"], "seats": 1}))
    await until_phase(api, first, "offered")
    await api.seen()
    offered = await done(await api.get(SCHOOL, f"/v1/trainees/{first}/waiting"))
    assert (offered["reason"], offered["position"]) == ("offered", None)
    use = await line(api, COUNTY, LINE)
    assert (use["size"], use["used"], use["held"], use["waiting"], use["left"]) == (1, 1, 1, 1, 0)
    accepted = await done(await api.post(SCHOOL, f"/v1/trainees/{first}/accept-seat", {}))
    assert accepted["phase"] == "county-approved"
    after = await done(await api.get(SCHOOL, f"/v1/trainees/{first}/waiting"))
    assert after["reason"] == "not_waiting"


async def test_case_7_a_seat_that_was_freed_while_nothing_listened_is_offered_by_recovery(stack: API) -> None:
    api = stack
    await done(await api.post(BUREAU, path(api, LINE, "/override"), {**BODIES["override"], "seats": 1}))
    seated, waiting = await nominated(api, 1), await nominated(api, 2)
    await done(await api.post(COUNTY, f"/v1/trainees/{seated}/approve", {}))
    await done(await api.post(COUNTY, f"/v1/trainees/{waiting}/waitlist", {}))
    # No dispatcher runs here, so the line never hears that its seat is free.
    await done(await api.post(SCHOOL, f"/v1/trainees/{seated}/withdraw", {"reason": "ill"}))
    await api.seen()
    assert (await api.get(COUNTY, f"/v1/trainees/{waiting}")).json()["phase"] == "waitlisted"
    await recover(api.settings)
    await until_phase(api, waiting, "offered")


async def test_case_16_a_substitute_is_named_checked_and_numbered(stack: API) -> None:
    api = stack
    old = await nominated(api, 1)
    await done(await api.post(COUNTY, f"/v1/trainees/{old}/approve", {}))
    await done(await api.post(BUREAU, f"/v1/trainees/{old}/approve", {"host": HOST}))
    body = {
        "reason": "ill",
        "school": SCHOOL,
        "stage": "primary",
        "subject": "chinese",
        "years_of_service": 5,
        "person": nomination(api, 7)["person"],
    }
    url = f"/v1/trainees/{old}/substitute"
    assert api.problem(await api.post(COUNTY, url, {**body, "school": "410182-s01"})) == "school-of-another-county"
    assert api.problem(await api.post(COUNTY, url, {**body, "stage": "senior"})) == "stage-not-eligible"
    assert api.problem(await api.post(SCHOOL, url, body)) == "not-your-part"
    wrong = {**body, "person": {**body["person"], "identity_number": identity_number(7)[:-1] + "0"}}
    assert (await api.post(COUNTY, url, wrong)).status_code == 422
    receipt = await done(await api.post(COUNTY, url, body, key="once"))
    assert receipt == await done(await api.post(COUNTY, url, body, key="once"))
    assert (receipt["phase"], receipt["closed"]) == ("withdrawn", True)
    new = receipt["substitute"]
    shown = await done(await api.get(COUNTY, f"/v1/trainees/{new}"))
    assert (shown["phase"], shown["substitutes"], shown["person"]["name"]) == ("nominated", old, "王小明")
    assert (await api.get(COUNTY, f"/v1/trainees/{old}")).json()["substituted_by"] == new
    assert (await line(api, COUNTY, LINE))["used"] == 1
    second = {**body, "person": nomination(api, 8)["person"]}
    assert api.problem(await api.post(COUNTY, url, second)) == "not-allowed-in-phase"


async def test_case_44_the_bureau_reopens_for_one_county(stack: API) -> None:
    api = stack
    await api.go_to(datetime(2022, 9, 1, 2, tzinfo=UTC))
    late = await api.post(SCHOOL, "/v1/nominations", nomination(api, 1))
    assert api.problem(late) == "deadline-passed"
    url, body = f"/v1/campaigns/{api.plan.id}/reopen", {"county": COUNTY, "until": "2022-09-04T16:00:00Z"}
    assert (await api.post(BUREAU, url, body)).status_code == 422, "a reason is needed"
    assert (await api.post(COUNTY, url, {**body, "reason": "flood"})).status_code == 403
    await done(await api.post(BUREAU, url, {**body, "reason": "flood"}))
    number = await nominated(api, 1)
    assert (await api.get(COUNTY, f"/v1/trainees/{number}")).json()["deadline"] == "2022-09-04T16:00:00Z"


async def test_case_4_a_removed_host_gets_nobody_any_more(stack: API) -> None:
    api = stack
    url = f"/v1/campaigns/{api.plan.id}/remove-host"
    await done(await api.post(BUREAU, url, {"host": HOST, "reason": "fire"}))
    number = await nominated(api, 1)
    await done(await api.post(COUNTY, f"/v1/trainees/{number}/approve", {}))
    # What is known of the campaign may be a second old where a host is looked up.
    await asyncio.sleep(1.1)
    refused = await api.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST})
    assert api.problem(refused) == "host-removed"
