"""The one spelling of an event."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import MAX_DEPTH, bounded_bytes, canonical_bytes, envelope_halves, instant
from ledger.errors import FloatRefused, IntegerOutOfRange, NaiveDatetime, NotCanonical, PayloadTooLarge

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)
MOMENT = datetime(2022, 8, 25, 17, 30, tzinfo=timezone(timedelta(hours=8)))


@given(VALUES)
def test_what_is_spelt_is_read_back(value: Any) -> None:
    assert orjson.loads(canonical_bytes(value)) == value
    assert canonical_bytes(orjson.loads(canonical_bytes(value))) == canonical_bytes(value)


@given(VALUES)
def test_the_spelling_is_the_one_of_the_standard_library(value: Any) -> None:
    def sorted_by_code_point(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: sorted_by_code_point(item[key]) for key in sorted(item)}
        return [sorted_by_code_point(one) for one in item] if isinstance(item, list) else item

    expected = json.dumps(sorted_by_code_point(value), ensure_ascii=False, separators=(",", ":"))
    assert json.loads(expected) == json.loads(canonical_bytes(value))
    assert list(json.loads(canonical_bytes({"v": value}))) == ["v"]


@given(st.dictionaries(TEXT, st.integers(0, 9), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert canonical_bytes(value) == canonical_bytes(backwards)
    assert list(orjson.loads(canonical_bytes(value))) == sorted(value)


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_has_one_spelling(moment: datetime) -> None:
    if not 2 <= moment.year <= 9998:
        return
    spelt = instant(moment)
    assert datetime.fromisoformat(spelt) == moment.astimezone(UTC)
    assert spelt == instant(moment.astimezone(UTC))
    assert len(spelt) == len("2022-08-25T09:30:00.000000Z")


def test_a_datetime_in_data_becomes_utc_text() -> None:
    assert canonical_bytes({"at": MOMENT}) == b'{"at":"2022-08-25T09:30:00.000000Z"}'


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1.5, FloatRefused),
        (1.0, FloatRefused),
        (float("nan"), FloatRefused),
        (float("inf"), FloatRefused),
        ([{"a": [0.1]}], FloatRefused),
        (2**53, IntegerOutOfRange),
        (-(2**53), IntegerOutOfRange),
        (datetime(2022, 8, 25), NaiveDatetime),  # noqa: DTZ001 - naive is the point
        (MOMENT.date(), NotCanonical),
        (b"bytes", NotCanonical),
        ({1: "a"}, NotCanonical),
        ({"a": {None: 1}}, NotCanonical),
        ({"a", "b"}, NotCanonical),
        (type("Text", (str,), {})("a"), NotCanonical),
        ("half of a pair \ud800", NotCanonical),
        ({"\udfff": 1}, NotCanonical),
        (nested(MAX_DEPTH + 1), NotCanonical),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        canonical_bytes(value)
    with pytest.raises(error):
        canonical_bytes({"in": value})


def test_nesting_is_allowed_up_to_its_limit() -> None:
    assert orjson.loads(canonical_bytes(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


def test_a_payload_has_a_limit() -> None:
    assert len(bounded_bytes({"a": "x" * 65_528})) == 65_536
    with pytest.raises(PayloadTooLarge):
        bounded_bytes({"a": "x" * 65_529})
    before: dict[str, Any] = {"data": {"a": "汉" * 21_900}, "id": "x"}
    with pytest.raises(PayloadTooLarge):
        envelope_halves(before, {"stream": "s", "type": "t", "version": 1})


def test_the_halves_of_an_envelope_meet_at_the_sequence() -> None:
    head, tail = envelope_halves(
        {"schema_version": 1, "data": {"b": "汉", "a": 1}, "actor": "me"}, {"version": 1, "stream": "s", "type": "t"}
    )
    body = f"{head}42{tail}".encode()
    assert body == canonical_bytes(orjson.loads(body))
    assert orjson.loads(body)["sequence"] == 42
