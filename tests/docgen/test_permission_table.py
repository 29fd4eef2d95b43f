"""docs/permissions.md is what the routes declare."""

import pytest

from api.objects import EVERY, OBJECTS
from api.routing import UndeclaredPermission, router
from api.services import allowed
from docgen.permission_table import COMMITTED, as_text, operations


def test_the_committed_table_is_the_one_of_these_routes() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == as_text(), "run `python -m docgen.permission_table`"


def test_a_route_that_declares_nothing_cannot_be_made() -> None:
    async def handler(number: str) -> None: ...

    for path, guards in (
        ("/{number}", []),
        ("/{number}/twice", [allowed("trainees:read"), allowed("trainees:write")]),
    ):
        with pytest.raises(UndeclaredPermission, match="instead of one"):
            router("/v1/trainees", "trainees").add_api_route(path, handler, dependencies=guards)
    with pytest.raises(UndeclaredPermission, match=r"api/objects\.py"):
        router("/v1/things", "things").add_api_route("/{number}", handler, dependencies=[allowed("trainees:read")])
    router("/v1/trainees", "trainees").add_api_route("/{number}", handler, dependencies=[allowed("trainees:read")])


def test_each_kind_of_object_is_named_by_a_route_and_exists_for_whom_a_route_is_open() -> None:
    named = set()
    for route in operations():
        for kind in route.objects:
            named.add(kind.name)
            strangers = [role for role in route.permission.open_to if role not in kind.whose]
            assert not strangers, f"{route.path} is open to {strangers}, for whom no {kind.name} exists"
    assert named == {kind.name for kind in OBJECTS.values()}
    assert all(kind.whose["bureau"] for kind in OBJECTS.values() if EVERY in kind.whose.values())
