"""How a training ends and what follows: dismissal, completion, follow-up, and the proposed restriction."""

from datetime import date, timedelta

from domain import calendar
from domain.decision import (
    Command,
    Decision,
    Event,
    Notice,
    Refusal,
    Start,
    StreamEvents,
    Take,
)
from domain.numbers import RESTRICTIONS, certificate_number, restriction_number, stream_name
from domain.refusals import in_words, refuse
from domain.restriction_messages import Ground, RestrictionProposed
from domain.trainee_context import Context, Outcome, notice, told_host
from domain.trainee_messages import ExcuseWindowClosed, PassDeadline
from domain.trainee_outcome_messages import (
    Complete,
    Dismiss,
    Fail,
    FollowUpAssigned,
    FollowUpLapsed,
    FollowUpOverdue,
    FollowUpReviewed,
    FollowUpSubmitted,
    ReviewFollowUp,
    SubmitFollowUp,
    TraineeDismissed,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_state import Trainee
from domain.training_days import DaysCredited, entries

DAYS_SHORT = "days_short"
"""The code of 未结业 for too few centralised days."""


def dismiss(state: Trainee, command: Dismiss, context: Context) -> Outcome:
    number = next_restriction(state, context)
    dismissed = TraineeDismissed(
        by=str(context.actor), reason=command.reason, evidence=command.evidence, restriction=number
    )
    return with_restriction(state, dismissed, "dismissed", context)


def fail(state: Trainee, command: Fail, context: Context) -> Outcome:
    early = _before_end(state, command, context)
    if early is not None:
        return early
    required = context.facts.plan.project_type(state.project_type).centralised_days_required
    if set(command.reasons) == {DAYS_SHORT} and _days_expected(state, required) < required:
        return refuse("host_shortfall", field="/reasons", offered=state.days_offered, required=required)
    number = next_restriction(state, context)
    failed = TrainingNotCompleted(by=str(context.actor), reasons=command.reasons, restriction=number)
    return with_restriction(state, failed, "not-completed", context)


def complete(state: Trainee, command: Complete, context: Context) -> Outcome:
    early = _before_end(state, command, context)
    return early if early is not None else completion(state, command, context)


def completion(state: Trainee, command: Complete, context: Context) -> Outcome:
    """Certificate, days and follow-up task of a completion, in one append with each other."""
    project_type = context.facts.plan.project_type(state.project_type)
    missed = _attendance_missing(context)
    if missed is not None:
        return missed
    required = project_type.centralised_days_required
    expected = _days_expected(state, required)
    assert state.starts is not None and state.ends is not None, "somebody in training has a class with dates"
    held = (state.ends - state.starts).days + 1
    if command.centralised_days > held:
        return refuse("days_exceed_class", field="/centralised_days", days=command.centralised_days, held=held)
    days = _days_that_count(command, context)
    if days < expected:
        return refuse("centralised_days_short", field="/centralised_days", days=days, required=expected)
    certificate = certificate_number(context.number, state.certificates + 1)
    cycle = context.facts.plan.cycle_of(state.starts)
    completed = TrainingCompleted(
        by=str(context.actor),
        centralised_days=command.centralised_days,
        online_days=command.online_days,
        hours=command.hours,
        grade=command.grade,
        certificate=certificate,
        host_shortfall_days=max(0, required - days),
        cycle=cycle,
    )
    others = (_credited(state, completed, context),)
    claims = (Take(f"certificate:{certificate}", context.number),)
    short = {"host_shortfall_days": completed.host_shortfall_days} if completed.host_shortfall_days else {}
    notices = (notice(context, state.county, completed.type, **short),)
    if project_type.follow_up is None:
        return Decision((completed,), others, claims, notices)
    due = calendar.end_of_day(calendar.local_date(context.now) + timedelta(days=project_type.follow_up.due_days))
    assigned = FollowUpAssigned(task=project_type.follow_up.task_zh, due=due)
    task = notice(context, state.school, assigned.type, due=due.isoformat())
    return Decision((completed, assigned), others, claims, (*notices, task))


def _credited(state: Trainee, completed: TrainingCompleted, context: Context) -> StreamEvents:
    """The entry in the person's training days, which follow him wherever he goes (edge case 13)."""
    assert state.starts is not None, "somebody in training has a class with dates"
    entry = DaysCredited(
        person=state.person,
        cycle=completed.cycle,
        campaign=state.campaign,
        trainee=context.number,
        project_type=state.project_type,
        starts=state.starts,
        centralised_days=completed.centralised_days,
        online_days=completed.online_days,
        hours=completed.hours,
        certificate=completed.certificate,
    )
    return entries(state.person, completed.cycle, context.facts.days_version, entry)


def _attendance_missing(context: Context) -> Refusal | None:
    """Where the plan asks for attendance: no unit may be unknown, and the known ones must reach the share (27, 28)."""
    percent, attendance = context.facts.plan.training_rules.attendance_percent, context.facts.attendance
    if percent is None:
        return None
    if attendance is None or not attendance.held:
        return refuse("timetable_missing")
    if attendance.unknown:
        return refuse("attendance_unknown", units=attendance.unknown)
    if not attendance.passes(percent):
        attended, counted = attendance.attended, attendance.counted
        return refuse("attendance_short", attended=attended, counted=counted, percent=percent)
    return None


def _days_expected(state: Trainee, required: int) -> int:
    """What a changed class does not offer, nobody can be asked for: that shortfall is the host's (edge case 21)."""
    return required if state.days_offered is None else min(required, state.days_offered)


def _days_that_count(command: Complete, context: Context) -> int:
    online_counts = context.facts.plan.training_rules.online_days_count_as_centralised
    return command.centralised_days + (command.online_days if online_counts else 0)


def _before_end(state: Trainee, command: Command, context: Context) -> Refusal | None:
    """An outcome is known on the last day at the earliest."""
    assert state.ends is not None, "somebody in training has a class with dates"
    opens = calendar.start_of_day(state.ends)
    if context.now < opens:
        return refuse("too_early", command=command.name, earliest=in_words(opens))
    return None


def submit_follow_up(state: Trainee, command: SubmitFollowUp, context: Context) -> Outcome:
    submitted = FollowUpSubmitted(by=str(context.actor), evidence=command.evidence)
    return Decision((submitted,), notices=told_host(state, context, submitted))


def review_follow_up(state: Trainee, command: ReviewFollowUp, context: Context) -> Outcome:
    if not state.follow_up_submitted:
        return refuse("follow_up_not_submitted")
    again = None
    if not command.accepted:
        days = context.facts.plan.rules.follow_up_grace_days
        again = calendar.end_of_day(calendar.local_date(context.now) + timedelta(days=days))
    reviewed = FollowUpReviewed(by=str(context.actor), accepted=command.accepted, comment=command.comment, due=again)
    return Decision((reviewed,), notices=(notice(context, state.school, reviewed.type, accepted=command.accepted),))


def pass_deadline(state: Trainee, command: PassDeadline, context: Context) -> Outcome:
    assert state.deadline is not None or state.follow_up_submitted, "a timer runs towards a deadline"
    if state.deadline is None or context.now < state.deadline:
        earliest = in_words(state.deadline) if state.deadline else "—"
        return refuse("too_early", command=command.name, earliest=earliest)
    if state.phase == "absent":
        number = next_restriction(state, context)
        return with_restriction(state, ExcuseWindowClosed(restriction=number), "absent", context)
    if state.overdue:
        return Decision((FollowUpLapsed(),), notices=told_host(state, context, FollowUpLapsed()))
    grace = timedelta(days=context.facts.plan.rules.follow_up_grace_days)
    last_date = calendar.end_of_day(calendar.local_date(context.now) + grace)
    overdue = FollowUpOverdue(last_date=last_date)
    told = tuple(
        notice(context, each, overdue.type, last_date=last_date.isoformat()) for each in (state.county, state.host)
    )
    return Decision((overdue,), notices=told)


def next_restriction(state: Trainee, context: Context) -> str:
    """The number of the restriction that the case proposes next; a corrected outcome never reuses one."""
    return restriction_number(context.number, state.restrictions + 1)


def with_restriction(state: Trainee, event: Event, ground: Ground, context: Context) -> Decision:
    """The event and the proposed restriction are one append: neither can be lost without the other (通知 四(三))."""
    number = next_restriction(state, context)
    proposed = RestrictionProposed(
        campaign=state.campaign,
        trainee=context.number,
        person=state.person,
        county=state.county,
        school=state.school,
        host=state.host,
        ground=ground,
        class_starts=state.starts,
        incident_on=_incident_day(state, context),
        proposed_at=context.now,
        serve_by=context.facts.plan.add_working_days(context.now, context.facts.plan.rules.serve_within_working_days),
    )
    return Decision(
        events=(event,),
        others=(StreamEvents(RESTRICTIONS, stream_name("restriction", number), 0, (proposed,)),),
        notices=(
            notice(context, state.county, event.type),
            Notice(
                context.facts.plan.bureau,
                proposed.type,
                {"restriction": number, "trainee": context.number},
            ),
        ),
        starts=(Start("restriction", number, state.campaign),),
    )


def _incident_day(state: Trainee, context: Context) -> date:
    today = calendar.local_date(context.now)
    return state.starts if state.phase == "absent" and state.starts is not None else today
