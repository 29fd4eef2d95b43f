"""Random lives of teachers' records: corrected, moved, joined with their doubles, forgotten."""

from datetime import date
from types import MappingProxyType
from uuid import UUID

from hypothesis.stateful import invariant

from docgen.lifecycles.person import PERSON, phase_of
from domain import person
from domain.decision import Decision, Event, Refusal
from domain.person import EVENTS, Person, PersonErased, PersonRegistered, Ties, fold
from tests.domain.machines.walking import Walk, after_a_crash, assert_well_refused, steps_drawn, walks

DRAWN = steps_drawn(PERSON)
IDS = tuple(UUID(int=number) for number in range(1, 6))
BY = "bureau:zzedu"


class PersonMachine(Walk):
    """Five records, some of which are one teacher's; whoever is barred or has an open case is decided by the walk."""

    happenings = MappingProxyType(
        {
            "somebody_is_corrected": 2,
            "somebody_moves": 2,
            "two_records_are_found_to_be_one_teacher": 4,
            "somebody_asks_to_be_forgotten": 2,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[UUID, list[Event]] = {
            each: [PersonRegistered(person=each, sealed=f"v1.{each.int}")] for each in IDS
        }
        self.states: dict[UUID, Person] = {each: self.folded(each) for each in IDS}

    def folded(self, who: UUID) -> Person:
        state = fold(self.events[who])
        assert state is not None
        return state

    def begins(self) -> None:
        """With five records, as they were registered."""

    def somebody_is_corrected(self) -> None:
        who, letter = self.dice.choice(IDS), self.steps
        sealed = f"v1.corrected-{letter}"
        outcome = person.correct(
            self.states[who], sealed, ("name",), by=BY, decided_by="b7", document=f"letter {letter}"
        )
        self.taken_in(who, outcome, "correct")

    def somebody_moves(self) -> None:
        who, county = self.dice.choice(IDS), self.dice.choice(["410181", "410182"])
        outcome = person.transfer(self.states[who], county, date(2022, 9, 1), by=BY, document="letter")
        self.taken_in(who, outcome, "transfer")

    def two_records_are_found_to_be_one_teacher(self) -> None:
        kept, double = self.dice.choice(IDS), self.dice.choice(IDS)
        before = self.states[double]
        outcome = person.join(self.states[kept], before, by=BY, decided_by="b7", reasons="one teacher")
        self.taken_in(kept, outcome, "absorb")
        if isinstance(outcome, Decision):
            (part,) = outcome.others
            assert part.expected_version == len(self.events[double]), "written to the version that was read"
            self.taken_in(double, Decision(part.events), "join")

    def somebody_asks_to_be_forgotten(self) -> None:
        who, open_cases, restrictions = self.dice.choice(IDS), self.dice.randint(0, 1), self.dice.randint(0, 1)
        outcome = person.erase(self.states[who], Ties(open_cases, restrictions), by=BY, reason="asked for")
        if isinstance(outcome, Decision):
            assert not open_cases, "an open case still needs him"
            assert not (restrictions and any(isinstance(each, PersonErased) for each in outcome.events))
        self.taken_in(who, outcome, "erase")

    def the_system_crashes(self) -> None:
        for who in IDS:
            again = fold(after_a_crash(self.events[who], EVENTS))
            assert again == self.states[who], "the state is what the events make of it"

    def teardown(self) -> None:
        self.the_system_crashes()

    def taken_in(self, who: UUID, outcome: Decision | Refusal, act: str) -> None:
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return
        before = self.states[who]
        self.events[who] += outcome.events
        self.states[who] = self.folded(who)
        step = (act, phase_of(before), phase_of(self.states[who]))
        assert step in DRAWN, f"{step} is not in docs/state-machines.md"

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def every_record_is_answered_for_by_exactly_one(self) -> None:
        for who, state in self.states.items():
            answering = [each for each in self.states.values() if who in each.records and each.joined_into is None]
            assert len(answering) == 1, who
            assert state.joined_into in (None, answering[0].id), "one step from any record to the one that answers"

    @invariant()
    def what_is_erased_or_joined_is_never_used_again(self) -> None:
        for state in self.states.values():
            if phase_of(state) in ("erased", "joined"):
                for outcome in (
                    person.correct(state, "v1.x", ("name",), by=BY, decided_by="b7", document="d"),
                    person.transfer(state, "410182", date(2022, 9, 1), by=BY, document="d"),
                    person.erase(state, Ties(0, 0), by=BY, reason="r"),
                ):
                    assert isinstance(outcome, Refusal)

    @invariant()
    def whoever_is_only_stored_is_not_changed_meanwhile(self) -> None:
        for state in self.states.values():
            if state.erasure == "held":
                outcome = person.correct(state, "v1.x", ("name",), by=BY, decided_by="b7", document="d")
                assert isinstance(outcome, Refusal) and outcome.code == "erasure_held"

    @invariant()
    def the_version_is_the_length_of_the_stream(self) -> None:
        assert all(state.version == len(self.events[who]) for who, state in self.states.items())


TestPersonMachine = PersonMachine.TestCase
TestPersonMachine.settings = walks(examples=40, steps=20)
