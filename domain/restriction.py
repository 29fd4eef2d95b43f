"""A restriction with due process (通知 四(三), domain.md §2).

    proposed ─► served ─► (objected) ─► decidable ─► imposed ─► expired
                                           └───────► dropped

Nobody is restricted without having been served, without the objection window having passed, and without a named
officer's decision with reasons. `imposed` waits three calendar years for one stored date.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from domain import calendar, decision
from domain.decision import (
    Actor,
    Block,
    Case,
    Command,
    Decision,
    Event,
    Notice,
    Refusal,
    Step,
    StreamEvents,
    steps_from,
)
from domain.numbers import PEOPLE, restriction_key, stream_name
from domain.person import PersonRegistered
from domain.plan import Plan
from domain.refusals import in_words, refuse
from domain.restriction_messages import (
    Drop,
    EarlierRestrictionRecorded,
    Impose,
    Object,
    ObjectionFiled,
    ObjectionWindowClosed,
    PassRestrictionDeadline,
    Record,
    RestrictionDropped,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionProposed,
    RestrictionServed,
    Serve,
    ServiceOverdue,
)

Phase = Literal["proposed", "served", "objected", "imposed", "dropped", "expired"]
WAITING_FOR = {
    "proposed": "the notice to be served on the teacher",
    "served": "an objection, until the window ends",
    "objected": "the end of the objection window",
    "imposed": "the end of the restriction",
}


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

    @property
    def closed(self) -> bool:
        """Dropped or expired: nothing is waited for."""
        return self.phase in ("dropped", "expired")


@dataclass(frozen=True, slots=True)
class Facts:
    """The plan, and the length of the person's stream when an earlier restriction is recorded."""

    plan: Plan
    person_version: int = 0


Context = decision.Context[Facts]


PROCEDURE: dict[type[Command], Step] = {
    Record: Step((), ("bureau",)),
    Serve: Step(("proposed",), ("bureau", "county")),
    Object: Step(("served",), ("school", "county")),
    Impose: Step(("served", "objected"), ("bureau",)),
    Drop: Step(("served", "objected"), ("bureau",)),
    PassRestrictionDeadline: Step(("proposed", "served", "objected", "imposed"), ("system",)),
}


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
    match event:
        case ServiceOverdue():
            return replace(state, service_overdue=True, deadline=None)
        case RestrictionServed():
            served_on = calendar.local_date(event.served_at)
            return replace(state, phase="served", deadline=event.objection_until, served_on=served_on)
        case ObjectionFiled():
            return replace(state, phase="objected")
        case ObjectionWindowClosed():
            return replace(state, window_closed=True, deadline=None)
        case RestrictionImposed():
            until = calendar.start_of_day(event.until)
            return replace(state, phase="imposed", starts=event.starts, until=event.until, deadline=until)
        case RestrictionDropped():
            return replace(state, phase="dropped", deadline=None)
        case RestrictionExpired():
            return replace(state, phase="expired", deadline=None)
    raise TypeError(f"no evolution for {event.type}")


def decide(state: Restriction | None, command: Command, context: Context) -> Decision | Refusal:
    """Decide `command` on the restriction as it stands."""
    step = PROCEDURE[type(command)]
    if context.actor.role not in step.roles or not _concerns(state, context.actor):
        return refuse("not_your_part", roles=" / ".join(step.roles))
    if isinstance(command, Record):
        return _record(command, context) if state is None else refuse("already_exists", number=context.number)
    if state is None:
        return refuse("unknown_number", number=context.number)
    if state.phase not in step.phases:
        if isinstance(command, (Impose, Drop)) and state.phase == "proposed":
            return refuse("not_yet_served")
        allowed = ", ".join(allowed_commands(state)) or "—"
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed=allowed)
    return _DECIDERS[type(command)](state, command, context)


def _concerns(state: Restriction | None, actor: Actor) -> bool:
    if state is None or actor.role in ("bureau", "system"):
        return True
    return actor.organisation == {"county": state.county, "school": state.school}.get(actor.role)


def allowed_commands(state: Restriction) -> list[str]:
    """The names of the commands that the procedure allows somebody in this state."""
    return steps_from(PROCEDURE, state.phase)


def _record(command: Record, context: Context) -> Decision | Refusal:
    if command.starts >= command.until:
        return refuse("dates_out_of_order", field="/until")
    recorded = EarlierRestrictionRecorded(
        by=str(context.actor),
        campaign=context.facts.plan.id,
        person=command.person,
        starts=command.starts,
        until=command.until,
        document=command.document,
    )
    others: tuple[StreamEvents, ...] = ()
    if context.facts.person_version == 0:
        registered = PersonRegistered(person=command.person, sealed=command.sealed)
        others = (StreamEvents(PEOPLE, stream_name("person", str(command.person)), 0, (registered,)),)
    block = Block(restriction_key(command.person), context.number, command.starts, command.until)
    return Decision((recorded,), others, (block,))


def _serve(state: Restriction, command: Serve, context: Context) -> Decision | Refusal:
    window = context.facts.plan.rules.objection_window_working_days
    served = RestrictionServed(
        by=str(context.actor),
        via=command.via,
        served_at=context.now,
        objection_until=context.facts.plan.add_working_days(context.now, window),
    )
    return Decision((served,), notices=_told_teacher(state, context, served, until=served.objection_until.isoformat()))


def _object(state: Restriction, command: Object, context: Context) -> Decision | Refusal:
    if state.window_closed or (state.deadline is not None and context.now >= state.deadline):
        return refuse("objection_window_passed", deadline=_deadline_in_words(state))
    objected = ObjectionFiled(by=str(context.actor), statement=command.statement)
    told = Notice(context.facts.plan.bureau, objected.type, {"restriction": context.number})
    return Decision((objected,), notices=(told,))


def _impose(state: Restriction, command: Impose, context: Context) -> Decision | Refusal:
    early = _window_still_open(state, context)
    if early is not None:
        return early
    rules = context.facts.plan.rules
    decided_on = calendar.local_date(context.now)
    starts = {
        "decision": decided_on,
        "incident": state.incident_on or decided_on,
        "class-start": state.incident_on or decided_on,
        "service": state.served_on or decided_on,
    }[rules.restriction_starts]
    imposed = RestrictionImposed(
        by=str(context.actor),
        decided_by=command.decided_by,
        reasons=command.reasons,
        starts=starts,
        until=calendar.add_calendar_years(starts, rules.restriction_years),
        policy=f"{rules.restriction_years} years from {rules.restriction_starts}",
    )
    block = Block(restriction_key(state.person), context.number, imposed.starts, imposed.until)
    told = _told_teacher(state, context, imposed, until=imposed.until.isoformat())
    return Decision((imposed,), claims=(block,), notices=told)


def _drop(state: Restriction, command: Drop, context: Context) -> Decision | Refusal:
    early = _window_still_open(state, context)
    if early is not None:
        return early
    dropped = RestrictionDropped(by=str(context.actor), decided_by=command.decided_by, reasons=command.reasons)
    return Decision((dropped,), notices=_told_teacher(state, context, dropped))


def _window_still_open(state: Restriction, context: Context) -> Refusal | None:
    if not state.window_closed and state.deadline is not None and context.now < state.deadline:
        return refuse("objection_window_open", deadline=_deadline_in_words(state))
    return None


def _pass_deadline(state: Restriction, command: PassRestrictionDeadline, context: Context) -> Decision | Refusal:
    if state.deadline is None or context.now < state.deadline:
        return refuse("too_early", command=command.name, earliest=_deadline_in_words(state))
    bureau = context.facts.plan.bureau
    if state.phase == "proposed":
        overdue = ServiceOverdue()
        return Decision((overdue,), notices=(Notice(bureau, overdue.type, {"restriction": context.number}),))
    if state.phase == "imposed":
        expired = RestrictionExpired()
        return Decision((expired,), notices=_told_teacher(state, context, expired))
    closed = ObjectionWindowClosed()
    return Decision((closed,), notices=(Notice(bureau, closed.type, {"restriction": context.number}),))


def _told_teacher(state: Restriction, context: Context, event: Event, **data: Any) -> tuple[Notice, ...]:
    """To the teacher himself; the school hands it over when no mail reaches him."""
    if not state.school:
        return ()
    return (Notice(state.school, event.type, {"restriction": context.number, **data}, person=state.person),)


def _deadline_in_words(state: Restriction) -> str:
    return in_words(state.deadline) if state.deadline else "—"


_DECIDERS: dict[type[Command], Callable[[Restriction, Any, Context], Decision | Refusal]] = {
    Serve: _serve,
    Object: _object,
    Impose: _impose,
    Drop: _drop,
    PassRestrictionDeadline: _pass_deadline,
}


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
