"""Sending mail: one message to one address, over a connection that is kept for a batch.

Addresses stay in here. What the server writes back is kept as evidence, with every address taken out of it.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from uuid import UUID

import aiosmtplib

from activities.channels import REFUSED, Sent
from activities.return_path import ReturnPaths

TIMEOUT_S = 30.0
"""For everything together: connection, encryption and the whole mail."""
SUBJECT_LENGTH_MAX = 200
REPLY_LENGTH_MAX = 200
_ADDRESS = re.compile(r"<?[^\s<>:;,]+@[^\s<>:;,]+>?")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes out, and whom it is from. The connection is encrypted when the server offers it.

    With `return_paths` every mail has an envelope sender of its own, which tells it when it comes back.
    """

    host: str
    port: int
    sender: str
    return_paths: ReturnPaths | None = None

    @property
    def domain(self) -> str:
        """The right side of the sender's address, in which the ids of mails are made."""
        return self.sender.rpartition("@")[2] or "localhost"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address. `id` becomes its Message-ID: it stays the same when the mail is sent again."""

    id: UUID
    to: str
    subject: str
    text: str

    @property
    def digest(self) -> bytes:
        """The SHA-256 of subject and text, in UTF-8 with a line feed between them."""
        return hashlib.sha256(f"{self.subject}\n{self.text}".encode()).digest()


class MailSession:
    """One connection to the mail server, opened with the first mail and again after a failure."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._smtp: aiosmtplib.SMTP | None = None

    async def send(self, message: Mail) -> Sent:
        """Send `message` once. Every failure of the server or of the way to it is an answer, not an exception."""
        try:
            built = self._message(message)
        except (MessageError, ValueError, IndexError):
            return Sent(problem=REFUSED, of_recipient=True)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                sent = await self._send(built, message)
            return replace(sent, server=f"{self._server.host}:{self._server.port}")
        except TimeoutError:
            outcome = Sent(problem=f"the mail server did not answer within {TIMEOUT_S:.0f} s")
        except aiosmtplib.SMTPResponseException as error:
            outcome = Sent(_code(error), f"the mail server answered {error.code}")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            outcome = Sent(problem=f"no connection to the mail server ({type(error).__name__})")
        await self.close()
        return outcome

    async def _send(self, message: EmailMessage, mail: Mail) -> Sent:
        if self._smtp is None:
            smtp = aiosmtplib.SMTP(hostname=self._server.host, port=self._server.port, timeout=TIMEOUT_S)
            await smtp.connect()
            self._smtp = smtp
        paths = self._server.return_paths
        sender = paths.of(mail.id) if paths is not None else self._server.sender
        try:
            _, reply = await self._smtp.send_message(message, sender=sender, recipients=[mail.to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            problem = REFUSED if refusal.code >= 500 else f"the recipient was put off ({refusal.code})"
            return Sent(_code(refusal), problem, of_recipient=True, reply=without_addresses(refusal.message, mail.to))
        except aiosmtplib.SMTPDataError as error:
            if error.code < 500:
                raise
            # The server has taken the recipient and will never take this mail: the next one may go.
            return Sent(_code(error), REFUSED, of_recipient=True, reply=without_addresses(error.message, mail.to))
        except aiosmtplib.SMTPNotSupported:
            return Sent(problem=REFUSED, of_recipient=True)
        return Sent(status_code=250, reply=without_addresses(reply, mail.to))

    async def close(self) -> None:
        """Say goodbye, if that is still possible."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=1.0)
            smtp.close()

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = Address(display_name="训迹 xunji", addr_spec=self._server.sender)
        message["To"] = Address(addr_spec=mail.to)
        message["Subject"] = mail.subject[:SUBJECT_LENGTH_MAX]
        message["Date"] = datetime.now(UTC)
        message["Message-ID"] = f"<{mail.id}@{self._server.domain}>"
        # No out-of-office answer shall come back.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message


def _code(error: aiosmtplib.SMTPResponseException) -> int | None:
    """The server's code, if it is one: the library gives -1 when there was none."""
    return error.code if 100 <= error.code <= 599 else None


def without_addresses(reply: str, to: str) -> str:
    """What a server has written, on one line and cut short, without any address and without the recipient's name."""
    text = _ADDRESS.sub("<…>", " ".join(reply.split()))
    local = to.rpartition("@")[0]
    return re.sub(re.escape(local), "…", text, flags=re.IGNORECASE)[:REPLY_LENGTH_MAX] if local else ""


class Mailer:
    """Opens sessions with the mail server."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    @asynccontextmanager
    async def session(self) -> AsyncIterator[MailSession]:
        session = MailSession(self._server)
        try:
            yield session
        finally:
            await session.close()
