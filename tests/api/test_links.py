"""The links of the description, followed: from each list to what reads one of its things, and from each reading to
every command that is decided on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from api.routing import KeyRoute
from docgen.permission_table import method_of, operations
from tests.api.bodies import request_for
from tests.api.described import document, responses_of
from tests.api.front_door import ROLE_OF
from tests.api.test_tenants import World, world

__all__ = ["world"]
STALE, NOT_SAID = 412, 428


def value_at(response: httpx2.Response, expression: str, path: str, template: str) -> Any:
    """What a runtime expression of OpenAPI means; None for an item of an empty list."""
    if expression == "$response.header.ETag":
        return response.headers["ETag"]
    if expression.startswith("$request.path."):
        name = expression.rpartition(".")[2]
        return path.split("/")[template.split("/").index("{" + name + "}")]
    value: Any = response.json()
    for part in expression.removeprefix("$response.body#/").split("/"):
        if isinstance(value, list):
            if not value:
                return None
            value = value[int(part)]
        else:
            value = value[part]
    return value


def asked_by(world: World, *routes: KeyRoute) -> str | None:
    """Whose things there are: an owner who may use all of the routes."""
    owners = [world.owner[routes[-1].objects[-1].name], *world.owner.values()]
    return next((each for each in owners if all(ROLE_OF[each] in route.permission.open_to for route in routes)), None)


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the description: where it begins, where it leads, and with which parameters."""

    source: KeyRoute
    target: KeyRoute
    parameters: dict[str, str]


def links() -> Iterator[Link]:
    by_id = {route.operation_id: route for route in operations()}
    for source in operations():
        if method_of(source) == "GET":
            read = responses_of(document()["paths"][source.path]["get"])["200"]
            for name, link in read.get("links", {}).items():
                yield Link(source, by_id[name], link["parameters"])


async def follow(world: World, organisation: str, link: Link) -> httpx2.Response | None:
    """The answer at the link's end; None when there is nothing at its beginning."""
    path = world.path(link.source, exists=True) if link.source.objects else link.source.path
    read = await world.api.get(organisation, path, **request_for(world.api, link.source, ""))
    if read.status_code == 404:
        return None
    values = {name: value_at(read, value, path, link.source.path) for name, value in link.parameters.items()}
    if None in values.values():
        return None
    address = link.target.path
    for name, value in values.items():
        address = address.replace("{" + name.removeprefix("path.") + "}", str(value))
    request = request_for(world.api, link.target, world.ids["nomination"][0])
    if "header.If-Match" in values:
        request["headers"] = {"If-Match": values["header.If-Match"]}
    return await world.api.call(organisation, method_of(link.target), address, request.pop("json", None), **request)


async def test_every_link_can_be_followed(world: World) -> None:
    reached = set[str]()
    for link in links():
        organisation = asked_by(world, link.source, link.target)
        answer = await follow(world, organisation, link) if organisation else None
        while organisation and answer is not None and answer.status_code == STALE:
            # A class that was changed reaches its trainees meanwhile, and says so in its stream.
            answer = await follow(world, organisation, link)
        if answer is not None:
            shown = f"{link.source.path} → {link.target.operation_id}: {answer.text}"
            assert answer.status_code != NOT_SAID, shown
            # A thing that is listed is there; whether all of its parts are for everybody is another question.
            is_thing = method_of(link.target) == "GET" and link.target.path.endswith("}")
            assert answer.status_code == 200 or not is_thing, shown
            reached.add(str(link.target.operation_id))
    assert reached >= {"get_trainee", "get_class", "get_restriction", "get_campaign", "get_quota", "get_institution"}
    assert len(reached) > 60, reached
