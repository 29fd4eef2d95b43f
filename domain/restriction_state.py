"""The state of a restriction: `evolve` folds its events, `case_of` says what is seen and waited for.

    proposed ◄──► served ─► (objected) ─► decidable ─► imposed ─► expired
                                             │            └─────► reversed
                                             └─────────► dropped

Service that failed goes back to proposed: no window has run, even when it had ended before the mail came back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from domain import calendar, decision
from domain.decision import Case, Event
from domain.plan import Plan
from domain.restriction_messages import (
    EarlierRestrictionRecorded,
    ObjectionFiled,
    ObjectionWindowClosed,
    RestrictionDropped,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionProposed,
    RestrictionReversed,
    RestrictionServed,
    RestrictionWaived,
    ServiceFailed,
    ServiceOverdue,
    WaiverUsed,
)

Phase = Literal["proposed", "served", "objected", "imposed", "dropped", "expired", "reversed"]
WAITING_FOR = {
    "proposed": "the notice to be served on the teacher",
    "served": "an objection, until the window ends",
    "objected": "the end of the objection window",
    "imposed": "the end of the restriction",
}


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver for one project type of one campaign; `used_by` is the nomination that rests on it."""

    campaign: str
    project_type: str
    used_by: str = ""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A restriction as its events have left it."""

    campaign: str
    person: UUID
    phase: Phase
    deadline: datetime | None
    trainee: str = ""
    county: str = ""
    school: str = ""
    incident_on: date | None = None
    starts: date | None = None
    until: date | None = None
    served_on: date | None = None
    window_closed: bool = False
    service_overdue: bool = False
    host: str = ""
    class_starts: date | None = None
    served_via: str = ""
    objection_until: datetime | None = None
    waivers: tuple[Waiver, ...] = ()

    @property
    def closed(self) -> bool:
        """Dropped, expired or reversed: nothing is waited for."""
        return self.phase in ("dropped", "expired", "reversed")


@dataclass(frozen=True, slots=True)
class InFlight:
    """A nomination of the person that has not reached its training, with the version of its stream."""

    number: str
    campaign: str
    county: str
    version: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision needs beyond its own stream, read just before it.

    `person_version` is the length of the person's stream when an earlier restriction is recorded. For a decision:
    `barred_until` is the day on which the person's other restrictions have all ended, `in_flight` his nominations under
    way; for a reversal those that were frozen because of it.
    """

    plan: Plan
    person_version: int = 0
    barred_until: date | None = None
    in_flight: tuple[InFlight, ...] = ()


Context = decision.Context[Facts]


def fold(events: Iterable[Event]) -> Restriction | None:
    """The state after `events`, None before the first."""
    state: Restriction | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Restriction | None, event: Event) -> Restriction:
    """The next state. Never refuses."""
    if isinstance(event, RestrictionProposed):
        return Restriction(
            campaign=event.campaign,
            person=event.person,
            phase="proposed",
            deadline=event.serve_by,
            trainee=event.trainee,
            county=event.county,
            school=event.school,
            incident_on=event.incident_on,
            host=event.host,
            class_starts=event.class_starts,
        )
    if isinstance(event, EarlierRestrictionRecorded):
        return Restriction(
            campaign=event.campaign,
            person=event.person,
            phase="imposed",
            deadline=calendar.start_of_day(event.until),
            starts=event.starts,
            until=event.until,
        )
    assert state is not None, f"{event.type} before the proposal"
    return _waiving(state, event) or _proceeding(state, event)


def _proceeding(state: Restriction, event: Event) -> Restriction:
    match event:
        case ServiceOverdue():
            return replace(state, service_overdue=True, deadline=None)
        case RestrictionServed():
            return replace(
                state,
                phase="served",
                deadline=event.objection_until,
                objection_until=event.objection_until,
                served_on=calendar.local_date(event.served_at),
                served_via=event.via,
            )
        case ServiceFailed():
            return replace(
                state,
                phase="proposed",
                deadline=event.serve_by,
                objection_until=None,
                served_on=None,
                served_via="",
                service_overdue=False,
                window_closed=False,
            )
        case ObjectionFiled():
            return replace(state, phase="objected")
        case ObjectionWindowClosed():
            return replace(state, window_closed=True, deadline=None)
        case RestrictionImposed():
            until = calendar.start_of_day(event.until)
            return replace(state, phase="imposed", starts=event.starts, until=event.until, deadline=until)
        case RestrictionDropped():
            return replace(state, phase="dropped", deadline=None)
        case RestrictionReversed():
            return replace(state, phase="reversed", deadline=None)
        case RestrictionExpired():
            return replace(state, phase="expired", deadline=None)
    raise TypeError(f"no evolution for {event.type}")


def _waiving(state: Restriction, event: Event) -> Restriction | None:
    if isinstance(event, RestrictionWaived):
        return replace(state, waivers=(*state.waivers, Waiver(event.campaign, event.project_type)))
    if isinstance(event, WaiverUsed):
        free = Waiver(event.campaign, event.project_type)
        place = next((index for index, each in enumerate(state.waivers) if each == free), len(state.waivers))
        used = replace(free, used_by=event.trainee)
        return replace(state, waivers=(*state.waivers[:place], used, *state.waivers[place + 1 :]))
    return None


def case_of(number: str, state: Restriction) -> Case:
    """What the workflow of this restriction shows and waits for."""
    waiting_for = WAITING_FOR.get(state.phase, "")
    if state.window_closed and state.phase in ("served", "objected"):
        waiting_for = "a decision with reasons by the bureau"
    attributes = {"XunjiPhase": state.phase, "XunjiCampaign": state.campaign}
    if state.county:
        attributes["XunjiCounty"] = state.county
    return Case(
        phase=state.phase,
        deadline=state.deadline,
        timer=state.deadline is not None,
        closed=state.closed,
        summary=f"restriction · {state.phase}" + (f" until {state.until}" if state.until else ""),
        waiting_for=waiting_for,
        attributes=attributes,
    )
