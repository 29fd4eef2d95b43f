"""Bad input through the front door: refused with field and remedy, and nothing is lost or done by halves."""

from typing import Any

from tests.api.front_door import API, COUNTY, HOST, OTHER_HOST, check_problem
from tests.api.test_attendance import SESSIONS
from tests.api.test_class_changes import at, confirmed, done, phase_of_class
from tests.api.test_classes import CLASS, planned

REPORTS: dict[str, dict[str, Any]] = {
    "register": {},
    "record-no-show": {},
    "dismiss": {"reason": "misconduct", "evidence": "record 3"},
    "complete": {"centralised_days": 7, "hours": 50},
    "fail": {"reasons": ["attendance"]},
}


async def events(api: API, number: str) -> list[str]:
    return [each.type for each in await api.services.ledger.read_stream(api.plan.id, f"trainee/{number}")]


async def refused(api: API, by: str, path: str, body: dict[str, Any]) -> tuple[str, set[str]]:
    """The problem's slug and the fields that it names; the words are there in both languages."""
    response = await api.post(by, path, body)
    assert response.status_code in (409, 422), response.text
    document = response.json()
    assert document["errors"], document
    return check_problem(document), {each["pointer"] for each in document["errors"]}


IMPOSSIBLE_DATES = [
    ({"starts": "2021-10-10", "ends": "2021-10-16"}, "dates-outside-campaign"),
    ({"starts": "2022-10-16", "ends": "2022-10-10"}, "dates-out-of-order"),
    ({"starts": "9999-12-31", "ends": "9999-12-31"}, "invalid-request"),
    ({"starts": "2022-02-30", "ends": "2022-10-16"}, "invalid-request"),
]


async def test_a_class_on_impossible_dates_is_refused_and_none_is_planned(stack: API) -> None:
    for dates, slug in IMPOSSIBLE_DATES:
        found, fields = await refused(stack, HOST, "/v1/classes", {"campaign": stack.plan.id, **CLASS, **dates})
        assert found == slug and fields & {"/starts", "/ends"}, dates
    streams = await stack.services.ledger.streams(stack.plan.id, "class/")
    assert streams == []


async def test_impossible_amounts_and_times_are_refused_and_the_case_goes_on(stack: API) -> None:
    api = stack
    number = await planned(api)
    trainee = await confirmed(api, 1, number)
    await done(api, number, "set-timetable", {"sessions": SESSIONS})
    await api.go_to(at(10, 10, 10))
    await phase_of_class(api, number, "registration-open")
    assert (await api.post(HOST, f"/v1/trainees/{trainee}/register")).status_code == 200
    # Attendance: negative or too many units, and times before the day that they are about.
    mark = {"trainee": trainee, "day": "2022-10-10", "session": "morning", "units": 4}
    path = f"/v1/classes/{number}/attendance"
    rows = [
        mark | {"units": -1},
        mark | {"units": 5},
        mark | {"as_of": "2022-10-09T01:00:00Z"},
        mark | {"day": "2022-11-10"},
        mark,
    ]
    items = (await api.post(HOST, path, {"items": rows})).json()["items"]
    slugs = [each.get("result") or check_problem(each["problem"]) for each in items]
    assert slugs == ["invalid-request", "units-exceed-session", "mark-time-wrong", "session-unknown", "recorded"]
    # Outcomes: days that the class does not have, negative ones, an answer that is older than what it answers.
    await api.go_to(at(10, 16, 10))
    before = await events(api, trainee)
    complete = f"/v1/trainees/{trainee}/complete"
    assert await refused(api, HOST, complete, {"centralised_days": 70, "hours": 50}) == (
        "days-exceed-class",
        {"/centralised_days"},
    )
    assert (await refused(api, HOST, complete, {"centralised_days": 7, "hours": -50}))[1] == {"/hours"}
    answer = {"answer": "hospital", "said_on": "2021-12-01", "document": "letter 9"}
    assert await refused(api, COUNTY, f"/v1/trainees/{trainee}/record-late-answer", answer) == (
        "answer-dated-wrong",
        {"/said_on"},
    )
    assert await events(api, trainee) == before
    assert (await api.post(HOST, complete, {"centralised_days": 7, "hours": 50})).status_code == 200


async def test_two_hosts_report_one_trainee_and_only_his_own_is_heard(stack: API) -> None:
    api = stack
    number, other = await planned(api), await planned(api, OTHER_HOST)
    trainee = await confirmed(api, 1, number)
    await api.go_to(at(10, 10, 10))
    await phase_of_class(api, number, "registration-open")
    before = await events(api, trainee)
    for command, body in REPORTS.items():
        response = await api.post(OTHER_HOST, f"/v1/trainees/{trainee}/{command}", body)
        assert response.status_code in (403, 404), (command, response.text)
    rows = {"items": [{"trainee": trainee}]}
    for training_class in (number, other):
        response = await api.post(OTHER_HOST, f"/v1/classes/{training_class}/registrations", rows)
        assert response.status_code in (207, 403, 404), response.text
        assert response.status_code != 207 or response.json()["failed"] == 1
    assert await events(api, trainee) == before, "nothing of it is in the case"
    assert (await api.post(HOST, f"/v1/trainees/{trainee}/register")).status_code == 200
    assert (await events(api, trainee))[-1] == "trainee.registered"
