"""How an event changes a quota line's row."""

from domain.campaign import QUOTA_EVENTS, QuotaIssued
from domain.numbers import parse_stream_name
from ledger.types import RecordedEvent
from projections.rows import Row, View, place


def quota_key(campaign: str, line: str) -> str:
    """`2022-zhengzhou`, `gp1:410181` → `2022-zhengzhou:gp1:410181`: a line's key among all campaigns."""
    return f"{campaign}:{line}"


def _key(event: RecordedEvent) -> str:
    return quota_key(event.book, parse_stream_name(event.stream)[1])


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    happened = QUOTA_EVENTS.read(event)
    where = place(row, event)
    if not isinstance(happened, QuotaIssued):
        raise TypeError(f"no view of {happened.type}")
    return {
        "key": quota_key(event.book, happened.line),
        "campaign": event.book,
        "line": happened.line,
        "project_type": happened.project_type,
        "recipient": happened.recipient,
        "issued": happened.seats,
        "seats": happened.seats,
        "invented": happened.invented,
        "issued_at": event.recorded_at,
        **where,
    }


QUOTAS = View("quotas", "key", _key, _apply, per_stream=True)
