"""How an event changes a quota line's row. Original and adjusted seats stand side by side (edge case 2)."""

from typing import Any

from pydantic import TypeAdapter

from domain.numbers import parse_stream_name, quota_number
from domain.quota import Quota, case_of, evolve
from domain.quota_messages import QUOTA_EVENTS
from ledger.types import RecordedEvent
from projections.rows import Row, View, of_case, place


def quota_key(campaign: str, line: str) -> str:
    """`2022-zhengzhou`, `gp1:410181` → `2022-zhengzhou:gp1:410181`: a line's key among all campaigns."""
    return quota_number(campaign, line)


def _key(event: RecordedEvent) -> str:
    return quota_key(event.book, parse_stream_name(event.stream)[1])


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    happened = QUOTA_EVENTS.read(event)
    where = place(row, event)
    state = evolve(row["state"] if row is not None else None, happened)
    columns: dict[str, Any] = dict(row) if row is not None else {"issued_at": event.recorded_at}
    key = quota_key(event.book, state.line)
    return columns | where | of_case(case_of(key, state)) | _of_state(event.book, key, state)


def _of_state(campaign: str, key: str, state: Quota) -> dict[str, Any]:
    return {
        "key": key,
        "campaign": campaign,
        "line": state.line,
        "project_type": state.project_type,
        "recipient": state.recipient,
        "owner": state.parent.partition(":")[2] if state.level == "school" else state.recipient,
        "issued": state.issued,
        "seats": state.seats,
        "invented": state.invented,
        "level": state.level,
        "parent": state.parent,
        "kind": state.kind,
        "delegated": state.delegated,
        "held": state.held,
        "shortfall": state.shortfall,
        "shortfall_reason": state.shortfall_reason,
        "state": state,
    }


QUOTAS = View("quotas", "key", _key, _apply, TypeAdapter(Quota), per_stream=True)
