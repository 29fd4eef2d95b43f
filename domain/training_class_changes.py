"""A change of a class's plan: postponed, moved, online, merged, split, cancelled, and more or fewer places.

Each change gives the class a new revision, and its trainees are owed a visit (`training_class_state.owed`): every one
of them follows the class by a decision of his own (`trainee_changes.follow_class`), which moves his place, asks him
again where the dates are other ones, and tells his school, his county and himself (edge case 21).
"""

from datetime import date
from typing import Any

from domain import calendar
from domain.decision import Decision, Limit, Notice, Refusal
from domain.numbers import class_seat_key
from domain.plan import Plan
from domain.refusals import refuse
from domain.training_class_context import Context, Outcome, days_short, notice, past_soft_end, schedule
from domain.training_class_messages import (
    Cancel,
    CapacityChanged,
    ChangeCapacity,
    ChangeTold,
    ClassCancelled,
    ClassMerged,
    ClassMoved,
    ClassPostponed,
    ClassSplit,
    ClassWentOnline,
    GoOnline,
    Merge,
    MovePlace,
    Postpone,
    RecordChangeTold,
    Split,
)
from domain.training_class_state import TrainingClass, evolve

MAX_NAMED = 5
"""Numbers that a refusal names."""


def wrong_dates(plan: Plan, starts: date, ends: date) -> Refusal | None:
    """Whether a class could be held on these dates. Over New Year the campaign's own dates count (edge case 24)."""
    if starts > ends:
        return refuse("dates_out_of_order", field="/ends")
    if not plan.dates.opens <= starts <= ends <= plan.dates.closes:
        return refuse("dates_outside_campaign", field="/starts", opens=plan.dates.opens, closes=plan.dates.closes)
    return None


def _begun(context: Context) -> Refusal | None:
    """Once somebody has arrived the class is held, here or elsewhere, or cancelled; it is not put off any more."""
    registered = context.facts.registered
    return refuse("class_begun", registered=registered) if registered else None


def postpone(state: TrainingClass, command: Postpone, context: Context) -> Outcome:
    plan = context.facts.plan
    begun = _begun(context)
    if begun is not None:
        return begun
    wrong = wrong_dates(plan, command.starts, command.ends)
    if wrong is not None:
        return wrong
    if (command.starts, command.ends) == (state.starts, state.ends):
        return refuse("nothing_changes", field="/starts")
    today = calendar.local_date(context.now)
    if command.starts <= today:
        return refuse("dates_in_past", field="/starts", today=today)
    dates = schedule(plan, command.starts, command.ends)
    postponed = ClassPostponed(
        by=str(context.actor),
        reason=command.reason,
        starts=command.starts,
        ends=command.ends,
        # A reminder whose day has passed already would be stale from the beginning.
        reminders=tuple(at for at in dates.reminders if at > context.now),
        opens_at=dates.opens_at,
        closes_at=dates.closes_at,
        outcomes_due=dates.outcomes_due,
        escalates_at=dates.escalates_at,
    )
    data = {"starts": command.starts.isoformat(), "ends": command.ends.isoformat(), "reason": command.reason}
    told = notice(context, plan.bureau, postponed.type, **data, **days_short(evolve(state, postponed), plan))
    return Decision((postponed,), notices=(told, *past_soft_end(command.ends, context)))


def move(state: TrainingClass, command: MovePlace, context: Context) -> Outcome:
    if command.place == state.place:
        return refuse("nothing_changes", field="/place")
    moved = ClassMoved(by=str(context.actor), reason=command.reason, place=command.place)
    told = notice(context, context.facts.plan.bureau, moved.type, place=command.place, reason=command.reason)
    return Decision((moved,), notices=(told,))


def go_online(state: TrainingClass, command: GoOnline, context: Context) -> Outcome:
    days = command.centralised_days
    if days > state.days:
        return refuse("days_exceed_class", field="/centralised_days", days=days, held=state.days)
    if (command.mode, days) == (state.mode, state.centralised_days_held):
        return refuse("nothing_changes", field="/mode")
    plan = context.facts.plan
    went = ClassWentOnline(by=str(context.actor), reason=command.reason, mode=command.mode, centralised_days=days)
    data: dict[str, Any] = {"mode": command.mode, "centralised_days": days, "reason": command.reason}
    # What is missing is the host's shortfall and nobody's failure: the bureau hears of it at once.
    data |= days_short(evolve(state, went), plan)
    return Decision((went,), notices=(notice(context, plan.bureau, went.type, **data),))


def merge(state: TrainingClass, command: Merge, context: Context) -> Outcome:
    unfit = _begun(context) or _unfit_target(state, command.into, context)
    if unfit is not None:
        return unfit
    too_small = _too_small(command.into, context.facts.taken, context)
    if too_small is not None:
        return too_small
    merged = ClassMerged(by=str(context.actor), reason=command.reason, into=command.into)
    return Decision((merged,), notices=(_told_bureau(context, merged.type, into=command.into, reason=command.reason),))


def split(state: TrainingClass, command: Split, context: Context) -> Outcome:
    unfit = _begun(context) or _unfit_target(state, command.into, context)
    if unfit is not None:
        return unfit
    trainees = tuple(dict.fromkeys(command.trainees))
    strangers = [each for each in trainees if each not in context.facts.members]
    if strangers:
        named = ", ".join(strangers[:MAX_NAMED])
        return refuse("trainees_not_in_class", field="/trainees", training_class=context.number, trainees=named)
    too_small = _too_small(command.into, len(trainees), context)
    if too_small is not None:
        return too_small
    parted = ClassSplit(by=str(context.actor), reason=command.reason, into=command.into, trainees=trainees)
    told = _told_bureau(context, parted.type, into=command.into, reason=command.reason, trainees=len(trainees))
    return Decision((parted,), notices=(told,))


def cancel(state: TrainingClass, command: Cancel, context: Context) -> Outcome:
    cancelled = ClassCancelled(by=str(context.actor), reason=command.reason)
    return Decision((cancelled,), notices=(_told_bureau(context, cancelled.type, reason=command.reason),))


def record_change_told(state: TrainingClass, command: RecordChangeTold, context: Context) -> Outcome:
    """Everybody was reached; who could not follow is named to the host by number of heads, never passed over."""
    if not state.told < command.revision <= state.revision:
        return refuse("nothing_changes", field="/revision")
    left = context.facts.left
    told = ChangeTold(revision=command.revision, left=left)
    recipients = (state.host, context.facts.plan.bureau) if left else ()
    return Decision((told,), notices=tuple(notice(context, each, told.type, left=left) for each in recipients))


def change_capacity(state: TrainingClass, command: ChangeCapacity, context: Context) -> Outcome:
    if command.capacity == state.capacity:
        return refuse("nothing_changes", field="/capacity")
    changed = CapacityChanged(by=str(context.actor), capacity=command.capacity)
    return Decision((changed,), claims=(Limit(class_seat_key(context.number), command.capacity),))


def _unfit_target(state: TrainingClass, into: str, context: Context) -> Refusal | None:
    other = context.facts.other
    if other is None or into == context.number:
        return refuse("class_unknown", field="/into", training_class=into)
    if other.host != state.host:
        return refuse("class_of_another_host", field="/into", training_class=into)
    if other.project_type != state.project_type:
        return refuse("class_of_another_project", field="/into", training_class=into, project_type=other.project_type)
    if not other.takes_trainees:
        return refuse("class_closed", field="/into", training_class=into)
    return None


def _too_small(into: str, needed: int, context: Context) -> Refusal | None:
    other, taken = context.facts.other, context.facts.other_taken
    assert other is not None, "the target was looked at before"
    left = max(0, other.capacity - taken)
    if needed <= left:
        return None
    return refuse("class_too_small", field="/into", training_class=into, left=left, needed=needed)


def _told_bureau(context: Context, type_: str, **data: Any) -> Notice:
    return notice(context, context.facts.plan.bureau, type_, **data)
