"""The state of one nomination: `evolve` folds its events, `case_of` says what is seen and waited for.

nominated ─► county-approved ─► selected ─► enrolled ─► confirmed ─► in-training ─► completed ─► following-up ─► closed
    │               │              │            │           │             ├─► dismissed ──────► restriction
    ├─► rejected ◄──┘              │            │           │             └─► not-completed ──► restriction
    └─► withdrawn ◄────────────────┴────────────┴───────────┤
                                                            └─► absent ─► excused, or unexcused ─► restriction

A nomination for which no seat is left waits beside this road: `trainee_waiting` draws it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from domain.decision import Case, Event
from domain.trainee_messages import (
    AbsenceExcused,
    AttendanceConfirmed,
    AttendanceDeclined,
    ExcuseWindowClosed,
    FollowUpAssigned,
    FollowUpLapsed,
    FollowUpOverdue,
    FollowUpReviewed,
    FollowUpSubmitted,
    LeaveGranted,
    LeaveRefused,
    LeaveRequested,
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
    NominationWithdrawn,
    NoShowRecorded,
    TraineeDismissed,
    TraineeEnrolled,
    TraineeNominated,
    TraineeRegistered,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_seat_messages import (
    HostReassigned,
    ImpersonationReported,
    SeatOfferAccepted,
    SeatOfferDeclined,
    SeatOffered,
    SeatOfferLapsed,
    SubstituteNamed,
    TraineeWaitlisted,
)

Phase = Literal[
    "nominated",
    "waitlisted",
    "offered",
    "county-approved",
    "selected",
    "rejected",
    "withdrawn",
    "enrolled",
    "confirmed",
    "in-training",
    "absent",
    "excused",
    "dismissed",
    "completed",
    "not-completed",
    "following-up",
    "closed",
]
ENDED: frozenset[str] = frozenset({"rejected", "withdrawn", "excused", "dismissed", "not-completed", "closed"})
BEFORE_REGISTRATION: tuple[Phase, ...] = (
    "nominated",
    "waitlisted",
    "offered",
    "county-approved",
    "selected",
    "enrolled",
    "confirmed",
)
WAITING_FOR = {
    "nominated": "the county's approval",
    "waitlisted": "a seat to become free",
    "offered": "an answer to the offered seat",
    "county-approved": "the city's approval",
    "selected": "the host to place the trainee in a class",
    "enrolled": "the trainee's confirmation",
    "confirmed": "registration at the host",
    "in-training": "the outcome",
    "absent": "an excuse for the absence",
    "following-up": "the follow-up task",
}


@dataclass(frozen=True, slots=True)
class Trainee:
    """One nomination as its events have left it. `timer` marks the deadline as one that the case itself keeps."""

    campaign: str
    project_type: str
    county: str
    school: str
    person: UUID
    stage: str
    submitted_at: datetime
    phase: Phase
    deadline: datetime | None
    timer: bool = False
    returned: bool = False
    seat_held: bool = False
    host: str = ""
    training_class: str = ""
    starts: date | None = None
    ends: date | None = None
    leaves: tuple[str, ...] = ()
    certificate: str = ""
    restriction: str = ""
    follow_up: str = ""
    follow_up_submitted: bool = False
    overdue: bool = False
    rural: bool = False
    waiting_rank: int | None = None
    seat_line: str = ""
    substitutes: str = ""
    substituted_by: str = ""
    impersonated: bool = False

    @property
    def closed(self) -> bool:
        """Nothing more is waited for; a correction may still come."""
        unexcused = self.phase == "absent" and bool(self.restriction)
        return self.phase in ENDED or unexcused or (self.phase == "completed" and not self.follow_up)


def fold(events: Iterable[Event]) -> Trainee | None:
    """The state after `events`, None before the first."""
    state: Trainee | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Trainee | None, event: Event) -> Trainee:
    """The next state. Never refuses: what was decided has happened."""
    if isinstance(event, TraineeNominated):
        return Trainee(
            campaign=event.campaign,
            project_type=event.project_type,
            county=event.county,
            school=event.school,
            person=event.person,
            stage=event.stage,
            submitted_at=event.submitted_at,
            phase="nominated",
            deadline=event.deadline,
            rural=event.rural,
            # A substitute begins with the seat of whom he stands in for, and keeps a date of his own.
            timer=bool(event.substitutes),
            seat_held=bool(event.substitutes),
            substitutes=event.substitutes,
            seat_line=event.seat_line,
        )
    assert state is not None, f"{event.type} before the nomination"
    for evolve_part in (_selection, _training, _outcome, _seats):
        changed = evolve_part(state, event)
        if changed is not None:
            return changed
    raise TypeError(f"no evolution for {event.type}")


def _selection(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case NominationApproved(level="county"):
            line = event.line or state.seat_line
            return replace(state, phase="county-approved", seat_held=True, seat_line=line, deadline=event.deadline)
        case NominationApproved():
            return replace(state, phase="selected", host=event.host, deadline=event.deadline, timer=False)
        case NominationReturned():
            seat_held = state.seat_held and not event.seat_freed
            return replace(state, phase="nominated", returned=True, seat_held=seat_held)
        case NominationResubmitted():
            return replace(state, returned=False)
        case NominationRejected():
            return replace(state, phase="rejected", seat_held=False, deadline=None, timer=False)
        case NominationWithdrawn() | AttendanceDeclined():
            return replace(state, phase="withdrawn", seat_held=False, deadline=None, timer=False)
    return None


def _training(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case TraineeEnrolled():
            return replace(
                state,
                phase="enrolled",
                training_class=event.training_class,
                host=event.host,
                starts=event.starts,
                ends=event.ends,
                deadline=event.confirm_by,
            )
        case AttendanceConfirmed():
            return replace(state, phase="confirmed", deadline=None)
        case TraineeRegistered():
            return replace(state, phase="in-training", deadline=None)
        case NoShowRecorded():
            return replace(state, phase="absent", deadline=event.excuse_until, timer=True)
        case AbsenceExcused():
            return replace(state, phase="excused", deadline=None, timer=False)
        case ExcuseWindowClosed():
            return replace(state, restriction=event.restriction, deadline=None, timer=False)
        case LeaveRequested():
            return replace(state, leaves=(*state.leaves, "requested"))
        case LeaveGranted():
            return replace(state, leaves=_with_leave(state.leaves, event.leave, "granted"))
        case LeaveRefused():
            return replace(state, leaves=_with_leave(state.leaves, event.leave, "refused"))
    return None


def _outcome(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case TraineeDismissed():
            return replace(state, phase="dismissed", restriction=event.restriction, deadline=None)
        case TrainingNotCompleted():
            return replace(
                state,
                phase="not-completed",
                restriction=event.restriction,
                deadline=None,
            )
        case TrainingCompleted():
            return replace(state, phase="completed", certificate=event.certificate, deadline=None)
        case FollowUpAssigned():
            return replace(
                state,
                phase="following-up",
                follow_up=event.task,
                deadline=event.due,
                timer=True,
            )
        case FollowUpSubmitted():
            return replace(state, follow_up_submitted=True, deadline=None, timer=False)
        case FollowUpReviewed(accepted=True) | FollowUpLapsed():
            return replace(state, phase="closed", deadline=None, timer=False)
        case FollowUpReviewed():
            return replace(state, follow_up_submitted=False, deadline=event.due, timer=True)
        case FollowUpOverdue():
            return replace(state, overdue=True, deadline=event.last_date)
    return None


def _seats(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case TraineeWaitlisted():
            return replace(state, phase="waitlisted", waiting_rank=event.rank, deadline=event.until, timer=False)
        case SeatOffered():
            return replace(state, phase="offered", seat_held=True, deadline=event.until, timer=True)
        case SeatOfferAccepted():
            return replace(state, phase="county-approved", deadline=event.deadline, timer=True)
        case SeatOfferDeclined() | SeatOfferLapsed():
            # The withdrawal or rejection that follows in the same append gives the seat back.
            return replace(state, deadline=None, timer=False)
        case SubstituteNamed():
            return replace(state, substituted_by=event.substitute, seat_held=False)
        case ImpersonationReported():
            return replace(state, impersonated=True)
        case HostReassigned():
            # The city's approval that follows in the same append names the new host.
            return state
    return None


def _with_leave(leaves: tuple[str, ...], number: int, status: str) -> tuple[str, ...]:
    return tuple(status if index == number else leave for index, leave in enumerate(leaves, start=1))


def case_of(number: str, state: Trainee) -> Case:
    """What the workflow of this case shows and waits for."""
    waiting_for = "" if state.closed else WAITING_FOR.get(state.phase, "")
    if state.returned:
        waiting_for = "the resubmission"
    if state.phase == "following-up" and state.follow_up_submitted:
        waiting_for = "the host's review of the follow-up task"
    attributes = {
        "XunjiPhase": state.phase,
        "XunjiCampaign": state.campaign,
        "XunjiProject": state.project_type,
        "XunjiCounty": state.county,
    }
    if state.host:
        attributes["XunjiHost"] = state.host
    if state.training_class:
        attributes["XunjiClass"] = state.training_class
    return Case(
        phase=state.phase,
        deadline=state.deadline,
        timer=state.timer,
        closed=state.closed,
        summary=f"{state.project_type} · {state.county} · {state.phase}",
        waiting_for=waiting_for,
        attributes=attributes,
    )
