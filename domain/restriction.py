"""The procedure of a restriction (通知 四(三), domain.md §2): who may do what in which phase, and what follows.

Nobody is restricted without having been served, without the objection window having passed, and without a named
officer's decision with reasons. `imposed` waits for one stored date, three calendar years by the plan.
`restriction_relief` holds what eases a restriction: failed service, waiver, reversal.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from domain import calendar
from domain import restriction_relief as relief
from domain.decision import (
    Actor,
    Block,
    Command,
    Decision,
    Notice,
    Refusal,
    Step,
    StreamEvents,
    steps_from,
)
from domain.numbers import PEOPLE, restriction_key, stream_name
from domain.person import PersonRegistered
from domain.refusals import in_words, refuse
from domain.restriction_messages import (
    Drop,
    EarlierRestrictionRecorded,
    FailService,
    Impose,
    Object,
    ObjectByLink,
    ObjectionFiled,
    ObjectionWindowClosed,
    PassRestrictionDeadline,
    Record,
    RecordBounce,
    RestrictionDropped,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionServed,
    Reverse,
    Serve,
    ServiceOverdue,
    Waive,
)
from domain.restriction_relief import told_teacher
from domain.restriction_state import Context, Facts, Restriction, case_of, evolve, fold

__all__ = ["Context", "Facts", "Restriction", "case_of", "decide", "evolve", "fold"]

PROCEDURE: dict[type[Command], Step] = {
    Record: Step((), ("bureau",)),
    Serve: Step(("proposed",), ("bureau", "county")),
    FailService: Step(("proposed", "served"), ("bureau", "county", "school")),
    RecordBounce: Step(("served",), ("system",)),
    Object: Step(("served",), ("school", "county")),
    ObjectByLink: Step(("served",), ("teacher",)),
    Impose: Step(("served", "objected"), ("bureau",)),
    Drop: Step(("served", "objected"), ("bureau",)),
    Waive: Step(("imposed",), ("bureau",)),
    Reverse: Step(("imposed",), ("bureau",)),
    PassRestrictionDeadline: Step(("proposed", "served", "objected", "imposed"), ("system",)),
}


def decide(state: Restriction | None, command: Command, context: Context) -> Decision | Refusal:
    """Decide `command` on the restriction as it stands."""
    step = PROCEDURE[type(command)]
    if context.actor.role not in step.roles or not _concerns(state, context):
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


def _concerns(state: Restriction | None, context: Context) -> bool:
    actor: Actor = context.actor
    if state is None or actor.role in ("bureau", "system"):
        return True
    # A teacher comes through a link that names this one restriction and nothing else.
    own = {"county": state.county, "school": state.school, "teacher": context.number}
    return actor.organisation == own.get(actor.role)


def allowed_commands(state: Restriction) -> list[str]:
    """The names of the commands that the procedure allows somebody in this state, the teacher's own way aside."""
    return [name for name in steps_from(PROCEDURE, state.phase) if name != ObjectByLink.name]


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
    return Decision((served,), notices=told_teacher(state, context, served, until=served.objection_until.isoformat()))


def _object(state: Restriction, command: Object | ObjectByLink, context: Context) -> Decision | Refusal:
    if state.window_closed or (state.deadline is not None and context.now >= state.deadline):
        return refuse("objection_window_passed", deadline=_deadline_in_words(state))
    if isinstance(command, ObjectByLink):
        objected = ObjectionFiled(by="teacher", statement="signed link", sealed=command.sealed)
    else:
        objected = ObjectionFiled(by=str(context.actor), statement=command.statement)
    told = Notice(context.facts.plan.bureau, objected.type, {"restriction": context.number})
    return Decision((objected,), notices=(told,))


def _impose(state: Restriction, command: Impose, context: Context) -> Decision | Refusal:
    early = _window_still_open(state, context)
    if early is not None:
        return early
    starts, until, policy = _term(state, context)
    imposed = RestrictionImposed(
        by=str(context.actor),
        decided_by=command.decided_by,
        reasons=command.reasons,
        starts=starts,
        until=until,
        policy=policy,
    )
    block = Block(restriction_key(state.person), context.number, imposed.starts, imposed.until)
    frozen, asked, refreshed = relief.frozen(context, imposed.until)
    told = told_teacher(state, context, imposed, until=imposed.until.isoformat())
    return Decision((imposed,), others=frozen, claims=(block,), notices=(*told, *asked), starts=refreshed)


def _term(state: Restriction, context: Context) -> tuple[date, date, str]:
    """First barred day, first free day, and by which policy: computed once, here, and stored (edge cases 33, 34)."""
    rules, outcomes = context.facts.plan.rules, context.facts.plan.outcomes
    decided_on = calendar.local_date(context.now)
    window_ended = calendar.local_date(state.objection_until) if state.objection_until else decided_on
    starts = {
        "decision": decided_on,
        "incident": state.incident_on or decided_on,
        "class-start": state.class_starts or state.incident_on or decided_on,
        "service": state.served_on or decided_on,
        "appeal": decided_on if state.phase == "objected" else window_ended,
    }[rules.restriction_starts]
    years, policy = rules.restriction_years, f"{rules.restriction_years} years from {rules.restriction_starts}"
    earlier = context.facts.barred_until
    if earlier is not None and earlier > starts:
        if outcomes.second_incident == "stack":
            starts, policy = earlier, f"{years} years after the earlier restriction"
        elif outcomes.second_incident == "extend":
            years = outcomes.extension_years
            starts, policy = earlier, f"the earlier restriction extended by {years} years"
    return starts, calendar.add_calendar_years(starts, years), policy


def _drop(state: Restriction, command: Drop, context: Context) -> Decision | Refusal:
    early = _window_still_open(state, context)
    if early is not None:
        return early
    dropped = RestrictionDropped(by=str(context.actor), decided_by=command.decided_by, reasons=command.reasons)
    return Decision((dropped,), notices=told_teacher(state, context, dropped))


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
        return Decision((expired,), notices=told_teacher(state, context, expired))
    closed = ObjectionWindowClosed()
    return Decision((closed,), notices=(Notice(bureau, closed.type, {"restriction": context.number}),))


def _deadline_in_words(state: Restriction) -> str:
    return in_words(state.deadline) if state.deadline else "—"


_DECIDERS: dict[type[Command], Callable[[Restriction, Any, Context], Decision | Refusal]] = {
    Serve: _serve,
    FailService: relief.fail_service,
    RecordBounce: relief.record_bounce,
    Object: _object,
    ObjectByLink: _object,
    Impose: _impose,
    Drop: _drop,
    Waive: relief.waive,
    Reverse: relief.reverse,
    PassRestrictionDeadline: _pass_deadline,
}
