"""How an entry changes the row of a person's training days in a cycle."""

from domain.numbers import parse_stream_name
from domain.training_days import EVENTS, TrainingDays, evolve
from ledger.types import RecordedEvent
from projections.rows import Row, View, place


def _number(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    entry = EVENTS.read(event)
    where = place(row, event)
    before = None
    if row is not None:
        before = TrainingDays(
            row["person"], row["cycle"], row["centralised_days"], row["online_days"], row["hours"], row["version"]
        )
    state = evolve(before, entry)
    return {
        "number": _number(event),
        "person": state.person,
        "cycle": state.cycle,
        "centralised_days": state.centralised_days,
        "online_days": state.online_days,
        "hours": state.hours,
        **where,
    }


TRAINING_DAYS = View("training_days", "number", _number, _apply, per_stream=True)
