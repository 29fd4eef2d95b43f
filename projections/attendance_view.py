"""How an event changes the row of one day's attendance; the marks are the domain's own state."""

from typing import Any

from pydantic import TypeAdapter

from domain.attendance import EVENTS, AttendanceDay, evolve
from domain.numbers import parse_attendance_number, parse_stream_name
from ledger.types import RecordedEvent
from projections.rows import Row, View, place


def _number(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    number = _number(event)
    training_class, day = parse_attendance_number(number)
    where = place(row, event)
    state = evolve(row["state"] if row is not None else None, EVENTS.read(event))
    columns: dict[str, Any] = {
        "number": number,
        "campaign": event.book,
        "training_class": training_class,
        "day": day,
        "marks": len(state.marks),
        "corrected": state.corrected,
        "state": state,
    }
    return columns | where


ATTENDANCE = View("attendance", "number", _number, _apply, TypeAdapter(AttendanceDay), per_stream=True)
