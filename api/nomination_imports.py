"""Nominations by file: sent, followed, read row by row, and taken back with what each row came to."""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, Field

from api import nomination_import_work as work
from api import operations, problem_types
from api.idempotency import COMMAND_NAMESPACE, Answer, Once, OnceHere
from api.nomination_columns import HEADINGS, POSITIONS, RESULT, RESULT_HEADING, STAGES
from api.nominations import plan_of
from api.operations import OperationOut
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.personal import PERSONAL, note_rows
from api.problems import Problem, documented, not_found
from api.receipts import CampaignId
from api.routing import router
from api.services import Services, ServicesHere, allowed, step
from api.uploads import REQUEST_BODY, TimelyBody, Upload, file_problem, require_readable
from api.validation import Fault
from domain.numbers import quota_line
from domain.plan import Plan
from domain.trainee_messages import Nominate
from projections import institutions
from spreadsheets.cells import column_letters
from spreadsheets.errors import SpreadsheetError
from spreadsheets.table import Table
from spreadsheets.writing import CSV, MEDIA_TYPES, XLSX, Format, Sheet

routes = router("/v1/nomination-imports", "nomination-imports")
MAX_IMPORT_ROWS: Final = 20_000
MAX_OPEN_IMPORTS: Final = 20
"""Imports of one organisation that are not finished."""

TEMPLATE_HEADING_ROW: Final = 2
MAX_SCHOOLS: Final = 1_000
"""Schools in the drop-down of a template."""

Importer = Annotated[Caller, allowed("nominations:write")]
IdInPath = Annotated[UUID, Path(description="The import's id, which is its operation's.")]
Mode = Literal["partial", "atomic"]
RowStatus = Literal["nominated", "acceptable", "failed", "not-sent", "done-before"]
DOWNLOAD: Final[dict[str, Any]] = {
    "description": "The file",
    "content": {
        XLSX: {"schema": {"type": "string", "format": "binary"}},
        "text/csv": {"schema": {"type": "string", "format": "binary"}},
    },
}


class FileOut(BaseModel):
    """How the file was understood."""

    format: Literal["xlsx", "csv"]
    sheet: str
    encoding: str
    delimiter: str
    heading_row: int
    columns: dict[str, str] = Field(description="The letter of each column that was found.")
    ignored: list[str] = Field(description="Headings that mean nothing here.")
    hidden_rows: list[int]


class ImportOut(BaseModel):
    """An import. `succeeded` counts rows that were nominated or, in a dry run, would be."""

    id: UUID
    campaign: str
    mode: Mode
    dry_run: bool
    file: FileOut
    rows: int
    succeeded: int
    failed: int
    not_sent: int = Field(description="Rows that an atomic import held back, or that say they were done before.")
    operation: OperationOut


class CellError(BaseModel):
    """What is wrong with a cell, by the spreadsheet's own row and column."""

    row: int
    column: str | None = Field(default=None, examples=["C"])
    cell: str | None = Field(default=None, examples=["C5"])
    field: str | None = Field(default=None, examples=["identity_number"])
    code: str
    detail: str
    detail_zh: str
    remedy: str
    remedy_zh: str
    source: str | None = None
    value: Annotated[str | None, PERSONAL] = Field(
        default=None, description="What stands there; masked where it is personal."
    )


class RowOut(BaseModel):
    """What became of a row."""

    row: int = Field(description="As the spreadsheet shows it.")
    status: RowStatus
    number: str | None = None
    errors: list[CellError] = []


@routes.post(
    "",
    operation_id="import_nominations",
    summary="Nominate by file",
    status_code=202,
    response_model=OperationOut,
    responses=documented(400, 408, 409, 413, 415),
    dependencies=[TimelyBody, step("nominations:write", "trainee", Nominate.name)],
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_nominations(
    *,
    request: Request,
    services: ServicesHere,
    once: OnceHere,
    upload: Upload,
    campaign: Annotated[CampaignId, Query()],
    mode: Annotated[Mode, Query(description="atomic: nothing is sent unless every row passes the check.")] = "partial",
    dry_run: Annotated[bool, Query(description="Judge every row and change nothing.")] = False,
    hidden_rows: Annotated[Literal["refuse", "read"], Query()] = "refuse",
) -> Response:
    """Up to 20,000 rows of an XLSX or CSV file, each as a single nomination. The same file again is the same import.

    Titles above the headings, merged cells, blank rows and Chinese words are understood; see the template.
    """
    options = f"{campaign}\n{mode}\n{dry_run}\n{hidden_rows}\n".encode()
    once = once.about(options + upload)

    async def run() -> Answer:
        await plan_of(services, campaign)
        require_readable(upload)
        digest = hmac.new(services.digest_key, f"{campaign}\n".encode() + upload, hashlib.sha256).hexdigest()
        parts = [once.caller.organisation, work.KIND, digest, mode, str(dry_run), hidden_rows]
        # A dry run says how things stand now, so it is another one each time.
        id_ = uuid5(COMMAND_NAMESPACE, "\n".join([*parts, str(once.command_id()) if dry_run else ""]))
        if await services.pool.fetchval("SELECT true FROM app.operations WHERE id = $1", id_) is None:
            await _begin(
                services, once, id_, await _read(services, upload), (campaign, digest, mode, dry_run, hidden_rows)
            )
        shown = await operations.show(services, once.caller, id_)
        return Answer(
            orjson.loads(shown.model_dump_json()), 202, {"Location": f"/v1/operations/{id_}", "Retry-After": "1"}
        )

    return await once.answer(run)


async def _read(services: Services, upload: bytes) -> Table:
    try:
        return await services.sheets.read(upload, HEADINGS, MAX_IMPORT_ROWS)
    except SpreadsheetError as error:
        raise file_problem(error) from None


async def _begin(services: Services, once: Once, id_: UUID, table: Table, options: tuple[Any, ...]) -> None:
    caller = once.caller
    if await services.pool.fetchval(_OPEN, caller.organisation, work.KIND) >= MAX_OPEN_IMPORTS:
        raise Problem(problem_types.TOO_MANY_IMPORTS, _TOO_MANY)
    key_sealed, table_sealed = await asyncio.to_thread(work.sealed_table, services, id_, table)
    file = orjson.dumps(_file_of(table)).decode()
    async with services.pool.acquire() as connection, connection.transaction():
        if not await operations.begin(connection, id_, caller.organisation, work.KIND, len(table.rows)):
            return
        who = (id_, caller.organisation, caller.role, caller.key_id, once.correlation_id)
        await connection.execute(_INSERT, *who, *options, file, key_sealed, table_sealed)
    services.work_announced.set()


def _file_of(table: Table) -> dict[str, Any]:
    grid = table.grid
    return {
        "format": grid.kind,
        "sheet": grid.sheet,
        "encoding": grid.encoding,
        "delimiter": grid.delimiter,
        "heading_row": table.heading_row,
        "columns": {name: column_letters(index) for name, index in table.columns.items()},
        # A heading may be anything, even a name: what is long or has digits is not repeated.
        "ignored": [text for text in table.ignored if len(text) <= 20 and not any(each.isdigit() for each in text)],
        "hidden_rows": grid.hidden,
    }


_OPEN: Final = """
SELECT count(*) FROM app.operations WHERE organisation = $1 AND kind = $2 AND finished_at IS NULL
"""
_INSERT: Final = """
INSERT INTO app.nomination_imports (id, organisation, role, key_id, request_id, campaign, digest, mode, dry_run,
                                    hidden_rows, file, key_sealed, table_sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_SELECT: Final = "SELECT * FROM app.nomination_imports WHERE id = $1 AND organisation = $2"
_RESULTS: Final = """
SELECT first, results_sealed FROM app.nomination_import_results WHERE import = $1 AND first >= $2 ORDER BY first
"""
_TOO_MANY: Final = Fault(
    "too_many_imports",
    f"An organisation has at most {MAX_OPEN_IMPORTS} imports under way.",
    f"每个单位同时最多有 {MAX_OPEN_IMPORTS} 个进行中的导入。",
    "Wait until one is done.",
    "请等待其中一个完成。",
)


# ------------------------------------------------------------------------------------------------------ template


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
    format: Annotated[Format, Query()] = "xlsx",  # noqa: A002 - the parameter's name for callers
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
        services.pool, caller.actor, kind="school", parent=caller.organisation, limit=MAX_SCHOOLS
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


def download(content: bytes, format_: Format, name: str) -> Response:
    """A file as an answer. `name` is ASCII."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format_}"'}
    media_type = MEDIA_TYPES[format_] if format_ == "xlsx" else CSV
    return Response(content, headers=headers, media_type=media_type)


# ------------------------------------------------------------------------------------------------------- results


@routes.get(
    "/{id}",
    operation_id="get_nomination_import",
    summary="Read one import",
    responses=documented(404),
)
async def get_nomination_import(id: IdInPath, caller: Importer, services: ServicesHere) -> ImportOut:  # noqa: A002
    """How the file was understood, and how many rows came to what so far. Kept for 7 days after its end."""
    row = await _own(services, caller, id)
    operation = await operations.show(services, caller, id)
    return ImportOut(
        id=id,
        campaign=row["campaign"],
        mode=row["mode"],
        dry_run=row["dry_run"],
        file=FileOut.model_validate(orjson.loads(row["file"])),
        rows=operation.progress.total,
        succeeded=row["succeeded"],
        failed=row["failed"],
        not_sent=row["not_sent"],
        operation=operation,
    )


@routes.get(
    "/{id}/rows",
    operation_id="list_nomination_import_rows",
    summary="Read what became of each row",
    responses=documented(404),
)
async def list_nomination_import_rows(
    id: IdInPath,  # noqa: A002
    caller: Importer,
    services: ServicesHere,
    window: WindowHere,
    status: Annotated[RowStatus | None, Query()] = None,
) -> Page[RowOut]:
    """The rows whose result is known so far, in the order of the file."""
    row = await _own(services, caller, id)
    box = work.opened_box(services, id, row["key_sealed"])
    after = int(window.after) if window.after.isdecimal() and len(window.after) < 10 else 0
    found: list[work.Result] = []
    for kept in await services.pool.fetch(_RESULTS, id, 0):
        results = work.opened_results(box, id, kept["first"], kept["results_sealed"])
        found += [each for each in results if each["row"] > after and status in (None, each["status"])]
        if len(found) > window.limit:
            break
        await asyncio.sleep(0)
    page = found[: window.limit]
    note_rows(sum("errors" in each for each in page))
    more = len(found) > window.limit
    return Page(
        items=[RowOut.model_validate(each) for each in page], next=next_cursor(str(page[-1]["row"]) if more else None)
    )


@routes.get(
    "/{id}/file",
    operation_id="get_nomination_import_file",
    summary="Take the file back with a column of results",
    response_class=Response,
    responses={200: DOWNLOAD, **documented(404)},
)
async def get_nomination_import_file(id: IdInPath, caller: Importer, services: ServicesHere) -> Response:  # noqa: A002
    """The rows as they were sent, in their places, with what each came to. Corrected, it can be sent again."""
    row = await _own(services, caller, id)
    box = work.opened_box(services, id, row["key_sealed"])
    kept = await services.pool.fetch(_RESULTS, id, 0)
    sheet, format_, delimiter = await asyncio.to_thread(_marked, box, id, row["table_sealed"], kept)
    return download(await services.sheets.write(format_, sheet, delimiter), format_, f"nominations-{id}")


def _marked(box: Any, id_: UUID, table_sealed: bytes, kept: Sequence[Any]) -> tuple[Sheet, Format, str]:
    table = work.opened_table(box, id_, table_sealed)
    results = {
        each["row"]: each
        for part in kept
        for each in work.opened_results(box, id_, part["first"], part["results_sealed"])
    }
    everything = sorted([*table.others, *table.rows])
    place = table.columns.get(RESULT, max(len(cells) for _, cells in everything))
    rows = []
    for number, cells in everything:
        text = RESULT_HEADING if number == table.heading_row else _in_words(results.get(number))
        row = [*cells, *[""] * (place + 1 - len(cells))]
        if text or number in results:
            row[place] = text
        rows.append((number, row))
    failed = [number for number, each in results.items() if each["status"] == "failed"]
    format_: Format = "xlsx" if table.grid.kind == "xlsx" else "csv"
    sheet = Sheet(table.grid.sheet or "Sheet1", rows, table.heading_row, marked=failed)
    return sheet, format_, table.grid.delimiter or ","


def _in_words(result: work.Result | None) -> str:
    match result:
        case None:
            return ""
        case {"status": "nominated" | "done-before", "number": number}:
            return f"{work.SUCCEEDED_MARK} {number}"
        case {"status": "failed", "errors": errors}:
            return "\n".join(_error_in_words(each) for each in errors)
        case {"status": "acceptable"}:
            return "可以导入 / acceptable"
    return "未提交 / not sent"


def _error_in_words(error: dict[str, Any]) -> str:
    words = f"{error['detail_zh']}{error['remedy_zh']} / {error['detail']} {error['remedy']}"
    return f"{error.get('cell', '')} {words}".strip()


async def _own(services: Services, caller: Caller, id_: UUID) -> Any:
    row = await services.pool.fetchrow(_SELECT, id_, caller.organisation)
    if row is None:
        raise not_found("import", str(id_))
    return row
