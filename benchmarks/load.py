"""A load generator for one address: connections that stay open, one request under way on each.

It does next to nothing per request, so that what is measured is the server: a request is the same bytes each time, and
of an answer only the status and the length are read.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"\ncontent-length: "
GOOD: Final = b"HTTP/1.1 200 "


class UnexpectedAnswer(Exception):
    """The server did not answer 200 with an announced length."""


def request_of(path: str, key: str) -> bytes:
    """A GET as it goes over the wire."""
    lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", "Accept: */*")
    return "\r\n".join(lines).encode() + HEAD_END


async def requests_per_second(port: int, requests: Sequence[bytes], count: int, connections: int) -> float:
    """Send `count` requests, the given ones in turn, over so many connections. Raises UnexpectedAnswer."""
    waiting = iter([requests[number % len(requests)] for number in range(count)])
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Connection(waiting), "127.0.0.1", port) for _ in range(connections)]
    began_s = time.perf_counter()
    for _, connection in opened:
        connection.send_next()
    try:
        await asyncio.gather(*(connection.done for _, connection in opened))
    finally:
        for transport, _ in opened:
            transport.close()
    return count / (time.perf_counter() - began_s)


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the one before is complete."""

    def __init__(self, waiting: Iterator[bytes]) -> None:
        self._waiting = waiting
        self._received = bytearray()
        self._expected = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send_next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self.done.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._expected:
            end = self._received.find(HEAD_END)
            if end < 0:
                return
            length = self._received.find(LENGTH, 0, end)
            if not self._received.startswith(GOOD) or length < 0:
                self._fail(bytes(self._received[:500]).decode(errors="replace"))
                return
            length += len(LENGTH)
            self._expected = end + len(HEAD_END) + int(self._received[length : self._received.find(b"\r", length)])
        if len(self._received) >= self._expected:
            self._received.clear()
            self._expected = 0
            self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was closed: {exc}")

    def _fail(self, text: str) -> None:
        if not self.done.done():
            self.done.set_exception(UnexpectedAnswer(text))
