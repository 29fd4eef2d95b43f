"""From nomination to the class door: nominate, approve, return, reject, lapse, withdraw."""

from collections.abc import Iterator

from domain.decision import (
    Actor,
    ClaimRequest,
    Clear,
    Count,
    Decision,
    Notice,
    Refusal,
    Role,
    StreamEvents,
    Take,
)
from domain.eligibility import CLAIMED, Candidate, Verdict, judge, restriction_tested_on
from domain.history import Grounds, History
from domain.numbers import PEOPLE, active_key, restriction_key, stream_name
from domain.person import PersonRegistered
from domain.plan import Plan
from domain.priority import places
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
    history = (context.facts.history or History()).as_known_to_all()
    refusal = _refusal(plan, judge(Candidate(plan, command, context.now, history)))
    if refusal is not None:
        return refusal
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
        grounds=_grounds(command, context, history),
        nominated_by="county" if context.actor.role == "county" else "school",
        self_nominated=command.self_nominated,
        identity_review=command.name_differs,
        sealed=command.person.sealed if command.name_differs else None,
    )
    others: tuple[StreamEvents, ...] = ()
    if context.facts.person_version == 0:
        registered = PersonRegistered(person=person, sealed=command.person.sealed)
        others = (StreamEvents(PEOPLE, stream_name("person", str(person)), 0, (registered,)),)
    tested_on = restriction_tested_on(plan, command.project_type, context.now)
    claims: tuple[ClaimRequest, ...] = (
        Take(active_key(person, plan.id, command.project_type), context.number),
        *(Clear(restriction_key(each), tested_on) for each in (person, *context.facts.records)),
    )
    return Decision((nominated,), others, claims, tuple(_told_of_nomination(command, context)))


def _told_of_nomination(command: Nominate, context: Context) -> Iterator[Notice]:
    if context.actor.role == "school":
        yield notice(context, command.county, "nomination.received", project_type=command.project_type)
    if command.name_differs:
        yield notice(context, context.facts.plan.bureau, "identity.review_needed", county=command.county)


def _refusal(plan: Plan, verdicts: tuple[Verdict, ...]) -> Refusal | None:
    """Every failure at once, with what each rule looked at. One that a claim decides does not refuse by itself."""
    failed = [each for each in verdicts if each.reason is not None]
    if all(each.rule in CLAIMED for each in failed):
        return None
    reasons = tuple(each.reason for each in failed if each.reason is not None)
    return Refusal(reasons=reasons, rule_version=plan.sha256(), facts={each.rule: each.facts for each in failed})


def _grounds(command: Nominate, context: Context, history: History) -> Grounds:
    plan = context.facts.plan
    order = places(
        plan,
        history,
        context.now,
        county=command.county,
        rural=command.rural,
        years_of_service=command.years_of_service,
    )
    return Grounds(rule_version=plan.sha256(), history=history, priority=order)


def approve(state: Trainee, command: Approve, context: Context) -> Outcome:
    plan = context.facts.plan
    if state.returned:
        return refuse("awaiting_resubmission")
    of_county = state.phase == "nominated"
    if state.identity_review == "open" and not of_county:
        # The county may go on, so that nobody loses a seat to somebody else's review; the city, which decides it, not.
        return refuse("identity_under_review")
    wanted: Role = "county" if of_county and state.approver == "county" else "bureau"
    if context.actor.role != wanted:
        if of_county and state.approver == "city":
            return refuse("nominated_himself", roles=wanted)
        return refuse("not_your_part", roles=wanted)
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
