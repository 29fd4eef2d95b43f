"""Quotas 名额: the lines of a campaign with what is in use, who waits, and every command on them.

A county sees its own lines and its schools', and whoever is offered seats sees the line that offers them; the bureau
sees all.
"""

from datetime import datetime
from typing import Annotated, Any, Final, cast

from fastapi import Body, Path, Query, Response
from pydantic import BaseModel, Field

from api.commands import Envelope, Target
from api.conditional import IfNoneMatch, Versions, answered, seen
from api.idempotency import Answer, OnceHere
from api.nominations import plan_of
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller, commands_of_people, roles_of
from api.problems import documented, not_found
from api.receipts import CampaignId, CommandReceipt, answer_of
from api.routing import router
from api.services import Services, ServicesHere, allowed, step
from domain.decision import Command
from domain.numbers import parse_quota_number, stream_name
from domain.priority import Standing, standings
from domain.quota import Quota, concerns, fold
from domain.quota_messages import QUOTA_EVENTS
from domain.trainee_messages import Code
from projections import quotas as view
from projections import trainees

routes = router("/v1/quotas", "quotas")
Reader = Annotated[Caller, allowed("quotas:read")]
MAX_WAITING_SHOWN: Final = 500
Number = Annotated[
    str,
    Path(
        description="The line among all campaigns: campaign, project type, recipient.",
        pattern=r"^[a-z0-9-]{1,32}:[a-z0-9-]{1,32}:[a-z0-9-]{1,64}$",
        examples=["2022-zhengzhou:gp1:410181"],
    ),
]


class QuotaOut(BaseModel):
    """A quota line. `size` = `used` + `left`, from the counter that decides at this moment.

    Of the used ones, `delegated` went to lines below and `held` wait for an answer: they are offered to waiting
    nominations or to another recipient.
    """

    campaign: str
    number: str = Field(examples=["2022-zhengzhou:gp1:410181"])
    line: str = Field(examples=["gp1:410181"])
    project_type: str
    recipient: str
    level: str = Field(description="city, county or school: where the line stands in the tree.")
    parent: str = Field(description="The line that its seats come from; empty at the top.")
    kind: str = Field(description="project-county 项目县 or other-county 非项目县; empty for the city.")
    issued: int = Field(description="Seats first issued (original).")
    seats: int = Field(description="Seats after delegation, return, reallocation and override (adjusted).")
    size: int
    used: int
    delegated: int
    held: int
    waiting: int = Field(description="Nominations on the line's waiting list.")
    left: int
    shortfall: int = Field(description="Seats that the recipient has reported it can't fill.")
    shortfall_reason: str
    invented: bool = Field(description="Stands in for the notice's missing annexes.")


class OfferOut(BaseModel):
    """Seats held for the first of the candidates until its window ends; then the next one is asked."""

    offer: int
    seats: int
    candidates: list[str] = Field(description="Lines, in the order in which they are asked.")
    until: datetime


class QuotaState(BaseModel):
    """A quota line as its stream stands at this moment."""

    number: str
    version: int
    line: str
    recipient: str
    seats: int
    held: int
    offers: list[OfferOut]


class WaitingOut(BaseModel):
    """A nomination that waits for a seat of the line. `position` 1 gets the next one."""

    position: int
    trainee: str
    school: str
    rank: int = Field(description="By the plan's preferences; 0 for everybody with a place in its declared order.")
    priority: list[Standing] = Field(description="Each step of the declared order: of two, the smaller place wins.")
    submitted_at: datetime = Field(description="The first submission, which decides among equals.")


class WaitingList(BaseModel):
    """Everybody who waits for a seat of the line, in order."""

    items: list[WaitingOut]
    left: int = Field(description="Seats of the line that are free at this moment.")


@routes.get("", operation_id="list_quotas", summary="List quota lines", responses=documented())
async def list_quotas(
    *,
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    campaign: Annotated[CampaignId, Query()],
    project_type: Annotated[Code | None, Query()] = None,
    recipient: Annotated[Code | None, Query()] = None,
) -> Page[QuotaOut]:
    """The lines by key, each with its size, what is used, held, delegated and left, and who waits."""
    found = await view.page(
        services.own_rows(caller),
        services.ledger,
        caller.actor,
        campaign,
        everything=services.pool,
        project_type=project_type,
        recipient=recipient,
        after=window.after,
        limit=window.limit,
    )
    return Page(items=[_shown(each) for each in found.items], next=next_cursor(found.next))


def _shown(use: view.QuotaUse) -> QuotaOut:
    row = use.quota
    return QuotaOut(
        campaign=row.campaign,
        number=row.key,
        line=row.line,
        project_type=row.project_type,
        recipient=row.recipient,
        level=row.level,
        parent=row.parent,
        kind=row.kind,
        issued=row.issued,
        seats=row.seats,
        size=use.size,
        used=use.used,
        delegated=row.delegated,
        held=use.held,
        waiting=use.waiting,
        left=use.left,
        shortfall=row.shortfall,
        shortfall_reason=row.shortfall_reason,
        invented=row.invented,
    )


@routes.get(
    "/{number}",
    operation_id="get_quota",
    summary="Read one quota line",
    response_model=QuotaState,
    responses=documented(404),
)
async def get_quota(
    number: Number, caller: Reader, services: ServicesHere, if_none_match: IfNoneMatch = None
) -> Response:
    """The line as its stream stands, with its open offers."""
    state, version = await _found(services, number, caller)
    shown = QuotaState(
        number=number,
        version=version,
        line=state.line,
        recipient=state.recipient,
        seats=state.seats,
        held=state.held,
        offers=[
            OfferOut(offer=each.number, seats=each.seats, candidates=list(each.candidates), until=each.until)
            for each in state.offers
        ],
    )
    return answered(services, shown, version, if_none_match)


@routes.get(
    "/{number}/waiting", operation_id="list_waiting", summary="Read a line's waiting list", responses=documented(404)
)
async def list_waiting(number: Number, caller: Reader, services: ServicesHere) -> WaitingList:
    """Who waits for a seat of the line, in the order in which seats are offered; at most 500 are shown."""
    campaign, line = parse_quota_number(number)
    own, everything = services.own_rows(caller), services.pool
    use = await view.get(own, services.ledger, caller.actor, campaign, line, everything=everything)
    if use is None:
        raise not_found("quota line", number)
    plan = await plan_of(services, campaign)
    # Whoever may see the line may see who waits for it, an auditor too.
    rows = await trainees.waiting(
        everything, campaign, use.quota.project_type, use.quota.recipient, limit=MAX_WAITING_SHOWN
    )
    items = [
        WaitingOut(
            position=position,
            trainee=row.number,
            school=row.school,
            rank=row.waiting_rank,
            priority=list(standings(plan, tuple(row.priority))),
            submitted_at=row.submitted_at,
        )
        for position, row in enumerate(rows, start=1)
    ]
    return WaitingList(items=items, left=use.left)


async def _found(services: Services, number: str, caller: Caller) -> tuple[Quota, int]:
    """The line, if it is the caller's business. Raises Problem `unknown-number`."""
    campaign, line = parse_quota_number(number)
    recorded = await services.ledger.read_stream(campaign, stream_name("quota", line))
    state = fold(QUOTA_EVENTS.read(each) for each in recorded)
    if state is None or not concerns(state, caller.actor):
        raise not_found("quota line", number)
    return state, recorded[-1].version


# ----------------------------------------------------------------------------------------------------- commands


def _add_route(name: str, command: type[Command]) -> None:
    words = (command.__doc__ or name).splitlines()[0]
    whose = " / ".join(roles_of("quota", name))
    expected_here = seen("quota", name)

    async def one(
        number: Number,
        services: ServicesHere,
        once: OnceHere,
        body: command = Body(),  # type: ignore[valid-type]  # noqa: B008
        expected: Versions = expected_here,
    ) -> Response:
        async def run() -> Answer:
            state, _ = await _found(services, number, once.caller)
            campaign, _ = parse_quota_number(number)
            target = Target("quota", number, campaign, f"{state.line} · {campaign}")
            envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id, expected)
            return answer_of(await services.commands.send(target, cast("Command", body), envelope))

        return await once.answer(run)

    route: dict[str, Any] = {
        "methods": ["POST"],
        "operation_id": f"{name.replace('-', '_')}_quota",
        "summary": words.split(". ")[0].rstrip("."),
        "description": f"{words} Whose step it is: {whose}.",
        "response_model": CommandReceipt,
        "responses": documented(400, 404, 409, 413, 415),
        "dependencies": [step("quotas:write", "quota", name)],
    }
    routes.add_api_route(f"/{{number}}/{name}", one, **route)


for _name, _command in commands_of_people("quota").items():
    _add_route(_name, _command)
