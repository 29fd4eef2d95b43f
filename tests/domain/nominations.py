"""A nomination and what happens to it, as the tests of its lifecycle say it."""

from datetime import UTC, date, datetime
from uuid import UUID

from domain import trainee
from domain.agenda import Item
from domain.decision import SYSTEM, Actor, Block, Command, Decision
from domain.restriction_messages import RestrictionProposed
from domain.trainee_context import Facts
from domain.trainee_correction_messages import Correct, RecordLateAnswer, ReissueCertificate, Resume
from domain.trainee_messages import (
    AbsenceExcused,
    Approve,
    AttendanceConfirmed,
    Confirm,
    Decline,
    Enroll,
    Excuse,
    GrantLeave,
    Lapse,
    Nominate,
    NominationApproved,
    NominationRejected,
    NominationWithdrawn,
    NoShowRecorded,
    PassDeadline,
    PersonReference,
    RecordNoShow,
    RefuseLeave,
    Register,
    Reject,
    RequestLeave,
    Resubmit,
    Return,
    TraineeEnrolled,
    TraineeNominated,
    TraineeRegistered,
    Withdraw,
)
from domain.trainee_outcome_messages import (
    Complete,
    Dismiss,
    Fail,
    FollowUpAssigned,
    FollowUpLapsed,
    FollowUpSubmitted,
    ReviewFollowUp,
    SubmitFollowUp,
    TraineeDismissed,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_review_messages import ChangeSchool, ReviewIdentity
from domain.trainee_seat_messages import (
    AcceptSeat,
    DeclineSeat,
    OfferSeat,
    ReassignHost,
    ReportImpersonation,
    SeatOffered,
    Substitute,
    SubstitutePerson,
    TraineeWaitlisted,
    Waitlist,
)
from domain.trainee_state import fold
from domain.training_class import TrainingClass
from tests.specification import Specification, specification, the_plan

NUMBER = "zz22-410181-00001"
PERSON = UUID("00000000-0000-7000-8000-000000000001")
CLASS = "zz22-c-h001-01"
SCHOOL = Actor(organisation="410181-s01", role="school")
COUNTY = Actor(organisation="410181", role="county")
OTHER_COUNTY = Actor(organisation="410182", role="county")
BUREAU = Actor(organisation="zzedu", role="bureau")
HOST = Actor(organisation="h001", role="host")
OTHER_HOST = Actor(organisation="h002", role="host")
STARTS, ENDS = date(2022, 10, 10), date(2022, 10, 16)


def on(month: int, day: int, hour: int = 2) -> datetime:
    """An instant of 2022; 2 o'clock UTC is 10 in Zhengzhou."""
    return datetime(2022, month, day, hour, tzinfo=UTC)


NOMINATION = Nominate(
    project_type="gp5",
    county="410181",
    school="410181-s01",
    person=PersonReference(id=PERSON, sealed="sealed"),
    stage="primary",
    subject="chinese",
    years_of_service=5,
)
NOMINATED = TraineeNominated(
    campaign="2022-zhengzhou",
    project_type="gp5",
    county="410181",
    school="410181-s01",
    person=PERSON,
    stage="primary",
    subject="chinese",
    position="teacher",
    rural=False,
    years_of_service=5,
    submitted_at=on(8, 26),
    deadline=on(8, 30, 16),
)
SUBSTITUTE = Substitute(
    number="zz22-410181-00002",
    reason="ill",
    school="410181-s01",
    person=SubstitutePerson(id=UUID(int=2), sealed="sealed"),
    stage="primary",
    subject="chinese",
    years_of_service=5,
)
WAITLISTED = TraineeWaitlisted(by="county:410181", rank=1, until=on(12, 24, 16))
COUNTY_APPROVED = NominationApproved(level="county", by="county:410181", deadline=on(8, 31, 16))
CITY_APPROVED = NominationApproved(level="city", by="bureau:zzedu", host="h001")
ENROLLED = TraineeEnrolled(training_class=CLASS, host="h001", starts=STARTS, ends=ENDS, confirm_by=on(10, 6, 16))
CONFIRMED = AttendanceConfirmed(by="school:410181-s01")
REGISTERED = TraineeRegistered(by="host:h001", registered_at=on(10, 10))
ABSENT = NoShowRecorded(check_in_confirmed_at=on(10, 10, 10), excuse_until=on(10, 17, 16))
COMPLETED = TrainingCompleted(
    by="host:h001", centralised_days=7, online_days=0, hours=50, grade="good", certificate=f"{NUMBER}-c1"
)
TASK = FollowUpAssigned(task="公开课", due=on(11, 15, 16))
SUBMITTED = FollowUpSubmitted(by="school:410181-s01", evidence="lesson 7")

SELECTED = (NOMINATED, COUNTY_APPROVED, CITY_APPROVED)
IN_TRAINING = (*SELECTED, ENROLLED, CONFIRMED, REGISTERED)
FOLLOWING_UP = (*IN_TRAINING, COMPLETED, TASK)
SEAT = "seat:2022-zhengzhou:gp5:410181"


EXAMPLES: dict[str, Command] = {
    "approve": Approve(host="h001"),
    "return": Return(reason="r"),
    "resubmit": Resubmit(),
    "reject": Reject(reasons=("r",)),
    "lapse": Lapse(),
    "withdraw": Withdraw(reason="ill"),
    "enroll": Enroll(training_class=CLASS),
    "confirm": Confirm(),
    "decline": Decline(reason="ill"),
    "register": Register(),
    "record-no-show": RecordNoShow(),
    "excuse": Excuse(reason="r", document="d"),
    "request-leave": RequestLeave(first_day=STARTS, last_day=STARTS, reason="r"),
    "grant-leave": GrantLeave(leave=1),
    "refuse-leave": RefuseLeave(leave=1, reason="r"),
    "dismiss": Dismiss(reason="r", evidence="e"),
    "complete": Complete(centralised_days=7, hours=50),
    "fail": Fail(reasons=("r",)),
    "submit-follow-up": SubmitFollowUp(evidence="e"),
    "review-follow-up": ReviewFollowUp(accepted=True),
    "pass-deadline": PassDeadline(),
    "review-identity": ReviewIdentity(finding="same-person", decided_by="b7", reasons="r"),
    "change-school": ChangeSchool(school="410181-s02", document="d"),
    "resume": Resume(waiver="zz22-410181-00009-r1"),
    "correct": Correct(becomes="in-training", decided_by="staff-07", reason="r", document="d"),
    "reissue-certificate": ReissueCertificate(reason="name", document="d"),
    "record-late-answer": RecordLateAnswer(answer="completed", said_on=ENDS, document="d"),
    "nominate": NOMINATION,
    "waitlist": Waitlist(),
    "offer-seat": OfferSeat(),
    "accept-seat": AcceptSeat(),
    "decline-seat": DeclineSeat(),
    "substitute": SUBSTITUTE,
    "report-impersonation": ReportImpersonation(evidence="e"),
    "reassign-host": ReassignHost(),
}
HISTORIES = {
    "nominated": (NOMINATED,),
    "county-approved": (NOMINATED, COUNTY_APPROVED),
    "selected": SELECTED,
    "enrolled": (*SELECTED, ENROLLED),
    "confirmed": (*SELECTED, ENROLLED, CONFIRMED),
    "in-training": IN_TRAINING,
    "absent": (*SELECTED, ENROLLED, CONFIRMED, ABSENT),
    "following-up": FOLLOWING_UP,
    "rejected": (NOMINATED, NominationRejected(by="c", reasons=("r",), seat_freed=False)),
    "withdrawn": (NOMINATED, NominationWithdrawn(by="c", reason="ill", seat_freed=False, place_freed=False)),
    "excused": (*SELECTED, ENROLLED, CONFIRMED, ABSENT, AbsenceExcused(by="c", reason="r", document="d")),
    "dismissed": (*IN_TRAINING, TraineeDismissed(by="h", reason="r", evidence="e", restriction="r1")),
    "not-completed": (*IN_TRAINING, TrainingNotCompleted(by="h", reasons=("r",), restriction="r1")),
    "closed": (*FOLLOWING_UP, FollowUpLapsed()),
    "waitlisted": (NOMINATED, WAITLISTED),
    "offered": (NOMINATED, WAITLISTED, SeatOffered(until=on(9, 3))),
}
ACTORS = (SCHOOL, COUNTY, BUREAU, HOST, OTHER_COUNTY, OTHER_HOST, SYSTEM)


def nomination() -> Specification:
    return specification(trainee, NUMBER, fold)


def facts(person_version: int = 1, training_class: TrainingClass | None = None) -> Facts:
    return Facts(the_plan(), person_version, training_class)


def a_class(**changes: object) -> TrainingClass:
    values: dict[str, object] = {
        "campaign": "2022-zhengzhou",
        "host": "h001",
        "project_type": "gp5",
        "starts": STARTS,
        "ends": ENDS,
        "place": "1 号楼",
        "mode": "centralised",
        "capacity": 20,
        "agenda": (Item("open", on(10, 9, 16)),),
    }
    return TrainingClass(**(values | changes))  # type: ignore[arg-type]


def assert_restriction_proposed(decision: Decision, ground: str) -> None:
    (part,) = decision.others
    assert (part.book, part.stream, part.expected_version) == ("restrictions", f"restriction/{NUMBER}-r1", 0)
    (proposed,) = part.events
    assert isinstance(proposed, RestrictionProposed) and proposed.ground == ground
    assert [(each.kind, each.number) for each in decision.starts] == [("restriction", f"{NUMBER}-r1")]
    assert not any(isinstance(claim, Block) for claim in decision.claims), "nobody is barred by a proposal"
