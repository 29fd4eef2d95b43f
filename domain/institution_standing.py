"""How an organisation stands, and what may be done with it: keys, closing (撤并), suspension (暂停承训).

Nothing waits here, so no workflow runs for it: whoever appends to its stream decides with these functions on the events
that it has read. Whose step each is, the front door knows (`api/permissions.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from domain.decision import Block, Decision, Event, Notice, Refusal, Unblock
from domain.institution import (
    HostReinstated,
    HostSuspended,
    InstitutionClosed,
    InstitutionContactChanged,
    InstitutionRegistered,
    KeyIssued,
    KeyRevoked,
    Kind,
    MailboxPaused,
    MailboxResumed,
    WebhookEndpointDisabled,
    WebhookEndpointRegistered,
)
from domain.numbers import suspension_key
from domain.refusals import refuse

OWNER: Final = "bureau"
"""Under this name stands every suspension, so that the next word replaces the last one."""

OPEN_END: Final = date(2100, 1, 1)
"""Stands for a suspension that lasts until it is lifted."""


@dataclass(frozen=True, slots=True)
class Institution:
    """An organisation as its events have left it.

    `keys` are those that are accepted, by their public ids; `endpoints` those to which notices are posted. `suspended`
    has the first day of a suspension and the day on which it ends, until another word is said. `successor` took over
    when it was closed.
    """

    id: str
    kind: Kind
    parent: str
    email: str
    version: int = 1
    keys: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()
    mailbox_paused: bool = False
    suspended: tuple[date, date] | None = None
    successor: str = ""


def fold(events: Iterable[Event]) -> Institution | None:
    """The state after `events`, None before the first."""
    state: Institution | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Institution | None, event: Event) -> Institution:
    """The next state. Never refuses."""
    if isinstance(event, InstitutionRegistered):
        return Institution(event.id, event.kind, event.parent, event.email)
    assert state is not None, f"{event.type} before the organisation was registered"
    state = replace(state, version=state.version + 1)
    match event:
        case KeyIssued():
            return replace(state, keys=state.keys | {event.key})
        case KeyRevoked():
            return replace(state, keys=state.keys - {event.key})
        case WebhookEndpointRegistered():
            return replace(state, endpoints=state.endpoints | {event.endpoint})
        case WebhookEndpointDisabled():
            return replace(state, endpoints=state.endpoints - {event.endpoint})
        case MailboxPaused() | MailboxResumed():
            return replace(state, mailbox_paused=isinstance(event, MailboxPaused))
        case InstitutionContactChanged():
            return replace(state, email=event.email)
        case HostSuspended():
            return replace(state, suspended=(event.starts, event.until))
        case HostReinstated():
            return replace(state, suspended=None)
        case InstitutionClosed():
            # Its keys are not accepted any more, all at once.
            return replace(state, successor=event.successor, keys=frozenset())
    # What became of notices and secrets changes nothing in how it stands.
    return state


def issue_key(state: Institution, issued: KeyIssued) -> Decision | Refusal:
    """Give it a key. A closed school gets none: with one it would take part again (edge case 62)."""
    return _closed(state) if state.successor else Decision((issued,))


def change_contact(email: str, *, by: str) -> Decision:
    """Notices go to another address, those of a closed school as well: what is still in the post must arrive."""
    return Decision((InstitutionContactChanged(by=by, email=email),))


def can_take_over(state: Institution, other: Institution) -> bool:
    """Whether another school of the same county it is, which may take over what this one leaves."""
    return other.kind == "school" and other.parent == state.parent and other.id != state.id


def close(
    state: Institution, successor: Institution | None, open_cases: int, *, by: str, document: str
) -> Decision | Refusal:
    """End a school; another one of the same county has taken its cases over before. Again changes nothing."""
    if state.kind != "school":
        return refuse("unknown_number", number=state.id)
    if successor is None or not can_take_over(state, successor):
        return refuse("unknown_number", field="/successor", number=successor.id if successor else "")
    if state.successor:
        return Decision(()) if state.successor == successor.id else _closed(state)
    if successor.successor:
        return _closed(successor, "/successor")
    if open_cases:
        return refuse("school_has_open_cases", school=state.id, count=open_cases)
    return Decision((InstitutionClosed(by=by, successor=successor.id, document=document),))


def suspend(
    state: Institution, until: date | None, today: date, *, by: str, decided_by: str, reasons: str, document: str
) -> Decision | Refusal:
    """Let a host plan no class from today until a day (exclusive), or until it is reinstated.

    A second suspension replaces the first. Classes that it has planned go on.
    """
    if state.kind != "host":
        return refuse("unknown_number", number=state.id)
    end = until or OPEN_END
    if end <= today:
        return refuse("dates_out_of_order", field="/until")
    suspended = HostSuspended(by=by, decided_by=decided_by, reasons=reasons, document=document, starts=today, until=end)
    key = suspension_key(state.id)
    told = Notice(state.id, suspended.type, {"until": end.isoformat()})
    return Decision((suspended,), claims=(Unblock(key, OWNER), Block(key, OWNER, today, end)), notices=(told,))


def reinstate(state: Institution, *, by: str, decided_by: str, reasons: str) -> Decision | Refusal:
    """Let a suspended host plan classes again, at once."""
    if state.kind != "host":
        return refuse("unknown_number", number=state.id)
    if state.suspended is None:
        return refuse("not_suspended", host=state.id)
    reinstated = HostReinstated(by=by, decided_by=decided_by, reasons=reasons)
    told = Notice(state.id, reinstated.type, {})
    return Decision((reinstated,), claims=(Unblock(suspension_key(state.id), OWNER),), notices=(told,))


def _closed(state: Institution, field: str = "") -> Refusal:
    return refuse("school_closed", field=field, school=state.id, successor=state.successor)
