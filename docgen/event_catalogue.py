"""The catalogue of all events, docs/events/catalogue.json: every schema version that was ever written, with examples.

    catalogue.json ──► what later releases must still read (tests/docgen/test_event_catalogue.py)
    domain classes ──► what is written today ──► `make events` adds it

The file only grows. Within a version a schema may be widened, so that all that was written before still has it: a new
field with a default, one more value of an enumeration, a looser bound. Anything else needs a new version with an
upcast, and writing the file is refused until there is one.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

from domain.decision import Event
from domain.event_catalogues import EVENT_CATALOGUES

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "events" / "catalogue.json"

LIKELY: Final[Mapping[str, Any]] = {
    "campaign": "2022-zhengzhou",
    "county": "410181",
    "school": "s410181-001",
    "host": "h012",
    "by": "bureau:zzedu",
    "training_class": "zz22-c-h012-01",
    "trainee": "zz22-410181-00123",
    "restriction": "zz22-410181-00123-r1",
    "project_type": "gp1",
    "line": "gp1:410181",
    "recipient": "410181",
    "stage": "primary",
    "subject": "chinese",
    "position": "teacher",
    "email": "bureau@example.invalid",
    "url": "https://host.example.invalid/notices",
    "plan_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
"""What a field of this name holds in an example."""

Document = dict[str, Any]
_NOT_COMPARED: Final = frozenset({"title", "description", "examples"})
_UPPER_BOUNDS: Final = frozenset({"maxLength", "maxItems", "maximum", "exclusiveMaximum"})
_LOWER_BOUNDS: Final = frozenset({"minLength", "minItems", "minimum", "exclusiveMinimum"})
_BOUNDS: Final = _UPPER_BOUNDS | _LOWER_BOUNDS


class SchemaChanged(ValueError):
    """Schemas differ from what was written under the same version. `problems` names type, version and field of each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def catalogue(committed: Document) -> Document:
    """The committed catalogue with the events of today added. Raises SchemaChanged."""
    problems: list[str] = []
    document: Document = {}
    for kind, cls in _classes():
        entry = committed.get(cls.type, {"versions": {}})
        versions = dict(entry["versions"])
        number = str(cls.schema_version)
        today = version_of(cls)
        if number in versions:
            before = versions[number]
            for difference in differences(before["schema"], today["schema"]):
                problems.append(f"{cls.type}, schema version {number}: {difference}")
            # What was written before the schema was widened stays an example, before what is written now.
            widened = before["schema"] != today["schema"]
            today["examples"] = [*before["examples"], *(today["examples"] if widened else [])]
        versions[number] = today
        document[cls.type] = {
            "stream": f"{kind}/…",
            "description": " ".join(cleandoc(cls.__doc__ or "").split()),
            "versions": {each: versions[each] for each in sorted(versions, key=int)},
        }
    problems += [f"{type_} was written once and is not known any more" for type_ in committed if type_ not in document]
    if problems:
        raise SchemaChanged(problems)
    return document


def version_of(cls: type[Event]) -> Document:
    """The schema of what `cls` reads, and an example."""
    schema = _bare(cls.model_json_schema())
    example = _example(schema, schema.get("$defs", {}), cls.type)
    cls.model_validate(example)
    return {"schema": schema, "examples": [example]}


def differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Why data of the schema `old` might not be read, or be read in another sense, by the schema `new`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{place or 'the schema'} was {json.dumps(old)} and is {json.dumps(new)}"
        return
    if "anyOf" in new and "anyOf" not in old:
        # One more alternative beside what it was.
        if all(any(differences(old, each, place)) for each in new["anyOf"]):
            yield f"{place} was {json.dumps(old)} and is none of its alternatives now"
        return
    yield from _lost_values(old, new, place)
    for key in sorted({*old, *new} - {"enum", "const"}):
        yield from _of_key(key, old.get(key), new.get(key), place)


def _of_key(key: str, old: Any, new: Any, place: str) -> Iterator[str]:
    """The differences of one keyword of a schema; None stands for one that is not given."""
    where = f"{place}/{key}"
    if key in _BOUNDS:
        if new is not None and not _is_looser(key, old, new):
            yield f"{where} was {'not bounded' if old is None else old} and is {new}"
    elif key in {"properties", "$defs"}:
        yield from _of_parts(old or {}, new or {}, where)
    elif key == "required":
        if missing := sorted(set(new or ()) - set(old or ())):
            yield f"{place or 'the event'} must have {', '.join(missing)}, and did not have to"
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        yield from _of_parts(dict(enumerate(old)), dict(enumerate(new)), where)
    elif key != "default" or old is not None:
        yield from differences(old, new, where)


def _of_parts(old: Mapping[Any, Any], new: Mapping[Any, Any], place: str) -> Iterator[str]:
    """A part that is new is no difference: what was written before does not have it."""
    for name, part in old.items():
        if name not in new:
            yield f"{place}/{name} is gone"
        else:
            yield from differences(part, new[name], f"{place}/{name}")


def _lost_values(old: Document, new: Document, place: str) -> Iterator[str]:
    old_values, new_values = _values(old), _values(new)
    if lost := sorted(old_values - new_values) if new_values else []:
        yield f"{place} could be {', '.join(lost)}"
    if new_values and not old_values:
        yield f"{place} could be any value and is now one of {', '.join(sorted(new_values))}"


def as_text(document: Document) -> str:
    """The file's text; equal catalogues give equal texts."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def read_committed() -> Document:
    """The committed catalogue, empty when there is none yet."""
    if not COMMITTED.exists():
        return {}
    document: Document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return document


def main() -> int:
    """Write the committed file; 1 and nothing written when a schema was changed under its version."""
    try:
        document = catalogue(read_committed())
    except SchemaChanged as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.stderr.write("  → Raise `schema_version` and declare an upcast; docs/events/README.md shows how.\n")
        return 1
    COMMITTED.parent.mkdir(parents=True, exist_ok=True)
    COMMITTED.write_text(as_text(document), encoding="utf-8")
    return 0


def _classes() -> Iterator[tuple[str, type[Event]]]:
    for kind, events in EVENT_CATALOGUES.items():
        for cls in events.classes():
            yield kind, cls


def _bare(schema: Any) -> Any:
    """The schema without its words, which may change at any time."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {}
    for key, value in schema.items():
        if key in {"properties", "$defs"}:
            bare[key] = {name: _bare(each) for name, each in value.items()}
        elif key not in _NOT_COMPARED:
            bare[key] = _bare(value)
    return bare


def _values(schema: Document) -> set[str]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return {json.dumps(each) for each in values}


def _is_looser(key: str, old: Any, new: Any) -> bool:
    if old is None:
        return False
    return bool(new >= old) if key in _UPPER_BOUNDS else bool(new <= old)


def _example(schema: Document, definitions: Document, name: str) -> Any:
    """A value of the schema, the same one every time; `name` is that of its field."""
    if "$ref" in schema:
        return _example(definitions[schema["$ref"].rpartition("/")[2]], definitions, name)
    for either in ("anyOf", "oneOf", "allOf"):
        if either in schema:
            return _example(schema[either][0], definitions, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {each: _example(part, definitions, each) for each, part in properties.items()}
        case "array":
            parts = schema.get("prefixItems") or [schema["items"]] * max(1, schema.get("minItems", 1))
            return [_example(part, definitions, name) for part in parts]
        case "string":
            return _text(schema.get("format", ""), name)
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return True
        case "null":
            return None
    return LIKELY.get(name, {})


def _text(form: str, name: str) -> str:
    match form:
        case "date":
            return "2022-09-05"
        case "date-time":
            return "2022-08-31T16:00:00Z"
        case "uuid":
            return "7f6a9a52-0d0c-4c3a-8f0b-5b1f6f6a3f11"
        case "date-time-local" | "time":
            return "08:30:00"
    return str(LIKELY.get(name, "text"))


if __name__ == "__main__":
    raise SystemExit(main())
