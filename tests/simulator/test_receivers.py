"""The receivers see what a real one would see: repetitions, wrong signatures, and their own faults."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from simulator import receivers
from simulator.receivers import Faults, WebhookReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"type":"leave.granted","timestamp":"2022-09-20T12:00:00Z","data":{"trainee":"n"}}'


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver(Faults(failures={"h001": 2}))
    await receiver.start()
    for organisation in ("h001", "h002"):
        receiver.set_secret(organisation, SECRET)
    yield receiver
    await receiver.stop()


def signed(id_: str, at: datetime | None = None, body: str = BODY, secret: str = SECRET) -> dict[str, str]:
    now = at or datetime.now(UTC)
    signature = Webhook(secret).sign(msg_id=id_, timestamp=now, data=body)
    return {"webhook-id": id_, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


async def post(receiver: WebhookReceiver, organisation: str, headers: dict[str, str], body: str = BODY) -> int:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.post(receiver.url(organisation), content=body, headers=headers)).status_code


async def test_what_comes_twice_is_kept_once_and_counted_twice(receiver: WebhookReceiver) -> None:
    for id_ in ("a", "b", "a"):
        assert await post(receiver, "h002", signed(id_)) == 204
    assert [message.id for message in receiver.received("h002")] == ["a", "b"]
    assert receiver.received("h001") == []
    assert receiver.duplicates == 1


async def test_only_what_the_secret_signed_is_taken(receiver: WebhookReceiver) -> None:
    wrong = [
        {},
        signed("a", secret="whsec_" + "A" * 32),
        signed("a", at=datetime.now(UTC) - timedelta(minutes=10)),
        {**signed("a"), "webhook-id": "b"},
        {**signed("a"), "webhook-signature": "v1"},
    ]
    for headers in wrong:
        assert await post(receiver, "h002", headers) == 401
    assert await post(receiver, "h003", signed("a")) == 401, "nobody has registered this endpoint"
    assert (receiver.refused["h002"], receiver.duplicates, len(receiver.messages)) == (5, 0, 0)


async def test_faults_are_what_they_were_told_to_be(receiver: WebhookReceiver) -> None:
    answers = [await post(receiver, "h001", signed("a")) for _ in range(4)]
    assert answers == [500, 500, 204, 204]
    assert (receiver.failed["h001"], receiver.duplicates) == (2, 1)
    receiver.close_for_good("h001")
    assert await post(receiver, "h001", signed("c")) == 410


async def test_a_body_is_bounded(receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "BODY_BYTES_MAX", 10)
    assert await post(receiver, "h002", signed("a")) == 413


def test_the_seed_picks_the_faults() -> None:
    organisations = [f"h{number:03d}" for number in range(1, 20)]
    faults = Faults.from_seed(7, organisations, failures=3)
    assert faults == Faults.from_seed(7, reversed(organisations), failures=3)
    assert faults != Faults.from_seed(8, organisations, failures=3)
    assert list(faults.failures.values()) == [3]
    assert set(faults.failures).isdisjoint(faults.delays_s)
