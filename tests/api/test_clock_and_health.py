"""The application's time, and whether everything is there."""

from datetime import UTC, datetime

import asyncpg

from tests.api.front_door import API, BUREAU, COUNTY, HOST, new_key


async def test_real_time_is_told_and_not_moved(api: API) -> None:
    shown = (await api.get(HOST, "/v1/clock")).json()
    assert shown["mode"] == "system"
    assert abs((datetime.fromisoformat(shown["now"]) - datetime.now(UTC)).total_seconds()) < 60
    for path, body in (("advance", {"until": "2030-01-01T00:00:00Z"}), ("speed", {"days_per_second": 1})):
        response = await api.post(BUREAU, f"/v1/clock/{path}", body)
        assert (response.status_code, api.problem(response)) == (409, "clock-is-real")


async def test_the_demos_time_passes_up_to_where_it_may(stack: API) -> None:
    before = (await stack.get(COUNTY, "/v1/clock")).json()
    assert (before["mode"], before["date"], before["now"]) == ("demo", "2022-08-25", "2022-08-25T02:00:00Z")
    await stack.go_to(datetime(2022, 8, 26, 18, tzinfo=UTC))
    after = (await stack.get(COUNTY, "/v1/clock")).json()
    assert (after["date"], after["now"]) == ("2022-08-27", "2022-08-26T18:00:00Z")
    back = await stack.post(BUREAU, "/v1/clock/advance", {"until": "2020-01-01T00:00:00Z"})
    assert back.json() == {"until": "2022-08-26T18:00:00Z"}
    assert (await stack.post(BUREAU, "/v1/clock/speed", {"days_per_second": 2.5})).status_code == 200
    for wrong in (0, -1, 1e9, "NaN"):
        response = await stack.post(BUREAU, "/v1/clock/speed", {"days_per_second": wrong})
        assert response.status_code == 422, wrong
    for instant in ("2022-08-27T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "tomorrow"):
        response = await stack.post(BUREAU, "/v1/clock/advance", {"until": instant})
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/until"), instant
    stack.keys["reader"] = await new_key(stack.services, BUREAU, "bureau", "clock:read")
    response = await stack.post("reader", "/v1/clock/advance", {"until": "2022-09-01T00:00:00Z"})
    assert stack.problem(response) == "scope-missing"


async def test_ready_when_everything_is_there(stack: API) -> None:
    await stack.seen()
    ready = await stack.http.get("/v1/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["lag"][stack.plan.id] == 0
    assert ready.json()["parked"] == 0


async def test_a_checkpoint_is_for_everybody(api: API) -> None:
    response = await api.http.get("/v1/ledger/institutions/checkpoint")
    assert (response.status_code, api.problem(response)) == (404, "unknown-number")
    owner = await asyncpg.connect(api.settings.owner_database_url())
    await owner.execute(
        "INSERT INTO ledger.checkpoints (book, size, root, sealed_at, note, frontier) "
        "VALUES ('institutions', 3, $1, now(), 'the note', $1)",
        b"\x01" * 32,
    )
    await owner.close()
    shown = (await api.http.get("/v1/ledger/institutions/checkpoint")).json()
    assert (shown["size"], shown["root"], shown["note"]) == (3, "01" * 32, "the note")
