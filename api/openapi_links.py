"""How a program finds its way on: from what creates or lists things to what reads one of them, and from a reading to
what is decided on it. Links follow from the addresses, so a new operation has its own.
"""

from collections.abc import Iterator
from typing import Any, Final

JSON: Final = "application/json"
READ, CREATED = "200", "201"
_READ_ELSEWHERE: Final = {"/v1/nominations": "/v1/trainees"}
"""What is created at one address and read at another."""


def add_links(document: dict[str, Any]) -> None:
    """Add `links` to the responses of a description."""
    paths: dict[str, dict[str, Any]] = document["paths"]
    for path, item in paths.items():
        if "{" in path:
            continue
        for name, targets in _readings_of_one(paths, _READ_ELSEWHERE.get(path, path)):
            if "get" in item:
                _link(document, item["get"], READ, name, targets, in_items=True)
            if "post" in item:
                _link(document, item["post"], CREATED, name, targets, in_items=False)
    for path, item in paths.items():
        read = item.get("get", {})
        if _takes(read, "If-None-Match"):
            links = {each["operationId"]: _decided_on(path, each) for each in _decisions(paths, path)}
            if links:
                read["responses"][READ]["links"] = links


def _readings_of_one(paths: dict[str, dict[str, Any]], collection: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The parameter that names one thing of the collection, and what reads that thing or a part of it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, item in paths.items():
        rest = path.removeprefix(collection + "/{")
        if rest != path and "get" in item and rest.count("{") == 0:
            found.setdefault(rest.partition("}")[0], []).append(item["get"])
    yield from found.items()


def _link(
    document: dict[str, Any],
    operation: dict[str, Any],
    status: str,
    name: str,
    targets: list[dict[str, Any]],
    *,
    in_items: bool,
) -> None:
    response = operation["responses"].get(status, {})
    fields = _fields(document, response, in_items=in_items)
    field = next((each for each in (name, "id", "number") if each in fields), None)
    if field is not None:
        pointer = f"$response.body#/{'items/0/' if in_items else ''}{field}"
        response.setdefault("links", {}).update(
            {
                each["operationId"]: {"operationId": each["operationId"], "parameters": {f"path.{name}": pointer}}
                for each in targets
            }
        )


def _fields(document: dict[str, Any], response: dict[str, Any], *, in_items: bool) -> dict[str, Any]:
    """The fields of a response, or of the items of the list that it is."""
    schema = _resolved(document, response.get("content", {}).get(JSON, {}).get("schema", {}))
    if in_items:
        schema = _resolved(document, schema.get("properties", {}).get("items", {}).get("items", {}))
    fields: dict[str, Any] = schema.get("properties", {})
    return fields


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"].get(name, schema)
    return found


def _decisions(paths: dict[str, dict[str, Any]], read: str) -> Iterator[dict[str, Any]]:
    """What changes the thing that is read at an address."""
    for path, item in paths.items():
        if path.startswith(read + "/") and _takes(item.get("post", {}), "If-Match"):
            yield item["post"]


def _decided_on(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    name = path.rpartition("{")[2].rstrip("}")
    parameters = {f"path.{name}": f"$request.path.{name}", "header.If-Match": "$response.header.ETag"}
    return {"operationId": operation["operationId"], "parameters": parameters}


def _takes(operation: dict[str, Any], header: str) -> bool:
    return any(each["name"] == header for each in operation.get("parameters", ()))
