"""Who gets in, and with what."""

from datetime import UTC, datetime, timedelta

import pytest

from api.auth import CACHE_S, Keys
from api.permissions import KEY_ROLES, SCOPES, scopes_of
from api.problems import Problem
from tests.api.front_door import API, BUREAU, COUNTY, HOST, SCHOOL, new_key


async def test_a_request_without_a_valid_key_is_refused_in_one_way(api: API) -> None:
    right = api.keys[COUNTY]
    key_id = right.split("_")[1]
    wrong = [
        "",
        "Bearer",
        "Bearer xj_",
        f"Basic {right}",
        f"Bearer {right}x",
        f"Bearer xj_{'0' * 16}_{'a' * 32}",
        f"Bearer xj_{key_id}_{'a' * 32}",
    ]
    documents = []
    for each in wrong:
        headers = {"Authorization": each} if each else {}
        response = await api.http.get("/v1/trainees", headers=headers)
        assert response.status_code == 401, each
        assert response.headers["www-authenticate"] == 'Bearer realm="xunji"'
        assert api.problem(response) == "unauthenticated"
        document = response.json()
        document.pop("request_id")
        documents.append(document)
    assert all(each == documents[0] for each in documents)


async def test_the_key_is_judged_before_the_body_is_read(api: API) -> None:
    response = await api.http.post("/v1/nominations", content=b"{", headers={"Content-Type": "application/json"})
    assert response.status_code == 401


async def test_an_expired_and_a_revoked_key_are_refused(api: API) -> None:
    for column in ("expires_at", "revoked_at"):
        text = await new_key(api.services, COUNTY, "county")
        assert (await api.http.get("/v1/clock", headers={"Authorization": f"Bearer {text}"})).status_code == 200
        key_id = text.split("_")[1]
        await api.services.pool.execute(
            f"UPDATE app.api_keys SET {column} = created_at + interval '1 microsecond' WHERE key_id = $1", key_id
        )
        api.services.keys.forget(key_id)
        assert (await api.http.get("/v1/clock", headers={"Authorization": f"Bearer {text}"})).status_code == 401


async def test_another_process_forgets_a_revoked_key_within_the_cache_time(api: API) -> None:
    now_s = 0.0
    elsewhere = Keys(api.services.pool, lambda: now_s)
    header = f"Bearer {api.keys[HOST]}"
    assert (await elsewhere.authenticate(header)).organisation == HOST
    key_id = api.keys[HOST].split("_")[1]
    response = await api.call(BUREAU, "DELETE", f"/v1/institutions/{HOST}/keys/{key_id}")
    assert response.status_code == 204
    assert (await api.get(HOST, "/v1/clock")).status_code == 401
    assert (await elsewhere.authenticate(header)).organisation == HOST
    now_s = CACHE_S
    with pytest.raises(Problem) as caught:
        await elsewhere.authenticate(header)
    assert caught.value.type.status == 401


async def test_a_key_without_the_scope_is_told_which_one_it_lacks(api: API) -> None:
    text = await new_key(api.services, COUNTY, "county", "trainees:read")
    headers = {"Authorization": f"Bearer {text}"}
    assert (await api.http.get("/v1/trainees", headers=headers)).status_code == 200
    response = await api.http.get("/v1/quotas?campaign=x", headers=headers)
    assert response.status_code == 403
    assert api.problem(response) == "scope-missing"
    assert "`quotas:read`" in response.json()["detail"]


async def test_every_key_may_ask_whose_it_is_and_what_it_may(api: API) -> None:
    await api.seen()
    whole = (await api.get(HOST, "/v1/me")).json()
    assert (whole["organisation"], whole["role"], whole["name_zh"]) == (HOST, "host", f"单位{HOST}")
    assert whole["scopes"] == list(scopes_of("host"))
    assert whole["key_id"] == api.keys[HOST].split("_")[1]
    assert whole["expires_at"] is None
    expires_at = datetime.now(UTC) + timedelta(days=1)
    body = {"scopes": ["trainees:read"], "expires_at": expires_at.isoformat(), "officer": "gy-07"}
    api.keys["narrow"] = (await api.post(COUNTY, f"/v1/institutions/{SCHOOL}/keys", body)).json()["key"]
    narrow = (await api.get("narrow", "/v1/me")).json()
    assert (narrow["organisation"], narrow["scopes"], narrow["officer"]) == (SCHOOL, ["trainees:read"], "gy-07")
    assert datetime.fromisoformat(narrow["expires_at"]) == expires_at
    assert api.keys["narrow"].split("_", 2)[2] not in str(narrow)
    assert (await api.http.get("/v1/me")).status_code == 401


async def test_when_a_key_was_used_is_written_down(api: API) -> None:
    await api.get(SCHOOL, "/v1/clock")
    await api.services.keys.touch()
    listed = (await api.get(SCHOOL, f"/v1/institutions/{SCHOOL}/keys")).json()["items"]
    used = datetime.fromisoformat(listed[0]["last_used_at"])
    assert datetime.now(UTC) - used < timedelta(minutes=1)


def test_no_role_may_carry_a_scope_that_nobody_may() -> None:
    assert set(SCOPES) == {scope for role in KEY_ROLES for scope in scopes_of(role)}
    assert "clock:write" in scopes_of("bureau")
    assert "clock:write" not in scopes_of("host")
