"""Secrets rotate with an overlap, attempts are shown to their owner, and notices are posted once more on request."""

from typing import Any
from uuid import UUID, uuid4

from secrets_box import open_secret
from settings import key_bytes
from tests.api.front_door import API, COUNTY, OTHER_COUNTY
from tests.api.notices import tell

URL = "https://training.example.edu.cn/xunji"


async def new_endpoint(api: API, organisation: str = COUNTY, **more: Any) -> tuple[str, str]:
    """A new endpoint's path, and its secret."""
    response = await api.post(organisation, "/v1/webhook-endpoints", {"url": URL, **more})
    assert response.status_code == 201, response.text
    return f"/v1/webhook-endpoints/{response.json()['id']}", response.json()["secret"]


async def kept(api: API, path: str) -> tuple[str, str | None]:
    """The secrets that sign: the current and the former one."""
    row = await api.services.pool.fetchrow("SELECT * FROM app.webhook_endpoints WHERE id = $1", path[-19:])
    assert row is not None
    key = key_bytes(api.settings.master_key)
    former = row["former_secret_sealed"]
    return (
        open_secret(key, row["id"], row["secret_sealed"]),
        open_secret(key, row["id"], former) if former is not None else None,
    )


async def attempt(api: API, path: str, notice: UUID, problem: str = "", answer: bytes = b"") -> None:
    """An attempt as the worker logs it."""
    endpoint = path[-19:]
    sealed = api.services.box.seal(f"answer:{notice}:{endpoint}", answer) if answer else None
    await api.services.pool.execute(
        "INSERT INTO app.deliveries"
        " (outbox_id, organisation, channel, endpoint, attempt, status_code, problem, latency_ms, answer_sealed)"
        " VALUES ($1, $2, 'webhook', $3, 1, $4, $5, 17, $6)",
        notice,
        COUNTY,
        endpoint,
        500 if problem else 200,
        problem,
        sealed,
    )


async def delivered(api: API, path: str, *notices: UUID) -> None:
    for notice in notices:
        await attempt(api, path, notice)
        await api.services.pool.execute("UPDATE ledger.outbox SET delivered_at = now() WHERE id = $1", notice)


async def test_a_secret_is_replaced_and_the_former_one_signs_for_a_day(api: API) -> None:
    path, first = await new_endpoint(api)
    key = str(uuid4())
    response = await api.post(COUNTY, f"{path}/rotate-secret", {}, key=key)
    assert response.status_code == 200, response.text
    second = response.json()["secret"]
    assert (await kept(api, path)) == (second, first)
    shown = (await api.get(COUNTY, path)).json()
    assert shown["former_secret_until"] == response.json()["former_secret_until"]
    hours = await api.services.pool.fetchval(
        "SELECT extract(epoch FROM former_secret_until - now()) / 3600 FROM app.webhook_endpoints"
    )
    assert 23.9 < hours <= 24
    again = await api.post(COUNTY, f"{path}/rotate-secret", {}, key=key)
    assert again.json() == response.json()
    assert (await kept(api, path)) == (second, first)
    third = (await api.post(COUNTY, f"{path}/rotate-secret", {"overlap_hours": 0})).json()
    assert third["former_secret_until"] is None
    assert (await kept(api, path)) == (third["secret"], None)
    events = [each.type for each in await api.services.ledger.read_stream("institutions", f"institution/{COUNTY}")]
    assert events[-2:] == ["institution.webhook_secret_rotated"] * 2


async def test_the_log_shows_status_latency_and_answer_of_each_attempt(api: API) -> None:
    path, _ = await new_endpoint(api)
    notice = await tell(api, COUNTY, "trainee.selected")
    await attempt(api, path, notice, "HTTP 500", "出错了 \x00".encode())
    await attempt(api, path, notice)
    items = (await api.get(COUNTY, f"{path}/deliveries")).json()["items"]
    assert [(each["status_code"], each["problem"], each["answer"]) for each in items] == [
        (200, "", None),
        (500, "HTTP 500", "出错了 \ufffd"),
    ]
    assert {(each["type"], each["latency_ms"], each["notice"]) for each in items} == {
        ("trainee.selected", 17, str(notice))
    }
    for narrowed, count in (
        ("outcome=failed", 1),
        ("outcome=taken", 1),
        (f"notice={notice}", 2),
        (f"notice={uuid4()}", 0),
    ):
        page = (await api.get(COUNTY, f"{path}/deliveries?{narrowed}")).json()
        assert len(page["items"]) == count, narrowed


async def test_one_notice_and_a_span_are_asked_for_once_more(api: API) -> None:
    path, _ = await new_endpoint(api, event_types=["trainee.selected"])
    first = await tell(api, COUNTY, "trainee.selected")
    second = await tell(api, COUNTY, "trainee.selected")
    waiting = await tell(api, COUNTY, "trainee.selected")
    await delivered(api, path, first)
    other_type = await tell(api, COUNTY, "leave.requested")
    await api.services.pool.execute(
        "UPDATE ledger.outbox SET delivered_at = now() WHERE id = ANY ($1)", [second, other_type]
    )

    async def asked(body: dict[str, Any], key: str = "") -> list[UUID]:
        response = await api.post(COUNTY, f"{path}/redeliver", body, key=key)
        assert response.status_code == 202, response.text
        rows = await api.services.pool.fetch(
            "UPDATE app.webhook_requests SET finished_at = now() WHERE finished_at IS NULL RETURNING id, outbox_id"
        )
        assert response.json() == {"count": len(rows), "more": False}
        return [row["outbox_id"] for row in sorted(rows)]

    span = {"since": "2020-01-01T00:00:00Z", "before": "2100-01-01T00:00:00Z"}
    assert await asked({"notice": str(first)}) == [first]
    assert await asked(span) == [first, second]
    assert await asked(span | {"missing_only": True}) == [second]
    assert await asked({"since": "2100-01-01T00:00:00Z"}) == []
    # What waits comes by itself, even when it is asked for by its id.
    assert await asked({"notice": str(waiting)}) == []
    event = (await api.services.ledger.read_stream("institutions", f"institution/{COUNTY}"))[-1]
    assert (event.type, event.data["notice"]) == ("institution.notices_redelivered", str(waiting))


async def test_a_request_that_says_nothing_or_too_much_is_refused(api: API) -> None:
    path, _ = await new_endpoint(api)
    notice = str(uuid4())
    for body in (
        {},
        {"notice": notice, "since": "2022-01-01T00:00:00Z"},
        {"since": "2022-01-02T00:00:00Z", "before": "2022-01-01T00:00:00Z"},
        {"since": "2022-01-02T00:00:00"},
        {"notice": "x"},
    ):
        response = await api.post(COUNTY, f"{path}/redeliver", body)
        assert api.problem(response) == "invalid-request", body
    unknown = await api.post(COUNTY, f"{path}/redeliver", {"notice": notice})
    assert api.problem(unknown) == "unknown-number"


async def test_nobody_touches_another_organisations_endpoint_or_notices(api: API) -> None:
    path, _ = await new_endpoint(api)
    own, _ = await new_endpoint(api, OTHER_COUNTY)
    notice = await tell(api, COUNTY, "trainee.selected")
    await delivered(api, path, notice)
    for command, body in (("rotate-secret", {}), ("test", None), ("redeliver", {"notice": str(notice)})):
        assert (await api.post(OTHER_COUNTY, f"{path}/{command}", body)).status_code == 404
    stolen = await api.post(OTHER_COUNTY, f"{own}/redeliver", {"notice": str(notice)})
    assert api.problem(stolen) == "unknown-number"
    everything = await api.post(OTHER_COUNTY, f"{own}/redeliver", {"since": "2020-01-01T00:00:00Z"})
    assert everything.json()["count"] == 0


async def test_a_test_message_is_asked_for_once_per_request(api: API) -> None:
    path, _ = await new_endpoint(api)
    key = str(uuid4())
    first = await api.post(COUNTY, f"{path}/test", key=key)
    assert first.status_code == 202, first.text
    assert (await api.post(COUNTY, f"{path}/test", key=key)).json() == first.json()
    rows = await api.services.pool.fetch("SELECT kind, outbox_id FROM app.webhook_requests")
    assert [(row["kind"], str(row["outbox_id"])) for row in rows] == [("test", first.json()["notice"])]


async def test_a_disabled_endpoint_says_why_and_takes_no_command(api: API) -> None:
    path, _ = await new_endpoint(api)
    for _ in range(2):
        assert (await api.call(COUNTY, "DELETE", path)).status_code == 204
    assert (await api.get(COUNTY, path)).json()["disabled_because"] == "owner"
    stream = await api.services.ledger.read_stream("institutions", f"institution/{COUNTY}")
    disabled = [each.data for each in stream if each.type == "institution.webhook_endpoint_disabled"]
    assert [each["because"] for each in disabled] == ["owner"]
    for command, body in (("rotate-secret", {}), ("test", None), ("redeliver", {"since": "2020-01-01T00:00:00Z"})):
        response = await api.post(COUNTY, f"{path}/{command}", body)
        assert (response.status_code, api.problem(response)) == (409, "endpoint-disabled"), command
