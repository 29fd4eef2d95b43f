"""The rules of one nomination: who may do what in which phase, and what follows from it.

`LIFECYCLE` is the table of the regulation (domain.md §2): for each command the phases in which it is allowed and the
roles whose step it is. The modules `trainee_selection`, `trainee_training`, `trainee_outcome`, `trainee_correction` and
`trainee_waiver` hold one function for each line of that table, `trainee_waiting` and `trainee_substitution` those for
seats.
"""

from collections.abc import Callable, Mapping
from typing import Any

from domain import trainee_changes as changes
from domain import trainee_correction as correction
from domain import trainee_outcome as outcome
from domain import trainee_review as review
from domain import trainee_selection as selection
from domain import trainee_substitution as substitution
from domain import trainee_training as training
from domain import trainee_waiting as waiting
from domain import trainee_waiver as waiver
from domain.decision import Actor, Command, Refusal, Role, Step, steps_from
from domain.refusals import refuse
from domain.trainee_class_messages import ChangeClass, FollowClass
from domain.trainee_context import Context, Outcome
from domain.trainee_correction_messages import Correct, RecordLateAnswer, ReissueCertificate, Resume
from domain.trainee_messages import (
    Approve,
    Confirm,
    Decline,
    Enroll,
    Excuse,
    GrantLeave,
    Lapse,
    Nominate,
    PassDeadline,
    RecordNoShow,
    RefuseLeave,
    Register,
    Reject,
    RequestLeave,
    Resubmit,
    Return,
    Withdraw,
)
from domain.trainee_outcome_messages import (
    Complete,
    Dismiss,
    Fail,
    ReviewFollowUp,
    SubmitFollowUp,
)
from domain.trainee_review_messages import ChangeSchool, ReviewIdentity
from domain.trainee_seat_messages import (
    AcceptSeat,
    DeclineSeat,
    OfferSeat,
    ReassignHost,
    ReportImpersonation,
    Substitute,
    Waitlist,
)
from domain.trainee_state import BEFORE_REGISTRATION, OPEN, PHASES, Trainee

_NOMINATORS: tuple[Role, ...] = ("school", "county")
LIFECYCLE: dict[type[Command], Step] = {
    Nominate: Step((), _NOMINATORS),
    Approve: Step(("nominated", "county-approved"), ("county", "bureau")),
    Return: Step(("nominated", "county-approved"), ("county", "bureau")),
    Resubmit: Step(("nominated",), _NOMINATORS),
    Reject: Step(("nominated", "county-approved", "selected"), ("county", "bureau")),
    Waitlist: Step(("nominated",), ("county",)),
    OfferSeat: Step(("waitlisted",), ("system",)),
    AcceptSeat: Step(("offered",), _NOMINATORS),
    DeclineSeat: Step(("offered",), _NOMINATORS),
    Substitute: Step(("selected", "enrolled", "confirmed"), ("county",)),
    ReassignHost: Step(("selected",), ("system",)),
    Lapse: Step(("nominated", "waitlisted", "county-approved", "enrolled"), ("system",)),
    Withdraw: Step(BEFORE_REGISTRATION, (*_NOMINATORS, "bureau")),
    Enroll: Step(("selected",), ("host",)),
    ChangeClass: Step(("enrolled", "confirmed"), ("host",)),
    FollowClass: Step(("enrolled", "confirmed", "in-training"), ("system",)),
    Confirm: Step(("enrolled",), _NOMINATORS),
    Decline: Step(("enrolled",), _NOMINATORS),
    Register: Step(("enrolled", "confirmed"), ("host",)),
    ReportImpersonation: Step(("enrolled", "confirmed"), ("host",)),
    RecordNoShow: Step(("confirmed",), ("host", "system")),
    Excuse: Step(("absent",), ("county", "bureau")),
    RequestLeave: Step(("in-training",), (*_NOMINATORS, "host")),
    GrantLeave: Step(("in-training",), ("host",)),
    RefuseLeave: Step(("in-training",), ("host",)),
    Dismiss: Step(("in-training",), ("host",)),
    Complete: Step(("in-training",), ("host",)),
    Fail: Step(("in-training",), ("host",)),
    SubmitFollowUp: Step(("following-up",), (*_NOMINATORS, "host")),
    ReviewFollowUp: Step(("following-up",), ("host",)),
    PassDeadline: Step(("nominated", "offered", "county-approved", "absent", "following-up"), ("system",)),
    ReviewIdentity: Step(("nominated", "county-approved"), ("bureau",)),
    ChangeSchool: Step(OPEN, ("county", "bureau")),
    Resume: Step(BEFORE_REGISTRATION, ("bureau",)),
    Correct: Step(tuple(correction.CORRECTIONS), ("bureau",)),
    ReissueCertificate: Step(("completed", "following-up", "closed"), ("bureau", "host")),
    RecordLateAnswer: Step(PHASES, ("bureau", "county", "host", "school")),
}
AFTER_CLOSING: frozenset[type[Command]] = frozenset({Correct, ReissueCertificate, RecordLateAnswer})
"""What somebody may still do when nothing is waited for."""
WHILE_FROZEN: frozenset[type[Command]] = frozenset(
    {
        *(Resume, Withdraw, Reject, Decline, DeclineSeat, Lapse, PassDeadline, RecordLateAnswer),
        *(FollowClass, ReassignHost, ChangeSchool),
    }
)
"""What is left for a nomination that a restriction has frozen (edge case 36): its end, and what becomes of its class,
its host and its school meanwhile. Nobody would come back with that once it is resumed."""


def decide(state: Trainee | None, command: Command, context: Context) -> Outcome:
    """Decide `command` on the nomination as it stands. Pure; the facts and the time come with `context`."""
    refusal = _guard(state, command, context)
    if refusal is not None:
        return refusal
    if isinstance(command, Nominate):
        return waiver.nominated_on(selection.nominate(command, context), command, context)
    assert state is not None, "the guard refuses every other command without a nomination"
    return _DECIDERS[type(command)](state, command, context)


def _guard(state: Trainee | None, command: Command, context: Context) -> Refusal | None:
    """Refuse what the table does not allow: the wrong role, another organisation's case, the wrong phase."""
    step = LIFECYCLE[type(command)]
    actor = context.actor
    if state is None:
        if not isinstance(command, Nominate):
            return refuse("unknown_number", number=context.number)
        allowed_here = actor.role in step.roles and actor.organisation in (command.school, command.county)
        return None if allowed_here else refuse("not_your_part", roles=" / ".join(step.roles))
    if isinstance(command, Nominate):
        return refuse("already_exists", number=context.number)
    if actor.role not in step.roles or not concerns(state, actor):
        return refuse("not_your_part", roles=" / ".join(step.roles))
    if state.frozen_until is not None and type(command) not in WHILE_FROZEN and state.phase in BEFORE_REGISTRATION:
        return refuse("nomination_frozen", until=state.frozen_until)
    if state.substituted_by and isinstance(command, Register | Confirm):
        # A→B→C, and A turns up: the seat is another's, and only he is expected (edge case 18).
        return refuse("substituted", number=context.number, substitute=state.substituted_by)
    if (state.closed and type(command) not in AFTER_CLOSING) or state.phase not in step.phases:
        return refuse(
            "not_allowed_in_phase",
            phase=state.phase,
            command=command.name,
            allowed=", ".join(allowed_commands(state)) or "—",
        )
    return None


def concerns(state: Trainee, actor: Actor) -> bool:
    """Whether this case is any business of the actor's organisation; if not, it does not exist for him."""
    if actor.role in ("bureau", "system"):
        return True
    own = {"county": state.county, "school": state.school, "host": state.host}
    return actor.organisation == own[actor.role]


def allowed_commands(state: Trainee) -> list[str]:
    """The names of the commands that the table allows somebody in this state."""
    lifecycle: Mapping[type[Command], Step] = LIFECYCLE
    if state.closed:
        lifecycle = {command: step for command, step in LIFECYCLE.items() if command in AFTER_CLOSING}
    elif state.frozen_until is not None and state.phase in BEFORE_REGISTRATION:
        lifecycle = {command: step for command, step in LIFECYCLE.items() if command in WHILE_FROZEN}
    return steps_from(lifecycle, state.phase)


def _pass_deadline(state: Trainee, command: PassDeadline, context: Context) -> Outcome:
    """Each part of the road keeps its own dates."""
    if state.phase in ("nominated", "offered", "county-approved"):
        return waiting.pass_deadline(state, command, context)
    return outcome.pass_deadline(state, command, context)


_DECIDERS: dict[type[Command], Callable[[Trainee, Any, Context], Outcome]] = {
    Approve: selection.approve,
    Return: selection.return_,
    Resubmit: selection.resubmit,
    Reject: selection.reject,
    Lapse: selection.lapse,
    Withdraw: selection.withdraw,
    Enroll: training.enroll,
    ChangeClass: changes.change_class,
    FollowClass: changes.follow_class,
    Confirm: training.confirm,
    Decline: training.decline,
    Register: training.register,
    RecordNoShow: training.record_no_show,
    Excuse: training.excuse,
    RequestLeave: training.request_leave,
    GrantLeave: training.grant_leave,
    RefuseLeave: training.refuse_leave,
    Dismiss: outcome.dismiss,
    Fail: outcome.fail,
    Complete: outcome.complete,
    SubmitFollowUp: outcome.submit_follow_up,
    ReviewFollowUp: outcome.review_follow_up,
    PassDeadline: _pass_deadline,
    Waitlist: waiting.waitlist,
    OfferSeat: waiting.offer_seat,
    AcceptSeat: waiting.accept_seat,
    DeclineSeat: waiting.decline_seat,
    Substitute: substitution.substitute,
    ReportImpersonation: substitution.report_impersonation,
    ReassignHost: substitution.reassign_host,
    ReviewIdentity: review.review_identity,
    ChangeSchool: review.change_school,
    Resume: waiver.resume,
    Correct: correction.correct,
    ReissueCertificate: correction.reissue_certificate,
    RecordLateAnswer: correction.record_late_answer,
}
