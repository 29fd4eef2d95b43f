"""How an event changes a restriction's row; phase and deadline are the domain's own."""

from typing import Any

from pydantic import TypeAdapter

from domain.decision import Event
from domain.numbers import parse_stream_name
from domain.restriction import Restriction, case_of, evolve
from domain.restriction_messages import (
    EVENTS,
    EarlierRestrictionRecorded,
    ObjectionFiled,
    RestrictionDropped,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionProposed,
    RestrictionReversed,
    RestrictionServed,
    RestrictionWaived,
    ServiceFailed,
)
from ledger.types import RecordedEvent
from projections.rows import Row, View, of_case, place

EMPTY = {"host": "", "ground": "", "served_via": "", "decided_by": "", "policy": ""}


def _number(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    number = _number(event)
    happened = EVENTS.read(event)
    where = place(row, event)
    state = evolve(row["state"] if row is not None else None, happened)
    columns: dict[str, Any] = dict(row) if row is not None else {"number": number, **EMPTY}
    return columns | where | _of_state(number, state) | _of_event(happened, event)


def _of_state(number: str, state: Restriction) -> dict[str, Any]:
    return {
        "campaign": state.campaign,
        "trainee": state.trainee,
        "person": state.person,
        "county": state.county,
        "school": state.school,
        "window_closed": state.window_closed,
        "service_overdue": state.service_overdue,
        "incident_on": state.incident_on,
        "starts": state.starts,
        "until": state.until,
        "state": state,
        **of_case(case_of(number, state)),
    }


def _of_event(happened: Event, event: RecordedEvent) -> dict[str, Any]:
    at = event.recorded_at
    match happened:
        case RestrictionProposed():
            return {"ground": happened.ground, "host": happened.host, "proposed_at": happened.proposed_at}
        case RestrictionServed():
            return {
                "served_at": happened.served_at,
                "served_via": happened.via,
                "objection_until": happened.objection_until,
            }
        case ObjectionFiled():
            return {"objected_at": at}
        case RestrictionImposed():
            decided = {"decided_at": at, "decided_by": happened.decided_by}
            return {**decided, "imposed_at": at, "policy": happened.policy}
        case RestrictionDropped():
            return {"decided_at": at, "decided_by": happened.decided_by, "dropped_at": at}
        case EarlierRestrictionRecorded():
            return {"recorded_at": at}
        case RestrictionExpired():
            return {"expired_at": at}
        case ServiceFailed():
            # The window has never run, so what the first attempt had set is not true.
            return {"service_failed_at": at, "served_at": None, "served_via": "", "objection_until": None}
        case RestrictionWaived():
            return {"waived_at": at}
        case RestrictionReversed():
            return {"reversed_at": at}
    return {}


RESTRICTIONS = View("restrictions", "number", _number, _apply, TypeAdapter(Restriction), per_stream=True)
