"""Work that takes longer than a request: who does it, and what becomes of it when something is away or broken."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from api import operations
from api.operations import Away, Lease, Operations
from api.services import Services
from tests.api.front_door import API, COUNTY

KIND = "thing-of-a-test"


async def begun(api: API) -> UUID:
    id_ = uuid4()
    assert await operations.begin(api.services.pool, id_, COUNTY, KIND, 3)
    assert not await operations.begin(api.services.pool, id_, COUNTY, KIND, 3)
    return id_


async def test_a_long_step_keeps_its_lease(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "LEASE", timedelta(milliseconds=300))
    release = asyncio.Event()

    async def slow(services: Services, lease: Lease) -> None:
        await release.wait()
        await operations.finish(services.pool, lease)

    id_ = await begun(api)
    ours = Operations({KIND: slow})
    first = asyncio.create_task(ours.run_one(api.services))
    await asyncio.sleep(1.2)
    assert not await ours.run_one(api.services)
    release.set()
    assert await first
    assert (await api.get(COUNTY, f"/v1/operations/{id_}")).json()["state"] == "done"


async def test_an_outage_is_no_attempt_and_a_defect_is_one(api: API) -> None:
    id_ = await begun(api)
    raised: list[Exception] = [Away("temporal-unavailable"), Away("temporal-unavailable"), ValueError("王小明")]

    async def failing(_services: Services, _lease: Lease) -> None:
        raise raised.pop(0)

    attempts = []
    for _ in range(3):
        assert await Operations({KIND: failing}).run_one(api.services)
        assert not await Operations({KIND: failing}).run_one(api.services), "it waits"
        row = await api.services.pool.fetchrow("SELECT * FROM app.operations WHERE id = $1", id_)
        assert row is not None
        attempts.append((row["state"], row["error"], row["attempts"]))
        await api.services.pool.execute("UPDATE app.operations SET leased_until = NULL")
    assert attempts[:2] == [("waiting", "temporal-unavailable", 1)] * 2
    assert attempts[2][:2] == ("waiting", "internal-error")
    await api.services.pool.execute("UPDATE app.operations SET attempts = $1", operations.MAX_ATTEMPTS)
    raised.append(ValueError("again"))
    await Operations({KIND: failing}).run_one(api.services)
    shown = (await api.get(COUNTY, f"/v1/operations/{id_}")).json()
    assert (shown["state"], shown["error"]) == ("failed", "internal-error")
