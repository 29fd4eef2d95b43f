"""One example of every event of a nomination, and whole lives made of them."""

from collections.abc import Iterable
from datetime import date

from domain import (
    trainee_correction_messages,
    trainee_messages,
    trainee_outcome_messages,
    trainee_review_messages,
    trainee_seat_messages,
)
from domain.decision import Event
from domain.trainee_class_messages import ClassChanged, PlaceLost
from tests.projections.histories import BOOK, BY, START, Stream, day, person


def nominated(county: str = "410181", school: str = "410181-s01", who: int = 1, project: str = "gp1") -> Event:
    return trainee_messages.TraineeNominated(
        campaign=BOOK,
        project_type=project,
        county=county,
        school=school,
        person=person(who),
        stage="primary",
        subject="maths",
        position="teacher",
        rural=True,
        years_of_service=7,
        submitted_at=START,
        deadline=day(5),
    )


COUNTY_APPROVED = trainee_messages.NominationApproved(level="county", by=BY, deadline=day(6))
CITY_APPROVED = trainee_messages.NominationApproved(level="city", by="bureau:zzedu", host="h001")
RETURNED = trainee_messages.NominationReturned(level="city", by="bureau:zzedu", reason="subject", seat_freed=True)
RESUBMITTED = trainee_messages.NominationResubmitted(by=BY)
REJECTED = trainee_messages.NominationRejected(by=BY, reasons=("deadline_passed",), seat_freed=True)
WITHDRAWN = trainee_messages.NominationWithdrawn(by=BY, reason="ill", seat_freed=True, place_freed=True)
ENROLLED = trainee_messages.TraineeEnrolled(
    training_class="zz22-c-h001-01",
    host="h001",
    starts=date(2022, 10, 10),
    ends=date(2022, 10, 16),
    confirm_by=day(40),
)
CLASS_CHANGED = ClassChanged(
    training_class="zz22-c-h001-01",
    by="system:xunji",
    revision=1,
    changes=("postponed",),
    starts=date(2022, 11, 10),
    ends=date(2022, 11, 16),
    centralised_days=7,
    confirm_by=day(70),
)
PLACE_LOST = PlaceLost(training_class="zz22-c-h001-01")
CONFIRMED = trainee_messages.AttendanceConfirmed(by=BY)
DECLINED = trainee_messages.AttendanceDeclined(by=BY, reason="family")
REGISTERED = trainee_messages.TraineeRegistered(by="host:h001", registered_at=day(46))
NO_SHOW = trainee_messages.NoShowRecorded(check_in_confirmed_at=day(46), excuse_until=day(53))
EXCUSED = trainee_messages.AbsenceExcused(by=BY, reason="ill", document="doc-1")
UNEXCUSED = trainee_messages.ExcuseWindowClosed(restriction="zz22-410181-00001-r1")
LEAVE_REQUESTED = trainee_messages.LeaveRequested(
    leave=1, by=BY, first_day=date(2022, 10, 12), last_day=date(2022, 10, 12), reason="family"
)
LEAVE_GRANTED = trainee_messages.LeaveGranted(leave=1, by="host:h001")
LEAVE_REFUSED = trainee_messages.LeaveRefused(leave=1, by="host:h001", reason="exam")
DISMISSED = trainee_outcome_messages.TraineeDismissed(
    by="host:h001", reason="conduct", evidence="doc-2", restriction="zz22-410181-00001-r1"
)
COMPLETED = trainee_outcome_messages.TrainingCompleted(
    by="host:h001", centralised_days=7, online_days=0, hours=56, grade="good", certificate="zz22-cert-00001"
)
NOT_COMPLETED = trainee_outcome_messages.TrainingNotCompleted(
    by="host:h001", reasons=("exam_failed",), restriction="zz22-410181-00001-r1"
)
FOLLOW_UP = trainee_outcome_messages.FollowUpAssigned(task="lesson", due=day(90))
SUBMITTED = trainee_outcome_messages.FollowUpSubmitted(by=BY, evidence="doc-3")
ACCEPTED = trainee_outcome_messages.FollowUpReviewed(by="host:h001", accepted=True, comment="")
SENT_BACK = trainee_outcome_messages.FollowUpReviewed(by="host:h001", accepted=False, comment="more", due=day(100))
OVERDUE = trainee_outcome_messages.FollowUpOverdue(last_date=day(97))
LAPSED = trainee_outcome_messages.FollowUpLapsed()
IDENTITY_REVIEWED = trainee_review_messages.IdentityReviewed(
    by="bureau:zzedu", finding="same-person", decided_by="b7", reasons="doc-5"
)
SCHOOL_CHANGED = trainee_review_messages.SchoolChanged(
    by=BY, former="410181-s00", school="410181-s01", document="doc-6"
)
FROZEN = trainee_correction_messages.NominationFrozen(until=date(2025, 11, 5))
RESUMED = trainee_correction_messages.NominationResumed(by="bureau:zzedu", waived=True)
REVOKED = trainee_correction_messages.CertificateRevoked(
    certificate="zz22-cert-00001", by="bureau:zzedu", reason="outcome_corrected"
)
REISSUED = trainee_correction_messages.CertificateReissued(
    certificate="zz22-cert-00002", supersedes="zz22-cert-00001", by="bureau:zzedu", reason="name", document="doc-5"
)
LATE = trainee_correction_messages.LateAnswerRecorded(
    answer="completed", said_on=date(2022, 12, 1), document="doc-6", by="host:h001", phase="closed"
)


def corrected(was: str, becomes: str) -> Event:
    return trainee_correction_messages.OutcomeCorrected(
        was=was, becomes=becomes, by="bureau:zzedu", decided_by="officer-1", reason="mistaken list", document="doc-7"
    )


WAITLISTED = trainee_seat_messages.TraineeWaitlisted(by=BY, rank=0, until=day(100))
OFFERED = trainee_seat_messages.SeatOffered(until=day(4))
OFFER_ACCEPTED = trainee_seat_messages.SeatOfferAccepted(by=BY, deadline=day(100))
OFFER_DECLINED = trainee_seat_messages.SeatOfferDeclined(by=BY)
OFFER_LAPSED = trainee_seat_messages.SeatOfferLapsed()
SUBSTITUTED = trainee_seat_messages.SubstituteNamed(by=BY, substitute="zz22-410181-00099", reason="ill")
IMPERSONATED = trainee_seat_messages.ImpersonationReported(by="host:h001", evidence="doc-5")
REASSIGNED = trainee_seat_messages.HostReassigned(before="h001", host="h003")

AFTER_NOMINATION: tuple[Event, ...] = (
    COUNTY_APPROVED, CITY_APPROVED, RETURNED, RESUBMITTED, REJECTED, WITHDRAWN, ENROLLED, CONFIRMED, DECLINED,
    REGISTERED, NO_SHOW, EXCUSED, UNEXCUSED, LEAVE_REQUESTED, LEAVE_GRANTED, LEAVE_REFUSED, DISMISSED, COMPLETED,
    NOT_COMPLETED, FOLLOW_UP, SUBMITTED, ACCEPTED, SENT_BACK, OVERDUE, LAPSED, CLASS_CHANGED, PLACE_LOST,
    IDENTITY_REVIEWED, SCHOOL_CHANGED,
    FROZEN, RESUMED, REVOKED, REISSUED, LATE,
    *(corrected("absent", becomes) for becomes in ("in-training", "completed", "not-completed", "excused", "absent")),
    WAITLISTED, OFFERED, OFFER_ACCEPTED, OFFER_DECLINED, OFFER_LAPSED, SUBSTITUTED, IMPERSONATED, REASSIGNED,
)  # fmt: skip

SELECTED = (COUNTY_APPROVED, CITY_APPROVED)
IN_CLASS = (*SELECTED, ENROLLED, CONFIRMED)
LIVES: dict[str, tuple[Event, ...]] = {
    "nominated": (),
    "county-approved": (COUNTY_APPROVED,),
    "passed-on": (*SELECTED, IDENTITY_REVIEWED, SCHOOL_CHANGED),
    "selected": (COUNTY_APPROVED, RETURNED, RESUBMITTED, *SELECTED),
    "rejected": (COUNTY_APPROVED, REJECTED),
    "withdrawn": (*IN_CLASS, WITHDRAWN),
    "declined": (*SELECTED, ENROLLED, DECLINED),
    "enrolled": (*SELECTED, ENROLLED),
    "confirmed": IN_CLASS,
    "in-training": (*IN_CLASS, REGISTERED, LEAVE_REQUESTED, LEAVE_GRANTED),
    "unconfirmed": (*SELECTED, ENROLLED, REGISTERED, LEAVE_REQUESTED, LEAVE_REFUSED),
    "class-changed": (*IN_CLASS, CLASS_CHANGED),
    "place-lost": (*IN_CLASS, CLASS_CHANGED, PLACE_LOST),
    "placed-again": (*IN_CLASS, REGISTERED, PLACE_LOST, ENROLLED),
    "absent": (*IN_CLASS, NO_SHOW),
    "unexcused": (*IN_CLASS, NO_SHOW, UNEXCUSED),
    "excused": (*IN_CLASS, NO_SHOW, EXCUSED),
    "dismissed": (*IN_CLASS, REGISTERED, DISMISSED),
    "not-completed": (*IN_CLASS, REGISTERED, NOT_COMPLETED),
    "completed": (*IN_CLASS, REGISTERED, COMPLETED),
    "following-up": (*IN_CLASS, REGISTERED, COMPLETED, FOLLOW_UP, SUBMITTED, SENT_BACK),
    "closed": (*IN_CLASS, REGISTERED, COMPLETED, FOLLOW_UP, SUBMITTED, ACCEPTED),
    "lapsed": (*IN_CLASS, REGISTERED, COMPLETED, FOLLOW_UP, OVERDUE, LAPSED),
    "frozen": (COUNTY_APPROVED, FROZEN),
    "resumed": (COUNTY_APPROVED, FROZEN, RESUMED, CITY_APPROVED),
    "taken-back": (*IN_CLASS, REGISTERED, COMPLETED, FOLLOW_UP, REVOKED, corrected("following-up", "in-training")),
    "found-present": (*IN_CLASS, NO_SHOW, UNEXCUSED, corrected("absent", "completed"), COMPLETED, REISSUED, LATE),
    "excused-late": (*IN_CLASS, NO_SHOW, UNEXCUSED, corrected("absent", "excused"), EXCUSED),
    "waitlisted": (WAITLISTED,),
    "offered": (WAITLISTED, OFFERED),
    "offer taken": (WAITLISTED, OFFERED, OFFER_ACCEPTED, CITY_APPROVED, REASSIGNED, CITY_APPROVED),
    "offer declined": (WAITLISTED, OFFERED, OFFER_DECLINED, WITHDRAWN),
    "offer lapsed": (WAITLISTED, OFFERED, OFFER_LAPSED, REJECTED),
    "substituted": (*IN_CLASS, IMPERSONATED, SUBSTITUTED, WITHDRAWN),
}
"""Whole lives after the nomination; together they hold every event of a nomination."""


def trainee(number: int, life: str, county: str = "410181", **about: str) -> Stream:
    """The nomination `zz22-{county}-{number}` with one of the LIVES; each has another person."""
    school = about.get("school", f"{county}-s01")
    project = about.get("project", "gp1")
    first = nominated(county, school, who=number, project=project)
    return Stream(BOOK, f"trainee/zz22-{county}-{number:05d}", (first, *_moved(LIVES[life], about)))


def _moved(events: Iterable[Event], about: dict[str, str]) -> tuple[Event, ...]:
    """The events with another host and class, where that is asked for."""
    changes = {key: value for key, value in about.items() if key in ("host", "training_class")}
    return tuple(
        event.model_copy(update={key: value for key, value in changes.items() if getattr(event, key, "")})
        for event in events
    )
