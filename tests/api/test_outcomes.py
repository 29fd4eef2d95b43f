"""Outcome and after through the front door: certificates that anybody verifies, days, corrections, a teacher's own
objection without an account, waivers, and a host that is suspended.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from domain.numbers import certificate_number
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_HOST, SCHOOL
from tests.api.nominations import nominated, nomination
from tests.api.test_lifecycle import at, done, planned_class

CORRECTION = {"decided_by": "b7", "reason": "名单有误", "document": "文件 5"}
DECISION = {"decided_by": "b7", "reasons": "事实清楚"}


async def registered(api: API, *counters: int) -> list[str]:
    """Trainees who have arrived at their class."""
    numbers = [await nominated(api, counter) for counter in counters]
    each: list[dict[str, Any]] = [{"trainee": number} for number in numbers]
    await api.post(COUNTY, "/v1/trainees/approve", {"items": each})
    await api.post(BUREAU, "/v1/trainees/approve", {"items": [row | {"host": HOST} for row in each]})
    class_number = await planned_class(api)
    placed = {"items": [row | {"training_class": class_number} for row in each]}
    await api.post(HOST, "/v1/trainees/enroll", placed)
    await api.post(SCHOOL, "/v1/trainees/confirm", {"items": each})
    await api.go_to(at(10, 10))
    arrived = await api.post(HOST, f"/v1/classes/{class_number}/registrations", {"items": each})
    assert arrived.json()["failed"] == 0, arrived.text
    return numbers


async def test_cases_51_to_55_a_certificate_resolves_for_ever_and_shows_no_more_than_it_must(stack: API) -> None:
    api = stack
    (number,) = await registered(api, 1)
    await api.go_to(at(10, 16))
    body = {"centralised_days": 7, "online_days": 2, "hours": 72}
    await done(await api.post(HOST, f"/v1/trainees/{number}/complete", body), "following-up")
    first = certificate_number(number, 1)
    own = (await api.get(SCHOOL, f"/v1/certificates/{first}")).json()
    assert (own["status"], own["trainee"], own["mode"], own["hours"]) == ("valid", number, "mixed", 72)
    assert (await api.get(OTHER_COUNTY, f"/v1/certificates/{first}")).status_code == 404
    assert (await api.get(SCHOOL, f"/v1/certificates/{certificate_number(number, 9)}")).status_code == 404
    # Anybody, without a key.
    verification = f"/v1/certificates/{first}/verification"
    shown = await api.http.get(f"{verification}?code={own['code']}")
    assert shown.status_code == 200, shown.text
    assert shown.json()["name"] == "王**" and shown.json()["dated"] == "2022-10-16"
    assert "410181" not in shown.text.replace(first, ""), "no identity number, no county"
    for wrong in ("aaaaaaaaaaaa", own["code"][:-1] + ("a" if own["code"][-1] != "a" else "b")):
        refused = await api.http.get(f"{verification}?code={wrong}")
        assert (refused.status_code, api.problem(refused)) == (404, "unknown-number")
    page = await api.http.get(urlsplit(own["verify_url"]).path + "?" + urlsplit(own["verify_url"]).query)
    assert page.status_code == 200 and "王**" in page.text and "王小明" not in page.text
    # A corrected name supersedes it, and a corrected outcome revokes what is valid by then.
    anew = {"reason": "name", "document": "文件 6"}
    await done(await api.post(HOST, f"/v1/trainees/{number}/reissue-certificate", anew))
    superseded = (await api.http.get(f"{verification}?code={own['code']}")).json()
    second = certificate_number(number, 2)
    assert (superseded["status"], superseded["successor"], superseded["dated"]) == ("superseded", second, "2022-10-16")
    taken_back = CORRECTION | {"becomes": "in-training"}
    await done(await api.post(BUREAU, f"/v1/trainees/{number}/correct", taken_back), "in-training")
    code = (await api.get(BUREAU, f"/v1/certificates/{second}")).json()["code"]
    revoked = (await api.http.get(f"/v1/certificates/{second}/verification?code={code}")).json()
    assert (revoked["status"], revoked["dated"]) == ("revoked", "2022-10-16")
    await _days(api, number)


async def _days(api: API, number: str) -> None:
    """The entries of the completion and of its reversal, for those concerned; the list is the bureau's."""
    days = (await api.get(COUNTY, f"/v1/trainees/{number}/training-days")).json()
    (cycle,) = days["cycles"]
    assert (cycle["cycle"], cycle["centralised_days"], cycle["hours"]) == ("2021-2025", 0, 0)
    assert [(each["kind"], each["hours"]) for each in cycle["entries"]] == [("credited", 72), ("reversed", -72)]
    hosts = await api.get(HOST, f"/v1/trainees/{number}/training-days")
    assert api.problem(hosts) == "not-your-part"
    assert (await api.get(OTHER_COUNTY, f"/v1/trainees/{number}/training-days")).status_code == 404
    await api.seen()
    below = (await api.get(BUREAU, "/v1/training-days?cycle=2021-2025&below=7")).json()["items"]
    assert [(each["person"], each["centralised_days"]) for each in below] == [(days["person"], 0)]
    assert api.problem(await api.get(COUNTY, "/v1/training-days?cycle=2021-2025")) == "scope-missing"


async def test_a_teacher_objects_without_an_account_through_a_link_of_one_purpose(stack: API) -> None:
    api = stack
    number, other = await registered(api, 1, 2)
    dismissal = {"reason": "conduct", "evidence": "记录 3"}
    for each in (number, other):
        await done(await api.post(HOST, f"/v1/trainees/{each}/dismiss", dismissal), "dismissed")
    restriction = f"{number}-r1"
    link_path = f"/v1/restrictions/{restriction}/objection-link"
    assert api.problem(await api.get(COUNTY, link_path)) == "not-allowed-in-phase"
    await done(await api.post(COUNTY, f"/v1/restrictions/{restriction}/serve", {"via": "mail"}), "served")
    # Edge case 41: it came back, so nothing has run; the school hands it over.
    failed = await api.post(SCHOOL, f"/v1/restrictions/{restriction}/fail-service", {"reason": "returned"})
    await done(failed, "proposed")
    await done(await api.post(COUNTY, f"/v1/restrictions/{restriction}/serve", {"via": "school"}), "served")
    assert (await api.get(OTHER_COUNTY, link_path)).status_code == 404
    url = (await api.get(COUNTY, link_path)).json()["url"]
    path = url.removeprefix("http://xunji.test")
    page = await api.http.get(path)
    assert page.status_code == 200 and restriction in page.text and "<form" in page.text
    assert "王" not in page.text, "whoever finds the link learns no name"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for wrong in ("", "statement=", "x=1", "statement=" + "a" * 5_000):
        assert (await api.http.post(path, content=wrong, headers=form)).status_code == 410, wrong[:20]
    tampered = path[:-2] + ("AA" if path[-2:] != "AA" else "BB")
    assert (await api.http.get(tampered)).status_code == 410
    filed = await api.http.post(path, data={"statement": "当日因病住院，有证明。"})
    assert filed.status_code == 200 and "异议已收到" in filed.text
    again = await api.http.post(path, data={"statement": "当日因病住院，有证明。"})
    assert again.status_code == 200, "the same, sent twice, is filed once"
    assert (await api.http.post(path, data={"statement": "另一份"})).status_code == 410
    shown = (await api.get(BUREAU, f"/v1/restrictions/{restriction}")).json()
    assert (shown["phase"], shown["objection"]) == ("objected", "当日因病住院，有证明。")
    assert (await api.get(COUNTY, f"/v1/restrictions/{restriction}")).json()["objection"] is None
    recorded = await api.services.ledger.read_stream("restrictions", f"restriction/{restriction}")
    assert "住院" not in repr([each.data for each in recorded])
    assert [each.actor for each in recorded][-1] == f"teacher:{restriction}:link"
    await _imposed_waived_and_reversed(api, restriction, number)


async def _imposed_waived_and_reversed(api: API, restriction: str, number: str) -> None:
    await api.go_to(at(11, 10))
    await done(await api.post(BUREAU, f"/v1/restrictions/{restriction}/impose", DECISION), "imposed")
    waiver = DECISION | {"document": "文件 3", "campaign": api.plan.id, "project_type": "gp1"}
    await done(await api.post(BUREAU, f"/v1/restrictions/{restriction}/waive", waiver), "imposed")
    assert api.problem(await api.post(COUNTY, f"/v1/restrictions/{restriction}/waive", waiver)) == "not-your-part"
    again = await api.post(BUREAU, f"/v1/restrictions/{restriction}/waive", waiver)
    assert api.problem(again) == "waiver-exists"
    shown = (await api.get(BUREAU, f"/v1/restrictions/{restriction}")).json()
    assert shown["waivers"] == [{"campaign": api.plan.id, "project_type": "gp1", "used_by": ""}]
    impossible = CORRECTION | {"becomes": "excused"}
    refused = await api.post(BUREAU, f"/v1/trainees/{number}/correct", impossible)
    assert api.problem(refused) == "correction-impossible"
    reversal = DECISION | {"document": "文件 8"}
    await done(await api.post(BUREAU, f"/v1/restrictions/{restriction}/reverse", reversal), "reversed")
    # The seat of a nomination is another matter: only the deadline is in its way now.
    await api.seen()
    late = await api.post(SCHOOL, "/v1/nominations", nomination(api, 1, project_type="gp1", rural=True))
    assert "restricted" not in late.text


async def test_a_suspended_host_plans_no_class_until_it_is_reinstated(stack: API) -> None:
    api = stack
    suspension = DECISION | {"document": "文件 9"}
    key = "the-same-request"
    answer = await api.post(BUREAU, f"/v1/institutions/{OTHER_HOST}/suspend", suspension, key=key)
    assert (answer.status_code, answer.json()["suspended"]) == (200, True), answer.text
    assert (await api.post(BUREAU, f"/v1/institutions/{OTHER_HOST}/suspend", suspension, key=key)).status_code == 200
    body = {
        "campaign": api.plan.id,
        "project_type": "gp5",
        "starts": "2022-10-10",
        "ends": "2022-10-16",
        "place": "A",
        "capacity": 20,
    }
    refused = await api.post(OTHER_HOST, "/v1/classes", body)
    assert (refused.status_code, api.problem(refused)) == (409, "host-suspended")
    assert re.search(r"h002", refused.text)
    assert (await api.post(HOST, "/v1/classes", body)).status_code == 201, "another host is not concerned"
    await api.seen()
    shown = (await api.get(COUNTY, f"/v1/institutions/{OTHER_HOST}")).json()
    assert shown["suspended_until"] == "2100-01-01"
    past = suspension | {"until": "2022-08-25"}
    backwards = await api.post(BUREAU, f"/v1/institutions/{OTHER_HOST}/suspend", past)
    assert api.problem(backwards) == "dates-out-of-order"
    assert (await api.post(BUREAU, f"/v1/institutions/{COUNTY}/suspend", suspension)).status_code == 404
    lifted = await api.post(BUREAU, f"/v1/institutions/{OTHER_HOST}/reinstate", DECISION)
    assert lifted.json()["suspended"] is False
    twice = await api.post(BUREAU, f"/v1/institutions/{OTHER_HOST}/reinstate", DECISION)
    assert api.problem(twice) == "not-suspended"
    assert (await api.post(OTHER_HOST, "/v1/classes", body)).status_code == 201


async def test_a_published_bulletin_is_read_as_it_was(api: API) -> None:
    missing = await api.get(BUREAU, f"/v1/bulletins/issued?campaign={api.plan.id}&kind=hosts&period=2022-09-24")
    assert (missing.status_code, api.problem(missing)) == (404, "unknown-number")
    wrong = await api.get(BUREAU, f"/v1/bulletins/issued?campaign={api.plan.id}&kind=schools")
    assert api.problem(wrong) == "invalid-request"
