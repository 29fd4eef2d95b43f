"""Mails that come back: a delivery report (RFC 3464) is read, and what it says is written to the log of deliveries.

The report is believed for one thing only, the mail that its signed return path names. A mail that has failed takes back
what its sending had marked: its notices wait in their mailbox again, and go another way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from typing import Final
from uuid import UUID

from activities.outbox import Queryable
from activities.return_path import ReturnPaths
from activities.schema import statement

REPORT_BYTES_MAX: Final = 10_000_000
RECIPIENTS_MAX: Final = 50
"""Our mails have one recipient; so many groups of a report are looked at."""
DELIVERED_TO: Final = ("x-original-to", "delivered-to", "envelope-to", "to")
"""Where mail servers write the address that a report was sent to."""
STATUS_LENGTH_MAX: Final = 20


class BounceUnreadable(Exception):
    """It is no report of a delivery, or of no mail of ours. The text says why and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a report says. `status` is the enhanced status code (RFC 3463), such as 5.1.1; empty if there was none.

    `failed`: the mail will not arrive. Else it is only late, or has arrived.
    """

    mail: UUID
    failed: bool
    status: str


def read_report(content: bytes, paths: ReturnPaths, recipient: str = "") -> Bounce:
    """The report in `content`. `recipient` is the address it was sent to, where the mail server tells it.

    Raises BounceUnreadable.
    """
    if len(content) > REPORT_BYTES_MAX:
        raise BounceUnreadable(f"the message is longer than {REPORT_BYTES_MAX} bytes")
    message = message_from_bytes(content, policy=policy.default)
    mail = _mail(message, paths, recipient)
    if mail is None:
        raise BounceUnreadable("it was sent to no return path of this system")
    groups = list(_recipients(message))
    if not groups:
        raise BounceUnreadable("it holds no delivery status (RFC 3464)")
    actions = [_field(each, "action").lower() for each in groups]
    failed = "failed" in actions
    place = actions.index("failed") if failed else 0
    return Bounce(mail, failed, _field(groups[place], "status")[:STATUS_LENGTH_MAX])


def _mail(message: Message, paths: ReturnPaths, recipient: str) -> UUID | None:
    named = [recipient, *(str(each) for name in DELIVERED_TO for each in message.get_all(name, []))]
    return next((mail for mail in map(paths.mail_of, named) if mail is not None), None)


def _recipients(message: Message) -> Iterator[Message]:
    """The groups of fields about recipients; the first group of a report is about the message."""
    left = RECIPIENTS_MAX
    for part in message.walk():
        if part.get_content_type() != "message/delivery-status" or not part.is_multipart():
            continue
        for group in part.get_payload():
            if isinstance(group, Message) and "action" in group and left:
                left -= 1
                yield group


def _field(group: Message, name: str) -> str:
    return " ".join(str(group.get(name, "")).split())


async def record_bounce(database: Queryable, bounce: Bounce) -> int:
    """Take back what the sending of the mail had marked; how many notices go another way now.

    A report that comes twice, that says nothing final or that is about a mail that was sent anew changes nothing.
    """
    if not bounce.failed:
        return 0
    return len(await database.fetch(statement("record_bounce"), str(bounce.mail), bounce.status))
