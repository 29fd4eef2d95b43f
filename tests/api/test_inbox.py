"""Temporal, its workers or the API itself are away: what was accepted is kept, done once, in order, and reported."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from api import commands
from api.draining import Drainer
from api.operations import OperationOut
from embedded.child_processes import LOOPBACK, Supervisor, free_port
from embedded.temporal import EmbeddedTemporal, find_binary
from services.recovery import recover
from temporal_client import data_converter
from tests.api import class_files
from tests.api.front_door import (
    API,
    BUREAU,
    COUNTY,
    HOST,
    OTHER_COUNTY,
    OTHER_SCHOOL,
    SCHOOL,
    check_problem,
    new_key,
    open_campaign,
    prepared,
    working,
)
from tests.api.nomination_files import finished
from tests.api.nominations import nominated, nomination
from tests.api.test_attendance import SESSIONS, mark, outcomes, row
from tests.api.test_class_changes import at, confirmed, phase_of_class
from tests.api.test_class_changes import done as done_with_class
from tests.api.test_classes import planned

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.02
MORNING = "2022-10-10T02:00:00Z"
SEATS = 4
"""That the county has for the project type of these nominations."""


@dataclass
class Mortal:
    """The API with a worker and an open campaign, on a Temporal server that a test may kill."""

    api: API
    server: EmbeddedTemporal

    async def kill(self) -> None:
        """The server is gone; what it knew stays on its disk."""
        assert self.server.child is not None
        await self.server.supervisor.kill(self.server.child)
        self.server.child = None


@pytest_asyncio.fixture
async def temporal(session_dir: Path) -> AsyncIterator[EmbeddedTemporal]:
    """A Temporal server of this test alone."""
    binary = find_binary()
    assert binary is not None
    place = session_dir / f"mortal-{uuid4().hex[:8]}"
    place.mkdir()
    server = EmbeddedTemporal(place / "temporal.db", Supervisor(place), binary, None, None)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def mortal(database_url: str, tmp_path: Path, temporal: EmbeddedTemporal) -> AsyncIterator[Mortal]:
    client = await Client.connect(temporal.address, data_converter=data_converter)
    async with prepared(database_url, tmp_path, temporal.address) as api, working(api, client):
        await open_campaign(api)
        yield Mortal(api, temporal)
        if temporal.child is None:
            await temporal.start()


async def accepted(response: httpx2.Response) -> str:
    """The operation of a command that was kept; checks that the answer is a whole one."""
    assert response.status_code == 202, response.text
    shown = OperationOut.model_validate_json(response.content)
    assert (shown.kind, shown.state, shown.progress.done, shown.progress.total) == ("command", "queued", 0, 1)
    assert shown.model_dump(mode="json") == response.json(), "as GET shows it"
    assert response.headers["location"] == f"/v1/operations/{shown.id}"
    assert int(response.headers["retry-after"]) > 0
    return str(shown.id)


async def ended(api: API, organisation: str, operation: str) -> dict[str, Any]:
    """The operation once it is done or failed."""
    while True:
        shown: dict[str, Any] = (await api.get(organisation, f"/v1/operations/{operation}")).json()
        if shown["finished_at"] is not None:
            return shown
        await asyncio.sleep(LOOK_S)


async def commands_of(api: API, number: str) -> list[str]:
    """The types of a nomination's events, each of which was appended by a command of its own."""
    events = await api.services.ledger.read_stream(api.plan.id, f"trainee/{number}")
    ids = [each.command_id for each in events]
    assert len(set(ids)) == len(ids)
    return [each.type for each in events]


def by_host(**more: Any) -> dict[str, Any]:
    return {"host": HOST, **more}


# ------------------------------------------------------------------------------------------------- the server is away


@pytest.mark.parametrize("is_lost", [False, True], ids=["killed", "lost with all it knew"])
async def test_what_comes_while_temporal_is_away_is_done_once_and_in_order(mortal: Mortal, *, is_lost: bool) -> None:
    """Thirty commands of two levels on ten nominations and of a school, then what no rule allows."""
    api = mortal.api
    numbers = [await nominated(api, counter) for counter in range(1, 11)]
    await (mortal.server.lose() if is_lost else mortal.kill())
    sent: list[tuple[str, str, httpx2.Response, dict[str, str], Any]] = []

    async def send(organisation: str, path: str, body: Any = None, version: int | None = None) -> str:
        """`version` is the one that the case will have by then; whoever names none has read it now."""
        headers = {"Idempotency-Key": str(uuid4())} | ({"If-Match": f'"{version}"'} if version else {})
        response = await api.post(organisation, path, body, headers=headers)
        sent.append((organisation, path, response, headers, body))
        return await accepted(response)

    for counter, number in enumerate(numbers):
        await send(COUNTY, f"/v1/trainees/{number}/approve", {})
        await send(BUREAU, f"/v1/trainees/{number}/approve", by_host(), version=2)
        await send(SCHOOL, "/v1/nominations", nomination(api, 100 + counter))
    stale = await send(COUNTY, f"/v1/trainees/{numbers[0]}/reject", {"reasons": ["other"]})
    refused = await send(COUNTY, f"/v1/trainees/{numbers[0]}/reject", {"reasons": ["other"]}, version=3)
    twice = await send(SCHOOL, "/v1/nominations", nomination(api, 100))

    shown = await api.get(COUNTY, f"/v1/trainees/{numbers[0]}")
    assert (shown.status_code, shown.json()["phase"]) == (200, "nominated"), "reads go on"
    ready = (await api.http.get("/v1/readyz")).json()
    assert (ready["status"], ready["away"], ready["kept"]["count"]) == ("degraded", ["temporal"], 33)
    for organisation, path, response, headers, body in sent:
        again = await api.post(organisation, path, body, headers=headers)
        assert (again.status_code, again.content) == (202, response.content)
    assert await api.services.pool.fetchval("SELECT count(*) FROM app.inbox") == 33

    await mortal.server.start()
    if is_lost:
        await recover(api.settings)
    shown_operations = [await ended(api, each[0], each[2].json()["id"]) for each in sent]
    outcomes = [each["outcome"] for each in shown_operations]
    assert [each["state"] for each in shown_operations] == ["done"] * 33
    # The county has four seats: its commands were handled in their order, and the bureau's after them, or two of the
    # first four would have nothing.
    assert [each["status"] for each in outcomes[:30:3]] == [200] * SEATS + [409] * (10 - SEATS)
    assert [each["status"] for each in outcomes[1:30:3]] == [200] * SEATS + [412] * (10 - SEATS)
    assert [each["status"] for each in outcomes[2:30:3]] == [201] * 10
    for place, number in enumerate(numbers):
        approved = ["nomination.approved"] * 2 if place < SEATS else []
        assert await commands_of(api, number) == ["trainee.nominated", *approved]
        phase = "selected" if place < SEATS else "nominated"
        assert (await api.get(COUNTY, f"/v1/trainees/{number}")).json()["phase"] == phase
    new = [each["number"] for each in outcomes[2:30:3]]
    assert new == sorted(new)
    streams = [(await api.services.ledger.read_stream(api.plan.id, f"trainee/{each}")) for each in new]
    assert [len(each) for each in streams] == [1] * 10
    sequences = [each[0].sequence for each in streams]
    assert sequences == sorted(sequences), "in the order in which the school has sent them"
    for operation, organisation, status, slug in (
        (stale, COUNTY, 412, "changed-meanwhile"),
        (refused, COUNTY, 403, "not-your-part"),
        (twice, SCHOOL, 409, "duplicate-nomination"),
    ):
        outcome = (await ended(api, organisation, operation))["outcome"]
        assert check_problem({k: v for k, v in outcome["problem"].items() if v is not None}) == slug
        assert outcome["status"] == outcome["problem"]["status"] == status
    for organisation, path, response, headers, body in sent[:3]:
        again = await api.post(organisation, path, body, headers=headers)
        assert (again.status_code, again.content) == (202, response.content), "the same key, the same answer"
    await wait_until_ready(api)
    again = await api.post(COUNTY, f"/v1/trainees/{new[0]}/reject", {"reasons": ["other"]})
    assert again.status_code == 200, "and now at once, as ever"


async def wait_until_ready(api: API) -> None:
    while (await api.http.get("/v1/readyz")).json() | {"lag": 0, "lag_seconds": 0} != {
        "status": "ready",
        "away": [],
        "kept": {"count": 0, "oldest_seconds": None},
        "lag": 0,
        "lag_seconds": 0,
        "parked": 0,
    }:
        await asyncio.sleep(LOOK_S)


async def test_a_later_command_does_not_overtake_a_kept_one(held: asyncio.Event, mortal: Mortal) -> None:
    """Temporal is back and nothing has been drained yet: whoever has something waiting goes on waiting."""
    api = mortal.api
    first, second, third = [await nominated(api, counter) for counter in (1, 2, 3)]
    other = await api.post(OTHER_SCHOOL, "/v1/nominations", nomination(api, 4, person={"name": "李明明"}))
    assert other.status_code == 201, other.text
    await mortal.kill()
    kept = await accepted(await api.post(COUNTY, f"/v1/trainees/{first}/approve", {}))
    await mortal.server.start()
    api.services.commands._breaker.answered()
    after_the_county = {"If-Match": '"2"'}
    same_process = await accepted(
        await api.post(BUREAU, f"/v1/trainees/{first}/approve", by_host(), headers=after_the_county)
    )
    same_organisation = await accepted(await api.post(COUNTY, f"/v1/trainees/{second}/approve", {}))
    # The bureau has something waiting now, too. Somebody else's command for somebody else's case goes through.
    number = other.json()["number"]
    assert (await api.post(OTHER_COUNTY, f"/v1/trainees/{number}/approve", {})).status_code == 200
    rows = (await api.post(COUNTY, "/v1/trainees/approve", {"items": [{"trainee": third}]})).json()
    assert [each["status"] for each in rows["items"]] == [202]
    held.set()
    for organisation, operation in ((COUNTY, kept), (BUREAU, same_process), (COUNTY, same_organisation)):
        assert (await ended(api, organisation, operation))["outcome"]["status"] == 200
    assert (await api.get(COUNTY, f"/v1/trainees/{first}")).json()["phase"] == "selected"


async def test_rows_are_kept_under_one_operation_in_their_lanes(mortal: Mortal) -> None:
    api = mortal.api
    numbers = [await nominated(api, counter) for counter in (1, 2, 3)]
    await mortal.kill()
    await accepted(await api.post(COUNTY, f"/v1/trainees/{numbers[2]}/approve", {}))
    rows = [{"trainee": numbers[0]}, {"trainee": "nobody"}, {"trainee": numbers[1]}, {"trainee": numbers[0]}]
    response = await api.post(COUNTY, "/v1/trainees/approve", {"items": rows}, key="rows")
    body = response.json()
    assert (body["succeeded"], body["failed"], body["kept"]) == (0, 1, 3)
    assert [each["status"] for each in body["items"]] == [202, 422, 202, 202]
    (location,) = {each["operation"] for each in body["items"] if each["status"] == 202}
    operation = (await api.get(COUNTY, location)).json()
    assert (operation["progress"], operation["outcome"]) == ({"done": 0, "total": 3}, None)
    waiting = (await api.get(COUNTY, operation["result"])).json()["items"]
    assert [(each["index"], each["status"]) for each in waiting] == [(0, 202), (2, 202), (3, 202)]
    assert (await api.get(OTHER_COUNTY, location)).status_code == 404
    assert (await api.get(OTHER_COUNTY, operation["result"])).status_code == 404

    await mortal.server.start()
    await ended(api, COUNTY, operation["id"])
    first = (await api.get(COUNTY, operation["result"], params={"limit": 2})).json()
    rest = (await api.get(COUNTY, operation["result"], params={"cursor": first["next"]})).json()
    items = first["items"] + rest["items"]
    assert [(each["index"], each["status"]) for each in items] == [(0, 200), (2, 200), (3, 403)]
    assert items[2]["problem"]["errors"][0]["code"] == "not_your_part", "the first row of a trainee was done first"
    assert rest["next"] is None
    again = await api.post(COUNTY, "/v1/trainees/approve", {"items": rows}, key="rows")
    assert again.content == response.content


async def test_attendance_is_recorded_while_temporal_is_away(mortal: Mortal) -> None:
    """Only what rests on a kept registration is asked for once more, under the same key; a file waits by itself."""
    api = mortal.api
    number = await planned(api)
    here, kept = [await confirmed(api, counter, number) for counter in (1, 2)]
    await done_with_class(api, number, "set-timetable", {"sessions": SESSIONS})
    await api.go_to(at(10, 10, 10))
    await phase_of_class(api, number, "registration-open")
    assert (await api.post(HOST, f"/v1/trainees/{here}/register")).status_code == 200
    await mortal.kill()
    registration = await accepted(await api.post(HOST, f"/v1/trainees/{kept}/register"))
    rows = [row(here, as_of=MORNING), row(kept, as_of=MORNING), row(here, 9, as_of=MORNING)]
    for _ in range(2):
        items = await mark(api, number, *rows, key="marks")
        assert outcomes(items) == ["recorded", "command-pending", "units-exceed-session"]
        assert (items[1]["status"], items[1]["problem"]["errors"][0]["code"]) == (503, "earlier_commands_wait")
        stream = await api.services.ledger.read_stream(api.plan.id, f"attendance/{number}/2022-10-10")
        assert [each.type for each in stream] == ["attendance.marked"], "without Temporal, and once"
    file = f"学员编号,日期,时段,学时\n{kept},2022-10-10,下午,4\n".encode()
    sent = await class_files.send(api, "attendance", number, file, media_type="text/csv")
    while (await api.get(HOST, sent.headers["location"])).json()["state"] != "waiting":
        await asyncio.sleep(LOOK_S)
    await mortal.server.start()
    assert (await ended(api, HOST, registration))["outcome"]["status"] == 200
    items = await mark(api, number, *rows, key="marks")
    assert outcomes(items) == ["repeated", "recorded", "units-exceed-session"]
    assert outcomes(await mark(api, number, *rows, key="marks")) == outcomes(items), "that was the last word"
    assert (await finished(api, sent, HOST))["succeeded"] == 1


async def test_a_command_whose_answer_was_lost_is_not_done_again(mortal: Mortal) -> None:
    """It was carried out, and its answer did not come back: kept under its id, it gets the first answer."""
    api = mortal.api
    number = await nominated(api, 1)
    done = await api.post(COUNTY, f"/v1/trainees/{number}/approve", {}, key="a1")
    await api.services.pool.execute("DELETE FROM app.idempotency")
    await mortal.kill()
    operation = await accepted(await api.post(COUNTY, f"/v1/trainees/{number}/approve", {}, key="a1"))
    before = await api.recorded()
    await mortal.server.start()
    outcome = (await ended(api, COUNTY, operation))["outcome"]
    assert (outcome["status"], outcome["receipt"]) == (200, done.json() | {"sequence": outcome["receipt"]["sequence"]})
    assert await api.recorded() == before


async def test_a_kept_command_of_a_revoked_key_is_refused(held: asyncio.Event, stack: API) -> None:
    api = stack
    number = await nominated(api, 1)
    api.keys["stolen"] = await new_key(api.services, COUNTY, "county")
    api.services.commands._breaker.unanswered("temporal-unavailable")
    operation = await accepted(await api.post("stolen", f"/v1/trainees/{number}/reject", {"reasons": ["other"]}))
    key_id = api.keys["stolen"].split("_")[1]
    revoked = await api.call(BUREAU, "DELETE", f"/v1/institutions/{COUNTY}/keys/{key_id}")
    assert revoked.status_code == 204, "keys are revoked while Temporal is away"
    held.set()
    outcome = (await ended(api, COUNTY, operation))["outcome"]
    assert (outcome["status"], outcome["problem"]["errors"][0]["code"]) == (401, "key_revoked")
    assert await commands_of(api, number) == ["trainee.nominated"]


# --------------------------------------------------------------------------------------------------- the worker is away


async def test_without_a_worker_commands_wait_for_one(
    database_url: str, tmp_path: Path, temporal: EmbeddedTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "PATIENCE_S", 0.5)
    client = await Client.connect(temporal.address, data_converter=data_converter)
    async with prepared(database_url, tmp_path, temporal.address) as api:
        opened = await api.call(
            BUREAU,
            "POST",
            "/v1/campaigns",
            headers={"Content-Type": "application/yaml"},
            content=api.plan.canonical(),
        )
        await accepted(opened)
        ready = (await api.http.get("/v1/readyz")).json()
        assert (ready["status"], ready["away"], ready["kept"]["count"]) == ("degraded", ["workers"], 1)
        kept = [
            await accepted(await api.post(SCHOOL, "/v1/nominations", nomination(api, counter))) for counter in (1, 2, 3)
        ]
        while (await api.get(SCHOOL, f"/v1/operations/{kept[0]}")).json()["state"] != "waiting":
            await asyncio.sleep(LOOK_S)
        shown = await api.get(SCHOOL, f"/v1/operations/{kept[0]}")
        assert (shown.json()["error"], shown.headers["retry-after"]) == ("command-pending", "5")
        async with working(api, client):
            for operation in kept:
                outcome = (await ended(api, SCHOOL, operation))["outcome"]
                assert outcome["status"] == 201
                assert await commands_of(api, outcome["number"]) == ["trainee.nominated"]
            await wait_until_ready(api)


# ----------------------------------------------------------------------------------------------- the API itself dies


async def test_another_process_goes_on_when_the_one_that_drains_is_killed(mortal: Mortal) -> None:
    """Forty commands of one school are drained one after the other by a process that is killed in the middle."""
    api = mortal.api
    await mortal.kill()
    operations = [
        await accepted(await api.post(SCHOOL, "/v1/nominations", nomination(api, counter))) for counter in range(40)
    ]
    # The test's own process gives up its turn to the child.
    for task in asyncio.all_tasks():
        if task.get_name() == "api.drain_inbox":
            task.cancel()
    lease = "SELECT lease::text FROM app.inbox_lease WHERE leased_until > clock_timestamp()"
    await api.services.pool.execute("UPDATE app.inbox_lease SET lease = NULL, leased_until = '-infinity'")
    first = await start_api(api)
    while await api.services.pool.fetchval(lease) is None:
        await asyncio.sleep(LOOK_S)
    await mortal.server.start()
    finished = "SELECT count(*) FROM app.inbox WHERE finished_at IS NOT NULL"
    while not await api.services.pool.fetchval(finished):
        await asyncio.sleep(0.002)
    second = await start_api(api)
    os.kill(first.pid, signal.SIGKILL)
    await first.wait()
    done = await api.services.pool.fetchval(finished)
    assert 0 < done < 40, "it was killed in the middle"
    numbers = []
    for operation in operations:
        shown = await ended(api, SCHOOL, operation)
        assert (shown["state"], shown["outcome"]["status"]) == ("done", 201)
        numbers.append(shown["outcome"]["number"])
    streams = [await api.services.ledger.read_stream(api.plan.id, f"trainee/{each}") for each in numbers]
    assert [len(each) for each in streams] == [1] * 40
    assert [each[0].sequence for each in streams] == sorted(each[0].sequence for each in streams)
    second.terminate()
    await second.wait()


async def start_api(api: API) -> asyncio.subprocess.Process:
    settings = api.settings
    secret = {
        f"XUNJI_{name.upper()}": getattr(settings, name).get_secret_value()
        for name in ("master_key", "index_key", "signing_key", "link_key")
    }
    environment = {
        **os.environ,
        **secret,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "XUNJI_TASK_QUEUE": settings.task_queue,
        "XUNJI_CLOCK": settings.clock,
        "XUNJI_PUBLIC_URL": settings.public_url,
        "XUNJI_API_HOST": LOOPBACK,
        "XUNJI_API_PORT": str(free_port(None)),
    }
    argv = (sys.executable, str(ROOT / "cli.py"), "api", "--state", str(settings.state_dir))
    return await asyncio.create_subprocess_exec(*argv, env=environment, cwd=ROOT)


async def test_one_process_drains_until_its_lease_has_run_out(api: API) -> None:
    await api.services.pool.execute("UPDATE app.inbox_lease SET lease = $1, leased_until = now() + '1 minute'", uuid4())
    drainer, other = Drainer(api.services), Drainer(api.services)
    assert not await drainer._take_lease()
    await api.services.pool.execute("UPDATE app.inbox_lease SET leased_until = now() - interval '1 second'")
    assert await drainer._take_lease()
    assert await drainer._take_lease(), "it is kept"
    assert not await other._take_lease()
    await drainer.give_up_lease()
    assert await other._take_lease()
    assert not await drainer._take_lease()
