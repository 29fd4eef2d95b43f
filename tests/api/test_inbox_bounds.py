"""What the inbox takes and for how long, how it keeps it, and when nobody waits for Temporal any more."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from api import commands, draining, inbox
from api.commands import Breaker
from api.inbox import Inbox
from database import operator_pool
from secrets_box import SecretsBox
from services.key_rotation import rotate_master_key
from settings import key_bytes
from tests.api.front_door import (
    API,
    COUNTY,
    SCHOOL,
    settings_for,
)
from tests.api.nominations import identity_number, nominated, nomination
from tests.api.test_inbox import accepted, commands_of, ended
from tests.clear_text import found_in

# -------------------------------------------------------------------------------------------------------- bounds


async def test_a_full_inbox_accepts_no_more(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MAX_KEPT", 2)
    for counter in (1, 2):
        await accepted(await api.post(SCHOOL, "/v1/nominations", nomination(api, counter)))
    for _ in range(2):
        full = await api.post(SCHOOL, "/v1/nominations", nomination(api, 3), key="k3")
        assert (full.status_code, api.problem(full)) == (503, "inbox-full")
        assert int(full.headers["retry-after"]) > 0
    rows = (await api.post(SCHOOL, "/v1/nominations", {"items": [nomination(api, 3)]})).json()
    assert (rows["items"][0]["status"], rows["failed"], rows["kept"]) == (503, 1, 0)
    ready = await api.http.get("/v1/readyz")
    assert (ready.status_code, api.problem(ready)) == (503, "inbox-full")
    monkeypatch.setattr(inbox, "MAX_KEPT", 3)
    await accepted(await api.post(SCHOOL, "/v1/nominations", nomination(api, 3), key="k3"))


async def test_a_command_that_says_too_much_is_not_kept(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MAX_CONTENT_BYTES", 100)
    response = await api.post(SCHOOL, "/v1/nominations", nomination(api))
    assert (response.status_code, api.problem(response)) == (503, "temporal-unavailable")
    assert await api.services.pool.fetchval("SELECT count(*) FROM app.inbox") == 0
    assert await api.services.pool.fetchval("SELECT count(*) FROM app.idempotency") == 0


async def test_a_command_that_has_waited_too_long_is_given_up(api: API) -> None:
    operation = await accepted(await api.post(SCHOOL, "/v1/nominations", nomination(api)))
    await api.services.pool.execute("UPDATE app.inbox SET kept_at = kept_at - $1::interval", inbox.MAX_AGE)
    shown = await ended(api, SCHOOL, operation)
    assert (shown["state"], shown["error"], shown["outcome"]["status"]) == ("failed", "not-carried-out", 503)
    assert shown["outcome"]["problem"]["errors"][0]["code"] == "waited_too_long"


async def test_a_command_that_breaks_is_given_up_and_the_others_go_on(
    held: asyncio.Event, stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The domain cannot read one kept command; its organisation's next one waits for it only as long as is bounded."""
    monkeypatch.setattr(draining, "RETRIES_S", (0.05,))
    number = await nominated(stack, 1)
    services = stack.services
    services.commands._breaker.unanswered("temporal-unavailable")
    broken = await accepted(await stack.post(COUNTY, f"/v1/trainees/{number}/reject", {"reasons": ["other"]}))
    row = await services.pool.fetchrow("SELECT command_id, content_sealed FROM app.inbox")
    assert row is not None
    content = services.box.open(f"inbox:{row['command_id']}", row["content_sealed"])
    spoilt = services.box.seal(f"inbox:{row['command_id']}", content.replace(b'"reasons"', b'"raisins"'))
    await services.pool.execute("UPDATE app.inbox SET content_sealed = $1", spoilt)
    services.commands._breaker.answered()
    fine = await accepted(await stack.post(COUNTY, f"/v1/trainees/{number}/approve", {}))
    held.set()
    shown = await ended(stack, COUNTY, broken)
    assert (shown["state"], shown["error"], shown["outcome"]["status"]) == ("failed", "internal-error", 500)
    assert (await ended(stack, COUNTY, fine))["outcome"]["status"] == 200
    assert await commands_of(stack, number) == ["trainee.nominated", "nomination.approved"]


# ------------------------------------------------------------------------------------------------ what is kept, and how


async def test_nothing_that_is_kept_stands_in_the_clear(api: API) -> None:
    body = nomination(api, 33, person={"name": "欧阳独特"})
    await accepted(await api.post(SCHOOL, "/v1/nominations", body))
    known = ["欧阳独特", identity_number(33), body["person"]["telephone"], body["person"]["email"]]
    for table in ("app.operations", "app.inbox", "app.idempotency"):
        rows = await api.services.pool.fetch(f"SELECT t::text AS text FROM {table} t")
        assert rows
        assert found_in("".join(each["text"] for each in rows).encode(), known) == [], table


async def test_what_is_kept_is_sealed_anew_with_a_new_master_key(api: API, database_url: str, tmp_path: Path) -> None:
    await accepted(await api.post(SCHOOL, "/v1/nominations", nomination(api)))
    old = api.settings.master_key
    changed = settings_for(database_url, tmp_path, former_master_keys=old.get_secret_value())
    async with operator_pool(changed, min_size=1, max_size=2) as pool:
        rotated = await rotate_master_key(pool, changed)
    assert (rotated.resealed, rotated.unreadable) == (1, 0)
    row = await api.services.pool.fetchrow("SELECT command_id, content_sealed FROM app.inbox")
    assert row is not None
    box = SecretsBox(key_bytes(changed.master_key))
    opened = Inbox(api.services.pool, box).opened(row["command_id"], row["content_sealed"])
    assert (opened.command, opened.message.actor.organisation, opened.target.new) == ("nominate", SCHOOL, True)
    assert opened.target.deadline == api.plan.selection_deadline("county")


async def test_an_operation_of_another_kind_has_no_rows(api: API) -> None:
    id_ = uuid4()
    await api.services.pool.execute(
        "INSERT INTO app.operations (id, organisation, kind, total) VALUES ($1, $2, 'other', 1)", id_, COUNTY
    )
    response = await api.get(COUNTY, f"/v1/operations/{id_}/rows")
    assert (response.status_code, api.problem(response)) == (404, "unknown-number")


# ------------------------------------------------------------------------------------------------------- the breaker


def test_while_temporal_is_away_one_command_at_a_time_tries() -> None:
    now_s = 0.0
    breaker = Breaker(lambda: now_s)
    assert breaker.allows() and breaker.allows()
    breaker.unanswered("temporal-unavailable")
    assert not breaker.allows()
    now_s += commands.AWAY_S
    assert breaker.allows(), "one tries"
    assert not breaker.allows(), "and only one"
    breaker.unanswered("command-pending")
    assert not breaker.allows(), "it was of no avail"
    now_s += commands.AWAY_S
    assert breaker.allows()
    breaker.answered()
    assert breaker.allows() and breaker.allows()


def test_one_silent_case_keeps_nobody_else_from_trying() -> None:
    breaker = Breaker(lambda: 0.0)
    for _ in range(commands.SILENCES * 2):
        breaker.unanswered("command-pending")
        breaker.answered()
        assert breaker.allows()
    for _ in range(commands.SILENCES):
        assert breaker.allows()
        breaker.unanswered("command-pending")
    assert not breaker.allows(), "no worker answers anybody"
