"""What the parts of the trainee's rules share: the context of a decision, and what a case gives back when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from domain import decision
from domain.attendance import Tally
from domain.decision import (
    ClaimRequest,
    Count,
    Decision,
    Event,
    Notice,
    Refusal,
    Release,
    Start,
)
from domain.history import History
from domain.numbers import active_key, class_seat_key, quota_line, quota_number, seat_key
from domain.plan import Plan, SelectionLevel
from domain.restriction_state import Restriction
from domain.seat_rules import offers_end
from domain.trainee_state import Trainee
from domain.training_class_state import TrainingClass

Outcome = Decision | Refusal


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision needs beyond its own stream, read just before it.

    `person_version` is the length of the person's stream; `training_class` the class that the command or the
    case names, as its stream stands, and `destination` the one that it sends the trainee on to. `overlaps` are the
    person's other nominations on the same days, `attendance` what the marks of all days add up to. `history` is what
    the views knew of the person, and `records` are the other ids under which he was kept before they were joined (edge
    case 74). `given` are the sealed fields of a nomination that is held for review. `days_version` is the length of
    the stream of the person's training days in the cycle that the case counts in. `restriction` is the one that the
    case has proposed, or whose waiver is cited; `barred_otherwise` is until when another one bars the person.
    `reopened_until` is set where the selection was reopened for the case's county; `removed_hosts` has the hosts that
    the campaign has removed, each with the one that takes over.
    """

    plan: Plan
    person_version: int = 0
    training_class: TrainingClass | None = None
    destination: TrainingClass | None = None
    overlaps: tuple[str, ...] = ()
    attendance: Tally | None = None
    history: History | None = None
    records: tuple[UUID, ...] = ()
    given: str = ""
    days_version: int = 0
    restriction: Restriction | None = None
    restriction_version: int = 0
    barred_otherwise: date | None = None
    reopened_until: datetime | None = None
    removed_hosts: Mapping[str, str] = field(default_factory=dict)


Context = decision.Context[Facts]


def late_until(context: Context, level: SelectionLevel) -> datetime:
    """The level's cut-off, or the end of a reopening for this county if that is later (edge cases 43, 44)."""
    deadline = context.facts.plan.selection_deadline(level)
    reopened = context.facts.reopened_until
    return deadline if reopened is None else max(deadline, reopened)


def in_time_until(state: Trainee, context: Context, level: SelectionLevel) -> datetime:
    """Until when the level may still decide: a date of the case's own, or the level's cut-off.

    What the city has sent back has until the city's cut-off: the first submission's time counts (edge case 45).
    """
    cut_off = late_until(context, level)
    if state.deadline is None:
        return cut_off
    return state.deadline if state.timer else max(state.deadline, cut_off)


def line_of(state: Trainee) -> str:
    """The quota line that the case's seat is taken from."""
    return state.seat_line or quota_line(state.project_type, state.county)


def seat_of(state: Trainee) -> str:
    return seat_key(state.campaign, line_of(state))


def refilled(state: Trainee, context: Context, *, always: bool = False) -> tuple[Start, ...]:
    """The line's process, which offers a seat that has just become free to whoever waits first (edge case 7)."""
    seat_freed = state.seat_held and context.now < offers_end(context.facts.plan, state.project_type)
    if not (always or seat_freed):
        return ()
    return (Start("quota", quota_number(state.campaign, line_of(state)), state.campaign),)


def freed_seat(state: Trainee) -> tuple[ClaimRequest, ...]:
    return (Count(seat_of(state), -1),) if state.seat_held else ()


def freed(state: Trainee, context: Context) -> tuple[ClaimRequest, ...]:
    """Everything a case gives back when it ends before 报到: its seat, its place in a class, its uniqueness."""
    place: tuple[ClaimRequest, ...] = ()
    if state.training_class:
        place = (Count(class_seat_key(state.training_class), -1),)
    return (
        *freed_seat(state),
        *place,
        Release(active_key(state.person, state.campaign, state.project_type), context.number),
    )


def notice(context: Context, recipient: str, type_: str, **data: Any) -> Notice:
    return Notice(recipient, type_, {"trainee": context.number, **data})


def told_host(state: Trainee, context: Context, event: Event) -> tuple[Notice, ...]:
    return (notice(context, state.host, event.type),) if state.host else ()
