"""A request that changes something is carried out once per `Idempotency-Key`, whatever happens on the way.

Two layers make that so. `app.idempotency` keeps the first answer and refuses another content under the same key. Below
it, the ids of commands follow from organisation, operation, key and row: if the process dies between the command and
its kept answer, the repetition runs again under the same ids, and the ledger answers as it did the first time.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import asyncpg
import orjson
import structlog
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from api import problem_types
from api.commands import Postponed
from api.permissions import Caller
from api.problems import MEDIA_TYPE, Problem
from api.services import Services, caller_of, services_of
from api.validation import Fault
from ledger.errors import DATABASE_LOST

HOLD: Final = timedelta(seconds=90)
"""How long a request is held for the process that began it: longer than a command may take. A request with many rows
that takes longer still may be begun a second time, which changes nothing, because its rows keep their command ids."""

RETENTION: Final = timedelta(days=7)
SWEEP_INTERVAL_S: Final = 3_600.0
SWEEP_ROWS: Final = 10_000
KEY_LIMIT: Final = 200
COMMAND_NAMESPACE: Final = UUID("6f9a1d42-53a7-5c1e-9c43-0b6f1b2d7a90")
"""The ids of the API's commands are uuid5 under it."""

REPLAYED: Final = "Idempotency-Replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with. One that is not final is not kept: some of its rows may be sent again."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_final: bool = True

    def content(self) -> bytes:
        """The body as JSON."""
        if isinstance(self.body, BaseModel):
            return self.body.model_dump_json().encode()
        return orjson.dumps(self.body)


class Once:
    """The request at hand, carried out once. A dependency of every route that changes something."""

    def __init__(self, request: Request, services: Services, caller: Caller, key: str, body: bytes) -> None:
        self._request = request
        self._services = services
        self._key = key
        self._body = body
        self.caller = caller
        self.operation = f"{request.method} {request.url.path}"

    @property
    def correlation_id(self) -> str:
        """The request's id, which its events carry."""
        return str(self._request.state.request_id)

    @cached_property
    def digest(self) -> str:
        """What stands for the body: keyed, because a body may hold an identity number that could be guessed back."""
        return hmac.new(self._services.digest_key, self._body, hashlib.sha256).hexdigest()

    def command_id(self, row: int = 0) -> UUID:
        """The id of the command in a row of the body; the same for every repetition of the request."""
        return uuid5(COMMAND_NAMESPACE, "\n".join((self.caller.organisation, self.operation, self._key, str(row))))

    @property
    def body(self) -> bytes:
        """What was sent."""
        return self._body

    @property
    def operation_id(self) -> UUID:
        """The id of the operation under which commands of the request are kept; the same for every repetition."""
        return uuid5(self.command_id(), "operation")

    def about(self, content: bytes) -> "Once":
        """The same request, known by `content` instead of its bytes: a form that is sent again has another boundary."""
        return Once(self._request, self._services, self.caller, self._key, content)

    async def answer(self, run: Callable[[], Awaitable[Answer]], *, secret: bool = False) -> Response:
        """Run the request, or answer it as it was answered first. `secret`: its answer is kept sealed.

        Raises Problem `request-in-flight` or `idempotency-key-reused`. An answer of 500 or above is not kept, so that
        the same request may be sent again.
        """
        replayed = await self._begin()
        if replayed is not None:
            return replayed
        is_kept = False
        try:
            is_final = True
            try:
                answer = await run()
                content, status, headers = answer.content(), answer.status, dict(answer.headers)
                headers["Content-Type"] = "application/json"
                is_final = answer.is_final
            except Postponed as postponed:
                kept = await self._services.inbox.keep(self.operation_id, [(None, postponed.delivery)])
                content, status = orjson.dumps(kept.body()), 202
                headers = {**kept.headers(), "Content-Type": "application/json"}
            except Problem as problem:
                if problem.type.status >= 500:
                    raise
                origin = self._services.settings.public_url
                content = orjson.dumps(problem.document(origin, self.correlation_id))
                status = problem.type.status
                headers = {**problem.headers, "Content-Type": MEDIA_TYPE}
            if is_final:
                await self._keep(status, headers, content, secret)
                is_kept = True
            return Response(content, status, headers)
        finally:
            if not is_kept:
                await asyncio.shield(self._abandon())

    @property
    def _place(self) -> tuple[str, str, str, bytes]:
        return self.caller.organisation, self.operation, self._key, bytes.fromhex(self.digest)

    def _box_place(self) -> str:
        return "idempotency:" + "\n".join((self.caller.organisation, self.operation, self._key))

    async def _begin(self) -> Response | None:
        row = await self._services.own_rows(self.caller).fetchrow(
            "SELECT b.*, app.something_is_kept() AS something_is_kept FROM app.begin_request($1, $2, $3, $4, $5) AS b",
            *self._place,
            HOLD,
        )
        assert row is not None, "the function answers always"
        if row["something_is_kept"]:
            self._services.inbox.notice()
        match row["outcome"]:
            case "begun":
                return None
            case "in-flight":
                raise Problem(problem_types.IN_FLIGHT, _IN_FLIGHT, headers={"Retry-After": "1"})
            case "other-body":
                raise Problem(problem_types.KEY_REUSED, _KEY_REUSED)
        content = row["body"]
        if row["sealed"]:
            content = self._services.box.open(self._box_place(), content)
        return Response(content, row["status"], {**orjson.loads(row["headers"]), REPLAYED: "true"})

    async def _keep(self, status: int, headers: Mapping[str, str], content: bytes, secret: bool) -> None:
        kept = self._services.box.seal(self._box_place(), content) if secret else content
        await self._services.own_rows(self.caller).fetchval(
            "SELECT app.answer_request($1, $2, $3, $4, $5, $6, $7, $8)",
            *self._place,
            status,
            orjson.dumps(headers).decode(),
            kept,
            secret,
        )

    async def _abandon(self) -> None:
        try:
            abandon = "SELECT app.abandon_request($1, $2, $3, $4)"
            await self._services.own_rows(self.caller).fetchval(abandon, *self._place)
        except DATABASE_LOST as error:
            # The hold runs out by itself.
            log.warning("request_not_abandoned", cause=type(error).__name__)


async def read_once(
    request: Request,
    caller: Annotated[Caller, Depends(caller_of)],
    services: Annotated[Services, Depends(services_of)],
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Any text of 1 to 200 visible characters that is new for every new request, such as a UUID. "
            "The same key with the same body gets the first answer again.",
            examples=["7f6a9a52-0d0c-4c3a-8f0b-5b1f6f6a3f11"],
        ),
    ] = None,
) -> Once:
    key = (idempotency_key or "").strip()
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if _KEY.fullmatch(key) is None:
        raise Problem(problem_types.KEY_MISSING, _KEY_MISSING)
    body = await request.body()
    if _NUL.search(body):
        # PostgreSQL has no text with this character, and nobody means it.
        raise Problem(problem_types.INVALID, _NUL_CHARACTER)
    return Once(request, services, caller, key, body)


OnceHere = Annotated[Once, Depends(read_once)]
"""The parameter of a route that changes something."""


async def sweep_for_ever(pool: "asyncpg.Pool[Any]") -> None:
    """Forget answers that are older than RETENTION, until cancelled."""
    while True:
        try:
            await sweep(pool)
        except DATABASE_LOST as error:
            log.warning("answers_not_swept", cause=type(error).__name__)
        await asyncio.sleep(SWEEP_INTERVAL_S)


async def sweep(pool: "asyncpg.Pool[Any]") -> int:
    """Forget at most SWEEP_ROWS old answers; return how many."""
    status: str = await pool.execute(
        "DELETE FROM app.idempotency WHERE (organisation, operation, key) IN (SELECT organisation, operation, key "
        "FROM app.idempotency WHERE held_until < clock_timestamp() - $1::interval LIMIT $2)",
        RETENTION,
        SWEEP_ROWS,
    )
    return int(status.rpartition(" ")[2])


_KEY_MISSING = Fault(
    "idempotency_key_missing",
    "A request that changes something needs an `Idempotency-Key` header of 1 to 200 visible characters.",
    "会产生变更的请求必须带 1 至 200 个可见字符的 `Idempotency-Key` 头。",
    "Send a new UUID for each new request, and the same one when you repeat a request.",
    "每个新请求使用新的 UUID，重发同一请求时使用原来的键。",
    parameter="Idempotency-Key",
)
_KEY_REUSED = Fault(
    "idempotency_key_reused",
    "This Idempotency-Key was used for a request with another body.",
    "该 Idempotency-Key 已用于内容不同的请求。",
    "Use a new key for new content.",
    "请为新内容使用新的键。",
    parameter="Idempotency-Key",
)
_IN_FLIGHT = Fault(
    "request_in_flight",
    "A request with this Idempotency-Key is being handled.",
    "具有该 Idempotency-Key 的请求正在处理。",
    "Wait a moment and repeat it with the same key.",
    "请稍后用同一键重发。",
    parameter="Idempotency-Key",
)
_NUL_CHARACTER = Fault(
    "nul_character",
    "A text holds the character U+0000.",
    "文字中含有 U+0000 字符。",
    "Remove it.",
    "请删除该字符。",
)
