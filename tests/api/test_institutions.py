"""Organisations, and who gives keys to whom."""

from datetime import UTC, datetime, timedelta

from api.permissions import scopes_of
from tests.api.front_door import API, AUDITOR, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_SCHOOL, SCHOOL, new_key
from tests.api.test_idempotency import school


async def test_a_county_registers_its_own_schools_only(api: API) -> None:
    response = await api.post(COUNTY, "/v1/institutions", school())
    assert response.status_code == 201
    assert response.json() == {"id": "410181-s02", "kind": "school", "name_zh": "巩义市第二小学", "parent": COUNTY}
    response = await api.post(OTHER_COUNTY, "/v1/institutions", school(3))
    assert (response.status_code, api.problem(response)) == (422, "school-of-another-county")
    nowhere = school() | {"id": "999999-s01"}
    response = await api.post(BUREAU, "/v1/institutions", nowhere)
    assert (response.status_code, api.problem(response)) == (422, "invalid-request")
    assert response.json()["errors"][0]["pointer"] == "/id"
    for wrong in ("410181", "410181-x01", "410181-s1", "410181-S01", "-s01"):
        response = await api.post(COUNTY, "/v1/institutions", school() | {"id": wrong})
        assert response.status_code == 422, wrong
    event = (await api.services.ledger.read_stream("institutions", "institution/410181-s02"))[0]
    assert (event.type, event.actor.split(":")[:2]) == ("institution.registered", ["county", COUNTY])


async def test_everybody_sees_what_is_above_and_below_him(api: API) -> None:
    await api.seen()

    async def seen_by(organisation: str) -> set[str]:
        page = (await api.get(organisation, "/v1/institutions")).json()
        assert page["next"] is None
        return {each["id"] for each in page["items"]}

    assert await seen_by(BUREAU) == await seen_by(AUDITOR) == set(api.keys)
    assert await seen_by(COUNTY) == {BUREAU, COUNTY, SCHOOL, HOST, "h002"}
    assert await seen_by(HOST) == {BUREAU, HOST, "h002"}
    assert (await api.get(COUNTY, f"/v1/institutions/{OTHER_SCHOOL}")).status_code == 404
    assert (await api.get(COUNTY, f"/v1/institutions/{SCHOOL}")).json()["email"] == f"{SCHOOL}@example.invalid"
    assert (await api.get(COUNTY, f"/v1/institutions/{HOST}")).json()["email"] is None


async def test_a_new_key_works_at_once_and_is_shown_once(api: API) -> None:
    response = await api.post(COUNTY, f"/v1/institutions/{SCHOOL}/keys", {"scopes": ["trainees:read"]})
    assert response.status_code == 201
    body = response.json()
    assert (body["organisation"], body["role"], body["scopes"]) == (SCHOOL, "school", ["trainees:read"])
    headers = {"Authorization": f"Bearer {body['key']}"}
    assert (await api.http.get("/v1/trainees", headers=headers)).status_code == 200
    assert (await api.http.get("/v1/clock", headers=headers)).status_code == 403
    listed = await api.get(SCHOOL, f"/v1/institutions/{SCHOOL}/keys")
    assert {each["key_id"] for each in listed.json()["items"]} == {
        body["key_id"],
        api.keys[SCHOOL].split("_", 2)[1],
    }
    assert body["key"].split("_", 2)[2] not in listed.text
    stored = await api.services.pool.fetchrow("SELECT * FROM app.api_keys WHERE key_id = $1", body["key_id"])
    assert body["key"].split("_", 2)[2] not in repr(stored)
    events = await api.services.ledger.read_stream("institutions", f"institution/{SCHOOL}")
    assert events[-1].type == "institution.key_issued"
    assert events[-1].data["key"] == body["key_id"]


async def test_nobody_issues_keys_beyond_his_reach(api: API) -> None:
    for organisation, target in ((COUNTY, OTHER_SCHOOL), (COUNTY, HOST), (COUNTY, BUREAU), (BUREAU, "410181-s77")):
        response = await api.post(organisation, f"/v1/institutions/{target}/keys", {})
        assert (response.status_code, response.json()["status"]) == (404, 404), (organisation, target)
    response = await api.post(AUDITOR, f"/v1/institutions/{AUDITOR}/keys", {})
    assert response.status_code == 403
    for target in (OTHER_SCHOOL, HOST):
        assert (await api.get(COUNTY, f"/v1/institutions/{target}/keys")).status_code == 404


async def test_a_key_cannot_make_itself_a_stronger_one(api: API) -> None:
    weak = await new_key(api.services, COUNTY, "county", "keys:write", "trainees:read")
    api.keys["weak"] = weak
    response = await api.post("weak", f"/v1/institutions/{COUNTY}/keys", {"scopes": ["nominations:write"]})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/scopes/0"
    response = await api.post("weak", f"/v1/institutions/{COUNTY}/keys", {})
    assert set(response.json()["scopes"]) == {"keys:write", "trainees:read"}
    for scopes in (["clock:write"], ["everything"], [""], []):
        response = await api.post(BUREAU, f"/v1/institutions/{HOST}/keys", {"scopes": scopes})
        assert response.status_code == 422, scopes
    full = await api.post(BUREAU, f"/v1/institutions/{HOST}/keys", {})
    assert tuple(full.json()["scopes"]) == scopes_of("host")


async def test_a_key_expires_when_it_was_said(api: API) -> None:
    past = {"expires_at": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    response = await api.post(COUNTY, f"/v1/institutions/{SCHOOL}/keys", past)
    assert response.status_code == 422
    naive = {"expires_at": "2030-01-01T00:00:00"}
    assert (await api.post(COUNTY, f"/v1/institutions/{SCHOOL}/keys", naive)).status_code == 422
    future = {"expires_at": "2099-01-01T00:00:00Z"}
    response = await api.post(COUNTY, f"/v1/institutions/{SCHOOL}/keys", future)
    assert response.json()["expires_at"] == "2099-01-01T00:00:00Z"


async def test_revoking_is_recorded_once_and_again_changes_nothing(api: API) -> None:
    key_id = api.keys[SCHOOL].split("_", 2)[1]
    path = f"/v1/institutions/{SCHOOL}/keys/{key_id}"
    for stranger in (OTHER_COUNTY,):
        assert (await api.call(stranger, "DELETE", path)).status_code == 404
    assert (await api.get(SCHOOL, "/v1/clock")).status_code == 200
    for _ in range(2):
        assert (await api.call(COUNTY, "DELETE", path)).status_code == 204
    assert (await api.get(SCHOOL, "/v1/clock")).status_code == 401
    events = await api.services.ledger.read_stream("institutions", f"institution/{SCHOOL}")
    assert [each.type for each in events].count("institution.key_revoked") == 1
    assert (await api.call(COUNTY, "DELETE", f"/v1/institutions/{SCHOOL}/keys/{'0' * 16}")).status_code == 404


async def test_a_forgotten_request_for_a_key_never_shows_a_key_that_does_not_work(api: API) -> None:
    """Its kept answer is gone: an unused key gets a new secret, one in use is left as it is."""
    path = f"/v1/institutions/{SCHOOL}/keys"
    first = (await api.post(COUNTY, path, {}, key="k1")).json()
    await api.services.pool.execute("DELETE FROM app.idempotency")
    second = (await api.post(COUNTY, path, {}, key="k1")).json()
    assert second["key_id"] == first["key_id"]
    headers = {"Authorization": f"Bearer {second['key']}"}
    assert (await api.http.get("/v1/clock", headers=headers)).status_code == 200
    await api.services.keys.touch()
    await api.services.pool.execute("DELETE FROM app.idempotency")
    third = await api.post(COUNTY, path, {}, key="k1")
    assert (third.status_code, api.problem(third)) == (409, "already-exists")
    assert (await api.http.get("/v1/clock", headers=headers)).status_code == 200


AUDIT_OFFICE = {
    "id": "audit-province", "kind": "auditor", "name_zh": "河南省审计厅", "email": "audit@example.invalid"
}  # fmt: skip


async def test_the_bureau_registers_an_auditor_who_reads_books_and_figures_and_no_person(api: API) -> None:
    response = await api.post(BUREAU, "/v1/institutions", AUDIT_OFFICE)
    assert (response.status_code, response.json()["kind"], response.json()["parent"]) == (201, "auditor", BUREAU)
    issued = (await api.post(BUREAU, "/v1/institutions/audit-province/keys", {})).json()
    assert issued["scopes"] == list(scopes_of("auditor"))
    headers = {"Authorization": f"Bearer {issued['key']}"}
    for path in ("/v1/institutions", "/v1/personal-reads", "/v1/campaigns"):
        assert (await api.http.get(path, headers=headers)).status_code == 200, path
    for path in ("/v1/trainees", "/v1/people/" + "0" * 8 + "-0000-4000-8000-" + "0" * 12, "/v1/restrictions"):
        assert (await api.http.get(path, headers=headers)).status_code == 403, path


async def test_nobody_else_registers_an_auditor_and_the_id_tells_the_kind(api: API) -> None:
    response = await api.post(COUNTY, "/v1/institutions", AUDIT_OFFICE)
    assert (response.status_code, api.problem(response)) == (403, "not-your-part")
    for wrong in (AUDIT_OFFICE | {"id": "410181-s08"}, school() | {"id": "audit-school"}):
        response = await api.post(BUREAU, "/v1/institutions", wrong)
        assert (response.status_code, api.problem(response)) == (422, "invalid-request"), wrong
    assert not await api.services.ledger.read_stream("institutions", "institution/audit-province")
