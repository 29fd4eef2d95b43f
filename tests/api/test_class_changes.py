"""A class whose plan is changed, through the front door: its trainees follow, their places too, everybody is told."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson

from domain.decision import Actor
from domain.numbers import class_seat_key
from projections import trainees as view
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_HOST, SCHOOL, check_problem
from tests.api.test_classes import planned, selected

PAUSE_S = 0.02
OF_BUREAU = Actor(organisation=BUREAU, role="bureau")
LATER = {"starts": "2022-11-14", "ends": "2022-11-20", "reason": "疫情"}


def at(month: int, day: int, hour: int = 2) -> datetime:
    return datetime(2022, month, day, hour, tzinfo=UTC)


async def confirmed(api: API, counter: int, training_class: str) -> str:
    """A trainee who is in the class and has said that he will come."""
    number = await selected(api, counter)
    response = await api.post(HOST, f"/v1/trainees/{number}/enroll", {"training_class": training_class})
    assert response.status_code == 200, response.text
    assert (await api.post(SCHOOL, f"/v1/trainees/{number}/confirm")).status_code == 200
    return number


async def done(api: API, number: str, command: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    response = await api.post(HOST, f"/v1/classes/{number}/{command}", body)
    assert response.status_code == 200, response.text
    receipt: dict[str, Any] = response.json()
    return receipt


async def told(api: API, number: str) -> dict[str, Any]:
    """The class once it has reached its trainees after the newest change."""
    while True:
        shown: dict[str, Any] = (await api.get(HOST, f"/v1/classes/{number}")).json()
        if shown["told_revision"] == shown["revision"]:
            return shown
        await asyncio.sleep(PAUSE_S)


async def phase_of_class(api: API, number: str, phase: str) -> None:
    while (await api.get(HOST, f"/v1/classes/{number}")).json()["phase"] != phase:
        await asyncio.sleep(PAUSE_S)


async def trainee(api: API, number: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await api.get(HOST, f"/v1/trainees/{number}")).json()
    return shown


async def taken(api: API, number: str) -> int:
    return (await api.services.ledger.counter(class_seat_key(number))).used


async def notices(api: API, topic: str) -> list[tuple[str, dict[str, Any]]]:
    """Who is told something of this type: recipient and body."""
    found = await api.services.pool.fetch(
        "SELECT recipient, body FROM ledger.outbox WHERE topic = $1 ORDER BY recipient, position", topic
    )
    bodies = [(record["recipient"], orjson.loads(record["body"])) for record in found]
    return [(recipient, body) for recipient, body in bodies if body["campaign"] == api.plan.id]


async def test_case_21_a_postponed_class_takes_its_trainees_along(stack: API) -> None:
    api = stack
    number = await planned(api)
    stays, leaves = [await confirmed(api, counter, number) for counter in (1, 2)]
    free = {"reason": "class_changed"}
    early = await api.post(SCHOOL, f"/v1/trainees/{leaves}/withdraw", free)
    assert (early.status_code, api.problem(early)) == (409, "class-not-changed")
    receipt = await done(api, number, "postpone", LATER)
    assert receipt["phase"] == "planned"
    shown = await told(api, number)
    assert (shown["starts"], shown["changes"], shown["revision"]) == ("2022-11-14", ["postponed"], 1)
    for each in (stays, leaves):
        state = await trainee(api, each)
        assert (state["phase"], state["starts"], state["ends"]) == ("enrolled", "2022-11-14", "2022-11-20")
    changed = await notices(api, "trainee.class_changed")
    assert [recipient for recipient, _ in changed] == [COUNTY, COUNTY, SCHOOL, SCHOOL]
    assert all((body["person"] is not None) == (recipient == SCHOOL) for recipient, body in changed)
    assert [recipient for recipient, _ in await notices(api, "class.postponed")] == [BUREAU]
    assert (await api.post(SCHOOL, f"/v1/trainees/{leaves}/withdraw", free)).json()["phase"] == "withdrawn"
    assert (await api.post(SCHOOL, f"/v1/trainees/{stays}/confirm")).json()["phase"] == "confirmed"
    assert await taken(api, number) == 1
    await api.seen()
    row = await view.get(api.services.pool, OF_BUREAU, leaves)
    assert row is not None
    assert (row.withdrawal_reason, row.class_changed_at is not None) == ("class_changed", True)


async def test_case_21_days_that_the_host_cannot_hold_are_not_the_trainees_failure(stack: API) -> None:
    api = stack
    number = await planned(api)
    first = await confirmed(api, 1, number)
    await api.go_to(at(10, 10))
    await phase_of_class(api, number, "registration-open")
    await api.post(HOST, f"/v1/classes/{number}/registrations", {"items": [{"trainee": first}]})
    begun = await api.post(HOST, f"/v1/classes/{number}/postpone", LATER)
    assert (begun.status_code, api.problem(begun)) == (409, "class-begun")
    await done(api, number, "confirm-check-in")
    await done(api, number, "go-online", {"centralised_days": 3, "reason": "疫情"})
    shown = await told(api, number)
    assert (shown["mode"], shown["centralised_days"]) == ("online", 3)
    ((recipient, body),) = await notices(api, "class.went_online")
    assert (recipient, body["data"]["days_short"]) == (BUREAU, 4)
    await api.go_to(at(10, 16))
    fail = await api.post(HOST, f"/v1/trainees/{first}/fail", {"reasons": ["days_short"]})
    assert (fail.status_code, api.problem(fail)) == (409, "host-shortfall")
    complete = await api.post(
        HOST, f"/v1/trainees/{first}/complete", {"centralised_days": 3, "online_days": 4, "hours": 50}
    )
    assert complete.json()["phase"] == "following-up"
    story = (await api.get(COUNTY, f"/v1/trainees/{first}/events")).json()["items"]
    assert next(each for each in story if each["type"] == "training.completed")["data"]["host_shortfall_days"] == 4


async def test_case_22_merged_classes_count_each_place_once_and_cancelled_ones_none(stack: API) -> None:
    api = stack
    merged, target, third = [await planned(api, capacity=2) for _ in range(3)]
    people = [await confirmed(api, 1, merged), await confirmed(api, 2, target)]
    people.append(await confirmed(api, 3, target))
    merge = {"into": target, "reason": "人数不足"}
    small = await api.post(HOST, f"/v1/classes/{merged}/merge", merge)
    assert (small.status_code, api.problem(small)) == (409, "class-too-small")
    await done(api, target, "change-capacity", {"capacity": 3})
    below = await api.post(HOST, f"/v1/classes/{target}/change-capacity", {"capacity": 1})
    assert api.problem(below) == "capacity-below-used"
    assert (await done(api, merged, "merge", merge))["phase"] == "merged"
    shown = await told(api, merged)
    assert (shown["closed"], shown["merged_into"]) == (True, target)
    assert {(await trainee(api, each))["training_class"] for each in people} == {target}
    assert (await trainee(api, people[0]))["phase"] == "confirmed"
    assert (await taken(api, merged), await taken(api, target)) == (0, 3)

    await done(api, target, "cancel", {"reason": "疫情"})
    assert (await told(api, target))["closed"]
    for each in people:
        state = await trainee(api, each)
        assert (state["phase"], state["training_class"]) == ("selected", "")
    assert await taken(api, target) == 0
    assert {recipient for recipient, _ in await notices(api, "trainee.place_lost")} == {COUNTY, SCHOOL}
    await api.seen()
    rows = [await view.get(api.services.pool, OF_BUREAU, each) for each in people]
    assert all(row is not None and row.class_cancelled_at is not None for row in rows)
    assert (await api.post(HOST, f"/v1/trainees/{people[0]}/enroll", {"training_class": third})).status_code == 200
    await api.seen()
    row = await view.get(api.services.pool, OF_BUREAU, people[0])
    assert row is not None and row.class_cancelled_at is None
    closed = await api.post(HOST, f"/v1/trainees/{people[1]}/enroll", {"training_class": target})
    assert api.problem(closed) == "class-closed"


async def test_case_22_a_split_moves_those_who_are_named(stack: API) -> None:
    api = stack
    number, other = await planned(api), await planned(api)
    goes, stays = [await confirmed(api, counter, number) for counter in (1, 2)]
    body = {"into": other, "trainees": [goes], "reason": "人数"}
    wrong = await api.post(HOST, f"/v1/classes/{number}/split", body | {"trainees": [f"{goes}9"]})
    assert (wrong.status_code, api.problem(wrong)) == (422, "trainees-not-in-class")
    await done(api, number, "split", body)
    await told(api, number)
    assert (await trainee(api, goes))["training_class"] == other
    assert (await trainee(api, stays))["training_class"] == number
    assert (await taken(api, number), await taken(api, other)) == (1, 1)
    moved = await api.post(HOST, f"/v1/trainees/{stays}/change-class", {"training_class": other})
    assert moved.json()["phase"] == "confirmed"
    assert (await taken(api, number), await taken(api, other)) == (0, 2)


async def test_case_40_a_late_list_leaves_every_absence_to_be_looked_into(stack: API) -> None:
    api = stack
    number = await planned(api)
    came, missing = [await confirmed(api, counter, number) for counter in (1, 2)]
    await api.go_to(at(10, 18))
    await phase_of_class(api, number, "closed")
    await done(api, number, "confirm-check-in")
    shown = (await api.get(HOST, f"/v1/classes/{number}")).json()
    while not shown["absences_recorded"]:
        await asyncio.sleep(PAUSE_S)
        shown = (await api.get(HOST, f"/v1/classes/{number}")).json()
    assert shown["check_in_late"]
    assert [(await trainee(api, each))["phase"] for each in (came, missing)] == ["confirmed", "confirmed"]
    late = await notices(api, "class.check_in_late")
    assert [(recipient, body["data"]["unregistered"]) for recipient, body in late] == [(HOST, 2), (BUREAU, 2)]
    assert (await api.post(HOST, f"/v1/trainees/{came}/register")).json()["phase"] == "in-training"
    bare = await api.post(HOST, f"/v1/trainees/{missing}/record-no-show")
    assert (bare.status_code, api.problem(bare)) == (422, "evidence-missing")
    evidence = {"document": "签到表 3"}
    assert (await api.post(HOST, f"/v1/trainees/{missing}/record-no-show", evidence)).json()["phase"] == "absent"
    # The host decides and the county answers for its teacher: both see it.
    assert COUNTY in [recipient for recipient, _ in await notices(api, "trainee.no_show")]


async def test_staff_hours_are_listed_and_exported(stack: API) -> None:
    api = stack
    number, other = await planned(api), await planned(api, OTHER_HOST)
    duties = [{"staff": "t-01", "duty": "design", "hours": 12}, {"staff": "t-07", "duty": "head", "hours": 20}]
    await done(api, number, "record-duties", {"duties": duties})
    foreign = await api.post(OTHER_HOST, f"/v1/classes/{other}/record-duties", {"duties": duties[:1]})
    assert foreign.status_code == 200, foreign.text
    name = await api.post(HOST, f"/v1/classes/{number}/record-duties", {"duties": [duties[0] | {"staff": "王老师"}]})
    assert api.problem(name) == "invalid-request"
    await api.seen()
    own = (await api.get(HOST, f"/v1/duties?campaign={api.plan.id}")).json()
    assert [(each["training_class"], each["duties"]) for each in own["items"]] == [(number, duties)]
    page = (await api.get(BUREAU, f"/v1/duties?campaign={api.plan.id}&limit=1")).json()
    rest = (await api.get(BUREAU, f"/v1/duties?campaign={api.plan.id}&limit=1&cursor={page['next']}")).json()
    assert [each["training_class"] for each in (*page["items"], *rest["items"])] == [number, other]
    assert rest["next"] is None
    file = await api.get(BUREAU, f"/v1/duties/export?campaign={api.plan.id}&format=csv")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    lines = file.text.removeprefix("\ufeff").splitlines()
    assert [each.rpartition(" ")[2] for each in lines[0].split(",")] == [
        *("training_class", "campaign", "host", "project_type", "duties.staff", "duties.duty", "duties.hours")
    ]
    assert lines[1] == f"{number},{api.plan.id},{HOST},gp5,t-01,design,12"
    assert len(lines) == 4
    refused = await api.get(COUNTY, "/v1/duties")
    assert (refused.status_code, check_problem(refused.json())) == (403, "not-your-part")


async def test_a_changed_class_of_another_host_does_not_exist(stack: API) -> None:
    number = await planned(stack)
    response = await stack.post(OTHER_HOST, f"/v1/classes/{number}/cancel", {"reason": "x"})
    assert (response.status_code, stack.problem(response)) == (404, "unknown-number")
    assert (await stack.get(OTHER_COUNTY, f"/v1/classes/{number}/attendance")).status_code == 404
