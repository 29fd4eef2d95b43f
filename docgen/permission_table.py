"""Who may do what, and to whose things: docs/permissions.md, written by this from the routes' own declarations.

    python -m docgen.permission_table

A test tries every cell with a real key, and every operation with somebody else's object.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.objects import OBJECTS
from api.permissions import KEY_ROLES, SCOPES
from api.routing import KeyRoute, PublicRoute

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "permissions.md"
YES: Final = "✓"
NOTHING: Final = "—"

_HEAD: Final = """# Who may do what

<!-- Written by `python -m docgen.permission_table`; do not edit. -->

A request passes three gates, in this order.

1. **Who**: `Authorization: Bearer xj_…`, a key of one organisation, neither revoked, expired nor before its first
   instant. Else 401 `unauthenticated`.
2. **What**: the operation must be a step of the organisation's role (else 403 `not-your-part`) and the key must carry
   its scope (else 403 `scope-missing`). A key carries some or all of the scopes of its role. ✓ below: a key with every
   scope of its role passes; otherwise the problem that it is answered with.
3. **To whose**: what is somebody else's does not exist: 404, in the words for an id that nobody has. Lists hold only
   what exists for the caller. Whether a step is possible now is a question of its own, which the ledger decides.

Three tests keep it so: one tries every cell, one asks every operation for somebody else's object, and one reads every
query of the API and refuses any that neither names the organisation nor says why it need not. A query that forgets it
all the same is stopped by PostgreSQL's row security: it gives the rows of the caller's organisation and no others
([decision 38](decisions/0038-row-security-says-for-whom-in-the-same-statement.md)).
"""


def operations() -> list[KeyRoute]:
    """Every route that needs a key, in the order in which they are matched."""
    return [route for route in _routes() if isinstance(route, KeyRoute)]


def public_operations() -> list[PublicRoute]:
    """Every route that is open to the world."""
    return [route for route in _routes() if isinstance(route, PublicRoute) and route.is_public]


def _routes() -> Iterator[APIRoute]:
    for each in ROUTERS:
        for route in each.routes:
            assert isinstance(route, APIRoute)
            yield route


def method_of(route: APIRoute) -> str:
    """The one method of a route."""
    (method,) = route.methods or {""}
    return method


def as_text() -> str:
    """docs/permissions.md."""
    routes = sorted(operations(), key=lambda route: (route.tags[0], route.path, method_of(route)))
    cells = [
        [
            f"`{method_of(route)} {route.path}`",
            f"`{route.permission.scope}`" if route.permission.scope else "any key",
            *(_cell(route, place) for place in range(len(KEY_ROLES))),
        ]
        for route in routes
    ]
    objects = [
        [kind.name, f"`{path}`", *(kind.whose.get(role, NOTHING) for role in KEY_ROLES)]
        for path, kind in OBJECTS.items()
    ]
    scopes = [
        [f"`{scope}`", *(YES if role in roles else NOTHING for role in KEY_ROLES)] for scope, roles in SCOPES.items()
    ]
    public = [f"- `{method_of(route)} {route.path}`" for route in public_operations()]
    parts = [
        _HEAD,
        "## Operations\n",
        *_table(["Operation", "Scope", *KEY_ROLES], cells),
        "\n## Whose things exist for whom\n",
        *_table(["Object", "Named by", *KEY_ROLES], objects),
        "\n## Scopes that a key may carry\n",
        *_table(["Scope", *KEY_ROLES], scopes),
        "\n## Open to the world\n",
        "Without a key; a certificate is shown to who has its code, an objection form to who has the link made for it.",
        "",
        *public,
    ]
    return "\n".join(parts) + "\n"


def _cell(route: KeyRoute, place: int) -> str:
    refusal = route.permission.refusal(KEY_ROLES[place])
    return YES if refusal is None else f"`{refusal.slug}`"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(each)} |" for each in lines]


if __name__ == "__main__":
    COMMITTED.write_text(as_text(), encoding="utf-8")
