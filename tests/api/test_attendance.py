"""Attendance through the front door: marks in bulk, late and twice, corrected, and asked for at completion."""

from typing import Any
from uuid import uuid4

from tests.api.front_door import API, COUNTY, HOST, OTHER_COUNTY, OTHER_HOST, SCHOOL, check_problem
from tests.api.test_class_changes import at, confirmed, done, notices, phase_of_class
from tests.api.test_classes import planned

SESSIONS = [
    {"day": day, "session": session, "units": 4}
    for day in ("2022-10-10", "2022-10-11")
    for session in ("morning", "afternoon")
]


async def mark(api: API, number: str, *rows: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    response = await api.post(HOST, f"/v1/classes/{number}/attendance", {"items": list(rows)}, **more)
    assert response.status_code == 207, response.text
    body = response.json()
    assert body["succeeded"] + body["failed"] == len(rows)
    items: list[dict[str, Any]] = body["items"]
    return items


def row(trainee: str, units: int = 4, **changes: Any) -> dict[str, Any]:
    return {"trainee": trainee, "day": "2022-10-10", "session": "morning", "units": units, **changes}


def outcomes(items: list[dict[str, Any]]) -> list[str]:
    return [each.get("result") or check_problem(each["problem"]) for each in items]


async def in_training(api: API) -> tuple[str, list[str]]:
    """A class with a timetable of two days on its first day, and two trainees who have arrived."""
    number = await planned(api)
    trainees = [await confirmed(api, counter, number) for counter in (1, 2)]
    await done(api, number, "set-timetable", {"sessions": SESSIONS})
    await api.go_to(at(10, 10, 10))
    await phase_of_class(api, number, "registration-open")
    rows = {"items": [{"trainee": each} for each in trainees]}
    assert (await api.post(HOST, f"/v1/classes/{number}/registrations", rows)).json()["failed"] == 0
    await done(api, number, "confirm-check-in")
    return number, trainees


async def test_case_29_marks_come_in_bulk_late_twice_and_each_has_its_result(asking: API) -> None:
    api = asking
    number, (first, second) = await in_training(api)
    noon, morning = "2022-10-10T04:00:00Z", "2022-10-10T01:00:00Z"
    key = str(uuid4())
    rows = [
        row(first, as_of=noon, source="scan"),
        row(second, 2, as_of=noon),
        row(first, as_of=noon, source="scan"),
        row(second, 0, as_of=morning),
        row(second, 5),
        row(second, session="night"),
        row("nobody"),
        row(first, day="2022-10-11"),
    ]
    expected = [
        "recorded",
        "recorded",
        "repeated",
        "older",
        "units-exceed-session",
        "session-unknown",
        "invalid-request",
        "too-early",
    ]
    items = await mark(api, number, *rows, key=key)
    assert outcomes(items) == expected
    assert items[4]["problem"]["errors"][0]["pointer"] == "/items/4/units"
    again = await mark(api, number, *rows, key=key)
    assert outcomes(again) == expected
    # Sent anew under another key nothing is new, so nothing is recorded.
    assert outcomes(await mark(api, number, *rows[:4])) == ["repeated", "repeated", "repeated", "older"]
    stream = await api.services.ledger.read_stream(api.plan.id, f"attendance/{number}/2022-10-10")
    assert [each.type for each in stream] == ["attendance.marked"]


async def test_a_retry_after_a_lost_answer_gets_the_first_results(asking: API) -> None:
    api = asking
    number, (first, second) = await in_training(api)
    key = str(uuid4())
    rows = [row(first), row(second, 5)]
    assert outcomes(await mark(api, number, *rows, key=key)) == ["recorded", "units-exceed-session"]
    # The answer that the front door keeps is lost; the ledger's own is not.
    await api.services.pool.execute("DELETE FROM app.idempotency")
    assert outcomes(await mark(api, number, *rows, key=key)) == ["recorded", "units-exceed-session"]
    assert len(await api.services.ledger.read_stream(api.plan.id, f"attendance/{number}/2022-10-10")) == 1


async def test_case_27_unknown_blocks_completion_and_case_30_corrections_carry_evidence(asking: API) -> None:
    api = asking
    number, (first, second) = await in_training(api)
    marks = [row(first), row(first, session="afternoon"), row(second), row(second, session="afternoon")]
    assert set(outcomes(await mark(api, number, *marks))) == {"recorded"}
    await api.go_to(at(10, 18))
    await phase_of_class(api, number, "closed")
    complete = {"centralised_days": 7, "hours": 50}
    blocked = await api.post(HOST, f"/v1/trainees/{first}/complete", complete)
    assert (blocked.status_code, api.problem(blocked)) == (409, "attendance-unknown")
    late = [row(first, day="2022-10-11"), row(first, day="2022-10-11", session="afternoon")]
    assert set(outcomes(await mark(api, number, *late))) == {"correction-without-evidence"}
    paper = [each | {"evidence": "签到表 1", "source": "paper"} for each in late]
    assert set(outcomes(await mark(api, number, *paper))) == {"recorded"}
    corrected = await notices(api, "attendance.corrected")
    assert [recipient for recipient, _ in corrected] == [COUNTY, SCHOOL, HOST]
    assert (await api.post(HOST, f"/v1/trainees/{first}/complete", complete)).json()["phase"] == "following-up"
    absent = [each | {"trainee": second, "units": 0, "evidence": "签到表 2"} for each in late]
    assert set(outcomes(await mark(api, number, *absent))) == {"recorded"}
    short = await api.post(HOST, f"/v1/trainees/{second}/complete", complete)
    assert (short.status_code, api.problem(short)) == (409, "attendance-short")


async def test_case_28_who_can_no_longer_pass_is_warned_once_and_case_31_both_sides_see_it(asking: API) -> None:
    api = asking
    number, (first, second) = await in_training(api)
    assert outcomes(await mark(api, number, row(first, 0), row(second))) == ["recorded", "recorded"]
    warned = await notices(api, "attendance.cannot_pass")
    assert [(recipient, body["data"]["trainees"]) for recipient, body in warned] == [
        (each, [first]) for each in (COUNTY, SCHOOL, HOST)
    ]
    await api.seen()
    await mark(api, number, row(first, 0, session="afternoon"))
    assert len(await notices(api, "attendance.cannot_pass")) == 3
    await api.seen()
    for reader in (HOST, COUNTY, SCHOOL):
        items = (await api.get(reader, f"/v1/classes/{number}/attendance")).json()["items"]
        assert [each["trainee"] for each in items] == [first, second]
        about = items[0]
        assert (about["held"], about["attended"], about["unauthorised"], about["to_come"]) == (8, 0, 8, 8)
        assert (about["rate"], about["can_pass"], items[1]["can_pass"]) == ("0.0%", False, True)
        assert (items[1]["unknown"], len(about["marks"])) == (4, 2)
    page = (await api.get(HOST, f"/v1/classes/{number}/attendance?limit=1")).json()
    rest = (await api.get(HOST, f"/v1/classes/{number}/attendance?limit=1&cursor={page['next']}")).json()
    assert [page["items"][0]["trainee"], rest["items"][0]["trainee"], rest["next"]] == [first, second, None]
    for stranger in (OTHER_HOST, OTHER_COUNTY):
        assert (await api.get(stranger, f"/v1/classes/{number}/attendance")).status_code == 404


async def test_case_25_a_granted_leave_is_no_missing_unit(asking: API) -> None:
    api = asking
    number, (first, _) = await in_training(api)
    leave = {"first_day": "2022-10-11", "last_day": "2022-10-11", "reason": "family"}
    assert (await api.post(SCHOOL, f"/v1/trainees/{first}/request-leave", leave)).status_code == 200
    assert (await api.post(HOST, f"/v1/trainees/{first}/grant-leave", {"leave": 1})).status_code == 200
    assert {recipient for recipient, _ in await notices(api, "leave.granted")} == {COUNTY, SCHOOL}
    assert set(outcomes(await mark(api, number, row(first), row(first, session="afternoon")))) == {"recorded"}
    await api.go_to(at(10, 18))
    await api.seen()
    about = (await api.get(HOST, f"/v1/classes/{number}/attendance")).json()["items"][0]
    assert (about["held"], about["attended"], about["authorised"], about["rate"]) == (16, 8, 8, "100.0%")
    complete = await api.post(HOST, f"/v1/trainees/{first}/complete", {"centralised_days": 7, "hours": 50})
    assert complete.json()["phase"] == "following-up"


async def test_attendance_is_the_hosts_own_and_of_its_own_classes(asking: API) -> None:
    api = asking
    number, (first, _) = await in_training(api)
    response = await api.post(OTHER_HOST, f"/v1/classes/{number}/attendance", {"items": [row(first)]})
    assert (response.status_code, api.problem(response)) == (404, "unknown-number")
    response = await api.post(COUNTY, f"/v1/classes/{number}/attendance", {"items": [row(first)]})
    assert (response.status_code, api.problem(response)) == (403, "not-your-part")
