"""The rows of a class's file, each of which is a command to one of its trainees: registrations and outcomes."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from api.bulk import carried_out
from api.cases import require_class_of
from api.import_columns import SUCCEEDED_MARK, Columns
from api.import_work import YIELD_ROWS, require_plain, settled, succeeded_before
from api.kept_imports import Import, Result
from api.operations import Away
from api.problem_types import TEMPORAL_AWAY
from api.problems import Problem, refused
from api.receipts import Done, Job, Waits
from api.services import Services
from api.trainees import send_one
from domain import trainee
from domain.decision import Command, Context, Refusal
from domain.plan import Plan
from domain.trainee_context import Facts
from domain.trainee_state import Trainee, evolve
from workflows.messages import Receipt


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row asks for. `mark` is what the file that comes back says of it once it went through."""

    index: int
    trainee: str
    command: Command
    mark: str


class CommandRows(ABC):
    """The rows of one import. Two rows for one trainee keep their order."""

    status: ClassVar[str]
    """Of a row that went through."""

    columns: ClassVar[Columns]

    def __init__(self, services: Services, the_import: Import, plan: Plan) -> None:
        self.services, self.file, self.plan = services, the_import, plan
        self._judged: dict[str, Trainee] = {}
        """Trainees as they would stand after the rows that were judged so far."""

    @classmethod
    async def open(cls, services: Services, the_import: Import) -> Self:
        return cls(services, the_import, await services.cases.plan_of("class", the_import.about))

    @abstractmethod
    def read(self, index: int) -> Wanted | None:
        """What a row asks for, None when it records nothing. Raises Problem."""

    async def facts(self, wanted: Wanted, state: Trainee) -> Facts:
        """What the command is judged on when nothing is sent."""
        return Facts(self.plan)

    async def check(self, indexes: range) -> list[Result]:
        """What every row would come to now; nothing is changed."""
        results = []
        for index in indexes:
            if index % YIELD_ROWS == 0:
                await asyncio.sleep(0)
            results.append(await self._checked(index))
        return results

    async def _checked(self, index: int) -> Result:
        try:
            wanted = self._wanted(index)
            if isinstance(wanted, dict):
                return wanted
            await self._judge(wanted)
        except Problem as problem:
            return settled(self.columns, self.file, index, problem)
        return self.file.result(index, "acceptable", number=wanted.trainee)

    async def _judge(self, wanted: Wanted) -> None:
        """Raises Problem with what the command would be refused with."""
        state = self._judged.get(wanted.trainee) or await self._trainee(wanted.trainee)
        actor, now = self.file.once.caller.actor, await self.services.clock.now()
        context = Context(wanted.trainee, actor, await self.facts(wanted, state), now)
        decided = trainee.decide(state, wanted.command, context)
        if isinstance(decided, Refusal):
            raise refused(decided)
        for event in decided.events:
            state = evolve(state, event)
        self._judged[wanted.trainee] = state

    async def _trainee(self, number: str) -> Trainee:
        try:
            found = await self.services.cases.trainee(number, self.file.once.caller)
        except Problem as problem:
            # In a file, the number is a cell.
            raise Problem(problem.type, *(replace(each, pointer="/trainee") for each in problem.faults)) from None
        require_class_of(found, self.file.about)
        return found.state

    async def send(self, indexes: range) -> list[Result]:
        """Send some rows. Raises Away when one of them met an outage: all of them are sent again later."""
        results: dict[int, Result] = {}
        marks: dict[int, Wanted] = {}
        jobs: list[Job] = []
        for index in indexes:
            if index % YIELD_ROWS == 0:
                await asyncio.sleep(0)
            try:
                wanted = self._wanted(index)
            except Problem as problem:
                results[index] = settled(self.columns, self.file, index, problem)
                continue
            if isinstance(wanted, dict):
                results[index] = wanted
            else:
                marks[index] = wanted
                jobs.append(Job(index, wanted.trainee, self._job(wanted), wanted.trainee))
        for each in await carried_out(self.services, jobs):
            if isinstance(each, Done):
                done = marks[each.index]
                results[each.index] = self.file.result(
                    each.index, self.status, number=done.trainee, mark=f"{SUCCEEDED_MARK} {done.mark}"
                )
            elif isinstance(each, Waits):
                # The import itself is kept: it goes on when what is away is back.
                raise Away(TEMPORAL_AWAY.slug)
            else:
                results[each.index] = settled(self.columns, self.file, each.index, each.problem)
        return [results[index] for index in indexes]

    def _job(self, wanted: Wanted) -> Callable[[], Awaitable[Receipt]]:
        async def run() -> Receipt:
            await self._trainee(wanted.trainee)
            return await send_one(self.services, self.file.once, wanted.trainee, wanted.command, wanted.index)

        return run

    def _wanted(self, index: int) -> Wanted | Result:
        """The row's command, or what it comes to without one. Raises Problem."""
        require_plain(self.file, index)
        wanted = self.read(index)
        if wanted is None:
            return self.file.result(index, "nothing-to-record")
        if succeeded_before(self.file, index) == wanted.mark:
            # The file that came back, sent again: only what was changed in it is sent.
            return self.file.result(index, "done-before", number=wanted.trainee, mark=f"{SUCCEEDED_MARK} {wanted.mark}")
        return wanted
