"""Posting notices to webhook endpoints: Standard Webhooks messages over connections that lead where they should.

A receiver's address is looked up once per session, every address found is checked, and the connection goes to
exactly those addresses: a name that answers differently a moment later (DNS rebinding) changes nothing. Redirects are
not followed, proxies from the environment are not used, and of an answer only its status, Retry-After and beginning are
read.
"""

import asyncio
import ipaddress
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx2
import orjson
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

TIMEOUT_S = 30.0
"""For everything together: look-up, connection, request and answer."""
PAYLOAD_BYTES_MAX = 20_000
ANSWER_BYTES_MAX = 16_384
ANSWER_BYTES_KEPT = 2_048
ADDRESSES_MAX = 4
RETRY_AFTER_MAX_S = 3_600.0
RETRY_AFTER_DIGITS_MAX = 9
USER_AGENT = "xunji-webhooks/1"
NAT64 = ipaddress.ip_network("64:ff9b::/96")
NOT_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20", "5f00::/16")
)
"""Special ranges of IANA's registries that some versions of Python count as global."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks a host name up and gives its addresses as text; raises OSError when there are none."""


class AddressRefused(Exception):
    """The URL leads, or may lead, to where a webhook must not go. The text says why and names no address."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint in use. No event types mean all of them.

    `secrets` are `whsec_…` texts; while a secret is being rotated there are two, and both sign.
    """

    id: str
    url: str
    secrets: tuple[str, ...]
    event_types: frozenset[str] = frozenset()

    def wants(self, type_: str) -> bool:
        return not self.event_types or type_ in self.event_types


@dataclass(frozen=True, slots=True)
class Message:
    """A Standard Webhooks message. `id` stays the same over all attempts, so that a receiver sees a repetition."""

    id: UUID
    type: str
    occurred_at: datetime
    data: dict[str, Any]

    def body(self) -> bytes:
        """The thin payload: references only, fetched in full through the API by whoever may."""
        payload = {"type": self.type, "timestamp": self.occurred_at.astimezone(UTC), "data": self.data}
        return orjson.dumps(payload, option=orjson.OPT_UTC_Z)


@dataclass(frozen=True, slots=True)
class Posted:
    """How an attempt ended. `problem` is empty on success, and holds nothing that the receiver wrote.

    `answer` is the beginning of what it wrote, at most ANSWER_BYTES_KEPT bytes; `latency_ms` is how long all of it
    took, with the look-up of the name. Both are for the log only and make no difference between two outcomes.
    """

    status_code: int | None = None
    problem: str = ""
    retry_after_s: float | None = None
    latency_ms: int = field(default=0, compare=False)
    answer: bytes = field(default=b"", compare=False, repr=False)

    @property
    def gone(self) -> bool:
        """The receiver wants nothing more, ever."""
        return self.status_code == HTTPStatus.GONE


def is_allowed(address: IPAddress, allow_loopback: bool) -> bool:
    """Whether a webhook may go to this address: public ones, and this machine's own where it is allowed.

    An IPv4 address inside an IPv6 one is judged as what it is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_allowed(address.ipv4_mapped, allow_loopback)
        if address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
        if address in NAT64:
            return is_allowed(ipaddress.IPv4Address(address.packed[-4:]), allow_loopback=False)
    if address.is_loopback:
        return allow_loopback
    special = address.is_multicast or address.is_reserved or any(address in each for each in NOT_PUBLIC)
    return address.is_global and not special


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of `host` by the system's own resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(each[4][0]) for each in found]


class _PinnedTransport(httpx2.AsyncBaseTransport):
    """Connects to checked addresses only, however often the name is looked up elsewhere.

    It serves one endpoint: connections are kept by address, and two names may share one.
    """

    def __init__(self, context: ssl.SSLContext, resolve: Resolve, allow_loopback: bool) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=context, trust_env=False)
        self._resolve = resolve
        self._allow_loopback = allow_loopback
        self._addresses: tuple[IPAddress, ...] = ()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.raw_host.decode("ascii")
        if not self._addresses:
            self._addresses = await self._look_up(request.url, host)
        request.extensions = {**request.extensions, "sni_hostname": host}
        named = request.url
        for address in self._addresses[:-1]:
            request.url = named.copy_with(host=str(address))
            try:
                return await self._inner.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        request.url = named.copy_with(host=str(self._addresses[-1]))
        return await self._inner.handle_async_request(request)

    async def _look_up(self, url: httpx2.URL, host: str) -> tuple[IPAddress, ...]:
        if url.scheme not in ("http", "https") or url.userinfo:
            raise AddressRefused("its URL is not a plain https URL")
        port = url.port or (443 if url.scheme == "https" else 80)
        found = tuple(dict.fromkeys(_address(each) for each in await self._resolve(host, port)))
        if not found:
            raise OSError("no address")
        if not all(is_allowed(each, self._allow_loopback) for each in found):
            raise AddressRefused("its address is not a public one")
        if url.scheme == "http" and not all(each.is_loopback for each in found):
            raise AddressRefused("its URL is not a plain https URL")
        return found[:ADDRESSES_MAX]

    async def aclose(self) -> None:
        await self._inner.aclose()


def _address(text: str) -> IPAddress:
    return ipaddress.ip_address(text.partition("%")[0])


class EndpointSession:
    """Posts to one endpoint, keeping its connection open between messages."""

    def __init__(self, endpoint: Endpoint, client: httpx2.AsyncClient) -> None:
        self.endpoint = endpoint
        self._client = client

    async def post(self, message: Message) -> Posted:
        """Post `message` once. Every failure of the receiver or of the way to it is an answer, not an exception."""
        started = time.monotonic()
        posted = await self._post(message)
        return replace(posted, latency_ms=math.ceil((time.monotonic() - started) * 1_000))

    async def _post(self, message: Message) -> Posted:
        body = message.body()
        if len(body) > PAYLOAD_BYTES_MAX:
            return Posted(problem="the message is too large")
        try:
            request = self._client.build_request(
                "POST", self.endpoint.url, content=body, headers=self._headers(message, body, datetime.now(UTC))
            )
        except (httpx2.InvalidURL, EmptyWebhookSecretError, ValueError) as error:
            return Posted(problem=f"its URL or its secret cannot be used ({type(error).__name__})")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._send(request)
        except (TimeoutError, httpx2.TimeoutException):
            return Posted(problem=f"no answer within {TIMEOUT_S:.0f} s")
        except AddressRefused as refused:
            return Posted(problem=str(refused))
        except httpx2.HTTPError as error:
            return Posted(problem=f"no connection ({type(error).__name__})")
        except (OSError, UnicodeError, ValueError) as error:
            return Posted(problem=f"its address was not found ({type(error).__name__})")

    async def _send(self, request: httpx2.Request) -> Posted:
        response = await self._client.send(request, stream=True)
        try:
            answer = await _drain(response)
        finally:
            await response.aclose()
        if response.is_success:
            return Posted(response.status_code, answer=answer)
        return Posted(
            response.status_code,
            f"HTTP {response.status_code}",
            retry_after_s(response.headers.get("retry-after", ""), datetime.now(UTC)),
            answer=answer,
        )

    def _headers(self, message: Message, body: bytes, now: datetime) -> dict[str, str]:
        # The library takes any time for UTC, so it is given UTC; it holds one key, so signatures are joined here.
        id_, text = str(message.id), body.decode()
        secrets = self.endpoint.secrets
        signatures = [Webhook(each).sign(msg_id=id_, timestamp=now, data=text) for each in secrets]
        return {
            "content-type": "application/json",
            # What is kept of an answer must be readable without unpacking it.
            "accept-encoding": "identity",
            "user-agent": USER_AGENT,
            "webhook-id": id_,
            "webhook-timestamp": str(math.floor(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


class WebhookSender:
    """Opens sessions to endpoints. One per process: it holds the certificates that are trusted."""

    def __init__(self, allow_loopback: bool, resolve: Resolve = resolve) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._context = httpx2.create_ssl_context()

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[EndpointSession]:
        transport = _PinnedTransport(self._context, self._resolve, self._allow_loopback)
        client = httpx2.AsyncClient(transport=transport, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        async with client:
            yield EndpointSession(endpoint, client)


async def _drain(response: httpx2.Response) -> bytes:
    """Read a short answer to its end, so that the connection can be used again; a long one is cut off.

    Gives its beginning.
    """
    read, beginning = 0, b""
    async for part in response.aiter_raw():
        read += len(part)
        beginning += part[: ANSWER_BYTES_KEPT - len(beginning)]
        if read > ANSWER_BYTES_MAX:
            break
    return beginning


def retry_after_s(header: str, now: datetime) -> float | None:
    """The seconds that a receiver asks to be left alone, from either form of Retry-After, at most RETRY_AFTER_MAX_S."""
    if header.isdecimal() and len(header) <= RETRY_AFTER_DIGITS_MAX:
        seconds = float(header)
    else:
        try:
            at = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S)
