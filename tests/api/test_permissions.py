"""Every command route and every role: the role's own steps reach the case, all others are told whose step it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api import classes, restrictions, trainees
from api.app import ROUTERS
from api.permissions import KEY_ROLES, KeyRole, ProcessWithCommands, commands_of_people, roles_of
from api.routing import PublicRoute
from api.services import Allowed
from tests.api.front_door import API, AUDITOR, BUREAU, COUNTY, HOST, SCHOOL, check_problem

ORGANISATION_OF: dict[KeyRole, str] = {
    "bureau": BUREAU,
    "county": COUNTY,
    "school": SCHOOL,
    "host": HOST,
    "auditor": AUDITOR,
}
EXAMPLES: dict[str, Any] = {
    "reasons": ["late"],
    "reason": "ill",
    "training_class": "zz22-c-h001-01",
    "document": "文件 1",
    "first_day": "2022-10-10",
    "last_day": "2022-10-11",
    "leave": 1,
    "evidence": "记录 1",
    "centralised_days": 7,
    "hours": 56,
    "accepted": True,
    "via": "school",
    "statement": "异议书 1",
    "decided_by": "b7",
    "starts": "2022-11-10",
    "ends": "2022-11-16",
    "place": "新郑",
    "into": "zz22-c-h001-02",
    "trainees": ["zz22-410181-00001"],
    "capacity": 30,
    "sessions": [{"day": "2022-10-10", "session": "morning", "units": 4}],
    "duties": [{"staff": "t-07", "duty": "head", "hours": 20}],
    "finding": "same-person",
    "school": "410181-s02",
    "becomes": "in-training",
    "waiver": "zz22-410181-00001-r1",
    "answer": "completed",
    "said_on": "2022-12-01",
    "campaign": "2022-zhengzhou",
    "project_type": "gp1",
}
UUID_TEXT = "00000000-0000-4000-8000-000000000001"
TEXT_REASONS = {"impose", "drop", "review-identity", "waive", "reverse"}


def body_of(name: str, command: type[BaseModel]) -> dict[str, Any]:
    """A body with everything that the command needs."""
    body = {field: EXAMPLES[field] for field, info in command.model_fields.items() if info.is_required()}
    if name in TEXT_REASONS:
        body["reasons"] = "事实清楚"
    return body


def commands() -> Iterator[tuple[ProcessWithCommands, str, str, dict[str, Any]]]:
    """Every command that has a number: its process, name, path, and body."""
    for name, command in commands_of_people("trainee").items():
        if name not in trainees.CREATING:
            yield "trainee", name, "/v1/trainees/{number}/" + name, body_of(name, command)
    for name, command in commands_of_people("class").items():
        if name != "plan":
            yield "class", name, "/v1/classes/{number}/" + name, body_of(name, command)
    for name in ("serve", "fail-service", "object", "impose", "drop", "waive", "reverse"):
        command = commands_of_people("restriction")[name]
        yield "restriction", name, "/v1/restrictions/{number}/" + name, body_of(name, command)


@pytest.mark.parametrize("role", KEY_ROLES)
async def test_every_command_for_one_knows_its_roles(api: API, role: KeyRole) -> None:
    prefix = api.plan.number_prefix
    numbers = {
        "trainee": f"{prefix}-{COUNTY}-00001",
        "class": f"{prefix}-c-{HOST}-01",
        "restriction": f"{prefix}-{COUNTY}-00001-r1",
    }
    seen = 0
    for process, name, path, body in commands():
        response = await api.post(ORGANISATION_OF[role], path.format(number=numbers[process]), body)
        is_own = role in roles_of(process, name)
        assert api.problem(response) == ("unknown-number" if is_own else "not-your-part"), (path, role)
        assert response.status_code == (404 if is_own else 403), (path, role)
        seen += 1
    assert seen == 30 + 12 + 7


@pytest.mark.parametrize("role", KEY_ROLES)
async def test_every_command_for_many_knows_its_roles(api: API, role: KeyRole) -> None:
    number = f"{api.plan.number_prefix}-{COUNTY}-00001"
    for process, name, _, body in commands():
        if process != "trainee":
            continue
        rows = {"items": [body | {"trainee": number}, {"trainee": "no number"}]}
        response = await api.post(ORGANISATION_OF[role], f"/v1/trainees/{name}", rows)
        if role not in roles_of("trainee", name):
            assert api.problem(response) == "not-your-part"
            continue
        assert response.status_code == 207, response.text
        unknown, wrong = response.json()["items"]
        assert (unknown["status"], check_problem(unknown["problem"])) == (404, "unknown-number")
        assert (wrong["status"], check_problem(wrong["problem"])) == (422, "invalid-request")
        assert "/items/1/trainee" in [each["pointer"] for each in wrong["problem"]["errors"]]


@pytest.mark.parametrize("role", KEY_ROLES)
async def test_every_other_write_knows_its_roles(api: API, role: KeyRole) -> None:
    """What makes something new: whoever may not is refused before anything else is looked at."""
    makes: dict[str, tuple[KeyRole, ...]] = {
        "/v1/campaigns": ("bureau",),
        "/v1/nominations": ("county", "school"),
        "/v1/classes": ("host",),
        "/v1/restrictions": ("bureau",),
        "/v1/institutions": ("bureau", "county"),
        f"/v1/institutions/{SCHOOL}/keys": ("bureau", "county", "school", "host"),
        f"/v1/institutions/{SCHOOL}/close": ("bureau", "county"),
        f"/v1/institutions/{SCHOOL}/contact": ("bureau", "county"),
        "/v1/people/find": ("bureau",),
        **{f"/v1/people/{UUID_TEXT}/{name}": ("bureau",) for name in ("correct", "transfer", "join", "erase")},
        "/v1/webhook-endpoints": ("bureau", "county", "school", "host"),
        f"/v1/classes/{api.plan.number_prefix}-c-{HOST}-01/attendance": ("host",),
        f"/v1/institutions/{HOST}/suspend": ("bureau",),
        f"/v1/institutions/{HOST}/reinstate": ("bureau",),
        "/v1/clock/advance": ("bureau",),
        "/v1/clock/speed": ("bureau",),
    }
    for path, roles in makes.items():
        response = await api.post(ORGANISATION_OF[role], path, {"nothing": "right"})
        if role in roles:
            assert response.status_code in (415, 422), path
        else:
            assert response.status_code == 403, path
            assert api.problem(response) in ("not-your-part", "scope-missing")


def test_every_route_but_the_public_ones_asks_for_a_scope() -> None:
    public = set()
    for routes in ROUTERS:
        for route in routes.routes:
            assert isinstance(route, APIRoute)
            assert isinstance(route, PublicRoute)
            guards = [each.call for each in route.dependant.dependencies if isinstance(each.call, Allowed)]
            if route.is_public:
                public.add(route.path)
                assert not guards
            else:
                assert len(guards) == 1, route.path
    assert public == {
        "/v1/ledger/keys",
        "/v1/ledger/{book}/checkpoint",
        "/v1/witness/add-checkpoint",
        "/v1/session",
        "/sign-in",
        "/sign-in/provider",
        "/sign-in/callback",
        "/sign-out",
        "/v1/healthz",
        "/v1/readyz",
        "/v1/certificates/{number}/verification",
        "/certificates/{number}",
        "/objections/{token}",
        "/docs",
        "/problems",
        "/problems/{slug}",
    }


def test_every_command_of_people_has_its_route() -> None:
    paths = {
        route.path
        for routes in (trainees.routes, classes.routes, restrictions.routes)
        for route in routes.routes
        if isinstance(route, APIRoute)
    }
    for process, name, path, _ in commands():
        assert path in paths, (process, name)
    assert not {
        path
        for path in paths
        if path.endswith(("/lapse", "/pass-deadline", "/record-absences", "/follow-class", "/record-change-told"))
    }
