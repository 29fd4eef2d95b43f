"""The paths and commands that the design names (its section 8) are served; docs/surface.md has the differences."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.api.described import document
from tests.api.front_door import API, BUREAU, COUNTY, HOST, SCHOOL
from tests.api.nominations import nominated, nomination
from tests.api.test_person_records import done

DIFFERENCES: Final = Path(__file__).parent.parent.parent / "docs" / "surface.md"
READ: Final = (
    "/v1/campaigns",
    "/v1/projects",
    "/v1/quotas",
    "/v1/institutions",
    "/v1/classes",
    "/v1/people",
    "/v1/nominations",
    "/v1/trainees/{number}",
    "/v1/trainees/{number}/events",
    "/v1/classes/{number}/attendance",
    "/v1/restrictions",
    "/v1/bulletins",
    "/v1/webhook-endpoints",
    "/v1/webhook-endpoints/{endpoint}/deliveries",
    "/v1/events",
    "/v1/operations/{operation}",
    "/v1/ledger/{book}/checkpoint",
    "/v1/ledger/{book}/proofs/inclusion",
    "/v1/ledger/{book}/proofs/consistency",
    "/v1/healthz",
    "/v1/readyz",
)
SENT: Final = (
    "/v1/campaigns",
    "/v1/institutions",
    "/v1/classes",
    "/v1/nominations",
    "/v1/nomination-imports",
    "/v1/classes/{number}/registrations",
    "/v1/classes/{number}/attendance",
    "/v1/classes/{number}/outcomes",
    "/v1/webhook-endpoints",
)
OF_TRAINEES: Final = (
    "approve",
    "return",
    "reject",
    "withdraw",
    "enroll",
    "confirm",
    "register",
    "record-no-show",
    "request-leave",
    "grant-leave",
    "excuse",
    "dismiss",
    "complete",
    "fail",
    "submit-follow-up",
    "correct",
    "substitute",
)
OF_RESTRICTIONS: Final = ("serve", "object", "impose", "drop", "waive", "reverse")


@pytest.mark.parametrize("path", READ)
def test_what_the_design_lists_can_be_read(path: str) -> None:
    assert "get" in document()["paths"].get(path, {}), path


@pytest.mark.parametrize("path", SENT)
def test_what_the_design_lists_can_be_sent(path: str) -> None:
    assert "post" in document()["paths"].get(path, {}), path


@pytest.mark.parametrize("command", OF_TRAINEES)
def test_every_command_of_a_nomination_is_there_for_one_and_for_many(command: str) -> None:
    paths = document()["paths"]
    assert "post" in paths.get(f"/v1/trainees/{{number}}/{command}", {})
    many = paths.get(f"/v1/trainees/{command}", {}).get("post", {})
    assert {"202", "207"} <= many["responses"].keys()


@pytest.mark.parametrize("command", OF_RESTRICTIONS)
def test_every_command_of_a_restriction_is_there_for_one(command: str) -> None:
    assert "post" in document()["paths"].get(f"/v1/restrictions/{{number}}/{command}", {})


def test_every_command_is_in_kebab_case() -> None:
    for path in document()["paths"]:
        assert re.fullmatch(r"(/([a-z0-9]+(-[a-z0-9]+)*|\{[a-z_]+\}))+", path.partition("?")[0]), path


def test_paths_among_the_differences_are_served() -> None:
    named = re.findall(r"`(?:GET )?(/v1/[a-z/-]+)(?:\?[a-z_]+=)?`", DIFFERENCES.read_text(encoding="utf-8"))
    assert named and not [path for path in named if path not in document()["paths"]]


async def test_projects_are_listed_page_by_page_for_whoever_takes_part(stack: API) -> None:
    await stack.seen()
    path = f"/v1/projects?campaign={stack.plan.id}"
    every = (await stack.get(SCHOOL, path)).json()["items"]
    assert [each["id"] for each in every] == sorted(each.id for each in stack.plan.project_types)
    first = next(each for each in every if each["id"] == "gp5")
    assert first["campaign"] == stack.plan.id
    assert first["hosts"] == [each.id for each in stack.plan.hosts_of(stack.plan.project_type("gp5").level)]
    page = (await stack.get(HOST, "/v1/projects?limit=2")).json()
    found = page["items"]
    while page["next"]:
        page = (await stack.get(HOST, f"/v1/projects?limit=2&cursor={page['next']}")).json()
        found += page["items"]
    assert found == every, "one campaign is open"
    national = (await stack.get(COUNTY, f"{path}&level=national")).json()["items"]
    assert national == [each for each in every if each["level"] == "national"]
    assert (await stack.get(BUREAU, "/v1/projects?campaign=nowhere")).json()["items"] == []


async def test_people_are_listed_for_the_bureau_without_anything_personal(stack: API) -> None:
    numbers = [await nominated(stack, counter) for counter in (1, 2)]
    await stack.seen()
    response = await stack.get(BUREAU, "/v1/people?limit=1")
    first = response.json()
    second = (await stack.get(BUREAU, f"/v1/people?cursor={first['next']}")).json()
    ids = {(await stack.get(BUREAU, f"/v1/trainees/{each}")).json()["person"]["id"] for each in numbers}
    assert {each["id"] for each in (*first["items"], *second["items"])} == ids
    assert "王" not in response.text and second["next"] is None
    assert (await stack.get(BUREAU, "/v1/people?erasure=held")).json()["items"] == []
    refused = await stack.get(COUNTY, "/v1/people")
    assert stack.problem(refused) == "scope-missing"


async def test_substitutes_are_named_for_many_each_as_it_would_be_alone(stack: API) -> None:
    api = stack
    old = [await nominated(api, counter) for counter in (1, 2, 3)]
    for number in old[:2]:
        await done(await api.post(COUNTY, f"/v1/trainees/{number}/approve", {}))
        await done(await api.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": HOST}))

    def row(number: str, counter: int) -> dict[str, object]:
        person = nomination(api, counter)["person"]
        fields = {"reason": "ill", "school": SCHOOL, "stage": "primary", "subject": "chinese", "years_of_service": 5}
        return {"trainee": number, "person": person, **fields}

    # The second names the substitute of the first, the third has no seat to hand on, the fourth is nobody.
    rows = {"items": [row(old[0], 7), row(old[1], 7), row(old[2], 8), {"trainee": old[1]}]}
    subjects = "SELECT count(*) FROM vault.subjects"
    known = await api.services.pool.fetchval(subjects)
    tried = (await api.post(COUNTY, "/v1/trainees/substitute?dry_run=true", rows)).json()
    assert [each["status"] for each in tried["items"]][::3] == [200, 422], tried
    assert await api.services.pool.fetchval(subjects) == known, "nobody became known"
    first = await api.post(COUNTY, "/v1/trainees/substitute", rows, key="once")
    body = first.json()
    assert [each["status"] for each in body["items"]] == [200, 409, 409, 422], body
    assert (await api.post(COUNTY, "/v1/trainees/substitute", rows, key="once")).content == first.content
    named = (await api.get(COUNTY, f"/v1/trainees/{old[0]}")).json()["substituted_by"]
    assert (await api.get(COUNTY, f"/v1/trainees/{named}")).json()["substitutes"] == old[0]
    assert (await api.get(COUNTY, f"/v1/trainees/{old[1]}")).json()["substituted_by"] == ""
    other = (await api.post(SCHOOL, "/v1/trainees/substitute", rows)).json()
    assert other["type"].endswith("/not-your-part")
