"""What appends have put into the outbox becomes running workflows, whatever is lost on the way.

A real Temporal server; where a test needs one that is away, it has a server of its own that comes later.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.dispatch import FORGET_S, WAKE_EVERY_S, Dispatcher
from activities.outbox import Outbox
from embedded.child_processes import free_port
from embedded.temporal import find_binary
from temporal_client import data_converter
from tests.activities.post_office import CAMPAIGN, PostOffice
from workflows.mailbox import Mailbox


class Seconds:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid4()}"


@pytest.fixture
def school() -> str:
    """An organisation of this test alone: all tests share one Temporal server."""
    return f"s-{uuid4().hex[:12]}"


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.05)


async def signals(handle: WorkflowHandle[None, None]) -> int:
    history = await handle.fetch_history()
    return sum(event.HasField("workflow_execution_signaled_event_attributes") for event in history.events)


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Run the dispatcher meanwhile; should it die, so does the test."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run(stop))
        try:
            yield
        finally:
            stop.set()


async def test_a_process_is_started_once_and_the_entry_is_done(
    office: PostOffice, temporal_client: Client, queue: str
) -> None:
    number = f"zz22-410181-{uuid4().hex[:8]}-r1"
    await office.start("restriction", number)
    dispatcher = Dispatcher(office.pool, temporal_client, task_queue=queue)

    await dispatcher.poll(Outbox(office.pool))

    assert await office.undelivered() == 0
    handle = temporal_client.get_workflow_handle(f"restriction/{number}")
    described = await handle.describe()
    assert (described.workflow_type, described.task_queue) == ("Restriction", queue)
    assert await described.static_summary() == f"restriction {number} · {CAMPAIGN}"

    # The same process is asked for again while it runs: the running one will do.
    await office.start("restriction", number)
    await dispatcher.poll(Outbox(office.pool))
    assert await office.undelivered() == 0
    assert (await handle.describe()).run_id == described.run_id
    await handle.terminate()


async def test_an_entry_that_cannot_be_started_is_reported_once_and_holds_up_nothing(
    office: PostOffice, temporal_client: Client, queue: str
) -> None:
    number = f"zz22-c-{uuid4().hex[:8]}"
    await office.start("teapot", "t1")
    await office.start("class", "longer than an id may be" * 100)
    await office.start("class", number)
    dispatcher = Dispatcher(office.pool, temporal_client, task_queue=queue)

    with capture_logs() as logs:
        await dispatcher.poll(Outbox(office.pool))
        await dispatcher.poll(Outbox(office.pool))

    assert [entry["event"] for entry in logs] == ["dispatch.unstartable"] * 2
    assert await office.undelivered() == 2
    await temporal_client.get_workflow_handle(f"class/{number}").terminate()


async def test_a_mailbox_is_woken_once_for_what_waits(
    office: PostOffice, temporal_client: Client, queue: str, school: str
) -> None:
    seconds, outbox = Seconds(), Outbox(office.pool)
    dispatcher = Dispatcher(office.pool, temporal_client, task_queue=queue, monotonic=seconds)
    handle = temporal_client.get_workflow_handle(f"mailbox/{school}")

    await dispatcher.poll(outbox)
    with pytest.raises(RPCError, match="not found") as error:
        await handle.describe()
    assert error.value.status is RPCStatusCode.NOT_FOUND, "nothing waits, nobody is woken"

    await office.tell(school)
    await dispatcher.poll(outbox)
    await dispatcher.poll(outbox)
    assert await signals(handle) == 1

    # Something new within a second waits for the second to pass.
    await office.tell(school)
    seconds.now += WAKE_EVERY_S / 2
    await dispatcher.poll(outbox)
    assert await signals(handle) == 1
    seconds.now += WAKE_EVERY_S
    await dispatcher.poll(outbox)
    assert await signals(handle) == 2

    # A minute later it is only made sure that the mailbox runs; one that rests is left to rest.
    first_run = (await handle.describe()).run_id
    seconds.now += FORGET_S
    await dispatcher.poll(outbox)
    assert (await signals(handle), (await handle.describe()).run_id) == (2, first_run)

    # When Temporal has lost it, it is started again.
    await handle.terminate()
    await dispatcher.poll(outbox)
    assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED
    seconds.now += FORGET_S
    await dispatcher.poll(outbox)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_many_organisations_are_found_by_their_newest_notice(office: PostOffice) -> None:
    for _ in range(3):
        for organisation in ("a1", "b2", "c3"):
            await office.tell(organisation)
    await office.start("class", "zz22-c-h001-01")
    outbox = Outbox(office.pool)
    newest = await office.pool.fetchval("SELECT max(position) FROM ledger.outbox WHERE recipient = 'a1'")

    waiting = await outbox.waiting_organisations()

    assert [each.organisation for each in waiting] == ["c3", "b2", "a1"]
    assert waiting[-1].position == newest
    assert [each.organisation for each in await outbox.waiting_organisations(below="b2")] == ["a1"]


async def test_a_notice_goes_all_the_way_from_the_append_to_the_receiver(
    office: PostOffice, temporal_client: Client, queue: str, school: str
) -> None:
    await office.endpoint(school)
    worker = Worker(
        temporal_client,
        task_queue=queue,
        workflows=[Mailbox],
        activities=[office.activities.deliver_batch],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker, running(Dispatcher(office.pool, temporal_client, task_queue=queue)):
        for _ in range(30):
            await office.tell(school)
        await until(lambda: _is_empty(office))
        await temporal_client.get_workflow_handle(f"mailbox/{school}").result()
        await office.tell(school)
        await until(lambda: _is_empty(office))
        await temporal_client.get_workflow_handle(f"mailbox/{school}").result()

    assert len(office.webhooks.received(school)) == 31
    assert office.webhooks.duplicates == 0


async def _is_empty(office: PostOffice) -> bool:
    return await office.undelivered() == 0


async def test_one_of_two_dispatchers_leads_and_the_other_takes_over(
    office: PostOffice, temporal_client: Client, queue: str, school: str
) -> None:
    polls = {"first": 0, "second": 0}

    class Counting(Dispatcher):
        name = ""

        async def poll(self, outbox: Outbox) -> bool:
            polls[self.name] += 1
            return await super().poll(outbox)

    first, second = (Counting(office.pool, temporal_client, task_queue=queue) for _ in polls)
    first.name, second.name = polls

    async with contextlib.AsyncExitStack() as stack:
        async with running(first):
            await until(lambda: _true(polls["first"] >= 1))
            await stack.enter_async_context(running(second))
            await until(lambda: _true(polls["first"] >= 5))
            assert polls["second"] == 0
        await until(lambda: _true(polls["second"] >= 1))


async def _true(value: bool) -> bool:
    return value


async def test_temporal_may_be_away_and_come_back(office: PostOffice, queue: str, school: str, tmp_path: Path) -> None:
    port, number = free_port(), f"zz22-410181-{uuid4().hex[:8]}"
    client = await Client.connect(f"127.0.0.1:{port}", lazy=True, data_converter=data_converter)
    await office.tell(school)
    await office.start("trainee", number)

    with capture_logs() as logs:
        async with running(Dispatcher(office.pool, client, task_queue=queue)):
            await until(lambda: _true(len(logs) > 0))
            await asyncio.sleep(1)
            assert [entry["event"] for entry in logs] == ["dispatch.away"]
            assert await office.undelivered() == 2
            binary = find_binary()
            async with await WorkflowEnvironment.start_local(
                ip="127.0.0.1", port=port, dev_server_existing_path=str(binary), data_converter=data_converter
            ):
                await until(lambda: _true(len(logs) > 1))
                assert logs[1]["event"] == "dispatch.back"
                assert await office.undelivered() == 1
                described = await client.get_workflow_handle(f"mailbox/{school}").describe()
                assert described.status is WorkflowExecutionStatus.RUNNING


async def test_postgresql_may_drop_the_connection(
    office: PostOffice, temporal_client: Client, queue: str, school: str
) -> None:
    with capture_logs() as logs:
        async with running(Dispatcher(office.pool, temporal_client, task_queue=queue)):
            await until(lambda: _leads(office))
            await office.pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            await office.tell(school)
            await until(lambda: _true(any(entry["event"] == "dispatch.back" for entry in logs)))
    assert [entry["event"] for entry in logs] == ["dispatch.away", "dispatch.back"]
    await temporal_client.get_workflow_handle(f"mailbox/{school}").terminate()


async def _leads(office: PostOffice) -> bool:
    locks = await office.pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    return bool(locks)
