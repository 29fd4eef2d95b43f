"""From nomination to the class door: nominate, approve, return, reject, lapse, withdraw."""

from collections.abc import Iterator
from datetime import datetime

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
from domain.eligibility import CLAIMED, Candidate, InTime, Verdict, judge, restriction_tested_on
from domain.history import Grounds, History
from domain.numbers import PEOPLE, active_key, quota_line, restriction_key, seat_key, stream_name
from domain.person import PersonRegistered
from domain.plan import Plan
from domain.priority import places
from domain.refusals import in_words, refuse
from domain.trainee_context import (
    Context,
    Outcome,
    freed,
    freed_seat,
    in_time_until,
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
    refusal = unfit(command, context)
    if refusal is not None:
        return refusal
    forward = put_forward(command, context, number=context.number, deadline=late_until(context, "county"))
    return Decision(forward.events, forward.others, forward.claims, tuple(_told_of_nomination(command, context)))


def unfit(command: Nominate, context: Context, *, in_time: bool = False) -> Refusal | None:
    """Why the plan's rules refuse the nomination; `in_time` when another cut-off than the schools' counts for it."""
    plan = context.facts.plan
    verdicts = judge(Candidate(plan, command, context.now, _known(context)))
    reopened = context.facts.reopened_until is not None and context.now < context.facts.reopened_until
    return _refusal(plan, tuple(each for each in verdicts if not ((in_time or reopened) and each.rule == InTime.code)))


def _known(context: Context) -> History:
    return (context.facts.history or History()).as_known_to_all()


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
        grounds=_grounds(command, context, _known(context)),
        nominated_by="county" if context.actor.role == "county" else "school",
        self_nominated=command.self_nominated,
        identity_review=command.name_differs,
        sealed=command.person.sealed if command.name_differs else None,
        substitutes=substitutes,
        seat_line=line,
    )
    others: tuple[StreamEvents, ...] = ()
    if context.facts.person_version == 0:
        registered = PersonRegistered(person=person, sealed=command.person.sealed)
        others = (StreamEvents(PEOPLE, stream_name("person", str(person)), 0, (registered,)),)
    tested_on = restriction_tested_on(plan, command.project_type, context.now)
    claims: tuple[ClaimRequest, ...] = (
        Take(active_key(person, plan.id, command.project_type), number),
        *(Clear(restriction_key(each), tested_on) for each in (person, *context.facts.records)),
    )
    return Decision((nominated,), others, claims)


def _told_of_nomination(command: Nominate, context: Context) -> Iterator[Notice]:
    if context.actor.role == "school":
        yield notice(context, command.county, "nomination.received", project_type=command.project_type)
    yield from told_of_review(command, context.number, context)


def told_of_review(command: Nominate, number: str, context: Context) -> Iterator[Notice]:
    """The bureau decides who is meant where a number is known under another name (edge case 8)."""
    if command.name_differs:
        yield Notice(context.facts.plan.bureau, "identity.review_needed", {"trainee": number, "county": command.county})


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
    deadline = in_time_until(state, context, "county" if of_county else "city")
    if context.now >= deadline:
        return refuse("deadline_passed", deadline=in_words(deadline))
    if of_county:
        return _approved_by_county(state, command, in_time_until(state, context, "city"), context)
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
        training_class = context.facts.training_class
        if training_class is None or training_class.check_in_confirmed_at is None:
            # He has changed to another class while the list of his former one was worked off.
            return refuse("check_in_not_confirmed", training_class=state.training_class)
        return _withdrawn(state, "never_confirmed", context)
    deadline = state.deadline
    if deadline is not None and context.facts.reopened_until is not None and state.phase != "waitlisted":
        deadline = max(deadline, context.facts.reopened_until)
    if deadline is not None and context.now < deadline:
        return refuse("too_early", command=command.name, earliest=in_words(deadline))
    return _rejected(state, ("deadline_passed" if state.phase != "waitlisted" else "no_seat_left",), context)


def withdraw(state: Trainee, command: Withdraw, context: Context) -> Outcome:
    if command.reason == "class_changed" and not state.class_changed:
        return refuse("class_not_changed", field="/reason")
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
