"""What somebody asked for is posted beside the queue, replaced secrets overlap, and the log says what was answered."""

import asyncio
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from activities.mailbox import answer_place
from activities.webhooks import ANSWER_BYTES_KEPT
from secrets_box import SecretsBox, seal_secret
from tests.activities.post_office import MASTER_KEY, SECRET, PostOffice
from tests.activities.test_webhooks import Listener, listening
from workflows.messages import MailboxOrder

OTHER_SECRET = "whsec_" + "B" * 32


async def redeliver(office: PostOffice, organisation: str, endpoint: str, notice: UUID | None = None) -> int:
    """Ask for one notice once more, or for everything that the endpoint has not taken."""
    count: int = await office.pool.fetchval(
        "SELECT app.request_redelivery($1, $2, $3, $4, NULL, NULL, $5, 1000)",
        uuid4(),
        organisation,
        endpoint,
        notice,
        notice is None,
    )
    return count


async def ask_for_test(office: PostOffice, organisation: str, endpoint: str) -> UUID:
    message = uuid4()
    await office.pool.execute(
        "INSERT INTO app.webhook_requests (command_id, organisation, endpoint, outbox_id, kind)"
        " VALUES ($1, $2, $3, $4, 'test')",
        uuid4(),
        organisation,
        endpoint,
        message,
    )
    return message


async def rotate(office: PostOffice, endpoint: str, former_until: str) -> None:
    """Give the endpoint OTHER_SECRET; SECRET signs too until an instant that PostgreSQL reads."""
    await office.pool.execute(
        "UPDATE app.webhook_endpoints SET former_secret_sealed = secret_sealed, secret_sealed = $2,"
        f" former_secret_until = {former_until} WHERE id = $1",
        endpoint,
        seal_secret(MASTER_KEY, endpoint, OTHER_SECRET),
    )


async def requests_open(office: PostOffice) -> int:
    count: int = await office.pool.fetchval("SELECT count(*) FROM app.webhook_requests WHERE finished_at IS NULL")
    return count


async def test_one_notice_is_posted_once_more_under_its_id(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1")
    first, second = await office.tell("s1"), await office.tell("s1")
    await office.deliver("s1")

    assert await redeliver(office, "s1", endpoint, first) == 1
    result = await office.deliver("s1")

    assert (result.delivered, result.left, result.problem) == (1, 0, "")
    assert office.webhooks.accepted == {("s1", str(first)): 2, ("s1", str(second)): 1}
    rows = await office.pool.fetch(
        "SELECT attempt, problem, asked FROM app.deliveries WHERE outbox_id = $1 ORDER BY id", first
    )
    assert [tuple(row) for row in rows] == [(1, "", False), (2, "", True)]


async def test_what_an_endpoint_missed_is_posted_in_order_and_the_rest_is_not(office: PostOffice) -> None:
    await office.organisation("s1")
    first = await office.endpoint("s1", receiver="first")
    missed = [await office.tell("s1") for _ in range(3)]
    await office.deliver("s1")
    second = await office.endpoint("s1", receiver="second", types=["nomination.received"])
    await office.tell("s1", "leave.granted")
    taken = await office.tell("s1")
    await office.deliver("s1")
    waiting = await office.tell("s1")

    assert await redeliver(office, "s1", second) == 3
    assert await redeliver(office, "s1", first) == 0
    assert await redeliver(office, "s2", second) == 0
    await office.deliver("s1")

    ids = [UUID(each.id) for each in office.webhooks.received("second")]
    assert ids == [taken, waiting, *missed]
    assert office.webhooks.duplicates == 0


async def test_a_redelivery_that_fails_holds_up_no_notice_and_is_tried_again(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1")
    old = await office.tell("s1")
    await office.deliver("s1")
    await redeliver(office, "s1", endpoint, old)
    office.webhooks.fail_next("s1", 1)

    failed = await office.deliver("s1")
    assert failed.problem == f"webhook {endpoint}: HTTP 500 (redelivery)"
    assert (failed.left, await requests_open(office)) == (1, 1)

    new = await office.tell("s1")
    assert (await office.deliver("s1")).left == 0
    assert [UUID(each.id) for each in office.webhooks.received("s1")] == [old, new]
    assert office.webhooks.accepted["s1", str(old)] == 2


async def test_a_redelivery_is_given_up_after_five_days(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1")
    notice = await office.tell("s1")
    await office.deliver("s1")
    await redeliver(office, "s1", endpoint, notice)
    await office.pool.execute("UPDATE app.webhook_requests SET requested_at = now() - interval '5 days 1 minute'")
    office.webhooks.fail_next("s1", 1)

    assert (await office.deliver("s1")).left == 0

    assert await office.pool.fetchval("SELECT problem FROM app.webhook_requests") == "HTTP 500"
    assert await office.pool.fetchval("SELECT disabled_at FROM app.webhook_endpoints") is None


async def test_a_test_message_is_tried_once_even_when_the_endpoint_fails(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1")
    office.webhooks.fail_next("s1", 2)
    await office.tell("s1")
    failed = await ask_for_test(office, "s1", endpoint)
    assert (await office.deliver("s1")).left == 1
    assert await office.pool.fetchval("SELECT problem FROM app.deliveries WHERE outbox_id = $1", failed) == "HTTP 500"

    works = await ask_for_test(office, "s1", endpoint)
    assert (await office.deliver("s1")).left == 0
    message = office.webhooks.received("s1")[-1]
    assert (message.id, message.type, message.data) == (str(works), "webhook.test", {"endpoint": endpoint})


async def test_what_was_asked_of_a_disabled_endpoint_is_closed(office: PostOffice) -> None:
    await office.organisation("s1")
    endpoint = await office.endpoint("s1")
    notice = await office.tell("s1")
    await office.deliver("s1")
    await redeliver(office, "s1", endpoint, notice)
    office.webhooks.close_for_good("s1")
    await office.tell("s1")

    result = await office.deliver("s1")

    assert (result.left, await requests_open(office)) == (0, 0)
    assert await office.pool.fetchval("SELECT problem FROM app.webhook_requests") == "the endpoint is disabled"


@pytest.mark.parametrize("known", [SECRET, OTHER_SECRET])
async def test_both_secrets_sign_until_the_overlap_is_over(office: PostOffice, known: str) -> None:
    endpoint = await office.endpoint("s1")
    await rotate(office, endpoint, "clock_timestamp() + interval '1 hour'")
    office.webhooks.set_secret("s1", known)
    office.webhooks.keep_requests = True
    await office.tell("s1")
    assert (await office.deliver("s1")).problem == ""
    ((_, headers),) = office.webhooks.requests
    assert len(headers["webhook-signature"].split(" ")) == 2

    await office.pool.execute("UPDATE app.webhook_endpoints SET former_secret_until = clock_timestamp()")
    await office.tell("s1")
    expected = f"webhook {endpoint}: HTTP 401" if known == SECRET else ""
    assert (await office.deliver("s1")).problem == expected


async def test_the_log_keeps_latency_and_the_beginning_of_the_answer_sealed(office: PostOffice) -> None:
    async with listening(Listener(answer="400 Bad Request", body="no such field, 13800138000; " * 200)) as listener:
        endpoint = await office.endpoint("s1", url=f"http://127.0.0.1:{listener.port}/")
        notice = await office.tell("s1")
        await office.deliver("s1")

    row = await office.pool.fetchrow("SELECT * FROM app.deliveries")
    assert row is not None
    assert (row["status_code"], row["problem"]) == (400, "HTTP 400")
    assert row["latency_ms"] > 0
    assert b"13800138000" not in row["answer_sealed"]
    answer = SecretsBox(MASTER_KEY).open(answer_place(notice, endpoint), row["answer_sealed"])
    assert answer == listener.body.encode()[:ANSWER_BYTES_KEPT]
    assert len(answer) == 2_048


async def test_old_answers_are_forgotten_and_the_attempts_stay(office: PostOffice) -> None:
    async with listening(Listener(answer="200 OK", body="thanks")) as listener:
        await office.endpoint("s1", url=f"http://127.0.0.1:{listener.port}/")
        for _ in range(2):
            await office.tell("s1")
        await office.deliver("s1")
    await office.pool.execute(
        "UPDATE app.deliveries SET at = now() - interval '31 days' WHERE id = (SELECT min(id) FROM app.deliveries)"
    )

    await office.activities.deliveries.forget_answers()

    rows = await office.pool.fetch("SELECT answer_sealed IS NULL AS gone FROM app.deliveries ORDER BY id")
    assert [row["gone"] for row in rows] == [True, False]


async def test_an_endpoint_that_never_answers_holds_up_no_other_one_of_its_organisation(office: PostOffice) -> None:
    async with listening(Listener(answer="")) as dead:
        await office.endpoint("s1", url=f"http://127.0.0.1:{dead.port}/")
        await office.endpoint("s1", receiver="works")
        sent = [await office.tell("s1") for _ in range(20)]
        delivery = asyncio.create_task(office.deliver("s1"))
        while len(office.webhooks.received("works")) < 20:
            assert not delivery.done()
            await asyncio.sleep(0.01)
        assert not delivery.done()
        delivery.cancel()
        await asyncio.gather(delivery, return_exceptions=True)

    assert [UUID(each.id) for each in office.webhooks.received("works")] == sent
    assert len(dead.requests) == 1


async def test_the_owner_is_told_of_a_disabled_endpoint_although_the_mail_server_was_away(office: PostOffice) -> None:
    await office.organisation("s1")
    await office.endpoint("s1")
    office.webhooks.close_for_good("s1")
    office.mails.refuse("s1@example.org", "451 come back later")
    await office.tell("s1", "trainee.enrolled", person=await office.person(name="某", email="t@example.org"))

    assert (await office.deliver("s1")).left == 1
    office.mails.refuse("s1@example.org", "")
    assert (await office.deliver("s1")).left == 0
    assert (await office.deliver("s1")).left == 0

    (mail,) = office.mails.received("s1@example.org")
    assert "was disabled" in mail.text


async def test_nothing_is_sent_while_the_mailbox_is_stopped(office: PostOffice) -> None:
    await office.endpoint("s1")
    await office.tell("s1")

    def order(kind: str) -> MailboxOrder:
        values = {"kind": kind, "organisation": "s1", "command_id": uuid4(), "actor": "op", "reason": "moving"}
        return MailboxOrder.model_validate(values)

    await office.orders.carry_out(order("pause"))
    stopped = await office.deliver("s1")
    assert (stopped.delivered, stopped.left) == (0, 1)
    assert stopped.paused.startswith("by op at ")
    assert stopped.paused.endswith(": moving")

    await office.orders.carry_out(order("resume"))
    assert (await office.deliver("s1")).delivered == 1


async def test_a_message_is_verified_only_with_its_own_body(office: PostOffice) -> None:
    endpoint = await office.endpoint("s1")
    office.webhooks.keep_requests = True
    await ask_for_test(office, "s1", endpoint)
    await office.deliver("s1")
    ((body, headers),) = office.webhooks.requests
    assert Webhook(SECRET).verify(body, headers)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"test", b"best"), headers)
