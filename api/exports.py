"""Lists and bulletins as files: the same filters, the same scope and the same masking as the lists in JSON."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Response
from pydantic import BaseModel

from api import bulletins, deliveries, problem_types, restrictions, trainees
from api.nomination_imports import DOWNLOAD, download
from api.permissions import Caller
from api.problems import Problem, documented
from api.receipts import CampaignId, TraineeNumber
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain.bulletin import BulletinKind
from domain.trainee_messages import Code
from projections import restrictions as restrictions_view
from projections import trainees as trainees_view
from spreadsheets.writing import Format, Sheet, numbered

routes = router("/v1", "exports")
MAX_TRAINEES: Final = 20_000
MAX_DELIVERIES: Final = 20_000
MAX_RESTRICTIONS: Final = 2_000
"""Each of them opens a person's sealed fields."""

PAGE_ROWS: Final = 500
FormatHere = Annotated[Format, Query(description="xlsx or csv")]
NOTICE: Final = ("notice", "type", "organisation", "to", "about", "created_at", "done_at")
ABOUT: Final = ("trainee", "restriction", "training_class", "campaign")
"""What a notice is about: the first of these that its data names."""
PERSON: Final = ("name", "identity_number", "telephone")

HEADINGS: Final[dict[str, str]] = {
    "number": "编号",
    "version": "版本",
    "campaign": "项目期",
    "project_type": "项目代码",
    "county": "区县",
    "school": "学校",
    "stage": "学段",
    "subject": "学科",
    "position": "岗位",
    "rural": "农村教师",
    "phase": "阶段",
    "closed": "已结束",
    "returned": "被退回",
    "waiting_for": "等待事项",
    "deadline": "截止时间",
    "host": "承训单位",
    "training_class": "班级",
    "certificate": "证书",
    "restriction": "限制编号",
    "follow_up": "跟踪任务",
    "submitted_at": "提交时间",
    "trainee": "学员编号",
    "name": "姓名",
    "identity_number": "身份证号",
    "telephone": "手机号",
    "ground": "事由",
    "incident_on": "发生日期",
    "served_at": "送达时间",
    "objection_until": "异议截止",
    "starts": "开始日期",
    "until": "截止日期",
    "policy": "起算规则",
    "notice": "通知编号",
    "type": "通知类型",
    "organisation": "单位",
    "to": "送达对象",
    "about": "涉及编号",
    "created_at": "产生时间",
    "done_at": "办结时间",
    "channel": "方式",
    "endpoint": "推送地址或邮件编号",
    "attempts": "次数",
    "first_at": "首次发送",
    "accepted_at": "对方接收时间",
    "status_code": "状态码",
    "problem": "问题",
    "server": "接收服务器",
    "reply": "服务器答复",
    "content_sha256": "内容摘要",
    "template": "模板版本",
    "returned_at": "退信时间",
    "returned_status": "退信状态码",
}


@routes.get(
    "/trainees/export",
    operation_id="export_trainees",
    summary="Download the list of nominations",
    response_class=Response,
    responses={200: DOWNLOAD, **documented()},
)
async def export_trainees(
    caller: Annotated[Caller, allowed("trainees:read")],
    services: ServicesHere,
    wanted: Annotated[trainees_view.TraineeFilter, Depends(trainees.filters)],
    format: FormatHere = "xlsx",  # noqa: A002 - the parameter's name for callers
) -> Response:
    """What `GET /v1/trainees` lists, whole. At most 20,000 rows."""
    rows: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        page = await trainees_view.page(services.pool, caller.actor, wanted, after, PAGE_ROWS)
        items = [trainees.TraineeItem.model_validate(each, from_attributes=True) for each in page.items]
        rows += [_cells(item) for item in items]
        _require_room(len(rows), MAX_TRAINEES)
        after = page.next
    return await _file(services, format, "trainees", tuple(trainees.TraineeItem.model_fields), rows)


@routes.get(
    "/restrictions/export",
    operation_id="export_restrictions",
    summary="Download the list of restrictions",
    response_class=Response,
    responses={200: DOWNLOAD, **documented()},
)
async def export_restrictions(
    *,
    caller: Annotated[Caller, allowed("restrictions:read")],
    services: ServicesHere,
    campaign: Annotated[CampaignId | None, Query()] = None,
    county: Annotated[Code | None, Query()] = None,
    phase: Annotated[Code | None, Query()] = None,
    ground: Annotated[Literal["absent", "dismissed", "not-completed"] | None, Query()] = None,
    trainee: Annotated[TraineeNumber | None, Query()] = None,
    format: FormatHere = "xlsx",  # noqa: A002
) -> Response:
    """What `GET /v1/restrictions` lists, whole; persons are masked. Internal. At most 2,000 rows."""
    rows: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        page = await restrictions_view.page(
            services.pool,
            caller.actor,
            campaign=campaign,
            county=county,
            phase=phase,
            ground=ground,
            trainee=trainee,
            after=after,
            limit=PAGE_ROWS,
        )
        _require_room(len(rows) + len(page.items), MAX_RESTRICTIONS)
        for each in page.items:
            item = await restrictions.item_of(services, each)
            rows.append([*(_text(getattr(item.person, name)) for name in PERSON), *_cells(item, without="person")])
        after = page.next
    columns = (*PERSON, *(name for name in restrictions.RestrictionItem.model_fields if name != "person"))
    return await _file(services, format, "restrictions", columns, rows)


@routes.get(
    "/deliveries/export",
    operation_id="export_deliveries",
    summary="Download what was served",
    response_class=Response,
    responses={200: DOWNLOAD, **documented()},
)
async def export_deliveries(
    caller: deliveries.Reader,
    services: ServicesHere,
    wanted: Annotated[deliveries.Wanted, Depends(deliveries.filters)],
    format: FormatHere = "xlsx",  # noqa: A002
) -> Response:
    """What `GET /v1/deliveries` lists, a row for each way; nothing personal. At most 20,000 rows."""
    ways = list(deliveries.ServedOut.model_fields)
    rows: list[list[str]] = []
    before: int | None = deliveries.NEWEST
    while before is not None:
        page, before = await deliveries.served(services, caller, wanted, before, PAGE_ROWS)
        for each in page:
            about = next((each.data[key] for key in ABOUT if key in each.data), None)
            notice = [each.notice, each.type, each.organisation, each.to, about, each.created_at, each.done_at]
            served = [[getattr(way, name) for name in ways] for way in each.ways] or [[None] * len(ways)]
            rows += [[_text(cell) for cell in (*notice, *way)] for way in served]
        _require_room(len(rows), MAX_DELIVERIES)
    return await _file(services, format, "deliveries", (*NOTICE, *ways), rows)


@routes.get(
    "/bulletins/export",
    operation_id="export_bulletin",
    summary="Download a bulletin",
    response_class=Response,
    responses={200: DOWNLOAD, **documented(404)},
)
async def export_bulletin(
    caller: Annotated[Caller, allowed("bulletins:read")],
    services: ServicesHere,
    campaign: Annotated[CampaignId, Query()],
    kind: Annotated[BulletinKind, Query()],
    format: FormatHere = "xlsx",  # noqa: A002
) -> Response:
    """One of the two bulletins 通报 as it may be published: counts of 1 or 2 people are `*`."""
    both = await bulletins.get_bulletins(caller, services, campaign)
    shown = both.counties if kind == "counties" else both.hosts
    title = f"{campaign} {'区县通报' if kind == 'counties' else '承训单位通报'} · 账本序号 {both.as_of_sequence}"
    rows = [[title], [f"{each.zh} {each.en}" for each in shown.columns], *shown.published]
    content = await services.sheets.write(format, Sheet("通报", numbered(rows), heading_row=2))
    return download(content, format, f"bulletin-{kind}-{campaign}")


def _cells(item: BaseModel, without: str = "") -> list[str]:
    return [_text(getattr(item, name)) for name in type(item).model_fields if name != without]


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "是" if value else "否"
        case datetime():
            return value.isoformat(timespec="seconds")
        case date():
            return value.isoformat()
    return str(value)


async def _file(
    services: Services, format_: Format, name: str, columns: Sequence[str], rows: list[list[str]]
) -> Response:
    headings = [f"{HEADINGS.get(each, '')} {each}".strip() for each in columns]
    return download(await services.sheets.write(format_, Sheet("名单", numbered([headings, *rows]))), format_, name)


def _require_room(rows: int, limit: int) -> None:
    if rows > limit:
        fault = Fault(
            "export_too_large",
            f"The list has more than {limit} rows.",
            f"名单超过 {limit} 行。",
            "Use the filters, for instance one county or one phase at a time; or read the list page by page.",
            "请使用筛选条件，例如按区县或阶段分次导出；或分页读取列表。",
        )
        raise Problem(problem_types.EXPORT_TOO_LARGE, fault)
