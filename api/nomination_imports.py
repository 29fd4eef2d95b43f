"""Nominations by file: what is sent, and the template."""

from typing import Annotated, Final

from fastapi import Query, Response

from api.idempotency import OnceHere
from api.import_columns import RESULT
from api.import_routes import (
    DOWNLOAD,
    DryRunHere,
    FormatHere,
    HiddenRowsHere,
    ModeHere,
    add_reading_routes,
    download,
    receive,
)
from api.kept_imports import Options
from api.nomination_columns import HEADINGS, POSITIONS, STAGES
from api.nomination_rows import NOUN
from api.nominations import plan_of
from api.operations import OperationOut
from api.permissions import Caller
from api.problems import documented
from api.receipts import CampaignId
from api.routing import router
from api.services import Services, ServicesHere, allowed, step
from api.uploads import REQUEST_BODY, TimelyBody, Upload
from domain.numbers import quota_line
from domain.plan import Plan
from domain.trainee_messages import Nominate
from projections import institutions
from spreadsheets.writing import Sheet

routes = router("/v1/nomination-imports", "nomination-imports")
TEMPLATE_HEADING_ROW: Final = 2
MAX_SCHOOLS: Final = 1_000
"""Schools in the drop-down of a template."""

Importer = Annotated[Caller, allowed(NOUN.scope)]


@routes.post(
    "",
    operation_id="import_nominations",
    summary="Nominate by file",
    status_code=202,
    response_model=OperationOut,
    responses=documented(400, 408, 409, 413, 415),
    dependencies=[TimelyBody, step(NOUN.scope, "trainee", Nominate.name)],
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_nominations(
    *,
    services: ServicesHere,
    once: OnceHere,
    upload: Upload,
    campaign: Annotated[CampaignId, Query()],
    mode: ModeHere = "partial",
    dry_run: DryRunHere = False,
    hidden_rows: HiddenRowsHere = "refuse",
) -> Response:
    """Up to 20,000 rows of an XLSX or CSV file, each as a single nomination. The same file again is the same import.

    Titles above the headings, merged cells, blank rows and Chinese words are understood; see the template.
    """
    options = Options(campaign, mode, dry_run, hidden_rows)
    return await receive(services, once, NOUN, upload, options, lambda: plan_of(services, campaign))


@routes.get(
    "/template",
    operation_id="get_nomination_template",
    summary="Download the template",
    response_class=Response,
    responses={200: DOWNLOAD, **documented(404)},
)
async def get_nomination_template(
    caller: Importer,
    services: ServicesHere,
    campaign: Annotated[CampaignId, Query()],
    format: FormatHere = "xlsx",  # noqa: A002 - the parameter's name for callers
) -> Response:
    """A file to fill in, with drop-downs of what the campaign offers to the caller's county. All cells are text."""
    plan = await plan_of(services, campaign)
    sheet = _template(plan, await _county(services, caller), await _schools(services, caller))
    return download(await services.sheets.write(format, sheet), format, f"nominations-{campaign}")


async def _county(services: Services, caller: Caller) -> str:
    if caller.role == "county":
        return caller.organisation
    own = await services.registry.find(caller.organisation)
    return own.parent if own is not None else ""


async def _schools(services: Services, caller: Caller) -> list[str]:
    if caller.role != "county":
        return []
    found = await institutions.page(
        services.own_rows(caller), caller.actor, kind="school", parent=caller.organisation, limit=MAX_SCHOOLS
    )
    return [f"{each.id} {each.name_zh}" for each in found.items]


def _template(plan: Plan, county: str, schools: list[str]) -> Sheet:
    names = [name for name in HEADINGS.names if name != RESULT]
    headings = [HEADINGS.names[name][0] + ("（必填）" if name in HEADINGS.required else "") for name in names]
    offered = [each for each in plan.project_types if plan.seats(quota_line(each.id, county))]
    choices = {
        "project_type": [f"{each.id} {each.name_zh}" for each in offered or plan.project_types],
        "stage": list({code: word for word, code in reversed(STAGES.items())}.values()),
        "subject": [each.name_zh for each in plan.subjects],
        "position": list({code: word for word, code in reversed(POSITIONS.items())}.values()),
        "rural": ["是", "否"],
        "school": schools,
    }
    return Sheet(
        "推荐名单",
        [(1, [f"{plan.title_zh} 推荐名单"]), (TEMPLATE_HEADING_ROW, headings)],
        TEMPLATE_HEADING_ROW,
        {names.index(name): values for name, values in choices.items() if values},
    )


add_reading_routes(routes, NOUN)
