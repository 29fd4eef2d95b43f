"""From nomination to the class door: nominate, approve, return, reject, lapse, withdraw."""

from domain import calendar
from domain.decision import (
    Actor,
    ClaimRequest,
    Clear,
    Count,
    Decision,
    Refusal,
    StreamEvents,
    Take,
)
from domain.eligibility import ineligible
from domain.numbers import PEOPLE, active_key, restriction_key, stream_name
from domain.person import PersonRegistered
from domain.plan import Plan
from domain.refusals import in_words, refuse
from domain.trainee_context import (
    Context,
    Outcome,
    freed,
    freed_seat,
    notice,
    seat_of,
    told_host,
)
from domain.trainee_messages import (
    Approve,
    Lapse,
    Level,
    Nominate,
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
    NominationWithdrawn,
    Reject,
    Resubmit,
    Return,
    TraineeNominated,
    Withdraw,
)
from domain.trainee_state import Trainee


def nominate(command: Nominate, context: Context) -> Outcome:
    plan = context.facts.plan
    reasons = ineligible(plan, command, context.now)
    if reasons:
        return Refusal(reasons=reasons, rule_version=plan.sha256())
    person = command.person.id
    nominated = TraineeNominated(
        campaign=plan.id,
        project_type=command.project_type,
        county=command.county,
        school=command.school,
        person=person,
        stage=command.stage,
        subject=command.subject,
        position=command.position,
        rural=command.rural,
        years_of_service=command.years_of_service,
        submitted_at=context.now,
        deadline=plan.selection_deadline("county"),
    )
    others: tuple[StreamEvents, ...] = ()
    if context.facts.person_version == 0:
        registered = PersonRegistered(person=person, sealed=command.person.sealed)
        others = (StreamEvents(PEOPLE, stream_name("person", str(person)), 0, (registered,)),)
    claims: tuple[ClaimRequest, ...] = (
        Take(active_key(person, plan.id, command.project_type), context.number),
        Clear(restriction_key(person), calendar.local_date(context.now)),
    )
    notices = (notice(context, command.county, "nomination.received", project_type=command.project_type),)
    return Decision((nominated,), others, claims, notices if context.actor.role == "school" else ())


def approve(state: Trainee, command: Approve, context: Context) -> Outcome:
    plan = context.facts.plan
    if state.returned:
        return refuse("awaiting_resubmission")
    of_county = context.actor.role == "county"
    if of_county != (state.phase == "nominated"):
        return refuse("not_your_part", roles="county" if state.phase == "nominated" else "bureau")
    deadline = plan.selection_deadline("county") if of_county else plan.selection_deadline("city")
    if context.now >= deadline:
        return refuse("deadline_passed", deadline=in_words(deadline))
    if of_county:
        approved = NominationApproved(level="county", by=str(context.actor), deadline=plan.selection_deadline("city"))
        return Decision((approved,), claims=(Count(seat_of(state), +1),))
    unfit = _unfit_host(plan, state, command.host)
    if unfit is not None:
        return unfit
    approved = NominationApproved(level="city", by=str(context.actor), host=command.host)
    selected = notice(context, command.host, "trainee.selected", project_type=state.project_type, county=state.county)
    return Decision((approved,), notices=(selected,))


def _unfit_host(plan: Plan, state: Trainee, host_id: str) -> Refusal | None:
    if not host_id:
        return refuse("host_missing", field="/host")
    host = plan.find_host(host_id)
    if host is None:
        return refuse("host_unknown", field="/host", host=host_id)
    project_type = plan.project_type(state.project_type)
    if project_type.level not in host.levels:
        return refuse("host_of_another_level", field="/host", host=host_id, level=project_type.level)
    return None


def return_(state: Trainee, command: Return, context: Context) -> Outcome:
    if state.returned:
        return refuse("awaiting_resubmission")
    wrong = _wrong_level(state, context.actor)
    if wrong is not None:
        return wrong
    level: Level = "county" if state.phase == "nominated" else "city"
    returned = NominationReturned(level=level, by=str(context.actor), reason=command.reason, seat_freed=state.seat_held)
    told = notice(context, state.school, "nomination.returned", level=level)
    return Decision((returned,), claims=freed_seat(state), notices=(told,))


def resubmit(state: Trainee, command: Resubmit, context: Context) -> Outcome:
    if not state.returned:
        return refuse("not_returned")
    return Decision((NominationResubmitted(by=str(context.actor)),))


def reject(state: Trainee, command: Reject, context: Context) -> Outcome:
    wrong = _wrong_level(state, context.actor)
    if wrong is not None:
        return wrong
    return _rejected(state, command.reasons, context)


def _wrong_level(state: Trainee, actor: Actor) -> Refusal | None:
    """A county decides on what it has before it, not on what the city already has."""
    if actor.role == "county" and state.phase != "nominated":
        return refuse("not_your_part", roles="bureau")
    if actor.role == "bureau" and state.phase == "nominated":
        return refuse("not_your_part", roles="county")
    return None


def _rejected(state: Trainee, reasons: tuple[str, ...], context: Context) -> Decision:
    rejected = NominationRejected(by=str(context.actor), reasons=reasons, seat_freed=state.seat_held)
    told = notice(context, state.school, "nomination.rejected", reasons=list(reasons))
    return Decision((rejected,), claims=freed(state, context), notices=(told,))


def lapse(state: Trainee, command: Lapse, context: Context) -> Outcome:
    if state.phase == "enrolled":
        return _withdrawn(state, "never_confirmed", context)
    if state.deadline is not None and context.now < state.deadline:
        return refuse("too_early", command=command.name, earliest=in_words(state.deadline))
    return _rejected(state, ("deadline_passed",), context)


def withdraw(state: Trainee, command: Withdraw, context: Context) -> Outcome:
    if command.reason == "class_changed" and not state.class_changed:
        return refuse("class_not_changed", field="/reason")
    return _withdrawn(state, command.reason, context)


def _withdrawn(state: Trainee, why: str, context: Context) -> Decision:
    withdrawn = NominationWithdrawn(
        by=str(context.actor), reason=why, seat_freed=state.seat_held, place_freed=bool(state.training_class)
    )
    return Decision((withdrawn,), claims=freed(state, context), notices=told_host(state, context, withdrawn))
