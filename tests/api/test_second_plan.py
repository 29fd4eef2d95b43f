"""Another city, another year: a whole campaign of the second plan on the same API, worker and Temporal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest_asyncio
from temporalio.client import Client

from clock import create_demo_clock
from tests.api.front_door import API, DAYS_PER_SECOND, new_key, running, settings_for, working
from tests.api.nominations import identity_number
from tests.domain.test_second_plan import luoyang

BUREAU, COUNTY, HOST = "lyedu", "410323", "h002"
SCHOOL = f"{COUNTY}-s01"
PAUSE_S = 0.02


@pytest_asyncio.fixture
async def luoyang_stack(
    database_url: str, tmp_path: Path, temporal_dev_server: str, temporal_client: Client
) -> AsyncIterator[API]:
    """The whole system on the second plan, on the first morning of its campaign."""
    connection = await asyncpg.connect(database_url)
    await create_demo_clock(connection, datetime(2024, 3, 5, 2, tzinfo=UTC), DAYS_PER_SECOND)
    await connection.close()
    # An id and a prefix of this test's own, because tests share one Temporal server.
    own = uuid4()
    prefix = f"l{'qrstuvwxyz'[own.int % 10]}{own.int // 10 % 100:02d}"
    plan = luoyang().model_copy(update={"id": f"ly-{own.hex[:8]}", "number_prefix": prefix})
    settings = settings_for(
        database_url, tmp_path, temporal_address=temporal_dev_server, clock="demo", task_queue=f"test-{uuid4()}"
    )
    async with running(settings, plan) as api, working(api, temporal_client):
        api.keys[BUREAU] = await new_key(api.services, BUREAU, "bureau")
        headers = {"Content-Type": "application/yaml"}
        opened = await api.call(BUREAU, "POST", "/v1/campaigns", headers=headers, content=plan.canonical())
        assert opened.status_code == 201, opened.text
        for organisation in (COUNTY, HOST):
            await _key(api, BUREAU, organisation)
        school = {"id": SCHOOL, "name_zh": "新安县第一小学", "email": "s01@xa.example.invalid"}
        await _done(await api.post(COUNTY, "/v1/institutions", school))
        await _key(api, COUNTY, SCHOOL)
        yield api


async def _key(api: API, issuer: str, organisation: str) -> None:
    issued = await _done(await api.post(issuer, f"/v1/institutions/{organisation}/keys", {}))
    api.keys[organisation] = issued["key"]


async def _done(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code in (200, 201), response.text
    body: dict[str, Any] = response.json()
    return body


def nomination(api: API, counter: int, **changes: Any) -> dict[str, Any]:
    person = {"name": "赵一", "identity_number": identity_number(counter, "410323"), "telephone": "13900000000"}
    body = {"campaign": api.plan.id, "project_type": "digital", "stage": "junior", "subject": "science"}
    return body | {"person": person} | changes


async def test_a_campaign_of_the_second_plan_runs_to_completion_and_restriction(luoyang_stack: API) -> None:
    api = luoyang_stack
    numbers = []
    for counter in (1, 2):
        receipt = await _done(await api.post(SCHOOL, "/v1/nominations", nomination(api, counter)))
        numbers.append(receipt["number"])
    wrong = await api.post(SCHOOL, "/v1/nominations", nomination(api, 3, project_type="gp5"))
    assert api.problem(wrong) == "unknown-project-type"
    assert "digital" in wrong.json()["errors"][0]["remedy"]
    for number in numbers:
        await _done(await api.post(COUNTY, f"/v1/trainees/{number}/approve"))
        await _done(await api.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST}))
    account = (await api.get(COUNTY, f"/v1/trainees/{numbers[0]}/explanation")).json()
    assert account["rule_version"] == api.plan.sha256()
    assert [each["criterion"] for each in account["priority"]] == ["short-of-days", "project-county", "longest-service"]
    planned = {"campaign": api.plan.id, "project_type": "digital", "starts": "2024-05-13", "ends": "2024-05-17"}
    receipt = await _done(await api.post(HOST, "/v1/classes", planned | {"place": "洛阳", "capacity": 10}))
    training_class = receipt["number"]
    await _done(await api.post(HOST, f"/v1/classes/{training_class}/announce"))
    for number in numbers:
        await _done(await api.post(HOST, f"/v1/trainees/{number}/enroll", {"training_class": training_class}))
        await _done(await api.post(SCHOOL, f"/v1/trainees/{number}/confirm"))
    await api.go_to(datetime(2024, 5, 13, 2, tzinfo=UTC))
    for number in numbers:
        await _done(await api.post(HOST, f"/v1/trainees/{number}/register"))
    dismissal = {"reason": "conduct", "evidence": "记录 1"}
    await _done(await api.post(HOST, f"/v1/trainees/{numbers[1]}/dismiss", dismissal))
    await api.go_to(datetime(2024, 5, 17, 2, tzinfo=UTC))
    completion = {"centralised_days": 5, "hours": 40}
    done = await _done(await api.post(HOST, f"/v1/trainees/{numbers[0]}/complete", completion))
    assert done["phase"] == "following-up"
    restriction = f"{numbers[1]}-r1"
    await _done(await api.post(COUNTY, f"/v1/restrictions/{restriction}/serve", {"via": "school"}))
    await api.go_to(datetime(2024, 5, 25, tzinfo=UTC))
    decision = {"decided_by": "b1", "reasons": "事实清楚"}
    while (answer := await api.post(BUREAU, f"/v1/restrictions/{restriction}/impose", decision)).status_code == 409:
        assert api.problem(answer) == "objection-window-open"
        await asyncio.sleep(PAUSE_S)
    await _done(answer)
    shown = (await api.get(BUREAU, f"/v1/restrictions/{restriction}")).json()
    # Two years from the incident, as this plan has it; the first plan has three from the decision.
    assert (shown["starts"], shown["until"]) == ("2024-05-13", "2026-05-13")
