"""Every body of the description has an example, and each is one: of its schema, and of the model behind it."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from api.app import ROUTERS
from api.examples import NoExample, _Maker
from api.receipts import Rows
from tests.api.described import document, operation_of, responses_of


def bodies() -> Iterator[tuple[str, str, bool, str, dict[str, Any]]]:
    """Address, operation, whether it is a request's, media type, content."""
    for path, item in document()["paths"].items():
        for operation in item.values():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                yield path, operation["operationId"], True, media_type, content
            for status, response in responses_of(operation).items():
                if status.startswith("2"):
                    for media_type, content in response.get("content", {}).items():
                        yield path, operation["operationId"], False, media_type, content


def test_every_request_and_every_success_answer_has_an_example() -> None:
    found = list(bodies())
    without = [
        (path, media_type) for path, _, _, media_type, each in found if not {"example", "examples"} & each.keys()
    ]
    assert not without
    assert len(found) > 300


def test_every_example_keeps_to_its_schema() -> None:
    components = document()["components"]
    wrong = []
    for path, operation, _, media_type, content in bodies():
        if "example" in content:
            schema = {**content["schema"], "components": components}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            wrong += [f"{operation} {path} {media_type}: {each}" for each in validator.iter_errors(content["example"])]
    assert not wrong, wrong[:10]


def test_every_example_of_a_request_is_one_that_its_route_takes() -> None:
    routes = {route.operation_id: route for each in ROUTERS for route in each.routes if isinstance(route, APIRoute)}
    tried = 0
    for _, operation, is_request, media_type, content in bodies():
        field = routes[operation].body_field if is_request else None
        if field is not None and media_type == "application/json":
            model: Any = field.field_info.annotation
            body: Any = TypeAdapter(model).validate_python(content["example"])
            if isinstance(body, Rows):
                (row,) = type(body).__pydantic_generic_metadata__["args"]
                for each in content["example"]["items"]:
                    row.model_validate(each)
            tried += 1
    assert tried > 80


def test_a_file_has_its_example_where_it_can_be_read() -> None:
    for _, _, _, _, content in bodies():
        for example in content.get("examples", {}).values():
            if "externalValue" in example:
                assert "{" not in example["externalValue"]
                assert operation_of("GET", example["externalValue"]) is not None


def test_a_field_without_a_word_is_named() -> None:
    schemas = {"Thing": {"title": "Thing", "type": "object", "properties": {"gadget": {"type": "string"}}}}
    with pytest.raises(NoExample, match=r"Thing\.gadget"):
        _Maker(schemas).make({"$ref": "#/components/schemas/Thing"})
