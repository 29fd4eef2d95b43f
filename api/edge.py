"""The edge of the process: every request gets an id, a bound on its body, one line in the log, and an answer.

Nothing personal is logged: no address, no parameter, no body, and of an unforeseen exception its type and place but not
its text, which may repeat a value.
"""

import asyncio
import re
import time
import traceback
from typing import Any, Final
from uuid import uuid4

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import internal_error, known_problem, response_of

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
BODY_TIMEOUT_S: Final = 60.0
"""How long a body may take to come."""

FRAMES_LOGGED: Final = 30
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_EMPTY_LENGTH: Final = "0"
log = structlog.get_logger(__name__)


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app = app
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(scope, receive, send, self._origin).run(self._app)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._origin = origin
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._headers = Headers(scope=scope)
        self._received = 0
        self._is_whole = False
        self._gives_up_s = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
        self._status = 0
        given = self._headers.get("x-request-id", "")
        self._request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        self._state["request_id"] = self._request_id

    async def run(self, app: ASGIApp) -> None:
        began_s = time.perf_counter()
        try:
            await app(self._scope, self._limited, self._answer)
        except ClientDisconnect:
            # Nobody is left to be answered, and nothing of it was begun.
            pass
        except Exception as error:
            await self._fail(error)
        finally:
            self._log((time.perf_counter() - began_s) * 1_000)

    async def _limited(self) -> Message:
        # The announced length is checked here and not before: a route without a body never reads one.
        announced = self._headers.get("content-length", _EMPTY_LENGTH)
        if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
            raise HTTPException(413, headers={"Connection": "close"})
        message = await self._next()
        self._received += len(message.get("body", b""))
        if self._received > MAX_BODY_BYTES:
            raise HTTPException(413, headers={"Connection": "close"})
        return message

    async def _next(self) -> Message:
        """What comes next: the body in time, or, once it is whole, the caller's going away at any time."""
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._gives_up_s):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        self._is_whole = not message.get("more_body", False)
        return message

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers["X-Content-Type-Options"] = "nosniff"
            if self._scope["path"].startswith("/v1/"):
                # A proxy must not keep what one organisation may see.
                headers.setdefault("Cache-Control", "no-store")
        await self._send(message)

    async def _fail(self, error: Exception) -> None:
        problem = known_problem(error)
        if problem is None:
            problem = internal_error()
            frames = traceback.extract_tb(error.__traceback__)[-FRAMES_LOGGED:]
            log.error(
                "unforeseen_error",
                request_id=self._request_id,
                error=type(error).__name__,
                frames=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            )
        if not self._status:
            response = response_of(problem, self._origin, self._request_id)
            await response(self._scope, self._receive, self._answer)

    def _log(self, duration_ms: float) -> None:
        caller = self._state.get("caller")
        log.log(
            40 if self._status >= 500 else 20,
            "request",
            method=self._scope["method"],
            route=getattr(self._scope.get("route"), "path", "—"),
            status=self._status,
            ms=round(duration_ms, 1),
            request_id=self._request_id,
            organisation=getattr(caller, "organisation", ""),
            key=getattr(caller, "key_id", ""),
        )
