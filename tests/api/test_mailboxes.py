"""The bureau's operators see every queue and have a hand on it; nobody else does."""

from uuid import uuid4

import asyncpg
import pytest

from tests.api.front_door import API, BUREAU, COUNTY, HOST
from tests.api.notices import tell

REASON = {"reason": "the receiver is being moved"}


async def test_queues_are_listed_with_what_waits_page_by_page(api: API) -> None:
    for organisation, count in ((COUNTY, 2), (HOST, 1)):
        for _ in range(count):
            await tell(api, organisation, "leave.granted")
    await tell(api, "process:start", "trainee")
    await api.services.pool.execute("INSERT INTO app.mailboxes VALUES ('410181-s01', now(), 'x', 'bureau:b')")
    found, cursor = [], ""
    while True:
        page = (await api.get(BUREAU, f"/v1/mailboxes?limit=1{cursor}")).json()
        found += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [(each["organisation"], each["waiting"], each["paused_reason"]) for each in found] == [
        (COUNTY, 2, None),
        ("410181-s01", 0, "x"),
        (HOST, 1, None),
    ]
    one = (await api.get(BUREAU, f"/v1/mailboxes/{COUNTY}")).json()
    assert (one["waiting"], one["failures"], one["orders"]) == (2, [], [])


async def test_only_the_bureau_sees_and_touches_them(api: API) -> None:
    for path in ("/v1/mailboxes", f"/v1/mailboxes/{COUNTY}"):
        assert (await api.get(COUNTY, path)).status_code == 403
    for command in ("pause", "resume", "skip", "redeliver"):
        response = await api.post(COUNTY, f"/v1/mailboxes/{COUNTY}/{command}", REASON)
        assert response.status_code == 403, command


async def test_without_temporal_a_command_is_refused_and_nothing_is_changed(api: API) -> None:
    response = await api.post(BUREAU, f"/v1/mailboxes/{COUNTY}/pause", REASON)
    assert (response.status_code, api.problem(response)) == (503, "temporal-unavailable")
    assert await api.services.pool.fetchval("SELECT count(*) FROM app.mailboxes") == 0


@pytest.mark.parametrize("reason", ["", "x" * 201, "ask 138-0013-8000"])
async def test_a_reason_that_may_name_somebody_is_refused(api: API, reason: str) -> None:
    response = await api.post(BUREAU, f"/v1/mailboxes/{COUNTY}/pause", {"reason": reason})
    assert api.problem(response) == "invalid-request"


async def test_an_operator_stops_skips_and_lets_go_on_by_api(stack: API, database_url: str) -> None:
    path = f"/v1/mailboxes/{COUNTY}"
    paused = await stack.post(BUREAU, f"{path}/pause", REASON)
    assert paused.status_code == 200, paused.text
    owner = await asyncpg.connect(database_url)
    notice = await owner.fetchval(
        "INSERT INTO ledger.outbox (id, recipient, topic, dedup, body, created_at) VALUES "
        "(gen_random_uuid(), $1, 'leave.granted', '', convert_to('{\"data\": {}}', 'UTF8'), now()) RETURNING id",
        COUNTY,
    )
    await owner.close()
    shown = (await stack.get(BUREAU, path)).json()
    assert shown["paused_reason"] == REASON["reason"]
    assert shown["paused_by"].startswith("bureau:")

    unknown = await stack.post(BUREAU, f"{path}/skip", REASON | {"notice": str(uuid4())})
    assert stack.problem(unknown) == "unknown-number"
    key = str(uuid4())
    for _ in range(2):
        skipped = await stack.post(BUREAU, f"{path}/skip", REASON | {"notice": str(notice)}, key=key)
        assert (skipped.status_code, skipped.json()) == (200, {"count": 1})
    delivered = await stack.services.pool.fetchval("SELECT delivered_at FROM ledger.outbox WHERE id = $1", notice)
    assert delivered is not None
    wrong = await stack.post(
        BUREAU, f"{path}/redeliver", REASON | {"endpoint": "we_0000000000000000", "notice": str(notice)}
    )
    assert stack.problem(wrong) == "unknown-number"

    assert (await stack.post(BUREAU, f"{path}/resume", REASON)).status_code == 200
    shown = (await stack.get(BUREAU, path)).json()
    assert shown["paused_at"] is None
    assert [each["type"] for each in shown["orders"]] == [
        "institution.mailbox_resumed",
        "institution.notice_skipped",
        "institution.mailbox_paused",
    ]
    assert all(each["data"]["reason"] == REASON["reason"] for each in shown["orders"])
