"""What the random walks have in common: how long they are, and what a crash leaves of a process.

A walk is derived from its own source (`derandomize`), so that CI never meets a walk that nobody can repeat.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from docgen.lifecycles.exploring import Lifecycle, transitions
from domain.decision import Event, EventCatalogue, Refusal
from event_schemas import SCHEMAS
from ledger.types import RecordedEvent

T = TypeVar("T")
State = TypeVar("State")
NOBODY = UUID(int=0)
EDGES = (timedelta(microseconds=-1), timedelta(0), timedelta(hours=2))
"""Just before a deadline, at it, and after it."""
PAUSES = (timedelta(0), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=3))
LONGEST_PAUSE_MINUTES = 40 * 24 * 60
CHOICES = st.integers(0, 2**32 - 1)


class Walk(RuleBasedStateMachine):
    """A walk of which Hypothesis draws where it begins and, for every step, one number.

    The number throws the dice for all that the step needs. Were each kind of step a rule with arguments of its own,
    most walks would be variations of one another in which hardly anything happens: Hypothesis leaves rules out, and
    likes to draw the same values again. `happenings` are the kinds of steps, as methods, with their weights.
    """

    happenings: ClassVar[Mapping[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.dice = Random(0)
        self.steps = 0

    def begins(self) -> None:
        """What has happened before the first step."""
        raise NotImplementedError

    @initialize(choice=CHOICES)
    def it_begins(self, choice: int) -> None:
        self.dice = Random(choice)
        self.begins()

    @rule(choice=CHOICES)
    def something_happens(self, choice: int) -> None:
        self.steps += 1
        self.dice = Random(f"{choice}/{self.steps}")
        (name,) = self.dice.choices(list(self.happenings), list(self.happenings.values()))
        note(f"  {name}")
        getattr(self, name)()

    def in_some_order(self, candidates: Sequence[T]) -> list[T]:
        """The candidates in one of all orders: whoever takes the first that is possible takes any of those."""
        return self.dice.sample(candidates, len(candidates))

    def some_pause(self) -> timedelta:
        """Nothing, a usual pause, or any."""
        any_ = timedelta(minutes=self.dice.randint(1, LONGEST_PAUSE_MINUTES))
        return self.dice.choice((*PAUSES, any_, any_))


class WalkOfOne(Walk, Generic[State]):
    """A walk of a single process, of which a crash leaves the events and nothing else."""

    catalogue: ClassVar[EventCatalogue]

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.state: State | None = None

    def folded(self, events: Iterable[Event]) -> State | None:
        """What the process makes of the events."""
        raise NotImplementedError

    @property
    def known(self) -> State:
        assert self.state is not None, "the walk begins with an event"
        return self.state

    def the_system_crashes(self) -> None:
        """Only the events are left; whoever goes on reads them."""
        again = self.folded(after_a_crash(self.events, self.catalogue))
        assert again == self.state, "the state is what the events make of it"
        self.state = again

    def teardown(self) -> None:
        if self.state is not None:
            self.the_system_crashes()


def walks(examples: int, steps: int) -> settings:
    """So many walks of so many steps, the same ones every time."""
    return settings(
        derandomize=True,
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def recorded(
    events: Sequence[Event], stream: str, book: str, at: datetime, first: int = 1
) -> tuple[RecordedEvent, ...]:
    """The events as the ledger keeps them: JSON, with the schema version in which each was written."""
    return tuple(
        RecordedEvent(
            book=book,
            sequence=version,
            id=UUID(int=version),
            stream=stream,
            version=version,
            type=event.type,
            schema_version=event.schema_version,
            command_id=NOBODY,
            causation_id="",
            correlation_id="",
            actor="",
            recorded_at=at,
            effective_at=at,
            data=event.model_dump(mode="json"),
        )
        for version, event in enumerate(events, start=first)
    )


def after_a_crash(events: Sequence[Event], catalogue: EventCatalogue) -> tuple[Event, ...]:
    """What is left of a process: its events, read back in their newest form by whoever goes on."""
    stored = recorded(events, "process/1", "book", datetime(2022, 1, 1, tzinfo=UTC))
    return tuple(catalogue.read(SCHEMAS.newest(each)) for each in stored)


def assert_well_refused(refusal: Refusal) -> None:
    """Every refusal carries its code, both languages and a remedy, with nothing left to be filled in."""
    assert refusal.reasons
    for reason in refusal.reasons:
        words = (reason.zh, reason.en, reason.remedy_zh, reason.remedy_en)
        assert reason.code and all(words), reason
        assert not any("{" in each for each in words), reason


def steps_drawn(lifecycle: Lifecycle) -> frozenset[tuple[str, str, str]]:
    """Command, phase before and phase after of every step that docs/state-machines.md shows."""
    return frozenset((each.command, each.before, each.after) for each in transitions(lifecycle))


def codes_of(refusals: Iterable[Refusal]) -> set[str]:
    """The codes of all reasons."""
    return {reason.code for refusal in refusals for reason in refusal.reasons}
