"""How an event changes a campaign's row, and which rows its bulletins become."""

from typing import Any

from pydantic import TypeAdapter

from domain.campaign import EVENTS, BulletinIssued, Campaign, CampaignOpened, case_of, evolve
from domain.numbers import parse_stream_name
from ledger.types import RecordedEvent
from projections.rows import Row, View, of_case, place


def _id(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    happened = EVENTS.read(event)
    where = place(row, event)
    state = evolve(row["state"] if row is not None else None, happened)
    columns: dict[str, Any] = dict(row) if row is not None else {"id": state.id, "closed_at": None}
    if isinstance(happened, CampaignOpened):
        columns |= {"plan_sha256": state.plan_sha256, "opened_at": event.recorded_at}
    case = case_of(state.id, state)
    if case.closed and columns["closed_at"] is None:
        columns["closed_at"] = event.recorded_at
    return columns | where | of_case(case) | {"state": state}


def bulletin_key(campaign: str, kind: str, version: int) -> str:
    """`2022-zhengzhou`, `hosts`, 1 → `2022-zhengzhou:hosts:1`."""
    return f"{campaign}:{kind}:{version}"


def _bulletin_key(event: RecordedEvent) -> str | None:
    if event.type != BulletinIssued.type:
        return None
    issued = _issued(event)
    return bulletin_key(_id(event), issued.kind, issued.version)


def _issued(event: RecordedEvent) -> BulletinIssued:
    happened = EVENTS.read(event)
    assert isinstance(happened, BulletinIssued), "its type was compared"
    return happened


def _apply_bulletin(row: Row | None, event: RecordedEvent) -> Row:
    issued = _issued(event)
    if row is not None:
        raise ValueError(f"version {issued.version} of the bulletin was issued before")
    campaign = _id(event)
    return {
        "key": bulletin_key(campaign, issued.kind, issued.version),
        "sequence": event.sequence,
        "campaign": campaign,
        "kind": issued.kind,
        "version": issued.version,
        "as_of": issued.as_of,
        "issued_at": event.recorded_at,
        "rows": [each.model_dump() for each in issued.rows],
    }


CAMPAIGNS = View("campaigns", "id", _id, _apply, TypeAdapter(Campaign), per_stream=True)
BULLETINS = View("bulletins", "key", _bulletin_key, _apply_bulletin, per_stream=True)
