"""An operator pauses a mailbox, lets it go on, skips a notice and has one posted once more, from the Temporal UI; and a
dead organisation delays nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from ledger.types import NewEvent, StreamWrite
from temporal_client import data_converter
from tests.activities.post_office import PostOffice, open_post_office
from tests.activities.test_webhooks import Listener, listening
from workflows.mailbox import Mailbox
from workflows.messages import MailboxAnswer, MailboxStart


@pytest_asyncio.fixture
async def office(database_url: str) -> AsyncIterator[PostOffice]:
    async with open_post_office(database_url) as opened:
        yield opened


@pytest.fixture
def school() -> str:
    return f"s-{uuid4().hex[:12]}"


def worker(client: Client, queue: str, office: PostOffice) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[Mailbox],
        activities=[office.activities.deliver_batch, office.orders.carry_out],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def start(client: Client, queue: str, school: str) -> WorkflowHandle[Mailbox, None]:
    return await client.start_workflow(
        Mailbox.run, MailboxStart(organisation=school), id=f"mailbox/{school}", task_queue=queue
    )


async def registered(office: PostOffice, school: str) -> None:
    """Begin the organisation's stream, as its registration does."""
    event = NewEvent("institution.registered", {})
    await office._append(StreamWrite("institutions", f"institution/{school}", 0, (event,)))


async def recorded(office: PostOffice, school: str) -> list[tuple[str, dict[str, object]]]:
    stream = await office.ledger.read_stream("institutions", f"institution/{school}")
    return [(each.type, dict(each.data)) for each in stream[1:]]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.05)


async def details(handle: WorkflowHandle[Mailbox, None]) -> str:
    shown: str = (await handle.query("__temporal_workflow_metadata")).current_details
    return shown


async def test_a_mailbox_is_stopped_and_goes_on(office: PostOffice, temporal_client: Client, school: str) -> None:
    queue = str(uuid4())
    await registered(office, school)
    endpoint = await office.endpoint(school)
    office.webhooks.fail_next(school, 1)
    await office.tell(school)

    async with worker(temporal_client, queue, office):
        handle = await start(temporal_client, queue, school)
        await until(lambda: _shows(handle, "HTTP 500"))
        # As the UI sends it: a JSON object with a reason.
        await handle.execute_update("pause", {"reason": "moving"}, result_type=MailboxAnswer)
        await handle.signal(Mailbox.wake)
        await until(lambda: _shows(handle, "**paused** by operator:temporal at "))
        shown = await details(handle)
        assert office.webhooks.received(school) == []
        await handle.execute_update("resume", {"reason": "moved"}, result_type=MailboxAnswer)
        await handle.result()

    assert "- notices left: 1" in shown
    assert ": moving" in shown
    assert len(office.webhooks.received(school)) == 1
    assert await recorded(office, school) == [
        ("institution.mailbox_paused", {"reason": "moving", "paused_by": "operator:temporal"}),
        ("institution.mailbox_resumed", {"reason": "moved", "resumed_by": "operator:temporal"}),
    ]
    assert endpoint
    await Replayer(
        workflows=[Mailbox], data_converter=data_converter, workflow_runner=UnsandboxedWorkflowRunner()
    ).replay_workflow(await handle.fetch_history())


async def _shows(handle: WorkflowHandle[Mailbox, None], text: str) -> bool:
    return text in await details(handle)


async def test_a_notice_is_skipped_with_a_reason_and_another_one_is_posted_once_more(
    office: PostOffice, temporal_client: Client, school: str
) -> None:
    queue = str(uuid4())
    await registered(office, school)
    endpoint = await office.endpoint(school)
    office.webhooks.fail_next(school, 2)
    skipped, kept = await office.tell(school), await office.tell(school)

    async with worker(temporal_client, queue, office):
        handle = await start(temporal_client, queue, school)
        await until(lambda: _shows(handle, "number 3"))
        unknown = await handle.execute_update(
            "skip", {"notice": str(uuid4()), "reason": "x"}, result_type=MailboxAnswer
        )
        answer = await handle.execute_update(
            "skip", {"notice": str(skipped), "reason": "sent by mistake"}, result_type=MailboxAnswer
        )
        await handle.result()
        again = await start(temporal_client, queue, school)
        await again.result()
        third = await start(temporal_client, queue, school)
        with pytest.raises(WorkflowUpdateFailedError):
            await third.execute_update("pause", {"reason": "call 138 0013 8000"}, result_type=MailboxAnswer)
        await third.result()

    assert (unknown.known, answer.known, answer.count) == (False, True, 1)
    assert [UUID(each.id) for each in office.webhooks.received(school)] == [kept]
    assert await recorded(office, school) == [
        (
            "institution.notice_skipped",
            {"notice": str(skipped), "reason": "sent by mistake", "skipped_by": "operator:temporal"},
        )
    ]
    assert endpoint


async def test_a_dead_organisation_delays_nobody_else(office: PostOffice, temporal_client: Client, school: str) -> None:
    """The dead one takes connections and never answers: the others are done while its first message still hangs."""
    queue = str(uuid4())
    others = [f"{school}-{number}" for number in range(5)]
    async with listening(Listener(answer="")) as dead, worker(temporal_client, queue, office):
        await office.endpoint(school, url=f"http://127.0.0.1:{dead.port}/")
        await office.tell(school)
        hanging = await start(temporal_client, queue, school)
        while not dead.requests:
            await asyncio.sleep(0.01)
        for other in others:
            await office.endpoint(other)
            for _ in range(10):
                await office.tell(other)
        for handle in [await start(temporal_client, queue, other) for other in others]:
            await handle.result()
        assert len(dead.requests) == 1
        assert await office.undelivered() == 1
        await hanging.terminate()

    assert all(len(office.webhooks.received(other)) == 10 for other in others)
