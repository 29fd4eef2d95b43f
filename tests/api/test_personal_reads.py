"""Whoever is shown something of a person is written down, before he sees it; and the bureau's auditor reads that."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import httpx2
import pytest

from api.app import describe_without_settings
from api.personal import MARK, shows_persons
from docgen.permission_table import operations, public_operations
from tests.api.front_door import API, BUREAU, COUNTY, OTHER_COUNTY, SCHOOL, new_key
from tests.api.nomination_files import as_file, finished, row, send
from tests.api.nominations import identity_number, nominated, nomination
from tests.api.test_person_records import restricted
from tests.api.test_tenants import World, world

__all__ = ["world"]

PERSONAL_NAMES = frozenset(
    {"name", "given_name", "recorded_name", "identity_number", "telephone", "email", "objection", "statement", "value"}
)
NOT_OF_PERSONS = {
    ("InstitutionOut", "email"): "an office's address",
    ("ContactOut", "email"): "an office's address",
}
TRIED_APART = {
    "list_identity_reviews": "below",
    "list_trainee_deliveries": "tests/api/test_deliveries.py",
    "list_restriction_deliveries": "the same function as list_trainee_deliveries",
    "list_deliveries": "the same function as list_trainee_deliveries",
    **dict.fromkeys(
        ("list_registration_import_rows", "list_attendance_import_rows", "list_outcome_import_rows"),
        "the same function as list_nomination_import_rows",
    ),
}
Ask = Callable[[], Awaitable[httpx2.Response]]


async def trail(api: API, query: str = "") -> list[dict[str, Any]]:
    response = await api.get(BUREAU, f"/v1/personal-reads{query}")
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def test_no_field_with_a_personal_name_is_unmarked() -> None:
    """Of everything that is answered; what is sent to us has the same names, and is no read."""
    document = describe_without_settings()
    schemas = document["components"]["schemas"]
    answered = set()
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                answered |= set(_named(response, schemas))
    unmarked = {
        (model, name)
        for model in answered
        for name, schema in schemas[model].get("properties", {}).items()
        if name in PERSONAL_NAMES and schema.get(MARK) is not True
    }
    assert unmarked == set(NOT_OF_PERSONS)


def _named(schema: Any, schemas: dict[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/components/schemas/"):
            name = reference.rpartition("/")[2]
            if name not in seen:
                yield name
                yield from _named(schemas[name], schemas, seen | {name})
        for each in schema.values():
            yield from _named(each, schemas, seen)
    elif isinstance(schema, list):
        for each in schema:
            yield from _named(each, schemas, seen)


async def requests_of(world: World) -> dict[str, Ask]:
    """A request for every operation that shows something of a person; what changes his record comes last."""
    api, person = world.api, world.ids["person"][0]
    broken = await finished(api, await send(api, as_file(row(40, 身份证号="410181199003070011"))))
    await api.seen()
    certificate = world.ids["certificate"][0]
    code = (await api.get(SCHOOL, f"/v1/certificates/{certificate}")).json()["code"]
    on = f"/v1/people/{person}"
    decided = {"decided_by": "b7", "document": "文件 4"}
    earlier = [await restricted(api, counter) for counter in (60, 61)]
    await api.seen()
    double, barred = [(await api.get(BUREAU, f"/v1/restrictions/{each}")).json()["person"]["id"] for each in earlier]

    def get(organisation: str, path: str) -> Ask:
        return lambda: api.get(organisation, path)

    def post(path: str, body: dict[str, Any]) -> Ask:
        return lambda: api.post(BUREAU, path, body)

    return {
        "get_trainee": get(SCHOOL, f"/v1/trainees/{world.ids['nomination'][0]}"),
        "list_restrictions": get(COUNTY, "/v1/restrictions"),
        "get_restriction": get(BUREAU, f"/v1/restrictions/{world.ids['restriction'][0]}"),
        "export_restrictions": get(COUNTY, "/v1/restrictions/export?format=csv"),
        "list_nomination_import_rows": get(COUNTY, f"/v1/nomination-imports/{broken['operation']['id']}/rows"),
        "get_nomination_import_file": get(COUNTY, f"/v1/nomination-imports/{broken['operation']['id']}/file"),
        "get_certificate": get(SCHOOL, f"/v1/certificates/{certificate}"),
        "verify_certificate": lambda: api.http.get(f"/v1/certificates/{certificate}/verification?code={code}"),
        "show_verification": lambda: api.http.get(f"/certificates/{certificate}?code={code}"),
        "get_person": get(BUREAU, on),
        "find_person": post("/v1/people/find", {"identity_number": identity_number(1)}),
        "transfer_person": post(f"{on}/transfer", {"county": OTHER_COUNTY, "on": "2022-10-17", "document": "文件 5"}),
        "correct_person": post(f"{on}/correct", {"name": "王晓明", **decided}),
        "join_person": post(f"{on}/join", {"double": double, "decided_by": "b7", "reasons": "同一人"}),
        "erase_person": post(f"/v1/people/{barred}/erase", {}),
    }


async def test_every_operation_that_shows_a_person_is_written_down(world: World) -> None:
    api = world.api
    wanted = await requests_of(world)
    marked = {
        route.operation_id for route in [*operations(), *public_operations()] if shows_persons(route.response_model)
    }
    assert marked - set(TRIED_APART) <= set(wanted), f"nobody tries {marked - set(TRIED_APART) - set(wanted)}"
    for operation, ask in wanted.items():
        before = await api.services.pool.fetchval("SELECT coalesce(max(sequence), 0) FROM app.personal_reads")
        response = await ask()
        assert response.status_code == 200, f"{operation}: {response.text}"
        # What needs an `If-Match` was read beforehand, which is another request, written down by itself.
        found = await api.services.pool.fetch(
            "SELECT * FROM app.personal_reads WHERE sequence > $1 AND request_id = $2",
            before,
            response.headers["x-request-id"],
        )
        assert len(found) == 1, operation
        (read,) = found
        assert read["operation"] == operation
        assert read["rows"] >= 1 or operation == "erase_person", operation
        if "import" not in operation and operation != "erase_person":
            assert read["persons"], operation
            known = await api.services.pool.fetchval(
                "SELECT count(*) FROM vault.subjects WHERE id = ANY ($1)", read["persons"]
            )
            assert known == len(read["persons"])


async def test_the_queue_of_names_is_written_down(stack: API) -> None:
    api = stack
    first = await nominated(api, 1)
    other = nomination(api, 1, project_type="gp6", person={"name": "李小红"})
    assert (await api.post(COUNTY, "/v1/nominations", other)).status_code == 201
    await api.seen()
    assert await trail(api) == [], "to compare two names is to show neither"
    (row,) = (await api.get(BUREAU, "/v1/identity-reviews")).json()["items"]
    assert row["number"] != first
    (read,) = await trail(api)
    assert (read["operation"], read["persons"], read["rows"]) == ("list_identity_reviews", [row["person"]], 1)


async def test_what_shows_nobody_is_not_written_down(world: World) -> None:
    """Neither a list of nominations, nor a refusal, nor an answer that says that nothing has changed."""
    api, number = world.api, world.ids["nomination"][0]
    tag = (await api.get(SCHOOL, f"/v1/trainees/{number}")).headers["etag"]
    before = len(await trail(api))
    for organisation, path, headers in (
        (SCHOOL, "/v1/trainees", {}),
        (SCHOOL, f"/v1/trainees/{number}/events", {}),
        (OTHER_COUNTY, f"/v1/trainees/{number}", {}),
        (OTHER_COUNTY, "/v1/restrictions", {}),
        (SCHOOL, f"/v1/trainees/{number}", {"If-None-Match": tag}),
    ):
        assert (await api.get(organisation, path, headers=headers)).status_code in (200, 304, 404)
    late = await api.post(SCHOOL, "/v1/nominations", nomination(api, 1))
    assert late.status_code == 409, "the person was recognised, and nothing of him shown"
    assert len(await trail(api)) == before


async def test_a_read_that_cannot_be_written_down_is_not_answered(world: World, database_url: str) -> None:
    api, number = world.api, world.ids["nomination"][0]
    owner = await asyncpg.connect(database_url)
    await owner.execute("ALTER TABLE app.personal_reads RENAME TO elsewhere")
    response = await api.get(SCHOOL, f"/v1/trainees/{number}")
    assert response.status_code == 503
    assert "王" not in response.text
    await owner.execute("ALTER TABLE app.elsewhere RENAME TO personal_reads")
    assert (await api.get(SCHOOL, f"/v1/trainees/{number}")).status_code == 200
    for statement in ("DELETE FROM app.personal_reads", "UPDATE app.personal_reads SET reader = ''"):
        with pytest.raises(asyncpg.PostgresError):
            await owner.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.services.pool.execute(statement)
    await owner.close()


async def test_the_auditor_finds_who_has_read_about_one_person(world: World) -> None:
    api, number, person = world.api, world.ids["nomination"][0], world.ids["person"][0]
    readers = (SCHOOL, COUNTY, SCHOOL)
    for each in readers:
        await api.get(each, f"/v1/trainees/{number}")
    key = await new_key(api.services, BUREAU, "bureau", "audit:read")
    auditor = {"Authorization": f"Bearer {key}"}
    path = f"/v1/personal-reads?person={person}&operation=get_trainee&limit=2"
    first = (await api.http.get(path, headers=auditor)).json()
    assert [each["organisation"] for each in first["items"]] == [SCHOOL, COUNTY]
    assert first["items"][0]["reader"] == api.keys[SCHOOL].split("_")[1]
    assert (first["items"][0]["object"], first["items"][0]["persons"]) == (number, [person])
    second = (await api.http.get(f"{path}&cursor={first['next']}", headers=auditor)).json()
    assert second["items"][0]["organisation"] == SCHOOL
    assert not {each["request_id"] for each in first["items"]} & {each["request_id"] for each in second["items"]}
    assert (await api.http.get(f"/v1/trainees/{number}", headers=auditor)).status_code == 403
    assert api.problem(await api.get(COUNTY, "/v1/personal-reads")) == "scope-missing"
    assert "王" not in str(first), "the trail holds ids"
