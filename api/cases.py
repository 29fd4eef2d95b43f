"""The cases that a request is about, read live from their streams, and whose business they are.

Another organisation's case does not exist for the caller: it is answered with 404, in the same words as a number that
nobody has. Whose a case is hardly ever changes, so it is remembered; that only saves a read. The domain checks again
when it decides.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from api import problem_types
from api.commands import Target
from api.permissions import Caller, ProcessWithCommands
from api.problems import Problem, not_found
from api.validation import Fault
from domain import restriction, restriction_messages, trainee_messages, trainee_state, training_class
from domain.decision import Event, EventCatalogue
from domain.numbers import RESTRICTIONS, book_of, number_prefix, stream_name
from domain.plan import Plan
from domain.restriction import Restriction
from domain.trainee_state import Trainee
from domain.training_class import TrainingClass
from ledger.folds import Folded, Folds
from ledger.store import Ledger
from ledger.types import RecordedEvent
from projections.plans import PlanStore, UnknownPlan

CACHE_LIMIT: Final = 50_000
"""Cases whose parties are remembered."""

WORDS: Final[dict[ProcessWithCommands, str]] = {
    "trainee": "nomination",
    "class": "class",
    "restriction": "restriction",
}
State = TypeVar("State", Trainee, TrainingClass, Restriction)
Other = TypeVar("Other", Trainee, TrainingClass, Restriction)


@dataclass(frozen=True, slots=True)
class Found(Generic[State]):
    """A case as its stream stands; `opening` is the event that it begins with."""

    number: str
    state: State
    version: int
    events: Sequence[RecordedEvent]
    opening: Event


def _folds(
    ledger: Ledger, catalogue: EventCatalogue, fold: Callable[[Iterable[Any]], State | None]
) -> Folds[tuple[State, Event]]:
    def folded(recorded: Sequence[RecordedEvent]) -> tuple[State, Event] | None:
        events = [catalogue.read(each) for each in recorded]
        state = fold(events)
        return None if state is None else (state, events[0])

    return Folds(ledger, folded)


@dataclass(frozen=True, slots=True)
class Parties:
    """Whose business a case is. An empty field means that nobody of that role is concerned (yet)."""

    campaign: str
    summary: str
    county: str = ""
    school: str = ""
    host: str = ""
    open_to: frozenset[str] = frozenset()

    def include(self, caller: Caller) -> bool:
        """Whether the case exists for the caller. `open_to` are roles that may look at it without being concerned."""
        if caller.role == "bureau" or caller.role in self.open_to:
            return True
        own = {"county": self.county, "school": self.school, "host": self.host}[caller.role]
        return own == caller.organisation


class Cases:
    """Reads cases. Every method raises Problem `unknown-number` when there is no such case for the caller."""

    def __init__(self, ledger: Ledger, plans: PlanStore) -> None:
        self._plans = plans
        self._trainees = _folds(ledger, trainee_messages.EVENTS, trainee_state.fold)
        self._classes = _folds(ledger, training_class.EVENTS, training_class.fold)
        self._restrictions = _folds(ledger, restriction_messages.EVENTS, restriction.fold)
        self._parties: OrderedDict[str, Parties] = OrderedDict()

    async def trainee(self, number: str, caller: Caller) -> Found[Trainee]:
        """A nomination, folded from its stream."""
        found = await self._load("trainee", number, self._trainees)
        return self._seen(caller, "trainee", found, _parties_of_trainee)

    async def remembered_trainee(self, number: str, caller: Caller) -> Found[Trainee] | None:
        """A nomination as it was when it was read last, for somebody who asks whether that still holds; None when it
        is not in memory, or not the caller's business.
        """
        kept = self._trainees.kept((await self.plan_of("trainee", number)).id, stream_name("trainee", number))
        if kept is None or not _parties_of_trainee(kept.state[0]).include(caller):
            return None
        return _found(number, kept)

    async def training_class(self, number: str, caller: Caller) -> Found[TrainingClass]:
        """A class, folded from its stream."""
        found = await self._load("class", number, self._classes)
        return self._seen(caller, "class", found, _parties_of_class)

    async def restriction(self, number: str, caller: Caller) -> Found[Restriction]:
        """A restriction, folded from its stream."""
        found = await self._load("restriction", number, self._restrictions)
        return self._seen(caller, "restriction", found, _parties_of_restriction)

    async def trainee_for_everybody(self, number: str) -> Found[Trainee]:
        """A nomination for somebody who has shown the code of its certificate."""
        return await self._load("trainee", number, self._trainees)

    async def restriction_for_link(self, number: str) -> Restriction:
        """A restriction for somebody who has shown the link that was made for it."""
        return (await self._load("restriction", number, self._restrictions)).state

    async def target(self, process: ProcessWithCommands, number: str, caller: Caller) -> Target:
        """Where a command for the case goes, if the case is the caller's business."""
        parties = self._parties.get(stream_name(process, number))
        if parties is None or not _includes_for_command(parties, caller):
            # A host is named later than the case is opened, so what is remembered may be too little.
            read = {"trainee": self.trainee, "class": self.training_class, "restriction": self.restriction}
            await read[process](number, caller)
            parties = self._parties[stream_name(process, number)]
        if not _includes_for_command(parties, caller):
            raise not_found(WORDS[process], number)
        return Target(process, number, parties.campaign, parties.summary)

    async def plan_of(self, process: ProcessWithCommands, number: str) -> Plan:
        """The plan whose prefix the number has."""
        try:
            return await self._plans.by_prefix(number_prefix(number))
        except UnknownPlan:
            raise not_found(WORDS[process], number) from None

    async def _load(self, process: ProcessWithCommands, number: str, folds: Folds[tuple[State, Event]]) -> Found[State]:
        book = RESTRICTIONS
        if process != "restriction":
            book = book_of(process, (await self.plan_of(process, number)).id)
        found = await folds.find(book, stream_name(process, number))
        if found is None:
            raise not_found(WORDS[process], number)
        return _found(number, found)

    def _seen(
        self,
        caller: Caller,
        process: ProcessWithCommands,
        found: Found[State],
        parties_of: Callable[[State], Parties],
    ) -> Found[State]:
        parties = parties_of(found.state)
        stream = stream_name(process, found.number)
        self._parties[stream] = parties
        self._parties.move_to_end(stream)
        if len(self._parties) > CACHE_LIMIT:
            self._parties.popitem(last=False)
        if not parties.include(caller):
            raise not_found(WORDS[process], found.number)
        return found


def _found(number: str, folded: Folded[tuple[State, Event]]) -> Found[State]:
    state, opening = folded.state
    return Found(number, state, folded.version, folded.events, opening)


def _includes_for_command(parties: Parties, caller: Caller) -> bool:
    own = {"county": parties.county, "school": parties.school, "host": parties.host}
    return caller.role == "bureau" or own[caller.role] == caller.organisation


def _parties_of_trainee(state: Trainee) -> Parties:
    return Parties(
        campaign=state.campaign,
        summary=f"{state.project_type} · {state.county}",
        county=state.county,
        school=state.school,
        host=state.host,
    )


def _parties_of_class(state: TrainingClass) -> Parties:
    # Counties and schools send their teachers there, so time and place are theirs to know.
    return Parties(
        campaign=state.campaign,
        summary=f"{state.project_type} · {state.host}",
        host=state.host,
        open_to=frozenset({"county", "school"}),
    )


def _parties_of_restriction(state: Restriction) -> Parties:
    return Parties(campaign=state.campaign, summary="restriction", county=state.county, school=state.school)


def require_class_of(found: Found[Trainee], number: str) -> None:
    """Raises Problem `trainee-of-another-class` unless the trainee was placed in the class."""
    if found.state.training_class == number:
        return
    fault = Fault(
        "trainee_of_another_class",
        f"{found.number} is not in class {number}.",
        f"{found.number} 不在班级 {number}。",
        "Send it to the trainee's own class, or directly to the trainee.",
        "请发送到该学员所在班级，或直接对该学员操作。",
        pointer="/trainee",
    )
    raise Problem(problem_types.REFUSALS["trainee_of_another_class"], fault)
