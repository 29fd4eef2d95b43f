"""Who goes first when a county has more candidates than seats: the plan's declared order, step by step (通知 四(二)).

There is no weight and no sum: an earlier step decides, and only among equals the next one; the time of the first
submission comes last. So the reason why one stands before another is a single step, and can be said.
"""

from datetime import datetime

from domain import calendar
from domain.decision import Message
from domain.history import History
from domain.plan import Plan
from domain.plan_eligibility import Priority


class Standing(Message):
    """One step of the order for one candidate. `place` is what is compared: the smaller goes first."""

    criterion: str
    name_zh: str
    name_en: str
    place: int
    source: str
    paragraph_zh: str


def places(
    plan: Plan, history: History, now: datetime, *, county: str, rural: bool, years_of_service: int
) -> tuple[int, ...]:
    """The candidate's place at each step of the plan's order."""
    today = calendar.local_date(now)
    short = history.days_in_cycle(plan, today) < plan.rules.centralised_days_per_cycle
    place_by_criterion = {
        "rural": int(not rural),
        "short-of-days": int(not short),
        "first-training": int(bool(history.completed_in_cycle(plan, today))),
        "project-county": int(not plan.is_project_county(county, today)),
        "longest-service": -years_of_service,
    }
    return tuple(place_by_criterion[step.criterion] for step in plan.eligibility.priority)


def standings(plan: Plan, recorded: tuple[int, ...]) -> tuple[Standing, ...]:
    """The recorded places in words. A nomination from before there was an order has none."""
    steps: tuple[Priority, ...] = plan.eligibility.priority
    if len(steps) != len(recorded):
        return ()
    return tuple(
        Standing(
            criterion=step.criterion,
            name_zh=step.name_zh,
            name_en=step.name_en,
            place=place,
            source=step.source,
            paragraph_zh=step.paragraph_zh,
        )
        for step, place in zip(steps, recorded, strict=True)
    )
