"""Many rows in one request: each by itself, all or none, only tried, or more than a request can wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from temporalio.service import RPCError

from activities.dispatch import Dispatcher
from api import operations, receipts, rows_together
from ledger.errors import LedgerUnavailable
from services import judging
from tests.api.front_door import API, BUREAU, COUNTY, HOST, SCHOOL, check_problem
from tests.api.nominations import nominated, nomination
from tests.api.test_inbox import accepted, commands_of, ended

LOOK_S = 0.02
SEATS = 4
"""That the county has for the project type of these nominations."""


async def phases(api: API, numbers: list[str]) -> list[str]:
    return [(await api.get(COUNTY, f"/v1/trainees/{number}")).json()["phase"] for number in numbers]


def rows_of(numbers: list[str], **more: Any) -> dict[str, Any]:
    return {"items": [{"trainee": number, **more} for number in numbers]}


@contextlib.asynccontextmanager
async def dispatching(api: API) -> AsyncIterator[None]:
    """What appends ask for is started and woken, as a worker's process does it."""
    stop = asyncio.Event()
    dispatcher = Dispatcher(api.services.pool, await api.services.temporal.client(), task_queue=api.settings.task_queue)
    task = asyncio.create_task(dispatcher.run(stop))
    yield
    stop.set()
    await task


async def case_shows(api: API, number: str, phase: str) -> None:
    """Wait until the case's workflow knows the phase."""
    client = await api.services.temporal.client()
    while True:
        with contextlib.suppress(RPCError):
            # Until the workflow was started there is nothing to ask.
            case = await client.get_workflow_handle(f"trainee/{number}").query("case")
            if case is not None and case["phase"] == phase:
                return
        await asyncio.sleep(LOOK_S)


async def test_rows_share_a_commit_and_not_their_fate(stack: API) -> None:
    """Six approvals for four seats and one for nobody: each has its own answer, and workflows hear of theirs."""
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 3)]
    rows = rows_of([*numbers, "410181-nobody"])
    response = await stack.post(COUNTY, "/v1/trainees/approve", rows, key="p1")
    items = response.json()["items"]
    assert [each["status"] for each in items] == [200] * SEATS + [409, 409, 422], items
    sequences = [each["receipt"]["sequence"] for each in items[:SEATS]]
    assert sequences == list(range(sequences[0], sequences[0] + SEATS)), "one commit, in the order of the rows"
    assert check_problem(items[SEATS]["problem"]) == "quota-exhausted"
    assert items[SEATS]["number"] == numbers[SEATS]
    assert await phases(stack, numbers) == ["county-approved"] * SEATS + ["nominated"] * 2
    before = await stack.recorded()
    await stack.services.pool.execute("DELETE FROM app.idempotency")
    again = (await stack.post(COUNTY, "/v1/trainees/approve", rows, key="p1")).json()["items"]
    assert [each["status"] for each in again] == [each["status"] for each in items]
    assert await stack.recorded() == before, "carried out once"
    async with dispatching(stack):
        for number in numbers[:SEATS]:
            await case_shows(stack, number, "county-approved")
        client = await stack.services.temporal.client()
        handle = client.get_workflow_handle(f"trainee/{numbers[0]}")
        details: str = (await handle.query("__temporal_workflow_metadata")).current_details
        assert "- county-approved · read from the ledger\n- nominate · school:" in details
    single = await stack.post(BUREAU, f"/v1/trainees/{numbers[0]}/approve", {"host": HOST})
    assert (single.status_code, single.json()["version"]) == (200, 3)


async def test_rows_for_one_case_are_judged_one_after_the_other(stack: API) -> None:
    first, second = [await nominated(stack, counter) for counter in (1, 2)]
    rows = rows_of([first, second, first])
    items = (await stack.post(COUNTY, "/v1/trainees/approve", rows)).json()["items"]
    assert [each["status"] for each in items] == [200, 200, 403], items
    assert await phases(stack, [first, second]) == ["county-approved"] * 2


async def test_a_teacher_twice_in_one_request_is_nominated_once(stack: API) -> None:
    items = [nomination(stack, 1), nomination(stack, 1), nomination(stack, 2)]
    answers = (await stack.post(SCHOOL, "/v1/nominations", {"items": items})).json()["items"]
    assert [each["status"] for each in answers] == [201, 409, 201], answers
    assert check_problem(answers[1]["problem"]) == "duplicate-nomination"
    async with dispatching(stack):
        await case_shows(stack, answers[2]["number"], "nominated")


async def test_rows_need_no_temporal(stack: API) -> None:
    """The ledger decides; what has to run is started when there is something to start it."""
    stack.services.commands._breaker.unanswered("temporal-unavailable")
    items = [nomination(stack, counter) for counter in (1, 2)]
    answers = (await stack.post(SCHOOL, "/v1/nominations", {"items": items})).json()
    assert (answers["succeeded"], answers["failed"], answers["kept"]) == (2, 0, 0), answers
    stack.services.commands._breaker.answered()
    async with dispatching(stack):
        for each in answers["items"]:
            await case_shows(stack, each["number"], "nominated")


def before_the_append(api: API, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[Any]]) -> None:
    """Let something happen once, after cases were read and before what is decided on them is appended."""
    judge = api.services.judge
    bench_of, waiting = judge._bench, [happens]

    async def late(requests: Any) -> Any:
        bench = await bench_of(requests)
        if waiting:
            await waiting.pop()()
        return bench

    monkeypatch.setattr(judge, "_bench", late)


async def test_a_row_whose_case_moves_on_meanwhile_is_decided_by_its_workflow(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await nominated(stack, counter) for counter in (1, 2)]
    before_the_append(
        stack, monkeypatch, lambda: stack.post(SCHOOL, f"/v1/trainees/{first}/withdraw", {"reason": "ill"})
    )
    items = (await stack.post(COUNTY, "/v1/trainees/approve", rows_of([first, second, first]))).json()["items"]
    assert [each["status"] for each in items] == [409, 200, 409], items
    assert await phases(stack, [first, second]) == ["withdrawn", "county-approved"]


async def test_a_row_refused_for_what_is_over_meanwhile_is_decided_by_its_workflow(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await nominated(stack, counter) for counter in (1, 2)]
    returned = await stack.post(
        COUNTY, f"/v1/trainees/{first}/return", {"reason": "材料不全"}, headers={"If-Match": '"1"'}
    )
    assert returned.status_code == 200, returned.text
    before_the_append(stack, monkeypatch, lambda: stack.post(SCHOOL, f"/v1/trainees/{first}/resubmit"))
    items = (await stack.post(COUNTY, "/v1/trainees/approve", rows_of([first, second]))).json()["items"]
    assert [each["status"] for each in items] == [200, 200], items


async def test_rows_whose_commit_gave_no_answer_are_carried_out_once(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [await nominated(stack, counter) for counter in (1, 2)]
    ledger = stack.services.judge._ledger
    append, lost = ledger.append, {f"trainee/{number}" for number in numbers}

    async def silent(one: Any) -> Any:
        result = await append(one)
        if one.writes[0].stream in lost:
            lost.discard(one.writes[0].stream)
            raise LedgerUnavailable("the answer was lost")
        return result

    monkeypatch.setattr(ledger, "append", silent)
    items = (await stack.post(COUNTY, "/v1/trainees/approve", rows_of(numbers))).json()["items"]
    assert [(each["status"], each["receipt"]["version"]) for each in items] == [(200, 2)] * 2, items
    assert [len(await commands_of(stack, number)) for number in numbers] == [2, 2]


async def test_rows_that_take_too_long_to_judge_go_to_their_workflows(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [await nominated(stack, counter) for counter in (1, 2)]
    monkeypatch.setattr(judging, "PATIENCE_S", 0.0)
    items = (await stack.post(COUNTY, "/v1/trainees/approve", rows_of(numbers))).json()["items"]
    assert [each["status"] for each in items] == [200, 200], items


async def test_a_dry_run_says_what_every_row_would_come_to_and_changes_nothing(stack: API) -> None:
    """Six approvals for four seats: each is judged on what the ones before it would leave."""
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 3)]
    before = await stack.recorded()
    rows = rows_of([*numbers, numbers[0], "410181-nobody"])
    for _ in range(2):
        response = await stack.post(COUNTY, "/v1/trainees/approve?dry_run=true", rows)
        body = response.json()
        assert [each["status"] for each in body["items"]] == [200] * SEATS + [409, 409, 403, 422], body
        assert (body["succeeded"], body["failed"], body["kept"]) == (SEATS, 4, 0)
        assert all("receipt" not in each for each in body["items"])
        assert check_problem(body["items"][SEATS]["problem"]) == "quota-exhausted"
        assert body["items"][SEATS]["problem"]["errors"][0]["code"] == "quota_exhausted"
    assert await stack.recorded() == before
    assert await phases(stack, numbers) == ["nominated"] * len(numbers)
    # And it was right.
    sent = (await stack.post(COUNTY, "/v1/trainees/approve", rows_of(numbers[:SEATS]))).json()
    assert [each["status"] for each in sent["items"]] == [200] * SEATS


async def test_a_dry_run_of_nominations_makes_nobody_known(stack: API) -> None:
    await nominated(stack, 1)
    pool = stack.services.pool
    subjects = "SELECT count(*) FROM vault.subjects"
    before = (
        await stack.recorded(),
        await pool.fetchval(subjects),
        await pool.fetchval("SELECT count(*) FROM app.numbers"),
    )
    items = [nomination(stack, 2), nomination(stack, 1), nomination(stack, 3), nomination(stack, 4, stage="nonsense")]
    body = (await stack.post(SCHOOL, "/v1/nominations?dry_run=true", {"items": items})).json()
    assert [each["status"] for each in body["items"]] == [201, 409, 201, 422], body
    assert check_problem(body["items"][1]["problem"]) == "duplicate-nomination"
    assert all("number" not in each for each in body["items"])
    after = (
        await stack.recorded(),
        await pool.fetchval(subjects),
        await pool.fetchval("SELECT count(*) FROM app.numbers"),
    )
    assert after == before
    single = await stack.post(SCHOOL, "/v1/nominations?dry_run=true", nomination(stack, 2))
    assert (single.status_code, stack.problem(single)) == (422, "invalid-request")


async def test_atomic_rows_are_carried_out_together(stack: API) -> None:
    """All of them in one transaction; their workflows hear of it, and the same key gets the same answer."""
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 1)]
    rows = rows_of(numbers)
    first = await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows, key="a1")
    body = first.json()
    assert [each["status"] for each in body["items"]] == [200] * SEATS, body
    assert [each["receipt"]["version"] for each in body["items"]] == [2] * SEATS
    sequences = [each["receipt"]["sequence"] for each in body["items"]]
    assert sequences == list(range(sequences[0], sequences[0] + SEATS)), "one append, in the order of the rows"
    before = await stack.recorded()
    again = await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows, key="a1")
    assert again.content == first.content
    await stack.services.pool.execute("DELETE FROM app.idempotency")
    repeated = (await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows, key="a1")).json()
    assert [each["receipt"]["version"] for each in repeated["items"]] == [2] * SEATS
    assert await stack.recorded() == before, "carried out once"
    async with dispatching(stack):
        for number in numbers:
            await case_shows(stack, number, "county-approved")
    selected = await stack.post(BUREAU, f"/v1/trainees/{numbers[0]}/approve", {"host": HOST})
    assert (selected.status_code, selected.json()["version"]) == (200, 3)
    other = await stack.post(COUNTY, "/v1/trainees/approve", rows, key="a1")
    assert stack.problem(other) == "idempotency-key-reused", "the same rows, meant otherwise"


async def test_atomic_rows_of_which_one_is_refused_change_nothing(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 2)]
    before = await stack.recorded()
    for rows, failing in (
        (rows_of(numbers), {SEATS: 409}),
        (rows_of([numbers[0], "nobody", numbers[1]]), {1: 422}),
        (rows_of([numbers[0], numbers[1], numbers[0]]), {2: 403}),
    ):
        body = (await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows)).json()
        for item in body["items"]:
            assert item["status"] == failing.get(item["index"], 424), body
            assert check_problem(item["problem"]) != "" and item["problem"]["status"] == item["status"]
        assert (body["succeeded"], body["failed"]) == (0, len(rows["items"]))
    assert await stack.recorded() == before
    assert await phases(stack, numbers) == ["nominated"] * len(numbers)


async def test_atomic_nominations_begin_together_and_their_workflows_run(stack: API) -> None:
    items = [nomination(stack, counter) for counter in (1, 2, 3)]
    twice = (await stack.post(SCHOOL, "/v1/nominations?mode=atomic", {"items": [*items, items[0]]})).json()
    assert [each["status"] for each in twice["items"]] == [424, 424, 424, 409], twice
    assert check_problem(twice["items"][3]["problem"]) == "row-depends", "his first nomination registers him"
    assert "number" not in twice["items"][0]
    body = (await stack.post(SCHOOL, "/v1/nominations?mode=atomic", {"items": items})).json()
    assert [each["status"] for each in body["items"]] == [201] * 3, body
    async with dispatching(stack):
        for each in body["items"]:
            await case_shows(stack, each["number"], "nominated")


async def test_more_rows_than_a_request_waits_for_are_an_operation(stack: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MAX_ROWS", 3)
    monkeypatch.setattr("api.bulk.MAX_ROWS", 3)
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 1)]
    rows = rows_of([*numbers, "nobody"])
    response = await stack.post(COUNTY, "/v1/trainees/approve", rows, key="many")
    assert response.status_code == 202, response.text
    operation = response.json()
    assert (operation["kind"], operation["progress"]) == ("command", {"done": 1, "total": SEATS + 1})
    assert response.headers["location"] == f"/v1/operations/{operation['id']}"
    while operation["finished_at"] is None:
        await asyncio.sleep(LOOK_S)
        operation = (await stack.get(COUNTY, response.headers["location"])).json()
    assert (operation["state"], operation["progress"]["done"]) == ("done", SEATS + 1)
    items = (await stack.get(COUNTY, operation["result"])).json()["items"]
    assert [(each["index"], each["status"]) for each in items] == [*((n, 200) for n in range(SEATS)), (SEATS, 422)]
    assert items[-1]["problem"]["errors"][0]["pointer"].startswith(f"/items/{SEATS}")
    assert await phases(stack, numbers) == ["county-approved"] * SEATS
    again = await stack.post(COUNTY, "/v1/trainees/approve", rows, key="many")
    assert again.content == response.content


@pytest.fixture
def three_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than three rows are carried out after the answer."""
    monkeypatch.setattr(receipts, "MAX_ROWS", 3)
    monkeypatch.setattr("api.bulk.MAX_ROWS", 3)


async def came_to(api: API, response: httpx2.Response, kind: str) -> list[dict[str, Any]]:
    """The rows of an operation when it has ended."""
    assert response.status_code == 202, response.text
    assert response.json()["kind"] == kind
    shown = await ended(api, COUNTY, response.json()["id"])
    assert shown["progress"]["done"] == shown["progress"]["total"]
    items: list[dict[str, Any]] = (await api.get(COUNTY, shown["result"])).json()["items"]
    assert [each["index"] for each in items] == list(range(shown["progress"]["total"]))
    return items


@pytest.mark.usefixtures("three_are_many")
async def test_a_dry_run_of_very_many_rows_is_an_operation_that_holds_up_nobody(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 3)]
    before = await stack.recorded()
    rows = rows_of([*numbers, "nobody"])
    response = await stack.post(COUNTY, "/v1/trainees/approve?dry_run=true", rows, key="tried")
    assert not await stack.services.inbox.holds(f"trainee/{numbers[0]}", COUNTY), "nothing waits for what is tried"
    items = await came_to(stack, response, "dry-run")
    assert [each["status"] for each in items] == [200] * SEATS + [409, 409, 422]
    assert all(each["receipt"] is None for each in items)
    assert await stack.recorded() == before
    again = await stack.post(COUNTY, "/v1/trainees/approve?dry_run=true", rows, key="tried")
    assert again.content == response.content
    waiting = "SELECT count(*) FROM app.inbox WHERE content_sealed IS NOT NULL"
    assert await stack.services.pool.fetchval(waiting) == 0


@pytest.mark.usefixtures("three_are_many")
async def test_very_many_atomic_rows_are_carried_out_together_or_not_at_all(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 2)]
    before = await stack.recorded()
    for rows, failing in ((rows_of(numbers), {SEATS: 409}), (rows_of([*numbers[:SEATS], "nobody"]), {SEATS: 422})):
        refused = await came_to(
            stack, await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows), "atomic-rows"
        )
        assert [each["status"] for each in refused] == [failing.get(index, 424) for index in range(SEATS + 1)]
    assert await stack.recorded() == before
    rows = rows_of(numbers[:SEATS])
    items = await came_to(stack, await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows), "atomic-rows")
    assert [each["status"] for each in items] == [200] * SEATS
    sequences = [each["receipt"]["sequence"] for each in items]
    assert sequences == list(range(sequences[0], sequences[0] + SEATS)), "one transaction, in the order of the rows"
    assert await phases(stack, numbers) == ["county-approved"] * SEATS + ["nominated"]


@pytest.mark.usefixtures("three_are_many")
async def test_very_many_atomic_rows_wait_their_turn_and_are_not_overtaken(held: asyncio.Event, stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 1)]
    breaker = stack.services.commands._breaker
    breaker.unanswered("temporal-unavailable")
    first = await accepted(await stack.post(COUNTY, f"/v1/trainees/{numbers[0]}/waitlist"))
    response = await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows_of(numbers))
    location = response.headers["location"]
    while (await stack.get(COUNTY, location)).json()["state"] != "waiting":
        await asyncio.sleep(LOOK_S)
    breaker.answered()
    last = await accepted(await stack.post(COUNTY, f"/v1/trainees/{numbers[1]}/reject", {"reasons": ["other"]}))
    held.set()
    assert (await ended(stack, COUNTY, first))["outcome"]["status"] == 200
    items = await came_to(stack, response, "atomic-rows")
    assert [each["status"] for each in items] == [409] + [424] * (SEATS - 1), "the first one waits for a seat by then"
    assert (await ended(stack, COUNTY, last))["outcome"]["status"] == 200


@pytest.mark.usefixtures("three_are_many")
async def test_atomic_rows_of_a_process_that_dies_are_carried_out_once(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_down, failures = rows_together._write_down, [RuntimeError("died")]

    async def dying(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        await write_down(*arguments)

    monkeypatch.setattr(rows_together, "_write_down", dying)
    monkeypatch.setattr(operations, "RETRY_S", 0.05)
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 1)]
    rows = rows_of(numbers)
    items = await came_to(stack, await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows), "atomic-rows")
    assert not failures and [each["status"] for each in items] == [200] * SEATS
    assert [each["receipt"]["version"] for each in items] == [2] * SEATS
    assert [len(await commands_of(stack, number)) for number in numbers] == [2] * SEATS


@pytest.mark.usefixtures("three_are_many")
async def test_rows_that_meet_a_failure_of_ours_stand_in_nobodys_way(
    stack: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(stack.services.judge, "judge", broken)
    monkeypatch.setattr(operations, "RETRY_S", 0.01)
    monkeypatch.setattr(rows_together, "MAX_DEFECTS", 2)
    numbers = [await nominated(stack, counter) for counter in range(1, SEATS + 1)]
    response = await stack.post(COUNTY, "/v1/trainees/approve?mode=atomic", rows_of(numbers))
    items = await came_to(stack, response, "atomic-rows")
    assert [each["status"] for each in items] == [500] * SEATS
    shown = (await stack.get(COUNTY, response.headers["location"])).json()
    assert (shown["state"], shown["error"]) == ("failed", "internal-error")
    assert (await stack.post(COUNTY, f"/v1/trainees/{numbers[0]}/approve")).status_code == 200


async def test_atomic_rows_do_not_overtake_what_is_kept(api: API) -> None:
    kept = await api.post(SCHOOL, "/v1/nominations", nomination(api, 1))
    assert kept.status_code == 202, "without Temporal"
    response = await api.post(SCHOOL, "/v1/nominations?mode=atomic", {"items": [nomination(api, 2)]})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "earlier_commands_wait")
