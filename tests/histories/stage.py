"""Where branches are played to be recorded: real PostgreSQL, real Temporal, the workflows and activities of the worker.

The clock stands where the play has put it. A timer whose instant is past or lies in `near` fires a moment after it was
set, all others in an hour, so that what a history holds does not depend on how fast the machine is.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client, WorkflowContinuedAsNewError, WorkflowHistory

from activities.dispatch import Dispatcher
from activities.outbox import Outbox
from domain.decision import Actor
from domain.numbers import quota_number
from ledger.vault import Vault
from tests.workflows.conftest import (
    BUREAU,
    COUNTY,
    HOST,
    SCHOOL,
    Core,
    Refused,
    at,
    nomination,
    open_campaign,
    prepare,
    running_core,
    until,
)
from workflows.messages import ProcessKind, Receipt, workflow_id

TEACHER = {
    "name": "欧阳录音",
    "identity_number": "410199198003070012",
    "telephone": "15400001234",
    "email": "recorded@teachers.example.invalid",
}
"""Sealed into every nomination that is recorded, and looked for in every history."""

EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
A_MOMENT_S, AN_HOUR_S = 0.3, 3_600.0
KEYS = (bytes(range(32)), bytes(range(32, 64)))


class StoodClock:
    """A clock that stands; see above."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.near: tuple[datetime, datetime] | None = None

    async def now(self) -> datetime:
        return self.at

    async def real_seconds_until(self, instant: datetime) -> float:
        is_near = self.near is not None and self.near[0] <= instant <= self.near[1]
        return A_MOMENT_S if is_near or instant <= self.at else AN_HOUR_S


@dataclass(frozen=True, slots=True)
class Servers:
    """`usual` is a Temporal as it comes; `impatient` soon suggests to continue as new; `empty` knows of nothing yet."""

    usual: Client
    impatient: Client
    empty: Client


@dataclass
class Stage:
    """A play's own database and campaign; what it keeps is what is recorded."""

    core: Core
    clock: StoodClock
    servers: Servers
    database_url: str
    sealed: str
    kept: dict[str, WorkflowHistory] = field(default_factory=dict)

    async def keep(self, name: str, kind: ProcessKind, number: str, *, ended: bool = True, run_id: str = "") -> None:
        """Keep a workflow's history under a name, once it has ended."""
        handle = self.core.client.get_workflow_handle(workflow_id(kind, number), run_id=run_id or None)
        if ended:
            with contextlib.suppress(WorkflowContinuedAsNewError):
                await handle.result(follow_runs=False)
        self.kept[name] = await handle.fetch_history()

    async def newest_run(self, kind: ProcessKind, number: str) -> str:
        """The id of the run that is the newest now."""
        return (await self.core.client.get_workflow_handle(workflow_id(kind, number)).describe()).run_id

    # ------------------------------------------------------------------------------------------------ short words

    def number(self, name: str) -> str:
        return self.core.number(name)

    def line(self, line: str) -> str:
        return quota_number(self.core.book, line)

    async def trainee(self, number: str, command: str, by: Actor, /, **body: Any) -> Receipt:
        return await self.core.send("trainee", number, command, by, body)

    async def training_class(self, number: str, command: str, /, **body: Any) -> Receipt:
        return await self.core.send("class", number, command, HOST, body)

    async def restriction(self, number: str, command: str, by: Actor, /, **body: Any) -> Receipt:
        return await self.core.send("restriction", number, command, by, body)

    async def quota(self, line: str, command: str, by: Actor, /, **body: Any) -> Receipt:
        return await self.core.send("quota", self.line(line), command, by, body)

    async def refused(self, code: str, work: Any) -> None:
        """The command is refused; its history says so too."""
        with pytest.raises(Refused) as refused:
            await work
        assert refused.value.code == code, refused.value.code

    def body(self, person: UUID | None = None, **changes: Any) -> dict[str, Any]:
        """A nomination of the teacher, sealed as the front door seals."""
        return nomination(person) | {"person": {"id": str(person or uuid4()), "sealed": self.sealed}} | changes

    async def open(self) -> None:
        await open_campaign(self.core)

    async def nominated(self, name: str, person: UUID | None = None, **changes: Any) -> str:
        number = self.number(name)
        await self.core.send("trainee", number, "nominate", SCHOOL, self.body(person, **changes), new=True)
        return number

    async def selected(self, name: str, person: UUID | None = None, **changes: Any) -> str:
        number = await self.nominated(name, person, **changes)
        await self.trainee(number, "approve", COUNTY)
        await self.trainee(number, "approve", BUREAU, host="h001")
        return number

    async def planned(self, name: str, **changes: Any) -> str:
        number = self.number(name)
        body = {"host": "h001", "project_type": "gp5", "starts": "2022-10-10", "ends": "2022-10-17", "place": "A"}
        await self.core.send("class", number, "plan", HOST, {**body, "capacity": 3, **changes}, new=True)
        return number

    async def confirmed(self, name: str, training_class: str, person: UUID | None = None) -> str:
        number = await self.selected(name, person)
        await self.trainee(number, "enroll", HOST, training_class=training_class)
        await self.trainee(number, "confirm", SCHOOL)
        return number

    async def in_training(self, name: str, training_class: str, person: UUID | None = None) -> str:
        number = await self.confirmed(name, training_class, person)
        self.clock.at = at(10, 10)
        await self.trainee(number, "register", HOST)
        return number

    async def recorded(self, kind: str, number: str, type_: str, book: str = "") -> None:
        """Wait until the stream's last event is of the type."""

        async def there() -> bool:
            return (await self.core.events(kind, number, book))[-1] == type_

        await until(there)

    async def wake(self, kind: ProcessKind, number: str) -> None:
        """What the sweep of overdue cases sends."""
        await self.core.client.get_workflow_handle(workflow_id(kind, number)).signal("wake")

    async def dispatched(self) -> None:
        """Start and wake the processes that the outbox asks for, as the worker's dispatcher does, but no mailboxes."""
        dispatcher = Dispatcher(self.core.pool, self.core.client, task_queue=self.core.task_queue)
        outbox = Outbox(self.core.pool)
        await dispatcher._start_processes(outbox, await outbox.next_starts())

    async def let_pass(self, kind: ProcessKind, number: str, type_: str) -> None:
        """Move the clock from each deadline of the process to its next, until the event of this type is there."""
        handle = self.core.client.get_workflow_handle(workflow_id(kind, number))
        while type_ not in await self.core.events(kind, number):
            case: Receipt | None = await handle.query("case", result_type=Receipt)
            if case is not None and case.deadline is not None:
                self.clock.at = max(self.clock.at, case.deadline)
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def on(self, client: Client) -> AsyncIterator["Stage"]:
        """The same ledger and campaign with a worker on another Temporal."""
        async with running_core(self.database_url, client, self.clock, prefix=self.core.prefix) as core:
            yield Stage(core, self.clock, self.servers, self.database_url, self.sealed, self.kept)


@asynccontextmanager
async def stage(database_url: str, servers: Servers, prefix: str) -> AsyncIterator[Stage]:
    """A stage on an empty database, on the 26th of August."""
    clock = StoodClock(at(8, 26))
    await prepare(database_url)
    async with AsyncExitStack() as exits:
        core = await exits.enter_async_context(running_core(database_url, servers.usual, clock, prefix=prefix))
        vault = Vault(core.pool, *KEYS)
        sealed = await vault.seal((await vault.subject_for("the teacher of the histories")).id, TEACHER)
        yield Stage(core, clock, servers, database_url, sealed)
