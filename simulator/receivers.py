"""The other ends of the line: a webhook receiver and a mail receiver, real listeners on free ports.

They count what arrives, so that a notice that came twice, or a signature that is wrong, is seen. A receiver can be
told to fail: to answer 500 the first few times, or to take its time.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections import Counter, deque
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LOOPBACK = "127.0.0.1"
BODY_BYTES_MAX = 65_536
KEPT_MAX = 20_000
"""So many messages and mails are kept to be looked at; all of them are counted."""
SLOW_S = 2.0
TAKEN = "250 taken"


@dataclass(frozen=True, slots=True)
class Faults:
    """How a receiver misbehaves, by organisation: how often it answers 500 before it works, and how long it takes."""

    failures: Mapping[str, int] = field(default_factory=dict)
    delays_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_seed(cls, seed: int, organisations: Iterable[str], failures: int = 1) -> "Faults":
        """One organisation that fails `failures` times at first, and another that is slow; the seed picks them."""
        chosen = random.Random(seed).sample(sorted(organisations), k=2)
        return cls(failures={chosen[0]: failures}, delays_s={chosen[1]: SLOW_S})


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A webhook message that was accepted for the first time."""

    organisation: str
    id: str
    type: str
    data: Mapping[str, Any]


class WebhookReceiver:
    """Receives webhooks for many organisations, each at its own URL, and verifies them by its secret."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._secrets: dict[str, str] = {}
        self._left = Counter(dict(self._faults.failures))
        self._gone: set[str] = set()
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        self.keep_requests = False
        """Whether bodies and headers are kept too, as they arrived."""
        self.requests: deque[tuple[bytes, dict[str, str]]] = deque(maxlen=KEPT_MAX)
        self.messages: deque[ReceivedMessage] = deque(maxlen=KEPT_MAX)
        self.accepted: Counter[tuple[str, str]] = Counter()
        """How often each (organisation, webhook-id) was accepted; more than once is a repetition."""
        self.refused: Counter[str] = Counter()
        """How many requests of each organisation were not signed as they must be."""
        self.failed: Counter[str] = Counter()
        """How many requests of each organisation were answered by an error on purpose."""

    async def start(self, port: int = 0) -> None:
        """Listen on `port` of this machine, or on a free one."""
        self._socket = socket.create_server((LOOPBACK, port))
        app = Starlette(routes=[Route("/webhooks/{organisation}", self._receive, methods=["POST"])])
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        self._server = ListeningServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Finish what is being received, and stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        if self._socket is not None:
            self._socket.close()

    def url(self, organisation: str) -> str:
        """Where this organisation wants its webhooks."""
        assert self._socket is not None, "the receiver was started"
        return f"http://{LOOPBACK}:{self._socket.getsockname()[1]}/webhooks/{organisation}"

    def set_secret(self, organisation: str, secret: str) -> None:
        """The `whsec_…` text that the API gave when the endpoint was registered."""
        self._secrets[organisation] = secret

    def fail_next(self, organisation: str, times: int) -> None:
        """Answer 500 to the next `times` requests of this organisation."""
        self._left[organisation] += times

    def close_for_good(self, organisation: str) -> None:
        """Answer 410 from now on: this organisation wants no more webhooks."""
        self._gone.add(organisation)

    @property
    def duplicates(self) -> int:
        """How many messages arrived that had been accepted before."""
        return sum(count - 1 for count in self.accepted.values())

    def received(self, organisation: str) -> list[ReceivedMessage]:
        """What the organisation has got, in order, without repetitions."""
        return [message for message in self.messages if message.organisation == organisation]

    async def _receive(self, request: Request) -> Response:
        organisation: str = request.path_params["organisation"]
        if organisation in self._gone:
            return Response(status_code=410)
        if int(request.headers.get("content-length", "0")) > BODY_BYTES_MAX:
            return Response(status_code=413)
        body = await request.body()
        if self._left[organisation] > 0:
            self._left[organisation] -= 1
            self.failed[organisation] += 1
            return Response(status_code=500)
        await asyncio.sleep(self._faults.delays_s.get(organisation, 0.0))
        payload = self._verified(organisation, body, dict(request.headers))
        if payload is None:
            self.refused[organisation] += 1
            return Response(status_code=401)
        if self.keep_requests:
            self.requests.append((body, dict(request.headers)))
        key = (organisation, request.headers["webhook-id"])
        self.accepted[key] += 1
        if self.accepted[key] == 1:
            self.messages.append(ReceivedMessage(*key, payload["type"], payload["data"]))
        return Response(status_code=204)

    def _verified(self, organisation: str, body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
        secret = self._secrets.get(organisation)
        if secret is None:
            return None
        try:
            payload: dict[str, Any] = Webhook(secret).verify(body, headers)
        except (WebhookVerificationError, ValueError):
            # The library raises ValueError where an element of the signature is malformed.
            return None
        return payload


class ListeningServer(uvicorn.Server):
    """Leaves signals to the program that it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that arrived; `recipient` is the address that the sender named to the server, `sender` the one where it
    wants the mail back that cannot be delivered.
    """

    recipient: str
    message_id: str
    subject: str
    text: str
    sender: str = ""


class MailReceiver:
    """Takes every mail for every address, counts it, and keeps it in memory only."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._refuse: dict[str, str] = {}
        self._refuse_content: dict[str, str] = {}
        self.mails: deque[ReceivedMail] = deque(maxlen=KEPT_MAX)
        self.accepted: Counter[tuple[str, str]] = Counter()
        """How often each (recipient, Message-ID) was accepted; more than once is a repetition."""

    async def start(self, port: int = 0) -> None:
        """Listen on `port` of this machine, by default on a free one."""
        # The library logs senders and recipients, which may be teachers.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="localhost", enable_SMTPUTF8=True, loop=loop), LOOPBACK, port
        )

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def port(self) -> int:
        assert self._server is not None, "the receiver was started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def refuse(self, recipient: str, answer: str = "550 no such mailbox") -> None:
        """Answer so to mails for `recipient` from now on; an empty answer takes them again."""
        self._refuse[recipient] = answer

    def refuse_content(self, recipient: str, answer: str) -> None:
        """Take `recipient`, and answer so to what is in the mail; an empty answer takes it again."""
        self._refuse_content[recipient] = answer

    @property
    def duplicates(self) -> int:
        """How many mails arrived that had been taken before."""
        return sum(count - 1 for count in self.accepted.values())

    def mails_per_recipient(self) -> Counter[str]:
        """How many different mails each address got."""
        return Counter(recipient for recipient, _ in self.accepted)

    def received(self, recipient: str) -> list[ReceivedMail]:
        """What an address has got, in order, repetitions included."""
        return [mail for mail in self.mails if mail.recipient == recipient]

    async def handle_RCPT(  # noqa: N802 - the library calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        answer = self._refuse.get(address)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(  # noqa: N802 - the library calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answers = [self._refuse_content.get(str(each), "") for each in envelope.rcpt_tos]
        if any(answers):
            return next(filter(None, answers))
        content = envelope.content
        assert isinstance(content, bytes), "the server was not asked to decode"
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage), "the default policy makes these"
        body = message.get_body(("plain",))
        text = body.get_content().replace("\r\n", "\n") if body is not None else ""
        for recipient in envelope.rcpt_tos:
            named = (str(recipient), str(message["message-id"]), str(message["subject"]))
            mail = ReceivedMail(*named, text, str(envelope.mail_from))
            self.mails.append(mail)
            self.accepted[mail.recipient, mail.message_id] += 1
        return TAKEN
