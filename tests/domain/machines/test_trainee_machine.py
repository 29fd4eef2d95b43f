"""Random lives of a nomination: commands by anybody at any time, classes that change under it, crashes.

What always holds is said by the invariants' names and sentences. The case is decided as the ledger's activity decides
it, on the class as its own rules have left it; what is real elsewhere (claims, races) is in `test_ledger_machine`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from hypothesis.stateful import invariant

from docgen.lifecycles.exploring import Situation
from docgen.lifecycles.plan import ACTORS, CAMPAIGN, NUMBER, THE_PLAN
from docgen.lifecycles.trainee import COMMANDS, EXAMPLES, TRAINEE
from docgen.lifecycles.trainee_events import CLASS, OTHER_CLASS, STARTS
from docgen.lifecycles.trainee_situations import KNOWN, PLANNED, SITUATIONS
from domain import bulletin, trainee, training_class
from domain.certificate import certificates
from domain.decision import (
    Actor,
    Block,
    Clear,
    Command,
    Context,
    Count,
    Decision,
    Event,
    Refusal,
    Release,
    Role,
    StreamEvents,
    Take,
)
from domain.numbers import active_key, quota_number
from domain.restriction_messages import RestrictionProposed
from domain.seat_rules import offers_end
from domain.trainee_class_messages import ChangeClass, FollowClass
from domain.trainee_context import Facts
from domain.trainee_correction_messages import NominationFrozen, NominationResumed, Resume
from domain.trainee_messages import (
    EVENTS,
    Approve,
    Confirm,
    Enroll,
    ExcuseWindowClosed,
    Lapse,
    Nominate,
    PassDeadline,
    Register,
)
from domain.trainee_outcome_messages import (
    Complete,
    ReviewFollowUp,
    SubmitFollowUp,
    TraineeDismissed,
    TrainingNotCompleted,
)
from domain.trainee_seat_messages import ReassignHost, SubstituteNamed, Waitlist
from domain.trainee_state import BEFORE_REGISTRATION, Trainee, case_of, evolve, fold
from domain.training_class import fold as fold_class
from domain.training_days import DaysCredited, DaysReversed
from projections.rows import Row
from projections.trainee_view import TRAINEES
from tests.domain.machines.walking import (
    EDGES,
    WalkOfOne,
    assert_well_refused,
    recorded,
    steps_drawn,
    walks,
)

DRAWN = steps_drawn(TRAINEE)
PLACED = ("enrolled", "confirmed", "in-training", "absent", "excused", "dismissed", "not-completed")
PLACED_FOR_GOOD = (*PLACED, "completed", "following-up", "closed")
CAUSES = (ExcuseWindowClosed, TraineeDismissed, TrainingNotCompleted)
NEXT_STEP: dict[str, tuple[Command, Role]] = {
    "nominated": (Approve(), "county"),
    "county-approved": (Approve(host="h001"), "bureau"),
    "selected": (Enroll(training_class=CLASS), "host"),
    "enrolled": (Confirm(), "school"),
    "confirmed": (Register(), "host"),
    "in-training": (Complete(centralised_days=7, hours=50), "host"),
    "following-up": (SubmitFollowUp(evidence="lesson 7"), "school"),
}
STRANGERS = (
    Actor(organisation="410182", role="county"),
    Actor(organisation="410182-s01", role="school"),
    Actor(organisation="h002", role="host"),
)
ANYBODY = [*(each for role, each in ACTORS.items() if role != "teacher"), *STRANGERS]
NOMINATORS = [ACTORS["school"], ACTORS["county"]]
STEPS = [(each, ACTORS[role]) for each in EXAMPLES for role in trainee.LIFECYCLE[type(each)].roles]


class TraineeMachine(WalkOfOne[Trainee]):
    """One nomination, the two classes it may be in, and what it has claimed."""

    catalogue = EVENTS
    happenings = MappingProxyType(
        {
            "something_possible_happens": 12,
            "somebody_sends_a_command": 3,
            "the_case_goes_its_way": 3,
            "time_passes": 2,
            "the_deadline_comes": 2,
            "the_host_changes_a_class": 2,
            "a_class_goes_on": 1,
            "a_restriction_freezes_the_case_or_is_reversed": 1,
            "the_host_is_removed": 1,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2022, 8, 26, 2, tzinfo=UTC)
        self.classes: dict[str, list[Event]] = {CLASS: [], OTHER_CLASS: []}
        self.counts: Counter[str] = Counter()
        self.holds: set[str] = set()
        self.ever_held: Counter[str] = Counter()
        self.others: list[StreamEvents] = []
        self.days: list[Event] = []
        self.removed_hosts: dict[str, str] = {}
        self.row: Row | None = None

    # ------------------------------------------------------------------------------------------------ the beginning

    def begins(self) -> None:
        """With a new nomination, or in a situation of docs/commands-and-states.md: a random walk alone goes not far."""
        situation: Situation | None = self.dice.choice([None, *(each for each in SITUATIONS if each.events)])
        if situation is not None:
            self.now = situation.at
            self.taken_over(situation.events)
        for number, starts in ((CLASS, STARTS), (OTHER_CLASS, date(2022, 10, 24))):
            dates = {"starts": starts, "ends": starts + timedelta(days=6)}
            about = {"project_type": self.state.project_type if self.state is not None else "gp5"}
            self.classes[number] = [PLANNED.model_copy(update=dates | about)]
        if situation is None:
            (example,) = (each for each in EXAMPLES if isinstance(each, Nominate))
            changes = {each: self.dice.random() < 0.3 for each in ("self_nominated", "name_differs")}
            outcome = self.decided(example.model_copy(update=changes), self.dice.choice(NOMINATORS))
            assert isinstance(outcome, Decision)
            self.taken_in(outcome, "nominate")

    def taken_over(self, events: Sequence[Event]) -> None:
        """The case as it is found, with what it must have claimed to be there."""
        for event in events:
            self.appended_by_another(event)
        state = self.known
        self.counts["seat"] = int(state.seat_held)
        if state.phase in PLACED_FOR_GOOD:
            self.counts[f"class-seat:{state.training_class}"] = 1
        if state.phase not in ("rejected", "withdrawn"):
            self.holds.add(active_key(state.person, CAMPAIGN, state.project_type))
        self.ever_held.update(f"certificate:{number}" for number in certificates((e, STARTS) for e in events))
        if state.credit is not None:
            credit = state.credit
            entry = DaysCredited(
                person=state.person,
                cycle=credit.cycle,
                campaign=CAMPAIGN,
                trainee=NUMBER,
                project_type=state.project_type,
                starts=STARTS,
                centralised_days=credit.centralised_days,
                online_days=credit.online_days,
                hours=credit.hours,
                certificate=state.certificate,
            )
            self.days.append(entry)

    # ------------------------------------------------------------------------------------------------------- rules

    def time_passes(self) -> None:
        self.now += self.some_pause()

    def the_deadline_comes(self) -> None:
        if self.case.deadline is not None:
            self.now = max(self.now, self.case.deadline + self.dice.choice(EDGES))
            self.sent(PassDeadline(), ACTORS["system"])

    def somebody_sends_a_command(self) -> None:
        self.sent(self.dice.choice(EXAMPLES), self.dice.choice(ANYBODY))

    def something_possible_happens(self) -> None:
        for command, by in self.in_some_order(STEPS):
            if isinstance(self.sent(command, by), Decision):
                return

    def the_case_goes_its_way(self) -> None:
        """The next steps of the main road, each at the moment at which it is possible."""
        for _ in range(self.dice.randint(1, 8)):
            self.next_step()

    def next_step(self) -> None:
        """The step that is usual in this phase, at the moment at which it is possible."""
        state = self.known
        if state.phase not in NEXT_STEP:
            return
        if state.phase in ("confirmed", "in-training") and state.ends is not None:
            self.now = max(self.now, datetime(state.ends.year, state.ends.month, state.ends.day, 2, tzinfo=UTC))
        command, role = NEXT_STEP[state.phase]
        if state.follow_up_submitted:
            command, role = ReviewFollowUp(accepted=True), "host"
        self.sent(command, ACTORS["bureau"] if state.approver == "city" and role == "county" else ACTORS[role])

    def the_host_changes_a_class(self) -> None:
        number = self.class_of(own=self.dice.random() < 0.8)
        other = OTHER_CLASS if number == CLASS else CLASS
        starts = (self.now + timedelta(days=9)).date()
        commands: list[Command] = [
            training_class.MovePlace(place=f"{self.now:%m%d} 号楼", reason="repairs"),
            training_class.Postpone(starts=starts, ends=starts + timedelta(days=6), reason="repairs"),
            training_class.GoOnline(centralised_days=2, reason="an epidemic"),
            training_class.Merge(into=other, reason="too few"),
            training_class.Split(into=other, trainees=(NUMBER,), reason="too many"),
            training_class.Cancel(reason="flood"),
        ]
        self.the_host_decides(number, self.dice.choice(commands))

    def a_class_goes_on(self) -> None:
        """Its own dates come, and its host confirms the list."""
        number = self.class_of(own=self.dice.random() < 0.8)
        self.the_host_decides(number, training_class.PassClassDeadline(), ACTORS["system"])
        self.the_host_decides(number, training_class.ConfirmCheckIn())

    def a_restriction_freezes_the_case_or_is_reversed(self) -> None:
        if self.known.phase in BEFORE_REGISTRATION:
            frozen = self.known.frozen_until is not None
            thawed = NominationResumed(by="bureau:zzedu")
            self.appended_by_another(thawed if frozen else NominationFrozen(until=date(2025, 9, 1)))

    def the_host_is_removed(self) -> None:
        self.removed_hosts = {"h001": "h004"}

    def folded(self, events: Iterable[Event]) -> Trainee | None:
        return fold(events)

    def the_system_crashes(self) -> None:
        """The views are built anew, too."""
        super().the_system_crashes()
        self.row = None
        for event in recorded(self.events, f"trainee/{NUMBER}", CAMPAIGN, self.now):
            self.row = TRAINEES.apply(self.row, event)

    def teardown(self) -> None:
        super().teardown()
        if self.state is not None:
            self.every_rate_can_be_counted_again_from_the_events_alone()

    # -------------------------------------------------------------------------------------------- how it is decided

    @property
    def case(self) -> Any:
        return case_of(NUMBER, self.known)

    def class_of(self, own: bool) -> str:
        return (self.state.training_class if own and self.state else "") or CLASS

    def the_host_decides(self, number: str, command: Command, by: Actor | None = None) -> None:
        other = OTHER_CLASS if number == CLASS else CLASS
        registered = int(self.state is not None and self.state.phase == "in-training")
        facts = training_class.Facts(
            THE_PLAN, registered=registered, members=frozenset({NUMBER}), other=fold_class(self.classes[other])
        )
        context = Context(number, by or ACTORS["host"], facts, self.now)
        outcome = training_class.decide(fold_class(self.classes[number]), command, context)
        if isinstance(outcome, Decision):
            self.classes[number] += outcome.events

    def facts(self, command: Command) -> Facts:
        """What `activities.processes` reads for the command."""
        named = command.training_class if isinstance(command, Enroll | ChangeClass) else self.class_of(own=True)
        current = fold_class(self.classes[named])
        into = current.destination_of(NUMBER) if current is not None and isinstance(command, FollowClass) else ""
        return replace(
            KNOWN,
            training_class=current,
            destination=fold_class(self.classes[into]) if into else None,
            days_version=len(self.days),
            restriction=None if not isinstance(command, Resume) else KNOWN.restriction,
            removed_hosts=self.removed_hosts if isinstance(command, Approve | Lapse | ReassignHost) else {},
        )

    def decided(self, command: Command, by: Actor) -> Decision | Refusal:
        context = Context(NUMBER, by, self.facts(command), self.now)
        outcome = trainee.decide(self.state, command, context)
        again = trainee.decide(self.state, command, context)
        assert outcome == again, "a repeated command is answered as the first time"
        return outcome

    def sent(self, command: Command, by: Actor) -> Decision | Refusal:
        outcome = self.decided(command, by)
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return outcome
        assert by not in STRANGERS, f"{by} may do nothing here"
        self.taken_in(outcome, command.name)
        return outcome

    def appended_by_another(self, event: Event) -> None:
        self.events.append(event)
        self.state = evolve(self.state, event)
        (stored,) = recorded([event], f"trainee/{NUMBER}", CAMPAIGN, self.now, first=len(self.events))
        self.row = TRAINEES.apply(self.row, stored)

    def taken_in(self, decision: Decision, command: str) -> None:
        """Everything that the append does, in the ledger's terms."""
        before, armed_before = self.state, self.case.deadline if self.state is not None else None
        for event in decision.events:
            self.appended_by_another(event)
        if before is not None:
            assert (command, before.phase, self.known.phase) in DRAWN, (command, before.phase, self.known.phase)
        self.claimed(decision)
        self.others += decision.others
        self.days += [
            each for part in decision.others if part.stream.startswith("training-days/") for each in part.events
        ]
        self.follows_from(decision, command)
        deadline = self.case.deadline
        if deadline is not None and deadline != armed_before:
            assert deadline > self.now, f"{command} arms a deadline that has passed: {deadline} at {self.now}"

    def claimed(self, decision: Decision) -> None:
        for claim in decision.claims:
            match claim:
                case Count(key, delta):
                    name = key if key.startswith("class-seat:") else "seat"
                    self.counts[name] += delta
                    assert self.counts[name] >= 0, f"{name} is given back twice"
                case Take(key, owner):
                    assert key not in self.holds or key.startswith("active:")
                    self.ever_held[key] += 1
                    if owner == NUMBER:
                        self.holds.add(key)
                case Release(key, _):
                    self.holds.discard(key)
                case _:
                    assert isinstance(claim, Clear), f"a nomination claims no {claim}"
        if any(isinstance(each, SubstituteNamed) for each in decision.events):
            self.counts["seat"] -= 1  # It is in the substitute's hand now.

    def follows_from(self, decision: Decision, command: str) -> None:
        causes = [each for each in decision.events if isinstance(each, CAUSES)]
        proposed = [each for part in decision.others for each in part.events if isinstance(each, RestrictionProposed)]
        assert len(causes) == len(proposed), "a restriction is proposed for a cause, and every cause proposes one"
        assert not any(isinstance(claim, Block) for claim in decision.claims), "nobody is barred by a nomination"
        freed = any(isinstance(each, Count) and each.delta < 0 and "class" not in each.key for each in decision.claims)
        if freed and self.now < offers_end(THE_PLAN, self.known.project_type):
            line = quota_number(CAMPAIGN, f"{self.known.project_type}:410181")
            assert line in {each.number for each in decision.starts}, f"{command} frees a seat and tells nobody"

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def a_seat_is_counted_once_and_held_by_whoever_counts_it(self) -> None:
        if self.state is not None:
            assert self.counts["seat"] == int(self.state.seat_held)

    @invariant()
    def a_place_in_a_class_is_counted_once_in_the_class_where_he_is(self) -> None:
        if self.state is not None:
            there = {f"class-seat:{self.state.training_class}": 1} if self.state.phase in PLACED_FOR_GOOD else {}
            assert {key: n for key, n in self.counts.items() if n and key != "seat"} == there

    @invariant()
    def a_person_has_one_live_nomination_and_gives_it_back_when_it_ends_early(self) -> None:
        if self.state is not None:
            active = [key for key in self.holds if key.startswith("active:")]
            assert bool(active) == (self.state.phase not in ("rejected", "withdrawn"))

    @invariant()
    def whoever_is_closed_waits_for_nothing_and_everybody_else_for_something(self) -> None:
        if self.state is not None:
            case = self.case
            assert bool(case.waiting_for) != case.closed, case
            assert not (case.closed and case.deadline)
            assert not (case.timer and case.deadline is None)

    @invariant()
    def a_timer_that_rings_is_answered_and_does_not_ring_again(self) -> None:
        if self.state is None or not self.case.timer:
            return
        due = max(self.case.deadline, self.now)
        outcome = trainee.decide(
            self.state, PassDeadline(), Context(NUMBER, ACTORS["system"], self.facts(PassDeadline()), due)
        )
        assert isinstance(outcome, Decision), f"the timer of {self.state.phase} rings in vain: {outcome}"
        after = case_of(NUMBER, self.folded_on(outcome.events))
        assert after.deadline is None or after.deadline > due

    @invariant()
    def every_rate_can_be_counted_again_from_the_events_alone(self) -> None:
        row, record = self.row, bulletin.case_record(self.events)
        if row is None or record is None:
            return
        assert record == bulletin.CaseRecord(
            county=row["county"],
            host=row["host"],
            **{flag: row.get(f"{flag}_at") is not None for flag in _FLAGS},
        )
        (counted,) = bulletin.county_rows((), (record,))
        assert counted.completed <= counted.registered <= counted.confirmed <= counted.nominated == 1

    @invariant()
    def of_all_certificates_at_most_one_is_valid_and_no_number_comes_twice(self) -> None:
        issued = certificates((event, date(2022, 10, 20)) for event in self.events)
        valid = [each.number for each in issued.values() if each.status == "valid"]
        assert valid == ([self.state.certificate] if self.state and self.state.certificate else [])
        assert all(count == 1 for key, count in self.ever_held.items() if key.startswith("certificate:"))

    @invariant()
    def the_days_that_stand_are_those_of_the_completion_that_stands(self) -> None:
        if self.state is None:
            return
        total = [0, 0, 0]
        for entry in self.days:
            assert isinstance(entry, DaysCredited | DaysReversed)
            total = [
                total[0] + entry.centralised_days,
                total[1] + entry.online_days,
                total[2] + entry.hours,
            ]
        credit = self.state.credit
        assert total == ([credit.centralised_days, credit.online_days, credit.hours] if credit else [0, 0, 0])

    @invariant()
    def a_frozen_case_still_takes_what_its_class_and_its_campaign_owe_it(self) -> None:
        state = self.state
        if state is None or state.frozen_until is None or state.phase not in ("enrolled", "confirmed"):
            return
        outcome = self.decided(FollowClass(), ACTORS["system"])
        assert isinstance(outcome, Decision) or outcome.code != "nomination_frozen"

    @invariant()
    def a_task_that_was_handed_in_is_never_overdue(self) -> None:
        if self.state is not None and self.state.phase == "following-up" and self.state.follow_up_submitted:
            assert self.state.deadline is None

    @invariant()
    def nobody_waits_for_a_seat_that_he_has(self) -> None:
        if self.state is not None and self.state.phase == "nominated" and self.state.seat_held:
            outcome = self.decided(Waitlist(), ACTORS["county"])
            assert isinstance(outcome, Refusal)

    def folded_on(self, events: Sequence[Event]) -> Trainee:
        after = fold((*self.events, *events))
        assert after is not None
        return after


_FLAGS = (
    "selected",
    "given_up",
    "enrolled",
    "confirmed",
    "registered",
    "no_show",
    "excused",
    "completed",
    "dismissed",
    "not_completed",
)

TestTraineeMachine = TraineeMachine.TestCase
TestTraineeMachine.settings = walks(examples=120, steps=25)


def test_the_walk_knows_every_command() -> None:
    assert {each.name for each in EXAMPLES} == set(COMMANDS)
