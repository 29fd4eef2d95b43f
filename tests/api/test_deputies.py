"""Who acts for an organisation: deputies with dates, and what stays and what moves when an administrator does."""

from datetime import UTC, datetime, timedelta

from tests.api.front_door import API, COUNTY, OTHER_COUNTY, SCHOOL
from tests.api.nominations import nominated


def later(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


async def test_case_59_a_deputys_key_holds_from_one_date_to_another(api: API) -> None:
    path = f"/v1/institutions/{COUNTY}/keys"
    deputy = {"officer": "c2", "deputy_for": "c1"}
    dates = {"starts_at": later(hours=1), "expires_at": later(days=7)}
    early = (await api.post(COUNTY, path, deputy | dates)).json()
    assert (early["officer"], early["deputy_for"]) == ("c2", "c1")
    api.keys["early"] = early["key"]
    assert (await api.get("early", "/v1/trainees")).status_code == 401
    begun = await api.post(COUNTY, path, deputy | dates | {"starts_at": later(hours=-1)})
    api.keys["begun"] = begun.json()["key"]
    assert (await api.get("begun", "/v1/trainees")).status_code == 200
    await api.services.pool.execute(
        "UPDATE app.api_keys SET created_at = created_at - span, starts_at = starts_at - span, "
        "expires_at = expires_at - span FROM (SELECT interval '9 days' AS span) AS nine WHERE key_id = $1",
        begun.json()["key_id"],
    )
    api.services.keys.forget(begun.json()["key_id"])
    assert (await api.get("begun", "/v1/trainees")).status_code == 401
    listed = {each["key_id"]: each for each in (await api.get(COUNTY, path)).json()["items"]}
    assert listed[early["key_id"]]["deputy_for"] == "c1"
    assert listed[early["key_id"]]["starts_at"] is not None


async def test_case_59_a_deputy_without_dates_or_name_is_refused(api: API) -> None:
    path = f"/v1/institutions/{COUNTY}/keys"
    for body in (
        {"deputy_for": "c1"},
        {"deputy_for": "c1", "officer": "c2", "expires_at": later(days=7)},
        {"starts_at": later(days=8), "expires_at": later(days=7)},
    ):
        refused = await api.post(COUNTY, path, body)
        assert (refused.status_code, api.problem(refused)) == (422, "invalid-request"), refused.text


async def test_case_60_an_administrator_moves_open_work_stays_and_past_acts_stay_his(stack: API) -> None:
    path = f"/v1/institutions/{COUNTY}/keys"
    first = (await stack.post(COUNTY, path, {"officer": "c1"})).json()
    stack.keys["first"] = first["key"]
    approved, waiting = await nominated(stack, 1), await nominated(stack, 2)
    assert (await stack.post("first", f"/v1/trainees/{approved}/approve")).status_code == 200
    second = (await stack.post(COUNTY, path, {"officer": "c3"})).json()
    stack.keys["second"] = second["key"]
    gone = await stack.call(COUNTY, "DELETE", f"{path}/{first['key_id']}")
    assert gone.status_code == 204
    changed = await stack.post(COUNTY, f"/v1/institutions/{COUNTY}/contact", {"email": "c3@gy.example.invalid"})
    assert changed.json() == {"id": COUNTY, "email": "c3@gy.example.invalid"}
    assert (await stack.post("first", f"/v1/trainees/{waiting}/approve")).status_code == 401
    assert (await stack.post("second", f"/v1/trainees/{waiting}/approve")).status_code == 200
    await stack.seen()
    assert (await stack.get(COUNTY, f"/v1/institutions/{COUNTY}")).json()["email"] == "c3@gy.example.invalid"
    address = await stack.services.pool.fetchval("SELECT email FROM view.institutions WHERE id = $1", COUNTY)
    assert address == "c3@gy.example.invalid", "what is still in the post goes to the successor"
    events = (await stack.get(COUNTY, f"/v1/trainees/{approved}/events")).json()["items"]
    assert events[-1]["actor"] == f"county:{COUNTY}:{first['key_id']}"
    listed = {each["key_id"]: each for each in (await stack.get(COUNTY, path)).json()["items"]}
    assert listed[first["key_id"]]["officer"] == "c1"
    assert listed[first["key_id"]]["revoked_at"] is not None


async def test_only_who_manages_an_organisation_changes_its_contact(api: API) -> None:
    body = {"email": "x@example.invalid"}
    assert (await api.post(OTHER_COUNTY, f"/v1/institutions/{COUNTY}/contact", body)).status_code == 404
    assert (await api.post(SCHOOL, f"/v1/institutions/{SCHOOL}/contact", body)).status_code == 403
    assert (await api.post(COUNTY, f"/v1/institutions/{SCHOOL}/contact", body)).status_code == 200
