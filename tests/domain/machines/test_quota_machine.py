"""Random lives of a quota tree: delegated, returned, offered to others, overridden, filled and freed.

The walk keeps limits and uses as the ledger's claims would, and refuses what they would refuse; that the ledger does
count so under any race is `test_ledger_machine`.
"""

from collections import Counter
from datetime import UTC, datetime
from types import MappingProxyType

from hypothesis.stateful import invariant

from docgen.lifecycles.plan import ACTORS, CAMPAIGN, THE_PLAN
from docgen.lifecycles.quota import CITY, ISSUED, LINE, OTHER, QUOTA, SCHOOL, phase_of
from domain import quota
from domain.decision import Actor, Command, Context, Count, Decision, Event, Limit, Refusal
from domain.numbers import quota_number, seat_key
from domain.quota import Facts, Quota, case_of, fold, lines_touched
from domain.quota_messages import (
    QUOTA_EVENTS,
    AcceptSeats,
    DeclineSeats,
    Delegate,
    OfferSeats,
    Override,
    PassQuotaDeadline,
    RecallOffer,
    ReportShortfall,
    ReturnSeats,
)
from tests.domain.machines.walking import EDGES, Walk, after_a_crash, assert_well_refused, steps_drawn, walks

DRAWN = steps_drawn(QUOTA)
THIRD = "gp5:410183"
LINES = (CITY, LINE, OTHER, THIRD, SCHOOL)
COUNTIES = {line: Actor(organisation=line.partition(":")[2], role="county") for line in (LINE, OTHER, THIRD)}
BY_WHOM = [ACTORS["bureau"], *COUNTIES.values(), ACTORS["system"], ACTORS["host"]]


class QuotaMachine(Walk):
    """The city's line, three counties' and a school's, with what is claimed on each."""

    happenings = MappingProxyType(
        {
            "something_possible_happens": 6,
            "somebody_sends_a_command": 4,
            "the_candidates_answer": 2,
            "nominations_take_seats": 3,
            "nominations_give_seats_back": 2,
            "time_passes": 1,
            "a_window_ends": 2,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2022, 9, 1, 2, tzinfo=UTC)
        self.events: dict[str, list[Event]] = {line: [] for line in LINES}
        self.limits: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        self.filled: Counter[str] = Counter()

    def begins(self) -> None:
        """As the campaign issues its lines."""
        for line in (CITY, LINE, OTHER, THIRD):
            self.events[line] = [ISSUED[line]]
            self.limits[line] = ISSUED[line].seats
        self.used[CITY] = ISSUED[CITY].delegated

    def time_passes(self) -> None:
        self.now += self.some_pause()

    def a_window_ends(self) -> None:
        ends = [offer.until for state in self.states.values() for offer in state.offers]
        if ends:
            self.now = max(self.now, min(ends) + self.dice.choice(EDGES))

    def somebody_sends_a_command(self) -> None:
        self.sent(self.dice.choice(LINES), self.dice.choice(self.some_commands()), self.dice.choice(BY_WHOM))

    def something_possible_happens(self) -> None:
        for command in self.in_some_order(self.some_commands()):
            for line in self.in_some_order((LINE, OTHER, CITY)):
                for by in (*COUNTIES.values(), ACTORS["bureau"], ACTORS["system"]):
                    if isinstance(self.sent(line, command, by), Decision):
                        return

    def some_commands(self) -> list[Command]:
        """One of each, with numbers that are often too large."""
        seats, offer = self.dice.randint(1, 12), self.dice.randint(1, 4)
        candidates = tuple(self.dice.sample(["410181", "410182", "410183"], self.dice.randint(1, 2)))
        return [
            Delegate(to=self.dice.choice(["410181", "410182", "410181-s01"]), seats=seats),
            ReturnSeats(seats=seats, reason="too few"),
            OfferSeats(seats=seats, candidates=candidates, reason="too few"),
            AcceptSeats(offer=offer),
            DeclineSeats(offer=offer),
            RecallOffer(offer=offer),
            ReportShortfall(seats=seats, reason="other", details="d"),
            Override(seats=self.dice.randint(0, 60), reason="r", document="d"),
            PassQuotaDeadline(),
        ]

    def the_candidates_answer(self) -> None:
        taken = self.dice.random() < 0.7
        for line, state in self.states.items():
            for offer in state.offers:
                by = COUNTIES[offer.candidates[0]]
                answer = AcceptSeats(offer=offer.number) if taken else DeclineSeats(offer=offer.number)
                self.sent(line, answer, by)

    def nominations_take_seats(self) -> None:
        line, seats = self.dice.choice([LINE, OTHER, SCHOOL]), self.dice.randint(1, 9)
        taken = min(seats, self.limits[line] - self.used[line])
        self.used[line] += taken
        self.filled[line] += taken

    def nominations_give_seats_back(self) -> None:
        line, seats = self.dice.choice([LINE, OTHER, SCHOOL]), self.dice.randint(1, 9)
        freed = min(seats, self.filled[line])
        self.used[line] -= freed
        self.filled[line] -= freed

    def the_system_crashes(self) -> None:
        for events in self.events.values():
            assert fold(after_a_crash(events, QUOTA_EVENTS)) == fold(events)

    def teardown(self) -> None:
        self.the_system_crashes()

    # -------------------------------------------------------------------------------------------- how it is decided

    @property
    def states(self) -> dict[str, Quota]:
        folded = {line: fold(events) for line, events in self.events.items()}
        return {line: state for line, state in folded.items() if state is not None}

    def sent(self, line: str, command: Command, by: Actor) -> Decision | Refusal:
        state = fold(self.events[line])
        known = {
            each: (fold(self.events[each]), len(self.events[each])) if each in self.events else (None, 0)
            for each in lines_touched(state, command, THE_PLAN)
        }
        parent = "410181" if isinstance(command, Delegate) and command.to == "410181-s01" else ""
        context = Context(quota_number(CAMPAIGN, line), by, Facts(THE_PLAN, known, parent), self.now)
        outcome = quota.decide(state, command, context)
        assert outcome == quota.decide(state, command, context), "a repetition is answered as before"
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return outcome
        assert by != ACTORS["host"], "a host has no part in quotas"
        assert state is not None
        if not self.claimed(outcome):
            return outcome  # The ledger refuses the append, so nothing has happened.
        self.events[line] += outcome.events
        for part in outcome.others:
            other = part.stream.removeprefix("quota/")
            assert part.expected_version == len(self.events[other]), "written to the version that was read"
            self.events[other] += part.events
        after = self.states[line]
        assert (command.name, phase_of(state), phase_of(after)) in DRAWN
        armed = {offer.until for offer in after.offers} - {offer.until for offer in state.offers}
        assert all(until > self.now for until in armed), "a window is armed in the past"
        return outcome

    def claimed(self, decision: Decision) -> bool:
        """Take the claims as one, in their sorted order (`ledger`), or none of them."""
        limits, used = self.limits.copy(), self.used.copy()
        for claim in decision.claims:
            assert isinstance(claim, Count | Limit)
            line = next(each for each in LINES if claim.key == seat_key(CAMPAIGN, each))
            if isinstance(claim, Limit):
                limits[line] = claim.limit
            else:
                used[line] += claim.delta
        if any(used[line] > limits[line] or used[line] < 0 for line in LINES):
            return False
        self.limits, self.used = limits, used
        return True

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def a_line_has_the_seats_that_are_claimed_for_it(self) -> None:
        for line, state in self.states.items():
            assert state.seats == self.limits[line]
            assert state.delegated + state.held + self.filled[line] == self.used[line]

    @invariant()
    def no_seat_is_oversold_whatever_is_used_held_or_delegated(self) -> None:
        for line, state in self.states.items():
            assert 0 <= state.delegated + state.held + self.filled[line] <= state.seats

    @invariant()
    def the_seats_below_are_those_that_were_delegated(self) -> None:
        states = self.states
        if SCHOOL in states:
            assert states[SCHOOL].seats == states[LINE].delegated
        known = sum(states[line].seats for line in (LINE, OTHER, THIRD) if line in states)
        others = sum(each.seats for line, each in ISSUED.items() if line.startswith("gp5:") and line not in LINES)
        if CITY in states:
            assert known + others == states[CITY].delegated, (
                "a seat has vanished between two levels, or come from nowhere"
            )

    @invariant()
    def what_was_issued_stays_beside_what_it_has_become(self) -> None:
        assert all(state.issued == ISSUED[line].seats for line, state in self.states.items() if line in ISSUED)

    @invariant()
    def a_timer_that_rings_is_answered_and_does_not_ring_again(self) -> None:
        for line, state in self.states.items():
            deadline = case_of(quota_number(CAMPAIGN, line), state).deadline
            if deadline is None:
                continue
            due = max(deadline, self.now)
            context = Context(quota_number(CAMPAIGN, line), ACTORS["system"], Facts(THE_PLAN), due)
            outcome = quota.decide(state, PassQuotaDeadline(), context)
            assert isinstance(outcome, Decision), outcome
            after = fold((*self.events[line], *outcome.events))
            assert after is not None and all(offer.until > due for offer in after.offers)


TestQuotaMachine = QuotaMachine.TestCase
TestQuotaMachine.settings = walks(examples=50, steps=25)
