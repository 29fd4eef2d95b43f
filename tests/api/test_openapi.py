"""The API's description: committed, complete, and what the documentation page shows."""

from typing import Any

from api.app import describe_without_settings
from api.docs import STATIC
from api.openapi import COMMITTED, as_text
from api.permissions import SCOPES
from tests.api.front_door import API


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    document = describe_without_settings()
    return [(path, method, each) for path, item in document["paths"].items() for method, each in item.items()]


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


def test_every_problem_response_has_the_same_shape() -> None:
    document = describe_without_settings()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response == {"$ref": f"#/components/responses/Problem{status}"}, (path, method)
                assert f"Problem{status}" in document["components"]["responses"]
        # A witness speaks a protocol of others, which is safe to repeat by itself.
        if method == "post" and path != "/v1/witness/add-checkpoint":
            names = [each["name"] for each in operation["parameters"] if each.get("required")]
            assert "Idempotency-Key" in names, path
            assert "400" in operation["responses"]


def test_every_protected_operation_names_its_scope() -> None:
    for path, method, operation in operations():
        if "security" in operation:
            named = [scope for scope in SCOPES if f"Scope: `{scope}`" in operation["description"]]
            # Any key may ask whose it is.
            assert len(named) == (0 if path == "/v1/me" else 1), (path, method)


def test_no_schema_is_named_after_a_module_of_ours() -> None:
    """Two models of one name would be: generated clients get unreadable names from that, or none at all."""
    assert [name for name in describe_without_settings()["components"]["schemas"] if "__" in name] == []


def test_every_reference_leads_somewhere() -> None:
    document = describe_without_settings()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for value in node.values() for each in references(value)]
        return [each for value in node for each in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        target: Any = document
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
