"""Text messages: signed as the provider's documentation has it, and sent to a stand-in that checks what it checks."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from activities import sms, sms_receipts
from activities.channels import REFUSED, Sent
from activities.sms import NoReceipts, SmsAccount, SmsSender, TextMessage, canonical_query, signature
from activities.sms_receipts import SmsReceipts
from clock import DemoClock, advance_cap, create_demo_clock
from domain.calendar import local_instant
from domain.quiet_hours import QuietHours
from simulator.sms_provider import KEY_ID, KEY_SECRET, SIGN_NAME, TEMPLATE_CODE, SmsProvider
from tests.activities.post_office import PostOffice

ID = UUID("0199e6b2-0000-7000-8000-000000000001")
TELEPHONE, EMAIL = "13800138000", "wang@school.example.org"
PUBLISHED = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "x-acs-version": "2014-05-26",
}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[SmsProvider]:
    provider = SmsProvider()
    await provider.start()
    yield provider
    await provider.stop()


def account(provider: SmsProvider) -> SmsAccount:
    return SmsAccount(provider.url, KEY_ID, KEY_SECRET, SIGN_NAME, TEMPLATE_CODE)


def message(to: str = TELEPHONE, title: str = "学员已编班 & 请+确认") -> TextMessage:
    return TextMessage(ID, to, title, "zz22-410181-00001")


async def send(account: SmsAccount, message: TextMessage) -> Sent:
    async with SmsSender(account).session() as session:
        return await session.send(message)


@pytest.mark.parametrize(
    ("date", "nonce", "expected"),
    [
        (
            "2023-10-26T10:22:32Z",
            "3156853299f313e23d1673dc12e1703d",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        ),
        (
            "2023-10-26T09:01:01Z",
            "d410180a5abf7fe235dd9b74aca91fc0",
            "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804",
        ),
    ],
)
def test_the_signature_is_that_of_the_providers_published_examples(date: str, nonce: str, expected: str) -> None:
    query = canonical_query(
        {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}
    )
    headers = PUBLISHED | {"x-acs-date": date, "x-acs-signature-nonce": nonce}
    assert signature("YourAccessKeySecret", query, headers) == expected


async def test_a_message_arrives_once_with_its_values_and_its_id(provider: SmsProvider) -> None:
    sent = await send(account(provider), message())
    assert sent == Sent(200)
    (text,) = provider.texts
    assert (text.telephone, text.out_id) == (TELEPHONE, str(ID))
    assert text.values == {"title": "学员已编班 & 请+确认", "number": "zz22-410181-00001"}
    assert (sent.reply, sent.server) == (f"BizId {text.biz_id}", provider.url.removeprefix("http://"))
    assert list(provider.refused) == []


async def test_a_wrong_secret_or_key_is_seen_by_the_provider(provider: SmsProvider) -> None:
    for wrong, code in (
        (replace(account(provider), key_secret="another"), "SignatureDoesNotMatch"),
        (replace(account(provider), key_id="another"), "InvalidAccessKeyId.NotFound"),
        (replace(account(provider), sign_name="别人"), "isv.SMS_SIGNATURE_ILLEGAL"),
        (replace(account(provider), template_code="SMS_2"), "isv.SMS_TEMPLATE_ILLEGAL"),
    ):
        sent = await send(wrong, message())
        assert (sent.problem, sent.of_recipient) == (f"refused by the provider ({code})", True)
    assert not provider.texts


@pytest.mark.parametrize(
    ("code", "status", "problem", "of_recipient"),
    [
        ("isv.MOBILE_NUMBER_ILLEGAL", 200, REFUSED, True),
        ("isv.BUSINESS_LIMIT_CONTROL", 200, "put off by the provider (isv.BUSINESS_LIMIT_CONTROL)", False),
        ("isp.SYSTEM_ERROR", 200, "put off by the provider (isp.SYSTEM_ERROR)", False),
        ("Throttling.User", 400, "put off by the provider (Throttling.User)", False),
        ("isv.AMOUNT_NOT_ENOUGH", 200, "refused by the provider (isv.AMOUNT_NOT_ENOUGH)", True),
        ("isv.OUT_OF_SERVICE", 200, "refused by the provider (isv.OUT_OF_SERVICE)", True),
    ],
)
async def test_the_providers_codes_are_told_apart(
    provider: SmsProvider, code: str, status: int, problem: str, of_recipient: bool
) -> None:
    provider.answer_next(code, status=status)
    sent = await send(account(provider), message())
    assert (sent.problem, sent.of_recipient, sent.reply) == (problem, of_recipient, code)


async def test_what_is_no_telephone_is_refused(provider: SmsProvider) -> None:
    assert (await send(account(provider), message("0371-66182288"))).refused


async def test_a_provider_that_is_away_is_told_from_one_that_took_it_and_said_nothing(
    provider: SmsProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms, "TIMEOUT_S", 0.3)
    provider.silent = True
    sent = await send(account(provider), message())
    assert (sent.problem, sent.of_recipient, len(provider.texts)) == (sms.UNANSWERED, True, 1)
    gone = account(provider)
    await provider.stop()
    sent = await send(gone, message())
    assert sent.problem.startswith("no connection to the provider")
    assert not sent.of_recipient


# ------------------------------------------------------------------------------------------- as the mailbox uses it


@pytest_asyncio.fixture
async def texting(office: PostOffice, provider: SmsProvider) -> PostOffice:
    office.activities.texts = SmsSender(account(provider))
    await office.organisation("s1")
    return office


async def channels(office: PostOffice) -> list[tuple[str, str]]:
    return [(channel, problem) for channel, _, problem, _ in await office.log()]


@pytest.mark.parametrize("email", ["", EMAIL])
async def test_whom_no_mail_reaches_gets_a_text_message(texting: PostOffice, provider: SmsProvider, email: str) -> None:
    texting.mails.refuse(EMAIL)
    person = await texting.person(name="王", email=email, telephone=TELEPHONE)
    await texting.tell("s1", "trainee.enrolled", person=person, trainee="zz22-410181-00077")

    result = await texting.deliver("s1")

    assert (result.delivered, result.left, result.problem) == (1, 0, "")
    (text,) = provider.texts
    assert text.values == {"title": "学员已编班", "number": "zz22-410181-00077"}
    assert not texting.mails.received("s1@example.org"), "nothing is to be handed over"
    row = await texting.pool.fetchrow("SELECT * FROM app.deliveries WHERE channel = 'sms'")
    assert row is not None
    assert row["reply"] == f"BizId {text.biz_id}"
    assert len(row["content_digest"]) == 32
    assert await texting.vault.open(person, row["recipient_sealed"]) == {"telephone": TELEPHONE}
    stored = str([dict(each) for each in await texting.pool.fetch("SELECT * FROM app.deliveries")])
    assert TELEPHONE not in stored
    assert (await texting.deliver("s1")).delivered == 0


async def test_nothing_of_a_restriction_is_sent_to_a_telephone(texting: PostOffice, provider: SmsProvider) -> None:
    person = await texting.person(name="王", telephone=TELEPHONE)
    for type_ in ("restriction.served", "restriction.imposed", "restriction.expired"):
        await texting.tell("s1", type_, person=person, restriction="zz22-410181-00001-r1")
    assert (await texting.deliver("s1")).left == 0
    assert not provider.texts
    assert "转交学员本人" in texting.mails.received("s1@example.org")[0].text


@pytest.mark.parametrize("code", ["isv.MOBILE_NUMBER_ILLEGAL", "isv.AMOUNT_NOT_ENOUGH"])
async def test_a_message_that_the_provider_refuses_is_handed_over(
    texting: PostOffice, provider: SmsProvider, code: str
) -> None:
    provider.answer_next(code)
    await texting.tell("s1", "trainee.enrolled", person=await texting.person(name="王", telephone=TELEPHONE))
    assert (await texting.deliver("s1")).left == 0
    assert not provider.texts
    assert "转交学员本人" in texting.mails.received("s1@example.org")[0].text


async def test_a_passing_problem_is_tried_again_and_sent_once(texting: PostOffice, provider: SmsProvider) -> None:
    provider.answer_next("isv.BUSINESS_LIMIT_CONTROL", times=2)
    await texting.tell("s1", "trainee.enrolled", person=await texting.person(name="王", telephone=TELEPHONE))
    for _ in range(2):
        result = await texting.deliver("s1")
        assert (result.left, result.problem) == (1, "sms: put off by the provider (isv.BUSINESS_LIMIT_CONTROL)")
    assert (await texting.deliver("s1")).left == 0
    assert len(provider.texts) == 1
    assert len(provider.refused) == 2, "one attempt per batch"
    assert ("sms", "") in await channels(texting)


async def test_one_that_may_have_arrived_is_not_sent_twice(
    texting: PostOffice, provider: SmsProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms, "TIMEOUT_S", 0.3)
    provider.silent = True
    await texting.tell("s1", "trainee.enrolled", person=await texting.person(name="王", telephone=TELEPHONE))
    assert (await texting.deliver("s1")).left == 0
    assert len(provider.texts) == 1
    assert "转交学员本人" in texting.mails.received("s1@example.org")[0].text

    # The same when the process died before it could write down what came of it.
    notice = await texting.tell("s1", "trainee.enrolled", person=await texting.person(name="李", telephone=TELEPHONE))
    for channel, problem in (("person-mail", "no address is known"), ("sms", "unfinished")):
        await texting.pool.execute(
            "INSERT INTO app.deliveries (outbox_id, organisation, channel, endpoint, attempt, problem)"
            " VALUES ($1, 's1', $2, 'e1', 1, $3)",
            notice,
            channel,
            problem,
        )
    assert (await texting.deliver("s1")).left == 0
    assert len(provider.texts) == 1


async def test_a_text_message_waits_for_the_morning(texting: PostOffice, provider: SmsProvider) -> None:
    async with texting.pool.acquire() as connection:
        await create_demo_clock(connection, local_instant("2022-09-20 23:00"), 100.0)
    clock = texting.activities.clock = DemoClock(texting.pool)
    texting.activities.quiet_hours = QuietHours.from_text("21:00-08:00")
    texting.mails.refuse(EMAIL)
    person = await texting.person(name="王", email=EMAIL, telephone=TELEPHONE)
    await texting.tell("s1", "trainee.enrolled", person=person)
    assert (await texting.deliver("s1")).held == 1
    # A letter that was refused before the evening: its text message waits as well.
    await texting.activities.deliveries.record_unsent(
        (await texting.pool.fetchval("SELECT id FROM ledger.outbox ORDER BY position DESC LIMIT 1")),
        "s1",
        "person-mail",
        ID,
        "its address was refused before",
    )
    held = await texting.deliver("s1")
    assert (held.held, held.left, list(provider.texts)) == (1, 1, [])

    async with texting.pool.acquire() as connection:
        await advance_cap(connection, local_instant("2022-09-21 08:00"))
    while await clock.now() < local_instant("2022-09-21 08:00"):
        pass
    assert (await texting.deliver("s1")).left == 0
    assert len(provider.texts) == 1


# ------------------------------------------------------------------------------------------------ what became of it


async def ask(office: PostOffice, provider: SmsProvider) -> int:
    """Ask about messages of any age, however lately they were asked about."""
    await office.pool.execute("UPDATE app.deliveries SET receipt_asked_at = NULL")
    asking = SmsReceipts(office.pool, office.vault, SmsSender(account(provider)), first_after=timedelta(0))
    return await asking.ask()


async def texted(office: PostOffice, trainee: str, telephone: str = TELEPHONE) -> UUID:
    """A teacher without an address has got a text message; the teacher."""
    person = await office.person(name="王", telephone=telephone)
    await office.tell("s1", "trainee.enrolled", person=person, trainee=trainee)
    assert (await office.deliver("s1")).left == 0
    return person


async def test_a_text_message_that_did_not_arrive_is_handed_over_like_a_mail_that_came_back(
    texting: PostOffice, provider: SmsProvider
) -> None:
    provider.undeliverable[TELEPHONE] = "MOBILE_NOT_ON_SERVICE"
    person = await texted(texting, "zz22-410181-00077")
    provider.unreported.add(TELEPHONE)
    assert await ask(texting, provider) == 0, "the operator has not reported yet"
    provider.unreported.clear()
    assert await ask(texting, provider) == 1
    assert await ask(texting, provider) == 0, "once"

    row = await texting.pool.fetchrow("SELECT * FROM app.deliveries WHERE channel = 'sms'")
    assert row is not None
    assert (row["problem"], row["bounce_status"]) == ("the text message did not arrive", "MOBILE_NOT_ON_SERVIC")
    assert row["bounced_at"] is not None and row["status_code"] == 200, "the provider had taken it"
    result = await texting.deliver("s1")
    assert (result.delivered, result.left, result.problem) == (1, 0, "")
    (mail,) = texting.mails.received("s1@example.org")
    assert "转交学员本人" in mail.text and "zz22-410181-00077" in mail.text
    assert len(provider.texts) == 1, "nothing is sent twice"

    # The next notice does not try the telephone again, until it is changed.
    await texting.tell("s1", "trainee.enrolled", person=person, trainee="zz22-410181-00078")
    assert (await texting.deliver("s1")).left == 0
    assert len(provider.texts) == 1
    await texting.change_person(person, name="王", telephone="13900139000")
    await texting.tell("s1", "trainee.enrolled", person=person, trainee="zz22-410181-00079")
    assert (await texting.deliver("s1")).left == 0
    assert provider.texts[-1].telephone == "13900139000"


async def test_of_one_that_arrived_nothing_more_is_asked(texting: PostOffice, provider: SmsProvider) -> None:
    await texted(texting, "zz22-410181-00077")
    assert await ask(texting, provider) == 0
    assert (asked := provider.asked) > 0
    assert await ask(texting, provider) == 0
    assert provider.asked == asked
    assert await texting.pool.fetchval("SELECT count(*) FROM app.deliveries WHERE receipt_at IS NOT NULL") == 1
    assert (await texting.deliver("s1")).delivered == 0


async def test_who_was_erased_is_not_asked_for(texting: PostOffice, provider: SmsProvider) -> None:
    person = await texted(texting, "zz22-410181-00077")
    await texting.vault.erase(person, "requested")
    assert await ask(texting, provider) == 0
    assert provider.asked == 0


@pytest.mark.parametrize("code", ["Forbidden.RAM", "Throttling.User", "isp.SYSTEM_ERROR"])
async def test_a_provider_that_does_not_tell_changes_nothing(
    texting: PostOffice, provider: SmsProvider, code: str
) -> None:
    provider.undeliverable[TELEPHONE] = "UNDELIV"
    await texted(texting, "zz22-410181-00077")
    provider.answer_next(code)
    with pytest.raises(NoReceipts, match=code):
        await ask(texting, provider)
    assert await ask(texting, provider) == 1


async def test_a_message_is_asked_about_after_ever_longer_pauses_for_three_days(
    texting: PostOffice, provider: SmsProvider
) -> None:
    """Whoever asks beside another asks about other messages, and nobody at once again."""
    provider.unreported.add(TELEPHONE)
    await texted(texting, "zz22-410181-00077")
    asking = SmsReceipts(texting.pool, texting.vault, SmsSender(account(provider)))

    async def aged(age: timedelta, asked_before: timedelta | None = None) -> int:
        await texting.pool.execute(
            "UPDATE app.deliveries SET at = now() - $1::interval, receipt_asked_at = now() - $2::interval",
            age,
            asked_before,
        )
        before = provider.asked
        await asking.ask()
        await asking.ask()
        return int(provider.asked > before)

    assert await aged(timedelta(seconds=30)) == 0
    assert await aged(timedelta(minutes=2)) == 1
    assert await aged(timedelta(hours=4), timedelta(minutes=50)) == 0
    assert await aged(timedelta(hours=4), timedelta(minutes=61)) == 1
    assert await aged(sms_receipts.ASKED_FOR + timedelta(minutes=1)) == 0
