"""Teachers' records in the `people` book: read, corrected, transferred, joined, forgotten.

No process waits here, so these events are appended without Temporal, like those of organisations: `domain/person.py`
decides, one append records, and a conflict is decided anew. What is destroyed in the vault is destroyed before it is
recorded: an interrupted erasure is repeated and changes nothing twice.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
import structlog

from activities.appending import append_of, refusal_of
from clock import Clock
from domain import person
from domain.decision import SYSTEM, Actor, Decision, Refusal
from domain.numbers import PEOPLE, RESTRICTIONS, stream_name
from domain.person import Person, PersonErased, Ties
from domain.refusals import refuse, stale_refusal
from ledger.errors import DATABASE_LOST, LedgerUnavailable, SubjectErased
from ledger.folds import Folds
from ledger.store import Ledger
from ledger.types import Appended, ClaimRefused, CommandReused, Duplicate
from ledger.vault import ERASED_ON_REQUEST, Vault
from projections import persons
from projections.checkpoints import Checkpoints, ViewBehind
from projections.plans import PlanStore

MAX_CONFLICTS: Final = 8
SWEEP_S: Final = 60.0
_SWEEP_NAMESPACE: Final = UUID("5b6c1f7e-7a0e-4f53-9c55-3b0d5a0c7a11")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """Under which command something is recorded, by whom, and when. `digest` stands for what the caller sent,
    `expected_versions` are those of the stream on which he has decided (any, when it is empty).
    """

    command_id: UUID
    digest: str
    actor: Actor
    now: datetime
    correlation_id: str = ""
    expected_versions: tuple[int, ...] = ()


class PersonRecords:
    """Reads and writes teachers' streams."""

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger, vault: Vault, checkpoints: Checkpoints) -> None:
        self._pool = pool
        self._ledger = ledger
        self._vault = vault
        self._checkpoints = checkpoints
        self._folds = Folds(ledger, lambda events: person.fold(person.EVENTS.read(each) for each in events))

    async def find(self, id_: UUID) -> Person | None:
        """The record as its stream stands, None when there is none."""
        found = await self._folds.find(PEOPLE, stream_name("person", str(id_)))
        return found.state if found is not None else None

    def remembered(self, id_: UUID) -> Person | None:
        """The record as it was when it was read last, None when it is not in memory or answers for no one any more."""
        kept = self._folds.kept(PEOPLE, stream_name("person", str(id_)))
        return kept.state if kept is not None and kept.state.joined_into is None else None

    async def answering(self, id_: UUID) -> Person | None:
        """The record that answers for this one: itself, or the one that it was joined into."""
        found = await self.find(id_)
        return found if found is None or found.joined_into is None else await self.find(found.joined_into)

    async def record(
        self, id_: UUID, decide: Callable[..., Decision | Refusal], recording: Recording, other: UUID | None = None
    ) -> Person | Refusal:
        """Decide on the record as it stands and append what follows; gives the record after it, or the refusal.

        `decide` is given the record, and after it the record `other` when there is one.
        """
        for _ in range(MAX_CONFLICTS):
            states = [await self.find(each) for each in (id_, other) if each is not None]
            known = [each for each in states if each is not None]
            if len(known) < len(states):
                return refuse("person_unknown")
            state = known[0]
            decided = await self.stale(state, recording) or decide(*known)
            if isinstance(decided, Refusal):
                # A repetition of what was done gets its answer, whatever the rules say now.
                return state if await self._ledger.find_command(recording.command_id) else decided
            outcome = await self._append(state, decided, recording)
            if outcome is not None:
                return outcome
        raise RuntimeError(f"person/{id_} keeps changing")

    async def stale(self, state: Person, recording: Recording) -> Refusal | None:
        """The refusal of a command that was decided on another version; None for one that was carried out before."""
        refusal = stale_refusal(recording.expected_versions, state.version)
        if refusal is not None and await self._ledger.find_command(recording.command_id) is not None:
            return None
        return refusal

    async def erase(self, id_: UUID, recording: Recording, reason: str = ERASED_ON_REQUEST) -> Person | Refusal:
        """Forget a person with all his records, or hold the request while a restriction lasts (edge case 66)."""
        state = await self.find(id_)
        if state is None:
            return refuse("person_unknown")
        ties = await self._ties(state)

        def decide(now_standing: Person) -> Decision | Refusal:
            return person.erase(now_standing, ties, by=str(recording.actor), reason=reason)

        decided = await self.stale(state, recording) or decide(state)
        if isinstance(decided, Decision) and isinstance(decided.events[0], PersonErased):
            # What is destroyed must be recorded, whatever happens to the record meanwhile.
            recording = replace(recording, expected_versions=())
            for each in state.records:
                await self._vault.erase(each, reason)
        return await self.record(id_, decide, recording)

    async def sweep(self, now: datetime) -> int:
        """Forget everybody who asked for it and whose restriction has ended; give how many that were."""
        erased, after = 0, ""
        while held := await persons.held(self._pool, after):
            for id_ in held:
                state = await self.find(id_)
                if state is not None and state.erasure == "held":
                    recording = Recording(uuid5(_SWEEP_NAMESPACE, str(id_)), str(id_), SYSTEM, now)
                    outcome = await self.erase(id_, recording, state.erasure_reason)
                    erased += isinstance(outcome, Person) and outcome.erasure == "done"
            after = str(held[-1])
        return erased

    async def _ties(self, state: Person) -> Ties:
        """What still needs the person, once the views have met everything that is recorded now."""
        campaigns = await PlanStore(self._pool).adopted()
        for book in (PEOPLE, RESTRICTIONS, *campaigns):
            await self._checkpoints.wait_for(book, await self._ledger.head(book))
        return Ties(*await persons.ties(self._pool, state.records))

    async def _append(self, state: Person, decided: Decision, recording: Recording) -> Person | Refusal | None:
        stream = stream_name("person", str(state.id))
        result = await self._ledger.append(
            append_of(
                decided,
                book=PEOPLE,
                stream=stream,
                version=state.version,
                command_id=recording.command_id,
                digest=recording.digest,
                actor=recording.actor,
                now=recording.now,
                reply=b"",
                correlation_id=recording.correlation_id or stream,
                campaign="",
            )
        )
        match result:
            case Appended():
                for event in decided.events:
                    state = person.evolve(state, event)
                return state
            case Duplicate():
                return await self.find(state.id)
            case CommandReused():
                return refuse("command_reused")
            case ClaimRefused():
                return refusal_of(result)
        return None


class ErasureSweep:
    """Forgets whoever asked for it as soon as his restriction has ended. Any number of processes may run one."""

    def __init__(self, records: PersonRecords, clock: Clock, interval_s: float = SWEEP_S) -> None:
        self._records = records
        self._clock = clock
        self._interval_s = interval_s

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop` is set. What is away is waited out, and said once."""
        away = False
        while not stop.is_set():
            try:
                erased = await self._records.sweep(await self._clock.now())
                away = False
                if erased:
                    log.info("persons.erased", persons=erased)
            except (*DATABASE_LOST, LedgerUnavailable, ViewBehind) as error:
                if not away:
                    log.warning("persons.away", problem=type(error).__name__)
                away = True
            except SubjectErased:
                # Another process was first.
                pass
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._interval_s)
