"""At night mail is held and webhooks go. The clock is the demo's own, which stands still until it is moved."""

from datetime import datetime

import pytest_asyncio

from clock import DemoClock, advance_cap, create_demo_clock
from domain.calendar import local_instant
from domain.quiet_hours import QuietHours
from tests.activities.post_office import PostOffice

NIGHT, MORNING = local_instant("2022-09-20 23:00"), local_instant("2022-09-21 08:00")
EMAIL = "wang@school.example.org"


async def pass_until(office: PostOffice, instant: datetime) -> None:
    async with office.pool.acquire() as connection:
        await advance_cap(connection, instant)
    while await office.activities.clock.now() < instant:
        pass


@pytest_asyncio.fixture(autouse=True)
async def night(office: PostOffice) -> None:
    async with office.pool.acquire() as connection:
        await create_demo_clock(connection, NIGHT, 100.0)
    office.activities.clock = DemoClock(office.pool)
    office.activities.quiet_hours = QuietHours.from_text("21:00-08:00")
    await office.organisation("s1")


async def test_what_can_wait_is_one_mail_in_the_morning(office: PostOffice) -> None:
    for _ in range(3):
        await office.tell("s1")
    await office.tell("s1", "trainee.enrolled", person=await office.person(name="王", email=EMAIL))

    held = await office.deliver("s1")

    assert (held.delivered, held.left, held.held, held.problem) == (0, 4, 4, "")
    assert held.held_until == "2022-09-21 08:00 (Asia/Shanghai)"
    assert held.held_seconds is not None
    assert not office.mails.mails
    assert await office.log() == []

    await pass_until(office, MORNING)
    sent = await office.deliver("s1")

    assert (sent.delivered, sent.left, sent.held, sent.held_until) == (4, 0, 0, "")
    (mail,) = office.mails.received("s1@example.org")
    assert "【学校推荐，待审核】3 条" in mail.text
    assert len(office.mails.received(EMAIL)) == 1


async def test_webhooks_go_at_night_and_what_cannot_wait_is_mailed(office: PostOffice) -> None:
    await office.endpoint("s1", types=["leave.granted"])
    await office.tell("s1", "leave.granted")
    await office.tell("s1", "nomination.received")
    midnight = local_instant("2022-09-20 24:00").isoformat()
    await office.tell("s1", "campaign.selection_reminder", deadline=midnight)
    person = await office.person(name="王", email=EMAIL)
    await office.tell("s1", "restriction.served", person=person, restriction="zz22-410181-00001-r1")

    result = await office.deliver("s1")

    assert (result.delivered, result.left, result.held) == (3, 1, 1)
    assert len(office.webhooks.received("s1")) == 1
    (mail,) = office.mails.received("s1@example.org")
    assert "遴选截止时间提醒" in mail.text
    assert "学校推荐" not in mail.text
    assert len(office.mails.received(EMAIL)) == 1


async def test_a_mail_that_was_begun_goes_whole_or_not_at_all(office: PostOffice) -> None:
    port = office.mails.port
    await pass_until(office, local_instant("2022-09-21 20:00"))
    first = await office.tell("s1")
    await office.tell("s1", "leave.granted")
    await office.mails.stop()
    assert "no connection" in (await office.deliver("s1")).problem
    await office.mails.start(port)

    await pass_until(office, local_instant("2022-09-21 21:30"))
    assert (await office.deliver("s1")).held == 2
    urgent = b'{"data": {"deadline": "2022-09-21T16:00:00+00:00"}}'
    await office.pool.execute("UPDATE ledger.outbox SET body = $1 WHERE id = $2", urgent, first)
    assert (await office.deliver("s1")).left == 0
    (mail,) = office.mails.received("s1@example.org")
    assert "2 条通知" in mail.subject
