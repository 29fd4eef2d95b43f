"""Standard Webhooks messages, and where they may go. The receiver is a real server that says what it got."""

import asyncio
import contextlib
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from activities import webhooks
from activities.webhooks import PAYLOAD_BYTES_MAX, Endpoint, Message, Posted, WebhookSender, is_allowed, retry_after_s

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = UUID("0199e6b2-0000-7000-8000-000000000001")
SHANGHAI = timezone(timedelta(hours=8))
NOON = datetime(2022, 9, 20, 12, 0, tzinfo=UTC)


@dataclass
class Listener:
    """An HTTP server that keeps what it was sent and answers what it was told to; an empty answer is none."""

    answer: str = "204 No Content"
    headers: str = ""
    body: str = ""
    port: int = 0
    connections: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    tasks: list[Any] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.answer_all(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            named = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in named}
            content = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((first, headers, content))
            if not self.answer:
                await reader.read()
            writer.write(
                f"HTTP/1.1 {self.answer}\r\ncontent-length: {len(self.body)}\r\n{self.headers}\r\n{self.body}".encode()
            )
            await writer.drain()


@asynccontextmanager
async def listening(listener: Listener, context: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=context)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener
        await asyncio.gather(*listener.tasks)


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening(Listener()) as opened:
        yield opened


def message(**changes: Any) -> Message:
    fields = {"id": ID, "type": "leave.granted", "occurred_at": NOON, "data": {"trainee": "zz22-410181-00001"}}
    return Message(**{**fields, **changes})


async def post(url: str, sent: Message | None = None, *, secrets: tuple[str, ...] = (SECRET,), **sender: Any) -> Posted:
    options: dict[str, Any] = {"allow_loopback": True, **sender}
    async with WebhookSender(**options).session(Endpoint("we_1", url, secrets)) as session:
        return await session.post(sent or message())


def answering(*addresses: str) -> Any:
    """A resolver that always gives these addresses."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


# ------------------------------------------------------------------------------------------------------- messages


async def test_the_reference_library_verifies_what_is_posted(listener: Listener) -> None:
    posted = await post(f"http://127.0.0.1:{listener.port}/hook?a=b", message(occurred_at=NOON.astimezone(SHANGHAI)))

    assert posted == Posted(204)
    ((first, headers, body),) = listener.requests
    assert first == "POST /hook?a=b HTTP/1.1"
    assert headers["webhook-id"] == str(ID)
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 300
    assert Webhook(SECRET).verify(body, headers) == {
        "type": "leave.granted",
        "timestamp": "2022-09-20T12:00:00Z",
        "data": {"trainee": "zz22-410181-00001"},
    }


async def test_every_secret_signs(listener: Listener) -> None:
    other = "whsec_" + "Q" * 32
    await post(f"http://127.0.0.1:{listener.port}/", secrets=(SECRET, other))
    ((_, headers, body),) = listener.requests
    for secret in (SECRET, other):
        assert json.loads(body) == Webhook(secret).verify(body, headers)


async def test_a_connection_serves_many_messages(listener: Listener) -> None:
    listener.answer, listener.body = "200 OK", "thank you"
    endpoint = Endpoint("we_1", f"http://127.0.0.1:{listener.port}/", (SECRET,))
    async with WebhookSender(allow_loopback=True).session(endpoint) as session:
        for _ in range(3):
            assert (await session.post(message())).problem == ""
    assert (listener.connections, len(listener.requests)) == (1, 3)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_success(listener: Listener, status: int) -> None:
    listener.answer = f"{status} fine"
    assert await post(f"http://127.0.0.1:{listener.port}/") == Posted(status)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 409, 410, 429, 500, 503])
async def test_anything_else_is_a_failure_and_no_redirect_is_followed(listener: Listener, status: int) -> None:
    listener.answer, listener.headers = f"{status} whatever", f"location: http://127.0.0.1:{listener.port}/else\r\n"
    posted = await post(f"http://127.0.0.1:{listener.port}/")
    assert (posted.status_code, posted.problem, posted.gone) == (status, f"HTTP {status}", status == 410)
    assert len(listener.requests) == 1


async def test_retry_after_is_passed_on(listener: Listener) -> None:
    listener.answer, listener.headers = "429 slowly", "retry-after: 120\r\n"
    assert (await post(f"http://127.0.0.1:{listener.port}/")).retry_after_s == 120.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        ("999999", 3600.0),
        ("9" * 5000, None),
        ("-4", None),
        ("", None),
        ("soon", None),
        ("Tue, 20 Sep 2022 12:00:30 GMT", 30.0),
        ("Tue, 20 Sep 2022 11:00:00 GMT", 0.0),
        ("Tue, 20 Sep 2022 12:00:30 -0000", 30.0),
    ],
)
def test_both_forms_of_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, NOON) == seconds


async def test_a_silent_receiver_is_not_waited_for(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.2)
    listener.answer = ""
    assert (await post(f"http://127.0.0.1:{listener.port}/")).problem == "no answer within 0 s"


async def test_an_endless_answer_is_cut_off(listener: Listener) -> None:
    listener.body = "x" * 5_000_000
    listener.answer = "200 OK"
    assert await post(f"http://127.0.0.1:{listener.port}/") == Posted(200)


async def test_nobody_listening_is_a_problem() -> None:
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    assert (await post(f"http://127.0.0.1:{port}/")).problem == "no connection (ConnectError)"


@pytest.mark.parametrize("secrets", [("",), ("whsec_",), ("whsec_ä",)])
async def test_an_unusable_secret_is_a_problem(listener: Listener, secrets: tuple[str, ...]) -> None:
    posted = await post(f"http://127.0.0.1:{listener.port}/", secrets=secrets)
    assert posted.problem.startswith("its URL or its secret cannot be used")
    assert listener.requests == []


async def test_a_message_is_bounded(listener: Listener) -> None:
    posted = await post(f"http://127.0.0.1:{listener.port}/", message(data={"x": "y" * PAYLOAD_BYTES_MAX}))
    assert (posted.problem, listener.requests) == ("the message is too large", [])


# ------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), allow_loopback=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "202.102.224.68", "2400:3200::1", "64:ff9b::101:101"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), allow_loopback=False)


@pytest.mark.parametrize(("address", "allowed"), [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True)])
def test_loopback_only_where_it_is_allowed(address: str, allowed: bool) -> None:
    assert is_allowed(ipaddress.ip_address(address), allow_loopback=True) is allowed
    assert not is_allowed(ipaddress.ip_address("10.0.0.1"), allow_loopback=True)
    assert not is_allowed(ipaddress.ip_address("64:ff9b::7f00:1"), allow_loopback=True)


async def test_a_name_is_looked_up_once_and_its_address_pinned(listener: Listener) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    sender = WebhookSender(allow_loopback=True, resolve=rebinding)
    url = f"http://receiver.example:{listener.port}/"
    async with sender.session(Endpoint("we_1", url, (SECRET,))) as session:
        posted = [await session.post(message()) for _ in range(2)]

    assert posted == [Posted(204), Posted(204)]
    assert asked == ["receiver.example"]
    assert {headers["host"] for _, headers, _ in listener.requests} == {f"receiver.example:{listener.port}"}


async def test_one_bad_address_among_good_ones_is_enough_to_refuse(listener: Listener) -> None:
    url = f"http://receiver.example:{listener.port}/"
    posted = await post(url, resolve=answering("127.0.0.1", "10.0.0.1"))
    assert (posted.problem, listener.connections) == ("its address is not a public one", 0)


async def test_the_next_address_is_tried_when_the_first_does_not_answer(listener: Listener) -> None:
    url = f"http://receiver.example:{listener.port}/"
    assert await post(url, resolve=answering("127.0.0.77", "127.0.0.1")) == Posted(204)


@pytest.mark.parametrize(
    ("url", "addresses", "problem"),
    [
        ("http://receiver.example/", ("1.1.1.1",), "its URL is not a plain https URL"),
        ("https://user:word@receiver.example/", ("1.1.1.1",), "its URL is not a plain https URL"),
        ("ftp://receiver.example/", ("1.1.1.1",), "its URL is not a plain https URL"),
        ("https://receiver.example/", (), "its address was not found (OSError)"),
        ("https://169.254.169.254/latest/meta-data", ("169.254.169.254",), "its address is not a public one"),
        ("https://exa mple/\x00", ("1.1.1.1",), "its URL or its secret cannot be used (InvalidURL)"),
    ],
)
async def test_wrong_urls_are_refused_without_a_connection(url: str, addresses: tuple[str, ...], problem: str) -> None:
    # A connection that is tried all the same is an error of the test session's network guard.
    assert (await post(url, resolve=answering(*addresses))).problem == problem


async def test_loopback_is_refused_by_default(listener: Listener) -> None:
    posted = await post(f"http://127.0.0.1:{listener.port}/", allow_loopback=False)
    assert (posted.problem, listener.connections) == ("its address is not a public one", 0)


async def test_the_certificate_is_checked_for_the_name_and_not_for_the_address(tmp_path: Any) -> None:
    context, other = _certificate(tmp_path, "receiver.example"), Listener()
    async with listening(other, context):
        trusted = WebhookSender(allow_loopback=True, resolve=answering("127.0.0.1"))
        trusted._context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        problems = {}
        for name in ("receiver.example", "another.example"):
            url = f"https://{name}:{other.port}/"
            async with trusted.session(Endpoint("we_1", url, (SECRET,))) as session:
                problems[name] = (await session.post(message())).problem
    assert problems == {"receiver.example": "", "another.example": "no connection (ConnectError)"}


def _certificate(directory: Any, name: str) -> ssl.SSLContext:
    """A server's context with a certificate of its own for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    no_password = serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context
