"""Notices reach whom they are for, once, in order, and leave nothing personal behind.

Everything is real: the ledger's outbox, the vault, an HTTP receiver that verifies with the reference library, and a
mail server. A crash is a task that is cancelled while its database statement waits for a lock.
"""

import asyncio
import logging
from collections import Counter
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from activities.outbox import NOTICES_PER_BATCH
from tests.activities.post_office import SECRET, PostOffice

NAME, TELEPHONE, IDENTITY = "欧阳不寻常", "13800138000", "410181199001011234"
EMAIL = "bu-xun-chang@school.example.org"


async def until(condition: object) -> None:
    """Wait until the callable `condition` is true."""
    assert callable(condition)
    while not condition():
        await asyncio.sleep(0.01)


async def crash(office: PostOffice, organisation: str, table: str, sent: object) -> None:
    """Let a delivery run until `sent` and die before it could write that down."""
    async with office.pool.acquire() as other, other.transaction():
        await other.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        delivery = asyncio.create_task(office.deliver(organisation))
        await until(sent)
        # More than once: a wait that ends in the same moment swallows the first one (asyncio.wait_for before 3.12).
        while not delivery.done():
            delivery.cancel()
            await asyncio.sleep(0.01)
        assert delivery.cancelled()


# ------------------------------------------------------------------------------------------------------ webhooks


async def test_notices_are_posted_in_order_signed_and_once(office: PostOffice) -> None:
    await office.endpoint("s1")
    sent = [await office.tell("s1", project_type="gp1") for _ in range(5)]

    result = await office.deliver("s1")

    assert (result.delivered, result.left, result.problem) == (5, 0, "")
    received = office.webhooks.received("s1")
    assert [UUID(message.id) for message in received] == sent
    assert {message.type for message in received} == {"nomination.received"}
    assert received[0].data["project_type"] == "gp1"
    assert office.webhooks.refused == Counter()
    assert await office.undelivered() == 0

    again = await office.deliver("s1")
    assert (again.delivered, office.webhooks.duplicates, len(office.webhooks.accepted)) == (0, 0, 5)


async def test_a_wrong_signature_is_seen_by_the_receiver_and_is_a_problem_here(office: PostOffice) -> None:
    await office.endpoint("s1")
    office.webhooks.set_secret("s1", "whsec_" + "A" * 32)
    await office.tell("s1")

    result = await office.deliver("s1")

    assert "HTTP 401" in result.problem
    assert office.webhooks.refused["s1"] == 1
    assert await office.undelivered() == 1


async def test_a_batch_is_bounded(office: PostOffice) -> None:
    await office.endpoint("s1")
    for _ in range(NOTICES_PER_BATCH + 3):
        await office.tell("s1")

    first = await office.deliver("s1")
    second = await office.deliver("s1")

    assert (first.delivered, first.left, second.delivered, second.left) == (NOTICES_PER_BATCH, 3, 3, 0)


async def test_a_failing_receiver_gets_each_notice_once_when_it_works_again(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1")
    office.webhooks.fail_next("s1", 2)
    sent = [await office.tell("s1") for _ in range(3)]

    problems = [(await office.deliver("s1")).problem for _ in range(3)]

    assert problems == [f"webhook {endpoint}: HTTP 500", f"webhook {endpoint}: HTTP 500", ""]
    assert [UUID(message.id) for message in office.webhooks.received("s1")] == sent
    assert office.webhooks.duplicates == 0
    rows = await office.pool.fetch(
        "SELECT attempt, problem FROM app.deliveries WHERE outbox_id = $1 ORDER BY id", sent[0]
    )
    assert [tuple(row) for row in rows] == [(1, "HTTP 500"), (2, "HTTP 500"), (3, "")]


async def test_a_failing_endpoint_holds_up_neither_another_one_nor_mail(office: PostOffice) -> None:
    await office.organisation("s1")
    await office.endpoint("s1", types=["leave.granted"], receiver="broken")
    await office.endpoint("s1", types=["leave.granted", "leave.refused"], receiver="works")
    office.webhooks.fail_next("broken", 1)
    for type_ in ("leave.granted", "leave.refused", "nomination.returned"):
        await office.tell("s1", type_)

    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (2, 1)
    assert [message.type for message in office.webhooks.received("works")] == ["leave.granted", "leave.refused"]
    assert len(office.mails.received("s1@example.org")) == 1

    assert (await office.deliver("s1")).left == 0
    assert len(office.webhooks.received("broken")) == 1
    assert (office.webhooks.duplicates, office.mails.duplicates) == (0, 0)


async def test_a_crash_between_post_and_mark_repeats_that_one_with_its_id(office: PostOffice) -> None:
    await office.endpoint("s1")
    sent = [await office.tell("s1") for _ in range(3)]

    await crash(office, "s1", "app.deliveries", lambda: len(office.webhooks.accepted) == 1)
    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (3, 0)
    assert office.webhooks.accepted == {("s1", str(sent[0])): 2, ("s1", str(sent[1])): 1, ("s1", str(sent[2])): 1}


async def test_gone_disables_the_endpoint_and_mail_takes_over(office: PostOffice) -> None:
    await office.organisation("s1")
    endpoint = await office.endpoint("s1")
    office.webhooks.close_for_good("s1")
    await office.tell("s1")
    await office.tell("s1")

    result = await office.deliver("s1")

    assert (result.delivered, result.left, result.problem) == (2, 0, "")
    disabled = await office.pool.fetchval("SELECT disabled_at FROM app.webhook_endpoints WHERE id = $1", endpoint)
    assert disabled is not None
    (mail,) = office.mails.received("s1@example.org")
    assert "已停用" in mail.text
    assert "was disabled" in mail.text
    channels = Counter((channel, status) for channel, _, _, status in await office.log())
    assert channels == {("webhook", 410): 1, ("mail", 250): 2}


async def test_an_endpoint_that_fails_for_days_is_disabled(office: PostOffice) -> None:
    await office.organisation("s1")
    endpoint = await office.endpoint("s1")
    office.webhooks.fail_next("s1", 2)
    await office.tell("s1")

    assert "HTTP 500" in (await office.deliver("s1")).problem
    await office.pool.execute("UPDATE app.deliveries SET at = at - interval '5 days 1 minute'")
    assert (await office.deliver("s1")).left == 0

    assert await office.pool.fetchval("SELECT disabled_at FROM app.webhook_endpoints WHERE id = $1", endpoint)
    assert len(office.mails.received("s1@example.org")) == 1


async def test_the_owner_is_told_when_only_letters_were_waiting(office: PostOffice) -> None:
    await office.organisation("s1")
    await office.endpoint("s1")
    office.webhooks.close_for_good("s1")
    await office.tell("s1", "trainee.enrolled", person=await office.person(name=NAME, email=EMAIL))

    assert (await office.deliver("s1")).left == 0

    assert len(office.mails.received(EMAIL)) == 1
    (mail,) = office.mails.received("s1@example.org")
    assert "was disabled" in mail.text


async def test_two_secrets_sign_both_while_one_is_replaced(office: PostOffice) -> None:
    old = "whsec_" + "B" * 32
    await office.endpoint("s1", secret=f"{SECRET} {old}")
    for known in (SECRET, old):
        office.webhooks.set_secret("s1", known)
        await office.tell("s1")
        assert (await office.deliver("s1")).problem == ""
    assert office.webhooks.refused["s1"] == 0


async def test_an_endpoint_whose_secret_cannot_be_opened_is_named_and_mail_takes_over(office: PostOffice) -> None:
    await office.organisation("s1")
    endpoint = await office.endpoint("s1", types=["leave.granted"])
    await office.pool.execute("UPDATE app.webhook_endpoints SET secret_sealed = $1", bytes(60))
    await office.tell("s1", "leave.granted")

    result = await office.deliver("s1")

    assert result.problem == f"webhook {endpoint}: its secret cannot be opened"
    assert (result.delivered, result.left, len(office.mails.mails)) == (1, 0, 1)


async def test_an_address_inside_is_refused(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1", url="https://10.1.2.3/hook")
    await office.tell("s1")

    result = await office.deliver("s1")

    assert result.problem == f"webhook {endpoint}: its address is not a public one"


# ---------------------------------------------------------------------------------------------------------- mail


async def test_many_notices_are_one_mail(office: PostOffice) -> None:
    await office.organisation("s1")
    for _ in range(300):
        await office.tell("s1", "nomination.received")
    for _ in range(30):
        await office.tell("s1", "training.completed")

    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (330, 0)
    (mail,) = office.mails.received("s1@example.org")
    assert "【学校推荐，待审核】300 条" in mail.text
    assert "[A trainee completed the training] 30" in mail.text
    assert mail.subject == "[训迹] 330 条通知 / 330 notices"


async def test_a_teacher_gets_a_letter_of_his_own(office: PostOffice) -> None:
    await office.organisation("s1")
    person = await office.person(name=NAME, telephone=TELEPHONE, identity_number=IDENTITY, email=EMAIL)
    await office.tell("s1", "trainee.enrolled", person=person, training_class="zz22-c-h001-01")

    assert (await office.deliver("s1")).left == 0

    (mail,) = office.mails.received(EMAIL)
    assert NAME in mail.text
    assert "zz22-c-h001-01" in mail.text
    assert office.mails.received("s1@example.org") == []


async def test_a_notice_for_a_teacher_is_posted_to_the_school_without_him(office: PostOffice) -> None:
    await office.endpoint("s1")
    person = await office.person(name=NAME, email=EMAIL)
    await office.tell("s1", "restriction.served", person=person, restriction="zz22-410181-00001-r1")

    assert (await office.deliver("s1")).left == 0

    (message,) = office.webhooks.received("s1")
    assert set(message.data) == {"trainee", "restriction"}
    assert len(office.mails.received(EMAIL)) == 1


@pytest.mark.parametrize("case", ["no address", "wrong address", "refused", "erased"])
async def test_a_teacher_without_a_working_address_is_handed_over_by_number(office: PostOffice, case: str) -> None:
    await office.organisation("s1")
    fields = {"name": NAME, "telephone": TELEPHONE}
    if case != "no address":
        fields["email"] = "not an address" if case == "wrong address" else EMAIL
    person = await office.person(**fields)
    if case == "refused":
        office.mails.refuse(EMAIL)
    if case == "erased":
        await office.vault.erase(person)
    await office.tell("s1", "restriction.served", person=person, trainee="zz22-410181-00077")

    result = await office.deliver("s1")

    assert (result.delivered, result.left, result.problem) == (1, 0, "")
    (mail,) = office.mails.received("s1@example.org")
    assert "转交学员本人" in mail.text
    assert "zz22-410181-00077" in mail.text
    assert NAME not in mail.text


async def test_a_teacher_put_off_by_his_server_is_tried_again_and_others_go_on(office: PostOffice) -> None:
    await office.organisation("s1")
    office.mails.refuse(EMAIL, "452 mailbox full")
    await office.tell("s1", "trainee.enrolled", person=await office.person(name=NAME, email=EMAIL))
    await office.tell("s1", "trainee.enrolled", person=await office.person(name="李", email="li@example.org"))
    await office.tell("s1", "nomination.returned")

    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (2, 1)
    assert result.problem == "person-mail: the recipient was put off (452)"
    office.mails.refuse(EMAIL, "")
    assert (await office.deliver("s1")).left == 0
    assert len(office.mails.received(EMAIL)) == 1

    # One that is put off for days is handed over.
    office.mails.refuse(EMAIL, "452 mailbox full")
    await office.tell("s1", "trainee.enrolled", person=await office.person(name=NAME, email=EMAIL))
    assert (await office.deliver("s1")).left == 1
    await office.pool.execute("UPDATE app.deliveries SET first_at = first_at - interval '5 days 1 minute'")
    assert (await office.deliver("s1")).left == 0
    assert "转交学员本人" in office.mails.received("s1@example.org")[-1].text


async def test_a_crash_between_mail_and_mark_repeats_that_mail_unchanged(office: PostOffice) -> None:
    await office.organisation("s1")
    for _ in range(3):
        await office.tell("s1")

    await crash(office, "s1", "ledger.outbox", lambda: len(office.mails.mails) == 1)
    for _ in range(2):
        await office.tell("s1", "leave.granted")
    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (5, 0)
    first, repeated, new = office.mails.received("s1@example.org")
    assert (first.message_id, first.text) == (repeated.message_id, repeated.text)
    assert new.message_id != first.message_id
    assert "请假已批准】2 条" in new.text
    assert "学校推荐" not in new.text


async def test_a_crash_after_a_letter_repeats_it_with_its_id(office: PostOffice) -> None:
    await office.organisation("s1")
    await office.tell("s1", "trainee.enrolled", person=await office.person(name=NAME, email=EMAIL))

    await crash(office, "s1", "ledger.outbox", lambda: len(office.mails.mails) == 1)
    assert (await office.deliver("s1")).left == 0

    first, repeated = office.mails.received(EMAIL)
    assert first == repeated


async def test_without_a_mail_server_or_an_address_there_is_a_problem_and_nothing_is_lost(office: PostOffice) -> None:
    await office.organisation("s1", email="")
    await office.tell("s1")
    assert (await office.deliver("s1")).problem == "the organisation has no mail address"

    await office.pool.execute("UPDATE view.institutions SET email = 's1@example.org'")
    await office.mails.stop()
    problem = (await office.deliver("s1")).problem
    assert problem.startswith("mail: no connection to the mail server")
    assert await office.undelivered() == 1


async def test_an_entry_that_is_no_notice_is_reported_and_holds_up_nothing(office: PostOffice) -> None:
    await office.organisation("s1")
    broken = await office.tell("s1")
    await office.pool.execute("UPDATE ledger.outbox SET body = '[1]' WHERE id = $1", broken)
    await office.tell("s1")

    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (1, 1)
    assert result.problem == f"notice {broken} cannot be read"


# -------------------------------------------------------------------------------------------------------- privacy


async def test_nothing_personal_is_logged_raised_or_stored(
    office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await office.organisation("s1")
    await office.endpoint("s1", url="https://10.1.2.3/hook")
    fields = {"name": NAME, "telephone": TELEPHONE, "identity_number": IDENTITY, "email": EMAIL}
    person = await office.person(**fields)
    results = []
    with capture_logs() as logs:
        for answer in ("452 later please", "", f"550 <{EMAIL}> {EMAIL.partition('@')[0].upper()} is unknown"):
            office.mails.refuse(EMAIL, answer)
            await office.tell("s1", "trainee.enrolled", person=person)
            results.append(await office.deliver("s1"))

    assert office.mails.received(EMAIL), "the address was really used"
    stored = await office.pool.fetch("SELECT * FROM app.deliveries")
    outside = "\n".join((str(logs), str(stored), str(results), caplog.text))
    # The mail server is this process's own: what it says about its guests is not the application's log.
    assert stored
    assert logs
    for value in fields.values():
        assert value not in outside
    assert "school.example.org" not in outside


async def test_only_the_teachers_letter_holds_his_link_to_object(office: PostOffice) -> None:
    await office.organisation("s1")
    await office.endpoint("s1")
    office.activities.objection_link = lambda number, until: f"https://x.invalid/objections/{number}/{until.year}"
    person = await office.person(name=NAME, email=EMAIL)
    data = {"restriction": "zz22-410181-00001-r1", "until": "2022-10-28T16:00:00+00:00"}
    await office.tell("s1", "restriction.served", person=person, **data)

    assert (await office.deliver("s1")).left == 0

    (letter,) = office.mails.received(EMAIL)
    assert "https://x.invalid/objections/zz22-410181-00001-r1/2022" in letter.text
    (message,) = office.webhooks.received("s1")
    assert "objections" not in str(message.data)
