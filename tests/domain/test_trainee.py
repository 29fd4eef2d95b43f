"""Every line of a nomination's lifecycle: given its events, when a command, then events or a refusal."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from domain import trainee
from domain.agenda import Item
from domain.decision import SYSTEM, Actor, Block, Clear, Command, Count, Decision, Refusal, Release, Take
from domain.restriction_messages import RestrictionProposed
from domain.trainee_context import Facts
from domain.trainee_correction_messages import Correct, RecordLateAnswer, ReissueCertificate, Resume
from domain.trainee_messages import (
    COMMANDS,
    EVENTS,
    AbsenceExcused,
    Approve,
    AttendanceConfirmed,
    AttendanceDeclined,
    Confirm,
    Decline,
    Enroll,
    Excuse,
    ExcuseWindowClosed,
    GrantLeave,
    Lapse,
    LeaveGranted,
    LeaveRefused,
    LeaveRequested,
    Nominate,
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
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
    FollowUpOverdue,
    FollowUpReviewed,
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
from domain.trainee_state import case_of, fold
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


# ------------------------------------------------------------------------------------------------- selection


def test_a_school_nominates_and_the_person_is_registered_in_the_same_append() -> None:
    decision = nomination().when(NOMINATION, SCHOOL, on(8, 26), facts(person_version=0)).then(TraineeNominated)
    assert [part.stream for part in decision.others] == [f"person/{PERSON}"]
    assert decision.claims == (
        Take(f"active:{PERSON}:2022-zhengzhou:gp5", NUMBER),
        Clear(f"restriction:{PERSON}", date(2022, 8, 26)),
    )


def test_a_known_person_is_not_registered_again() -> None:
    decision = nomination().when(NOMINATION, SCHOOL, on(8, 26), facts(person_version=1)).then(TraineeNominated)
    assert decision.others == ()


def test_every_reason_against_a_nomination_is_given_at_once() -> None:
    unfit = NOMINATION.model_copy(update={"stage": "senior", "position": "principal", "years_of_service": 0})
    nomination().when(unfit, SCHOOL, on(9, 2), facts()).refused(
        "stage_not_eligible", "position_not_eligible", "service_too_short", "deadline_passed"
    )


def test_an_unknown_project_type_is_refused_with_those_that_exist() -> None:
    refusal = (
        nomination()
        .when(NOMINATION.model_copy(update={"project_type": "gp9"}), SCHOOL, on(8, 26), facts())
        .refused("unknown_project_type")
    )
    assert "gp1" in refusal.reasons[0].remedy_en and refusal.reasons[0].field == "/project_type"


def test_rural_training_is_for_rural_teachers() -> None:
    urban = NOMINATION.model_copy(update={"project_type": "gp1"})
    nomination().when(urban, SCHOOL, on(8, 26), facts()).refused("rural_required")


def test_a_school_nominates_for_itself_only() -> None:
    other = Actor(organisation="410182-s01", role="school")
    nomination().when(NOMINATION, other, on(8, 26), facts()).refused("not_your_part")


def test_a_number_is_used_once() -> None:
    nomination().given(NOMINATED).when(NOMINATION, SCHOOL, on(8, 26), facts()).refused("already_exists")


def test_the_countys_approval_takes_a_seat() -> None:
    decision = nomination().given(NOMINATED).when(Approve(), COUNTY, on(8, 27), facts()).then(NominationApproved)
    assert decision.claims == (Count(SEAT, +1),)


def test_the_city_approves_what_the_county_approved_and_names_the_host() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    decision = given.when(Approve(host="h001"), BUREAU, on(8, 31), facts()).then(NominationApproved)
    assert [(each.recipient, each.type) for each in decision.notices] == [("h001", "trainee.selected")]


@pytest.mark.parametrize(("host", "code"), [("", "host_missing"), ("h999", "host_unknown")])
def test_the_city_names_a_host_of_the_plan(host: str, code: str) -> None:
    nomination().given(NOMINATED, COUNTY_APPROVED).when(Approve(host=host), BUREAU, on(8, 31), facts()).refused(code)


def test_a_host_trains_its_own_level_only() -> None:
    provincial = next(each.id for each in the_plan().hosts if each.levels == ("provincial",))
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    given.when(Approve(host=provincial), BUREAU, on(8, 31), facts()).refused("host_of_another_level")


def test_the_city_does_not_approve_before_the_county() -> None:
    nomination().given(NOMINATED).when(Approve(host="h001"), BUREAU, on(8, 27), facts()).refused("not_your_part")


def test_case_43_each_level_has_its_own_cut_off() -> None:
    late = the_plan().selection_deadline("county")
    nomination().given(NOMINATED).when(Approve(), COUNTY, late, facts()).refused("deadline_passed")
    in_time = late - timedelta(microseconds=1)
    nomination().given(NOMINATED).when(Approve(), COUNTY, in_time, facts()).then(NominationApproved)


def test_another_countys_nomination_is_none_of_its_business() -> None:
    nomination().given(NOMINATED).when(Approve(), OTHER_COUNTY, on(8, 27), facts()).refused("not_your_part")


def test_a_returned_nomination_waits_for_its_resubmission() -> None:
    returned = nomination().given(NOMINATED).when(Return(reason="no subject"), COUNTY, on(8, 27), facts())
    event = returned.then(NominationReturned).events[0]
    given = nomination().given(NOMINATED, event)
    given.when(Approve(), COUNTY, on(8, 27), facts()).refused("awaiting_resubmission")
    again = given.when(Resubmit(), SCHOOL, on(8, 27), facts()).then(NominationResubmitted).events[0]
    given.given(again).when(Approve(), COUNTY, on(8, 28), facts()).then(NominationApproved)


def test_the_citys_return_frees_the_seat() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    decision = given.when(Return(reason="wrong project"), BUREAU, on(8, 31), facts()).then(NominationReturned)
    assert decision.claims == (Count(SEAT, -1),)


def test_case_45_a_resubmission_keeps_the_first_submissions_time() -> None:
    state = fold((NOMINATED, NominationReturned(level="county", by="c", reason="r", seat_freed=False)))
    assert state is not None and state.returned
    state = fold(
        (
            NOMINATED,
            NominationReturned(level="county", by="c", reason="r", seat_freed=False),
            NominationResubmitted(by="s"),
        )
    )
    assert state is not None and state.submitted_at == NOMINATED.submitted_at


def test_nothing_is_resubmitted_that_was_not_returned() -> None:
    nomination().given(NOMINATED).when(Resubmit(), SCHOOL, on(8, 27), facts()).refused("not_returned")


def test_a_rejection_gives_back_the_seat_and_the_persons_place() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    decision = given.when(Reject(reasons=("weak_file",)), BUREAU, on(8, 31), facts()).then(NominationRejected)
    assert decision.claims == (
        Count(SEAT, -1),
        Release(f"active:{PERSON}:2022-zhengzhou:gp5", NUMBER),
    )


def test_a_county_rejects_only_what_is_before_it() -> None:
    given = nomination().given(NOMINATED, COUNTY_APPROVED)
    given.when(Reject(reasons=("x",)), COUNTY, on(8, 31), facts()).refused("not_your_part")


def test_what_missed_the_cut_off_lapses_and_not_before() -> None:
    given = nomination().given(NOMINATED)
    given.when(Lapse(), SYSTEM, on(8, 29), facts()).refused("too_early")
    decision = given.when(Lapse(), SYSTEM, on(8, 30, 16), facts()).then(NominationRejected)
    rejected = decision.events[0]
    assert isinstance(rejected, NominationRejected) and rejected.reasons == ("deadline_passed",)


def test_case_14_withdrawal_before_registration_frees_seat_and_place() -> None:
    given = nomination().given(*SELECTED, ENROLLED)
    decision = given.when(Withdraw(reason="maternity"), COUNTY, on(9, 20), facts()).then(NominationWithdrawn)
    assert Count(SEAT, -1) in decision.claims and Count(f"class-seat:{CLASS}", -1) in decision.claims
    assert [each.recipient for each in decision.notices] == ["h001"]


# ----------------------------------------------------------------------------------------------- training


def test_the_host_places_a_selected_trainee_in_its_class() -> None:
    decision = (
        nomination()
        .given(*SELECTED)
        .when(Enroll(training_class=CLASS), HOST, on(9, 20), facts(training_class=a_class()))
        .then(TraineeEnrolled)
    )
    enrolled = decision.events[0]
    assert isinstance(enrolled, TraineeEnrolled) and enrolled.confirm_by == on(10, 6, 16)
    assert decision.claims == (Count(f"class-seat:{CLASS}", +1),)
    assert decision.notices[0].person == PERSON


@pytest.mark.parametrize(
    ("training_class", "code"),
    [
        (None, "class_unknown"),
        (a_class(host="h002"), "class_of_another_host"),
        (a_class(project_type="gp1"), "class_of_another_project"),
        (a_class(phase="running"), "class_closed"),
    ],
)
def test_a_trainee_is_placed_in_a_fitting_class_only(training_class: TrainingClass | None, code: str) -> None:
    given = nomination().given(*SELECTED)
    given.when(Enroll(training_class=CLASS), HOST, on(9, 20), facts(training_class=training_class)).refused(code)


def test_another_host_can_not_enrol_the_trainee() -> None:
    given = nomination().given(*SELECTED)
    command = Enroll(training_class=CLASS)
    given.when(command, OTHER_HOST, on(9, 20), facts(training_class=a_class())).refused("not_your_part")


def test_the_trainee_confirms() -> None:
    nomination().given(*SELECTED, ENROLLED).when(Confirm(), SCHOOL, on(9, 25), facts()).then(AttendanceConfirmed)


def test_the_trainee_declines_in_time_and_frees_everything() -> None:
    given = nomination().given(*SELECTED, ENROLLED)
    decision = given.when(Decline(reason="ill"), SCHOOL, on(9, 25), facts()).then(AttendanceDeclined)
    assert len(decision.claims) == 3


def test_registration_begins_on_the_first_day() -> None:
    given = nomination().given(*SELECTED, ENROLLED, CONFIRMED)
    given.when(Register(), HOST, on(10, 9), facts()).refused("too_early")
    given.when(Register(), HOST, on(10, 10), facts()).then(TraineeRegistered)


def test_a_list_that_is_sent_in_the_evening_says_who_came_when() -> None:
    given, evening = nomination().given(*SELECTED, ENROLLED, CONFIRMED), on(10, 10, 12)
    decision = given.when(Register(arrived_at=on(10, 10, 1)), HOST, evening, facts()).then(TraineeRegistered)
    registered = decision.events[0]
    assert isinstance(registered, TraineeRegistered)
    assert registered.registered_at == on(10, 10, 1)
    for wrong in (on(10, 9, 1), on(10, 10, 13)):
        given.when(Register(arrived_at=wrong), HOST, evening, facts()).refused("arrival_time_wrong")


def test_who_turns_up_unconfirmed_is_confirmed_and_registered() -> None:
    given = nomination().given(*SELECTED, ENROLLED)
    given.when(Register(), HOST, on(10, 10), facts()).then(AttendanceConfirmed, TraineeRegistered)


def test_case_40_no_absence_before_the_check_in_list_is_confirmed() -> None:
    given = nomination().given(*SELECTED, ENROLLED, CONFIRMED)
    given.when(RecordNoShow(), SYSTEM, on(10, 10), facts(training_class=a_class())).refused("check_in_not_confirmed")
    closed = a_class(check_in_confirmed_at=on(10, 10, 10))
    decision = given.when(RecordNoShow(), SYSTEM, on(10, 10, 11), facts(training_class=closed)).then(NoShowRecorded)
    absent = decision.events[0]
    assert isinstance(absent, NoShowRecorded)
    # Five working days after Monday 10 October 2022 is Monday 17 October, 24:00.
    assert absent.excuse_until == on(10, 17, 16)
    assert decision.others == () and decision.starts == ()


def test_case_39_who_never_confirmed_is_not_absent() -> None:
    given = nomination().given(*SELECTED, ENROLLED)
    closed = a_class(check_in_confirmed_at=on(10, 10, 10))
    given.when(RecordNoShow(), SYSTEM, on(10, 10, 11), facts(training_class=closed)).refused("not_allowed_in_phase")
    withdrawn = given.when(Lapse(), SYSTEM, on(10, 10, 11), facts()).then(NominationWithdrawn).events[0]
    assert isinstance(withdrawn, NominationWithdrawn) and withdrawn.reason == "never_confirmed"


def test_an_absence_is_excused_within_the_window() -> None:
    given = nomination().given(*SELECTED, ENROLLED, CONFIRMED, ABSENT)
    excuse = Excuse(reason="hospital", document="certificate 12")
    given.when(excuse, COUNTY, on(10, 14), facts()).then(AbsenceExcused)
    given.when(excuse, COUNTY, on(10, 17, 16), facts()).refused("excuse_window_passed")


def test_case_32_an_unexcused_absence_proposes_a_restriction_only_after_the_window() -> None:
    given = nomination().given(*SELECTED, ENROLLED, CONFIRMED, ABSENT)
    given.when(PassDeadline(), SYSTEM, on(10, 17, 15), facts()).refused("too_early")
    decision = given.when(PassDeadline(), SYSTEM, on(10, 17, 16), facts()).then(ExcuseWindowClosed)
    assert_restriction_proposed(decision, "absent")


def test_leave_is_requested_granted_and_refused() -> None:
    request = RequestLeave(first_day=date(2022, 10, 12), last_day=date(2022, 10, 13), reason="family")
    given = nomination().given(*IN_TRAINING)
    requested = given.when(request, SCHOOL, on(10, 11), facts()).then(LeaveRequested).events[0]
    given.given(requested).when(GrantLeave(leave=1), HOST, on(10, 11), facts()).then(LeaveGranted)
    refusal = RefuseLeave(leave=1, reason="examination day")
    given.given(requested).when(refusal, HOST, on(10, 11), facts()).then(LeaveRefused)
    given.given(requested).when(GrantLeave(leave=2), HOST, on(10, 11), facts()).refused("leave_unknown")


def test_leave_lies_within_the_training() -> None:
    request = RequestLeave(first_day=date(2022, 10, 16), last_day=date(2022, 10, 17), reason="family")
    nomination().given(*IN_TRAINING).when(request, SCHOOL, on(10, 11), facts()).refused("leave_dates")


# ------------------------------------------------------------------------------------------ outcome, follow-up


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


# ---------------------------------------------------------------------------------------------- the whole table


def test_a_case_that_does_not_exist_takes_only_its_nomination() -> None:
    nomination().when(Approve(), COUNTY, on(8, 27), facts()).refused("unknown_number")


def test_every_command_is_a_line_of_the_lifecycle() -> None:
    assert {each.name for each in trainee.LIFECYCLE} == set(COMMANDS.names())


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


@pytest.mark.parametrize("phase", HISTORIES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_command_in_every_phase_by_everybody_is_decided_and_never_moves_a_foreign_case(
    name: str, phase: str
) -> None:
    state = fold(HISTORIES[phase])
    assert state is not None and state.phase == phase
    step = trainee.LIFECYCLE[type(EXAMPLES[name])]
    for actor in ACTORS:
        closed_list = a_class(check_in_confirmed_at=on(10, 10, 10), phase="running")
        given = nomination().given(*HISTORIES[phase])
        outcome = given.when(EXAMPLES[name], actor, on(12, 30), facts(training_class=closed_list)).outcome
        if isinstance(outcome, Decision):
            assert phase in step.phases and actor.role in step.roles and trainee.concerns(state, actor)
            assert fold((*given.events, *outcome.events)) is not None
        else:
            assert isinstance(outcome, Refusal)


def test_every_event_has_a_wire_type_and_reads_back() -> None:
    assert len(set(EVENTS.types())) == len(EVENTS.types()) == 42
    for history in HISTORIES.values():
        for event in history:
            assert EVENTS.parse(event.type, event.model_dump(mode="json")) == event


def test_the_case_shows_what_an_operator_filters_by() -> None:
    state = fold(IN_TRAINING)
    assert state is not None
    case = case_of(NUMBER, state)
    assert case.attributes == {
        "XunjiPhase": "in-training",
        "XunjiCampaign": "2022-zhengzhou",
        "XunjiProject": "gp5",
        "XunjiCounty": "410181",
        "XunjiHost": "h001",
        "XunjiClass": CLASS,
    }
    assert str(PERSON) not in str(case)


def assert_restriction_proposed(decision: Decision, ground: str) -> None:
    (part,) = decision.others
    assert (part.book, part.stream, part.expected_version) == ("restrictions", f"restriction/{NUMBER}-r1", 0)
    (proposed,) = part.events
    assert isinstance(proposed, RestrictionProposed) and proposed.ground == ground
    assert [(each.kind, each.number) for each in decision.starts] == [("restriction", f"{NUMBER}-r1")]
    assert not any(isinstance(claim, Block) for claim in decision.claims), "nobody is barred by a proposal"
