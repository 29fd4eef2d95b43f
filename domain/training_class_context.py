"""What the parts of the class's rules share: the context of a decision, its dates, and whom it tells."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from domain import calendar, decision
from domain.decision import Decision, Notice, Refusal
from domain.plan import Plan
from domain.training_class_state import TrainingClass

Outcome = Decision | Refusal


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision needs beyond the class's own stream.

    `without_outcome`: trainees of whom it is not known what became of them. `unregistered`: those who confirmed and
    were not registered, `registered`: those who have arrived. `left`: those who have not followed a change.
    `schools`: the schools with trainees in the class, `members`: the trainees placed in it. `other`: the class that
    the command names; `taken` and `other_taken` are the places in use in both.
    """

    plan: Plan
    without_outcome: int = 0
    unregistered: int = 0
    registered: int = 0
    left: int = 0
    schools: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()
    other: TrainingClass | None = None
    taken: int = 0
    other_taken: int = 0


Context = decision.Context[Facts]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The dates that the process of a class keeps."""

    reminders: tuple[datetime, ...]
    opens_at: datetime
    closes_at: datetime
    outcomes_due: datetime
    escalates_at: datetime


def schedule(plan: Plan, starts: date, ends: date) -> Schedule:
    """The dates of a class from its first to its last day, by the plan's rules."""
    rules = plan.rules
    opens_at = calendar.start_of_day(starts)
    due_on = ends + timedelta(days=rules.outcome_due_days_after_class_end)
    return Schedule(
        reminders=tuple(opens_at - timedelta(days=days) for days in rules.class_reminders_days_before),
        opens_at=opens_at,
        closes_at=calendar.end_of_day(ends),
        outcomes_due=calendar.end_of_day(due_on),
        escalates_at=calendar.end_of_day(due_on + timedelta(days=plan.training_rules.escalation_days)),
    )


def past_soft_end(ends: date, context: Context) -> tuple[Notice, ...]:
    """Ending after the date set in principle is allowed, and the bureau is told (N11)."""
    plan = context.facts.plan
    if ends <= plan.dates.soft_end:
        return ()
    data = {"ends": ends.isoformat(), "soft_end": plan.dates.soft_end.isoformat()}
    return (notice(context, plan.bureau, "class.past_soft_end", **data),)


def days_short(state: TrainingClass, plan: Plan) -> dict[str, int]:
    """How many of the required centralised days the class does not hold, for a notice; empty when it holds enough."""
    required = plan.project_type(state.project_type).centralised_days_required
    short = required - state.centralised_days_held
    return {"days_short": short} if short > 0 and not plan.training_rules.online_days_count_as_centralised else {}


def notice(context: Context, recipient: str, type_: str, **data: Any) -> Notice:
    return Notice(recipient, type_, {"training_class": context.number, **data})
