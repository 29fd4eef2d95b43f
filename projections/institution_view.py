"""How an event changes an organisation's row. Keys and webhook endpoints only move its version."""

from domain.institution import (
    EVENTS,
    HostReinstated,
    HostSuspended,
    InstitutionClosed,
    InstitutionContactChanged,
    InstitutionRegistered,
)
from domain.numbers import parse_stream_name
from ledger.types import RecordedEvent
from projections.rows import Row, View, place


def _id(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    happened = EVENTS.read(event)
    where = place(row, event)
    if isinstance(happened, InstitutionRegistered):
        return {
            "id": happened.id,
            "kind": happened.kind,
            "name_zh": happened.name_zh,
            "parent": happened.parent,
            "email": happened.email,
            "gb_code": happened.gb_code,
            "generated": happened.generated,
            "registered_at": event.recorded_at,
            "successor": "",
            "suspended_until": None,
            **where,
        }
    if row is None:
        raise ValueError(f"{happened.type} before the organisation was registered")
    match happened:
        case InstitutionClosed():
            return {**row, "successor": happened.successor, **where}
        case InstitutionContactChanged():
            return {**row, "email": happened.email, **where}
        case HostSuspended():
            return {**row, "suspended_until": happened.until, **where}
        case HostReinstated():
            return {**row, "suspended_until": None, **where}
    return {**row, **where}


INSTITUTIONS = View("institutions", "id", _id, _apply, per_stream=True)
