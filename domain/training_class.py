"""The rules of a class of a host: the host owns its time and place (通知 三), xunji keeps its dates.

`LIFECYCLE` says who may do what in which phase. Reminders go out 7, 3 and 1 days before the start. Once the host has
confirmed its check-in list, whoever had confirmed and did not come is absent; whoever never confirmed has only lost
the place (edge case 39), and a list that comes after the last day makes nobody absent by itself (edge case 40).
Outcomes that are missing are the host's matter first and the bureau's some days later.
"""

from collections.abc import Callable
from typing import Any

from domain import calendar
from domain import training_class_changes as changes
from domain import training_class_papers as papers
from domain.agenda import due, next_deadline
from domain.decision import Actor, Command, Decision, Event, Limit, Notice, Refusal, Step, steps_from
from domain.numbers import class_seat_key
from domain.refusals import in_words, refuse
from domain.training_class_context import Context, Facts, days_short, notice, past_soft_end, schedule
from domain.training_class_messages import (
    COMMANDS,
    EVENTS,
    AbsencesRecorded,
    Announce,
    Cancel,
    Capacity,
    CapacityChanged,
    ChangeCapacity,
    ChangeTold,
    CheckInConfirmed,
    ClassAnnounced,
    ClassCancelled,
    ClassClosed,
    ClassMerged,
    ClassMoved,
    ClassPlanned,
    ClassPostponed,
    ClassReminderSent,
    ClassReported,
    ClassSplit,
    ClassWentOnline,
    ConfirmCheckIn,
    DutiesRecorded,
    GoOnline,
    Merge,
    Mode,
    MovePlace,
    OutcomesEscalated,
    OutcomesOverdue,
    PassClassDeadline,
    Phase,
    PlanClass,
    Postpone,
    RecordAbsences,
    RecordChangeTold,
    RecordDuties,
    RegistrationOpened,
    Report,
    SetTimetable,
    Split,
    TimetableSet,
)
from domain.training_class_state import TrainingClass, case_of, evolve, fold

__all__ = [
    "COMMANDS",
    "EVENTS",
    "AbsencesRecorded",
    "Announce",
    "Cancel",
    "Capacity",
    "CapacityChanged",
    "ChangeCapacity",
    "ChangeTold",
    "CheckInConfirmed",
    "ClassAnnounced",
    "ClassCancelled",
    "ClassClosed",
    "ClassMerged",
    "ClassMoved",
    "ClassPlanned",
    "ClassPostponed",
    "ClassReminderSent",
    "ClassReported",
    "ClassSplit",
    "ClassWentOnline",
    "ConfirmCheckIn",
    "Context",
    "DutiesRecorded",
    "Facts",
    "GoOnline",
    "Merge",
    "Mode",
    "MovePlace",
    "OutcomesEscalated",
    "OutcomesOverdue",
    "PassClassDeadline",
    "Phase",
    "PlanClass",
    "Postpone",
    "RecordAbsences",
    "RecordChangeTold",
    "RecordDuties",
    "RegistrationOpened",
    "Report",
    "SetTimetable",
    "Split",
    "TimetableSet",
    "TrainingClass",
    "allowed_commands",
    "case_of",
    "decide",
    "evolve",
    "fold",
]

_BEFORE_CHECK_IN = ("planned", "announced", "registration-open")
_OPEN = (*_BEFORE_CHECK_IN, "running", "closed")
LIFECYCLE: dict[type[Command], Step] = {
    PlanClass: Step((), ("host",)),
    Announce: Step(("planned",), ("host",)),
    ConfirmCheckIn: Step(("registration-open", "closed"), ("host",)),
    RecordAbsences: Step(("running", "closed"), ("system",)),
    Report: Step(("closed",), ("host",)),
    Postpone: Step(_BEFORE_CHECK_IN, ("host",)),
    MovePlace: Step((*_BEFORE_CHECK_IN, "running"), ("host",)),
    GoOnline: Step((*_BEFORE_CHECK_IN, "running"), ("host",)),
    Merge: Step(_BEFORE_CHECK_IN, ("host",)),
    Split: Step(_BEFORE_CHECK_IN, ("host",)),
    Cancel: Step((*_BEFORE_CHECK_IN, "running"), ("host",)),
    ChangeCapacity: Step(_BEFORE_CHECK_IN, ("host",)),
    SetTimetable: Step((*_BEFORE_CHECK_IN, "running"), ("host",)),
    RecordDuties: Step((*_OPEN, "reported"), ("host",)),
    RecordChangeTold: Step((*_OPEN, "reported", "merged", "cancelled"), ("system",)),
    PassClassDeadline: Step(_OPEN, ("system",)),
}


def decide(state: TrainingClass | None, command: Command, context: Context) -> Decision | Refusal:
    """Decide `command` on the class as it stands."""
    step, actor = LIFECYCLE[type(command)], context.actor
    if actor.role not in step.roles or not _concerns(state, command, actor):
        return refuse("not_your_part", roles=" / ".join(step.roles))
    if isinstance(command, PlanClass):
        return _plan(command, context) if state is None else refuse("already_exists", number=context.number)
    if state is None:
        return refuse("unknown_number", number=context.number)
    if state.phase not in step.phases:
        allowed = ", ".join(allowed_commands(state)) or "—"
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed=allowed)
    return _DECIDERS[type(command)](state, command, context)


def _concerns(state: TrainingClass | None, command: Command, actor: Actor) -> bool:
    if actor.role == "system":
        return True
    host = command.host if isinstance(command, PlanClass) else state.host if state else actor.organisation
    return actor.organisation == host


def allowed_commands(state: TrainingClass) -> list[str]:
    """The names of the commands that the lifecycle allows somebody in this state."""
    return steps_from(LIFECYCLE, state.phase)


def _plan(command: PlanClass, context: Context) -> Decision | Refusal:
    plan = context.facts.plan
    project_type = plan.find_project_type(command.project_type)
    if project_type is None:
        known = ", ".join(each.id for each in plan.project_types)
        return refuse("unknown_project_type", field="/project_type", project_type=command.project_type, known=known)
    host = plan.find_host(command.host)
    if host is None:
        return refuse("host_unknown", field="/host", host=command.host)
    if project_type.level not in host.levels:
        return refuse("host_of_another_level", field="/host", host=command.host, level=project_type.level)
    wrong = changes.wrong_dates(plan, command.starts, command.ends)
    if wrong is not None:
        return wrong
    today = calendar.local_date(context.now)
    if command.ends < today:
        # One that has begun is caught up with; one that is over would take nobody.
        return refuse("class_over_already", field="/ends", ends=command.ends, today=today)
    dates = schedule(plan, command.starts, command.ends)
    planned = ClassPlanned(
        campaign=plan.id,
        host=command.host,
        project_type=command.project_type,
        starts=command.starts,
        ends=command.ends,
        place=command.place,
        mode=command.mode,
        capacity=command.capacity,
        # A reminder whose day has passed already would be stale from the beginning.
        reminders=tuple(at for at in dates.reminders if at > context.now),
        opens_at=dates.opens_at,
        closes_at=dates.closes_at,
        outcomes_due=dates.outcomes_due,
        escalates_at=dates.escalates_at,
    )
    claims = (Limit(class_seat_key(context.number), command.capacity),)
    short = days_short(evolve(None, planned), plan)
    told = (notice(context, plan.bureau, "class.days_short", **short),) if short else ()
    return Decision((planned,), claims=claims, notices=(*told, *past_soft_end(command.ends, context)))


def _announce(state: TrainingClass, command: Announce, context: Context) -> Decision:
    announced = ClassAnnounced(by=str(context.actor))
    data = {"starts": state.starts.isoformat(), "ends": state.ends.isoformat(), "place": state.place}
    told = (context.facts.plan.bureau, *context.facts.schools)
    return Decision((announced,), notices=tuple(notice(context, each, announced.type, **data) for each in told))


def _confirm_check_in(state: TrainingClass, command: ConfirmCheckIn, context: Context) -> Decision | Refusal:
    if state.check_in_confirmed_at is not None:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed=Report.name)
    late = state.phase == "closed"
    confirmed = CheckInConfirmed(by=str(context.actor), at=context.now, late=late)
    if not late:
        return Decision((confirmed,))
    # The list is too late to make anybody absent: each who is missing is looked into by the host, one by one.
    data = {"unregistered": context.facts.unregistered}
    told = (state.host, context.facts.plan.bureau)
    return Decision((confirmed,), notices=tuple(notice(context, each, "class.check_in_late", **data) for each in told))


def _record_absences(state: TrainingClass, command: RecordAbsences, context: Context) -> Decision | Refusal:
    if state.check_in_confirmed_at is None:
        return refuse("check_in_not_confirmed", training_class=context.number)
    if state.absences_recorded:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed="report")
    return Decision((AbsencesRecorded(),))


def _report(state: TrainingClass, command: Report, context: Context) -> Decision | Refusal:
    if context.facts.without_outcome:
        return refuse("outcomes_missing", count=context.facts.without_outcome)
    reported = ClassReported(by=str(context.actor))
    return Decision((reported,), notices=(notice(context, context.facts.plan.bureau, reported.type),))


def _pass_deadline(state: TrainingClass, command: PassClassDeadline, context: Context) -> Decision | Refusal:
    events: list[Event] = []
    notices: list[Notice] = []
    data = {"starts": state.starts.isoformat()}
    bureau = context.facts.plan.bureau
    for item, stale in due(state.agenda, state.done, context.now):
        event: Event
        told: tuple[str, ...] = (state.host,)
        match item.key:
            case "open":
                event = RegistrationOpened()
            case "close":
                event = ClassClosed()
            case "outcomes":
                event = OutcomesOverdue()
                told = (state.host,) if state.escalates else (state.host, bureau)
            case "escalation":
                event, told = OutcomesEscalated(), (bureau, state.host)
            case _:
                event = ClassReminderSent(key=item.key, stale=stale)
                told = () if stale else (state.host, *context.facts.schools)
        events.append(event)
        notices += [notice(context, each, event.type, **data) for each in told]
    if not events:
        deadline = next_deadline(state.agenda, state.done)
        return refuse("too_early", command=command.name, earliest=in_words(deadline) if deadline else "—")
    return Decision(tuple(events), notices=tuple(notices))


_DECIDERS: dict[type[Command], Callable[[TrainingClass, Any, Context], Decision | Refusal]] = {
    Announce: _announce,
    ConfirmCheckIn: _confirm_check_in,
    RecordAbsences: _record_absences,
    Report: _report,
    Postpone: changes.postpone,
    MovePlace: changes.move,
    GoOnline: changes.go_online,
    Merge: changes.merge,
    Split: changes.split,
    Cancel: changes.cancel,
    ChangeCapacity: changes.change_capacity,
    SetTimetable: papers.set_timetable,
    RecordDuties: papers.record_duties,
    RecordChangeTold: changes.record_change_told,
    PassClassDeadline: _pass_deadline,
}
