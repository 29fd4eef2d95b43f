"""From nomination to the class door: nominate, approve, return, reject, lapse, withdraw."""

from datetime import datetime

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
from domain.numbers import PEOPLE, active_key, quota_line, restriction_key, seat_key, stream_name
from domain.person import PersonRegistered
from domain.plan import Plan
from domain.refusals import in_words, refuse
from domain.trainee_context import (
    Context,
    Outcome,
    freed,
    freed_seat,
    late_until,
    notice,
    refilled,
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
    if context.facts.reopened_until is not None and context.now < context.facts.reopened_until:
        reasons = tuple(each for each in reasons if each.code != "deadline_passed")
    if reasons:
        return Refusal(reasons=reasons, rule_version=plan.sha256())
    forward = put_forward(command, context, number=context.number, deadline=late_until(context, "county"))
    notices = (notice(context, command.county, "nomination.received", project_type=command.project_type),)
    return Decision(forward.events, forward.others, forward.claims, notices if context.actor.role == "school" else ())


def put_forward(
    command: Nominate, context: Context, *, number: str, deadline: datetime, substitutes: str = "", line: str = ""
) -> Decision:
    """The first event of a nomination whose conditions are met, with what must hold at that instant."""
    plan = context.facts.plan
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
        deadline=deadline,
        substitutes=substitutes,
        seat_line=line,
    )
    others: tuple[StreamEvents, ...] = ()
    if context.facts.person_version == 0:
        registered = PersonRegistered(person=person, sealed=command.person.sealed)
        others = (StreamEvents(PEOPLE, stream_name("person", str(person)), 0, (registered,)),)
    claims: tuple[ClaimRequest, ...] = (
        Take(active_key(person, plan.id, command.project_type), number),
        Clear(restriction_key(person), calendar.local_date(context.now)),
    )
    return Decision((nominated,), others, claims)


def approve(state: Trainee, command: Approve, context: Context) -> Outcome:
    plan = context.facts.plan
    if state.returned:
        return refuse("awaiting_resubmission")
    of_county = context.actor.role == "county"
    if of_county != (state.phase == "nominated"):
        return refuse("not_your_part", roles="county" if state.phase == "nominated" else "bureau")
    own_deadline = state.deadline if state.timer else None
    deadline = own_deadline or late_until(context, "county" if of_county else "city")
    if context.now >= deadline:
        return refuse("deadline_passed", deadline=in_words(deadline))
    if of_county:
        return _approved_by_county(state, command, own_deadline or late_until(context, "city"), context)
    if command.host in context.facts.removed_hosts:
        return refuse("host_removed", field="/host", host=command.host)
    unfit = _unfit_host(plan, state, command.host)
    if unfit is not None:
        return unfit
    approved = NominationApproved(level="city", by=str(context.actor), host=command.host)
    selected = notice(context, command.host, "trainee.selected", project_type=state.project_type, county=state.county)
    return Decision((approved,), notices=(selected,))


def _approved_by_county(state: Trainee, command: Approve, deadline: datetime, context: Context) -> Decision:
    by = str(context.actor)
    if state.seat_held:
        # A substitute brings his seat along; it counts once (edge case 20).
        return Decision((NominationApproved(level="county", by=by, deadline=deadline),))
    line = quota_line(state.project_type, state.school) if command.quota == "school" else ""
    approved = NominationApproved(level="county", by=by, deadline=deadline, line=line)
    seat = seat_key(state.campaign, line) if line else seat_of(state)
    return Decision((approved,), claims=(Count(seat, +1),))


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
    # A substitute keeps the seat that he has taken over while he is corrected.
    seat_freed = state.seat_held and not state.substitutes
    returned = NominationReturned(level=level, by=str(context.actor), reason=command.reason, seat_freed=seat_freed)
    told = notice(context, state.school, "nomination.returned", level=level)
    if not seat_freed:
        return Decision((returned,), notices=(told,))
    return Decision((returned,), claims=freed_seat(state), notices=(told,), starts=refilled(state, context))


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
    return Decision((rejected,), claims=freed(state, context), notices=(told,), starts=refilled(state, context))


def lapse(state: Trainee, command: Lapse, context: Context) -> Outcome:
    if state.phase == "enrolled":
        return _withdrawn(state, "never_confirmed", context)
    deadline = state.deadline
    if deadline is not None and context.facts.reopened_until is not None and state.phase != "waitlisted":
        deadline = max(deadline, context.facts.reopened_until)
    if deadline is not None and context.now < deadline:
        return refuse("too_early", command=command.name, earliest=in_words(deadline))
    return _rejected(state, ("deadline_passed" if state.phase != "waitlisted" else "no_seat_left",), context)


def withdraw(state: Trainee, command: Withdraw, context: Context) -> Outcome:
    return _withdrawn(state, command.reason, context)


def _withdrawn(state: Trainee, why: str, context: Context) -> Decision:
    withdrawn = NominationWithdrawn(
        by=str(context.actor), reason=why, seat_freed=state.seat_held, place_freed=bool(state.training_class)
    )
    return Decision(
        (withdrawn,),
        claims=freed(state, context),
        notices=told_host(state, context, withdrawn),
        starts=refilled(state, context),
    )
