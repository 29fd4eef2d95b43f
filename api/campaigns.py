"""Campaigns: opened from their plan, listed, and counted."""

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, Field

from api import problem_types
from api.commands import Envelope, Target
from api.conditional import IfNoneMatch, answered
from api.idempotency import Answer, Once, OnceHere
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import Problem, documented, not_found
from api.receipts import CampaignId, CommandReceipt, answer_of
from api.routing import router, unsupported_media_type
from api.services import Services, ServicesHere, allowed
from api.validation import FAULT_LIMIT, Fault
from domain.campaign import OpenCampaign
from domain.plan import Plan
from domain.plan_loader import PlanError, PlanProblem, load_plan
from projections import campaigns as view
from projections import classes, restrictions, trainees
from projections.plans import PlanConflict, UnknownPlan

routes = router("/v1/campaigns", "campaigns")
YAML: Final = "application/yaml"
MEDIA_TYPES: Final = frozenset({YAML, "application/x-yaml", "text/yaml"})
_INDEX: Final = re.compile(r"\[([0-9]+)\]")
Reader = Annotated[Caller, allowed("campaigns:read")]
Opener = Annotated[Caller, allowed("campaigns:write")]
IdInPath = Annotated[CampaignId, Path(description="The campaign's id.")]


class CampaignItem(BaseModel):
    """A campaign in a list, from a view that follows the ledger within moments."""

    id: str
    version: int
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    plan_sha256: str
    opened_at: datetime
    closed_at: datetime | None


class ProjectTypeOut(BaseModel):
    """A project type 项目类别 of the plan."""

    id: str
    level: str
    name_zh: str
    name_en: str
    centralised_days_required: int
    stages: list[str]
    subjects: list[str] = Field(description="Empty: every subject.")
    positions: list[str]
    rural: str
    min_years_of_service: int
    project_counties_only: bool


class CampaignOut(CampaignItem):
    """A campaign with what everybody needs to know of its plan."""

    title_zh: str
    title_en: str
    notice: str
    bureau: str
    number_prefix: str
    opens: str
    school_deadline: datetime
    county_deadline: datetime
    city_deadline: datetime
    soft_end: str
    closes: str
    project_types: list[ProjectTypeOut]


class RestrictionFiguresOut(BaseModel):
    """How many restrictions have ever come so far; `recorded` are the earlier ones, imposed elsewhere."""

    proposed: int
    served: int
    objected: int
    imposed: int
    dropped: int
    recorded: int
    expired: int


class Figures(BaseModel):
    """How far a campaign has come, as far as the caller's own business goes; for the bureau all of it."""

    campaign: str
    nominated: int
    phases: dict[str, int]
    classes: dict[str, int]
    restrictions: dict[str, int] = Field(description="By phase, of those that the caller may see.")
    restrictions_ever: RestrictionFiguresOut | None = Field(description="For the bureau only.")


@routes.post(
    "",
    operation_id="open_campaign",
    summary="Open a campaign by its plan",
    status_code=201,
    response_model=CommandReceipt,
    responses=documented(400, 409, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The plan, as in `plans/2022-zhengzhou.yaml`.",
            "content": {YAML: {"schema": {"type": "string"}}},
        }
    },
)
async def open_campaign(request: Request, caller: Opener, services: ServicesHere, once: OnceHere) -> Response:
    """Adopt the plan, issue its quotas and start the campaign. Every mistake of the plan comes at once."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise unsupported_media_type(YAML)
    body = await request.body()

    async def run() -> Answer:
        plan = await _plan_from(body)
        if plan.bureau != caller.organisation:
            raise _another_bureau(plan)
        await _adopt(services, plan)
        return await _open(services, once, plan)

    return await once.answer(run)


async def _plan_from(body: bytes) -> Plan:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem(problem_types.PLAN_INVALID, _not_utf8(error.start)) from None
    try:
        # Composing YAML takes the better part of a second, which other requests must not wait for.
        return await asyncio.to_thread(load_plan, text)
    except PlanError as error:
        faults = tuple(_fault(each) for each in error.problems[:FAULT_LIMIT])
        raise Problem(problem_types.PLAN_INVALID, *faults) from None


def _fault(problem: PlanProblem) -> Fault:
    where = f"{problem.line}:{problem.column} {problem.path}".rstrip()
    path = _INDEX.sub(r".\1", problem.path)
    return Fault(
        "plan_error",
        f"Line {problem.line}, column {problem.column}: {problem.message_en}.",
        f"第 {problem.line} 行第 {problem.column} 列：{problem.message_zh}",
        f"Correct {where}.",
        f"请更正 {where}。",
        pointer="/" + path.replace(".", "/") if path else "",
        line=problem.line,
        column=problem.column,
        expected=problem.expected,
        found=problem.found,
    )


def _not_utf8(position: int) -> Fault:
    return Fault(
        "not_utf8",
        f"The plan is not UTF-8: see its byte {position}.",
        f"方案不是 UTF-8 编码：见第 {position} 字节。",
        "Save the file as UTF-8.",
        "请以 UTF-8 编码保存文件。",
    )


def _another_bureau(plan: Plan) -> Problem:
    fault = Fault(
        "another_bureau",
        f"The plan is one of {plan.bureau}.",
        f"该方案属于 {plan.bureau}。",
        "Send it with a key of that bureau, or correct `bureau`.",
        "请用该教育局的密钥提交，或更正 `bureau`。",
        pointer="/bureau",
    )
    return Problem(problem_types.PLAN_INVALID, fault)


async def _adopt(services: Services, plan: Plan) -> None:
    try:
        await services.plans.adopt(plan)
    except PlanConflict as error:
        fault = Fault(
            "plan_conflict",
            f"{error}.",
            "该编号或号码前缀已属于另一方案，方案一经采用不可更改。",
            "An adopted plan never changes: give the new one another id and number_prefix.",
            "请为新方案使用新的 id 和 number_prefix。",
        )
        raise Problem(problem_types.PLAN_CONFLICT, fault) from None


async def _open(services: Services, once: Once, plan: Plan) -> Answer:
    target = Target("campaign", plan.id, plan.id, plan.title_en, new=True)
    envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id)
    receipt = await services.commands.send(target, OpenCampaign(plan_sha256=plan.sha256()), envelope)
    return answer_of(receipt, status=201, location=f"/v1/campaigns/{plan.id}")


@routes.get("", operation_id="list_campaigns", summary="List campaigns", responses=documented())
async def list_campaigns(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    closed: Annotated[bool | None, Query()] = None,
) -> Page[CampaignItem]:
    """Every campaign; whoever takes part may see which there are."""
    found = await view.page(services.own_rows(caller), closed=closed, after=window.after, limit=window.limit)
    items = [CampaignItem.model_validate(row, from_attributes=True) for row in found.items]
    return Page(items=items, next=next_cursor(found.next))


@routes.get(
    "/{campaign}",
    operation_id="get_campaign",
    summary="Read one campaign",
    response_model=CampaignOut,
    responses=documented(404),
)
async def get_campaign(
    campaign: IdInPath, caller: Reader, services: ServicesHere, if_none_match: IfNoneMatch = None
) -> Response:
    """The campaign with its dates and project types, from a view that follows the ledger within moments."""
    row = await view.get(services.own_rows(caller), campaign)
    if row is None:
        raise not_found("campaign", campaign)
    try:
        plan = await services.plans.by_campaign(campaign)
    except UnknownPlan:
        raise not_found("campaign", campaign) from None
    item = CampaignItem.model_validate(row, from_attributes=True)
    return answered(services, CampaignOut(**item.model_dump(), **_of_plan(plan)), row.version, if_none_match)


def _of_plan(plan: Plan) -> dict[str, Any]:
    return {
        "title_zh": plan.title_zh,
        "title_en": plan.title_en,
        "notice": plan.notice.number,
        "bureau": plan.bureau,
        "number_prefix": plan.number_prefix,
        "opens": plan.dates.opens.isoformat(),
        "school_deadline": plan.selection_deadline("school"),
        "county_deadline": plan.selection_deadline("county"),
        "city_deadline": plan.selection_deadline("city"),
        "soft_end": plan.dates.soft_end.isoformat(),
        "closes": plan.dates.closes.isoformat(),
        "project_types": [ProjectTypeOut.model_validate(each, from_attributes=True) for each in plan.project_types],
    }


@routes.get(
    "/{campaign}/figures",
    operation_id="get_campaign_figures",
    summary="Count a campaign's cases",
    responses=documented(404),
)
async def get_campaign_figures(campaign: IdInPath, caller: Reader, services: ServicesHere) -> Figures:
    """How many cases are in each phase. The sum of the phases is the number of nominations."""
    own, viewer = services.own_rows(caller), caller.actor
    if await view.get(own, campaign) is None:
        raise not_found("campaign", campaign)
    phases = await trainees.count_by_phase(own, viewer, trainees.TraineeFilter(campaign=campaign))
    ever = None
    if caller.role == "bureau":
        counted = await restrictions.figures(own, campaign)
        ever = RestrictionFiguresOut.model_validate(counted, from_attributes=True)
    return Figures(
        campaign=campaign,
        nominated=sum(phases.values()),
        phases=phases,
        classes=await classes.count_by_phase(own, viewer, campaign),
        restrictions=await restrictions.count_by_phase(own, viewer, campaign),
        restrictions_ever=ever,
    )
