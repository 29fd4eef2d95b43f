"""替换 before 报到: another teacher of the same recipient takes the seat, with his own review and every check again.

The seat stays in use all the while and counts once (edge case 20): the old nomination ends and the new one begins with
the seat in its hand, in one append. So there are never more substitutes than vacancies (edge case 16).
"""

from datetime import date, datetime

from domain import calendar
from domain.decision import ClaimRequest, Count, Decision, Notice, Release, Start, StreamEvents
from domain.numbers import active_key, class_seat_key, stream_name
from domain.plan import Plan
from domain.refusals import in_words, refuse
from domain.seat_rules import last_day_to_join, required_days
from domain.trainee_context import Context, Outcome, notice, told_host
from domain.trainee_messages import Nominate, NominationApproved, NominationWithdrawn, PersonReference
from domain.trainee_seat_messages import (
    HostReassigned,
    ImpersonationReported,
    ReassignHost,
    ReportImpersonation,
    Substitute,
    SubstituteNamed,
)
from domain.trainee_selection import put_forward, told_of_review, unfit
from domain.trainee_state import Trainee


def substitute(state: Trainee, command: Substitute, context: Context) -> Outcome:
    plan = context.facts.plan
    cut_off = substitute_cut_off(plan, state)
    if context.now >= cut_off:
        return refuse("substitute_too_late", cut_off=in_words(cut_off), days=required_days(plan, state.project_type))
    if command.person.id == state.person or command.number == context.number:
        return refuse("substitute_is_the_same", field="/person")
    nomination = _nomination(state, command)
    # The seat was selected in time; what counts for a substitute is the cut-off above.
    refusal = unfit(nomination, context, in_time=True)
    if refusal is not None:
        return refusal
    forward = put_forward(
        nomination, context, number=command.number, deadline=cut_off, substitutes=context.number, line=state.seat_line
    )
    by = str(context.actor)
    named = SubstituteNamed(by=by, substitute=command.number, reason=command.reason)
    withdrawn = NominationWithdrawn(
        by=by, reason=command.reason, seat_freed=False, place_freed=bool(state.training_class)
    )
    own = StreamEvents(plan.id, stream_name("trainee", command.number), 0, forward.events)
    claims: tuple[ClaimRequest, ...] = (
        Release(active_key(state.person, state.campaign, state.project_type), context.number),
        *((Count(class_seat_key(state.training_class), -1),) if state.training_class else ()),
        *forward.claims,
    )
    told = (
        Notice(command.school, named.type, {"trainee": command.number, "substitutes": context.number}),
        *told_of_review(nomination, command.number, context),
    )
    return Decision(
        (named, withdrawn),
        others=(own, *forward.others),
        claims=claims,
        notices=(*told, *told_host(state, context, withdrawn)),
        starts=(Start("trainee", command.number, state.campaign),),
    )


def _nomination(state: Trainee, command: Substitute) -> Nominate:
    """The substitute's nomination: for the same project type and recipient, whatever else is his own."""
    return Nominate(
        project_type=state.project_type,
        county=state.county,
        school=command.school,
        person=PersonReference(id=command.person.id, sealed=command.person.sealed),
        stage=command.stage,
        subject=command.subject,
        position=command.position,
        rural=command.rural,
        years_of_service=command.years_of_service,
        name_differs=command.name_differs,
    )


def substitute_cut_off(plan: Plan, state: Trainee) -> datetime:
    """24:00 of the last day on which somebody can join and still reach the days that the training asks for (17)."""
    ends: date = state.ends or plan.dates.soft_end
    return calendar.end_of_day(last_day_to_join(ends, required_days(plan, state.project_type)))


def report_impersonation(state: Trainee, command: ReportImpersonation, context: Context) -> Outcome:
    if state.impersonated:
        return refuse("impersonation_recorded")
    reported = ImpersonationReported(by=str(context.actor), evidence=command.evidence)
    recipients = dict.fromkeys((state.county, state.school, context.facts.plan.bureau))
    return Decision((reported,), notices=tuple(notice(context, each, reported.type) for each in recipients))


def reassign_host(state: Trainee, command: ReassignHost, context: Context) -> Outcome:
    """Only for whoever is still with a host that was removed; everybody else has nothing to be changed."""
    removed = context.facts.removed_hosts
    replacement = removed.get(state.host, "")
    while replacement in removed:
        # It was removed in its turn; nobody takes over who is removed already, so this ends.
        replacement = removed[replacement]
    if not replacement:
        return refuse("host_not_removed", host=state.host)
    reassigned = HostReassigned(before=state.host, host=replacement)
    # Whoever follows a case learns its host from the city's approval, so that is given anew.
    approved = NominationApproved(level="city", by=str(context.actor), host=replacement)
    told = tuple(
        notice(context, each, reassigned.type, host=replacement)
        for each in dict.fromkeys((replacement, state.county, state.school))
    )
    return Decision((reassigned, approved), notices=told)
