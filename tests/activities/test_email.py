"""One mail to one address, over a real SMTP connection."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from activities import email
from activities.channels import REFUSED, Sent
from activities.email import Mail, Mailer, MailServer
from simulator.receivers import MailReceiver

ID = UUID("0199e6b2-0000-7000-8000-000000000001")


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[MailReceiver]:
    receiver = MailReceiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


def mail(to: str = "teacher@example.org", subject: str = "开班通知", text: str = "您好，\n.\n请报到。\n") -> Mail:
    return Mail(ID, to, subject, text)


def mailer(receiver: MailReceiver) -> Mailer:
    return Mailer(MailServer(receiver.host, receiver.port, "xunji@bureau.example.org"))


async def test_a_mail_arrives_whole_with_its_own_id(receiver: MailReceiver) -> None:
    async with mailer(receiver).session() as session:
        assert await session.send(mail()) == Sent(status_code=250)
    (received,) = receiver.mails
    assert received.message_id == f"<{ID}@bureau.example.org>"
    assert received.subject == "开班通知"
    assert received.text == "您好，\n.\n请报到。\n"


async def test_the_same_mail_twice_is_known_by_its_id(receiver: MailReceiver) -> None:
    async with mailer(receiver).session() as session:
        for _ in range(2):
            await session.send(mail())
    assert receiver.duplicates == 1
    assert receiver.mails_per_recipient() == {"teacher@example.org": 1}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("550 no such mailbox", Sent(550, REFUSED, of_recipient=True)),
        ("452 full", Sent(452, "the recipient was put off (452)", of_recipient=True)),
    ],
)
async def test_a_refused_recipient_is_told_from_one_put_off_and_the_next_mail_goes(
    receiver: MailReceiver, answer: str, outcome: Sent
) -> None:
    receiver.refuse("teacher@example.org", answer)
    async with mailer(receiver).session() as session:
        assert await session.send(mail()) == outcome
        assert (await session.send(mail(to="other@example.org"))).problem == ""


@pytest.mark.parametrize(
    "address",
    [
        "",
        "teacher",
        "teacher@",
        "a b@example.org",
        "a@example.org, b@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "老师@example.org",
    ],
)
async def test_what_is_no_address_is_refused(receiver: MailReceiver, address: str) -> None:
    async with mailer(receiver).session() as session:
        assert (await session.send(mail(to=address))).refused
    assert not receiver.mails


@pytest.mark.parametrize(
    ("answer", "outcome", "reply"),
    [
        (
            "554 5.7.1 <teacher@example.org>: looks like junk to Teacher",
            Sent(554, REFUSED, of_recipient=True),
            "5.7.1 <…>: looks like junk to …",
        ),
        ("451 4.7.1 greylisted", Sent(451, "the mail server answered 451"), ""),
    ],
)
async def test_a_mail_that_is_refused_for_good_holds_up_no_other_and_one_put_off_is_no_refusal(
    receiver: MailReceiver, answer: str, outcome: Sent, reply: str
) -> None:
    receiver.refuse_content("teacher@example.org", answer)
    async with mailer(receiver).session() as session:
        sent = await session.send(mail())
        assert (sent, sent.reply) == (outcome, reply)
        assert await session.send(mail(to="another@example.org")) == Sent(status_code=250)
    assert [each.recipient for each in receiver.mails] == ["another@example.org"]


async def test_a_line_break_in_a_subject_adds_no_header(receiver: MailReceiver) -> None:
    async with mailer(receiver).session() as session:
        outcome = await session.send(mail(subject="hello\r\nBcc: everybody@example.org"))
    assert outcome.problem != ""
    assert not receiver.mails


async def test_a_server_that_is_away_is_a_problem_and_is_found_again(receiver: MailReceiver) -> None:
    port = receiver.port
    await receiver.stop()
    server = MailServer(receiver.host, port, "xunji@example.org")
    async with Mailer(server).session() as session:
        outcome = await session.send(mail())
        assert outcome.problem.startswith("no connection to the mail server")
        assert not outcome.of_recipient
        await receiver.start(port)
        assert (await session.send(mail())).problem == ""


async def test_a_silent_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[asyncio.Task[None] | None] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handled.append(asyncio.current_task())
        await reader.read()
        writer.close()
        await writer.wait_closed()

    monkeypatch.setattr(email, "TIMEOUT_S", 0.2)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        mails = Mailer(MailServer("127.0.0.1", server.sockets[0].getsockname()[1], "xunji@example.org"))
        async with mails.session() as session:
            assert "did not answer" in (await session.send(mail())).problem
        await asyncio.gather(*[task for task in handled if task is not None])
