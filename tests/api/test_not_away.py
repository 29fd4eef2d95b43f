"""What is no outage is not answered as one: views that are behind are not a database or a Temporal that is away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from api import problems
from projections.checkpoints import ViewBehind
from tests.api.front_door import API, BUREAU, COUNTY, OTHER_HOST, open_campaign, own_plan, prepared
from tests.api.nominations import nominated
from worker import create_worker


async def test_a_host_that_is_not_there_is_refused_while_the_views_stand_still(
    database_url: str, tmp_path: Path, temporal_dev_server: str, temporal_client: Client
) -> None:
    """`remove-host` asks the views whom the host still has; nothing of that matters for one that nobody knows."""
    async with prepared(database_url, tmp_path, temporal_dev_server, own_plan()) as api:
        services, stop = api.services, asyncio.Event()
        projecting = asyncio.create_task(api.projector.run(stop))
        async with create_worker(
            api.settings, temporal_client, services.pool, services.ledger, api.projector._checkpoints
        ):
            await open_campaign(api)
            await api.seen()
            await removed(api, {"host": OTHER_HOST, "reason": "场地"}, version=1)
            stop.set()
            await projecting
            await nominated(api)
            path = f"/v1/campaigns/{api.plan.id}/remove-host"
            for host, slug in (("nobody", "host-unknown"), (OTHER_HOST, "host-removed")):
                body = {"host": host, "reason": "场地"}
                response = await api.post(BUREAU, path, body, headers={"If-Match": '"2"'})
                assert api.problem(response) == slug


async def removed(api: API, body: dict[str, Any], version: int) -> None:
    path = f"/v1/campaigns/{api.plan.id}/remove-host"
    response = await api.post(BUREAU, path, body, headers={"If-Match": f'"{version}"'})
    assert response.status_code == 200, response.text


def test_views_that_are_behind_are_not_called_a_database_that_is_away() -> None:
    problem = problems.known_problem(ViewBehind("2022-zhengzhou", 17, 4))
    assert problem is not None
    assert (problem.type.slug, problem.type.status) == ("views-behind", 503)
    assert int(problem.headers["Retry-After"]) > 0


async def test_rows_that_wait_for_the_views_say_so(stack: API, monkeypatch: pytest.MonkeyPatch) -> None:
    async def behind(*_: Any, **__: Any) -> None:
        raise ViewBehind(stack.plan.id, 17, 4)

    monkeypatch.setattr(stack.services.judge, "judge", behind)
    number = await nominated(stack)
    response = await stack.post(COUNTY, "/v1/trainees/approve?dry_run=true", {"items": [{"trainee": number}]})
    assert (response.status_code, stack.problem(response)) == (503, "views-behind")
