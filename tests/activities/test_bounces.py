"""Mails that come back: the report is read, the notice goes another way, and who was served by it was not."""

from uuid import UUID, uuid4

import pytest

from activities import bounces
from activities.bounces import Bounce, BounceUnreadable, read_report, record_bounce
from tests.activities.delivery_reports import ADDRESS, out_of_office, report
from tests.activities.post_office import RETURN_PATHS, PostOffice

MAIL = UUID("0199e6b2-0000-7000-8000-000000000001")
NAME = "欧阳不寻常"


# ------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("header", ["To", "Delivered-To", "X-Original-To", "Envelope-To"])
def test_a_report_tells_which_mail_and_why(header: str) -> None:
    assert read_report(report(RETURN_PATHS.of(MAIL), header=header), RETURN_PATHS) == Bounce(MAIL, True, "5.1.1")


def test_the_servers_own_word_for_the_recipient_is_enough() -> None:
    content = report("somebody@example.org", status="4.4.7")
    assert read_report(content, RETURN_PATHS, RETURN_PATHS.of(MAIL)) == Bounce(MAIL, True, "4.4.7")


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_is_not_final_is_told_apart(action: str) -> None:
    assert not read_report(report(RETURN_PATHS.of(MAIL), action, "4.4.1"), RETURN_PATHS).failed


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (report("bounces@example.org"), "no return path"),
        (report("bounces+" + "a" * 42 + "@example.org"), "no return path"),
        (out_of_office(RETURN_PATHS.of(MAIL)), "no delivery status"),
        (b"", "no return path"),
        (b"\xff\x00 not a mail", "no return path"),
        (b"To: " + RETURN_PATHS.of(MAIL).encode() + b"\nContent-Type: message/delivery-status\n\nx", "no delivery"),
    ],
)
def test_what_is_no_report_about_a_mail_of_ours_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(BounceUnreadable, match=why):
        read_report(content, RETURN_PATHS)


def test_a_report_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = report(RETURN_PATHS.of(MAIL))
    monkeypatch.setattr(bounces, "REPORT_BYTES_MAX", len(content) - 1)
    with pytest.raises(BounceUnreadable, match="longer"):
        read_report(content, RETURN_PATHS)


# ------------------------------------------------------------------------------------------------- what follows


async def comes_back(office: PostOffice, sender: str, action: str = "failed") -> int:
    """The mail whose envelope came from `sender` comes back."""
    return await record_bounce(office.pool, read_report(report(sender, action), RETURN_PATHS))


async def test_a_letter_that_comes_back_is_handed_over_and_the_address_rests(office: PostOffice) -> None:
    await office.organisation("s1")
    person = await office.person(name=NAME, email=ADDRESS)
    await office.tell("s1", "trainee.enrolled", person=person, trainee="zz22-410181-00077")
    assert (await office.deliver("s1")).left == 0
    (letter,) = office.mails.received(ADDRESS)
    assert RETURN_PATHS.mail_of(letter.sender) is not None

    assert await comes_back(office, letter.sender, "delayed") == 0
    assert await comes_back(office, letter.sender) == 1
    assert await comes_back(office, letter.sender) == 0, "the same report twice"
    result = await office.deliver("s1")

    assert (result.delivered, result.left, result.problem) == (1, 0, "")
    (mail,) = office.mails.received("s1@example.org")
    assert "转交学员本人" in mail.text
    assert "zz22-410181-00077" in mail.text
    row = await office.pool.fetchrow("SELECT * FROM app.deliveries WHERE channel = 'person-mail'")
    assert row is not None
    assert (row["problem"], row["bounce_status"], row["bounced_at"] is not None) == (
        "the mail came back",
        "5.1.1",
        True,
    )

    # The next notice does not try the address again, until it is changed.
    await office.tell("s1", "trainee.enrolled", person=person, trainee="zz22-410181-00078")
    assert (await office.deliver("s1")).left == 0
    assert len(office.mails.received(ADDRESS)) == 1
    assert "zz22-410181-00078" in office.mails.received("s1@example.org")[-1].text


async def test_an_address_rests_for_a_day_and_no_longer_than_until_it_is_changed(office: PostOffice) -> None:
    await office.organisation("s1")
    office.mails.refuse(ADDRESS)
    person = await office.person(name=NAME, email=ADDRESS)
    for _ in range(3):
        await office.tell("s1", "trainee.enrolled", person=person)
        assert (await office.deliver("s1")).left == 0
    problems = [problem for channel, _, problem, _ in await office.log() if channel == "person-mail"]
    assert problems == ["the recipient was refused", *["its address was refused before"] * 2]

    office.mails.refuse(ADDRESS, "")
    await office.change_person(person, name=NAME, email=ADDRESS, telephone="13800138000")
    await office.tell("s1", "trainee.enrolled", person=person)
    await office.deliver("s1")
    assert len(office.mails.received(ADDRESS)) == 1

    office.mails.refuse(ADDRESS)
    await office.tell("s1", "trainee.enrolled", person=person)
    await office.deliver("s1")
    office.mails.refuse(ADDRESS, "")
    await office.pool.execute("UPDATE app.deliveries SET at = at - interval '1 day'")
    await office.tell("s1", "trainee.enrolled", person=person)
    await office.deliver("s1")
    assert len(office.mails.received(ADDRESS)) == 2


async def test_an_organisations_mail_that_comes_back_waits_for_its_new_address(office: PostOffice) -> None:
    await office.organisation("s1")
    for _ in range(2):
        await office.tell("s1")
    assert (await office.deliver("s1")).left == 0
    (mail,) = office.mails.received("s1@example.org")

    assert await comes_back(office, mail.sender) == 2
    result = await office.deliver("s1")

    assert (result.delivered, result.left) == (0, 2)
    assert "rests for a day" in result.problem
    assert len(office.mails.mails) == 1
    await office.pool.execute("UPDATE view.institutions SET email = 'new@example.org'")
    assert (await office.deliver("s1")).left == 0
    (again,) = office.mails.received("new@example.org")
    assert (again.message_id, again.text) == (mail.message_id, mail.text)


async def test_a_refused_organisation_is_not_tried_with_every_new_notice(office: PostOffice) -> None:
    await office.organisation("s1")
    office.mails.refuse("s1@example.org")
    await office.tell("s1")
    assert (await office.deliver("s1")).problem == "mail: the recipient was refused"
    attempts = await office.pool.fetchval("SELECT sum(attempt) FROM app.deliveries")
    for _ in range(3):
        await office.tell("s1")
        assert "rests for a day" in (await office.deliver("s1")).problem
    assert await office.pool.fetchval("SELECT sum(attempt) FROM app.deliveries") == attempts
    assert await office.undelivered() == 4


async def test_a_notice_that_its_school_had_by_webhook_is_not_posted_again(office: PostOffice) -> None:
    await office.organisation("s1")
    await office.endpoint("s1")
    person = await office.person(name=NAME, email=ADDRESS)
    await office.tell("s1", "trainee.enrolled", person=person)
    await office.deliver("s1")
    assert await comes_back(office, office.mails.received(ADDRESS)[0].sender) == 1
    assert (await office.deliver("s1")).left == 0
    assert office.webhooks.duplicates == 0
    assert len(office.mails.received("s1@example.org")) == 1


async def test_a_report_about_a_mail_that_was_never_sent_changes_nothing(office: PostOffice) -> None:
    assert await comes_back(office, RETURN_PATHS.of(uuid4())) == 0
