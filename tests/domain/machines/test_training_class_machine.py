"""Random lives of a class: changes of plan, dates that come late and all at once, trainees still to be reached."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from hypothesis.stateful import invariant

from docgen.lifecycles.plan import ACTORS, THE_PLAN
from docgen.lifecycles.trainee_events import CLASS
from docgen.lifecycles.training_class import EXAMPLES, PLANNED, TRAINEE, TRAINING_CLASS
from domain import training_class
from domain.decision import Actor, Case, Command, Context, Decision, Event, Limit, Refusal
from domain.numbers import class_seat_key
from domain.training_class import (
    EVENTS,
    ClassReminderSent,
    Facts,
    PassClassDeadline,
    PlanClass,
    Postpone,
    RecordAbsences,
    RecordChangeTold,
    TrainingClass,
    case_of,
    evolve,
    fold,
)
from domain.training_class_state import OVER
from tests.domain.machines.walking import EDGES, WalkOfOne, assert_well_refused, steps_drawn, walks

DRAWN = steps_drawn(TRAINING_CLASS)
STRANGERS = (Actor(organisation="h002", role="host"), ACTORS["county"], ACTORS["school"], ACTORS["bureau"])
TARGET = fold((PLANNED,))


class TrainingClassMachine(WalkOfOne[TrainingClass]):
    """One class of a host, another one that takes its trainees, and how many have arrived."""

    catalogue = EVENTS
    happenings = MappingProxyType(
        {
            "something_possible_happens": 6,
            "somebody_sends_a_command": 2,
            "the_host_postpones": 2,
            "time_passes": 2,
            "the_deadline_comes": 4,
            "everybody_is_reached": 2,
            "trainees_come_and_go": 1,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2022, 8, 30, 2, tzinfo=UTC)
        self.limit = 0
        self.registered = 0
        self.without_outcome = 0

    def begins(self) -> None:
        self.now += timedelta(days=self.dice.randint(0, 40))
        starts = self.now.date() + timedelta(days=self.dice.randint(0, 60))
        (example,) = (each for each in EXAMPLES if isinstance(each, PlanClass))
        dates = {"starts": starts, "ends": starts + timedelta(days=self.dice.randint(0, 14))}
        outcome = self.sent(example.model_copy(update=dates), ACTORS["host"])
        assert isinstance(outcome, Decision)

    def time_passes(self) -> None:
        self.now += self.some_pause()

    def the_deadline_comes(self) -> None:
        if self.case.deadline is not None:
            self.now = max(self.now, self.case.deadline + self.dice.choice(EDGES))
            self.sent(PassClassDeadline(), ACTORS["system"])

    def somebody_sends_a_command(self) -> None:
        self.sent(self.dice.choice(EXAMPLES), self.dice.choice([ACTORS["host"], ACTORS["system"], *STRANGERS]))

    def something_possible_happens(self) -> None:
        for command in self.in_some_order(EXAMPLES):
            by = ACTORS[training_class.LIFECYCLE[type(command)].roles[0]]
            if isinstance(self.sent(command, by), Decision):
                return

    def the_host_postpones(self) -> None:
        starts = self.now.date() + timedelta(days=self.dice.randint(-3, 40))
        ends = starts + timedelta(days=self.dice.randint(0, 14))
        self.sent(Postpone(starts=starts, ends=ends, reason="repairs"), ACTORS["host"])

    def everybody_is_reached(self) -> None:
        """What the workflow does by itself: it pages the trainees, and says so."""
        reach = self.case.reach
        if reach is None:
            return
        told = RecordChangeTold.name == reach.done_by
        command = RecordChangeTold.model_validate(reach.done_body) if told else RecordAbsences()
        outcome = self.sent(command, ACTORS["system"])
        assert isinstance(outcome, Decision), f"the class can never say that everybody was reached: {outcome}"

    def trainees_come_and_go(self) -> None:
        begun = self.known.phase in ("registration-open", "running")
        self.registered = self.dice.randint(0, 2) if begun else 0
        self.without_outcome = self.dice.randint(0, 2)

    def folded(self, events: Iterable[Event]) -> TrainingClass | None:
        return fold(events)

    # -------------------------------------------------------------------------------------------- how it is decided

    @property
    def case(self) -> Case:
        return case_of(CLASS, self.known)

    def facts(self) -> Facts:
        return Facts(
            THE_PLAN,
            without_outcome=self.without_outcome,
            registered=self.registered,
            members=frozenset({TRAINEE}),
            other=TARGET,
        )

    def sent(self, command: Command, by: Actor) -> Decision | Refusal:
        context = Context(CLASS, by, self.facts(), self.now)
        outcome = training_class.decide(self.state, command, context)
        assert outcome == training_class.decide(self.state, command, context), "a repetition is answered as before"
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return outcome
        assert by not in STRANGERS, f"{by} may do nothing here"
        before = self.state
        self.events += outcome.events
        for event in outcome.events:
            self.state = evolve(self.state, event)
        phase = before.phase if before is not None else ""
        if not isinstance(command, PassClassDeadline):
            # Dates that come all at once take a class through several phases in one step.
            assert (command.name, phase, self.known.phase) in DRAWN, "the step is not in docs/state-machines.md"
        self.what_follows(before, command, outcome)
        return outcome

    def what_follows(self, before: TrainingClass | None, command: Command, outcome: Decision) -> None:
        for claim in outcome.claims:
            assert isinstance(claim, Limit) and claim.key == class_seat_key(CLASS)
            self.limit = claim.limit
        if before is None or self.known.agenda != before.agenda:
            begun = [item.key for item in self.known.agenda if item.at <= self.now]
            # One that is planned on its first day, or after it, is caught up with at once.
            assert not begun or (begun == ["open"] and isinstance(command, PlanClass)), command.name
        if before is not None and before.phase in OVER:
            assert self.known.phase == before.phase, "a class that is over stays over"
        for event, stale in ((each, each.stale) for each in outcome.events if isinstance(each, ClassReminderSent)):
            told = [each for each in outcome.notices if each.type == event.type]
            assert stale or told, "a reminder that is not stale reaches the host"
            opens = next(item.at for item in self.known.agenda if item.key == "open")
            assert stale or self.now < opens, "nobody is told that a class begins after it has begun"

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def the_places_that_are_claimed_are_those_of_the_class(self) -> None:
        if self.state is not None:
            assert self.limit == self.state.capacity

    @invariant()
    def whoever_is_over_and_owes_nobody_waits_for_nothing(self) -> None:
        if self.state is not None:
            case = self.case
            assert case.closed == (self.state.phase in OVER and case.reach is None)
            assert bool(case.waiting_for) or case.closed, case
            assert not (self.state.phase in OVER and case.deadline)

    @invariant()
    def a_timer_that_rings_is_answered_and_does_not_ring_again(self) -> None:
        if self.state is None or self.case.deadline is None:
            return
        due = max(self.case.deadline, self.now)
        outcome = training_class.decide(
            self.state, PassClassDeadline(), Context(CLASS, ACTORS["system"], self.facts(), due)
        )
        assert isinstance(outcome, Decision), outcome
        after = fold((*self.events, *outcome.events))
        assert after is not None
        deadline = case_of(CLASS, after).deadline
        assert deadline is None or deadline > due

    @invariant()
    def nobody_is_absent_before_the_host_has_confirmed_its_list(self) -> None:
        if self.state is not None:
            assert not self.state.absences_recorded or self.state.check_in_confirmed_at is not None

    @invariant()
    def trainees_are_told_of_the_newest_change_and_never_of_one_that_has_not_happened(self) -> None:
        if self.state is not None:
            assert 0 <= self.state.told <= self.state.revision

    @invariant()
    def nobody_is_placed_where_check_in_is_over(self) -> None:
        if self.state is not None and self.state.takes_trainees:
            assert self.state.check_in_confirmed_at is None and self.state.phase not in OVER

    @invariant()
    def it_offers_no_more_days_than_it_has_and_no_session_outside(self) -> None:
        if self.state is not None:
            assert 0 <= self.state.centralised_days_held <= self.state.days
            assert all(self.state.starts <= each.day <= self.state.ends for each in self.state.timetable)


TestTrainingClassMachine = TrainingClassMachine.TestCase
TestTrainingClassMachine.settings = walks(examples=60, steps=25)


def test_the_plan_of_the_walk_lies_within_the_campaign() -> None:
    assert THE_PLAN.dates.opens <= date(2022, 8, 30) <= THE_PLAN.dates.closes
