"""Teachers' records through the front door: held, corrected, transferred, joined, forgotten."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson

from database import sealer_pool
from ledger.seal import Sealer, public_key_of
from ledger.verify import verify
from services.person_records import ErasureSweep
from settings import key_bytes
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_SCHOOL, SCHOOL
from tests.api.nominations import identity_number, nominated, nomination

DECIDED = {"decided_by": "b7", "document": "户籍证明 2022-17"}


async def person_of(api: API, number: str) -> str:
    return str((await api.get(BUREAU, f"/v1/trainees/{number}")).json()["person"]["id"])


async def done(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code in (200, 201), response.text
    body: dict[str, Any] = response.json()
    return body


async def restricted(api: API, counter: int, until: str = "2024-03-01", **person: str) -> str:
    """A teacher with an earlier restriction; the restriction's number."""
    body = {
        "campaign": api.plan.id,
        "person": {"name": "王小明", "identity_number": identity_number(counter)} | person,
        "starts": "2021-03-01",
        "until": until,
        "document": "郑教师函〔2021〕88号",
    }
    return str((await done(await api.post(BUREAU, "/v1/restrictions", body)))["number"])


async def find(api: API, number: str, **more: str) -> str | None:
    body = {"identity_number": number, **more}
    found: str | None = (await done(await api.post(BUREAU, "/v1/people/find", body)))["id"]
    return found


async def test_case_8_another_name_is_held_listed_and_decided_by_a_named_person(stack: API) -> None:
    first = await nominated(stack, 1)
    other = nomination(stack, 1, project_type="gp6", person={"name": "李小红"})
    number = (await done(await stack.post(COUNTY, "/v1/nominations", other)))["number"]
    person = await person_of(stack, number)
    assert person == await person_of(stack, first), "the number is one person's; nobody is merged"
    await done(await stack.post(COUNTY, f"/v1/trainees/{number}/approve"))
    refused = await stack.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST})
    assert stack.problem(refused) == "identity-under-review"
    await stack.seen()
    (row,) = (await done(await stack.get(BUREAU, "/v1/identity-reviews")))["items"]
    assert (row["number"], row["recorded_name"], row["given_name"]) == (number, "王小明", "李小红")
    assert row["identity_number"] == identity_number(1)[:4] + "**********" + identity_number(1)[-4:]
    assert stack.problem(await stack.get(COUNTY, "/v1/identity-reviews")) == "scope-missing"
    decision = {"finding": "new-name", "decided_by": "b7", "reasons": "户籍证明 3"}
    path = f"/v1/trainees/{number}/review-identity"
    assert stack.problem(await stack.post(COUNTY, path, decision)) == "not-your-part"
    await done(await stack.post(BUREAU, path, decision))
    shown = (await stack.get(SCHOOL, f"/v1/trainees/{first}")).json()
    assert shown["person"]["name"] == "李小红", "the new name is the person's"
    await done(await stack.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST}))
    await stack.seen()
    assert (await stack.get(BUREAU, "/v1/identity-reviews")).json()["items"] == []
    again = await stack.post(BUREAU, f"/v1/trainees/{number}/review-identity", decision)
    assert stack.problem(again) in ("no-identity-review", "not-allowed-in-phase")
    rows = await stack.services.pool.fetch("SELECT body FROM ledger.events")
    stored = b"".join(row["body"] for row in rows)
    assert orjson.dumps("李小红") not in stored and "李小红".encode() not in stored


async def test_case_8_a_number_that_is_not_his_ends_that_nomination_only(stack: API) -> None:
    first = await nominated(stack, 1)
    other = nomination(stack, 1, project_type="gp6", person={"name": "李小红"})
    number = (await done(await stack.post(COUNTY, "/v1/nominations", other)))["number"]
    decision = {"finding": "other-person", "decided_by": "b7", "reasons": "号码抄错"}
    receipt = await done(await stack.post(BUREAU, f"/v1/trainees/{number}/review-identity", decision))
    assert receipt["phase"] == "rejected"
    shown = (await stack.get(SCHOOL, f"/v1/trainees/{first}")).json()
    assert (shown["phase"], shown["person"]["name"]) == ("nominated", "王小明")


async def test_case_9_permits_are_accepted_by_their_kind_and_old_numbers_completed(stack: API) -> None:
    number = identity_number(3)
    old = number[:6] + number[8:17]
    first = (await done(await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 3))))["number"]
    again = nomination(stack, 3, project_type="gp6", person={"identity_number": old})
    second = (await done(await stack.post(SCHOOL, "/v1/nominations", again)))["number"]
    assert await person_of(stack, first) == await person_of(stack, second) == await find(stack, old)
    permit = {"identity_number": " h12345678", "identity_document": "hong-kong-macao-permit"}
    third = (await done(await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 4, person=permit))))["number"]
    assert await find(stack, "Ｈ1234567802", identity_document="hong-kong-macao-permit") == await person_of(
        stack, third
    )
    unnamed = nomination(stack, 5, person={"identity_number": "H12345678"})
    refused = await stack.post(SCHOOL, "/v1/nominations", unnamed)
    assert stack.problem(refused) == "invalid-identity-number"
    assert "hong-kong-macao-permit" in refused.json()["errors"][0]["remedy"]
    assert "H12345678" not in refused.text


async def test_cases_10_to_11_a_number_says_nothing_of_the_county_and_telephones_repeat(stack: API) -> None:
    elsewhere = identity_number(6, "110101")
    body = nomination(stack, 6, person={"identity_number": elsewhere, "telephone": "13800000000"})
    await done(await stack.post(SCHOOL, "/v1/nominations", body))
    same_telephone = nomination(stack, 7, person={"telephone": "13800000000"})
    await done(await stack.post(SCHOOL, "/v1/nominations", same_telephone))
    assert await find(stack, elsewhere) != await find(stack, identity_number(7))


async def test_case_12_a_correction_keeps_the_restriction_attached(stack: API) -> None:
    restriction = await restricted(stack, 5)
    person = await find(stack, identity_number(5))
    correction = {"identity_number": identity_number(50), "name": "王晓明", **DECIDED}
    record = await done(await stack.post(BUREAU, f"/v1/people/{person}/correct", correction))
    assert record["person"]["name"] == "王**"
    await stack.seen()
    record = (await stack.get(BUREAU, f"/v1/people/{person}")).json()
    assert [each["number"] for each in record["restrictions"]] == [restriction]
    assert await find(stack, identity_number(50)) == person
    assert await find(stack, identity_number(5)) is None
    corrected = nomination(stack, 50, person={"name": "王晓明"})
    assert stack.problem(await stack.post(SCHOOL, "/v1/nominations", corrected)) == "restricted-until"
    nothing = await stack.post(BUREAU, f"/v1/people/{person}/correct", {"name": "王晓明", **DECIDED})
    assert stack.problem(nothing) == "nothing-to-correct"
    await nominated(stack, 8)
    taken = {"identity_number": identity_number(8), **DECIDED}
    refused = await stack.post(BUREAU, f"/v1/people/{person}/correct", taken)
    assert stack.problem(refused) == "identity-number-taken"


async def test_case_13_and_15_what_was_nominated_stays_and_a_restriction_follows_the_person(stack: API) -> None:
    number = await nominated(stack, 1)
    person = await person_of(stack, number)
    await done(await stack.post(COUNTY, f"/v1/trainees/{number}/approve"))
    move = {"county": OTHER_COUNTY, "on": "2022-08-27", "document": "调动通知 9"}
    record = await done(await stack.post(BUREAU, f"/v1/people/{person}/transfer", move))
    assert record["county"] == OTHER_COUNTY
    shown = (await stack.get(BUREAU, f"/v1/trainees/{number}")).json()
    assert (shown["county"], shown["phase"]) == (COUNTY, "county-approved")
    assert (await stack.get(OTHER_COUNTY, f"/v1/trainees/{number}")).status_code == 404
    await stack.seen()
    used = (await stack.get(BUREAU, f"/v1/quotas?campaign={stack.plan.id}")).json()["items"]
    lines = {each["recipient"]: each["used"] for each in used if each["project_type"] == "gp5"}
    assert (lines[COUNTY], lines[OTHER_COUNTY]) == (1, 0)
    nowhere = await stack.post(BUREAU, f"/v1/people/{person}/transfer", move | {"county": "nowhere"})
    assert stack.problem(nowhere) == "invalid-request"
    # Restricted while he was in one county, nominated by another: only the date is told.
    restriction = await restricted(stack, 2)
    refused = await stack.post(OTHER_SCHOOL, "/v1/nominations", nomination(stack, 2))
    assert stack.problem(refused) == "restricted-until"
    assert "2024-03-01" in refused.json()["detail"]
    for secret in (restriction, COUNTY, "88号"):
        assert secret not in refused.text
    assert refused.json()["facts"] == {"blocked": {"until": "2024-03-01"}}
    assert refused.json()["rule_version"] == stack.plan.sha256()


async def test_case_74_two_records_of_one_teacher_count_for_one(stack: API) -> None:
    kept_number, double_number = await nominated(stack, 1), await nominated(stack, 2)
    kept, double = await person_of(stack, kept_number), await person_of(stack, double_number)
    restriction = await restricted(stack, 3)
    barred = await find(stack, identity_number(3))
    because = {"decided_by": "b7", "reasons": "同一人两证"}
    record = await done(await stack.post(BUREAU, f"/v1/people/{kept}/join", {"double": double, **because}))
    assert record["records"] == [kept, double]
    assert await find(stack, identity_number(1)) == await find(stack, identity_number(2)) == kept
    await stack.seen()
    record = (await stack.get(BUREAU, f"/v1/people/{kept}")).json()
    assert sorted(each["number"] for each in record["cases"]) == sorted([kept_number, double_number])
    assert (await stack.get(BUREAU, f"/v1/people/{double}")).json()["joined_into"] == kept
    # The double's nomination stands against a second one under the kept record's number.
    await done(await stack.post(SCHOOL, f"/v1/trainees/{kept_number}/withdraw", {"reason": "work"}))
    await stack.seen()
    refused = await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 1))
    assert stack.problem(refused) == "duplicate-nomination"
    # A restriction of a joined record bars the one that is kept, in the append itself.
    await done(await stack.post(BUREAU, f"/v1/people/{kept}/join", {"double": barred, **because}))
    await stack.seen()
    refused = await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 1, project_type="gp6"))
    assert stack.problem(refused) == "restricted-until"
    record = (await stack.get(BUREAU, f"/v1/people/{kept}")).json()
    assert [each["number"] for each in record["restrictions"]] == [restriction]
    again = await stack.post(BUREAU, f"/v1/people/{kept}/join", {"double": double, **because})
    assert stack.problem(again) == "record-joined"
    itself = await stack.post(BUREAU, f"/v1/people/{kept}/join", {"double": kept, **because})
    assert stack.problem(itself) == "same-person"
    unknown = "00000000-0000-4000-8000-000000000001"
    nobody = await stack.post(BUREAU, f"/v1/people/{unknown}/join", {"double": kept, **because})
    assert stack.problem(nobody) == "person-unknown"
    assert stack.problem(await stack.get(BUREAU, f"/v1/people/{unknown}")) == "person-unknown"


async def test_case_66_erasure_during_a_restriction_stores_only_until_it_ends(stack: API) -> None:
    await restricted(stack, 5, until="2022-09-05")
    person = await find(stack, identity_number(5))
    key = "erase-me"
    record = await done(await stack.post(BUREAU, f"/v1/people/{person}/erase", {"reason": "requested"}, key=key))
    assert (record["erasure"], record["person"]["name"]) == ("held", None)
    again = await done(await stack.post(BUREAU, f"/v1/people/{person}/erase", {"reason": "requested"}, key=key))
    assert again == record
    assert stack.problem(await stack.post(BUREAU, f"/v1/people/{person}/erase", {})) == "erasure-held"
    changed = await stack.post(BUREAU, f"/v1/people/{person}/correct", {"name": "王晓明", **DECIDED})
    assert stack.problem(changed) in ("erasure-held", "nothing-to-correct")
    refused = await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 5))
    assert stack.problem(refused) == "restricted-until", "what is only stored still bars"
    people = stack.services.people
    assert await people.sweep(await stack.services.clock.now()) == 0
    await stack.go_to(datetime(2022, 9, 6, tzinfo=UTC))
    while (await stack.get(BUREAU, f"/v1/people/{person}")).json()["restrictions"][0]["phase"] != "expired":
        await stack.seen()
    assert await people.sweep(await stack.services.clock.now()) == 1
    assert (await stack.get(BUREAU, f"/v1/people/{person}")).json()["erasure"] == "done"
    assert await find(stack, identity_number(5)) is None
    assert await people.sweep(await stack.services.clock.now()) == 0
    assert ErasureSweep(people, stack.services.clock) is not None


async def test_case_67_after_an_erasure_the_statistics_and_the_ledger_hold(stack: API) -> None:
    number = await nominated(stack, 1)
    await nominated(stack, 2)
    person = await person_of(stack, number)
    open_case = await stack.post(BUREAU, f"/v1/people/{person}/erase", {})
    assert stack.problem(open_case) == "case-still-open"
    await done(await stack.post(SCHOOL, f"/v1/trainees/{number}/withdraw", {"reason": "retired"}))
    await stack.seen()
    figures = (await stack.get(BUREAU, f"/v1/campaigns/{stack.plan.id}/figures")).json()
    bulletin = (await stack.get(BUREAU, f"/v1/bulletins?campaign={stack.plan.id}")).json()
    record = await done(await stack.post(BUREAU, f"/v1/people/{person}/erase", {"reason": "requested"}))
    assert record["erasure"] == "done"
    shown = (await stack.get(COUNTY, f"/v1/trainees/{number}")).json()
    assert (shown["phase"], shown["person"]["name"], shown["person"]["telephone"]) == ("withdrawn", None, None)
    assert (await stack.get(BUREAU, f"/v1/campaigns/{stack.plan.id}/figures")).json() == figures
    later = (await stack.get(BUREAU, f"/v1/bulletins?campaign={stack.plan.id}")).json()
    assert later["counties"] == bulletin["counties"]
    assert (await stack.get(BUREAU, f"/v1/trainees/{number}/explanation")).json()["facts_kept"] is True
    signing_key = key_bytes(stack.settings.signing_key)
    async with sealer_pool(stack.settings, min_size=1, max_size=2) as sealing:
        await Sealer(sealing, signing_key, "test", stack.settings.state_dir / "checkpoints").seal_due()
    reports = await verify(stack.services.pool, public_key_of(signing_key))
    assert {"people", stack.plan.id} <= {each.book for each in reports}
    assert all(each.problem is None for each in reports)
    assert stack.problem(await stack.post(BUREAU, f"/v1/people/{person}/erase", {})) == "person-erased"
    # Whoever bears the number is somebody new, and may be nominated.
    again = await nominated(stack, 1)
    assert await person_of(stack, again) != person


async def test_only_the_bureau_reads_and_changes_records(stack: API) -> None:
    person = await person_of(stack, await nominated(stack, 1))
    for organisation in (COUNTY, SCHOOL, HOST):
        assert (await stack.get(organisation, f"/v1/people/{person}")).status_code == 403
        body = {"identity_number": identity_number(1)}
        assert (await stack.post(organisation, "/v1/people/find", body)).status_code == 403
