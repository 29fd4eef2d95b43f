"""The mailbox waits by the Standard Webhooks schedule, shows why, and ends when nothing is left.

Real deliveries on a Temporal server whose time jumps over the waits; two tests take the real server, where a signal
must arrive while the mailbox waits.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from activities.outbox import NOTICES_PER_BATCH
from clock import DemoClock, advance_cap, create_demo_clock
from domain.calendar import local_instant
from domain.quiet_hours import QuietHours
from temporal_client import data_converter
from tests.activities.post_office import PostOffice, open_post_office
from workflows import mailbox
from workflows.mailbox import JITTER, PAUSE, SCHEDULE, Mailbox
from workflows.messages import MailboxStart

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def office(database_url: str) -> AsyncIterator[PostOffice]:
    async with open_post_office(database_url) as opened:
        yield opened


@pytest.fixture
def school() -> str:
    """An organisation of this test alone: all tests share one Temporal server."""
    return f"s-{uuid4().hex[:12]}"


def worker(client: Client, queue: str, office: PostOffice) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[Mailbox],
        activities=[office.activities.deliver_batch],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def start(client: Client, queue: str, school: str) -> WorkflowHandle[Mailbox, None]:
    return await client.start_workflow(
        Mailbox.run, MailboxStart(organisation=school), id=f"mailbox/{school}", task_queue=queue
    )


def timers(history: WorkflowHistory) -> list[tuple[timedelta, str]]:
    """How long each timer was set for, and its summary."""
    found = []
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            wait = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
            (summary,) = data_converter.payload_converter.from_payloads([event.user_metadata.summary])
            found.append((wait, str(summary)))
    return found


def batches(history: WorkflowHistory) -> int:
    return sum(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED for event in history.events)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.05)


async def test_a_failing_receiver_is_tried_by_the_schedule_and_gets_everything_once(
    office: PostOffice, time_skipping_environment: WorkflowEnvironment, school: str
) -> None:
    client = time_skipping_environment.client
    endpoint = await office.endpoint(school)
    office.webhooks.fail_next(school, 4)
    for _ in range(3):
        await office.tell(school)

    async with worker(client, "queue", office):
        handle = await start(client, "queue", school)
        await handle.result()

    history = await handle.fetch_history()
    waits = [wait for wait, _ in timers(history)]
    assert len(waits) == 4
    for wait, scheduled in zip(waits, SCHEDULE[1:], strict=False):
        assert scheduled <= wait <= scheduled * (1 + JITTER)
    assert timers(history)[1][1] == f"{school} · attempt 3 · webhook {endpoint}: HTTP 500"
    assert batches(history) == 5
    assert len(office.webhooks.received(school)) == 3
    assert office.webhooks.duplicates == 0
    await Replayer(
        workflows=[Mailbox],
        data_converter=data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    ).replay_workflow(history)


async def test_the_last_wait_is_repeated_and_the_jitter_varies(
    office: PostOffice, time_skipping_environment: WorkflowEnvironment, school: str
) -> None:
    client = time_skipping_environment.client
    await office.endpoint(school)
    office.webhooks.fail_next(school, 12)
    await office.tell(school)

    async with worker(client, "queue", office):
        handle = await start(client, "queue", school)
        await handle.result()

    waits = [wait for wait, _ in timers(await handle.fetch_history())]
    assert len(waits) == 12
    assert all(24 * HOUR <= wait <= 24 * HOUR * (1 + JITTER) for wait in waits[8:])
    assert len(set(waits[8:])) == 4


async def test_more_than_a_batch_is_delivered_without_a_wait(
    office: PostOffice, time_skipping_environment: WorkflowEnvironment, school: str
) -> None:
    client = time_skipping_environment.client
    await office.endpoint(school)
    for _ in range(2 * NOTICES_PER_BATCH + 30):
        await office.tell(school)

    async with worker(client, "queue", office):
        handle = await start(client, "queue", school)
        await handle.result()

    history = await handle.fetch_history()
    assert (batches(history), timers(history)) == (3, [])
    assert len(office.webhooks.received(school)) == 2 * NOTICES_PER_BATCH + 30


async def test_it_continues_as_new_and_keeps_its_attempt(
    office: PostOffice, time_skipping_environment: WorkflowEnvironment, school: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "BATCHES_PER_RUN", 2)
    client = time_skipping_environment.client
    await office.endpoint(school)
    office.webhooks.fail_next(school, 3)
    await office.tell(school)

    async with worker(client, "queue", office):
        handle = await start(client, "queue", school)
        await handle.result()

    runs = [handle.result_run_id, (await client.get_workflow_handle(handle.id).describe()).run_id]
    assert runs[0] != runs[1]
    second = await client.get_workflow_handle(handle.id, run_id=runs[1]).fetch_history()
    # The second run begins with the third attempt; the wait after its failure is the fourth of the schedule.
    ((wait, summary),) = timers(second)
    assert SCHEDULE[3] <= wait <= SCHEDULE[3] * (1 + JITTER)
    assert "attempt 4" in summary


async def test_a_problem_of_our_own_is_shown_and_waited_out(
    office: PostOffice, time_skipping_environment: WorkflowEnvironment, school: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        mailbox, "BATCH_RETRY", RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=2)
    )
    client = time_skipping_environment.client
    await office.endpoint(school)
    await office.tell(school)
    await office.pool.execute("ALTER TABLE app.webhook_endpoints RENAME TO elsewhere")

    async with worker(client, "queue", office):
        handle = await start(client, "queue", school)

        async def waits() -> bool:
            return bool(timers(await handle.fetch_history()))

        await until(waits)
        await office.pool.execute("ALTER TABLE app.elsewhere RENAME TO webhook_endpoints")
        await handle.result()

    assert "deliver_batch failed (UndefinedTableError)" in timers(await handle.fetch_history())[0][1]
    assert len(office.webhooks.received(school)) == 1


async def test_something_new_is_a_reason_to_try_before_the_schedule(
    office: PostOffice, temporal_client: Client, school: str
) -> None:
    queue = str(uuid4())
    await office.organisation(school)
    await office.endpoint(school, types=["leave.granted"])
    office.webhooks.fail_next(school, 2)
    await office.tell(school, "leave.granted")

    async with worker(temporal_client, queue, office):
        handle = await start(temporal_client, queue, school)

        async def rests() -> bool:
            return len(timers(await handle.fetch_history())) == 2

        # The second wait is five minutes long; a mail that has nothing to do with the broken endpoint ends it.
        await until(rests)
        details = await handle.query("__temporal_workflow_metadata")
        await office.tell(school, "nomination.returned")
        await handle.signal(Mailbox.wake)
        await handle.result()

    shown = details.current_details
    assert f"### Mailbox of {school}" in shown
    assert "- notices left: 1" in shown
    assert "HTTP 500" in shown
    assert "- next attempt: number 3, by 20" in shown
    waits = timers(await handle.fetch_history())
    assert waits[2][0] <= PAUSE
    assert waits[2][1].startswith("something new · ")
    assert len(office.mails.received(f"{school}@example.org")) == 1
    assert len(office.webhooks.received(school)) == 1


async def test_mail_waits_for_the_morning_and_a_webhook_does_not(
    office: PostOffice, temporal_client: Client, school: str
) -> None:
    queue = str(uuid4())
    async with office.pool.acquire() as connection:
        await create_demo_clock(connection, local_instant("2022-09-20 23:00"), 10.0)
    office.activities.clock = DemoClock(office.pool)
    office.activities.quiet_hours = QuietHours.from_text("21:00-08:00")
    await office.organisation(school)
    await office.endpoint(school, types=["leave.granted"])
    await office.tell(school, "nomination.received")

    async with worker(temporal_client, queue, office):
        handle = await start(temporal_client, queue, school)

        async def shows(text: str) -> bool:
            return text in (await handle.query("__temporal_workflow_metadata")).current_details

        await until(lambda: shows("- 1 wait until 2022-09-21 08:00 (Asia/Shanghai), quiet hours"))
        await office.tell(school, "leave.granted")
        await handle.signal(Mailbox.wake)
        await until(lambda: _accepted(office))
        assert not office.mails.mails
        async with office.pool.acquire() as connection:
            await advance_cap(connection, local_instant("2022-09-21 09:00"))
        await handle.result()

    assert len(office.mails.received(f"{school}@example.org")) == 1
    history = await handle.fetch_history()
    assert timers(history)[0][1] == f"{school} · 1 wait until 2022-09-21 08:00 (Asia/Shanghai), quiet hours"
    await Replayer(
        workflows=[Mailbox], data_converter=data_converter, workflow_runner=UnsandboxedWorkflowRunner()
    ).replay_workflow(history)


async def test_a_wake_during_the_last_batch_keeps_it_alive(
    office: PostOffice, temporal_client: Client, school: str
) -> None:
    queue = str(uuid4())
    await office.endpoint(school)
    await office.tell(school)
    async with office.pool.acquire() as other, worker(temporal_client, queue, office):
        async with other.transaction():
            await other.execute("LOCK TABLE app.deliveries IN EXCLUSIVE MODE")
            handle = await start(temporal_client, queue, school)
            await until(lambda: _accepted(office))
            await handle.signal(Mailbox.wake)
        await handle.result()

    assert batches(await handle.fetch_history()) == 2
    assert office.webhooks.duplicates == 0


async def _accepted(office: PostOffice) -> bool:
    return bool(office.webhooks.accepted)
