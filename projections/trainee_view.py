"""How an event changes a nomination's row. The phase is the domain's own: it comes from `trainee_state.evolve`."""

from datetime import datetime
from typing import Any

import orjson
from pydantic import TypeAdapter

from domain.decision import Event
from domain.numbers import parse_stream_name
from domain.trainee_class_messages import ClassChanged, PlaceLost
from domain.trainee_correction_messages import OutcomeCorrected
from domain.trainee_messages import (
    EVENTS,
    AbsenceExcused,
    AttendanceConfirmed,
    AttendanceDeclined,
    NominationApproved,
    NominationRejected,
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
from domain.trainee_state import Trainee, case_of, evolve
from ledger.types import RecordedEvent
from projections.rows import Row, View, of_case, place

MILESTONES: dict[type[Event], str] = {
    NominationRejected: "given_up_at",
    NominationWithdrawn: "given_up_at",
    AttendanceDeclined: "given_up_at",
    TraineeEnrolled: "enrolled_at",
    AttendanceConfirmed: "confirmed_at",
    TraineeRegistered: "registered_at",
    ClassChanged: "class_changed_at",
    PlaceLost: "class_cancelled_at",
    NoShowRecorded: "no_show_at",
    AbsenceExcused: "excused_at",
    TrainingCompleted: "completed_at",
    TraineeDismissed: "dismissed_at",
    TrainingNotCompleted: "not_completed_at",
}
"""The column that keeps when something last happened; that it is set says that it ever did."""

FOLLOW_UPS: dict[type[Event], str] = {
    FollowUpAssigned: "assigned",
    FollowUpSubmitted: "submitted",
    FollowUpOverdue: "overdue",
    FollowUpLapsed: "lapsed",
}


ITEM_FIELDS = (
    "number",
    "version",
    "campaign",
    "project_type",
    "county",
    "school",
    "stage",
    "subject",
    "position",
    "rural",
    "phase",
    "closed",
    "returned",
    "waiting_for",
    "deadline",
    "host",
    "training_class",
    "certificate",
    "follow_up",
    "submitted_at",
)
"""What a list shows of a nomination, whoever asks; it lies in the column `item` as JSON, as it goes out."""

_FIRST: dict[str, Any] = {"follow_up": "", "corrected_sequence": 0, "withdrawal_reason": ""}


def _number(event: RecordedEvent) -> str:
    return parse_stream_name(event.stream)[1]


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    number = _number(event)
    happened = EVENTS.read(event)
    where = place(row, event)
    state = evolve(row["state"] if row is not None else None, happened)
    columns: dict[str, Any] = dict(row) if row is not None else {"number": number, **_FIRST}
    if isinstance(happened, TraineeNominated):
        columns |= {"subject": happened.subject, "position": happened.position, "rural": happened.rural}
        columns |= {"priority": list(happened.grounds.priority) if happened.grounds else [], "centralised_days": 0}
    if isinstance(happened, TrainingCompleted):
        columns["centralised_days"] = happened.centralised_days
    if isinstance(happened, OutcomeCorrected):
        columns |= _taken_back(happened, columns, event)
    columns |= where | _of_state(number, state) | _milestone(happened, event.recorded_at)
    if isinstance(happened, PlaceLost):
        # A cancelled class is out of all denominators: nobody was enrolled, expected or present there (edge case 22).
        columns |= dict.fromkeys(("enrolled_at", "confirmed_at", "registered_at"))
    if isinstance(happened, TraineeEnrolled):
        columns["class_cancelled_at"] = None
    if isinstance(happened, NominationWithdrawn | AttendanceDeclined):
        columns["withdrawal_reason"] = happened.reason
    columns["follow_up"] = _follow_up(happened, columns["follow_up"])
    columns["closed_at"] = _closed_at(row, state, event.recorded_at)
    columns["item"] = orjson.dumps({name: columns[name] for name in ITEM_FIELDS}, option=orjson.OPT_UTC_Z).decode()
    return columns


def _of_state(number: str, state: Trainee) -> dict[str, Any]:
    return {
        "campaign": state.campaign,
        "project_type": state.project_type,
        "county": state.county,
        "school": state.school,
        "person": state.person,
        "stage": state.stage,
        "submitted_at": state.submitted_at,
        "returned": state.returned,
        "host": state.host,
        "training_class": state.training_class,
        "starts": state.starts,
        "ends": state.ends,
        "class_revision": state.class_revision,
        "seat_held": state.seat_held,
        "waiting_rank": state.waiting_rank,
        "substitutes": state.substitutes,
        "substituted_by": state.substituted_by,
        "certificate": state.certificate,
        "restriction": state.restriction,
        "identity_review": state.identity_review,
        "frozen_until": state.frozen_until,
        "state": state,
        **of_case(case_of(number, state)),
    }


def _taken_back(corrected: OutcomeCorrected, columns: dict[str, Any], event: RecordedEvent) -> dict[str, Any]:
    """The milestones that a correction makes untrue; what it becomes instead is said by the events that follow."""
    gone: dict[str, Any] = dict.fromkeys(("completed_at", "dismissed_at", "not_completed_at", "excused_at"))
    if corrected.becomes in ("in-training", "completed", "not-completed"):
        gone |= {"no_show_at": None, "registered_at": columns.get("registered_at") or event.recorded_at}
    return gone | {"follow_up": "", "centralised_days": 0, "corrected_sequence": event.sequence}


def _milestone(happened: Event, at: datetime) -> dict[str, datetime]:
    if isinstance(happened, NominationApproved):
        return {"county_approved_at" if happened.level == "county" else "selected_at": at}
    column = MILESTONES.get(type(happened))
    return {column: at} if column else {}


def _follow_up(happened: Event, before: str) -> str:
    if isinstance(happened, FollowUpReviewed):
        return "accepted" if happened.accepted else "returned"
    return FOLLOW_UPS.get(type(happened), before)


def _closed_at(row: Row | None, state: Trainee, at: datetime) -> object:
    if not state.closed:
        return None
    return row["closed_at"] if row is not None and row["closed"] else at


TRAINEES = View("trainees", "number", _number, _apply, TypeAdapter(Trainee), version=3, per_stream=True)
