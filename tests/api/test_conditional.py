"""Whoever decides on what he has read is told when it has changed meanwhile, and nobody is told so without need."""

import asyncio
from typing import Any

import httpx2

from api.conditional import REQUIRED
from api.permissions import commands_of_people
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_HOST, SCHOOL
from tests.api.nominations import identity_number, nominated, nomination
from tests.api.test_classes import planned
from tests.api.test_person_records import DECIDED, person_of


async def send(api: API, organisation: str, path: str, body: Any = None, *, tag: str = "", key: str = "") -> Any:
    """A request as it is, with this `If-Match` or without any."""
    headers = {"Authorization": f"Bearer {api.keys[organisation]}", "Idempotency-Key": key or f"{path} {tag}".strip()}
    headers["Idempotency-Key"] = headers["Idempotency-Key"].replace(" ", "-").replace('"', "")
    if tag:
        headers["If-Match"] = tag
    return await api.http.post(path, json=body or {}, headers=headers)


def test_what_needs_a_version_is_a_command_that_somebody_sends() -> None:
    for process, commands in REQUIRED.items():
        assert commands <= commands_of_people(process).keys(), process


async def test_a_decision_on_what_has_changed_meanwhile_is_refused_and_changes_nothing(stack: API) -> None:
    """The county looks, gives it back in another window, the school hands it in again; then the first window."""
    number = await nominated(stack)
    path = f"/v1/trainees/{number}"
    first = (await stack.get(COUNTY, path)).headers["etag"]
    await stack.post(COUNTY, f"{path}/return", {"reason": "材料不全"})
    resubmitted = await stack.post(SCHOOL, f"{path}/resubmit", {})
    assert resubmitted.status_code == 200, resubmitted.text
    before = await stack.recorded()
    stale = await send(stack, COUNTY, f"{path}/approve", tag=first)
    assert (stale.status_code, stack.problem(stale)) == (412, "changed-meanwhile")
    assert stale.json()["facts"] == {"changed_meanwhile": {"version": resubmitted.json()["version"]}}
    assert "again" in stale.json()["errors"][0]["remedy"]
    assert await stack.recorded() == before
    again = await send(stack, COUNTY, f"{path}/approve", tag=first)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (412, "true")
    newest = (await stack.get(COUNTY, path)).headers["etag"]
    approved = await send(stack, COUNTY, f"{path}/approve", tag=newest)
    assert approved.json()["phase"] == "county-approved"


async def test_without_a_version_a_decision_is_not_taken_and_its_key_stays_free(stack: API) -> None:
    number = await nominated(stack)
    path = f"/v1/trainees/{number}"
    before = await stack.recorded()
    for tag in ("", "*", "  "):
        missing = await send(stack, COUNTY, f"{path}/approve", tag=tag, key="k1")
        assert (missing.status_code, stack.problem(missing)) == (428, "precondition-required")
        assert missing.json()["errors"][0]["parameter"] == "If-Match"
    assert await stack.recorded() == before
    tag = (await stack.get(COUNTY, path)).headers["etag"]
    assert (await send(stack, COUNTY, f"{path}/approve", tag=tag, key="k1")).status_code == 200


async def test_a_repetition_gets_its_answer_although_it_has_changed_the_version_itself(stack: API) -> None:
    number = await nominated(stack)
    path = f"/v1/trainees/{number}"
    tag = (await stack.get(COUNTY, path)).headers["etag"]
    first = await send(stack, COUNTY, f"{path}/approve", tag=tag)
    assert first.headers["etag"] == f'"{first.json()["version"]}"'
    for _ in range(2):
        again = await send(stack, COUNTY, f"{path}/approve", tag=tag)
        assert (again.status_code, again.content) == (200, first.content)
        # The second time only the ledger knows that it was done.
        await stack.services.pool.execute("DELETE FROM app.idempotency")
    events = (await stack.get(COUNTY, f"{path}/events")).json()["items"]
    assert [each["type"] for each in events] == ["trainee.nominated", "nomination.approved"]


async def test_of_many_who_decide_on_one_version_one_is_heard(stack: API) -> None:
    number = await planned(stack)
    path = f"/v1/classes/{number}"
    tag = (await stack.get(HOST, path)).headers["etag"]
    bodies = [{"capacity": 50 + counter} for counter in range(6)]
    answers = await asyncio.gather(
        *(send(stack, HOST, f"{path}/change-capacity", body, tag=tag, key=str(body)[-30:]) for body in bodies)
    )
    assert sorted(each.status_code for each in answers) == [200, 412, 412, 412, 412, 412], [
        each.text for each in answers
    ]
    (taken,) = [body for body, each in zip(bodies, answers, strict=True) if each.status_code == 200]
    assert (await stack.get(HOST, path)).json()["capacity"] == taken["capacity"]


async def test_where_no_version_is_needed_one_that_is_given_counts(stack: API) -> None:
    number = await planned(stack)
    path = f"/v1/classes/{number}"
    first = (await stack.get(HOST, path)).headers["etag"]
    await stack.post(HOST, f"{path}/change-capacity", {"capacity": 60})
    stale = await send(stack, HOST, f"{path}/announce", tag=first)
    assert stack.problem(stale) == "changed-meanwhile"
    assert (await send(stack, HOST, f"{path}/announce", key="k2")).status_code == 200
    stranger = await send(stack, OTHER_HOST, f"{path}/announce", tag='"2"', key="k3")
    assert stack.problem(stranger) == "unknown-number"


async def test_tags_are_taken_in_the_forms_in_which_they_come_back(stack: API) -> None:
    number = await planned(stack)
    path = f"/v1/classes/{number}/change-capacity"

    async def change(tag: str, capacity: int) -> httpx2.Response:
        body = {"capacity": capacity}
        return await send(stack, HOST, path, body, tag=tag, key=f"k{capacity}")  # type: ignore[no-any-return]

    for capacity, tag in enumerate(('"1"', 'W/"2"', "3", '"1", "4"', ' "7.0123abcd" ,W/"5"'), start=50):
        answer = await change(tag, capacity)
        assert answer.status_code == 200, (tag, answer.text)
    for capacity, tag in enumerate(('"x"', '"1', "1,2", '"-1"', '"1.5"', '""', '"' + "9" * 19 + '"'), start=80):
        answer = await change(tag, capacity)
        assert (answer.status_code, stack.problem(answer)) == (400, "malformed-request"), tag
    many = ", ".join(f'"{version}"' for version in range(11))
    assert stack.problem(await change(many, 90)) == "malformed-request"


async def test_where_a_version_means_nothing_it_is_refused_and_not_ignored(api: API) -> None:
    response = await api.post(SCHOOL, "/v1/nominations", nomination(api), headers={"If-Match": '"1"'})
    assert (response.status_code, api.problem(response)) == (422, "invalid-request")
    assert response.json()["errors"][0]["parameter"] == "If-Match"
    assert "`version`" in response.json()["errors"][0]["remedy"]
    read = await api.get(SCHOOL, "/v1/trainees", headers={"If-Match": '"1"'})
    assert read.status_code == 200


async def test_rows_carry_the_version_they_are_decided_on(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in (1, 2, 3)]
    await stack.post(COUNTY, f"/v1/trainees/{numbers[1]}/return", {"reason": "材料不全"})
    await stack.post(SCHOOL, f"/v1/trainees/{numbers[1]}/resubmit", {})
    rows = [{"trainee": numbers[0], "version": 1}, {"trainee": numbers[1], "version": 1}, {"trainee": numbers[2]}]
    answer = (await stack.post(COUNTY, "/v1/trainees/approve", {"items": rows})).json()
    assert [each["status"] for each in answer["items"]] == [200, 412, 200]
    problem = answer["items"][1]["problem"]
    assert (problem["errors"][0]["pointer"], problem["facts"]) == ("/items/1", {"changed_meanwhile": {"version": 3}})


async def test_a_tag_from_a_view_that_lags_is_stale_and_loses_nothing(api: API) -> None:
    path = f"/v1/institutions/{SCHOOL}"
    await api.seen()
    tag = (await api.get(COUNTY, path)).headers["etag"]
    first = await send(api, COUNTY, f"{path}/contact", {"email": "a@example.invalid"}, tag=tag)
    assert first.status_code == 200, first.text
    lagging = (await api.get(COUNTY, path)).headers["etag"]
    assert lagging == tag, "nothing has moved the views on"
    stale = await send(api, COUNTY, f"{path}/contact", {"email": "b@example.invalid"}, tag=lagging, key="k2")
    assert (stale.status_code, api.problem(stale)) == (412, "changed-meanwhile")
    await api.seen()
    shown = await api.get(COUNTY, path)
    assert (shown.json()["email"], shown.headers["etag"]) == ("a@example.invalid", first.headers["etag"])
    await api.services.pool.execute("DELETE FROM app.idempotency")
    again = await send(api, COUNTY, f"{path}/contact", {"email": "a@example.invalid"}, tag=tag)
    assert again.status_code == 200, "the ledger knows that it was done"


async def test_nothing_of_a_teacher_is_touched_by_a_stale_correction(stack: API) -> None:
    person = await person_of(stack, await nominated(stack))
    path = f"/v1/people/{person}"
    tag = (await stack.get(BUREAU, path)).headers["etag"]
    await stack.post(BUREAU, f"{path}/correct", {"name": "王晓明", **DECIDED})
    new_number = {"identity_number": identity_number(60), **DECIDED}
    stale = await send(stack, BUREAU, f"{path}/correct", new_number, tag=tag)
    assert stack.problem(stale) == "changed-meanwhile"
    for number, found in ((identity_number(1), person), (identity_number(60), None)):
        answer = await stack.post(BUREAU, "/v1/people/find", {"identity_number": number})
        assert answer.json()["id"] == found
    for command, body in (("erase", {}), ("transfer", {"county": "410182", "on": "2022-09-01", "document": "1"})):
        assert stack.problem(await send(stack, BUREAU, f"{path}/{command}", body, tag=tag)) == "changed-meanwhile"
    shown = (await stack.get(BUREAU, path)).json()
    assert (shown["version"], shown["county"], shown["erasure"]) == (2, "", "")


async def test_nobody_is_told_unchanged_while_a_teachers_particulars_are_not_what_they_were(stack: API) -> None:
    number = await nominated(stack)
    path = f"/v1/trainees/{number}"
    before = await stack.get(SCHOOL, path)
    unchanged = {"If-None-Match": before.headers["etag"]}
    assert (await stack.get(SCHOOL, path, headers=unchanged)).status_code == 304
    person = before.json()["person"]["id"]
    await stack.post(BUREAU, f"/v1/people/{person}/correct", {"telephone": "13900000000", **DECIDED})
    after = await stack.get(SCHOOL, path, headers=unchanged)
    assert (after.status_code, after.json()["person"]["telephone"]) == (200, "139******00")
    assert after.json()["version"] == before.json()["version"]
    approved = await send(stack, COUNTY, f"{path}/approve", tag=before.headers["etag"])
    assert approved.status_code == 200, "the nomination itself is what the county has read"


async def test_everything_with_a_stream_has_a_tag_that_says_when_it_is_unchanged(stack: API) -> None:
    number, training_class = await nominated(stack), await planned(stack)
    await stack.seen()
    person = await person_of(stack, number)
    for path in (
        f"/v1/trainees/{number}",
        f"/v1/classes/{training_class}",
        f"/v1/campaigns/{stack.plan.id}",
        f"/v1/quotas/{stack.plan.id}:gp5:{COUNTY}",
        f"/v1/institutions/{HOST}",
        f"/v1/people/{person}",
    ):
        first = await stack.get(BUREAU, path)
        tag = first.headers["etag"]
        assert tag.strip('"').split(".")[0] == str(first.json()["version"]), path
        for asked in (tag, f"W/{tag}", f'"0", {tag}', "*"):
            again = await stack.get(BUREAU, path, headers={"If-None-Match": asked})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), (path, asked)
        for asked in ('"0"', "nonsense", ""):
            assert (await stack.get(BUREAU, path, headers={"If-None-Match": asked})).content == first.content
