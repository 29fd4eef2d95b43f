"""From the class to the last day: enrolment, confirmation, 报到, absence, leave."""

from domain import calendar
from domain.decision import Count, Decision, Event, Notice
from domain.numbers import class_seat_key
from domain.refusals import in_words, refuse
from domain.trainee_changes import confirm_by, days_short_of, elsewhere_then, unfit_class
from domain.trainee_context import Context, Outcome, freed, notice, refilled, told_host
from domain.trainee_messages import (
    AbsenceExcused,
    AttendanceConfirmed,
    AttendanceDeclined,
    Confirm,
    Decline,
    Enroll,
    Excuse,
    GrantLeave,
    LeaveGranted,
    LeaveRefused,
    LeaveRequested,
    NoShowRecorded,
    RecordNoShow,
    RefuseLeave,
    Register,
    RequestLeave,
    TraineeEnrolled,
    TraineeRegistered,
)
from domain.trainee_state import Trainee


def enroll(state: Trainee, command: Enroll, context: Context) -> Outcome:
    training_class = context.facts.training_class
    name = command.training_class
    unfit = unfit_class(state, name, training_class)
    if unfit is not None:
        return unfit
    assert training_class is not None, "an unknown class is unfit"
    elsewhere = elsewhere_then(training_class, context)
    if elsewhere is not None:
        return elsewhere
    enrolled = TraineeEnrolled(
        training_class=name,
        host=state.host,
        starts=training_class.starts,
        ends=training_class.ends,
        confirm_by=confirm_by(training_class.starts, context),
        revision=training_class.revision,
        days_offered=days_short_of(training_class, context),
    )
    invitation = Notice(
        recipient=state.school,
        type=enrolled.type,
        data={
            "trainee": context.number,
            "training_class": name,
            "place": training_class.place,
            "starts": enrolled.starts.isoformat(),
            "ends": enrolled.ends.isoformat(),
            "confirm_by": enrolled.confirm_by.isoformat(),
        },
        person=state.person,
    )
    return Decision((enrolled,), claims=(Count(class_seat_key(name), +1),), notices=(invitation,))


def confirm(state: Trainee, command: Confirm, context: Context) -> Outcome:
    return Decision((AttendanceConfirmed(by=str(context.actor)),))


def decline(state: Trainee, command: Decline, context: Context) -> Outcome:
    if command.reason == "class_changed" and not state.class_changed:
        return refuse("class_not_changed", field="/reason")
    declined = AttendanceDeclined(by=str(context.actor), reason=command.reason)
    return Decision(
        (declined,),
        claims=freed(state, context),
        notices=told_host(state, context, declined),
        starts=refilled(state, context),
    )


def register(state: Trainee, command: Register, context: Context) -> Outcome:
    assert state.starts is not None, "an enrolled trainee has a class with dates"
    if state.impersonated:
        return refuse("impersonation_recorded")
    opens = calendar.start_of_day(state.starts)
    if context.now < opens:
        return refuse("too_early", command=command.name, earliest=in_words(opens))
    arrived_at = command.arrived_at or context.now
    if not opens <= arrived_at <= context.now:
        return refuse("arrival_time_wrong", field="/arrived_at", opens=in_words(opens))
    by = str(context.actor)
    registered = TraineeRegistered(by=by, registered_at=arrived_at)
    if state.phase == "enrolled":
        return Decision((AttendanceConfirmed(by=by), registered))
    return Decision((registered,))


def record_no_show(state: Trainee, command: RecordNoShow, context: Context) -> Outcome:
    training_class = context.facts.training_class
    if training_class is None or training_class.check_in_confirmed_at is None:
        return refuse("check_in_not_confirmed", training_class=state.training_class)
    if training_class.check_in_late and not command.document:
        return refuse("evidence_missing", field="/document", training_class=state.training_class)
    rules = context.facts.plan.rules
    absent = NoShowRecorded(
        check_in_confirmed_at=training_class.check_in_confirmed_at,
        excuse_until=context.facts.plan.add_working_days(context.now, rules.excuse_window_working_days),
        document=command.document,
    )
    told = notice(context, state.county, absent.type, excuse_until=absent.excuse_until.isoformat())
    return Decision((absent,), notices=(told,))


def excuse(state: Trainee, command: Excuse, context: Context) -> Outcome:
    if state.deadline is not None and context.now >= state.deadline:
        return refuse("excuse_window_passed", deadline=in_words(state.deadline))
    excused = AbsenceExcused(by=str(context.actor), reason=command.reason, document=command.document)
    return Decision((excused,), notices=told_host(state, context, excused))


def request_leave(state: Trainee, command: RequestLeave, context: Context) -> Outcome:
    assert state.starts is not None and state.ends is not None, "somebody in training has a class with dates"
    if not state.starts <= command.first_day <= command.last_day <= state.ends:
        return refuse("leave_dates", field="/first_day", starts=state.starts, ends=state.ends)
    if command.first_day < calendar.local_date(context.now) and not command.document:
        return refuse("leave_document_missing", field="/document", first_day=command.first_day)
    requested = LeaveRequested(
        leave=len(state.leaves) + 1,
        by=str(context.actor),
        first_day=command.first_day,
        last_day=command.last_day,
        reason=command.reason,
        document=command.document,
    )
    return Decision((requested,), notices=(notice(context, state.host, requested.type, leave=requested.leave),))


def grant_leave(state: Trainee, command: GrantLeave, context: Context) -> Outcome:
    return _answered_leave(state, command.leave, LeaveGranted(leave=command.leave, by=str(context.actor)), context)


def refuse_leave(state: Trainee, command: RefuseLeave, context: Context) -> Outcome:
    refused = LeaveRefused(leave=command.leave, by=str(context.actor), reason=command.reason)
    return _answered_leave(state, command.leave, refused, context)


def _answered_leave(state: Trainee, leave: int, answer: Event, context: Context) -> Outcome:
    if leave > len(state.leaves) or state.leaves[leave - 1] != "requested":
        return refuse("leave_unknown", field="/leave", leave=leave)
    # The host decides and the county answers for its teacher: both see it (edge case 31).
    told = (state.school, state.county)
    return Decision((answer,), notices=tuple(notice(context, each, answer.type, leave=leave) for each in told))
