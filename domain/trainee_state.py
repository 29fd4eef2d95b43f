"""The state of one nomination: `evolve` folds its events, `case_of` says what is seen and waited for.

nominated ─► county-approved ─► selected ─► enrolled ─► confirmed ─► in-training ─► completed ─► following-up ─► closed
    │               │              │            │           │             ├─► dismissed ──────► restriction
    ├─► rejected ◄──┘              │            │           │             └─► not-completed ──► restriction
    └─► withdrawn ◄────────────────┴────────────┴───────────┤
                                                            └─► absent ─► excused, or unexcused ─► restriction

A correction by the city takes an outcome back, also after closing: the case is in training again, or has the outcome
that the correction names.

A nomination for which no seat is left waits beside this road: `trainee_waiting` draws it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

from domain.decision import Case, Event
from domain.trainee_class_messages import ClassChanged, PlaceLost
from domain.trainee_correction_messages import (
    CertificateReissued,
    CertificateRevoked,
    LateAnswerRecorded,
    NominationFrozen,
    NominationResumed,
    OutcomeCorrected,
)
from domain.trainee_messages import (
    AbsenceExcused,
    AttendanceConfirmed,
    AttendanceDeclined,
    ExcuseWindowClosed,
    LeaveGranted,
    LeaveRefused,
    LeaveRequested,
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
    NominationWithdrawn,
    NoShowRecorded,
    TraineeEnrolled,
    TraineeNominated,
    TraineeRegistered,
)
from domain.trainee_outcome_messages import (
    FollowUpAssigned,
    FollowUpLapsed,
    FollowUpOverdue,
    FollowUpReviewed,
    FollowUpSubmitted,
    TraineeDismissed,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_review_messages import IdentityReviewed, SchoolChanged
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
PHASES: tuple[str, ...] = get_args(Phase)
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
OPEN: tuple[Phase, ...] = (*BEFORE_REGISTRATION, "in-training", "absent", "following-up")
"""Phases in which a case may still wait for something."""

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
class Credit:
    """What a completion has credited, and to which cycle; `cycle` is empty when nothing was credited."""

    cycle: str
    centralised_days: int
    online_days: int
    hours: int


@dataclass(frozen=True, slots=True)
class Trainee:
    """One nomination as its events have left it. `timer` marks the deadline as one that the case itself keeps.

    `class_changed`: the class is not the one that he agreed to, so he may still withdraw freely. `days_offered`: the
    centralised days of a class that was changed or holds too few, None otherwise. `leave_days` beside `leaves`: the
    first and the last day. `approver` is who gives the county's approval: the city where the county's own official
    nominated himself. `priority` is the place at each step of the plan's declared order, as it was recorded.
    """

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
    class_revision: int = 0
    class_changed: bool = False
    days_offered: int | None = None
    leaves: tuple[str, ...] = ()
    leave_days: tuple[tuple[date, date], ...] = ()
    certificate: str = ""
    restriction: str = ""
    follow_up: str = ""
    follow_up_submitted: bool = False
    overdue: bool = False
    approver: Literal["county", "city"] = "county"
    identity_review: Literal["", "open", "done"] = ""
    frozen_until: date | None = None
    credit: Credit | None = None
    certificates: int = 0
    restrictions: int = 0
    rural: bool = False
    waiting_rank: int | None = None
    priority: tuple[int, ...] = ()
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
            approver="city" if event.self_nominated and event.nominated_by == "county" else "county",
            identity_review="open" if event.identity_review else "",
            rural=event.rural,
            priority=event.grounds.priority if event.grounds is not None else (),
            # A substitute begins with the seat of whom he stands in for, and keeps a date of his own.
            timer=bool(event.substitutes),
            seat_held=bool(event.substitutes),
            substitutes=event.substitutes,
            seat_line=event.seat_line,
        )
    assert state is not None, f"{event.type} before the nomination"
    for evolve_part in (_selection, _placing, _training, _outcome, _afterwards, _seats):
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
        case IdentityReviewed():
            return replace(state, identity_review="done")
        case SchoolChanged():
            return replace(state, school=event.school)
        case NominationWithdrawn() | AttendanceDeclined():
            return replace(state, phase="withdrawn", seat_held=False, deadline=None, timer=False)
    return None


def _placing(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case TraineeEnrolled():
            return replace(
                state,
                phase="enrolled",
                training_class=event.training_class,
                host=event.host,
                starts=event.starts,
                ends=event.ends,
                class_revision=event.revision,
                class_changed=False,
                days_offered=event.days_offered,
                deadline=event.confirm_by,
            )
        case ClassChanged():
            asked_again = event.confirm_by is not None and state.phase != "in-training"
            return replace(
                state,
                phase="enrolled" if asked_again else state.phase,
                training_class=event.training_class,
                starts=event.starts,
                ends=event.ends,
                class_revision=event.revision,
                class_changed=True,
                days_offered=event.centralised_days,
                deadline=event.confirm_by if asked_again else state.deadline,
            )
        case PlaceLost():
            return replace(
                state,
                phase="selected",
                training_class="",
                class_changed=True,
                starts=None,
                ends=None,
                leaves=(),
                leave_days=(),
                deadline=None,
            )
        case AttendanceConfirmed():
            return replace(state, phase="confirmed", class_changed=False, deadline=None)
    return None


def _training(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case TraineeRegistered():
            return replace(state, phase="in-training", deadline=None)
        case NoShowRecorded():
            return replace(state, phase="absent", deadline=event.excuse_until, timer=True)
        case AbsenceExcused():
            return replace(state, phase="excused", deadline=None, timer=False)
        case ExcuseWindowClosed():
            return replace(_restricted(state, event.restriction), phase="absent", deadline=None, timer=False)
        case LeaveRequested():
            days = (event.first_day, event.last_day)
            return replace(state, leaves=(*state.leaves, "requested"), leave_days=(*state.leave_days, days))
        case LeaveGranted():
            return replace(state, leaves=_with_leave(state.leaves, event.leave, "granted"))
        case LeaveRefused():
            return replace(state, leaves=_with_leave(state.leaves, event.leave, "refused"))
    return None


def _outcome(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case TraineeDismissed():
            return replace(_restricted(state, event.restriction), phase="dismissed", deadline=None)
        case TrainingNotCompleted():
            return replace(_restricted(state, event.restriction), phase="not-completed", deadline=None)
        case TrainingCompleted():
            credit = Credit(event.cycle, event.centralised_days, event.online_days, event.hours)
            return replace(
                state,
                phase="completed",
                certificate=event.certificate,
                certificates=state.certificates + 1,
                credit=credit if event.cycle else None,
                deadline=None,
            )
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


def _restricted(state: Trainee, restriction: str) -> Trainee:
    return replace(state, restriction=restriction, restrictions=state.restrictions + 1)


def _afterwards(state: Trainee, event: Event) -> Trainee | None:
    match event:
        case NominationFrozen():
            return replace(state, frozen_until=event.until)
        case NominationResumed():
            return replace(state, frozen_until=None)
        case OutcomeCorrected():
            # The outcome is taken back whole; what it becomes follows in the same append.
            return replace(
                state,
                phase="in-training",
                deadline=None,
                timer=False,
                restriction="",
                certificate="",
                credit=None,
                follow_up="",
                follow_up_submitted=False,
                overdue=False,
            )
        case CertificateRevoked():
            return state
        case CertificateReissued():
            return replace(state, certificate=event.certificate, certificates=state.certificates + 1)
        case LateAnswerRecorded():
            return state
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


def attributes_of(phase: str, campaign: str, project_type: str, county: str) -> dict[str, str]:
    """What every nomination is found by; a host and a class come later."""
    return {
        "XunjiPhase": phase,
        "XunjiCampaign": campaign,
        "XunjiProject": project_type,
        "XunjiCounty": county,
    }


def case_of(number: str, state: Trainee) -> Case:
    """What the workflow of this case shows and waits for."""
    waiting_for = "" if state.closed else WAITING_FOR.get(state.phase, "")
    if state.phase == "nominated" and state.approver == "city":
        waiting_for = "the city's approval in the county's place"
    if state.returned and not state.closed:
        waiting_for = "the resubmission"
    if state.identity_review == "open" and not state.closed:
        waiting_for = "the bureau's decision on who is meant"
    if state.frozen_until is not None and not state.closed:
        waiting_for = "the county's answer: a restriction was imposed meanwhile"
    if state.phase == "following-up" and state.follow_up_submitted:
        waiting_for = "the host's review of the follow-up task"
    attributes = attributes_of(state.phase, state.campaign, state.project_type, state.county)
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
