"""A request that changes something is carried out once, however often it is sent."""

import asyncio
from datetime import timedelta

from api.idempotency import HOLD, sweep
from tests.api.front_door import API, BUREAU, COUNTY, OTHER_COUNTY, SCHOOL
from tests.api.nominations import nominated, nomination


def school(number: int = 2) -> dict[str, str]:
    return {"id": f"410181-s{number:02d}", "name_zh": "巩义市第二小学", "email": "s02@example.invalid"}


async def test_a_missing_or_odd_key_is_refused(api: API) -> None:
    headers = {"Authorization": f"Bearer {api.keys[COUNTY]}"}
    response = await api.http.post("/v1/institutions", json=school(), headers=headers)
    assert (response.status_code, api.problem(response)) == (400, "idempotency-key-missing")
    assert response.json()["errors"][0]["parameter"] == "Idempotency-Key"
    for key in ("", " ", "a b", "x" * 201, "é"):
        odd = {name.encode(): value.encode("latin-1") for name, value in (headers | {"Idempotency-Key": key}).items()}
        response = await api.http.post("/v1/institutions", json=school(), headers=odd)
        assert response.status_code == 400, key


async def test_a_repetition_gets_the_first_answer(api: API) -> None:
    first = await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    for key in ("k1", '"k1"'):
        again = await api.post(COUNTY, "/v1/institutions", school(), key=key)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
    assert await api.services.ledger.head("institutions") == len(api.keys) * 2 + 1


async def test_a_refusal_is_an_answer_as_well(api: API) -> None:
    await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    refused = await api.post(COUNTY, "/v1/institutions", school(), key="k2")
    assert (refused.status_code, api.problem(refused)) == (409, "already-exists")
    again = await api.post(COUNTY, "/v1/institutions", school(), key="k2")
    assert again.content == refused.content
    assert again.headers["content-type"] == "application/problem+json"


async def test_another_body_under_the_same_key_is_refused(api: API) -> None:
    await api.post(COUNTY, "/v1/institutions", school(2), key="k1")
    response = await api.post(COUNTY, "/v1/institutions", school(3), key="k1")
    assert (response.status_code, api.problem(response)) == (422, "idempotency-key-reused")


async def test_keys_belong_to_their_caller_and_their_operation(api: API) -> None:
    await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    other = {"id": "410182-s02", "name_zh": "荥阳市第二小学", "email": "s02@example.invalid"}
    assert (await api.post(OTHER_COUNTY, "/v1/institutions", other, key="k1")).status_code == 201
    assert (await api.post(COUNTY, "/v1/institutions/410181-s02/keys", {}, key="k1")).status_code == 201


async def test_a_request_in_flight_is_not_begun_twice(api: API) -> None:
    responses = await asyncio.gather(*(api.post(COUNTY, "/v1/institutions", school(), key="k1") for _ in range(8)))
    statuses = [each.status_code for each in responses]
    assert statuses.count(201) >= 1
    assert set(statuses) <= {201, 409}
    for each in responses:
        if each.status_code == 409:
            assert api.problem(each) == "request-in-flight"
            assert int(each.headers["retry-after"]) > 0
    assert (await api.post(COUNTY, "/v1/institutions", school(), key="k1")).status_code == 201
    assert await api.services.ledger.head("institutions") == len(api.keys) * 2 + 1


async def test_a_request_whose_process_died_is_taken_over(api: API) -> None:
    """The row is there, in flight, and its holder is gone: first 409, then, after the hold, the same result."""
    pool = api.services.pool
    first = await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    await pool.execute("UPDATE app.idempotency SET status = NULL, headers = NULL, body = NULL, answered_at = NULL")
    held = await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    assert api.problem(held) == "request-in-flight"
    await pool.execute("UPDATE app.idempotency SET held_until = held_until - $1::interval", HOLD + timedelta(seconds=1))
    again = await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert await api.services.ledger.head("institutions") == len(api.keys) * 2 + 1


async def test_old_answers_are_forgotten_and_new_ones_kept(api: API) -> None:
    await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    assert await sweep(api.services.pool) == 0
    await api.services.pool.execute("UPDATE app.idempotency SET held_until = held_until - interval '8 days'")
    assert await sweep(api.services.pool) == 1
    again = await api.post(COUNTY, "/v1/institutions", school(), key="k1")
    assert again.status_code == 201, "the ledger answers a command as it did the first time"


async def test_a_lost_answer_of_a_command_comes_again_from_the_ledger(stack: API) -> None:
    """Between the append and the kept answer everything of the API is lost; the numbers are not."""
    first = await stack.post(SCHOOL, "/v1/nominations", nomination(stack), key="n1")
    approved = await stack.post(COUNTY, f"/v1/trainees/{first.json()['number']}/approve", key="a1")
    head = await stack.services.ledger.head(stack.plan.id)
    await stack.services.pool.execute("DELETE FROM app.idempotency")
    again = await stack.post(SCHOOL, "/v1/nominations", nomination(stack), key="n1")
    assert again.json()["number"] == first.json()["number"]
    repeated = await stack.post(COUNTY, f"/v1/trainees/{first.json()['number']}/approve", key="a1")
    assert repeated.json()["version"] == approved.json()["version"]
    assert await stack.services.ledger.head(stack.plan.id) == head


async def test_many_rows_are_repeated_as_one(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in (1, 2)]
    rows = {"items": [{"trainee": each} for each in numbers]}
    first = await stack.post(COUNTY, "/v1/trainees/approve", rows, key="a1")
    await stack.services.pool.execute("DELETE FROM app.idempotency")
    again = await stack.post(COUNTY, "/v1/trainees/approve", rows, key="a1")
    assert [each["status"] for each in again.json()["items"]] == [200, 200]
    versions = [[row["receipt"]["version"] for row in each.json()["items"]] for each in (first, again)]
    assert versions[0] == versions[1]
    unlike = {"items": list(reversed(rows["items"]))}
    response = await stack.post(COUNTY, "/v1/trainees/approve", unlike, key="a1")
    assert stack.problem(response) == "idempotency-key-reused"


async def test_what_shows_a_secret_is_kept_sealed(api: API) -> None:
    first = await api.post(BUREAU, f"/v1/institutions/{SCHOOL}/keys", {}, key="k1")
    secret = first.json()["key"]
    row = await api.services.pool.fetchrow("SELECT body, sealed FROM app.idempotency")
    assert row is not None
    assert row["sealed"]
    assert secret.encode() not in row["body"]
    again = await api.post(BUREAU, f"/v1/institutions/{SCHOOL}/keys", {}, key="k1")
    assert again.json()["key"] == secret
