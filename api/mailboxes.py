"""The queues of notices, for the bureau's operators: what waits for whom and why, and a hand on each queue.

The commands are Updates of the mailbox's workflow, as from the Temporal UI; who did what and why is recorded in the
organisation's stream.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Path, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from api import problem_types
from api.commands import MAX_ATTEMPTS, PAUSE_S, TemporalAway
from api.idempotency import Answer, Once, OnceHere
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import Problem, documented, internal_error, not_found, still_working, temporal_away
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain.institution import MailboxPaused, MailboxResumed, NoticeSkipped, NoticesRedelivered
from domain.numbers import INSTITUTIONS, stream_name
from temporal_client import is_passing, update_with_start
from workflows.messages import (
    MAILBOX_WORKFLOW_TYPE,
    MailboxAnswer,
    MailboxCommand,
    MailboxStart,
    Redeliver,
    SkipNotice,
    workflow_id,
)

routes = router("/v1/mailboxes", "mailboxes")
UPDATE_TIMEOUT: Final = timedelta(seconds=20)
QUEUE_COUNT_MAX: Final = 10_000
"""A longer queue is reported with this length."""
PROBLEMS_SHOWN: Final = 20
ORDERS_SHOWN: Final = 50
Reader = Annotated[Caller, allowed("mailboxes:read")]
Writer = Annotated[Caller, allowed("mailboxes:write")]
InPath = Annotated[str, Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, description="The organisation's id.")]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Kept for ever, so it names nobody and holds no long number.",
        examples=["the receiver is being moved"],
    ),
]
_ORDERS: Final = frozenset(each.type for each in (MailboxPaused, MailboxResumed, NoticeSkipped, NoticesRedelivered))

_COLUMNS: Final = """
SELECT w.organisation, m.paused_at, m.reason, m.actor, oldest.created_at AS oldest_at,
       (SELECT count(*) FROM (SELECT FROM ledger.outbox o
        WHERE o.recipient = w.organisation AND o.delivered_at IS NULL LIMIT $3) queue) AS waiting
FROM (%s) w
LEFT JOIN app.mailboxes m ON m.organisation = w.organisation AND m.paused_at IS NOT NULL
LEFT JOIN LATERAL (
    SELECT o.created_at FROM ledger.outbox o WHERE o.recipient = w.organisation AND o.delivered_at IS NULL
    ORDER BY o.position LIMIT 1
) oldest ON true
ORDER BY w.organisation
"""
# One probe of the index per organisation, however long the queues are; the stopped ones come in between.
_LIST: Final = (
    _COLUMNS
    % """
    WITH RECURSIVE waiting AS (
        (SELECT recipient FROM ledger.outbox WHERE delivered_at IS NULL AND recipient > $1 ORDER BY recipient LIMIT 1)
        UNION ALL
        SELECT above.recipient FROM waiting, LATERAL (
            SELECT o.recipient FROM ledger.outbox o WHERE o.delivered_at IS NULL AND o.recipient > waiting.recipient
            ORDER BY o.recipient LIMIT 1
        ) above
    )
    SELECT organisation FROM (
        (SELECT recipient::text AS organisation FROM waiting WHERE NOT starts_with(recipient, 'process:') LIMIT $2)
        UNION
        (SELECT organisation FROM app.mailboxes WHERE paused_at IS NOT NULL AND organisation > $1
         ORDER BY organisation LIMIT $2)
    ) each ORDER BY organisation COLLATE "C" LIMIT $2
"""
)
_ONE: Final = _COLUMNS % "SELECT $1::text AS organisation LIMIT $2"
_FAILURES: Final = """
SELECT outbox_id, channel, endpoint, attempt, status_code, problem, at FROM app.deliveries
WHERE organisation = $1 AND problem <> '' ORDER BY id DESC LIMIT $2
"""


class MailboxOut(BaseModel):
    """What waits for an organisation. `waiting` is counted up to 10,000."""

    organisation: str
    waiting: int
    oldest_at: datetime | None = Field(description="When the oldest notice that waits came about.")
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None


class FailureOut(BaseModel):
    """An attempt that failed."""

    notice: str
    channel: Literal["webhook", "mail", "person-mail", "sms"]
    endpoint: str = Field(description="The endpoint, or the id of the mail.")
    attempt: int
    status_code: int | None
    problem: str
    at: datetime


class OrderOut(BaseModel):
    """What an operator did."""

    type: str = Field(examples=["institution.notice_skipped"])
    at: datetime
    data: dict[str, Any]


class OneMailboxOut(MailboxOut):
    """A mailbox with its newest failures and what operators did, newest first."""

    failures: list[FailureOut]
    orders: list[OrderOut]


class Because(BaseModel):
    """Why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


class Skip(Because):
    """The notice that is not sent any more."""

    notice: UUID


class RedeliverTo(Because):
    """What is posted once more: one notice, or those that happened from `since` and before `before`."""

    endpoint: Annotated[str, Field(pattern=r"^we_[a-z0-9]{16}$")]
    notice: UUID | None = None
    since: AwareDatetime | None = None
    before: AwareDatetime | None = None
    missing_only: bool = False

    @model_validator(mode="after")
    def _says_what(self) -> "RedeliverTo":
        if (self.notice is None) == (self.since is None and self.before is None):
            raise ValueError("give either `notice`, or `since` and `before`")
        return self


class OrderDone(BaseModel):
    """The command was recorded and carried out. `count` is how many notices it is about."""

    count: int


@routes.get("", operation_id="list_mailboxes", summary="List mailboxes", responses=documented())
async def list_mailboxes(caller: Reader, services: ServicesHere, window: WindowHere) -> Page[MailboxOut]:
    """The organisations with notices that wait, and those whose mailbox is stopped."""
    rows = await services.own_rows(caller).fetch(_LIST, window.after, window.limit + 1, QUEUE_COUNT_MAX)
    more = len(rows) > window.limit
    page = rows[: window.limit]
    return Page(
        items=[MailboxOut(**_shown(row)) for row in page],
        next=next_cursor(page[-1]["organisation"] if more else None),
    )


@routes.get("/{organisation}", operation_id="get_mailbox", summary="Read one mailbox", responses=documented(404))
async def get_mailbox(organisation: InPath, caller: Reader, services: ServicesHere) -> OneMailboxOut:
    """What waits, what failed last, and what operators did."""
    await _require_known(services, organisation)
    own = services.own_rows(caller)
    row = await own.fetchrow(_ONE, organisation, 1, QUEUE_COUNT_MAX)
    assert row is not None, "there is a row for every organisation"
    failures = await own.fetch(_FAILURES, organisation, PROBLEMS_SHOWN)
    stream = await services.ledger.read_stream(INSTITUTIONS, stream_name("institution", organisation))
    orders = [each for each in reversed(stream) if each.type in _ORDERS][:ORDERS_SHOWN]
    return OneMailboxOut(
        **_shown(row),
        failures=[FailureOut(notice=str(each["outbox_id"]), **_without_id(each)) for each in failures],
        orders=[OrderOut(type=each.type, at=each.recorded_at, data=dict(each.data)) for each in orders],
    )


def _without_id(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "outbox_id"}


def _shown(row: Any) -> dict[str, Any]:
    return {
        "organisation": row["organisation"],
        "waiting": row["waiting"],
        "oldest_at": row["oldest_at"],
        "paused_at": row["paused_at"],
        "paused_by": row["actor"],
        "paused_reason": row["reason"],
    }


@routes.post(
    "/{organisation}/pause",
    operation_id="pause_mailbox",
    summary="Stop a mailbox",
    response_model=OrderDone,
    responses=documented(400, 404, 409, 413, 415),
)
async def pause_mailbox(
    organisation: InPath, body: Because, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """Nothing is sent to the organisation until it is resumed; the batch under way is finished. Nothing is lost."""
    return await _order(services, once, organisation, "pause", body, MailboxCommand)


@routes.post(
    "/{organisation}/resume",
    operation_id="resume_mailbox",
    summary="Let a mailbox go on",
    response_model=OrderDone,
    responses=documented(400, 404, 409, 413, 415),
)
async def resume_mailbox(
    organisation: InPath, body: Because, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """What has waited is sent at once, in order."""
    return await _order(services, once, organisation, "resume", body, MailboxCommand)


@routes.post(
    "/{organisation}/skip",
    operation_id="skip_notice",
    summary="Skip a notice",
    response_model=OrderDone,
    responses=documented(400, 404, 409, 413, 415),
)
async def skip_notice(
    organisation: InPath, body: Skip, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """The notice is not sent any more, on whatever way it was still to go. It stays in the feed `GET /v1/events`."""
    return await _order(services, once, organisation, "skip", body, SkipNotice)


@routes.post(
    "/{organisation}/redeliver",
    operation_id="redeliver_from_mailbox",
    summary="Post notices once more",
    response_model=OrderDone,
    responses=documented(400, 404, 409, 413, 415),
)
async def redeliver_from_mailbox(
    organisation: InPath, body: RedeliverTo, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """As the organisation itself may ask for with `POST /v1/webhook-endpoints/{endpoint}/redeliver`."""
    return await _order(services, once, organisation, "redeliver", body, Redeliver)


# ---------------------------------------------------------------------------------------------------- to the workflow


async def _order(
    services: Services, once: Once, organisation: str, update: str, body: Because, model: type[MailboxCommand]
) -> Response:
    async def run() -> Answer:
        await _require_known(services, organisation)
        try:
            command = model.model_validate(
                body.model_dump() | {"actor": str(once.caller.actor), "command_id": once.command_id()}
            )
        except ValidationError:
            raise _names_somebody() from None
        answer = await _send(services, organisation, update, command)
        if not answer.known:
            raise not_found(*_subject(body))
        return Answer(OrderDone(count=answer.count))

    return await once.answer(run)


def _subject(body: Because) -> tuple[str, str]:
    if isinstance(body, RedeliverTo):
        return "webhook endpoint in use", body.endpoint
    assert isinstance(body, Skip), "the other commands are about the mailbox itself"
    return "notice", str(body.notice)


async def _send(services: Services, organisation: str, update: str, command: MailboxCommand) -> MailboxAnswer:
    """The Update, to the running mailbox or to one that is started for it. Raises Problem."""
    pause_s = PAUSE_S
    for _ in range(MAX_ATTEMPTS):
        answer = await _attempt(services, organisation, update, command)
        if answer is not None:
            return answer
        await asyncio.sleep(pause_s)
        pause_s *= 2
    raise still_working()


async def _attempt(services: Services, organisation: str, update: str, command: MailboxCommand) -> MailboxAnswer | None:
    """One round trip; None when it met a mailbox that was just ending."""
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        MAILBOX_WORKFLOW_TYPE,
        MailboxStart(organisation=organisation),
        id=workflow_id("mailbox", organisation),
        task_queue=services.settings.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"mailbox of {organisation}",
    )
    try:
        client = await services.temporal.client()
        answer = await update_with_start(
            client,
            update,
            command,
            start=start,
            id=str(command.command_id),
            result_type=MailboxAnswer,
            rpc_timeout=UPDATE_TIMEOUT,
        )
    except WorkflowUpdateFailedError as error:
        if is_passing(error):
            return None
        raise internal_error() from error
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise still_working() from None
    except TemporalAway:
        raise temporal_away() from None
    except RPCError as error:
        if is_passing(error):
            return None
        raise temporal_away() from error
    return answer


async def _require_known(services: Services, organisation: str) -> None:
    if await services.registry.find(organisation) is None:
        raise not_found("institution", organisation)


def _names_somebody() -> Problem:
    fault = Fault(
        "long_number_in_reason",
        "The reason holds a long number: telephone and identity numbers have no place here.",
        "理由中含有较长的号码；此处不得填写电话或身份证件号码。",
        "Say why without naming anybody.",
        "请勿填写个人信息。",
        pointer="/reason",
    )
    return Problem(problem_types.INVALID, fault)
