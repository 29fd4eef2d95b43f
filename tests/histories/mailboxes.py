"""Branches of a mailbox, played to be recorded: real receivers, and a Temporal that skips waits where they are long."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from clock import DemoClock, advance_cap, create_demo_clock
from domain.calendar import local_instant
from domain.quiet_hours import QuietHours
from ledger.types import NewEvent, StreamWrite
from migrations import migrate
from temporal_client import data_converter
from tests.activities.post_office import PostOffice, open_post_office
from tests.histories.stage import Servers
from workflows.mailbox import BATCHES_PER_RUN, Mailbox
from workflows.messages import MailboxAnswer, MailboxStart

QUEUE, SCHOOL = "mailboxes", "410182-s09"


@dataclass
class Post:
    """A post office of a play's own, a worker on one Temporal, and what is kept."""

    office: PostOffice
    client: Client
    kept: dict[str, WorkflowHistory] = field(default_factory=dict)

    async def start(self, organisation: str) -> WorkflowHandle[Mailbox, None]:
        return await self.client.start_workflow(
            Mailbox.run, MailboxStart(organisation=organisation), id=f"mailbox/{organisation}", task_queue=QUEUE
        )

    async def keep(self, name: str, handle: WorkflowHandle[Mailbox, None], *, ended: bool = True) -> None:
        if ended:
            await handle.result()
        self.kept[name] = await handle.fetch_history()


@asynccontextmanager
async def post(database_url: str, client: Client) -> AsyncIterator[Post]:
    """Everything that a mailbox needs."""
    await migrate(database_url)
    async with open_post_office(database_url) as office:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Mailbox],
            activities=[office.activities.deliver_batch, office.orders.carry_out],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with worker:
            event = NewEvent("institution.registered", {})
            await office._append(StreamWrite("institutions", f"institution/{SCHOOL}", 0, (event,)))
            yield Post(office, client)


@asynccontextmanager
async def skipping() -> AsyncIterator[Client]:
    """A Temporal that skips every wait."""
    path = str(Path(sys.executable).with_name("temporal-test-server"))
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=path, data_converter=data_converter
    )
    async with environment:
        yield environment.client


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.05)


async def shows(handle: WorkflowHandle[Mailbox, None], text: str) -> None:
    async def shown() -> bool:
        return text in (await handle.query("__temporal_workflow_metadata")).current_details

    await until(shown)


async def ordered(handle: WorkflowHandle[Mailbox, None], name: str, **order: Any) -> None:
    await handle.execute_update(name, {**order, "reason": "r"}, result_type=MailboxAnswer)


async def delivered(p: Post) -> None:
    """More than a batch, without a wait; then one that is posted once more."""
    endpoint = await p.office.endpoint(SCHOOL)
    notices = [await p.office.tell(SCHOOL) for _ in range(230)]
    handle = await p.start(SCHOOL)
    await p.keep("mailbox-delivered", handle)
    await p.office.tell(SCHOOL)
    p.office.webhooks.fail_next(SCHOOL, 1)
    handle = await p.start(SCHOOL)
    await shows(handle, "HTTP 500")
    await ordered(handle, "redeliver", endpoint=endpoint, notice=str(notices[0]))
    await p.keep("mailbox-redelivered", handle)


async def paused(p: Post) -> None:
    """A receiver that fails; stopped, one notice skipped, let go on."""
    await p.office.endpoint(SCHOOL)
    p.office.webhooks.fail_next(SCHOOL, 1)
    skipped, _ = await p.office.tell(SCHOOL), await p.office.tell(SCHOOL)
    handle = await p.start(SCHOOL)
    await shows(handle, "HTTP 500")
    await ordered(handle, "pause")
    await handle.signal(Mailbox.wake)
    await shows(handle, "**paused** by operator:temporal at ")
    await ordered(handle, "skip", notice=str(skipped))
    await ordered(handle, "resume")
    await p.keep("mailbox-paused", handle)


async def held(p: Post) -> None:
    """Mail that waits for the morning; something new comes meanwhile, by webhook, and does not."""
    async with p.office.pool.acquire() as connection:
        await create_demo_clock(connection, local_instant("2022-09-20 23:00"), 10.0)
    p.office.activities.clock = DemoClock(p.office.pool)
    p.office.activities.quiet_hours = QuietHours.from_text("21:00-08:00")
    await p.office.organisation(SCHOOL)
    await p.office.endpoint(SCHOOL, types=["leave.granted"])
    await p.office.tell(SCHOOL, "nomination.received")
    handle = await p.start(SCHOOL)
    await shows(handle, "quiet hours")
    await p.office.tell(SCHOOL, "leave.granted")
    await handle.signal(Mailbox.wake)

    async def taken() -> bool:
        return bool(p.office.webhooks.accepted)

    await until(taken)
    async with p.office.pool.acquire() as connection:
        await advance_cap(connection, local_instant("2022-09-21 09:00"))
    await p.keep("mailbox-held", handle)


async def retried(p: Post) -> None:
    """A receiver that fails four times and then takes everything."""
    await p.office.endpoint(SCHOOL)
    p.office.webhooks.fail_next(SCHOOL, 4)
    for _ in range(3):
        await p.office.tell(SCHOOL)
    await p.keep("mailbox-retried", await p.start(SCHOOL))


async def continued(p: Post) -> None:
    """A receiver that fails for so long that a new run begins, and takes it then."""
    await p.office.endpoint(SCHOOL)
    p.office.webhooks.fail_next(SCHOOL, BATCHES_PER_RUN + 1)
    await p.office.tell(SCHOOL)
    handle = await p.start(SCHOOL)
    await handle.result()
    first = p.client.get_workflow_handle(handle.id, run_id=handle.result_run_id)
    p.kept["mailbox-continued-1"] = await first.fetch_history()
    last = (await p.client.get_workflow_handle(handle.id).describe()).run_id
    p.kept["mailbox-continued-2"] = await p.client.get_workflow_handle(handle.id, run_id=last).fetch_history()


WITHOUT_WAITS = (retried, continued)
"""These are played where waits are skipped."""

PLAYS = (delivered, paused, held)


async def played(play: Callable[[Post], Awaitable[None]], database_url: str, servers: Servers) -> Post:
    """Play one of the above; what it has kept."""
    if play in WITHOUT_WAITS:
        async with skipping() as client, post(database_url, client) as place:
            await play(place)
    else:
        async with post(database_url, servers.usual) as place:
            await play(place)
    return place
