"""How an event changes a teacher's row: the record that answers for him, and whether he is to be forgotten."""

from domain.numbers import parse_stream_name
from domain.person import EVENTS, ErasureHeld, PersonErased, PersonJoined, PersonRegistered, PersonTransferred
from ledger.types import RecordedEvent
from projections.rows import Row, View, place


def _id(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    happened = EVENTS.read(event)
    where = place(row, event)
    if isinstance(happened, PersonRegistered):
        new = {"id": str(happened.person), "joined_into": "", "county": "", "erasure": ""}
        return {**new, "registered_at": event.recorded_at, **where}
    if row is None:
        raise ValueError(f"{happened.type} before the person was registered")
    changed: dict[str, str] = {}
    match happened:
        case PersonTransferred():
            changed = {"county": happened.county}
        case PersonJoined():
            changed = {"joined_into": str(happened.into)}
        case ErasureHeld():
            changed = {"erasure": "held"}
        case PersonErased():
            changed = {"erasure": "done"}
    return {**row, **changed, **where}


PERSONS = View("persons", "id", _id, _apply, per_stream=True)
