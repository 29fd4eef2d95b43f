"""The API's description: committed, complete, and what the documentation page shows."""

import re
from typing import Any

import pytest

from api.app import describe_without_settings
from api.docs import STATIC
from api.openapi import COMMITTED, as_text
from api.permissions import SCOPES
from api.problem_types import BY_SLUG
from api.problems import ProblemDocument
from tests.api.described import MEDIA_TYPE, document, problems_of, responses_of
from tests.api.front_door import API

OF_NO_OPERATION = {
    "method-not-allowed",  # of no operation by what it says
    "host-not-removed",  # the system alone replaces a host
    "refused",  # stands for codes that the table does not know
    "not-carried-out",  # the outcome of a command that was kept, in its operation's body
    "cross-site-request",  # of a browser with a session, on pages of other sites
}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, item in document()["paths"].items() for method, each in item.items()]


def test_the_committed_description_is_the_apps_own() -> None:
    written = COMMITTED.read_text(encoding="utf-8")
    assert written == as_text(describe_without_settings()), "run `python -m api.openapi`"


async def test_the_served_description_is_the_committed_one(api: API) -> None:
    served = (await api.http.get("/openapi.json")).json()
    assert as_text(served) == COMMITTED.read_text(encoding="utf-8")


def test_every_operation_has_its_own_id_and_words() -> None:
    found = operations()
    ids = [each["operationId"] for _, _, each in found]
    assert len(ids) == len(set(ids)) > 70
    for path, method, each in found:
        assert each["summary"], (path, method)
        assert each["tags"], (path, method)
        assert each["responses"], (path, method)


def test_every_problem_response_shows_each_problem_by_an_example() -> None:
    described = document()
    assert "HTTPValidationError" not in described["components"]["schemas"]
    for path, method, operation in operations():
        for status, response in responses_of(operation).items():
            if int(status) < 400 or (path, status) == ("/v1/witness/add-checkpoint", "409"):
                continue
            assert response["content"][MEDIA_TYPE]["schema"] == {"$ref": "#/components/schemas/ProblemDocument"}
            assert set(response["content"]) == {MEDIA_TYPE}, (path, method, status)
            slugs = problems_of(response)
            assert slugs, (path, method, status)
            assert {BY_SLUG[slug].status for slug in slugs} == {int(status)}, (path, method, status)


def test_the_examples_of_problems_are_problems() -> None:
    examples = document()["components"]["examples"]
    assert set(examples) < set(BY_SLUG)
    for slug, example in examples.items():
        shown = example["value"]
        assert ProblemDocument.model_validate(shown).status == BY_SLUG[slug].status
        assert shown["type"].endswith(f"/problems/{slug}")
        for fault in shown["errors"]:
            assert all(fault[name] for name in ("code", "detail", "detail_zh", "remedy", "remedy_zh")), slug


def test_every_problem_belongs_to_an_operation_or_a_row() -> None:
    described = {slug for *_, each in operations() for answer in responses_of(each).values() for slug in _slugs(answer)}
    unused = set(BY_SLUG) - described
    assert unused <= OF_NO_OPERATION


def _slugs(response: dict[str, Any]) -> set[str]:
    named = set(re.findall(r"`([a-z-]+)`", response["description"]))
    return named | (problems_of(response) if MEDIA_TYPE in response.get("content", {}) else set())


def test_every_change_is_carried_out_once() -> None:
    for path, method, operation in operations():
        # A witness speaks a protocol of others, which is safe to repeat by itself.
        if method == "post" and path != "/v1/witness/add-checkpoint":
            assert parameter(operation, "Idempotency-Key")["required"], path
            answers = responses_of(operation)
            assert "idempotency-key-missing" in problems_of(answers["400"])
            assert "request-in-flight" in problems_of(answers["409"])
            assert "idempotency-key-reused" in problems_of(answers["422"])


def test_whatever_has_a_version_is_read_and_changed_by_it() -> None:
    schemas = document()["components"]["schemas"]
    read, changed, needed = 0, 0, 0
    for path, method, operation in operations():
        answers = responses_of(operation)
        succeeded = next((answers[status] for status in ("200", "201") if status in answers), {})
        schema = succeeded.get("content", {}).get("application/json", {}).get("schema", {})
        fields = schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
        if "If-None-Match" in names(operation):
            read += 1
            assert "ETag" in answers["200"]["headers"] and "ETag" in answers["304"]["headers"], path
        elif method == "get" and "version" in fields and path != "/v1/bulletins/issued":
            pytest.fail(f"{path} shows a version and has no ETag")
        if "If-Match" in names(operation):
            changed += 1
            assert "ETag" in succeeded["headers"] and "412" in answers, path
            assert parameter(operation, "If-Match")["required"] == ("428" in answers), path
            needed += "428" in answers
        elif method == "post" and path.count("{") and "CommandReceipt" in str(schema):
            pytest.fail(f"{path} changes one thing and takes no If-Match")
    assert read >= 8 and changed > 50 and needed > 25


def names(operation: dict[str, Any]) -> list[str]:
    return [each["name"] for each in operation.get("parameters", ())]


def parameter(operation: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in operation["parameters"] if each["name"] == name)


def test_every_protected_operation_names_its_scope() -> None:
    for path, method, operation in operations():
        if "security" in operation:
            named = [scope for scope in SCOPES if f"Scope: `{scope}`" in operation["description"]]
            # Any key may ask whose it is.
            assert len(named) == (0 if path == "/v1/me" else 1), (path, method)


def test_no_schema_is_named_after_a_module_of_ours() -> None:
    """Two models of one name would be: generated clients get unreadable names from that, or none at all."""
    assert [name for name in describe_without_settings()["components"]["schemas"] if "__" in name] == []


def test_every_link_leads_to_an_operation_and_fills_what_it_has() -> None:
    by_id = {operation["operationId"]: operation for *_, operation in operations()}
    linked = {}
    for path, _, operation in operations():
        for response in responses_of(operation).values():
            for link in response.get("links", {}).values():
                linked[link["operationId"]] = path
                target = by_id[link["operationId"]]
                for parameter in link["parameters"]:
                    place, _, name = parameter.partition(".")
                    assert (place, name) in {(each["in"], each["name"]) for each in target["parameters"]}, path
    read = {each["operationId"] for *_, each in operations() if "If-None-Match" in names(each)}
    # A certificate stands in its nomination.
    assert read - linked.keys() == {"get_certificate"}
    decided = {each["operationId"] for *_, each in operations() if "If-Match" in names(each)}
    assert decided <= linked.keys()


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for value in node.values() for each in references(value)]
        return [each for value in node for each in references(value)] if isinstance(node, list) else []

    for reference in references(document()):
        target: Any = document()
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


async def test_the_documentation_page_needs_nothing_from_elsewhere(api: API) -> None:
    page = await api.http.get("/docs")
    assert "<title>xunji 训迹</title>" in page.text
    assert "http" not in page.text.replace("http-equiv", "")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("swagger-ui.css", "pages.css", "swagger-ui-bundle.js", "documentation.js"):
        assert f"/static/{name}" in page.text
        asset = await api.http.get(f"/static/{name}")
        assert asset.status_code == 200
    assert (STATIC / "swagger-ui.LICENSE.txt").read_text().lstrip().startswith("Apache License")
    missing = await api.http.get("/static/nothing.js")
    assert (missing.status_code, api.problem(missing)) == (404, "not-found")
