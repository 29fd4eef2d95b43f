"""Every answer that a test gets is held against the API's description: its status, its type, its problem, its shape."""

import re
from functools import cache
from typing import Any

import httpx2
import jsonschema_rs

from api.app import describe_without_settings

MEDIA_TYPE = "application/problem+json"
SHOWN = 5


@cache
def document() -> dict[str, Any]:
    """The API's description."""
    return describe_without_settings()


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to; anything else is itself."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target: Any = document()
    for part in str(reference).removeprefix("#/").split("/"):
        target = target[part]
    found: dict[str, Any] = target
    return found


def responses_of(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """An operation's responses by status."""
    return {status: resolved(each) for status, each in operation["responses"].items()}


def problems_of(response: dict[str, Any]) -> frozenset[str]:
    """The slugs of the problems that a response shows."""
    return frozenset(response["content"][MEDIA_TYPE]["examples"])


@cache
def _templates() -> tuple[tuple[re.Pattern[str], str], ...]:
    """The addresses, those with the fewest parameters first: an export is no trainee of the number `export`."""
    paths = sorted(document()["paths"], key=lambda path: (path.count("{"), path))
    return tuple((re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in paths)


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    """The template of an address and its operation; None for what is not described."""
    template = next((each for pattern, each in _templates() if pattern.fullmatch(path)), None)
    operation = document()["paths"].get(template, {}).get(method.lower())
    return None if template is None or operation is None else (template, operation)


@cache
def _validator(template: str, method: str, status: str, media_type: str) -> jsonschema_rs.Validator:
    operation = document()["paths"][template][method]
    schema = responses_of(operation)[status]["content"][media_type]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]}, validate_formats=True)


def check_described(method: str, response: httpx2.Response) -> None:
    """The answer is one that the description tells of. Fails with what is missing or wrong."""
    found = operation_of(method, response.request.url.path)
    if found is None:
        assert response.status_code in (404, 405), response.text
        return
    template, operation = found
    status, where = str(response.status_code), f"{method} {template}"
    described = responses_of(operation)
    assert status in described, f"{where} does not describe {status}: {response.text[:500]}"
    if not response.content:
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in described[status].get("content", {}), f"{where} {status}: {media_type} is not described"
    if not media_type.endswith("json"):
        return
    body = response.json()
    if media_type == MEDIA_TYPE:
        slug = body["type"].rpartition("/")[2]
        assert slug in problems_of(described[status]), f"{where} {status}: {slug} is not described"
    errors = list(_validator(template, method.lower(), status, media_type).iter_errors(body))
    assert not errors, f"{where} {status}: {[str(each)[:400] for each in errors[:SHOWN]]}"
