"""How an event changes a class's row; phase and deadline are the domain's own."""

from typing import Any

from pydantic import TypeAdapter

from domain.numbers import parse_stream_name
from domain.training_class import (
    EVENTS,
    ClassAnnounced,
    ClassCancelled,
    ClassPlanned,
    ClassReported,
    TrainingClass,
    case_of,
    evolve,
)
from ledger.types import RecordedEvent
from projections.rows import Row, View, of_case, place

MOMENTS = {
    ClassPlanned: "planned_at",
    ClassAnnounced: "announced_at",
    ClassReported: "reported_at",
    ClassCancelled: "cancelled_at",
}


def _number(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    number = _number(event)
    happened = EVENTS.read(event)
    where = place(row, event)
    state = evolve(row["state"] if row is not None else None, happened)
    columns: dict[str, Any] = dict(row) if row is not None else {"number": number}
    moment = MOMENTS.get(type(happened))
    if moment is not None:
        columns[moment] = event.recorded_at
    return columns | where | _of_state(number, state)


def _of_state(number: str, state: TrainingClass) -> dict[str, Any]:
    return {
        "campaign": state.campaign,
        "host": state.host,
        "project_type": state.project_type,
        "starts": state.starts,
        "ends": state.ends,
        "place": state.place,
        "mode": state.mode,
        "capacity": state.capacity,
        "check_in_confirmed_at": state.check_in_confirmed_at,
        "absences_recorded": state.absences_recorded,
        "outcomes_overdue": state.outcomes_overdue,
        "outcomes_escalated": state.outcomes_escalated,
        "check_in_late": state.check_in_late,
        "revision": state.revision,
        "centralised_days": state.centralised_days_held,
        "merged_into": state.merged_into,
        "state": state,
        **of_case(case_of(number, state)),
    }


CLASSES = View("classes", "number", _number, _apply, TypeAdapter(TrainingClass), per_stream=True)
