"""What became of the notices that were to be posted to an endpoint: the log of attempts, a test message, and posting
once more what was missed.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import structlog
from fastapi import Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from api.idempotency import Answer, OnceHere
from api.institutions import recording_of
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import documented, not_found
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.webhook_endpoints import IdInPath, endpoint_disabled, own_endpoint
from domain.institution import NoticesRedelivered
from secrets_box import SecretBroken

routes = router("/v1/webhook-endpoints", "webhooks")
MAX_REDELIVERIES: Final = 10_000
"""So many notices are posted once more by one request; the rest of a longer span needs another one."""
NEWEST: Final = 2**63 - 1
Reader = Annotated[Caller, allowed("webhooks:read")]
Writer = Annotated[Caller, allowed("webhooks:write")]
log = structlog.get_logger(__name__)

_DELIVERIES: Final = """
SELECT d.id, d.outbox_id, o.topic, d.attempt, d.status_code, d.problem, d.at, d.latency_ms, d.answer_sealed, d.asked
FROM app.deliveries d LEFT JOIN ledger.outbox o ON o.id = d.outbox_id
WHERE d.organisation = $1 AND d.channel = 'webhook' AND d.endpoint = $2 AND d.id < $3
  AND ($5::uuid IS NULL OR d.outbox_id = $5) AND ($6::boolean IS NULL OR (d.problem = '') = $6)
ORDER BY d.id DESC LIMIT $4
"""
_TEST: Final = """
INSERT INTO app.webhook_requests (command_id, organisation, endpoint, outbox_id, kind)
VALUES ($1, $2, $3, $4, 'test') ON CONFLICT DO NOTHING
"""
_REDELIVER: Final = "SELECT app.request_redelivery($1, $2, $3, $4, $5, $6, $7, $8)"
_IS_OWN: Final = "SELECT EXISTS (SELECT FROM ledger.outbox WHERE id = $2 AND recipient = $1)"


class DeliveryOut(BaseModel):
    """One attempt to post a notice. `problem` is empty when the receiver took it."""

    notice: str = Field(description="The notice's id, which is the `webhook-id` header of every attempt.")
    type: str = Field(description="The notice's type; `webhook.test` for a test.", examples=["trainee.selected"])
    attempt: int
    status_code: int | None
    problem: str
    at: datetime
    latency_ms: int | None = Field(description="How long all of it took, with the look-up of the name.")
    answer: str | None = Field(
        description="The beginning of what the receiver answered, at most 2,048 bytes of it, kept for 30 days."
    )
    asked: bool = Field(description="Whether it was sent because somebody asked for it: a redelivery or a test.")


class TestOut(BaseModel):
    """A message of the type `webhook.test` is on its way; `notice` is its `webhook-id`, under which the log has it."""

    notice: str


class RedeliveryIn(BaseModel):
    """What is posted once more: one notice by its id, or those that happened from `since` and before `before`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notice: UUID | None = Field(None, description="A notice's id (`webhook-id`).")
    since: AwareDatetime | None = Field(None, examples=["2022-09-20T00:00:00Z"])
    before: AwareDatetime | None = Field(None, examples=["2022-09-21T00:00:00Z"])
    missing_only: bool = Field(False, description="Leave out what this endpoint has taken.")

    @model_validator(mode="after")
    def _says_what(self) -> "RedeliveryIn":
        if (self.notice is None) == (self.since is None and self.before is None):
            raise ValueError("give either `notice`, or `since` and `before`")
        if self.since is not None and self.before is not None and self.since >= self.before:
            raise ValueError("`since` must lie before `before`")
        return self


class RedeliveryOut(BaseModel):
    """How many notices are posted once more. `more`: the span holds more than one request may ask for."""

    count: int
    more: bool


@routes.get(
    "/{endpoint}/deliveries",
    operation_id="list_webhook_deliveries",
    summary="List delivery attempts",
    responses=documented(404),
)
async def list_webhook_deliveries(
    endpoint: IdInPath,
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    notice: Annotated[UUID | None, Query(description="Only the attempts of this notice.")] = None,
    outcome: Annotated[Literal["taken", "failed"] | None, Query(description="Only these attempts.")] = None,
) -> Page[DeliveryOut]:
    """Every attempt to post a notice there, the newest first."""
    await own_endpoint(services, caller, endpoint)
    before = int(window.after) if window.after.isdecimal() and len(window.after) < 19 else NEWEST
    is_taken = None if outcome is None else outcome == "taken"
    rows = await services.own_rows(caller).fetch(
        _DELIVERIES, caller.organisation, endpoint, before, window.limit + 1, notice, is_taken
    )
    more = len(rows) > window.limit
    page = rows[: window.limit]
    items = [_delivery(services, endpoint, row) for row in page]
    return Page(items=items, next=next_cursor(str(page[-1]["id"]) if more else None))


def _delivery(services: Services, endpoint: str, row: Any) -> DeliveryOut:
    return DeliveryOut(
        notice=str(row["outbox_id"]),
        type=row["topic"] or "webhook.test",
        attempt=row["attempt"],
        status_code=row["status_code"],
        problem=row["problem"],
        at=row["at"],
        latency_ms=row["latency_ms"],
        answer=_answer(services, endpoint, row),
        asked=row["asked"],
    )


def _answer(services: Services, endpoint: str, row: Any) -> str | None:
    """What the receiver wrote, as text; what is no text in it is shown as such."""
    if row["answer_sealed"] is None:
        return None
    try:
        # The place as `activities.mailbox` names it.
        opened = services.box.open(f"answer:{row['outbox_id']}:{endpoint}", row["answer_sealed"])
    except SecretBroken:
        log.warning("answer_unreadable", endpoint=endpoint)
        return None
    return opened.decode(errors="replace").replace("\x00", "\ufffd")


@routes.post(
    "/{endpoint}/test",
    operation_id="test_webhook_endpoint",
    summary="Send a test message",
    status_code=202,
    response_model=TestOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def test_webhook_endpoint(endpoint: IdInPath, caller: Writer, services: ServicesHere, once: OnceHere) -> Response:
    """One message of the type `webhook.test`, signed like every other, tried once: the log tells what became of it."""

    async def run() -> Answer:
        await _require_in_use(services, caller, endpoint)
        command = once.command_id()
        message = uuid5(command, "test")
        await services.own_rows(caller).execute(_TEST, command, caller.organisation, endpoint, message)
        return Answer(TestOut(notice=str(message)), 202, {"Location": f"/v1/webhook-endpoints/{endpoint}/deliveries"})

    return await once.answer(run)


@routes.post(
    "/{endpoint}/redeliver",
    operation_id="redeliver_notices",
    summary="Post notices once more",
    status_code=202,
    response_model=RedeliveryOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def redeliver_notices(
    endpoint: IdInPath, body: RedeliveryIn, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """Under the same `webhook-id` as before, in order, after what waits anyway. Only notices to the caller's own
    organisation, of a span those that the endpoint wants; what still waits for the endpoint comes by itself.
    """

    async def run() -> Answer:
        await _require_in_use(services, caller, endpoint)
        own = caller.organisation
        if body.notice is not None and not await services.own_rows(caller).fetchval(_IS_OWN, own, body.notice):
            raise not_found("notice", str(body.notice))
        event = NoticesRedelivered(
            endpoint=endpoint,
            notice=str(body.notice) if body.notice else None,
            since=body.since.isoformat() if body.since else None,
            before=body.before.isoformat() if body.before else None,
            missing_only=body.missing_only,
            asked_by=str(caller.actor),
        )
        await services.registry.record(own, event, await recording_of(services, once))
        count = await services.own_rows(caller).fetchval(
            _REDELIVER,
            once.command_id(),
            own,
            endpoint,
            body.notice,
            body.since,
            body.before,
            body.missing_only,
            MAX_REDELIVERIES,
        )
        return Answer(RedeliveryOut(count=count, more=count == MAX_REDELIVERIES), 202)

    return await once.answer(run)


async def _require_in_use(services: Services, caller: Caller, endpoint: str) -> None:
    if (await own_endpoint(services, caller, endpoint)).disabled_at is not None:
        raise endpoint_disabled()
