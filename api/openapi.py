"""The API's description (OpenAPI 3.1), as served at /openapi.json and committed as docs/openapi.json.

`python -m api.openapi` writes the committed file; a test compares the two.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api import problem_types as types
from api.conditional import ETAG_HEADER, IF_MATCH
from api.examples import add_examples
from api.idempotency import KEY_LIMIT
from api.notices import notice_schema, webhooks_described
from api.openapi_links import add_links
from api.permissions import SCOPES
from api.problem_examples import examples
from api.problem_finder import may_be_kept, problems_of, row_problems_of
from api.problem_types import ProblemType
from api.problems import MEDIA_TYPE, ProblemDocument
from api.routing import PublicRoute, preconditions
from api.services import Allowed

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "openapi.json"
VERSION: Final = "0.1.0"
TITLE: Final = "xunji 训迹"
DESCRIPTION: Final = """
Teacher training of an education bureau: quotas, nominations, classes, outcomes, restrictions and bulletins.

- **Keys**: `Authorization: Bearer xj_…`. A key belongs to one organisation and carries scopes. What is another
  organisation's does not exist for it (404).
- **Commands** are `POST /v1/{things}/{number}/{command}`, for one; for many nominations without the number (207, a
  result per row). Every POST needs an `Idempotency-Key`; repeating a request with the same key is always safe. While a
  part of the system is away a command is kept and answered 202: its `Location` says what came of it.
- **Problems** are `application/problem+json` (RFC 9457) with what is wrong, where, and the way out, in English and
  Chinese. Each `type` is an address that explains it.
- **Versions**: reading one thing answers with an `ETag`; `If-None-Match` asks whether there is a newer one (304).
  Whoever decides on what he has read sends that tag as `If-Match`; if it has changed meanwhile nothing is done (412).
  Some operations need it (428).
- **Lists** are pages: `?limit=&cursor=` → `items`, `next`. Unknown parameters and fields are refused with the nearest
  name.
- **Times** are RFC 3339 in UTC. Enumerations may grow; treat an unknown value as one.
"""
_TAGS: Final = {
    "campaigns": "Campaigns by their plan, with figures.",
    "projects": "培训项目: what each project type asks for, and who may run it.",
    "quotas": "名额: seats by project type and recipient.",
    "institutions": "Organisations and their API keys.",
    "nominations": "提名: one teacher, or up to 500 at once.",
    "nomination-imports": "提名表: nominations by XLSX or CSV.",
    "registration-imports": "报到表: who has arrived, by XLSX or CSV.",
    "attendance-imports": "考勤表: units attended, by XLSX or CSV.",
    "outcome-imports": "结业表: outcomes, by XLSX or CSV.",
    "operations": "Work that goes on after its request was answered.",
    "exports": "Lists and bulletins as XLSX or CSV.",
    "trainees": "Every step of a nomination, from approval to the follow-up task.",
    "classes": "Classes of the hosts, 报到 and outcomes.",
    "people": "Teachers' records: corrected, transferred, joined, forgotten.",
    "restrictions": "限制参训, with due process.",
    "bulletins": "通报 of counties and hosts.",
    "certificates": "结业证书, and how anybody verifies one.",
    "training-days": "Days by mode, person and 继续教育周期.",
    "webhooks": "Where notices are posted, and what became of them.",
    "events": "The same notices, to be pulled instead of posted.",
    "deliveries": "What became of each notice and letter, and addresses that take none.",
    "mailboxes": "The queues of notices, for the bureau's operators.",
    "ledger": "Signed roots of the ledger's books, and proofs for auditors.",
    "witness": "Countersigning for other ledgers (C2SP tlog-witness).",
    "sign-in": "Members of staff.",
    "audit": "Who has read personal data.",
    "clock": "The application's time.",
    "health": "For load balancers.",
    "documentation": "Pages for people.",
}


KEPT: Final = {
    "description": "Kept, because a part of the system was away or there are many rows; it is carried out afterwards, "
    "in order. The operation's `outcome` or rows say what this request would have been answered with.",
    "headers": {
        "Location": {"description": "The operation's address.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds until it is worth asking.", "schema": {"type": "string"}},
    },
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OperationOut"}}},
}
"""How a command is answered that is kept (`api/inbox.py`)."""


def describe(app: FastAPI, routes: list[APIRoute]) -> dict[str, Any]:
    """The description of `app`, whose routes are `routes`."""
    document = get_openapi(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION.strip(),
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        contact={"name": "xunji 训迹"},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    document["servers"] = [{"url": "/"}]
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for fastapi_own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(fastapi_own, None)
    problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["ProblemDocument"] = problem
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "`xj_<key id>_<secret>`. Scopes: " + ", ".join(f"`{scope}`" for scope in SCOPES) + ".",
        }
    }
    schemas["Notice"] = notice_schema()
    _name_rows(schemas)
    document["webhooks"] = webhooks_described()
    components["headers"] = {"ETag": ETAG_HEADER}
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {f"Problem{status}": _problem_response(types) for status, types in _USUAL.items()}
    for route in routes:
        _finish(document["paths"].get(route.path_format, {}), route)
    shown = {type_.slug for route in routes if route.include_in_schema for type_ in problems_of(route)}
    add_links(document)
    add_examples(document)
    components["examples"] = {slug: example for slug, example in examples().items() if slug in shown}
    return document


def _name_rows(schemas: dict[str, Any]) -> None:
    """Give the rows of bulk requests a schema of their own each: pydantic writes out in place what is validated later,
    and generators of clients then make up names for it.
    """
    for schema in list(schemas.values()):
        items = schema.get("properties", {}).get("items", {})
        row = items.get("items", {})
        if row.get("type") == "object" and "title" in row:
            known = schemas.setdefault(row["title"], row)
            assert known == row, f"two rows are called {row['title']}"
            items["items"] = {"$ref": f"#/components/schemas/{row['title']}"}


def _finish(path: dict[str, Any], route: APIRoute) -> None:
    for method in sorted(route.methods or ()):
        operation = path.get(method.lower())
        if operation is None:
            continue
        is_public = isinstance(route, PublicRoute) and route.is_public
        if not is_public:
            operation["security"] = [{"key": []}]
        answers = {status: each for status, each in operation["responses"].items() if _is_no_problem(status, each)}
        operation["responses"] = answers | _problem_responses(route)
        _add_preconditions(operation, route.dependant)
        if may_be_kept(route):
            operation["responses"]["202"] = KEPT
        rows = ", ".join(f"`{each.slug}`" for each in sorted(row_problems_of(route), key=lambda each: each.slug))
        if rows:
            operation["responses"]["207"]["description"] = f"A result for every row. A row may come to: {rows}."
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "Idempotency-Key":
                # Its absence is a problem of its own, so it is optional for FastAPI only.
                parameter["required"] = True
                parameter["schema"] = {"type": "string", "pattern": f"^[!-~]{{1,{KEY_LIMIT}}}$"}
        scope = next(_scopes(route.dependant), None)
        if scope:
            operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()


def _is_no_problem(status: str, response: dict[str, Any]) -> bool:
    # FastAPI adds its own description of 422 to whatever takes a parameter.
    return status != "422" and MEDIA_TYPE not in response.get("content", {})


_USUAL: Final[dict[int, frozenset[ProblemType]]] = {
    400: frozenset({types.MALFORMED, types.KEY_MISSING}),
    401: frozenset({types.UNAUTHENTICATED}),
    403: frozenset({types.SCOPE_MISSING}),
    404: frozenset({types.NOT_FOUND, types.REFUSALS["unknown_number"]}),
    408: frozenset({types.TOO_SLOW}),
    409: frozenset({types.IN_FLIGHT}),
    412: frozenset({types.REFUSALS["changed_meanwhile"]}),
    413: frozenset({types.TOO_LARGE}),
    415: frozenset({types.UNSUPPORTED_MEDIA_TYPE}),
    422: frozenset({types.INVALID}),
    428: frozenset({types.PRECONDITION_REQUIRED}),
    429: frozenset({types.TOO_MANY_REQUESTS, types.TOO_MANY_FAILED_SIGN_INS}),
    500: frozenset({types.INTERNAL}),
    503: frozenset({types.DATABASE_AWAY}),
}
"""What many operations share: with just these problems a response is described once, and referred to."""


def _problem_responses(route: APIRoute) -> dict[str, Any]:
    by_status: dict[int, set[ProblemType]] = {}
    for type_ in problems_of(route):
        by_status.setdefault(type_.status, set()).add(type_)
    return {
        str(status): {"$ref": f"#/components/responses/Problem{status}"}
        if status in _USUAL and found == _USUAL[status]
        else _problem_response(found)
        for status, found in by_status.items()
    }


def _problem_response(found: Collection[ProblemType]) -> dict[str, Any]:
    ordered = sorted(found, key=lambda each: each.slug)
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    shown = {each.slug: {"$ref": f"#/components/examples/{each.slug}"} for each in ordered}
    return {
        "description": "; ".join(each.title for each in ordered),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": shown}},
    }


def _add_preconditions(operation: dict[str, Any], dependant: Dependant) -> None:
    """What `If-Match` and `If-None-Match` lead to, wherever a route takes one of them."""
    named = {each["name"]: each for each in operation.get("parameters", ())}
    responses = operation["responses"]
    if "If-None-Match" not in named and "If-Match" not in named:
        return
    for status, response in responses.items():
        if status.startswith("2"):
            response["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}
    if "If-None-Match" in named:
        responses["304"] = {
            "description": "Unchanged since the answer whose `ETag` was sent as `If-None-Match`",
            "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
        }
    for precondition in preconditions(dependant):
        named["If-Match"]["required"] = precondition.required
        named["If-Match"]["schema"] = {"type": "string", "pattern": IF_MATCH}


def _scopes(dependant: Dependant) -> Iterator[str]:
    for each in dependant.dependencies:
        if isinstance(each.call, Allowed):
            yield each.call.scope
        yield from _scopes(each)


def as_text(document: dict[str, Any]) -> str:
    """The description as the committed file has it."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    from api.app import describe_without_settings

    COMMITTED.write_text(as_text(describe_without_settings()), encoding="utf-8")
