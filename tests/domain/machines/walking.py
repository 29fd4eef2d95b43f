"""What the random walks have in common: how long they are, and what a crash leaves of a process.

A walk is derived from its own source (`derandomize`), so that CI never meets a walk that nobody can repeat.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from docgen.lifecycles.exploring import Lifecycle, transitions
from domain.decision import Event, EventCatalogue, Refusal
from event_schemas import SCHEMAS
from ledger.types import RecordedEvent

PAUSES = st.one_of(
    st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=3)]),
    st.integers(1, 60 * 24 * 40).map(lambda minutes: timedelta(minutes=minutes)),
)
EDGES = st.sampled_from([timedelta(microseconds=-1), timedelta(0), timedelta(hours=2)])
"""Just before a deadline, at it, and after it."""
NOBODY = UUID(int=0)


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
