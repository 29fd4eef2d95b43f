"""From the class to the last day: given its events, when a command, then events or a refusal."""

from datetime import date

import pytest

from docgen.lifecycles.plan import on
from docgen.lifecycles.trainee_events import ABSENT, CLASS, CONFIRMED, ENROLLED, IN_TRAINING, PERSON, SELECTED
from domain.decision import SYSTEM, Count
from domain.trainee_messages import (
    AbsenceExcused,
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
    NominationWithdrawn,
    NoShowRecorded,
    PassDeadline,
    RecordNoShow,
    RefuseLeave,
    Register,
    RequestLeave,
    TraineeEnrolled,
    TraineeRegistered,
)
from domain.training_class import TrainingClass
from tests.domain.nominations import (
    COUNTY,
    HOST,
    OTHER_HOST,
    SCHOOL,
    a_class,
    assert_restriction_proposed,
    facts,
    nomination,
)


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
    listed = facts(training_class=closed)
    withdrawn = given.when(Lapse(), SYSTEM, on(10, 10, 11), listed).then(NominationWithdrawn).events[0]
    assert isinstance(withdrawn, NominationWithdrawn) and withdrawn.reason == "never_confirmed"


def test_who_has_changed_class_keeps_his_place_when_the_list_of_the_former_one_is_worked_off() -> None:
    given = nomination().given(*SELECTED, ENROLLED)
    given.when(Lapse(), SYSTEM, on(10, 10, 11), facts(training_class=a_class())).refused("check_in_not_confirmed")
    given.when(Lapse(), SYSTEM, on(10, 10, 11), facts()).refused("check_in_not_confirmed")


def test_who_is_placed_late_has_until_the_class_begins_to_confirm() -> None:
    command, known = Enroll(training_class=CLASS), facts(training_class=a_class())
    given = nomination().given(*SELECTED)
    for now, confirm_by in ((on(10, 8), on(10, 9, 16)), (on(10, 10), on(10, 10, 16))):
        (enrolled,) = given.when(command, HOST, now, known).then(TraineeEnrolled).events
        assert isinstance(enrolled, TraineeEnrolled) and enrolled.confirm_by == confirm_by > now


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
