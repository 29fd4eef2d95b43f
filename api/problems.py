"""Every error leaves the API as `application/problem+json` (RFC 9457) in both languages, with the way out.

`Problem` is the one exception that a route raises. Whatever else goes wrong is turned into one here, or, when nobody
foresaw it, at the edge of the process (`api.edge`).
"""

from collections.abc import Mapping
from typing import Any, Literal

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api import problem_types
from api.problem_types import ProblemType, refusal_type
from api.validation import Fault, faults_of, is_malformed, is_unknown_path
from clock import ClockError
from database import APPLICATION_ROLE
from domain.decision import Reason, Refusal, UnreadableEvent
from domain.identity import IdentityNumberError
from domain.refusals import refuse
from ledger.errors import BookClosed, BookDetached, LedgerUnavailable
from projections.checkpoints import ViewBehind

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""What a client is told to wait when a part of the system is away."""


class Problem(Exception):
    """A request that ends in an error. It has at least one fault; the first one gives the detail."""

    def __init__(
        self,
        type_: ProblemType,
        *faults: Fault,
        headers: Mapping[str, str] | None = None,
        rule_version: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        assert faults, "a problem says what is wrong"
        super().__init__(type_.slug)
        self.type = type_
        self.faults = faults
        self.headers = dict(headers or {})
        self.rule_version = rule_version
        self.facts = dict(facts or {})

    def document(self, origin: str, request_id: str, prefix: str = "") -> dict[str, Any]:
        """The problem as JSON; `prefix` goes before every pointer (`/items/3`)."""
        first = self.faults[0]
        document: dict[str, Any] = {
            "type": type_uri(origin, self.type),
            "title": self.type.title,
            "title_zh": self.type.title_zh,
            "status": self.type.status,
            "detail": first.en,
            "detail_zh": first.zh,
            "errors": [each.as_json(prefix) for each in self.faults],
            "request_id": request_id,
        }
        if self.rule_version:
            document["rule_version"] = self.rule_version
        if self.facts:
            document["facts"] = self.facts
        return document


class ErrorItem(BaseModel):
    """One thing that is wrong. `pointer` leads into the body, `parameter` names a query parameter or a header."""

    pointer: str | None = Field(default=None, examples=["/person/identity_number"])
    parameter: str | None = Field(default=None, examples=["limit"])
    code: str = Field(examples=["quota_exhausted"])
    detail: str
    detail_zh: str
    remedy: str
    remedy_zh: str
    source: str | None = Field(default=None, description="The paragraph of the notice or the plan it rests on.")
    line: int | None = Field(default=None, description="Of a plan, from 1.")
    column: int | None = Field(default=None, description="Of a plan, from 1.")
    expected: str | None = None
    found: str | None = None


class ProblemDocument(BaseModel):
    """RFC 9457 problem details. `type` is an address that explains the problem."""

    type: str = Field(examples=["http://127.0.0.1:8080/problems/quota-exhausted"])
    title: str
    title_zh: str
    status: int
    detail: str
    detail_zh: str
    errors: list[ErrorItem]
    request_id: str
    rule_version: str | None = Field(default=None, description="The digest of the plan that was applied.")
    facts: dict[str, Any] | None = Field(default=None, description="What each failed rule looked at, by its code.")


def type_uri(origin: str, type_: ProblemType) -> str:
    """The absolute address of a problem type's explanation."""
    return f"{origin.rstrip('/')}/problems/{type_.slug}"


def fault_of_reason(reason: Reason) -> Fault:
    """A reason of the domain as a fault of a request."""
    return Fault(
        code=reason.code,
        en=reason.en,
        zh=reason.zh,
        remedy_en=reason.remedy_en,
        remedy_zh=reason.remedy_zh,
        pointer=reason.field,
        source=reason.source,
    )


def refused(refusal: Refusal) -> Problem:
    """The domain said no; every reason is named, the first one gives type and status."""
    faults = tuple(fault_of_reason(each) for each in refusal.reasons)
    type_ = refusal_type(refusal.code)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if type_.status == 503 else {}
    return Problem(type_, *faults, rule_version=refusal.rule_version, facts=refusal.facts, headers=headers)


def not_found(what: str, number: str) -> Problem:
    """Nothing of this name exists for the caller: unknown, or another organisation's."""
    fault = Fault(
        "unknown_number",
        f"There is no {what} {number} that your organisation may see.",
        f"没有本单位可以查看的 {number}。",
        "Check the number, and that the key belongs to the organisation concerned.",
        "请核对编号，以及密钥是否属于有关单位。",
    )
    return Problem(problem_types.REFUSALS["unknown_number"], fault)


def identity_problem(error: IdentityNumberError, pointer: str) -> Problem:
    """What is wrong with an identity number, without repeating it."""
    fault = Fault(error.code, error.en, error.zh, error.remedy_en, error.remedy_zh, pointer=pointer)
    return Problem(problem_types.INVALID_IDENTITY, fault)


def database_away() -> Problem:
    fault = Fault(
        "database_unavailable",
        "PostgreSQL does not answer. Nothing was changed that you were not told of.",
        "数据库没有响应。",
        "Repeat the request with the same Idempotency-Key in a few seconds. Operators: check DATABASE_URL and the "
        "server; `xunji migrate` makes the schema; /v1/readyz says what is missing.",
        "请几秒后用同一 Idempotency-Key 重发。运维：检查 DATABASE_URL 和数据库服务；`xunji migrate` 建立结构；"
        "/v1/readyz 显示缺少什么。",
    )
    return Problem(problem_types.DATABASE_AWAY, fault, headers={"Retry-After": str(RETRY_AFTER_S)})


def temporal_away() -> Problem:
    fault = Fault(
        "temporal_unavailable",
        "The Temporal service does not answer, so the command was not carried out yet.",
        "Temporal 服务没有响应，命令尚未执行。",
        "Repeat the request with the same Idempotency-Key in a few seconds. Operators: check TEMPORAL_ADDRESS and the "
        "server; nothing is lost, `xunji recover` brings every case back.",
        "请几秒后用同一 Idempotency-Key 重发。运维：检查 TEMPORAL_ADDRESS 和服务；数据不会丢失，"
        "可用 `xunji recover` 恢复。",
    )
    return Problem(problem_types.TEMPORAL_AWAY, fault, headers={"Retry-After": str(RETRY_AFTER_S)})


def views_behind() -> Problem:
    fault = Fault(
        "views_behind",
        "The views have not read what was recorded, so this cannot be decided yet. Nothing was changed.",
        "视图尚未读到最新记录，暂不能作出决定；未作任何变更。",
        "Repeat the request with the same Idempotency-Key in a few seconds. Operators: `xunji ledger lag` says how far "
        "the views are; they are read on by a worker.",
        "请几秒后用同一 Idempotency-Key 重发。运维：`xunji ledger lag` 显示视图进度，视图由 worker 推进。",
    )
    return Problem(problem_types.VIEWS_BEHIND, fault, headers={"Retry-After": str(RETRY_AFTER_S)})


def still_working() -> Problem:
    fault = Fault(
        "command_pending",
        "The command was sent but is not done yet; it may still be carried out.",
        "命令已发出但尚未完成，仍可能执行。",
        "Repeat the request with the same Idempotency-Key: it is never carried out twice. Operators: check that a "
        "worker runs.",
        "请用同一 Idempotency-Key 重发，不会重复执行。运维：检查 worker 是否运行。",
    )
    return Problem(problem_types.STILL_WORKING, fault, headers={"Retry-After": str(RETRY_AFTER_S)})


def internal_error() -> Problem:
    fault = Fault(
        "internal_error",
        "This should not have happened.",
        "发生了不应发生的错误。",
        "Repeat the request with the same Idempotency-Key; if it stays, report the request_id.",
        "请用同一 Idempotency-Key 重发；若仍出现，请报告 request_id。",
    )
    return Problem(problem_types.INTERNAL, fault)


def response_of(problem: Problem, origin: str, request_id: str) -> Response:
    """The problem as an HTTP response."""
    return Response(
        orjson.dumps(problem.document(origin, request_id)),
        status_code=problem.type.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


# ---------------------------------------------------------------------------------------------------- handlers


def known_problem(error: Exception, route: object = None) -> Problem | None:
    """The problem that an exception means, None when nobody foresaw it. `route` is the one that was asked for."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error, route)
        case HTTPException():
            return _of_status(error)
        case ViewBehind():
            return views_behind()
        # The driver calls it an internal error when a connection is cut while it turns from one state to another.
        case (
            LedgerUnavailable() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | TimeoutError() | OSError()
        ):
            return database_away()
        case asyncpg.InvalidParameterValueError() if APPLICATION_ROLE in str(error):
            # Nobody has migrated anything on this server yet: the role that connections take on is missing.
            return database_away()
        case asyncpg.PostgresError():
            return database_away() if isinstance(error, _DATABASE_IS_AWAY) else None
        case UnreadableEvent():
            return refused(refuse("history_unreadable", problem=error))
        case BookClosed():
            return refused(refuse("book_closed", book=error.book))
        case BookDetached():
            # Where it is concerns operators; the error says so to them.
            return refused(refuse("book_detached", book=error.book))
        case ClockError():
            return _clock_missing(error)
    return None


_DATABASE_IS_AWAY = (
    # The server is away, stopping, full, or refuses the connection.
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    # The schema is missing.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)


def _clock_missing(error: ClockError) -> Problem:
    fault = Fault(
        "clock_missing",
        str(error),
        "演示时钟尚未建立。",
        "Start the demo, which makes the clock, or set XUNJI_CLOCK=system.",
        "请启动演示以建立时钟，或设置 XUNJI_CLOCK=system。",
    )
    return Problem(problem_types.DATABASE_AWAY, fault, headers={"Retry-After": str(RETRY_AFTER_S)})


def _invalid(error: RequestValidationError, route: object) -> Problem:
    details = error.errors()
    faults = faults_of(details, getattr(getattr(route, "body_field", None), "field_info", None))
    if is_unknown_path(details):
        return Problem(problem_types.NOT_FOUND, *faults)
    return Problem(problem_types.MALFORMED if is_malformed(details) else problem_types.INVALID, *faults)


def _of_status(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return Problem(problem_types.NOT_FOUND, _NO_SUCH_PATH, headers=headers)
        case 405:
            return Problem(problem_types.METHOD_NOT_ALLOWED, _NOT_THIS_METHOD, headers=headers)
        case 400:
            return Problem(problem_types.MALFORMED, _UNREADABLE, headers=headers)
        case 408:
            return Problem(problem_types.TOO_SLOW, _TOO_SLOW, headers=headers)
        case 413:
            return Problem(problem_types.TOO_LARGE, _TOO_LARGE, headers=headers)
    return internal_error()


_NO_SUCH_PATH = Fault(
    "not_found",
    "No such address.",
    "没有这个地址。",
    "The addresses are listed at /docs.",
    "可用地址见 /docs。",
)
_NOT_THIS_METHOD = Fault(
    "method_not_allowed",
    "This address does not know the method.",
    "该地址不支持此方法。",
    "The Allow header and /docs list the methods.",
    "可用方法见 Allow 头和 /docs。",
)
_LARGE = Fault(
    "body_too_large",
    "The body has more than 4 MiB.",
    "请求体超过 4 MiB。",
    "Send fewer rows at once; of a file, copy the rows into the template, without pictures and further sheets.",
    "请减少每次提交的行数；如为文件，请只把数据行复制到模板，去掉图片和其他工作表。",
)
_UNREADABLE = Fault(
    "unreadable",
    "The body could not be read as JSON.",
    "请求体不是可读的 JSON。",
    "Send UTF-8 JSON that is not nested too deeply.",
    "请发送 UTF-8 编码、嵌套不过深的 JSON。",
)


_TOO_LARGE = Fault(
    "body_too_large",
    "The body is larger than 4 MiB.",
    "请求体超过 4 MiB。",
    "Send less at once, in several requests.",
    "请分多次提交。",
)
_TOO_SLOW = Fault(
    "body_too_slow",
    "The body did not come within 60 seconds.",
    "请求体未在 60 秒内传完。",
    "Send it again over a better line, with the same Idempotency-Key.",
    "请在网络良好时用同一 Idempotency-Key 重发。",
)


def add_problem_handlers(app: FastAPI, origin: str) -> None:
    """Answer every foreseen exception of `app` with a problem document."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = known_problem(error, request.scope.get("route"))
        if problem is None:
            raise error
        return response_of(problem, origin, request.state.request_id)

    foreseen: tuple[type[Exception], ...] = (
        Problem,
        RequestValidationError,
        HTTPException,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        LedgerUnavailable,
        UnreadableEvent,
        BookClosed,
        BookDetached,
        ClockError,
        OSError,
    )
    for each in foreseen:
        app.add_exception_handler(each, handle)


# --------------------------------------------------------------------------------------------------- OpenAPI

ResponseTable = dict[int | str, dict[str, Any]]
Documented = Literal[400, 404, 408, 409, 413, 415]


def documented(*statuses: Documented) -> ResponseTable:
    """The problem responses of an operation, for OpenAPI; 401, 403, 422, 429, 500 and 503 belong to every one."""
    return {status: documented_all()[status] for status in sorted({*statuses, 401, 403, 422, 429, 500, 503})}


def documented_all() -> ResponseTable:
    """Every problem response, by its status."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    described: ResponseTable = {
        status: {"description": text, "content": content} for status, text in _DESCRIPTIONS.items()
    }
    for status in (429, 503):
        described[status]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described


_DESCRIPTIONS: dict[int, str] = {
    400: "Malformed, or without an Idempotency-Key",
    401: "No valid API key",
    403: "Not this key's part",
    404: "Unknown, or another organisation's",
    408: "The body did not come in time",
    409: "The state or a claim does not allow it, or the same request is in flight",
    412: "It has changed since it was read; nothing was done",
    413: "The body is too large",
    415: "Not in this format",
    422: "The content is not valid or not eligible",
    428: "If-Match is needed",
    429: "Too many requests, or too many failed sign-ins; see Retry-After",
    500: "Something went wrong on our side",
    503: "The database or the workflow service is away; see Retry-After",
}
