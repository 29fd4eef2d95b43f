"""Somebody else's things do not exist: every operation that names an object is asked for another organisation's, and
every list is searched for it.
"""

from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest_asyncio

from api.objects import EVERY
from api.permissions import KEY_ROLES
from api.routing import KeyRoute
from docgen.permission_table import method_of, operations
from domain.numbers import certificate_number
from tests.api import class_files
from tests.api.bodies import request_for
from tests.api.front_door import (
    API,
    BUREAU,
    COUNTY,
    HOST,
    OTHER_COUNTY,
    OTHER_HOST,
    OTHER_SCHOOL,
    ROLE_OF,
    SCHOOL,
)
from tests.api.nomination_files import as_file, finished, row, send
from tests.api.test_lifecycle import at, done
from tests.api.test_outcomes import registered
from tests.api.test_permissions import UUID_TEXT

NOTHING_NEW = "学员编号,报到,结果,日期,时段,学时\nx,,,,,\n".encode()
"""A row that records nothing, with the columns of every file of a class."""

STRANGERS = (BUREAU, OTHER_COUNTY, OTHER_SCHOOL, OTHER_HOST)
"""One of each role; none of them is a party to what the test has made. Much exists for the bureau all the same."""


@dataclass
class World:
    """An object of each kind: whose it is, its id, and an id of the same form that nobody has."""

    api: API
    owner: dict[str, str] = field(default_factory=dict)
    ids: dict[str, tuple[str, str]] = field(default_factory=dict)

    def path(self, route: KeyRoute, *, exists: bool) -> str:
        place = 0 if exists else 1
        values = {each.alias: kind.name for each, kind in zip(route.dependant.path_params, route.objects, strict=True)}
        return route.path.format(**{name: self.ids[kind][place] for name, kind in values.items()})


@pytest_asyncio.fixture
async def world(stack: API) -> World:
    """One teacher has completed at HOST, one was dismissed; a county has sent a file, a host has an endpoint."""
    api, prefix = stack, stack.plan.number_prefix
    completed, dismissed = await registered(api, 1, 2)
    await api.go_to(at(10, 16))
    await done(await api.post(HOST, f"/v1/trainees/{completed}/complete", {"centralised_days": 7, "hours": 72}))
    await done(await api.post(HOST, f"/v1/trainees/{dismissed}/dismiss", {"reason": "conduct", "evidence": "记录 3"}))
    imported = (await finished(api, await send(api, as_file(row(3)))))["id"]
    training_class = (await api.get(HOST, f"/v1/trainees/{completed}")).json()["training_class"]
    by_host = {
        kind: (await class_files.imported(api, kind, training_class, NOTHING_NEW, media_type="text/csv"))[0]["id"]
        for kind in ("registration", "attendance", "outcome")
    }
    endpoint = (await api.post(HOST, "/v1/webhook-endpoints", {"url": "https://example.com/hook"})).json()["id"]
    number = (await api.get(HOST, f"/v1/trainees/{completed}")).json()
    nobody = f"{prefix}-{COUNTY}-99999"
    found = World(api)
    for kind, owner, id_, unknown in (
        ("nomination", SCHOOL, completed, nobody),
        ("certificate", SCHOOL, certificate_number(completed, 1), certificate_number(nobody, 1)),
        ("class", HOST, number["training_class"], f"{prefix}-c-{HOST}-99"),
        ("restriction", SCHOOL, f"{dismissed}-r1", f"{nobody}-r1"),
        ("quota line", COUNTY, f"{api.plan.id}:gp5:{COUNTY}", f"{api.plan.id}:gp5:999999"),
        ("campaign", SCHOOL, api.plan.id, "2022-nowhere"),
        ("organisation", SCHOOL, SCHOOL, f"{COUNTY}-s99"),
        ("key", SCHOOL, api.keys[SCHOOL].split("_")[1], "0" * 16),
        ("person", BUREAU, number["person"]["id"], UUID_TEXT),
        ("nomination import", COUNTY, imported, UUID_TEXT),
        *((f"{kind} import", HOST, id_, UUID_TEXT) for kind, id_ in by_host.items()),
        ("operation", COUNTY, imported, UUID_TEXT),
        ("webhook endpoint", HOST, endpoint, f"we_{'0' * 16}"),
        ("mailbox", BUREAU, SCHOOL, f"{COUNTY}-s99"),
        ("book", SCHOOL, "people", "nothing"),
    ):
        found.owner[kind], found.ids[kind] = owner, (str(id_), unknown)
    await api.seen()
    return found


WITHOUT_ROWS = {"list_operation_rows"}
"""An import has its rows elsewhere: 404 for its owner, too. `tests/api/test_inbox.py` reads rows that are there."""


async def ask(world: World, route: KeyRoute, organisation: str, path: str, trainee: str) -> httpx2.Response:
    request = request_for(world.api, route, trainee)
    return await world.api.call(organisation, method_of(route), path, request.pop("json", None), **request)


def words_of(response: httpx2.Response, *ids: str) -> dict[str, Any]:
    """The answer without what belongs to this one request: its id, and the id that was asked for."""
    text = response.text
    for each in ids:
        text = text.replace(each, "ID")
    shown: dict[str, Any] = httpx2.Response(200, text=text).json()
    shown.pop("request_id")
    return {**shown, "status": response.status_code, "type": response.headers["content-type"]}


async def test_what_is_somebody_elses_is_answered_as_what_does_not_exist(world: World) -> None:
    """And for its owner each object is there, so that the answers above mean something."""
    tried = set()
    for route in operations():
        if not route.objects:
            continue
        kind = route.objects[-1]
        for stranger in STRANGERS:
            role = ROLE_OF[stranger]
            if role not in route.permission.open_to or _exists_for(route, stranger):
                continue
            path, unknown = world.path(route, exists=True), world.path(route, exists=False)
            theirs = await ask(world, route, stranger, path, world.ids["nomination"][0])
            nobodys = await ask(world, route, stranger, unknown, world.ids["nomination"][1])
            shown = f"{stranger} {method_of(route)} {path}: {theirs.text}"
            assert theirs.status_code == 404, shown
            both = [each for name in (*(kind.name for kind in route.objects), "nomination") for each in world.ids[name]]
            assert words_of(theirs, *both) == words_of(nobodys, *both), shown
            tried.add((kind.name, role))
        if method_of(route) == "GET" and kind.name != "book" and route.operation_id not in WITHOUT_ROWS:
            owned = await ask(world, route, world.owner[kind.name], world.path(route, exists=True), "")
            owner_may = ROLE_OF[world.owner[kind.name]] in route.permission.open_to
            # There is an object; whether it has a link to object by at this moment is another question.
            assert owned.status_code in ((200, 409) if owner_may else (403,)), f"{route.path}: {owned.text}"
    own_to_a_role = {
        (kind.name, role)
        for route in operations()
        for kind in route.objects[-1:]
        for role in KEY_ROLES
        if kind.whose.get(role, EVERY) != EVERY and role in route.permission.open_to
    }
    assert tried == own_to_a_role


def _exists_for(route: KeyRoute, stranger: str) -> bool:
    """Whether the table says that the object is there for him."""
    return route.objects[-1].whose.get(ROLE_OF[stranger]) == EVERY


async def test_a_key_of_somebody_else_is_not_found_under_ones_own_name(world: World) -> None:
    """Two ids in one path: the first is one's own, the second is not."""
    api, theirs = world.api, world.ids["key"][0]
    for id_ in (theirs, "0" * 16):
        response = await api.call(OTHER_COUNTY, "DELETE", f"/v1/institutions/{OTHER_SCHOOL}/keys/{id_}")
        assert (response.status_code, api.problem(response)) == (404, "unknown-number")
    assert (await api.get(SCHOOL, "/v1/clock")).status_code == 200


async def test_rows_about_somebody_elses_trainee_are_answered_as_rows_about_nobody(world: World) -> None:
    seen = 0
    theirs, nobodys = world.ids["nomination"]
    for route in operations():
        is_for_many = route.path.startswith("/v1/trainees/") and method_of(route) == "POST" and not route.objects
        if not is_for_many:
            continue
        for stranger in STRANGERS[1:]:
            if ROLE_OF[stranger] not in route.permission.open_to:
                continue
            rows = []
            for number in (theirs, nobodys):
                response = await ask(world, route, stranger, route.path, number)
                assert response.status_code == 207, response.text
                (item,) = response.json()["items"]
                assert item["status"] == 404, f"{stranger} {route.path}: {item}"
                item["problem"].pop("request_id", None)
                rows.append(str(item).replace(number, "ID"))
            assert rows[0] == rows[1]
            seen += 1
    assert seen > 30


async def test_no_list_holds_what_is_somebody_elses(world: World) -> None:
    api = world.api
    hidden = {
        world.ids[kind][0]
        for kind in ("nomination", "certificate", "restriction", "key", "person", "nomination import")
    } | {world.ids["class"][0], world.ids["webhook endpoint"][0], f"gp5:{COUNTY}"}
    seen = 0
    for route in operations():
        if method_of(route) != "GET" or route.objects:
            continue
        for stranger in STRANGERS[1:]:
            if ROLE_OF[stranger] not in route.permission.open_to:
                continue
            request = request_for(api, route, "")
            if any(each.alias == "format" for each in route.dependant.query_params):
                request["params"] = request.get("params", {}) | {"format": "csv"}
            response = await api.get(stranger, route.path, **request)
            assert response.status_code in (200, 404), f"{route.path}: {response.text}"
            found = [each for each in hidden if each in response.text]
            assert not found, f"{stranger} {route.path} shows {found}"
            seen += 1
    assert seen > 20
    # The same lists do hold it for whose it is.
    lists = {"/v1/trainees": "nomination", "/v1/restrictions": "restriction"}
    for path, kind in lists.items():
        assert world.ids[kind][0] in (await api.get(SCHOOL, path)).text
        assert world.ids[kind][0] in (await api.get(BUREAU, path)).text
