"""What every import by file has in common over HTTP: it is sent, followed, read row by row, and taken back."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from api import kept_imports as kept
from api import operations, problem_types
from api.idempotency import COMMAND_NAMESPACE, Answer, Once
from api.import_columns import RESULT, RESULT_HEADING
from api.import_work import Noun
from api.kept_imports import Options, Result
from api.operations import OperationOut
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.personal import PERSONAL, note_rows
from api.problems import Problem, documented, not_found
from api.services import Allowed, Services, ServicesHere
from api.uploads import file_problem, require_readable
from api.validation import Fault
from spreadsheets.cells import column_letters
from spreadsheets.errors import SpreadsheetError
from spreadsheets.table import Table
from spreadsheets.writing import CSV, MEDIA_TYPES, XLSX, Format, Sheet

MAX_IMPORT_ROWS: Final = 20_000
MAX_OPEN_IMPORTS: Final = 20
"""Imports of one kind and organisation that are not finished."""

IdInPath = Annotated[UUID, Path(description="The import's id, which is its operation's.")]
Mode = Literal["partial", "atomic"]
ModeHere = Annotated[Mode, Query(description="atomic: nothing is sent unless every row passes the check.")]
DryRunHere = Annotated[bool, Query(description="Judge every row and change nothing.")]
HiddenRowsHere = Annotated[Literal["refuse", "read"], Query()]
FormatHere = Annotated[Format, Query(description="xlsx or csv")]
RowStatus = Literal[
    "nominated",
    "registered",
    "recorded",
    "repeated",
    "older",
    "acceptable",
    "failed",
    "not-sent",
    "done-before",
    "nothing-to-record",
]
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
    """An import. `succeeded` counts rows that went through or, in a dry run, would."""

    id: UUID
    campaign: str
    training_class: str = Field(description="The class that the file is for; empty for nominations.")
    mode: Mode
    dry_run: bool
    file: FileOut
    rows: int
    succeeded: int
    failed: int
    not_sent: int = Field(
        description="Rows that an atomic import held back, that say they were done before, or that record nothing."
    )
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
    number: str | None = Field(default=None, description="The trainee's number.")
    errors: list[CellError] = []


# ------------------------------------------------------------------------------------------------------- receiving


async def receive(
    services: Services,
    once: Once,
    noun: Noun,
    upload: bytes,
    options: Options,
    require: Callable[[], Awaitable[Any]],
) -> Response:
    """Take a file in and answer with its operation. `require` raises Problem when the file is nobody's business."""
    words = f"{options.about}\n{options.mode}\n{options.dry_run}\n{options.hidden_rows}\n"
    once = once.about(words.encode() + upload)

    async def run() -> Answer:
        await require()
        require_readable(upload)
        digest = hmac.new(services.digest_key, f"{options.about}\n".encode() + upload, hashlib.sha256).hexdigest()
        parts = [once.caller.organisation, noun.kind, digest, options.mode, str(options.dry_run), options.hidden_rows]
        # A dry run says how things stand now, so it is another one each time.
        id_ = uuid5(COMMAND_NAMESPACE, "\n".join([*parts, str(once.command_id()) if options.dry_run else ""]))
        if await services.own_rows(once.caller).fetchval("SELECT true FROM app.operations WHERE id = $1", id_) is None:
            await _begin(services, once, id_, noun, digest, options, await _read(services, noun, upload))
        shown = await operations.show(services, once.caller, id_)
        return Answer(
            orjson.loads(shown.model_dump_json()), 202, {"Location": f"/v1/operations/{id_}", "Retry-After": "1"}
        )

    return await once.answer(run)


async def _read(services: Services, noun: Noun, upload: bytes) -> Table:
    try:
        return await services.sheets.read(upload, noun.columns.headings, MAX_IMPORT_ROWS)
    except SpreadsheetError as error:
        raise file_problem(error) from None


async def _begin(
    services: Services, once: Once, id_: UUID, noun: Noun, digest: str, options: Options, table: Table
) -> None:
    caller = once.caller
    if await services.own_rows(caller).fetchval(_OPEN, caller.organisation, noun.kind) >= MAX_OPEN_IMPORTS:
        raise Problem(problem_types.TOO_MANY_IMPORTS, _TOO_MANY)
    async with services.own_rows(caller).transaction() as connection:
        if not await operations.begin(connection, id_, caller.organisation, noun.kind, len(table.rows)):
            return
        await kept.insert(
            services,
            connection,
            once,
            id_,
            noun.kind,
            digest=digest,
            options=options,
            table=table,
            file=_file_of(table),
        )
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
_TOO_MANY: Final = Fault(
    "too_many_imports",
    f"An organisation has at most {MAX_OPEN_IMPORTS} imports under way.",
    f"每个单位同时最多有 {MAX_OPEN_IMPORTS} 个进行中的导入。",
    "Wait until one is done.",
    "请等待其中一个完成。",
)


def download(content: bytes, format_: Format, name: str) -> Response:
    """A file as an answer. `name` is ASCII."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format_}"'}
    media_type = MEDIA_TYPES[format_] if format_ == "xlsx" else CSV
    return Response(content, headers=headers, media_type=media_type)


# ------------------------------------------------------------------------------------------------------- results


def add_reading_routes(routes: APIRouter, noun: Noun) -> None:
    """An import, its rows, and its file: for whoever sent it, for 7 days after its end."""
    name = noun.kind.replace("-", "_")
    caller_here = Annotated[Caller, Depends(Allowed(noun.scope, noun.roles))]

    async def one(id: IdInPath, caller: caller_here, services: ServicesHere) -> ImportOut:  # noqa: A002
        return await _shown(services, noun, caller, await _own(services, noun, caller, id))

    async def rows(
        id: IdInPath,  # noqa: A002
        caller: caller_here,
        services: ServicesHere,
        window: WindowHere,
        status: Annotated[RowStatus | None, Query()] = None,
    ) -> Page[RowOut]:
        own = await _own(services, noun, caller, id)
        after = int(window.after) if window.after.isdecimal() and len(window.after) < 10 else 0
        return await _page(kept.Results(services, caller, own), after, window.limit, status)

    async def file(id: IdInPath, caller: caller_here, services: ServicesHere) -> Response:  # noqa: A002
        results = kept.Results(services, caller, await _own(services, noun, caller, id))
        sheet, format_, delimiter = await asyncio.to_thread(_marked, results, await results.runs())
        content = await services.sheets.write(format_, sheet, delimiter)
        return download(content, format_, f"{noun.kind.removesuffix('-import')}s-{id}")

    routes.add_api_route(
        "/{id}",
        one,
        operation_id=f"get_{name}",
        summary=f"Read one import of {noun.words}",
        description="How the file was understood, and how many rows came to what. Kept for 7 days after its end.",
        responses=documented(404),
    )
    routes.add_api_route(
        "/{id}/rows",
        rows,
        operation_id=f"list_{name}_rows",
        summary=f"Read what became of each row of {noun.words}",
        description="The rows whose result is known so far, in the order of the file.",
        responses=documented(404),
    )
    routes.add_api_route(
        "/{id}/file",
        file,
        operation_id=f"get_{name}_file",
        summary=f"Take the file of {noun.words} back with a column of results",
        description="The rows as sent, in their places, with what each came to. Corrected, it can be sent again.",
        response_class=Response,
        responses={200: DOWNLOAD, **documented(404)},
    )


async def _shown(services: Services, noun: Noun, caller: Caller, row: Any) -> ImportOut:
    operation = await operations.show(services, caller, row["id"])
    is_of_class = noun.subject == "class"
    campaign = (await services.cases.plan_of("class", row["about"])).id if is_of_class else row["about"]
    return ImportOut(
        id=row["id"],
        campaign=campaign,
        training_class=row["about"] if is_of_class else "",
        mode=row["mode"],
        dry_run=row["dry_run"],
        file=FileOut.model_validate(orjson.loads(row["file"])),
        rows=operation.progress.total,
        succeeded=row["succeeded"],
        failed=row["failed"],
        not_sent=row["not_sent"],
        operation=operation,
    )


async def _page(results: kept.Results, after: int, limit: int, status: RowStatus | None) -> Page[RowOut]:
    found: list[Result] = []
    for first, sealed in await results.runs():
        found += [
            each for each in results.open(first, sealed) if each["row"] > after and status in (None, each["status"])
        ]
        if len(found) > limit:
            break
        await asyncio.sleep(0)
    page = found[:limit]
    note_rows(sum("errors" in each for each in page))
    more = len(found) > limit
    items = [RowOut.model_validate(each) for each in page]
    return Page(items=items, next=next_cursor(str(page[-1]["row"]) if more else None))


def _marked(kept_results: kept.Results, runs: list[tuple[int, bytes]]) -> tuple[Sheet, Format, str]:
    table = kept_results.table()
    note_rows(len(table.rows))
    results = {each["row"]: each for first, sealed in runs for each in kept_results.open(first, sealed)}
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


def _in_words(result: Result | None) -> str:
    match result:
        case None | {"status": "nothing-to-record"}:
            return ""
        case {"mark": mark}:
            return str(mark)
        case {"status": "failed", "errors": errors}:
            return "\n".join(_error_in_words(each) for each in errors)
        case {"status": "acceptable"}:
            return "可以导入 / acceptable"
    return "未提交 / not sent"


def _error_in_words(error: dict[str, Any]) -> str:
    words = f"{error['detail_zh']}{error['remedy_zh']} / {error['detail']} {error['remedy']}"
    return f"{error.get('cell', '')} {words}".strip()


async def _own(services: Services, noun: Noun, caller: Caller, id_: UUID) -> Any:
    row = await kept.find(services, caller, noun.kind, id_)
    if row is None:
        raise not_found("import", str(id_))
    return row
