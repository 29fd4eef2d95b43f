"""Why a nomination stands, who goes first, and what a host is shown of it."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import app
from command_line import explain as explain_cli
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_SCHOOL, SCHOOL
from tests.api.nominations import nominated, nomination


async def test_case_68_an_explanation_names_rules_facts_verdicts_and_decisions(stack: API) -> None:
    number = await nominated(stack, 1, rural=True)
    await stack.post(COUNTY, f"/v1/trainees/{number}/approve")
    account = (await stack.get(SCHOOL, f"/v1/trainees/{number}/explanation")).json()
    assert account["rule_version"] == stack.plan.sha256()
    assert account["facts_kept"] is True
    assert len(account["verdicts"]) == 13
    assert all(each["holds"] and each["zh"] and each["en"] for each in account["verdicts"])
    verdicts = {each["rule"]: each for each in account["verdicts"]}
    assert verdicts["service_too_short"]["facts"] == {"years": 5, "required": 1}
    assert verdicts["restricted_until"]["facts"]["by_policy"] == "nomination"
    assert [each["place"] for each in account["priority"]] == [0, 0, 0]
    assert [(each["type"], each["data"]["level"]) for each in account["decisions"]] == [
        ("nomination.approved", "county")
    ]
    assert (await stack.get(OTHER_COUNTY, f"/v1/trainees/{number}/explanation")).status_code == 404
    assert stack.problem(await stack.get(HOST, f"/v1/trainees/{number}/explanation")) == "not-your-part"


async def test_case_68_facts_are_read_at_a_known_sequence_and_kept(stack: API) -> None:
    await nominated(stack, 1, project_type="gp2", stage="primary", subject="chinese")
    await stack.seen()
    number = await nominated(stack, 1)
    (event,) = (await stack.get(COUNTY, f"/v1/trainees/{number}/events")).json()["items"]
    grounds = event["data"]["grounds"]
    assert grounds["history"]["sequences"][stack.plan.id] == await stack.services.ledger.head(stack.plan.id) - 1
    (record,) = grounds["history"]["records"]
    assert (record["project_type"], record["phase"], record["year"]) == ("gp2", "nominated", 2022)
    assert "sealed" not in event["data"]


async def test_case_68_a_refusal_says_on_which_facts(stack: API) -> None:
    body = nomination(stack, 1, years_of_service=0, stage="senior")
    refused = (await stack.post(SCHOOL, "/v1/nominations", body)).json()
    assert refused["rule_version"] == stack.plan.sha256()
    assert refused["facts"] == {
        "stage_not_eligible": {"stage": "senior", "allowed": ["primary", "junior"]},
        "service_too_short": {"years": 0, "required": 1},
    }


async def test_the_county_sees_who_waits_in_the_declared_order_with_the_reason(stack: API) -> None:
    urban = [await nominated(stack, counter) for counter in (1, 2)]
    rural = await nominated(stack, 3, rural=True)
    returned = await nominated(stack, 4, rural=True)
    await stack.post(COUNTY, f"/v1/trainees/{returned}/return", {"reason": "学科"})
    await stack.seen()
    path = f"/v1/nominations?campaign={stack.plan.id}&project_type=gp5"
    listed = (await stack.get(COUNTY, path)).json()
    assert [each["number"] for each in listed["items"]] == [rural, *urban]
    assert [each["rank"] for each in listed["items"]] == [1, 2, 3]
    first = listed["items"][0]["priority"][0]
    assert (first["criterion"], first["place"], first["source"]) == ("rural", 0, "notice")
    assert (await stack.get(COUNTY, f"{path}&limit=1")).json()["waiting"] == 3
    assert (await stack.get(OTHER_COUNTY, path)).json()["items"] == []
    assert [each["number"] for each in (await stack.get(SCHOOL, path)).json()["items"]] == [rural, *urban]
    assert stack.problem(await stack.get(HOST, path)) == "not-your-part"
    await stack.post(COUNTY, f"/v1/trainees/{rural}/approve")
    await stack.seen()
    assert [each["number"] for each in (await stack.get(BUREAU, path)).json()["items"]] == urban


async def test_case_61_a_host_sees_its_own_trainees_and_only_the_fields_it_needs(stack: API) -> None:
    number = await nominated(stack, 1)
    await stack.post(COUNTY, f"/v1/trainees/{number}/approve")
    assert (await stack.get(HOST, f"/v1/trainees/{number}")).status_code == 404
    await stack.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST})
    shown = (await stack.get(HOST, f"/v1/trainees/{number}")).json()
    assert shown["person"]["name"] == "王小明"
    assert shown["person"]["identity_number"] is None
    assert (shown["years_of_service"], shown["restriction"]) == (None, None)
    own = (await stack.get(SCHOOL, f"/v1/trainees/{number}")).json()
    assert (own["years_of_service"], own["restriction"]) == (5, "")
    assert own["person"]["identity_number"] is not None
    events = (await stack.get(HOST, f"/v1/trainees/{number}/events")).json()["items"]
    assert [(each["type"], each["data"]["level"]) for each in events] == [("nomination.approved", "city")]
    assert (await stack.get("h002", f"/v1/trainees/{number}")).status_code == 404


async def test_case_58_whoever_signs_for_the_county_is_approved_by_the_city(stack: API) -> None:
    body = nomination(stack, 1, self_nominated=True)
    number = (await stack.post(COUNTY, "/v1/nominations", body)).json()["number"]
    refused = await stack.post(COUNTY, f"/v1/trainees/{number}/approve")
    assert stack.problem(refused) == "nominated-himself"
    first = await stack.post(BUREAU, f"/v1/trainees/{number}/approve")
    assert first.json()["phase"] == "county-approved", first.text
    second = await stack.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST})
    assert second.json()["phase"] == "selected"
    assert (await stack.get(COUNTY, f"/v1/trainees/{number}")).json()["self_nominated"] is True


async def test_case_62_a_school_passes_its_cases_on_and_closes(stack: API) -> None:
    new = {"id": "410181-s02", "name_zh": "巩义市第二小学", "email": "s02@gy.example.invalid"}
    assert (await stack.post(COUNTY, "/v1/institutions", new)).status_code == 201
    number = await nominated(stack, 1)
    closing = {"successor": "410181-s02", "document": "撤并文件 1"}
    path = f"/v1/institutions/{SCHOOL}/close"
    refused = await stack.post(COUNTY, path, closing)
    assert stack.problem(refused) == "school-has-open-cases"
    passed = {"items": [{"trainee": number, "school": "410181-s02", "document": "撤并文件 1"}]}
    assert (await stack.post(COUNTY, "/v1/trainees/change-school", passed)).json()["succeeded"] == 1
    assert (await stack.get(SCHOOL, f"/v1/trainees/{number}")).status_code == 404
    assert (await stack.get(COUNTY, f"/v1/trainees/{number}")).json()["school"] == "410181-s02"
    assert (await stack.post(OTHER_COUNTY, path, closing)).status_code == 404
    abroad = await stack.post(COUNTY, path, closing | {"successor": OTHER_SCHOOL})
    assert stack.problem(abroad) == "school-of-another-county"
    closed = await stack.post(COUNTY, path, closing)
    assert closed.json() == {"id": SCHOOL, "successor": "410181-s02", "keys_revoked": 1}
    assert (await stack.get(SCHOOL, "/v1/trainees")).status_code == 401
    await stack.seen()
    again = await stack.post(COUNTY, "/v1/nominations", nomination(stack, 2, school=SCHOOL))
    assert stack.problem(again) == "school-closed"
    assert "410181-s02" in again.json()["errors"][0]["remedy"]
    assert (await stack.get(COUNTY, f"/v1/institutions/{SCHOOL}")).json()["successor"] == "410181-s02"
    events = (await stack.get(COUNTY, f"/v1/trainees/{number}/events")).json()["items"]
    assert [each["type"] for each in events] == ["trainee.nominated", "trainee.school_changed"]
    assert events[0]["data"]["school"] == SCHOOL, "past acts stay the closed school's"


async def test_xunji_explain_says_the_same(stack: API, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    number = await nominated(stack, 1)
    monkeypatch.setattr(explain_cli, "configured", lambda _state: stack.settings)

    async def told(*arguments: str) -> Result:
        given = ["explain", *arguments, "--state", str(tmp_path)]
        # A command runs an event loop of its own.
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))

    account = json.loads((await told(number, "--json")).output)
    assert account == (await stack.get(BUREAU, f"/v1/trainees/{number}/explanation")).json()
    words = (await told(number)).output
    assert stack.plan.sha256() in words
    assert "✓ service_too_short" in words
    unknown = await told(number.replace("00001", "99999"))
    assert unknown.exit_code == 1
    assert (await told("zz")).exit_code == 1
