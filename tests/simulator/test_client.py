"""The simulator's client against a real server that answers as the API does, well or badly."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedded.child_processes import LOOPBACK, free_port
from simulator import watch
from simulator.client import ROWS_PER_REQUEST, FrontDoor, Row, UnexpectedAnswer, front_door
from tests.serving import served

PROBLEM = "http://example.invalid/problems/"


def problem(status: int, code: str) -> JSONResponse:
    body = {"type": PROBLEM + code.replace("_", "-"), "status": status, "errors": [{"code": code}]}
    return JSONResponse(body, status)


class Counter207:
    """A counter desk: answers rows, remembers keys, and can be told to fail first."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.authorisations: list[str] = []
        self.sizes: list[int] = []
        self.answers: deque[Response] = deque()
        self.rows: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self.operations: dict[str, deque[dict[str, Any]]] = {}
        self.things = [{"number": number} for number in range(7)]
        self.app = Starlette(
            routes=[
                Route("/v1/trainees/approve", self.many, methods=["POST"]),
                Route("/v1/one", self.one, methods=["POST"]),
                Route("/v1/things", self.list, methods=["GET"]),
                Route("/v1/operations/{id}", self.operation, methods=["GET"]),
                Route("/v1/operations/{id}/rows", self.kept_rows, methods=["GET"]),
            ]
        )

    async def one(self, request: Request) -> Response:
        self.keys.append(request.headers["idempotency-key"])
        self.authorisations.append(request.headers["authorization"])
        return self.answers.popleft() if self.answers else JSONResponse({"phase": "done"})

    async def many(self, request: Request) -> Response:
        self.keys.append(request.headers["idempotency-key"])
        rows = (await request.json())["items"]
        self.sizes.append(len(rows))
        return JSONResponse({"items": [self.row(each["trainee"]) for each in rows]}, 207)

    async def operation(self, request: Request) -> Response:
        """As it is at each look: the last one stays."""
        looks = self.operations[request.path_params["id"]]
        return JSONResponse(looks.popleft() if len(looks) > 1 else looks[0])

    async def kept_rows(self, request: Request) -> Response:
        return JSONResponse({"items": self.operations[request.path_params["id"]][0]["rows"], "next": None})

    def row(self, trainee: str) -> dict[str, Any]:
        wanted = self.rows[trainee]
        return wanted.popleft() if wanted else {"status": 200, "receipt": {"number": trainee}}

    async def list(self, request: Request) -> Response:
        start = int(request.query_params.get("cursor", "0"))
        following = str(start + 3) if start + 3 < len(self.things) else None
        return JSONResponse({"items": self.things[start : start + 3], "next": following})


@pytest.fixture
def office() -> Counter207:
    return Counter207()


@pytest_asyncio.fixture
async def url(office: Counter207) -> AsyncIterator[str]:
    async with served(office.app) as address:
        yield address


@pytest_asyncio.fixture
async def door(url: str) -> AsyncIterator[FrontDoor]:
    async with front_door(url, "2022/60") as door:
        yield door


async def test_the_same_action_of_the_same_run_has_the_same_key(url: str, office: Counter207) -> None:
    for run in ("2022/60", "2022/60", "2023/60"):
        async with front_door(url, run) as door:
            await door.desk("410181", "secret").post("approve:n-1", "/v1/one")
            await door.desk("410181", "secret").post("approve:n-2", "/v1/one")
    assert office.keys[:2] == office.keys[2:4]
    assert len(set(office.keys)) == 4
    assert set(office.authorisations) == {"Bearer secret"}


async def test_what_is_away_is_asked_again_under_the_same_key(door: FrontDoor, office: Counter207) -> None:
    away = [problem(503, "temporal_unavailable"), problem(429, "slow_down"), problem(409, "request_in_flight")]
    office.answers.extend(away)
    assert await door.desk("a", "k").post("x", "/v1/one") == {"phase": "done"}
    assert len(office.keys) == 4
    assert len(set(office.keys)) == 1


async def test_a_server_that_fails_ends_the_run_with_its_answer(door: FrontDoor, office: Counter207) -> None:
    office.answers.append(problem(500, "internal_error"))
    with pytest.raises(UnexpectedAnswer, match="internal-error"):
        await door.desk("a", "k").post("x", "/v1/one")


async def test_nobody_there_is_waited_for(url: str, office: Counter207) -> None:
    port = free_port()
    async with front_door(f"http://{LOOPBACK}:{port}", "r") as door:
        waiting = asyncio.create_task(door.desk("a", "k").post("x", "/v1/one"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        async with served(office.app, port):
            assert await waiting == {"phase": "done"}


async def test_a_wanted_refusal_is_counted_and_another_one_ends_the_run(door: FrontDoor, office: Counter207) -> None:
    desk = door.desk("a", "k")
    office.answers.append(problem(409, "quota_exhausted"))
    await desk.refused("x", "/v1/one", {}, "quota_exhausted")
    assert door.counts.refused == Counter({"quota_exhausted": 1})
    office.answers.append(problem(409, "deadline_passed"))
    with pytest.raises(UnexpectedAnswer, match="deadline_passed"):
        await desk.refused("y", "/v1/one", {}, "quota_exhausted")
    with pytest.raises(UnexpectedAnswer, match="had to be refused"):
        await desk.refused("z", "/v1/one", {}, "quota_exhausted")


async def test_an_unwanted_refusal_is_shown_in_full(door: FrontDoor, office: Counter207) -> None:
    office.answers.append(problem(409, "deadline_passed"))
    with pytest.raises(UnexpectedAnswer, match=r"(?s)a: x: POST /v1/one.*409.*deadline_passed"):
        await door.desk("a", "k").post("x", "/v1/one")


async def test_rows_go_in_requests_of_a_bounded_size_and_come_back_in_order(
    door: FrontDoor, office: Counter207
) -> None:
    rows = [Row(f"r{number}", {"trainee": f"t{number}"}) for number in range(2 * ROWS_PER_REQUEST + 1)]
    answers = await door.desk("a", "k").post_rows("/v1/trainees/approve", rows)
    assert [answer.body["number"] for answer in answers] == [row.body["trainee"] for row in rows]
    assert sorted(office.sizes) == [1, ROWS_PER_REQUEST, ROWS_PER_REQUEST]
    assert door.counts.accepted == Counter(approve=len(rows))


async def test_a_row_that_meets_an_outage_is_sent_again_with_its_request(door: FrontDoor, office: Counter207) -> None:
    office.rows["t1"].append({"status": 503, "problem": {"type": PROBLEM + "command-pending", "errors": []}})
    rows = [Row("r0", {"trainee": "t0"}), Row("r1", {"trainee": "t1"})]
    answers = await door.desk("a", "k").post_rows("/v1/trainees/approve", rows)
    assert [answer.status for answer in answers] == [200, 200]
    assert len(office.keys) == 2
    assert len(set(office.keys)) == 1


async def test_a_command_that_is_kept_is_followed_to_its_outcome(door: FrontDoor, office: Counter207) -> None:
    under_way = {"finished_at": None, "outcome": None}
    refusal = {"type": PROBLEM + "quota-exhausted", "errors": [{"code": "quota_exhausted"}]}
    office.operations = {
        "o1": deque([under_way, {"finished_at": "x", "outcome": {"status": 200, "receipt": {"phase": "done"}}}]),
        "o2": deque([under_way, {"finished_at": "x", "outcome": {"status": 409, "problem": refusal}}]),
    }
    office.answers.extend(JSONResponse({"id": each, "kind": "command"}, 202) for each in ("o1", "o2"))
    desk = door.desk("a", "k")
    assert await desk.post("x", "/v1/one") == {"phase": "done"}
    await desk.refused("y", "/v1/one", {}, "quota_exhausted")
    assert door.counts.refused == Counter({"quota_exhausted": 1})
    assert len(office.keys) == 2, "asked once each"


async def test_rows_that_are_kept_are_followed_to_their_outcome(door: FrontDoor, office: Counter207) -> None:
    rows = [Row(f"r{number}", {"trainee": f"t{number}"}) for number in range(3)]
    for number in (0, 2):
        office.rows[f"t{number}"].append({"index": number, "status": 202, "operation": "/v1/operations/o1"})
    came_to = [{"index": number, "status": 200, "receipt": {"number": f"kept-{number}"}} for number in (0, 2)]
    office.operations = {"o1": deque([{"finished_at": None}, {"finished_at": "x", "rows": came_to}])}
    answers = await door.desk("a", "k").post_rows("/v1/trainees/approve", rows)
    assert [answer.body["number"] for answer in answers] == ["kept-0", "t1", "kept-2"]
    assert door.counts.accepted == Counter(approve=3)


async def test_each_row_must_meet_the_answer_of_the_script(door: FrontDoor, office: Counter207) -> None:
    full = {"status": 409, "problem": {"type": PROBLEM + "quota-exhausted", "errors": [{"code": "quota_exhausted"}]}}
    desk = door.desk("a", "k")
    office.rows["t1"].append(full)
    await desk.post_rows("/v1/trainees/approve", [Row("r1", {"trainee": "t1"}, "quota_exhausted")])
    assert door.counts.refused == Counter({"quota_exhausted": 1})
    office.rows["t2"].append(full)
    with pytest.raises(UnexpectedAnswer, match="r2: a row of POST /v1/trainees/approve"):
        await desk.post_rows("/v1/trainees/approve", [Row("r2", {"trainee": "t2"})])
    with pytest.raises(UnexpectedAnswer, match="had to be refused"):
        await desk.post_rows("/v1/trainees/approve", [Row("r3", {"trainee": "t3"}, "quota_exhausted")])


async def test_a_list_is_read_to_its_last_page(door: FrontDoor, office: Counter207) -> None:
    assert await door.desk("a", "k").all("/v1/things") == office.things


async def test_what_does_not_come_about_is_named_with_what_was_seen() -> None:
    looks = 0

    async def look() -> tuple[bool, object]:
        nonlocal looks
        looks += 1
        return False, ["zz22-410181-00001"]

    with pytest.raises(watch.NotInTime, match=r"(?s)nobody is left.*zz22-410181-00001"):
        await watch.until("nobody is left", look, patience_s=0.2)
    assert looks > 1


async def test_what_comes_about_ends_the_wait() -> None:
    answers = iter([(False, 1), (False, 2), (True, 3)])

    async def look() -> tuple[bool, object]:
        return next(answers)

    await watch.until("three", look)
    assert next(answers, None) is None
