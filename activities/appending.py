"""From a decision to an append: the domain's events, claims and notices in the ledger's own terms, and back."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.decision import (
    Actor,
    Block,
    ClaimRequest,
    Clear,
    Count,
    Decision,
    Event,
    Limit,
    Notice,
    Refusal,
    Release,
    Start,
    StreamEvents,
    Take,
    Unblock,
)
from domain.refusals import refuse
from ledger.types import (
    JSON,
    Append,
    BlockClaim,
    Claim,
    ClaimRefused,
    ClearClaim,
    CountClaim,
    LimitClaim,
    NewEvent,
    OutboxEntry,
    ReleaseClaim,
    StreamWrite,
    TakeClaim,
    UnblockClaim,
)

START_RECIPIENT = "process:start"
"""Outbox entries with this recipient name a process that must run; the dispatcher starts its workflow."""


def append_of(
    decision: Decision,
    *,
    book: str,
    stream: str,
    version: int,
    command_id: UUID,
    digest: str,
    actor: Actor,
    now: datetime,
    reply: bytes,
    correlation_id: str,
    campaign: str,
) -> Append:
    """The one atomic unit that a decision becomes: `version` is its stream's version before it."""
    own = StreamEvents(book, stream, version, decision.events)
    return Append(
        command_id=command_id,
        content_hash=content_hash(digest),
        actor=str(actor),
        writes=tuple(_write(each) for each in (own, *decision.others)),
        recorded_at=now,
        claims=tuple(_claim(each) for each in decision.claims),
        outbox=(
            *(_notice(each, campaign) for each in decision.notices),
            *(_start(each) for each in decision.starts),
        ),
        reply=reply,
        correlation_id=correlation_id,
    )


def content_hash(digest: str) -> bytes:
    """32 bytes that stand for what the caller sent."""
    return hashlib.sha256(digest.encode()).digest()


def _write(part: StreamEvents) -> StreamWrite:
    return StreamWrite(part.book, part.stream, part.expected_version, tuple(_event(each) for each in part.events))


def _event(event: Event) -> NewEvent:
    return NewEvent(type=event.type, data=event.model_dump(mode="json"), schema_version=event.schema_version)


def _claim(request: ClaimRequest) -> Claim:
    match request:
        case Count(key, delta):
            return CountClaim(key, delta)
        case Limit(key, limit):
            return LimitClaim(key, limit)
        case Take(key, owner):
            return TakeClaim(key, owner)
        case Release(key, owner):
            return ReleaseClaim(key, owner)
        case Block(key, owner, start, until):
            return BlockClaim(key, owner, start, until)
        case Unblock(key, owner):
            return UnblockClaim(key, owner)
        case Clear(key, on):
            return ClearClaim(key, on)


def _notice(notice: Notice, campaign: str) -> OutboxEntry:
    person = str(notice.person) if notice.person else None
    return OutboxEntry(notice.recipient, notice.type, {"data": notice.data, "person": person, "campaign": campaign}, "")


def _start(start: Start) -> OutboxEntry:
    body: dict[str, JSON] = {"number": start.number, "campaign": start.campaign, "wake": start.wake}
    return OutboxEntry(START_RECIPIENT, start.kind, body, "")


def facts_of(refused: ClaimRefused) -> dict[str, Any]:
    """What the claim found, as far as everybody may know it: numbers and a date, never whose claim it is."""
    shown = {name: refused.detail[name] for name in ("used", "limit", "until") if name in refused.detail}
    return {refused.code: shown}


def refusal_of(refused: ClaimRefused) -> Refusal:
    """A claim that the ledger refused, in the words of the domain."""
    claim, detail = refused.claim, refused.detail
    subject = claim.key.partition(":")[2]
    match refused.code, claim.key.partition(":")[0]:
        case "count_exhausted", "class-seat":
            return refuse("class_full", training_class=subject, limit=detail.get("limit", 0))
        case "count_exhausted", _:
            line = subject.partition(":")[2]
            used, limit = detail.get("used", 0), detail.get("limit", 0)
            return refuse("quota_exhausted", line=line, used=used, limit=limit)
        case "blocked", "suspension" if isinstance(claim, ClearClaim):
            return refuse("host_suspended", field="/host", host=subject, until=detail.get("until", "—"))
        case "held", _:
            return refuse("duplicate_nomination")
        case "blocked", _ if isinstance(claim, ClearClaim):
            return refuse("restricted_until", until=detail.get("until", "—"))
        case "blocked", _:
            return refuse("restriction_overlaps")
        case "limit_below_used", _:
            return refuse("capacity_below_used", limit=detail.get("limit", 0), used=detail.get("used", 0))
        case _:
            return refuse("count_below_zero", key=claim.key)
