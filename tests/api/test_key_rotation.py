"""An organisation replaces its own key: a second one beside the first, no stronger, and then the first one is gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.front_door import (
    API,
    BUREAU,
    COUNTY,
    HOST,
    OTHER_HOST,
    OTHER_SCHOOL,
    ROLE_OF,
    SCHOOL,
    new_key,
)

WHO = (BUREAU, COUNTY, SCHOOL, HOST)


def keys_of(organisation: str) -> str:
    return f"/v1/institutions/{organisation}/keys"


def id_of(key: str) -> str:
    return key.split("_", 2)[1]


async def works(api: API, key: str) -> bool:
    response = await api.http.get("/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert response.status_code in (200, 401), response.text
    return response.status_code == 200


async def faults_of(api: API, organisation: str, body: dict[str, Any], owner: str = HOST) -> list[tuple[str, str]]:
    """Code and pointer of what a request for a key is refused with."""
    response = await api.post(organisation, keys_of(owner), body)
    assert (response.status_code, api.problem(response)) == (422, "invalid-request"), response.text
    return [(each["code"], each["pointer"]) for each in response.json()["errors"]]


@pytest.mark.parametrize("organisation", WHO)
async def test_whoever_takes_part_replaces_its_key_by_itself(api: API, organisation: str) -> None:
    first = api.keys[organisation]
    mine = (await api.get(organisation, "/v1/me")).json()
    made = await api.post(organisation, keys_of(organisation), {})
    assert made.status_code == 201, made.text
    second = made.json()
    assert (second["role"], set(second["scopes"])) == (ROLE_OF[organisation], set(mine["scopes"]))
    assert await works(api, first) and await works(api, second["key"]), "they overlap"
    api.keys["second"] = second["key"]
    listed = (await api.get("second", keys_of(organisation))).json()["items"]
    assert {second["key_id"], id_of(first)} <= {each["key_id"] for each in listed}
    gone = await api.call("second", "DELETE", f"{keys_of(organisation)}/{id_of(first)}")
    assert gone.status_code == 204
    assert await works(api, second["key"]) and not await works(api, first)
    events = await api.services.ledger.read_stream("institutions", f"institution/{organisation}")
    assert [each.type for each in events[-2:]] == ["institution.key_issued", "institution.key_revoked"]
    role = ROLE_OF[organisation]
    assert events[-2].actor == f"{role}:{organisation}:{id_of(first)}"
    assert events[-1].actor == f"{role}:{organisation}:{second['key_id']}"


async def test_what_is_asked_again_gives_the_same_key(api: API) -> None:
    first = (await api.post(HOST, keys_of(HOST), {}, key="rotate-1")).json()
    again = (await api.post(HOST, keys_of(HOST), {}, key="rotate-1")).json()
    assert again == first


async def test_a_key_makes_none_with_more_scopes_than_it_carries(api: API) -> None:
    api.keys["weak"] = await new_key(api.services, HOST, "host", "keys:write", "trainees:read")
    assert await faults_of(api, "weak", {"scopes": ["trainees:read", "trainees:write"]}) == [
        ("scope_not_grantable", "/scopes/1")
    ]
    assert await faults_of(api, HOST, {"scopes": ["people:read"]}) == [("scope_not_grantable", "/scopes/0")]
    made = (await api.post("weak", keys_of(HOST), {})).json()
    assert set(made["scopes"]) == {"keys:write", "trainees:read"}
    fewer = (await api.post("weak", keys_of(HOST), {"scopes": ["trainees:read"]})).json()
    api.keys["fewer"] = fewer["key"]
    for refused in (
        await api.post("fewer", keys_of(HOST), {}),
        await api.call("fewer", "DELETE", f"{keys_of(HOST)}/{id_of(api.keys[HOST])}"),
    ):
        assert (refused.status_code, api.problem(refused)) == (403, "scope-missing")


async def test_a_key_makes_none_that_outlives_it(api: API) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    made = await api.post(BUREAU, keys_of(HOST), {"expires_at": until.isoformat()})
    api.keys["ends"] = made.json()["key"]

    def at(**span: float) -> str:
        return (until + timedelta(**span)).isoformat()

    successor = (await api.post("ends", keys_of(HOST), {})).json()
    assert datetime.fromisoformat(successor["expires_at"]) == until, "where nothing is said, as long as the key at hand"
    earlier = (await api.post("ends", keys_of(HOST), {"expires_at": at(days=-1)})).json()
    assert datetime.fromisoformat(earlier["expires_at"]) == until - timedelta(days=1)
    assert (await api.post("ends", keys_of(HOST), {"expires_at": at()})).status_code == 201
    assert await faults_of(api, "ends", {"expires_at": at(seconds=1)}) == [("key_outlives_its_maker", "/expires_at")]
    assert await faults_of(api, "ends", {"starts_at": at()}) == [("key_outlives_its_maker", "/starts_at")]
    # Nor does what it made make one.
    api.keys["successor"] = successor["key"]
    assert await faults_of(api, "successor", {"expires_at": at(seconds=1)}) == [
        ("key_outlives_its_maker", "/expires_at")
    ]
    # Whoever stands above gives as much as ever.
    api.keys["county"] = (await api.post(BUREAU, keys_of(COUNTY), {"expires_at": until.isoformat()})).json()["key"]
    for_school = await api.post("county", keys_of(SCHOOL), {"expires_at": at(days=1)})
    assert for_school.status_code == 201, for_school.text


async def test_a_deputy_hands_nothing_on(api: API) -> None:
    now = datetime.now(UTC)
    dates = {"starts_at": (now - timedelta(hours=1)).isoformat(), "expires_at": (now + timedelta(days=7)).isoformat()}
    deputy = {"officer": "h2", "deputy_for": "h1"}
    api.keys["deputy"] = (await api.post(HOST, keys_of(HOST), deputy | dates)).json()["key"]
    made = (await api.post("deputy", keys_of(HOST), {})).json()
    assert (made["officer"], made["deputy_for"]) == ("h2", "h1")
    assert made["expires_at"] is not None
    assert await faults_of(api, "deputy", {"officer": "h3"}) == [("deputy_hands_nothing_on", "/officer")]
    assert await faults_of(api, "deputy", deputy | dates | {"deputy_for": "h9"}) == [
        ("deputy_hands_nothing_on", "/deputy_for")
    ]


@pytest.mark.parametrize(
    ("organisation", "other"), [(HOST, OTHER_HOST), (HOST, SCHOOL), (SCHOOL, OTHER_SCHOOL), (SCHOOL, COUNTY)]
)
async def test_nobody_touches_anothers_keys(api: API, organisation: str, other: str) -> None:
    theirs = id_of(api.keys[other])
    for response in (
        await api.get(organisation, keys_of(other)),
        await api.post(organisation, keys_of(other), {}),
        await api.call(organisation, "DELETE", f"{keys_of(other)}/{theirs}"),
        await api.call(organisation, "DELETE", f"{keys_of(organisation)}/{theirs}"),
    ):
        assert (response.status_code, api.problem(response)) == (404, "unknown-number")
    assert await works(api, api.keys[other])


async def test_a_revoked_key_makes_no_other(api: API) -> None:
    made = (await api.post(HOST, keys_of(HOST), {})).json()
    api.keys["second"] = made["key"]
    assert (await api.call(HOST, "DELETE", f"{keys_of(HOST)}/{made['key_id']}")).status_code == 204
    assert (await api.post("second", keys_of(HOST), {})).status_code == 401
