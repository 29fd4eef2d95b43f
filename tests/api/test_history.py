"""Histories that another release has written, as the API shows them and answers for them."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from domain.trainee_messages import TraineeNominated
from ledger.store import Ledger
from ledger.types import NewEvent
from tests.api.front_door import API, COUNTY, SCHOOL
from tests.api.nominations import nominated
from tests.projections.histories import append, as_new
from tests.projections.trainee_lives import nominated as event_nominated
from tests.test_evolution import NEWER, upgrade

BOOK_TABLES = ("events", "commands", "outbox", "streams")


async def counts(api: API) -> list[int]:
    return [await api.services.pool.fetchval(f"SELECT count(*) FROM ledger.{table}") for table in BOOK_TABLES]


async def test_an_event_of_an_older_release_is_listed_as_it_is_understood_today(
    api: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = f"{api.plan.number_prefix}-{COUNTY}-00001"
    data: dict[str, Any] = {**as_new(event_nominated(county=COUNTY, school=SCHOOL)).data, "campaign": api.plan.id}
    data["district"] = data.pop("county")
    async with Ledger(api.services.pool) as raw:
        await append(raw, api.plan.id, f"trainee/{number}", 0, NewEvent(TraineeNominated.type, data, 1))
    upgrade(monkeypatch)
    monkeypatch.setattr(api.services.ledger, "_schemas", NEWER)
    response = await api.get(COUNTY, f"/v1/trainees/{number}/events")
    assert response.status_code == 200, response.text
    (shown,) = response.json()["items"]
    assert (shown["type"], shown["data"]["county"]) == (TraineeNominated.type, COUNTY)
    assert "district" not in shown["data"]
    assert (await api.get(COUNTY, f"/v1/trainees/{number}")).json()["county"] == COUNTY


async def test_a_case_that_a_newer_release_has_written_is_answered_with_503_and_nothing_is_written(stack: API) -> None:
    number, other = await nominated(stack, 1), await nominated(stack, 2)
    async with (
        asyncpg.create_pool(stack.settings.database_url.get_secret_value(), min_size=1, max_size=2) as pool,
        Ledger(pool) as newer,
    ):
        await append(newer, stack.plan.id, f"trainee/{number}", 1, NewEvent("nomination.approved", {"tier": 1}, 2))
    before = await counts(stack)
    key = str(uuid4())
    for _ in range(2):
        refused = await stack.post(COUNTY, f"/v1/trainees/{number}/approve", key=key)
        assert (refused.status_code, stack.problem(refused)) == (503, "history-unreadable"), refused.text
        assert int(refused.headers["retry-after"]) > 0
        (fault,) = refused.json()["errors"]
        assert "nomination.approved was written in schema version 2" in fault["detail"]
    for path in (f"/v1/trainees/{number}", f"/v1/trainees/{number}/events"):
        shown = await stack.get(COUNTY, path)
        assert (shown.status_code, stack.problem(shown)) == (503, "history-unreadable"), path
    assert await counts(stack) == before
    # Nothing else is concerned: the other case goes on, and the list holds both.
    approved = await stack.post(COUNTY, f"/v1/trainees/{other}/approve")
    assert approved.status_code == 200, approved.text
    await stack.seen()
    listed = (await stack.get(COUNTY, "/v1/trainees")).json()["items"]
    assert {each["number"]: each["phase"] for each in listed} == {number: "nominated", other: "county-approved"}
