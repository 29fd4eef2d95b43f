"""How a training ends and what follows: given its events, when a command, then events or a refusal."""

import pytest
from pydantic import ValidationError

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import (
    ABSENT,
    CONFIRMED,
    ENROLLED,
    FOLLOWING_UP,
    IN_TRAINING,
    NOMINATED,
    SELECTED,
    SUBMITTED,
)
from domain.decision import SYSTEM, Take
from domain.trainee_messages import (
    PassDeadline,
)
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
from domain.trainee_state import fold
from tests.domain.nominations import HOST, SCHOOL, assert_restriction_proposed, facts, nomination


def test_dismissal_proposes_a_restriction_in_the_same_append() -> None:
    command = Dismiss(reason="misconduct", evidence="record 3")
    decision = nomination().given(*IN_TRAINING).when(command, HOST, on(10, 12), facts()).then(TraineeDismissed)
    assert_restriction_proposed(decision, "dismissed")


def test_non_completion_proposes_a_restriction_in_the_same_append() -> None:
    given = nomination().given(*IN_TRAINING)
    command = Fail(reasons=("attendance",))
    given.when(command, HOST, on(10, 12), facts()).refused("too_early")
    assert_restriction_proposed(
        given.when(command, HOST, on(10, 16), facts()).then(TrainingNotCompleted), "not-completed"
    )


def test_completion_needs_the_centralised_days_of_the_project_type() -> None:
    given = nomination().given(*IN_TRAINING)
    given.when(Complete(centralised_days=6, hours=50), HOST, on(10, 16), facts()).refused("centralised_days_short")
    decision = given.when(Complete(centralised_days=7, hours=50), HOST, on(10, 16), facts()).then(
        TrainingCompleted, FollowUpAssigned
    )
    assert decision.claims == (Take(f"certificate:{NUMBER}-c1", NUMBER),)


def test_nobody_is_credited_more_days_than_the_class_has() -> None:
    given = nomination().given(*IN_TRAINING)
    given.when(Complete(centralised_days=8, hours=64), HOST, on(10, 16), facts()).refused("days_exceed_class")
    given.when(Complete(centralised_days=7, hours=64), HOST, on(10, 16), facts()).then(
        TrainingCompleted, FollowUpAssigned
    )


@pytest.mark.parametrize(
    "impossible",
    [
        {"centralised_days": -1, "hours": 50},
        {"centralised_days": 7, "hours": -1},
        {"centralised_days": 7, "online_days": -2, "hours": 50},
        {"centralised_days": 367, "hours": 50},
        {"centralised_days": 7, "hours": 2_001},
        {"centralised_days": 6.5, "hours": 50},
    ],
)
def test_impossible_days_and_hours_are_no_command(impossible: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Complete.model_validate(impossible)


def test_an_absent_trainee_can_not_complete() -> None:
    given = nomination().given(*SELECTED, ENROLLED, CONFIRMED, ABSENT)
    given.when(Complete(centralised_days=7, hours=50), HOST, on(10, 16), facts()).refused("not_allowed_in_phase")


def test_a_project_type_without_follow_up_ends_with_completion() -> None:
    given = nomination().given(NOMINATED.model_copy(update={"project_type": "sp4"}), *IN_TRAINING[1:])
    decision = given.when(Complete(centralised_days=1, hours=8), HOST, on(10, 16), facts()).then(TrainingCompleted)
    state = fold((*given.events, *decision.events))
    assert state is not None and state.closed and state.phase == "completed"


def test_a_follow_up_is_submitted_reviewed_and_closed() -> None:
    given = nomination().given(*FOLLOWING_UP)
    given.when(ReviewFollowUp(accepted=True), HOST, on(11, 1), facts()).refused("follow_up_not_submitted")
    given.when(SubmitFollowUp(evidence="lesson 7"), SCHOOL, on(11, 1), facts()).then(FollowUpSubmitted)
    reviewed = given.given(SUBMITTED).when(ReviewFollowUp(accepted=True), HOST, on(11, 2), facts())
    state = fold((*FOLLOWING_UP, SUBMITTED, *reviewed.then(FollowUpReviewed).events))
    assert state is not None and state.phase == "closed"


def test_a_refused_follow_up_is_due_again() -> None:
    given = nomination().given(*FOLLOWING_UP, SUBMITTED)
    decision = given.when(ReviewFollowUp(accepted=False), HOST, on(11, 2), facts()).then(FollowUpReviewed)
    state = fold((*given.events, *decision.events))
    assert state is not None and state.deadline == on(11, 9, 16) and state.timer


def test_a_late_follow_up_gets_a_last_date_and_then_lapses() -> None:
    given = nomination().given(*FOLLOWING_UP)
    overdue = given.when(PassDeadline(), SYSTEM, on(11, 15, 16), facts()).then(FollowUpOverdue).events[0]
    late = given.given(overdue)
    late.when(SubmitFollowUp(evidence="late"), SCHOOL, on(11, 17), facts()).then(FollowUpSubmitted)
    late.when(PassDeadline(), SYSTEM, on(11, 16), facts()).refused("too_early")
    late.when(PassDeadline(), SYSTEM, on(11, 30), facts()).then(FollowUpLapsed)


def test_a_timer_that_fires_after_the_task_came_in_changes_nothing() -> None:
    given = nomination().given(*FOLLOWING_UP, SUBMITTED)
    given.when(PassDeadline(), SYSTEM, on(11, 15, 16), facts()).refused("too_early")
