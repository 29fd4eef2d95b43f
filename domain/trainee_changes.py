"""A trainee follows his class: other dates, another place, online, merged, split, cancelled; or the host moves him.

His place in a class goes with him, so it is counted once (edge case 22). Whoever is asked to come on other days has
not confirmed those: he is asked again, and until he says yes he may withdraw without consequences (edge case 21).
"""

from datetime import date, datetime, timedelta

from domain import calendar
from domain.decision import ClaimRequest, Count, Decision, Notice, Refusal
from domain.eligibility import overlapping
from domain.history import History
from domain.numbers import class_seat_key
from domain.refusals import refuse
from domain.trainee_class_messages import ChangeClass, ClassChanged, FollowClass, PlaceLost
from domain.trainee_context import Context, Outcome, notice
from domain.trainee_state import Trainee
from domain.training_class_state import TrainingClass


def follow_class(state: Trainee, command: FollowClass, context: Context) -> Outcome:
    training_class = context.facts.training_class
    if training_class is None:
        return refuse("class_unknown", training_class=state.training_class)
    if training_class.phase == "cancelled":
        return _lost(state, context)
    into = training_class.destination_of(context.number)
    if into:
        target = context.facts.destination
        if target is None or not target.takes_trainees:
            return refuse("class_closed", training_class=into)
        changes: tuple[str, ...] = ("merged",) if training_class.merged_into else ("split",)
        return _changed(state, into, target, changes, context)
    # Who stays behind at a split has nothing to follow.
    changes = tuple(each for each in training_class.changes[state.class_revision :] if each != "split")
    if not changes:
        return refuse("nothing_changes")
    return _changed(state, state.training_class, training_class, tuple(dict.fromkeys(changes)), context)


def change_class(state: Trainee, command: ChangeClass, context: Context) -> Outcome:
    name, target = command.training_class, context.facts.training_class
    unfit = unfit_class(state, name, target)
    if unfit is not None:
        return unfit
    assert target is not None, "an unknown class is unfit"
    if name == state.training_class:
        return refuse("nothing_changes", field="/training_class")
    elsewhere = elsewhere_then(target, context)
    if elsewhere is not None:
        return elsewhere
    return _changed(state, name, target, (), context)


def unfit_class(state: Trainee, name: str, training_class: TrainingClass | None) -> Refusal | None:
    """Why the trainee cannot be placed in the class; None when he can."""
    if training_class is None:
        return refuse("class_unknown", field="/training_class", training_class=name)
    if training_class.host != state.host:
        return refuse("class_of_another_host", field="/training_class", training_class=name)
    if training_class.project_type != state.project_type:
        return refuse(
            "class_of_another_project",
            field="/training_class",
            training_class=name,
            project_type=training_class.project_type,
        )
    if not training_class.takes_trainees:
        return refuse("class_closed", field="/training_class", training_class=name)
    return None


def days_short_of(training_class: TrainingClass, context: Context) -> int | None:
    """The centralised days that the class holds, where those are fewer than the project requires: the host's affair."""
    held = training_class.centralised_days_held
    required = context.facts.plan.project_type(training_class.project_type).centralised_days_required
    return held if held < required else None


def elsewhere_then(training_class: TrainingClass, context: Context) -> Refusal | None:
    """Why he cannot be in the class: another of his trainings has days of it (edge case 23); None when he can.

    By the same rule as at the nomination. A host learns the days, and not whose nomination the other one is.
    """
    others = overlapping(context.facts.history or History(), training_class.starts, training_class.ends)
    if not others:
        return None
    return refuse("dates_overlap", field="/training_class", starts=others[0].starts, ends=others[0].ends)


def _changed(
    state: Trainee, name: str, training_class: TrainingClass, changes: tuple[str, ...], context: Context
) -> Decision:
    other_dates = (training_class.starts, training_class.ends) != (state.starts, state.ends)
    changed = ClassChanged(
        training_class=name,
        by=str(context.actor),
        revision=training_class.revision,
        changes=changes,
        starts=training_class.starts,
        ends=training_class.ends,
        centralised_days=training_class.centralised_days_held,
        confirm_by=confirm_by(training_class.starts, context) if other_dates else None,
        overlaps=context.facts.overlaps,
    )
    claims: tuple[ClaimRequest, ...] = ()
    if name != state.training_class:
        claims = (Count(class_seat_key(state.training_class), -1), Count(class_seat_key(name), +1))
    return Decision((changed,), claims=claims, notices=_told(state, changed, training_class.place, context))


def confirm_by(starts: date, context: Context) -> datetime:
    """So many days before the class as the plan says, or, where that day has passed, until it starts."""
    usual = calendar.start_of_day(starts) - timedelta(days=context.facts.plan.rules.confirm_days_before_start)
    if usual > context.now:
        return usual
    return max(calendar.start_of_day(starts), calendar.end_of_day(calendar.local_date(context.now)))


def _told(state: Trainee, changed: ClassChanged, place: str, context: Context) -> tuple[Notice, ...]:
    """The school and the teacher himself, the county; and of an overlap those who can do something about it."""
    data = {
        "training_class": changed.training_class,
        "changes": list(changed.changes),
        "place": place,
        "starts": changed.starts.isoformat(),
        "ends": changed.ends.isoformat(),
    }
    if changed.confirm_by is not None:
        data["confirm_by"] = changed.confirm_by.isoformat()
    own = notice(context, state.school, changed.type, **data)
    told = (
        Notice(own.recipient, own.type, own.data, person=state.person),
        notice(context, state.county, changed.type, **data),
    )
    if not changed.overlaps:
        return told
    overlap = {"training_class": changed.training_class, "overlaps": list(changed.overlaps)}
    concerned = (state.school, state.county, context.facts.plan.bureau)
    return (*told, *(notice(context, each, "trainee.dates_overlap", **overlap) for each in concerned))


def _lost(state: Trainee, context: Context) -> Decision:
    lost = PlaceLost(training_class=state.training_class)
    own = notice(context, state.school, lost.type, training_class=state.training_class)
    told = (
        Notice(own.recipient, own.type, own.data, person=state.person),
        notice(context, state.county, lost.type, training_class=state.training_class),
    )
    return Decision((lost,), claims=(Count(class_seat_key(state.training_class), -1),), notices=told)
