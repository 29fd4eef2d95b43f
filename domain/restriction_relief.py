"""What eases a restriction: service that failed, a waiver, a reversal; and what it means for nominations under way.

A restriction that is imposed while a nomination of the same teacher is under way freezes it in the same append, and the
county is asked (edge case 36). A reversal thaws what was frozen because of it (edge case 38).
"""

from datetime import date
from typing import Any

from domain import calendar
from domain.decision import (
    ClaimRequest,
    Decision,
    Event,
    Notice,
    Refusal,
    Start,
    StreamEvents,
    Unblock,
)
from domain.numbers import RESTRICTIONS, restriction_key, stream_name
from domain.plan import Plan
from domain.refusals import in_words, refuse
from domain.restriction_messages import (
    FailService,
    RecordBounce,
    RestrictionDropped,
    RestrictionReversed,
    RestrictionWaived,
    Reverse,
    ServedBy,
    ServiceFailed,
    Waive,
)
from domain.restriction_state import Context, Restriction, Waiver
from domain.trainee_correction_messages import (
    NominationFrozen,
    NominationResumed,
)


def told_teacher(state: Restriction, context: Context, event: Event, **data: Any) -> tuple[Notice, ...]:
    """To the teacher himself; the school hands it over when no mail reaches him."""
    return _to_teacher(state, context.number, event, **data)


def _to_teacher(state: Restriction, number: str, event: Event, **data: Any) -> tuple[Notice, ...]:
    if not state.school:
        return ()
    return (Notice(state.school, event.type, {"restriction": number, **data}, person=state.person),)


def fail_service(state: Restriction, command: FailService, context: Context) -> Decision | Refusal:
    """The notice did not arrive: no window has run, and the school is asked to hand it over (edge case 41)."""
    if state.phase == "served" and state.objection_until is not None and context.now >= state.objection_until:
        return refuse("objection_window_passed", deadline=in_words(state.objection_until))
    via: ServedBy = (
        "in-person" if state.served_via == "in-person" else "school" if state.served_via == "school" else "mail"
    )
    return _not_served(state, via, command.reason, context)


def record_bounce(state: Restriction, command: RecordBounce, context: Context) -> Decision | Refusal:
    """The mail came back, maybe only after its window had ended: nobody was served by it (edge case 41)."""
    if state.served_via != "mail" or state.objection_until != command.until:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed="—")
    return _not_served(state, "mail", command.reason, context)


def _not_served(state: Restriction, via: ServedBy, reason: str, context: Context) -> Decision:
    plan = context.facts.plan
    failed = ServiceFailed(
        by=str(context.actor),
        via=via,
        reason=reason,
        serve_by=plan.add_working_days(context.now, plan.rules.serve_within_working_days),
    )
    data = {"restriction": context.number, "serve_by": failed.serve_by.isoformat()}
    whom = dict.fromkeys((state.school, state.county))
    return Decision((failed,), notices=tuple(Notice(each, failed.type, data) for each in whom if each))


def waive(state: Restriction, command: Waive, context: Context) -> Decision | Refusal:
    """One project in spite of the restriction: who, why, on which document; it can be used once (edge case 37)."""
    if Waiver(command.campaign, command.project_type) in state.waivers:
        return refuse("waiver_exists", project_type=command.project_type)
    if command.campaign == context.facts.plan.id and context.facts.plan.find_project_type(command.project_type) is None:
        known = ", ".join(each.id for each in context.facts.plan.project_types)
        return refuse("unknown_project_type", field="/project_type", project_type=command.project_type, known=known)
    waived = RestrictionWaived(
        by=str(context.actor),
        decided_by=command.decided_by,
        reasons=command.reasons,
        document=command.document,
        campaign=command.campaign,
        project_type=command.project_type,
    )
    data = {"restriction": context.number, "project_type": command.project_type}
    told = tuple(Notice(each, waived.type, data) for each in dict.fromkeys((state.county, state.school)) if each)
    return Decision((waived,), notices=told)


def reverse(state: Restriction, command: Reverse, context: Context) -> Decision:
    """The decision no longer stands: eligible again at once, and everybody who acted on it is told (edge case 38)."""
    event, claims, told = lifted(
        state, context.number, by=str(context.actor), decided_by=command.decided_by, reasons=command.reasons,
        document=command.document, plan=context.facts.plan,
    )  # fmt: skip
    other = context.facts.barred_until
    # What another restriction bars as well stays frozen; one whose date has come bars nothing.
    thawing = () if other is not None and other > calendar.local_date(context.now) else context.facts.in_flight
    thawed = tuple(
        StreamEvents(
            each.campaign,
            stream_name("trainee", each.number),
            each.version,
            (NominationResumed(by=str(context.actor)),),
        )
        for each in thawing
    )
    counties = tuple(Notice(each.county, NominationResumed.type, {"trainee": each.number}) for each in thawing)
    starts = tuple(Start("trainee", each.number, each.campaign, wake=True) for each in thawing)
    return Decision((event,), others=thawed, claims=claims, notices=(*told, *counties), starts=starts)


def lifted(
    state: Restriction, number: str, *, by: str, decided_by: str, reasons: str, document: str, plan: Plan
) -> tuple[Event, tuple[ClaimRequest, ...], tuple[Notice, ...]]:
    """What ends a restriction whose ground is gone: the event for its stream, the claims, and whom to tell.

    One that was imposed is reversed; one that nobody has decided on yet is dropped, because there is nothing to decide.
    """
    if state.phase != "imposed":
        dropped = RestrictionDropped(by=by, decided_by=decided_by, reasons=reasons)
        return dropped, (), _to_teacher(state, number, dropped)
    event = RestrictionReversed(by=by, decided_by=decided_by, reasons=reasons, document=document)
    others = dict.fromkeys((state.county, state.host, plan.bureau))
    told = tuple(Notice(each, event.type, {"restriction": number, "trainee": state.trainee}) for each in others if each)
    claims = (Unblock(restriction_key(state.person), number),)
    return event, claims, (*_to_teacher(state, number, event), *told)


def ended_by_correction(
    state: Restriction, number: str, version: int, *, by: str, decided_by: str, reasons: str, document: str, plan: Plan
) -> tuple[tuple[StreamEvents, ...], tuple[ClaimRequest, ...], tuple[Notice, ...], tuple[Start, ...]]:
    """The part of a correction's append that ends the restriction which the corrected outcome had proposed."""
    event, claims, told = lifted(
        state, number, by=by, decided_by=decided_by, reasons=reasons, document=document, plan=plan
    )
    part = StreamEvents(RESTRICTIONS, stream_name("restriction", number), version, (event,))
    return (part,), claims, told, (Start("restriction", number, state.campaign, wake=True),)


def frozen(context: Context, until: date) -> tuple[tuple[StreamEvents, ...], tuple[Notice, ...], tuple[Start, ...]]:
    """The person's nominations under way stand still until their county answers (edge case 36)."""
    # Another county learns until when, and nothing else (edge case 15): not even the restriction's number.
    event = NominationFrozen(until=until)
    in_flight = context.facts.in_flight
    parts = tuple(
        StreamEvents(each.campaign, stream_name("trainee", each.number), each.version, (event,)) for each in in_flight
    )
    data = {"until": until.isoformat()}
    asked = tuple(Notice(each.county, event.type, {"trainee": each.number, **data}) for each in in_flight)
    starts = tuple(Start("trainee", each.number, each.campaign, wake=True) for each in in_flight)
    return parts, asked, starts
