"""How an event changes a campaign's row, and which rows its bulletins become."""

from typing import Any

from pydantic import TypeAdapter

from domain.bulletin import FORMULAS_VERSION
from domain.bulletin_publication import EVENTS as BULLETIN_EVENTS
from domain.bulletin_publication import FINAL, BulletinPublished
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


def bulletin_key(campaign: str, kind: str, period: str, version: int) -> str:
    """`2022-zhengzhou`, `hosts`, `final`, 1 → `2022-zhengzhou:hosts:final:1`."""
    return f"{campaign}:{kind}:{period}:{version}"


def _published(event: RecordedEvent) -> BulletinPublished | None:
    """A bulletin as it was published, whether by schedule or by the campaign when it closed; None for other events."""
    if event.type == BulletinPublished.type:
        published = BULLETIN_EVENTS.read(event)
        assert isinstance(published, BulletinPublished), "its type was compared"
        return published
    if event.type != BulletinIssued.type:
        return None
    issued = _issued(event)
    return BulletinPublished(
        kind=issued.kind,
        period=FINAL,
        version=issued.version,
        as_of=issued.as_of,
        as_of_sequence=event.sequence,
        reason="scheduled",
        formulas=issued.rows[0].formulas if issued.rows else FORMULAS_VERSION,
        rows=issued.rows,
    )


def _bulletin_key(event: RecordedEvent) -> str | None:
    published = _published(event)
    if published is None:
        return None
    return bulletin_key(_id(event), published.kind, published.period, published.version)


def _issued(event: RecordedEvent) -> BulletinIssued:
    happened = EVENTS.read(event)
    assert isinstance(happened, BulletinIssued), "its type was compared"
    return happened


def _apply_bulletin(row: Row | None, event: RecordedEvent) -> Row:
    published = _published(event)
    assert published is not None, "only what has a key is applied"
    if row is not None:
        raise ValueError(f"version {published.version} of the bulletin was published before")
    campaign = _id(event)
    return {
        "key": bulletin_key(campaign, published.kind, published.period, published.version),
        "sequence": event.sequence,
        "campaign": campaign,
        "kind": published.kind,
        "period": published.period,
        "version": published.version,
        "reason": published.reason,
        "as_of": published.as_of,
        "as_of_sequence": published.as_of_sequence,
        "issued_at": event.recorded_at,
        "rows": [each.model_dump() for each in published.rows],
    }


CAMPAIGNS = View("campaigns", "id", _id, _apply, TypeAdapter(Campaign), version=2, per_stream=True)
BULLETINS = View("bulletins", "key", _bulletin_key, _apply_bulletin, per_stream=True)
