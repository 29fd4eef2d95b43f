"""The evidence of service: who sees what was served to whom, when and how, and which addresses do not work."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2

from activities.deliveries import UNDELIVERABLE
from api import deliveries
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_SCHOOL, SCHOOL
from tests.api.nominations import nominated
from tests.api.notices import tell
from tests.api.test_exports import cells

PROOF: dict[str, Any] = {
    "server": "mail.example.org:25",
    "reply": "2.0.0 Ok: queued as 4F5XYZ1",
    "content_digest": bytes(range(32)),
    "template": "0123456789abcdef",
}


async def log(api: API, notice: UUID, organisation: str, problem: str = "", **values: Any) -> None:
    """An entry of the log, as the mailbox writes it."""
    row = {
        "outbox_id": notice,
        "organisation": organisation,
        "channel": "person-mail",
        "endpoint": str(uuid4()),
        "attempt": 1,
        "status_code": 550 if problem else 250,
        "problem": problem,
        **values,
    }
    names, places = ", ".join(row), ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await api.services.pool.execute(f"INSERT INTO app.deliveries ({names}) VALUES ({places})", *row.values())


async def teacher(api: API, email: str) -> tuple[UUID, str]:
    """A person, and his address under his own key."""
    subject = await api.services.vault.subject_for(str(uuid4()))
    return subject.id, await api.services.vault.seal(subject.id, {"email": email})


def items(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


async def test_the_service_of_a_case_is_proved_to_its_parties_and_nobody_else(stack: API) -> None:
    api, number = stack, await nominated(stack, 1)
    person, sealed = await teacher(api, "wang@school.example.org")
    notice = await tell(api, SCHOOL, "trainee.enrolled", person, trainee=number)
    await tell(api, SCHOOL, "trainee.enrolled", trainee=f"{number}9")
    await log(api, notice, SCHOOL, recipient_sealed=sealed, **PROOF)
    await api.seen()
    path = f"/v1/trainees/{number}/deliveries"
    for reader in (SCHOOL, COUNTY, BUREAU):
        (shown,) = [each for each in items(await api.get(reader, path)) if each["type"] == "trainee.enrolled"]
        assert (shown["notice"], shown["to"], shown["organisation"]) == (str(notice), "teacher", SCHOOL)
        (way,) = shown["ways"]
        assert way["recipient"] == "w***@school.example.org"
        assert way["accepted_at"] is not None
        assert (way["server"], way["reply"]) == (PROOF["server"], PROOF["reply"])
        assert (way["content_sha256"], way["template"]) == (bytes(range(32)).hex(), PROOF["template"])
        assert (way["problem"], way["returned_at"]) == ("", None)
    for stranger in (OTHER_SCHOOL, OTHER_COUNTY, HOST):
        assert (await api.get(stranger, path)).status_code == 404
    reads = items(await api.get(BUREAU, f"/v1/personal-reads?person={person}"))
    assert {each["operation"] for each in reads} == {"list_trainee_deliveries"}, "who looked at it is written down"

    await api.services.vault.erase(person)
    (shown,) = [each for each in items(await api.get(COUNTY, path)) if each["type"] == "trainee.enrolled"]
    assert shown["ways"][0]["recipient"] is None, "the address goes with the person; that it was served stays"
    assert shown["ways"][0]["server"] == PROOF["server"]


async def test_the_list_holds_the_notices_of_the_callers_own_organisations(stack: API) -> None:
    api = stack
    person, sealed = await teacher(api, "wang@school.example.org")
    own = await tell(api, SCHOOL, "trainee.enrolled", person, trainee="t1")
    await log(api, own, SCHOOL, "the mail came back", recipient_sealed=sealed, status_code=250,
              bounced_at=datetime.now(UTC), bounce_status="5.1.1")  # fmt: skip
    other = await tell(api, OTHER_SCHOOL, "trainee.enrolled", trainee="t2")
    seen = {}
    for reader in (BUREAU, COUNTY, SCHOOL, OTHER_COUNTY, HOST):
        listed = items(await api.get(reader, "/v1/deliveries?limit=500"))
        seen[reader] = {each["notice"] for each in listed} & {str(own), str(other)}
        assert all(way["recipient"] is None for each in listed for way in each["ways"])
    assert seen == {
        BUREAU: {str(own), str(other)},
        COUNTY: {str(own)},
        SCHOOL: {str(own)},
        OTHER_COUNTY: {str(other)},
        HOST: set(),
    }
    (shown,) = items(await api.get(COUNTY, f"/v1/deliveries?notice={own}"))
    (way,) = shown["ways"]
    assert way["accepted_at"] is not None, "it was taken, and came back later"
    assert (way["problem"], way["returned_status"]) == ("the mail came back", "5.1.1")
    assert items(await api.get(COUNTY, f"/v1/deliveries?notice={other}")) == []
    first = (await api.get(BUREAU, "/v1/deliveries?limit=1")).json()
    second = (await api.get(BUREAU, f"/v1/deliveries?limit=1&cursor={first['next']}")).json()
    assert [each["items"][0]["notice"] for each in (first, second)] == [str(other), str(own)]
    await api.services.pool.execute("UPDATE ledger.outbox SET delivered_at = now() WHERE id = $1", other)
    waiting = items(await api.get(BUREAU, "/v1/deliveries?waiting=true"))
    assert str(own) in {each["notice"] for each in waiting}
    assert str(other) not in {each["notice"] for each in waiting}


async def test_addresses_that_do_not_work_are_listed_until_something_arrives(stack: API) -> None:
    api = stack
    person, _ = await teacher(api, "wang@school.example.org")
    another, _ = await teacher(api, "li@school.example.org")
    for problem in ("the recipient was refused", "its address was refused before"):
        notice = await tell(api, SCHOOL, "trainee.enrolled", person, trainee="t1")
        await log(api, notice, SCHOOL, problem, reply="5.1.1 <…>: unknown")
    fine = await tell(api, SCHOOL, "trainee.enrolled", another, trainee="t2")
    await log(api, fine, SCHOOL)
    roster = await tell(api, COUNTY, "nomination.received", trainee="t3")
    await log(api, roster, COUNTY, "the recipient was refused", channel="mail")

    path = "/v1/undeliverable-addresses"
    listed = {(each["organisation"], each["to"]): each for each in items(await api.get(BUREAU, path))}
    assert set(listed) == {(SCHOOL, "teacher"), (COUNTY, "organisation")}
    of_teacher = listed[SCHOOL, "teacher"]
    assert (of_teacher["notices"], of_teacher["data"]) == (2, {"trainee": "t1"})
    assert of_teacher["problem"] == "its address was refused before"
    assert "wang" not in str(listed)
    assert len(items(await api.get(COUNTY, path))) == 2
    assert [each["to"] for each in items(await api.get(SCHOOL, path))] == ["teacher"]
    assert items(await api.get(OTHER_COUNTY, path)) == []
    one = (await api.get(BUREAU, f"{path}?limit=1")).json()
    rest = (await api.get(BUREAU, f"{path}?limit=1&cursor={one['next']}")).json()
    assert {each["items"][0]["organisation"] for each in (one, rest)} == {SCHOOL, COUNTY}

    arrived = await tell(api, SCHOOL, "trainee.enrolled", person, trainee="t1")
    await log(api, arrived, SCHOOL)
    assert [each["to"] for each in items(await api.get(BUREAU, path))] == ["organisation"]


async def test_what_was_served_is_downloaded_with_the_scope_of_the_list(stack: API) -> None:
    own = await tell(stack, SCHOOL, "restriction.served", restriction="zz22-410181-00001-r1")
    await log(stack, own, SCHOOL, **PROOF)
    waiting = await tell(stack, SCHOOL, "nomination.returned", trainee="t1")
    rows = cells(await stack.get(COUNTY, "/v1/deliveries/export"))
    column = {heading.split(" ")[-1]: place for place, heading in enumerate(rows[0])}
    by_notice = {row[column["notice"]]: row for row in rows[1:]}
    assert by_notice[str(own)][column["ways.reply"]] == PROOF["reply"]
    assert by_notice[str(own)][column["ways.content_sha256"]] == bytes(range(32)).hex()
    assert by_notice[str(waiting)][column["ways.channel"]] == ""
    assert all(heading[0] != heading.split(" ")[-1][0] for heading in rows[0]), "each column is named in Chinese too"
    others = cells(await stack.get(OTHER_COUNTY, "/v1/deliveries/export"))
    assert {row[column["organisation"]] for row in others[1:]} <= {OTHER_COUNTY, OTHER_SCHOOL}
    before = await stack.get(COUNTY, "/v1/deliveries/export?before=2000-01-01T00:00:00Z")
    assert len(cells(before)) == 1


def test_what_counts_as_undeliverable_is_what_the_mailbox_writes() -> None:
    assert deliveries.UNDELIVERABLE == UNDELIVERABLE
