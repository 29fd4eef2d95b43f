"""The API's description (OpenAPI 3.1), as served at /openapi.json and committed as docs/openapi.json.

`python -m api.openapi` writes the committed file; a test compares the two.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.idempotency import KEY_LIMIT
from api.notices import notice_schema, webhooks_described
from api.permissions import SCOPES
from api.problems import MEDIA_TYPE, ProblemDocument, documented_all
from api.routing import PublicRoute
from api.services import Allowed

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "openapi.json"
VERSION: Final = "0.1.0"
TITLE: Final = "xunji 训迹"
DESCRIPTION: Final = """
Teacher training of an education bureau: quotas, nominations, classes, outcomes, restrictions and bulletins.

- **Keys**: `Authorization: Bearer xj_…`. A key belongs to one organisation and carries scopes. What is another
  organisation's does not exist for it (404).
- **Commands** are `POST /v1/{things}/{number}/{command}`, for one or, without the number, for many (207, a result per
  row). Every POST needs an `Idempotency-Key`; repeating a request with the same key is always safe.
- **Problems** are `application/problem+json` (RFC 9457) with what is wrong, where, and the way out, in English and
  Chinese. Each `type` is an address that explains it.
- **Lists** are pages: `?limit=&cursor=` → `items`, `next`. Unknown parameters and fields are refused with the nearest
  name.
- **Times** are RFC 3339 in UTC. Enumerations may grow; treat an unknown value as one.
"""
_TAGS: Final = {
    "campaigns": "Campaigns by their plan, with figures.",
    "quotas": "名额: seats by project type and recipient.",
    "institutions": "Organisations and their API keys.",
    "nominations": "提名: one teacher, or up to 500 at once.",
    "nomination-imports": "提名表: nominations by XLSX or CSV.",
    "operations": "Work that goes on after its request was answered.",
    "exports": "Lists and bulletins as XLSX or CSV.",
    "trainees": "Every step of a nomination, from approval to the follow-up task.",
    "classes": "Classes of the hosts, 报到 and outcomes.",
    "restrictions": "限制参训, with due process.",
    "bulletins": "通报 of counties and hosts.",
    "certificates": "结业证书, and how anybody verifies one.",
    "training-days": "Days by mode, person and 继续教育周期.",
    "webhooks": "Where notices are posted, and what became of them.",
    "events": "The same notices, to be pulled instead of posted.",
    "mailboxes": "The queues of notices, for the bureau's operators.",
    "ledger": "Signed roots of the ledger's books, and proofs for auditors.",
    "witness": "Countersigning for other ledgers (C2SP tlog-witness).",
    "audit": "Who has read personal data.",
    "clock": "The application's time.",
    "health": "For load balancers.",
    "documentation": "Pages for people.",
}


def describe(app: FastAPI, routes: list[APIRoute]) -> dict[str, Any]:
    """The description of `app`, whose routes are `routes`."""
    document = get_openapi(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION.strip(),
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
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
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {f"Problem{status}": response for status, response in documented_all().items()}
    for route in routes:
        _finish(document["paths"].get(route.path_format, {}), route)
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
        operation["responses"] = dict(_responses(operation["responses"], is_public))
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "Idempotency-Key":
                # Its absence is a problem of its own, so it is optional for FastAPI only.
                parameter["required"] = True
                parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": KEY_LIMIT}
        scope = next(_scopes(route.dependant), None)
        if scope:
            operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()


def _responses(responses: dict[str, Any], is_public: bool) -> Iterator[tuple[str, Any]]:
    for status, response in responses.items():
        if MEDIA_TYPE not in response.get("content", {}):
            if status != "422":
                yield status, response
        elif not (is_public and status in ("401", "403", "429")):
            yield status, {"$ref": f"#/components/responses/Problem{status}"}


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
