"""Where notices are posted: which URLs are accepted, how secrets are kept, and what the log shows."""

import base64
from uuid import uuid4

import pytest

from api.problems import Problem
from api.webhook_endpoints import MAX_ENDPOINTS, require_public_url
from secrets_box import open_secret
from settings import key_bytes
from tests.api.front_door import API, COUNTY, HOST, OTHER_COUNTY

URL = "https://training.example.edu.cn/xunji?token=1"


@pytest.mark.parametrize(
    "url",
    [
        "http://training.example.edu.cn/",
        "ftp://training.example.edu.cn/",
        "https://",
        "https:///x",
        "//training.example.edu.cn",
        "training.example.edu.cn",
        "https://localhost/",
        "https://api.localhost/",
        "https://printer.local/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.0.0.1/x",
        "https://2130706433/",
        "https://10.0.0.1/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://user:secret@example.com/",
        "https://example.com/#part",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://exa\nmple.com/",
        "https://[broken/",
        "https://例え.cn/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(Problem) as caught:
        require_public_url(url, allow_loopback=False)
    assert caught.value.type.slug == "webhook-url-refused"
    assert url not in caught.value.faults[0].en


@pytest.mark.parametrize("url", [URL, "https://8.8.8.8/x", "https://example.com:8443", "https://xn--r8jz45g.cn./"])
def test_urls_that_are_accepted(url: str) -> None:
    require_public_url(url, allow_loopback=False)


def test_loopback_is_for_the_demo_only() -> None:
    for url in ("http://127.0.0.1:9000/hook", "http://localhost:9000/", "http://[::1]:9000/"):
        require_public_url(url, allow_loopback=True)
        with pytest.raises(Problem):
            require_public_url(url, allow_loopback=False)
    for url in ("http://10.0.0.1/", "http://example.com/", "https://192.168.0.1/"):
        with pytest.raises(Problem):
            require_public_url(url, allow_loopback=True)


async def test_a_secret_is_made_sealed_and_shown_once(api: API) -> None:
    response = await api.post(HOST, "/v1/webhook-endpoints", {"url": URL, "event_types": ["trainee.selected"]})
    assert response.status_code == 201
    body = response.json()
    assert len(base64.b64decode(body["secret"].removeprefix("whsec_"))) == 32
    row = await api.services.pool.fetchrow("SELECT * FROM app.webhook_endpoints")
    assert row is not None
    assert body["secret"].encode() not in row["secret_sealed"]
    assert open_secret(key_bytes(api.settings.master_key), body["id"], row["secret_sealed"]) == body["secret"]
    shown = await api.get(HOST, f"/v1/webhook-endpoints/{body['id']}")
    assert shown.json()["url"] == URL
    assert "secret" not in shown.json()
    event = (await api.services.ledger.read_stream("institutions", f"institution/{HOST}"))[-1]
    assert (event.type, event.data["endpoint"]) == ("institution.webhook_endpoint_registered", body["id"])


async def test_another_organisations_endpoint_does_not_exist(api: API) -> None:
    id_ = (await api.post(COUNTY, "/v1/webhook-endpoints", {"url": URL})).json()["id"]
    for path in (f"/v1/webhook-endpoints/{id_}", f"/v1/webhook-endpoints/{id_}/deliveries"):
        assert (await api.get(COUNTY, path)).status_code == 200
        assert (await api.get(OTHER_COUNTY, path)).status_code == 404
    assert (await api.call(OTHER_COUNTY, "DELETE", f"/v1/webhook-endpoints/{id_}")).status_code == 404
    assert (await api.get(OTHER_COUNTY, "/v1/webhook-endpoints")).json()["items"] == []


async def test_an_endpoint_is_disabled_and_its_place_is_free_again(api: API) -> None:
    ids = []
    for index in range(MAX_ENDPOINTS):
        response = await api.post(COUNTY, "/v1/webhook-endpoints", {"url": f"{URL}&n={index}"})
        ids.append(response.json()["id"])
    full = await api.post(COUNTY, "/v1/webhook-endpoints", {"url": URL})
    assert (full.status_code, api.problem(full)) == (409, "too-many-endpoints")
    for _ in range(2):
        assert (await api.call(COUNTY, "DELETE", f"/v1/webhook-endpoints/{ids[0]}")).status_code == 204
    assert (await api.post(COUNTY, "/v1/webhook-endpoints", {"url": URL})).status_code == 201
    listed = (await api.get(COUNTY, "/v1/webhook-endpoints")).json()["items"]
    assert [each["id"] for each in listed][:MAX_ENDPOINTS] == ids
    assert [each["disabled_at"] is None for each in listed] == [False] + [True] * MAX_ENDPOINTS


async def test_the_log_is_read_from_the_newest_attempt_backwards(api: API) -> None:
    id_ = (await api.post(COUNTY, "/v1/webhook-endpoints", {"url": URL})).json()["id"]
    notice = uuid4()
    for attempt in range(1, 6):
        problem = "" if attempt == 5 else "no answer within 30 s"
        status = 204 if attempt == 5 else None
        await api.services.pool.execute(
            "INSERT INTO app.deliveries (outbox_id, organisation, channel, endpoint, attempt, status_code, problem) "
            "VALUES ($1, $2, 'webhook', $3, $4, $5, $6)",
            notice,
            COUNTY,
            id_,
            attempt,
            status,
            problem,
        )
    path = f"/v1/webhook-endpoints/{id_}/deliveries?limit=2"
    attempts, cursor = [], ""
    while True:
        page = (await api.get(COUNTY, f"{path}{cursor}")).json()
        attempts += [each["attempt"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert attempts == [5, 4, 3, 2, 1]
