"""The facts of decisions on a class, and of a trainee's on his class: read only where the command needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import trainee_messages, trainee_outcome_messages, training_class
from domain.attendance import granted, tally
from domain.decision import Command
from domain.plan import Plan
from domain.trainee_class_messages import ChangeClass, FollowClass
from domain.trainee_context import Facts
from domain.trainee_correction_messages import Correct
from domain.trainee_state import Trainee
from domain.training_class_state import TrainingClass

if TYPE_CHECKING:
    # The reader is declared beside the processes, which use these functions.
    from activities.processes import FactReader

_PUT_OFF = training_class.Postpone | training_class.Merge | training_class.Split


async def class_facts(
    read: FactReader, campaign: str, number: str, state: TrainingClass | None, command: Command
) -> training_class.Facts:
    """What a decision on the class rests on."""
    plan = await read.plan(campaign)
    match command:
        case training_class.Report():
            return training_class.Facts(plan, without_outcome=await read.without_outcome(campaign, number))
        case training_class.Announce() | training_class.PassClassDeadline():
            return training_class.Facts(plan, schools=await read.class_schools(campaign, number))
        case training_class.ConfirmCheckIn():
            return training_class.Facts(plan, unregistered=await read.class_count(campaign, number, "confirmed"))
        case training_class.RecordChangeTold() if state is not None:
            split_only = set(state.changes[state.told : command.revision]) == {"split"}
            moved = [each for split in state.splits if split.revision > state.told for each in split.trainees]
            left = await read.left_behind(campaign, number, command.revision, moved if split_only else None)
            return training_class.Facts(plan, left=left)
        case training_class.Postpone() | training_class.Merge() | training_class.Split():
            return await _facts_of_a_change(read, plan, number, command)
    return training_class.Facts(plan)


async def _facts_of_a_change(read: FactReader, plan: Plan, number: str, command: _PUT_OFF) -> training_class.Facts:
    registered = await read.class_count(plan.id, number, "in-training")
    if isinstance(command, training_class.Postpone):
        return training_class.Facts(plan, registered=registered)
    is_split = isinstance(command, training_class.Split)
    return training_class.Facts(
        plan,
        registered=registered,
        members=await read.class_members(plan.id, number) if is_split else frozenset(),
        other=await read.training_class(plan.id, command.into),
        taken=await read.places_taken(number),
        other_taken=await read.places_taken(command.into),
    )


async def trainee_class_facts(
    read: FactReader, plan: Plan, number: str, state: Trainee | None, command: Command
) -> Facts | None:
    """What a trainee's decision on his class rests on; None for commands that do not concern it."""
    match command:
        case trainee_messages.Enroll() | ChangeClass():
            target = await read.training_class(plan.id, command.training_class)
            if state is None:
                return Facts(plan, training_class=target)
            known, _ = await read.history(plan.id, number, state.person)
            return Facts(plan, training_class=target, history=known)
        case FollowClass() if state is not None and state.training_class:
            return await _facts_of_following(read, plan, number, state)
        case trainee_outcome_messages.Complete() | Correct(becomes="completed") if (
            state is not None and plan.training_rules.attendance_percent is not None
        ):
            return await _facts_of_completing(read, plan, number, state)
    return None


async def _facts_of_following(read: FactReader, plan: Plan, number: str, state: Trainee) -> Facts:
    current = await read.training_class(plan.id, state.training_class)
    into = current.destination_of(number) if current is not None else ""
    destination = await read.training_class(plan.id, into) if into else None
    overlaps = await _overlaps(read, number, state, destination or current)
    return Facts(plan, training_class=current, destination=destination, overlaps=overlaps)


async def _facts_of_completing(read: FactReader, plan: Plan, number: str, state: Trainee) -> Facts:
    current = await read.training_class(plan.id, state.training_class)
    if current is None:
        return Facts(plan)
    marked = await read.attendance(plan.id, state.training_class, number)
    # Whoever completes has the whole class behind him, so that every session counts as held.
    total = tally(current.timetable, marked, granted(state.leaves, state.leave_days), today=current.ends)
    return Facts(plan, training_class=current, attendance=total)


async def _overlaps(
    read: FactReader, number: str, state: Trainee | None, target: TrainingClass | None
) -> tuple[str, ...]:
    if state is None or target is None:
        return ()
    return await read.overlaps(state.person, number, target.starts, target.ends)
