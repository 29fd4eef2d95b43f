"""Histories to project: one example of every event there is, whole lives of cases, and the way into the ledger."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from domain import (
    attendance,
    bulletin_publication,
    campaign,
    campaign_amendments,
    institution,
    quota_messages,
    restriction_messages,
    trainee_correction_messages,
    trainee_messages,
    trainee_outcome_messages,
    trainee_review_messages,
    trainee_seat_messages,
    training_class,
    training_days,
)
from domain import person as persons
from domain.bulletin import BulletinRow
from domain.campaign import AgendaItem
from domain.decision import Event, EventCatalogue
from domain.trainee_class_messages import ClassChanged, PlaceLost
from domain.training_class_messages import Session, StaffDuty
from ledger.store import Ledger
from ledger.types import Append, Appended, NewEvent, StreamWrite
from tests.specification import the_plan

BOOK = "2022-zhengzhou"
START = datetime(2022, 8, 25, 1, 0, tzinfo=UTC)
NAMESPACE = UUID("0193a5b0-0000-7000-8000-000000000000")
DIGEST = "ab" * 32
BY = "county:410181"

CATALOGUES: dict[str, EventCatalogue] = {
    "trainee": trainee_messages.EVENTS,
    "class": training_class.EVENTS,
    "attendance": attendance.EVENTS,
    "restriction": restriction_messages.EVENTS,
    "institution": institution.EVENTS,
    "quota": quota_messages.QUOTA_EVENTS,
    "campaign": campaign.EVENTS,
    "person": persons.EVENTS,
    "bulletin": bulletin_publication.EVENTS,
    "training-days": training_days.EVENTS,
}


def day(number: int) -> datetime:
    """The same hour so many days after the start."""
    return START + timedelta(days=number)


def person(number: int) -> UUID:
    return uuid5(NAMESPACE, f"person {number}")


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


def class_planned(host: str = "h001", project: str = "gp1") -> Event:
    return training_class.ClassPlanned(
        campaign=BOOK,
        host=host,
        project_type=project,
        starts=date(2022, 10, 10),
        ends=date(2022, 10, 16),
        place="郑州",
        mode="centralised",
        capacity=50,
        reminders=(day(39), day(43)),
        opens_at=day(45),
        closes_at=day(52),
        outcomes_due=day(62),
    )


CLASS_LIFE: tuple[Event, ...] = (
    training_class.ClassAnnounced(by="host:h001"),
    training_class.ClassReminderSent(key="reminder-1", stale=False),
    training_class.ClassReminderSent(key="reminder-2", stale=True),
    training_class.RegistrationOpened(),
    training_class.CheckInConfirmed(by="host:h001", at=day(46)),
    training_class.AbsencesRecorded(),
    training_class.ClassClosed(),
    training_class.OutcomesOverdue(),
    training_class.ClassReported(by="host:h001"),
)


CHANGED_CLASS_LIFE: tuple[Event, ...] = (
    training_class.ClassAnnounced(by="host:h001"),
    training_class.ClassPostponed(
        by="host:h001",
        reason="疫情",
        starts=date(2022, 11, 10),
        ends=date(2022, 11, 16),
        reminders=(day(70),),
        opens_at=day(76),
        closes_at=day(83),
        outcomes_due=day(90),
        escalates_at=day(93),
    ),
    training_class.ChangeTold(revision=1),
    training_class.ClassMoved(by="host:h001", reason="疫情", place="新郑"),
    training_class.ClassWentOnline(by="host:h001", reason="疫情", mode="online", centralised_days=0),
    training_class.CapacityChanged(by="host:h001", capacity=60),
    training_class.TimetableSet(
        by="host:h001", sessions=(Session(day=date(2022, 11, 10), session="morning", units=4),)
    ),
    training_class.DutiesRecorded(by="host:h001", duties=(StaffDuty(staff="t-07", duty="head", hours=20),)),
    training_class.ClassSplit(by="host:h001", reason="人数", into="zz22-c-h001-03", trainees=("zz22-410181-00001",)),
    training_class.RegistrationOpened(),
    training_class.CheckInConfirmed(by="host:h001", at=day(77), late=True),
    training_class.ClassClosed(),
    training_class.OutcomesOverdue(),
    training_class.OutcomesEscalated(),
)
OTHER_ENDS: dict[str, Event] = {
    "04": training_class.ClassMerged(by="host:h001", reason="人数不足", into="zz22-c-h001-01"),
    "05": training_class.ClassCancelled(by="host:h001", reason="疫情"),
}
ATTENDANCE_LIFE: tuple[Event, ...] = (
    attendance.AttendanceMarked(
        by="host:h001",
        marks=(attendance.Mark(trainee="zz22-410181-00001", session="morning", units=4, as_of=day(46), source="scan"),),
    ),
    attendance.PassingImpossible(trainees=("zz22-410181-00001",)),
    attendance.AttendanceCorrected(
        by="host:h001",
        marks=(
            attendance.Mark(
                trainee="zz22-410181-00001", session="morning", units=3, as_of=day(60), source="paper", evidence="doc-8"
            ),
        ),
    ),
)


def proposed(trainee: str, county: str = "410181", school: str = "410181-s01", who: int = 1) -> Event:
    return restriction_messages.RestrictionProposed(
        campaign=BOOK,
        trainee=trainee,
        person=person(who),
        county=county,
        school=school,
        host="h001",
        ground="absent",
        incident_on=date(2022, 10, 10),
        proposed_at=day(53),
        serve_by=day(60),
    )


def recorded_earlier(who: int = 9) -> Event:
    return restriction_messages.EarlierRestrictionRecorded(
        by="bureau:zzedu",
        campaign=BOOK,
        person=person(who),
        starts=date(2021, 5, 1),
        until=date(2024, 5, 1),
        document="doc-9",
    )


SERVED = restriction_messages.RestrictionServed(by=BY, via="school", served_at=day(55), objection_until=day(69))
IMPOSED = restriction_messages.RestrictionImposed(
    by="bureau:zzedu",
    decided_by="officer-1",
    reasons="absent without excuse",
    starts=date(2022, 11, 5),
    until=date(2025, 11, 5),
    policy="3 years from decision",
)
DROPPED = restriction_messages.RestrictionDropped(by="bureau:zzedu", decided_by="officer-1", reasons="objection upheld")
RESTRICTION_LIVES: dict[str, tuple[Event, ...]] = {
    "proposed": (restriction_messages.ServiceOverdue(),),
    "imposed": (
        SERVED,
        restriction_messages.ObjectionFiled(by=BY, statement="doc-4"),
        restriction_messages.ObjectionWindowClosed(),
        IMPOSED,
    ),
    "dropped": (SERVED, restriction_messages.ObjectionWindowClosed(), DROPPED),
    "expired": (
        SERVED,
        restriction_messages.ObjectionWindowClosed(),
        IMPOSED,
        restriction_messages.RestrictionExpired(),
    ),
    "reversed": (
        SERVED,
        restriction_messages.ServiceFailed(by=BY, via="mail", reason="returned", serve_by=day(62)),
        SERVED,
        restriction_messages.ObjectionWindowClosed(),
        IMPOSED,
        restriction_messages.RestrictionWaived(
            by="bureau:zzedu",
            decided_by="officer-1",
            reasons="the only teacher of the subject",
            document="doc-8",
            campaign=BOOK,
            project_type="gp2",
        ),
        restriction_messages.WaiverUsed(campaign=BOOK, project_type="gp2", trainee="zz22-410181-00077"),
        restriction_messages.RestrictionReversed(
            by="bureau:zzedu", decided_by="officer-1", reasons="the list was wrong", document="doc-10"
        ),
    ),
}


def organisation(id_: str, kind: institution.Kind, parent: str = "") -> Event:
    return institution.InstitutionRegistered(
        id=id_, kind=kind, name_zh=f"{id_}教育局", parent=parent, email=f"{id_}@example.invalid", gb_code=None
    )


INSTITUTION_LIFE: tuple[Event, ...] = (
    institution.KeyIssued(key="k1", scopes=("trainees",), issued_by="bureau:zzedu"),
    institution.KeyRevoked(key="k1", revoked_by="bureau:zzedu"),
    institution.WebhookEndpointRegistered(endpoint="e1", url="https://hook.example.invalid/", registered_by=BY),
    institution.WebhookSecretRotated(endpoint="e1", overlap_hours=24, rotated_by=BY),
    institution.MailboxPaused(reason="moving", paused_by="bureau:zzedu"),
    institution.NoticeSkipped(notice="n1", reason="sent by hand", skipped_by="bureau:zzedu"),
    institution.NoticesRedelivered(endpoint="e1", notice="n2", asked_by=BY),
    institution.MailboxResumed(reason="moved", resumed_by="bureau:zzedu"),
    institution.WebhookEndpointDisabled(endpoint="e1", because="owner", disabled_by=BY),
    institution.InstitutionContactChanged(by="bureau:zzedu", email="new@example.invalid"),
    institution.InstitutionClosed(by="bureau:zzedu", successor="410182", document="doc-10"),
    institution.HostSuspended(
        by="bureau:zzedu",
        decided_by="officer-1",
        reasons="two classes without a list",
        document="doc-11",
        starts=date(2022, 11, 1),
        until=date(2023, 11, 1),
    ),
    institution.HostReinstated(by="bureau:zzedu", decided_by="officer-1", reasons="put right"),
)


PERSON_LIFE: tuple[Event, ...] = (
    persons.PersonCorrected(by=BY, decided_by="b7", fields=("name",), document="doc-7", sealed="v1.again"),
    persons.PersonTransferred(by=BY, county="410182", on=date(2022, 9, 1), document="doc-8"),
    persons.PersonAbsorbed(other=person(98), by=BY, decided_by="b7", reasons="doc-9"),
    persons.ErasureHeld(by=BY, reason="requested"),
    persons.PersonErased(by=BY, reason="requested"),
)


def quota(line: str, seats: int) -> Event:
    project, _, recipient = line.partition(":")
    return quota_messages.QuotaIssued(line=line, project_type=project, recipient=recipient, seats=seats, invented=True)


QUOTA_LIFE: tuple[Event, ...] = (
    quota_messages.QuotaReceived(from_line="gp1:zzedu", seats=5, by="bureau:zzedu", why="delegation"),
    quota_messages.QuotaDelegated(to="gp1:410181-s01", seats=4, by=BY),
    quota_messages.QuotaTakenBack(from_line="gp1:410181-s01", seats=1, by=BY),
    quota_messages.QuotaReturned(to="gp1:zzedu", seats=2, by=BY, reason="too few"),
    quota_messages.ReallocationOffered(
        offer=1, seats=3, candidates=("gp1:410182", "gp1:410183"), until=day(3), by=BY, reason="too few"
    ),
    quota_messages.ReallocationPassedOn(offer=1, why="declined", until=day(4)),
    quota_messages.ReallocationAccepted(offer=1, to="gp1:410183", by="county:410183"),
    quota_messages.ReallocationOffered(
        offer=2, seats=1, candidates=("gp1:410182",), until=day(5), by=BY, reason="too few"
    ),
    quota_messages.ReallocationEnded(offer=2, why="lapsed"),
    quota_messages.ShortfallReported(seats=2, reason="teaching_load", details="two in one school", by=BY),
    quota_messages.QuotaOverridden(
        before=30, seats=28, by="bureau:zzedu", role="bureau", reason="province", document="doc-7"
    ),
    quota_messages.DelegationAdjusted(line="gp1:410181-s01", seats=-1, by="bureau:zzedu"),
)


def bulletin(kind: str, version: int = 1, rows: tuple[BulletinRow, ...] = ()) -> Event:
    return campaign.BulletinIssued.model_validate({"kind": kind, "version": version, "as_of": day(130), "rows": rows})


def campaign_opened(id_: str = BOOK) -> Event:
    return campaign.CampaignOpened(
        campaign=id_,
        plan_edition=1,
        plan_sha256=the_plan().sha256(),
        by="bureau:zzedu",
        agenda=(
            AgendaItem(key="county-24h", at=day(4), about=day(5)),
            AgendaItem(key="county", at=day(5)),
            AgendaItem(key="city", at=day(6)),
            AgendaItem(key="soft-end", at=day(128)),
            AgendaItem(key="close", at=day(130)),
        ),
    )


CAMPAIGN_LIFE: tuple[Event, ...] = (
    campaign.SelectionReminderSent(key="county-24h", stale=False),
    campaign.SelectionClosed(level="county"),
    campaign.SelectionSettled(level="county"),
    campaign.SelectionClosed(level="city"),
    campaign.SelectionSettled(level="city"),
    campaign_amendments.SelectionReopened(
        key="reopened-1", county="410181", until=day(20), by="bureau:zzedu", reason="flood"
    ),
    campaign_amendments.ReopeningClosed(key="reopened-1"),
    campaign_amendments.Settled(key="reopened-1"),
    campaign_amendments.HostRemoved(host="h001", replacement="h003", assigned=2, by="bureau:zzedu", reason="fire"),
    campaign_amendments.Settled(key="host-h001"),
    campaign_amendments.OffersEnded(key="offers-end-1"),
    campaign_amendments.Settled(key="offers-end-1"),
    campaign.SoftEndPassed(open_cases=3),
    bulletin("counties", rows=(BulletinRow(organisation="410181", assigned=30, selected=27),)),
    bulletin("hosts"),
    campaign.CampaignClosed(),
)


def published(version: int = 1) -> Event:
    return bulletin_publication.BulletinPublished(
        kind="counties",
        period="2022-09-24",
        version=version,
        as_of=day(30),
        as_of_sequence=7,
        reason="scheduled",
        formulas=2,
        rows=(BulletinRow(organisation="410181", assigned=30, selected=27),),
    )


DAYS_LIFE: tuple[Event, ...] = (
    training_days.DaysCredited(
        person=person(1),
        cycle="2021-2025",
        campaign=BOOK,
        trainee="zz22-410181-00001",
        project_type="gp1",
        starts=date(2022, 10, 10),
        centralised_days=7,
        online_days=2,
        hours=72,
        certificate="zz22-410181-00001-c1",
    ),
    training_days.DaysReversed(
        person=person(1),
        cycle="2021-2025",
        campaign=BOOK,
        trainee="zz22-410181-00001",
        centralised_days=-7,
        online_days=-2,
        hours=-72,
        certificate="zz22-410181-00001-c1",
        reason="mistaken list",
        document="doc-7",
    ),
)


@dataclass(frozen=True)
class Stream:
    """A stream with all its events; each is recorded by a command of its own."""

    book: str
    name: str
    events: tuple[Event, ...]


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


def world() -> tuple[Stream, ...]:
    """Streams of every kind that together hold every event there is."""
    cases = tuple(trainee(number, life) for number, life in enumerate(LIVES, start=1))
    restrictions = tuple(
        Stream(
            "restrictions", f"restriction/zz22-410181-{number:05d}-r1", (proposed(f"zz22-410181-{number:05d}"), *life)
        )
        for number, life in enumerate(RESTRICTION_LIVES.values(), start=1)
    )
    return (
        Stream(BOOK, f"campaign/{BOOK}", (campaign_opened(), *CAMPAIGN_LIFE)),
        Stream(BOOK, "quota/gp1:410181", (quota("gp1:410181", 30), *QUOTA_LIFE)),
        Stream(BOOK, "class/zz22-c-h001-01", (class_planned(), *CLASS_LIFE)),
        Stream(BOOK, "class/zz22-c-h001-02", (class_planned(), *CHANGED_CLASS_LIFE)),
        *(Stream(BOOK, f"class/zz22-c-h001-{each}", (class_planned(), end)) for each, end in OTHER_ENDS.items()),
        Stream(BOOK, "attendance/zz22-c-h001-01/2022-10-10", ATTENDANCE_LIFE),
        Stream("institutions", "institution/410181", (organisation("410181", "county", "zzedu"), *INSTITUTION_LIFE)),
        Stream("restrictions", "restriction/prior-00001", (recorded_earlier(),)),
        Stream(
            "people", f"person/{person(97)}", (persons.PersonRegistered(person=person(97), sealed="v1."), *PERSON_LIFE)
        ),
        Stream(
            "people",
            f"person/{person(98)}",
            (
                persons.PersonRegistered(person=person(98), sealed="v1."),
                persons.PersonJoined(into=person(97), by=BY, decided_by="b7", reasons="doc-9"),
            ),
        ),
        Stream(BOOK, f"bulletin/{BOOK}", (published(),)),
        Stream("people", f"training-days/{person(1)}:2021-2025", DAYS_LIFE),
        *restrictions,
        *cases,
    )


def as_new(event: Event) -> NewEvent:
    return NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)


async def record(ledger: Ledger, streams: Sequence[Stream], *, together: int = 1) -> int:
    """Record the streams' next events in turn, so that they are mixed as in life; give the number of events.

    `together` events of a stream share a command.
    """
    versions = {stream.name: 0 for stream in streams}
    recorded = 0
    while waiting := [stream for stream in streams if versions[stream.name] < len(stream.events)]:
        for stream in waiting:
            done = versions[stream.name]
            events = stream.events[done : done + together]
            await append(ledger, stream.book, stream.name, done, *events, at=day(0) + timedelta(minutes=recorded))
            versions[stream.name] += len(events)
            recorded += len(events)
    return recorded


async def append(
    ledger: Ledger, book: str, stream: str, version: int, *events: Event | NewEvent, at: datetime = START
) -> int:
    """Append events to a stream that has `version` events; give their last sequence in the book."""
    new = tuple(event if isinstance(event, NewEvent) else as_new(event) for event in events)
    command = uuid4()
    result = await ledger.append(
        Append(
            command_id=command,
            content_hash=hashlib.sha256(command.bytes).digest(),
            actor="system:xunji",
            writes=(StreamWrite(book, stream, version, new),),
            recorded_at=at,
        )
    )
    assert isinstance(result, Appended), result
    return result.sequences[book]
