"""An example for every body of the description, made from its schema and the words of `api/example_words.py`.

A field that is new has an example at once where its name or its schema gives one; otherwise `python -m api.openapi`
says which word is missing. A file has its template, or itself, as an example elsewhere (`externalValue`).
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from api.example_words import CSV_OF, OF_SCHEMA, PLACES, WHOLE, WORDS
from api.export_headings import heading
from api.exports import LISTS, columns_of, lines_of
from spreadsheets.writing import XLSX, Sheet, as_csv, numbered

JSON: Final = "application/json"
CSV, FORM, YAML, HTML, TEXT = "text/csv", "multipart/form-data", "application/yaml", "text/html", "text/plain"
DATE, INSTANT, ID = "2022-09-05", "2022-09-05T02:00:00Z", "3f0e7c52-5b1d-4f7e-9a41-6d1f0c2b8e10"
DEPTH_MAX: Final = 12
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_PARAMETER: Final = re.compile(r"\{[a-z]+\}")
_PLAN: Final = """\
# The whole file, as plans/2022-zhengzhou.yaml.
id: 2022-zhengzhou
edition: 1
number_prefix: zz22
title_zh: 郑州市 2022 年教师培训
"""
_PAGE: Final = "<!doctype html>\n<title>quota-exhausted</title>\n"
_SIGNATURES: Final = "— witness.example Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeO…\n"


class NoExample(LookupError):
    """No word fits a field: `api/example_words.py` is to have one."""


def add_examples(document: dict[str, Any]) -> None:
    """Give every request body and every success answer of a description its example. Raises NoExample."""
    maker = _Maker(document["components"]["schemas"])
    for path, item in document["paths"].items():
        for operation in item.values():
            for is_request, media_type, content in _bodies(operation):
                if "example" not in content and "examples" not in content:
                    schema = content.get("schema", {})
                    content.update(_example(maker, path, media_type, schema, is_request=is_request))


def _bodies(operation: dict[str, Any]) -> Iterator[tuple[bool, str, dict[str, Any]]]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield True, media_type, content
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for media_type, content in response.get("content", {}).items():
                yield False, media_type, content


def _example(
    maker: "_Maker", path: str, media_type: str, schema: dict[str, Any], *, is_request: bool
) -> dict[str, Any]:
    match media_type:
        case "application/json":
            return {"example": maker.make(schema, is_request=is_request)}
        case "text/csv":
            return {"example": _csv(maker, path)}
        case "multipart/form-data":
            return {"example": {"file": _csv(maker, path)}}
        case "application/yaml":
            return {"example": _PLAN}
        case "text/html":
            return {"example": _PAGE}
        case "text/plain":
            return {"example": _SIGNATURES}
    assert media_type == XLSX, f"{path}: no example of {media_type}"
    noun = path.split("/")[2]
    where = f"/v1/{noun}/template" if noun.endswith("-imports") else _PARAMETER.sub(PLACES.get(noun, ""), path)
    return {"examples": {"file": {"summary": "The file itself.", "externalValue": where}}}


def _csv(maker: "_Maker", path: str) -> str:
    """The file of an import as it is sent, or an exported list with one row."""
    noun = path.split("/")[2]
    if noun in CSV_OF:
        return CSV_OF[noun]
    exported = next(each for each in LISTS if f"/v1{each.path}/export" == path)
    item = exported.item.model_validate(maker.make({"$ref": f"#/components/schemas/{exported.item.__name__}"}))
    columns = list(columns_of(exported.item))
    rows = [[row.get(column, "") for column in columns] for row in lines_of(item)]
    headings = [heading(exported.item, column) for column in columns]
    return as_csv(Sheet("名单", numbered([headings, *rows]))).decode("utf-8-sig").replace("\r\n", "\n")


class _Maker:
    """Makes examples from the schemas of a description."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas

    def make(self, schema: dict[str, Any], *, is_request: bool = False) -> Any:
        """A value that the schema takes. Raises NoExample."""
        return self._value(schema, "", "", 0, is_request=is_request)

    def _value(self, schema: dict[str, Any], owner: str, name: str, depth: int, *, is_request: bool) -> Any:
        assert depth < DEPTH_MAX, f"{owner}.{name} is in itself"
        if "$ref" in schema:
            named = schema["$ref"].rpartition("/")[2]
            if named in WHOLE:
                return deepcopy(WHOLE[named])
            return self._value(self._schemas[named], named, name, depth + 1, is_request=is_request)
        if (owner, name) in OF_SCHEMA and self._fits(schema, OF_SCHEMA[owner, name]):
            return OF_SCHEMA[owner, name]
        if "examples" in schema:
            return schema["examples"][0]
        fitting = [each for each in WORDS.get(name, ()) if self._fits(schema, each)]
        if fitting:
            return deepcopy(fitting[0])
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self._value(schema[choice][0], owner, name, depth + 1, is_request=is_request)
        return self._of_type(schema, owner, name, depth, is_request=is_request)

    def _of_type(self, schema: dict[str, Any], owner: str, name: str, depth: int, *, is_request: bool) -> Any:
        if "const" in schema or "enum" in schema:
            return schema.get("const", next(iter(schema.get("enum", ())), None))
        match schema.get("type"):
            case "object":
                return self._object(schema, depth, is_request=is_request)
            case "array":
                item = self._value(schema["items"], owner, name, depth + 1, is_request=is_request)
                return [item] * max(1, schema.get("minItems", 1))
            case "boolean":
                return bool(schema.get("default", False))
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "null":
                return None
        by_format = {"date": DATE, "date-time": INSTANT, "uuid": ID}.get(schema.get("format", ""))
        if by_format is None:
            raise NoExample(f"{owner}.{name}: {schema}")
        return by_format

    def _object(self, schema: dict[str, Any], depth: int, *, is_request: bool) -> dict[str, Any]:
        """With what is required; a request also with what has an example of its own, or else with everything."""
        fields: dict[str, Any] = schema.get("properties", {})
        shown = [each for each in fields if each in schema.get("required", ())]
        if is_request:
            shown = [each for each in fields if each in shown or _has_own_example(fields[each])]
        owner = schema.get("title", "")
        return {
            each: self._value(fields[each], owner, each, depth + 1, is_request=is_request) for each in shown or fields
        }

    def _fits(self, schema: dict[str, Any], value: object) -> bool:
        if "$ref" in schema:
            return self._fits(self._schemas[schema["$ref"].rpartition("/")[2]], value)
        if "anyOf" in schema:
            return any(self._fits(each, value) for each in schema["anyOf"])
        if "enum" in schema or "const" in schema:
            return value in schema.get("enum", (schema.get("const"),))
        types = schema.get("type", list(_TYPES))
        kinds = tuple(kind for each in ([types] if isinstance(types, str) else types) for kind in _TYPES[each])
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return False
        if isinstance(value, list):
            return all(self._fits(schema.get("items", {}), each) for each in value)
        return _in_bounds(schema, value)


def _has_own_example(schema: dict[str, Any]) -> bool:
    return "examples" in schema or any("examples" in each for each in schema.get("anyOf", ()))


def _in_bounds(schema: dict[str, Any], value: object) -> bool:
    if isinstance(value, str):
        length = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return length and re.search(schema.get("pattern", ""), value) is not None and _of_format(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return not (isinstance(value, dict) and "properties" in schema)


def _of_format(schema: dict[str, Any], value: str) -> bool:
    try:
        match schema.get("format"):
            case "date":
                date.fromisoformat(value)
            case "date-time":
                return "T" in value and datetime.fromisoformat(value).tzinfo is not None
            case "uuid":
                UUID(value)
    except ValueError:
        return False
    return True
