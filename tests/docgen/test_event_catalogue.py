"""The committed catalogue: every schema version that was ever written is there, and is read by this release."""

import ast
import json
import pkgutil
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest

import domain
from docgen import event_catalogue
from docgen.event_catalogue import SchemaChanged, as_text, catalogue, differences, read_committed, version_of
from domain.decision import (
    Event,
    EventCatalogue,
    EventFromNewerRelease,
    EventNotUpcast,
    UnknownEvent,
    UnreadableEvent,
)
from domain.event_catalogues import EVENT_CATALOGUES
from event_schemas import SCHEMAS
from ledger.evolution import EventSchema, Schemas
from ledger.types import RecordedEvent

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2022, 8, 25, tzinfo=UTC)


def recorded(type_: str, version: int, data: Any) -> RecordedEvent:
    nobody = UUID(int=0)
    return RecordedEvent("book", 1, nobody, "stream/1", 1, type_, version, nobody, "", "", "", NOW, NOW, data)


def written() -> Iterator[Any]:
    """Every example of every version of the committed catalogue."""
    for type_, entry in read_committed().items():
        for version, held in entry["versions"].items():
            for place, example in enumerate(held["examples"]):
                yield pytest.param(entry["stream"], type_, int(version), example, id=f"{type_}-{version}-{place}")


@pytest.mark.parametrize(("stream", "type_", "version", "example"), list(written()))
def test_what_was_ever_written_is_read_by_this_release(stream: str, type_: str, version: int, example: Any) -> None:
    events = EVENT_CATALOGUES[stream.partition("/")[0]]
    event = events.read(SCHEMAS.newest(recorded(type_, version, deepcopy(example))))
    assert event.type == type_
    # What it becomes is written again as an event of today.
    assert events.parse(type_, json.loads(event.model_dump_json())) == event


def test_the_committed_catalogue_is_the_one_of_this_release() -> None:
    committed = read_committed()
    try:
        expected = as_text(catalogue(committed))
    except SchemaChanged as error:
        pytest.fail(f"{error}\nraise `schema_version` and declare an upcast: docs/events/README.md")
    assert as_text(committed) == expected, "run `make events`"


def test_every_catalogue_of_the_domain_is_among_those_that_are_read_and_written() -> None:
    known = {id(each) for each in EVENT_CATALOGUES.values()}
    for module in pkgutil.iter_modules(domain.__path__):
        for name, value in vars(import_module(f"domain.{module.name}")).items():
            if isinstance(value, EventCatalogue):
                assert id(value) in known, f"domain.{module.name}.{name} is not in EVENT_CATALOGUES"
    for events in EVENT_CATALOGUES.values():
        for cls in events.classes():
            assert SCHEMAS.version(cls.type) == cls.schema_version


# ------------------------------------------------------------------------------------------ a schema that changes


class Seated(Event):
    """Somebody sits."""

    type: ClassVar[str] = "person.seated"
    room: str
    on: int = 1


def changed(**fields: Any) -> type[Event]:
    """`Seated` in another form, under the same schema version unless `schema_version` is given."""
    version = fields.pop("schema_version", 1)
    kept = {"room": str, "on": (int, 1)} | fields
    annotations = {name: kind[0] if isinstance(kind, tuple) else kind for name, kind in kept.items() if kind}
    defaults = {name: kind[1] for name, kind in kept.items() if isinstance(kind, tuple)}
    body = {"__annotations__": annotations, "type": "person.seated", "schema_version": version, **defaults}
    return type("Seated", (Event,), body | {"__doc__": "Somebody sits.", "__module__": __name__})


def only(monkeypatch: pytest.MonkeyPatch, cls: type[Event], **more: Any) -> None:
    monkeypatch.setattr(event_catalogue, "EVENT_CATALOGUES", {"person": EventCatalogue(cls, **more)})


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (changed(seat=str), "must have seat"),
        (changed(room=None), "/properties/room is gone"),
        (changed(room=int), "/properties/room/type"),
        (changed(on=(int, 2)), "/properties/on/default"),
        (changed(on=int), "must have on"),
        (changed(on=(str, "1")), "/properties/on"),
    ],
)
def test_a_schema_that_changed_without_a_new_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], now: type[Event], words: str
) -> None:
    monkeypatch.setattr(event_catalogue, "COMMITTED", tmp_path / "events" / "catalogue.json")
    only(monkeypatch, Seated)
    assert event_catalogue.main() == 0
    before = event_catalogue.COMMITTED.read_text(encoding="utf-8")
    only(monkeypatch, now)
    with pytest.raises(SchemaChanged, match=words):
        catalogue(read_committed())
    assert event_catalogue.main() == 1
    said = capsys.readouterr().err
    assert words in said and "person.seated, schema version 1" in said and "upcast" in said
    assert event_catalogue.COMMITTED.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("now", [changed(seat=(str, "")), changed(room=(str, "A")), changed(room=str | None)])
def test_a_schema_may_be_widened_and_what_was_written_before_stays_an_example(
    monkeypatch: pytest.MonkeyPatch, now: type[Event]
) -> None:
    only(monkeypatch, Seated)
    first = catalogue({})
    only(monkeypatch, now)
    second = catalogue(first)
    version = second["person.seated"]["versions"]["1"]
    assert version["schema"] == version_of(now)["schema"]
    assert version["examples"][0] == first["person.seated"]["versions"]["1"]["examples"][0]
    assert len(version["examples"]) == 2
    assert catalogue(second) == second


def test_a_new_version_is_added_beside_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Seated)
    first = catalogue({})
    now = changed(room=None, seat=str, schema_version=2)
    only(monkeypatch, now, upcasts={now: (lambda data: {"seat": data["room"], "on": data["on"]},)})
    second = catalogue(first)
    assert second["person.seated"]["versions"] == {
        "1": first["person.seated"]["versions"]["1"],
        "2": version_of(now),
    }


def test_an_event_that_was_once_written_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Seated)
    first = catalogue({})
    monkeypatch.setattr(event_catalogue, "EVENT_CATALOGUES", {})
    with pytest.raises(SchemaChanged, match="was written once"):
        catalogue(first)


@pytest.mark.parametrize(
    ("old", "new", "is_read"),
    [
        ({"enum": ["a", "b"]}, {"enum": ["a", "b", "c"]}, True),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, False),
        ({"enum": ["a"], "type": "string"}, {"type": "string"}, True),
        ({"const": "a"}, {"enum": ["a", "b"]}, True),
        ({"type": "string"}, {"type": "string", "enum": ["a"]}, False),
        ({"maxLength": 5}, {"maxLength": 6}, True),
        ({"maxLength": 5}, {"maxLength": 4}, False),
        ({"maxLength": 5}, {}, True),
        ({}, {"maxLength": 5}, False),
        ({"minimum": 1}, {"minimum": 0}, True),
        ({"minimum": 1}, {"minimum": 2}, False),
        ({"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"type": "string"}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, False),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, False),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "integer"}]}, False),
        ({"items": {"$ref": "#/$defs/A"}}, {"items": {"$ref": "#/$defs/B"}}, False),
        ({"format": "date"}, {"format": "date-time"}, False),
        ({"prefixItems": [1]}, {"prefixItems": [1, 2]}, False),
    ],
)
def test_a_difference_counts_when_old_data_would_not_be_read(old: Any, new: Any, is_read: bool) -> None:
    assert (not list(differences(old, new))) is is_read


# ------------------------------------------------------------------------------------------------- the catalogues


def test_a_catalogue_wants_an_upcast_from_every_older_version() -> None:
    now = changed(schema_version=3)
    one = (lambda data: data,)
    for upcasts in ({}, {now: one}, {now: one * 3}):
        with pytest.raises(TypeError, match="schema version 3"):
            EventCatalogue(now, upcasts=upcasts)
    with pytest.raises(TypeError, match="schema version 1"):
        EventCatalogue(Seated, upcasts={Seated: one})
    with pytest.raises(TypeError, match="among the classes"):
        EventCatalogue(Seated, upcasts={now: one * 2})
    assert len(EventCatalogue(now, upcasts={now: one * 2}).upcasts("person.seated")) == 2


@pytest.mark.parametrize(
    ("type_", "version", "error"),
    [
        ("person.promoted", 1, UnknownEvent),
        ("person.seated", 3, EventFromNewerRelease),
        ("person.seated", 1, EventNotUpcast),
    ],
)
def test_what_a_release_cannot_read_is_an_error_by_name(type_: str, version: int, error: type[UnreadableEvent]) -> None:
    now = changed(schema_version=2)
    events = EventCatalogue(now, upcasts={now: (lambda data: data,)})
    with pytest.raises(error, match=type_):
        events.read(recorded(type_, version, {"room": "secret"}))
    assert events.read(recorded("person.seated", 2, {"room": "A"})) == now.model_validate({"room": "A"})


def test_upcasts_that_are_declared_are_carried_out_by_the_ledgers_schemas() -> None:
    now = changed(schema_version=2)
    events = EventCatalogue(now, upcasts={now: (lambda data: {"room": data["chamber"]},)})
    schemas = Schemas(EventSchema(each.type, events.upcasts(each.type)) for each in events.classes())
    old = recorded("person.seated", 1, {"chamber": "A"})
    assert events.read(schemas.newest(old)) == now.model_validate({"room": "A"})


# ---------------------------------------------------------------------------------------------------- who reads how

READERS = {"Ledger", "Subscription", "stream_at", "fold_at", "events_by_type", "events_by_correlation"}
EXEMPT = {"ledger", "tests", ".venv", "benchmarks"}


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT)
        if inside.parts[0] not in EXEMPT and not inside.parts[0].startswith("."):
            yield str(inside), ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, ast.Call]]:
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield f"{name}:{node.lineno}", node


@pytest.mark.defect("upcasters ignored")
def test_whoever_reads_events_reads_them_with_the_schemas() -> None:
    found = 0
    for place, call in calls():
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        if name in READERS:
            found += 1
            assert "SCHEMAS" in ast.unparse(call) or "schemas" in ast.unparse(call), f"{place}: give it SCHEMAS"
        if name == "parse_event":
            known = place.startswith(("services/person_export.py", "projections/newest.py"))
            assert known, f"{place}: read through the ledger, or through SCHEMAS.newest"
    assert found >= 5


@pytest.mark.defect("upcasters ignored")
def test_nobody_reads_a_recorded_event_past_its_schema_version() -> None:
    """`catalogue.read(event)` compares the version; `parse` and `model_validate` of an event's data do not."""
    for place, call in calls():
        if place.startswith("domain/decision.py:"):
            continue  # This is where `read` compares it.
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"parse", "model_validate"}:
            given = [ast.unparse(each) for each in call.args]
            past = any(each.endswith((".data", ".data)")) for each in given)
            assert not past, f"{place}: use catalogue.read(event)"
