"""Every cell of docs/permissions.md, tried with a key of the role and a request that is right in itself."""

import pytest

from api.permissions import KEY_ROLES, KeyRole, scopes_of
from api.routing import KeyRoute
from api.services import ANY_KEY
from docgen.permission_table import method_of, operations
from tests.api.bodies import request_for
from tests.api.front_door import API, COUNTY, HOST, new_key
from tests.api.test_permissions import ORGANISATION_OF, UUID_TEXT


def some_path(api: API, route: KeyRoute) -> str:
    """The route's path with ids that are well formed and nobody's."""
    prefix = api.plan.number_prefix
    number = {
        "trainees": f"{prefix}-{COUNTY}-99999",
        "certificates": f"{prefix}-{COUNTY}-99999-c1",
        "classes": f"{prefix}-c-{HOST}-99",
        "restrictions": f"{prefix}-{COUNTY}-99999-r1",
        "quotas": f"{api.plan.id}:gp5:999999",
    }
    noun = route.path.split("/")[2]
    return route.path.format(
        number=number.get(noun, ""),
        campaign="none",
        institution=f"{COUNTY}-s99",
        key_id="0" * 16,
        id=UUID_TEXT,
        operation=UUID_TEXT,
        endpoint=f"we_{'0' * 16}",
        organisation="nobody",
        book="none",
    )


@pytest.mark.parametrize("role", KEY_ROLES)
async def test_every_operation_lets_through_whom_the_table_names_and_nobody_else(api: API, role: KeyRole) -> None:
    seen = 0
    for route in operations():
        request = request_for(api, route, f"{api.plan.number_prefix}-{COUNTY}-99999")
        response = await api.call(
            ORGANISATION_OF[role], method_of(route), some_path(api, route), request.pop("json", None), **request
        )
        wanted, shown = route.permission.refusal(role), f"{role} {method_of(route)} {route.path}: {response.text}"
        if wanted is not None:
            assert (response.status_code, api.problem(response)) == (wanted.status, wanted.slug), shown
        else:
            assert response.status_code not in (401, 403), shown
            # Whatever stops it now is neither the key nor the request's form.
            assert response.status_code != 422 or api.problem(response) != "invalid-request", shown
        seen += 1
    assert seen == len(operations()) > 100


async def test_a_key_with_any_other_scope_is_not_enough(api: API) -> None:
    """Each operation once, by the first role that it is open to, with every scope of the role but its own."""
    keys: dict[tuple[KeyRole, str], str] = {}
    assert [route.path for route in operations() if route.permission.scope == ANY_KEY] == ["/v1/me"]
    for route in operations():
        role, scope = route.permission.open_to[0], route.permission.scope
        if scope == ANY_KEY:
            continue
        if (role, scope) not in keys:
            others = [each for each in scopes_of(role) if each != scope]
            keys[role, scope] = await new_key(api.services, ORGANISATION_OF[role], role, *others)
        request = request_for(api, route, f"{api.plan.number_prefix}-{COUNTY}-99999")
        headers = {"Authorization": f"Bearer {keys[role, scope]}"} | request.pop("headers", {})
        response = await api.call(
            ORGANISATION_OF[role],
            method_of(route),
            some_path(api, route),
            request.pop("json", None),
            headers=headers,
            **request,
        )
        assert (response.status_code, api.problem(response)) == (403, "scope-missing"), route.path


def test_every_operation_is_open_to_somebody() -> None:
    assert all(route.permission.open_to for route in operations())
