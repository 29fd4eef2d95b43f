"""Random lives of a restriction: what has to have happened before anybody is barred, and what may happen after."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from types import MappingProxyType

from hypothesis.stateful import invariant

from docgen.lifecycles.plan import ACTORS, THE_PLAN
from docgen.lifecycles.restriction import EXAMPLES, PROPOSED, RESTRICTING
from docgen.lifecycles.trainee_events import PERSON, RESTRICTION
from domain import calendar, restriction
from domain.calendar import add_calendar_years
from domain.decision import Actor, Block, Command, Context, Decision, Event, Refusal, Unblock
from domain.numbers import restriction_key
from domain.plan import Plan
from domain.restriction import Facts, Restriction, case_of, evolve, fold
from domain.restriction_messages import (
    EVENTS,
    Drop,
    Impose,
    PassRestrictionDeadline,
    Record,
    RestrictionDropped,
    RestrictionImposed,
    RestrictionReversed,
    RestrictionServed,
    Serve,
    ServiceFailed,
    WaiverUsed,
)
from domain.restriction_state import InFlight, Waiver
from tests.domain.machines.walking import EDGES, WalkOfOne, assert_well_refused, steps_drawn, walks

DRAWN = steps_drawn(RESTRICTING)
STRANGERS = (
    Actor(organisation="410182", role="county"),
    Actor(organisation="410182-s01", role="school"),
    Actor(organisation="zz22-410181-00009-r1", role="teacher"),
)
ANYBODY = [*ACTORS.values(), *STRANGERS]
DECISIONS = [each for each in EXAMPLES if isinstance(each, Impose | Drop)]
STEPS = [(each, ACTORS[role]) for each in EXAMPLES for role in restriction.PROCEDURE[type(each)].roles]
STARTS = ["decision", "incident", "class-start", "service", "appeal"]
SECOND = ["parallel", "stack", "extend"]
LAST_DAY_WITH_A_CALENDAR = datetime(2024, 11, 30, tzinfo=UTC)
"""So far working days can be counted from; until then whatever is not decided yet has been decided."""


def plan_with(restriction_starts: str, second_incident: str) -> Plan:
    return THE_PLAN.model_copy(
        update={
            "rules": THE_PLAN.rules.model_copy(update={"restriction_starts": restriction_starts}),
            "outcomes": THE_PLAN.outcomes.model_copy(update={"second_incident": second_incident}),
        }
    )


class RestrictionMachine(WalkOfOne[Restriction]):
    """One restriction by whatever policy, with another one that the person may have, and nominations under way."""

    catalogue = EVENTS
    happenings = MappingProxyType(
        {
            "something_possible_happens": 8,
            "somebody_sends_a_command": 3,
            "the_procedure_goes_on": 2,
            "time_passes": 2,
            "the_deadline_comes": 3,
            "a_nomination_rests_on_a_waiver": 1,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2022, 10, 12, 2, tzinfo=UTC)
        self.plan = THE_PLAN
        self.barred: list[tuple[date, date]] = []
        self.barred_otherwise: date | None = None
        self.frozen = False
        self.decided_by = ""

    def begins(self) -> None:
        self.plan = plan_with(self.dice.choice(STARTS), self.dice.choice(SECOND))
        self.barred_otherwise = self.dice.choice([None, date(2023, 3, 1), date(2024, 2, 29)])
        self.events.append(PROPOSED)
        self.state = evolve(None, PROPOSED)

    def time_passes(self) -> None:
        pause = self.some_pause()
        self.now = min(self.now + pause, LAST_DAY_WITH_A_CALENDAR) if not self.over else self.now + pause

    def the_deadline_comes(self) -> None:
        if self.known.deadline is not None:
            self.now = max(self.now, self.known.deadline + self.dice.choice(EDGES))

    def somebody_sends_a_command(self) -> None:
        self.sent(self.dice.choice(EXAMPLES), self.dice.choice(ANYBODY))

    def something_possible_happens(self) -> None:
        for command, by in self.in_some_order(STEPS):
            if isinstance(self.sent(command, by), Decision):
                return

    def the_procedure_goes_on(self) -> None:
        """Served, and decided when the window has passed."""
        self.sent(Serve(via="in-person"), ACTORS["county"])
        if self.known.phase in ("served", "objected") and self.known.deadline is not None:
            self.now = max(self.now, self.known.deadline)
        self.sent(self.dice.choice(DECISIONS), ACTORS["bureau"])

    def a_nomination_rests_on_a_waiver(self) -> None:
        """The nomination's own append writes it, at the version that it read (`trainee_waiver`)."""
        for free in (each for each in self.known.waivers if not each.used_by):
            used = WaiverUsed(campaign=free.campaign, project_type=free.project_type, trainee="zz22-410181-00007")
            self.taken_in((used,))

    def folded(self, events: Iterable[Event]) -> Restriction | None:
        return fold(events)

    # -------------------------------------------------------------------------------------------- how it is decided

    @property
    def over(self) -> bool:
        return self.state is not None and (self.state.closed or self.state.phase == "imposed")

    def decided(self, command: Command, by: Actor) -> Decision | Refusal:
        nominations = (InFlight("zz24-410181-00002", "2024-zhengzhou", "410181", 3),)
        asked = isinstance(command, Impose) != self.frozen
        facts = Facts(self.plan, 1, self.barred_otherwise, nominations if asked else ())
        context = Context(RESTRICTION, by, facts, self.now)
        outcome = restriction.decide(self.state, command, context)
        assert outcome == restriction.decide(self.state, command, context), "a repetition is answered as before"
        return outcome

    def sent(self, command: Command, by: Actor) -> Decision | Refusal:
        outcome = self.decided(command, by)
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return outcome
        assert by not in STRANGERS, f"{by} may do nothing here"
        before = self.known
        if isinstance(command, Impose | Drop):
            self.what_has_to_have_happened(before)
        self.taken_in(outcome.events)
        assert (command.name, before.phase, self.known.phase) in DRAWN, "the step is not in docs/state-machines.md"
        self.claimed(outcome)
        self.frozen_and_thawed(command, outcome)
        if self.known.deadline is not None and self.known.deadline != before.deadline:
            assert self.known.deadline > self.now, f"{command.name} arms a deadline that has passed"
        return outcome

    def taken_in(self, events: tuple[Event, ...]) -> None:
        self.events += events
        for event in events:
            self.state = evolve(self.state, event)

    def what_has_to_have_happened(self, before: Restriction) -> None:
        """Nobody is decided on who was not served and whose window has not passed since."""
        services = [each for each in self.events if isinstance(each, RestrictionServed | ServiceFailed)]
        assert services and isinstance(services[-1], RestrictionServed), "decided without service"
        assert self.now >= services[-1].objection_until, "decided before the window had passed"
        assert before.served_on == calendar.local_date(services[-1].served_at)

    def claimed(self, decision: Decision) -> None:
        for claim in decision.claims:
            if isinstance(claim, Block):
                assert claim.key == restriction_key(PERSON) and claim.owner == RESTRICTION
                self.barred.append((claim.start, claim.until))
            else:
                assert isinstance(claim, Unblock) and claim.owner == RESTRICTION
                self.barred.clear()

    def frozen_and_thawed(self, command: Command, decision: Decision) -> None:
        if isinstance(command, Impose):
            self.frozen = bool(decision.others)
            assert self.frozen, "a nomination under way is frozen in the same append"
        elif decision.others:
            self.frozen = False
            assert self.barred_otherwise is None or self.barred_otherwise <= calendar.local_date(self.now)

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def nobody_is_barred_without_service_and_the_decision_of_a_named_person(self) -> None:
        imposed = [each for each in self.events if isinstance(each, RestrictionImposed)]
        assert bool(self.barred) <= bool(imposed)
        for each in imposed:
            assert each.decided_by and each.reasons
            served = [event for event in self.events[: self.events.index(each)] if isinstance(event, RestrictionServed)]
            assert served, "imposed without service"

    @invariant()
    def what_is_barred_is_what_was_decided_and_is_never_computed_again(self) -> None:
        imposed = [each for each in self.events if isinstance(each, RestrictionImposed)]
        assert len(imposed) <= 1
        if not imposed or self.state is None:
            return
        (decided,) = imposed
        reversed_ = any(isinstance(each, RestrictionReversed) for each in self.events)
        assert self.barred == ([] if reversed_ else [(decided.starts, decided.until)])
        assert (self.state.starts, self.state.until) == (decided.starts, decided.until)
        years = 1 if decided.policy.startswith("the earlier") else self.plan.rules.restriction_years
        assert decided.until == add_calendar_years(decided.starts, years)

    @invariant()
    def a_second_restriction_never_shortens_the_first(self) -> None:
        for start, until in self.barred:
            if self.barred_otherwise is not None and self.plan.outcomes.second_incident != "parallel":
                assert until >= self.barred_otherwise or start >= self.barred_otherwise

    @invariant()
    def a_waiver_is_used_once(self) -> None:
        if self.state is not None:
            used = sum(isinstance(each, WaiverUsed) for each in self.events)
            assert used == sum(bool(each.used_by) for each in self.state.waivers)
            free = [each for each in self.state.waivers if not each.used_by]
            assert len(free) == len(set(free)) <= 1

    @invariant()
    def whoever_is_over_waits_for_nothing_and_everything_else_for_something(self) -> None:
        if self.state is not None:
            case = case_of(RESTRICTION, self.state)
            assert bool(case.waiting_for) != case.closed, case
            assert not (case.closed and case.deadline)
            assert case.timer == (case.deadline is not None)

    @invariant()
    def a_timer_that_rings_is_answered_and_does_not_ring_again(self) -> None:
        if self.state is None or self.state.deadline is None:
            return
        due = max(self.state.deadline, self.now)
        facts = Facts(self.plan)
        outcome = restriction.decide(
            self.state, PassRestrictionDeadline(), Context(RESTRICTION, ACTORS["system"], facts, due)
        )
        assert isinstance(outcome, Decision), outcome
        after = fold((*self.events, *outcome.events))
        assert after is not None and (after.deadline is None or after.deadline > due)

    @invariant()
    def it_does_not_matter_whether_the_timer_rang_before_somebody_acted(self) -> None:
        """The window has passed by the clock, not by whether a worker was up to say so."""
        state = self.state
        if state is None or state.phase not in ("served", "objected") or state.window_closed:
            return
        if state.deadline is None or self.now < state.deadline:
            return
        rung = replace(state, window_closed=True, deadline=None)
        for command in EXAMPLES:
            if isinstance(command, Record | PassRestrictionDeadline):
                continue
            for by in ACTORS.values():
                context = Context(RESTRICTION, by, Facts(self.plan), self.now)
                before, after = (restriction.decide(each, command, context) for each in (state, rung))
                assert isinstance(before, Decision) == isinstance(after, Decision), command

    @invariant()
    def whatever_was_dropped_bars_nobody(self) -> None:
        if any(isinstance(each, RestrictionDropped) for each in self.events):
            assert not self.barred


TestRestrictionMachine = RestrictionMachine.TestCase
TestRestrictionMachine.settings = walks(examples=60, steps=25)


def test_a_waiver_is_one_project_of_one_campaign() -> None:
    assert Waiver("a", "b") != Waiver("a", "b", used_by="zz22-410181-00007")
