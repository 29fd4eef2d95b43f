"""Corrections by the city, certificates issued anew, late answers: how deep an undo goes and what stays."""

from dataclasses import replace
from datetime import date

import pytest

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import ABSENT, CONFIRMED, ENDS, ENROLLED, IN_TRAINING, SELECTED
from domain import restriction_state
from domain.decision import Decision, Take, Unblock
from domain.restriction_messages import (
    RestrictionDropped,
    RestrictionImposed,
    RestrictionProposed,
    RestrictionReversed,
)
from domain.trainee import allowed_commands
from domain.trainee_context import Facts
from domain.trainee_correction import CORRECTIONS
from domain.trainee_correction_messages import (
    CertificateReissued,
    CertificateRevoked,
    Correct,
    LateAnswerRecorded,
    OutcomeCorrected,
    RecordLateAnswer,
    ReissueCertificate,
)
from domain.trainee_messages import AbsenceExcused, ExcuseWindowClosed
from domain.trainee_outcome_messages import (
    Complete,
    Fail,
    FollowUpAssigned,
    FollowUpLapsed,
    TraineeDismissed,
    TrainingCompleted,
    TrainingNotCompleted,
)
from domain.trainee_state import fold
from domain.training_days import DaysCredited, DaysReversed
from tests.domain.nominations import BUREAU, COUNTY, HISTORIES, HOST, OTHER_HOST, facts, nomination
from tests.domain.test_restriction import OBJECTED, PROPOSED, SERVED, WINDOW_CLOSED
from tests.specification import the_plan

COMPLETED = TrainingCompleted(
    by="host:h001",
    centralised_days=7,
    online_days=2,
    hours=72,
    grade="good",
    certificate=f"{NUMBER}-c1",
    cycle="2021-2025",
)
TASK = FollowUpAssigned(task="公开课", due=on(11, 15, 16))
UNEXCUSED = ExcuseWindowClosed(restriction=f"{NUMBER}-r1")
ABSENT_UNEXCUSED = (*SELECTED, ENROLLED, CONFIRMED, ABSENT, UNEXCUSED)
DISMISSED = (*IN_TRAINING, TraineeDismissed(by="h", reason="r", evidence="e", restriction=f"{NUMBER}-r1"))
CLOSED = (*IN_TRAINING, COMPLETED, TASK, FollowUpLapsed())
IMPOSED = RestrictionImposed(
    by="b", decided_by="s", reasons="r", starts=on(11, 1).date(), until=on(11, 1).date().replace(year=2025), policy="p"
)
BACK = Correct(becomes="in-training", decided_by="staff-07", reason="the wrong list", document="doc 5")
TO_COMPLETED = BACK.model_copy(update={"becomes": "completed", "centralised_days": 7, "hours": 56})


def with_restriction(*after: object) -> Facts:
    state = restriction_state.fold((PROPOSED, *after))  # type: ignore[arg-type] # events, as the tests name them
    return Facts(the_plan(), days_version=3, restriction=state, restriction_version=1 + len(after))


def part(decision: Decision, kind: str) -> tuple[str, int, tuple[object, ...]]:
    (found,) = (each for each in decision.others if each.stream.startswith(kind))
    return found.stream, found.expected_version, found.events


def test_completion_and_its_days_are_one_append() -> None:
    complete = Complete(centralised_days=7, online_days=2, hours=72, grade="good")
    given = nomination().given(*IN_TRAINING)
    decision = given.when(complete, HOST, on(10, 16), replace(facts(), days_version=4)).then(
        TrainingCompleted, FollowUpAssigned
    )
    stream, version, (entry,) = part(decision, "training-days/")
    assert (stream, version) == (f"training-days/{PROPOSED.person}:2021-2025", 4)
    assert isinstance(entry, DaysCredited)
    assert (entry.centralised_days, entry.online_days, entry.hours) == (7, 2, 72)
    assert entry.certificate == f"{NUMBER}-c1"


def test_case_72_before_hours_are_credited_an_undo_is_a_void() -> None:
    given = nomination().given(*DISMISSED)
    decision = given.when(BACK, BUREAU, on(12, 1), with_restriction(SERVED)).then(OutcomeCorrected)
    stream, version, (dropped,) = part(decision, "restriction/")
    assert (stream, version) == (f"restriction/{NUMBER}-r1", 2)
    assert isinstance(dropped, RestrictionDropped) and dropped.decided_by == "staff-07"
    assert not any(each.stream.startswith("training-days/") for each in decision.others)
    assert [(each.kind, each.wake) for each in decision.starts] == [("restriction", True)]
    state = fold((*given.events, *decision.events))
    assert state is not None and (state.phase, state.restriction, state.closed) == ("in-training", "", False)
    # The host records the outcome anew; the restriction that it proposes has a number of its own.
    again = nomination().given(*given.events, *decision.events)
    failed = again.when(Fail(reasons=("attendance",)), HOST, on(12, 2), facts()).then(TrainingNotCompleted)
    assert part(failed, "restriction/")[0] == f"restriction/{NUMBER}-r2"


def test_case_72_after_hours_were_credited_an_undo_is_an_entry_a_revoked_certificate_and_told() -> None:
    given = nomination().given(*CLOSED)
    decision = given.when(BACK, BUREAU, on(12, 1), replace(facts(), days_version=3)).then(
        CertificateRevoked, OutcomeCorrected
    )
    stream, version, (entry,) = part(decision, "training-days/")
    assert (stream, version) == (f"training-days/{PROPOSED.person}:2021-2025", 3)
    assert isinstance(entry, DaysReversed)
    assert (entry.centralised_days, entry.online_days, entry.hours) == (-7, -2, -72)
    assert {each.recipient for each in decision.notices} == {"h001", "410181", "410181-s01"}
    state = fold((*given.events, *decision.events))
    assert state is not None and (state.phase, state.certificate, state.closed) == ("in-training", "", False)


def test_case_54_a_number_of_a_certificate_is_never_used_again() -> None:
    given = nomination().given(*CLOSED)
    decision = given.when(TO_COMPLETED, BUREAU, on(12, 1), replace(facts(), days_version=3)).then(
        CertificateRevoked, OutcomeCorrected, TrainingCompleted, FollowUpAssigned
    )
    completed = decision.events[2]
    assert isinstance(completed, TrainingCompleted) and completed.certificate == f"{NUMBER}-c2"
    assert decision.claims == (Take(f"certificate:{NUMBER}-c2", NUMBER),)
    # One write for the stream of days: the entry that is taken back, and the new one.
    stream, version, entries = part(decision, "training-days/")
    assert version == 3 and [type(each) for each in entries] == [DaysReversed, DaysCredited]
    assert stream.endswith(":2021-2025")


def test_a_completion_older_than_the_ledger_of_days_has_nothing_to_compensate() -> None:
    old = COMPLETED.model_copy(update={"cycle": ""})
    decision = (
        nomination()
        .given(*IN_TRAINING, old)
        .when(BACK, BUREAU, on(12, 1), facts())
        .then(CertificateRevoked, OutcomeCorrected)
    )
    assert decision.others == ()


def test_an_absence_that_was_none_is_corrected_and_its_imposed_restriction_reversed() -> None:
    given = nomination().given(*ABSENT_UNEXCUSED)
    decided = with_restriction(SERVED, OBJECTED, WINDOW_CLOSED, IMPOSED)
    decision = given.when(TO_COMPLETED, BUREAU, on(12, 1), decided).then(
        OutcomeCorrected, TrainingCompleted, FollowUpAssigned
    )
    _, _, (event,) = part(decision, "restriction/")
    assert isinstance(event, RestrictionReversed)
    assert Unblock(f"restriction:{PROPOSED.person}", f"{NUMBER}-r1") in decision.claims
    _, version, (entry,) = part(decision, "training-days/")
    assert version == 3 and isinstance(entry, DaysCredited)


def test_an_excuse_found_after_the_window_ends_the_proposed_restriction() -> None:
    command = BACK.model_copy(update={"becomes": "excused"})
    given = nomination().given(*ABSENT_UNEXCUSED)
    decision = given.when(command, BUREAU, on(12, 1), with_restriction()).then(OutcomeCorrected, AbsenceExcused)
    assert isinstance(part(decision, "restriction/")[2][0], RestrictionDropped)
    state = fold((*given.events, *decision.events))
    assert state is not None and (state.phase, state.closed) == ("excused", True)


def test_a_false_excuse_is_taken_back_and_proposes_a_restriction() -> None:
    command = BACK.model_copy(update={"becomes": "absent"})
    given = nomination().given(*HISTORIES["excused"])
    decision = given.when(command, BUREAU, on(12, 1), facts()).then(OutcomeCorrected, ExcuseWindowClosed)
    (proposed,) = part(decision, "restriction/")[2]
    assert isinstance(proposed, RestrictionProposed)
    assert (proposed.ground, proposed.incident_on) == ("absent", ENROLLED.starts)
    state = fold((*given.events, *decision.events))
    assert state is not None and state.phase == "absent" and state.closed and state.restriction == f"{NUMBER}-r1"


def test_a_correction_says_what_is_missing_and_what_is_possible() -> None:
    closed = nomination().given(*CLOSED)
    nothing = BACK.model_copy(update={"becomes": "completed"})
    closed.when(nothing, BUREAU, on(12, 1), facts()).refused("completion_incomplete")
    no_reasons = BACK.model_copy(update={"becomes": "not-completed"})
    closed.when(no_reasons, BUREAU, on(12, 1), facts()).refused("reasons_missing")
    closed.when(BACK.model_copy(update={"becomes": "excused"}), BUREAU, on(12, 1), facts()).refused(
        "correction_impossible"
    )
    few = TO_COMPLETED.model_copy(update={"centralised_days": 3})
    closed.when(few, BUREAU, on(12, 1), facts()).refused("centralised_days_short")
    for actor in (HOST, COUNTY):
        closed.when(BACK, actor, on(12, 1), facts()).refused("not_your_part")
    nomination().given(*SELECTED).when(BACK, BUREAU, on(12, 1), facts()).refused("not_allowed_in_phase")


@pytest.mark.parametrize(("phase", "becomes"), [(was, to) for was, possible in CORRECTIONS.items() for to in possible])
def test_every_possible_correction_leads_to_what_it_names(phase: str, becomes: str) -> None:
    history = {**HISTORIES, "completed": (*IN_TRAINING, COMPLETED)}[phase]
    command = TO_COMPLETED.model_copy(update={"becomes": becomes, "reasons": ("late",)})
    given = nomination().given(*history)
    outcome = given.when(command, BUREAU, on(12, 1), facts()).outcome
    assert isinstance(outcome, Decision), outcome
    state = fold((*given.events, *outcome.events))
    assert state is not None
    assert state.phase == ("following-up" if becomes == "completed" else becomes)
    assert len({each.stream for each in outcome.others}) == len(outcome.others), "a stream is written once"


def test_case_51_55_a_certificate_is_issued_anew_for_a_corrected_name() -> None:
    command = ReissueCertificate(reason="name", document="doc 6")
    given = nomination().given(*CLOSED)
    decision = given.when(command, HOST, on(12, 1), facts()).then(CertificateReissued)
    reissued = decision.events[0]
    assert isinstance(reissued, CertificateReissued)
    assert (reissued.certificate, reissued.supersedes) == (f"{NUMBER}-c2", f"{NUMBER}-c1")
    state = fold((*given.events, *decision.events))
    assert state is not None and state.phase == "closed" and state.certificate == f"{NUMBER}-c2"
    given.when(command, OTHER_HOST, on(12, 1), facts()).refused("not_your_part")


@pytest.mark.parametrize("phase", HISTORIES)
def test_case_70_a_late_answer_is_recorded_and_moves_nothing(phase: str) -> None:
    given = nomination().given(*HISTORIES[phase])
    command = RecordLateAnswer(answer="completed", said_on=ENDS, document="letter 9")
    decision = given.when(command, COUNTY, on(12, 30), facts()).then(LateAnswerRecorded)
    assert decision.claims == () and decision.others == () and decision.starts == ()
    assert fold((*given.events, *decision.events)) == fold(given.events)


@pytest.mark.parametrize("said_on", [date(2022, 8, 25), date(2022, 12, 31), date(9999, 12, 31)])
def test_an_answer_is_dated_between_the_nomination_and_today(said_on: date) -> None:
    given = nomination().given(*HISTORIES["absent"])
    command = RecordLateAnswer(answer="hospital", said_on=said_on, document="letter 9")
    refusal = given.when(command, COUNTY, on(12, 30), facts()).refused("answer_dated_wrong")
    assert refusal.reasons[0].field == "/said_on"
    for day in (date(2022, 8, 26), date(2022, 12, 30)):
        in_time = command.model_copy(update={"said_on": day})
        given.when(in_time, COUNTY, on(12, 30), facts()).then(LateAnswerRecorded)


def test_a_closed_case_names_what_is_still_possible() -> None:
    state = fold(CLOSED)
    assert state is not None and state.closed
    assert allowed_commands(state) == ["correct", "reissue-certificate", "record-late-answer"]
