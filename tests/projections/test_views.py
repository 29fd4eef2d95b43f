"""A view's row says what the domain says, whatever has happened; no database is needed for that."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import campaign, quota, restriction, trainee_state, training_class
from domain.bulletin import case_record
from domain.decision import Event
from domain.event_catalogues import EVENT_CATALOGUES
from domain.numbers import parse_stream_name
from ledger.types import RecordedEvent
from projections.rows import Row, View
from projections.views import ALL_VIEWS, VIEWS_BY_KIND
from tests.projections import class_lives, trainee_lives
from tests.projections.histories import START, Stream
from tests.projections.trainee_lives import AFTER_NOMINATION, nominated
from tests.projections.world import world

FOLDS: dict[str, tuple[Callable[[Iterable[Any]], Any], Callable[[str, Any], Any]]] = {
    "trainee": (trainee_state.fold, trainee_state.case_of),
    "class": (training_class.fold, training_class.case_of),
    "restriction": (restriction.fold, restriction.case_of),
    "campaign": (campaign.fold, campaign.case_of),
    "quota": (quota.fold, quota.case_of),
}


def recorded(stream: Stream) -> list[RecordedEvent]:
    return [
        RecordedEvent(
            book=stream.book,
            sequence=version,
            id=uuid4(),
            stream=stream.name,
            version=version,
            type=event.type,
            schema_version=1,
            command_id=uuid4(),
            causation_id="",
            correlation_id="",
            actor="system:xunji",
            recorded_at=START + timedelta(minutes=version),
            effective_at=START,
            data=event.model_dump(mode="json"),
        )
        for version, event in enumerate(stream.events, start=1)
    ]


def through_the_database(view: View, row: Row) -> Row:
    """The row as it comes back when the next batch reads it."""
    return view.thaw(orjson.loads(orjson.dumps(view.freeze(row))))


def agrees_with_the_domain(stream: Stream, rows: Sequence[Row]) -> None:
    kind, number = parse_stream_name(stream.name)
    fold, case_of = FOLDS[kind]
    for happened, row in enumerate(rows, start=1):
        state = fold(stream.events[:happened])
        case = case_of(number, state)
        assert row["state"] == state
        assert (row["phase"], row["closed"], row["waiting_for"]) == (case.phase, case.closed, case.waiting_for)
        assert row["deadline"] == case.deadline


def rows_of(stream: Stream, view: View, reread: Callable[[int], bool]) -> list[Row]:
    """The row after each event; `reread` says after which ones a batch ended."""
    rows: list[Row] = []
    row: Row | None = None
    for event in recorded(stream):
        row = view.apply(row, event)
        rows.append(row)
        if reread(event.version):
            row = through_the_database(view, row)
    return rows


def test_the_histories_hold_every_event_of_every_kind() -> None:
    types: dict[str, set[str]] = {}
    for stream in world():
        types.setdefault(parse_stream_name(stream.name)[0], set()).update(event.type for event in stream.events)
    assert types == {kind: set(catalogue.types()) for kind, catalogue in EVENT_CATALOGUES.items()}
    assert set(VIEWS_BY_KIND) == set(EVENT_CATALOGUES)


@pytest.mark.parametrize("stream", list(world()), ids=lambda stream: stream.name)
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_after_every_event_the_row_agrees_with_the_domain(stream: Stream, batch: int) -> None:
    kind = parse_stream_name(stream.name)[0]
    rows = rows_of(stream, VIEWS_BY_KIND[kind][0], lambda version: version % batch == 0)
    assert [row["version"] for row in rows] == list(range(1, len(stream.events) + 1))
    if kind in FOLDS:
        agrees_with_the_domain(stream, rows)


@settings(deadline=None)
@given(st.lists(st.sampled_from(AFTER_NOMINATION), max_size=12), st.sets(st.integers(1, 13)))
def test_even_in_an_order_that_no_rule_allows_phase_and_deadline_are_the_domain_s(
    events: list[Event], batch_ends: set[int]
) -> None:
    stream = Stream("b", "trainee/zz22-410181-00001", (nominated(), *events))
    rows = rows_of(stream, VIEWS_BY_KIND["trainee"][0], batch_ends.__contains__)
    agrees_with_the_domain(stream, rows)
    for row in rows:
        assert (row.get("closed_at") is not None) == row["closed"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(AFTER_NOMINATION), max_size=12))
def test_the_milestones_are_those_that_a_bulletin_counts(events: list[Event]) -> None:
    stream = Stream("b", "trainee/zz22-410181-00001", (nominated(), *events))
    row = rows_of(stream, VIEWS_BY_KIND["trainee"][0], lambda _: True)[-1]
    counted = case_record(stream.events)
    assert counted is not None
    for milestone in (
        "selected", "given_up", "enrolled", "confirmed", "registered", "no_show", "excused", "completed",
        "dismissed", "not_completed",
    ):  # fmt: skip
        assert (row.get(f"{milestone}_at") is not None) == getattr(counted, milestone), milestone
    assert (row["county"], row["host"]) == (counted.county, counted.host)


def test_a_closed_case_keeps_when_it_was_closed_and_a_completed_one_with_a_task_is_open() -> None:
    view = VIEWS_BY_KIND["trainee"][0]
    stream = trainee_lives.trainee(1, "closed")
    rows = rows_of(stream, view, lambda _: True)
    completed = next(place for place, event in enumerate(stream.events) if event == trainee_lives.COMPLETED)
    assert rows[completed]["closed_at"] == START + timedelta(minutes=completed + 1)
    assert rows[completed + 1]["closed_at"] is None
    assert rows[-1]["closed_at"] == START + timedelta(minutes=len(stream.events))
    late = Stream(stream.book, stream.name, (*stream.events, trainee_lives.LEAVE_REFUSED))
    assert rows_of(late, view, lambda _: False)[-1]["closed_at"] == rows[-1]["closed_at"]


@pytest.mark.parametrize(
    ("life", "follow_up"),
    [("completed", ""), ("following-up", "returned"), ("closed", "accepted"), ("lapsed", "lapsed")],
)
def test_the_follow_up_says_how_far_it_has_come(life: str, follow_up: str) -> None:
    assert (
        rows_of(trainee_lives.trainee(1, life), VIEWS_BY_KIND["trainee"][0], lambda _: False)[-1]["follow_up"]
        == follow_up
    )


@pytest.mark.parametrize("view", ALL_VIEWS, ids=lambda view: view.table)
def test_an_event_that_does_not_follow_the_row_is_refused(view: View) -> None:
    for stream in world():
        if view not in VIEWS_BY_KIND[parse_stream_name(stream.name)[0]] or view.table == "bulletins":
            continue
        first, *_ = recorded(stream)
        row = view.apply(None, first)
        with pytest.raises(ValueError, match="where 2 was expected"):
            view.apply(row, first)
        with pytest.raises(ValueError, match="where 1 was expected"):
            view.apply(None, replace(first, version=2))


def test_a_row_stays_as_it_was_when_the_next_event_is_applied() -> None:
    view = VIEWS_BY_KIND["trainee"][0]
    first, second, *_ = recorded(trainee_lives.trainee(1, "closed"))
    row = view.apply(None, first)
    before = dict(row)
    view.apply(row, second)
    assert row == before


def test_equal_states_freeze_to_equal_bytes_whatever_the_order_of_their_sets() -> None:
    view = VIEWS_BY_KIND["class"][0]
    state = training_class.fold((class_lives.class_planned(),))
    assert state is not None
    keys = [f"reminder-{number}" for number in range(1, 30)]
    one = replace(state, done=frozenset(keys))
    other = replace(state, done=frozenset(reversed(keys)))
    row = rows_of(Stream("b", "class/zz22-c-h001-01", (class_lives.class_planned(),)), view, lambda _: False)[0]
    documents = [orjson.dumps(view.freeze({**row, "state": each})["state"]) for each in (one, other)]
    assert documents[0] == documents[1]
    assert orjson.loads(documents[0])["done"] == sorted(keys)
