"""Every command in every phase by everybody, and random lives of a class: what always holds, as sentences."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import training_class
from domain.decision import SYSTEM, Actor, Command, Context, Decision, Event, Refusal
from domain.training_class import (
    COMMANDS,
    LIFECYCLE,
    AbsencesRecorded,
    Announce,
    Cancel,
    ChangeCapacity,
    ClassAnnounced,
    ClassCancelled,
    ClassClosed,
    ClassMerged,
    ClassPostponed,
    ClassReported,
    ConfirmCheckIn,
    Facts,
    GoOnline,
    Merge,
    MovePlace,
    PassClassDeadline,
    Postpone,
    RecordAbsences,
    RecordChangeTold,
    RecordDuties,
    Report,
    SetTimetable,
    Split,
    case_of,
    fold,
)
from domain.training_class_messages import Session, StaffDuty
from domain.training_class_state import OVER, TrainingClass
from tests.domain.test_training_class import (
    CHECKED_IN,
    FACTS,
    HOST,
    NUMBER,
    OPENED,
    OTHER_HOST,
    PLAN_CLASS,
    PLANNED,
    on,
)

TRAINEE = "zz22-410181-00001"
OTHER = "zz22-c-h001-02"
TARGET = fold((PLANNED,))
KNOWN = replace(FACTS, other=TARGET, members=frozenset({TRAINEE}))
EXAMPLES: dict[str, Command] = {
    "plan": PLAN_CLASS,
    "announce": Announce(),
    "confirm-check-in": ConfirmCheckIn(),
    "record-absences": RecordAbsences(),
    "report": Report(),
    "pass-deadline": PassClassDeadline(),
    "postpone": Postpone(starts=date(2023, 1, 9), ends=date(2023, 1, 15), reason="x"),
    "move": MovePlace(place="新郑", reason="x"),
    "go-online": GoOnline(centralised_days=2, reason="x"),
    "merge": Merge(into=OTHER, reason="x"),
    "split": Split(into=OTHER, trainees=(TRAINEE,), reason="x"),
    "cancel": Cancel(reason="x"),
    "record-change-told": RecordChangeTold(revision=1),
    "change-capacity": ChangeCapacity(capacity=30),
    "set-timetable": SetTimetable(sessions=(Session(day=date(2022, 10, 10), session="morning", units=4),)),
    "record-duties": RecordDuties(duties=(StaffDuty(staff="t-07", duty="head", hours=20),)),
}
RUN = (*OPENED, CHECKED_IN, AbsencesRecorded())
HISTORIES: dict[str, tuple[Event, ...]] = {
    "planned": (PLANNED,),
    "announced": (PLANNED, ClassAnnounced(by="h")),
    "registration-open": OPENED,
    "running": RUN,
    "closed": (*RUN, ClassClosed()),
    "reported": (*RUN, ClassClosed(), ClassReported(by="h")),
    "merged": (PLANNED, ClassMerged(by="h", reason="x", into=OTHER)),
    "cancelled": (*RUN, ClassCancelled(by="h", reason="x")),
}
ACTORS = (
    HOST,
    OTHER_HOST,
    SYSTEM,
    Actor(organisation="zzedu", role="bureau"),
    Actor(organisation="410181", role="county"),
    Actor(organisation="410181-s01", role="school"),
)


def test_the_examples_are_all_commands() -> None:
    assert set(EXAMPLES) == set(COMMANDS.names())


@pytest.mark.parametrize("phase", HISTORIES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_command_in_every_phase_by_everybody_is_decided(name: str, phase: str) -> None:
    state = fold(HISTORIES[phase])
    assert state is not None and state.phase == phase
    step = LIFECYCLE[type(EXAMPLES[name])]
    for actor in ACTORS:
        outcome = training_class.decide(state, EXAMPLES[name], Context(NUMBER, actor, KNOWN, on(12, 30)))
        if isinstance(outcome, Decision):
            assert phase in step.phases and actor.role in step.roles and actor != OTHER_HOST
            assert fold((*HISTORIES[phase], *outcome.events)) is not None
        else:
            assert isinstance(outcome, Refusal)


# ------------------------------------------------------------------------------------------------- random lives

STEPS = st.lists(
    st.tuples(
        st.sampled_from([*EXAMPLES, *["pass-deadline"] * 4, *["record-change-told"] * 2]),
        st.integers(0, 9).map(lambda days: timedelta(days=days)),
        st.integers(0, 40),
    ),
    max_size=30,
)


def command_of(name: str, state: TrainingClass, now: datetime, shift: int) -> Command:
    """The example, with dates and a revision that fit the moment often enough."""
    if name == "postpone":
        starts = now.date() + timedelta(days=shift - 3)
        return Postpone(starts=starts, ends=starts + timedelta(days=shift % 8), reason="x")
    if name == "record-change-told":
        return RecordChangeTold(revision=max(1, state.revision - shift % 2))
    return EXAMPLES[name]


@settings(deadline=None, max_examples=300)
@given(STEPS)
def test_whatever_happens_to_a_class_these_sentences_hold(steps: list[tuple[str, timedelta, int]]) -> None:
    state = fold((PLANNED,))
    assert state is not None
    now = on(9, 10)
    for name, pause, shift in steps:
        now += pause
        actor = SYSTEM if LIFECYCLE[type(EXAMPLES[name])].roles == ("system",) else HOST
        known: Facts = KNOWN
        outcome = training_class.decide(state, command_of(name, state, now, shift), Context(NUMBER, actor, known, now))
        if isinstance(outcome, Refusal):
            assert all(each.zh and each.en and each.remedy_zh and each.remedy_en for each in outcome.reasons)
            continue
        before = state
        for event in outcome.events:
            state = training_class.evolve(state, event)
            if isinstance(event, ClassPostponed):
                # A date that is armed anew lies in the future.
                assert all(item.at > now for item in state.agenda)
        what_always_holds(before, state)


def what_always_holds(before: TrainingClass, after: TrainingClass) -> None:
    case = case_of(NUMBER, after)
    # A class that is over stays over, keeps no date, and is closed once it owes nobody a visit.
    assert before.phase not in OVER or after.phase == before.phase
    assert not (after.phase in OVER and case.deadline is not None)
    assert case.closed == (after.phase in OVER and case.reach is None)
    # Trainees are told of the newest change, never of one that has not happened.
    assert before.told <= after.told <= after.revision
    assert (case.reach is not None and case.reach.done_by == "record-change-told") == (after.told < after.revision)
    # Nobody is placed where check-in is over, and no class offers more centralised days than it has.
    assert not (after.takes_trainees and after.check_in_confirmed_at is not None)
    assert 0 <= after.centralised_days_held <= after.days
    # The workflow waits in every phase that a class can be in.
    assert after.phase in {"planned", "announced", "registration-open", "running", "closed", *OVER}
