"""Every list and both bulletins as files: the same filters, the same scope and the same masking as the lists in JSON.

An export asks the list's own operation for page after page, so it can show nothing that the list does not.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, get_args

from fastapi import Query, Response
from pydantic import BaseModel

from api import (
    attendance,
    bulletins,
    campaigns,
    classes,
    deliveries,
    duties,
    identity_reviews,
    institutions,
    mailboxes,
    person_records,
    personal_reads,
    problem_types,
    projects,
    quotas,
    restrictions,
    trainees,
    training_days,
    webhook_deliveries,
)
from api.export_headings import heading
from api.import_routes import DOWNLOAD, FormatHere, download
from api.pagination import MAX_LIMIT, Window, decode_cursor
from api.permissions import Caller
from api.problems import Problem, documented
from api.receipts import CampaignId
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain.bulletin import BulletinKind
from spreadsheets.writing import Format, Sheet, numbered

routes = router("/v1", "exports")
MAX_ROWS: Final = 20_000
MAX_PERSONS: Final = 2_000
"""Where each row opens a person's sealed fields."""


@dataclass(frozen=True, slots=True)
class List:
    """A list that is exported at its own path with `/export` behind it."""

    path: str
    operation: Callable[..., Awaitable[Any]]
    name: str
    max_rows: int = MAX_ROWS

    @property
    def is_paged(self) -> bool:
        return "window" in inspect.signature(self.operation).parameters

    @property
    def item(self) -> type[BaseModel]:
        """What a row of the list is in JSON."""
        page = inspect.signature(self.operation).return_annotation
        item: type[BaseModel] = get_args(page.model_fields["items"].annotation)[0]
        return item


LISTS: Final = (
    List("/trainees", trainees.read_page, "trainees"),
    List("/restrictions", restrictions.list_restrictions, "restrictions", MAX_PERSONS),
    List("/classes", classes.list_classes, "classes"),
    List("/classes/{number}/attendance", attendance.list_attendance_of_class, "attendance"),
    List("/duties", duties.list_duties, "duties"),
    List("/campaigns", campaigns.list_campaigns, "campaigns"),
    List("/projects", projects.list_projects, "projects"),
    List("/people", person_records.list_people, "people"),
    List("/quotas", quotas.list_quotas, "quotas"),
    List("/quotas/{number}/waiting", quotas.list_waiting, "waiting"),
    List("/institutions", institutions.list_institutions, "institutions"),
    List("/training-days", training_days.list_training_days, "training_days"),
    List("/identity-reviews", identity_reviews.list_identity_reviews, "identity_reviews", MAX_PERSONS),
    List("/mailboxes", mailboxes.list_mailboxes, "mailboxes"),
    List("/webhook-endpoints/{endpoint}/deliveries", webhook_deliveries.list_webhook_deliveries, "webhook_deliveries"),
    List("/deliveries", deliveries.list_deliveries, "deliveries"),
    List("/personal-reads", personal_reads.list_personal_reads, "personal_reads"),
)


def _add_export(each: List) -> None:
    of_list = inspect.signature(each.operation)
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in of_list.parameters.items()
        if name != "window"
    ]
    wanted = inspect.Parameter("format", inspect.Parameter.KEYWORD_ONLY, default="xlsx", annotation=FormatHere)

    async def export(*, services: Services, **given: Any) -> Response:
        format_: Format = given.pop("format")
        rows = await _rows(each, services=services, **given)
        columns = list(columns_of(each.item))
        headings = [heading(each.item, column) for column in columns]
        lines = [headings, *([row.get(column, "") for column in columns] for row in rows)]
        return download(await services.sheets.write(format_, Sheet("名单", numbered(lines))), format_, each.name)

    export.asks = each.operation  # type: ignore[attr-defined]
    # FastAPI reads a route's parameters from its signature: those of the list, without its pages.
    export.__signature__ = of_list.replace(parameters=[*kept, wanted], return_annotation=Response)  # type: ignore[attr-defined]
    routes.add_api_route(
        f"{each.path}/export",
        export,
        operation_id=f"export_{each.name}",
        summary=f"Download a list: {each.name.replace('_', ' ')}",
        description=f"What `GET /v1{each.path}` lists, whole. At most {each.max_rows:,} rows.",
        response_class=Response,
        responses={200: DOWNLOAD, **documented(404)},
    )


async def _rows(each: List, **given: Any) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    after = ""
    while True:
        window = {"window": Window(MAX_LIMIT, after)} if each.is_paged else {}
        page = await each.operation(**given, **window)
        for item in page.items:
            rows += lines_of(item)
            if len(rows) > each.max_rows:
                raise _too_many(each.max_rows)
        following = getattr(page, "next", None)
        if following is None:
            return rows
        after = decode_cursor(following)


for _each in LISTS:
    _add_export(_each)


# --------------------------------------------------------------------------------------------------------- cells


def columns_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The columns of a row: its fields, and those of the models in it (`person.name`)."""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is None:
            yield prefix + name
        else:
            yield from columns_of(inner, f"{prefix}{name}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def lines_of(item: BaseModel, prefix: str = "") -> list[dict[str, str]]:
    """The cells of a row by column; where it holds a list of models, a line for each of them."""
    lines: list[dict[str, str]] = [{}]
    for name in type(item).model_fields:
        value = getattr(item, name)
        if isinstance(value, BaseModel):
            more = lines_of(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], BaseModel):
            more = [line for each in value for line in lines_of(each, f"{prefix}{name}.")]
        else:
            more = [{prefix + name: _text(value)}]
        lines = [line | each for line in lines for each in more]
    return lines


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
        case list() | tuple():
            return "; ".join(_text(each) for each in value)
        case dict():
            return "; ".join(f"{name} {_text(each)}" for name, each in value.items())
    return str(value)


def _too_many(limit: int) -> Problem:
    fault = Fault(
        "export_too_large",
        f"The list has more than {limit} rows.",
        f"名单超过 {limit} 行。",
        "Use the filters, for instance one county or one phase at a time; or read the list page by page.",
        "请使用筛选条件，例如按区县或阶段分次导出；或分页读取列表。",
    )
    return Problem(problem_types.EXPORT_TOO_LARGE, fault)


# ----------------------------------------------------------------------------------------------------- bulletins


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
