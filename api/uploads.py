"""Files as a body: the file itself with its media type, or the one file of a form. Held in memory only."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api import problem_types
from api.edge import MAX_BODY_BYTES
from api.problems import Problem
from api.routing import unsupported_media_type
from api.validation import Fault
from spreadsheets.errors import SpreadsheetError
from spreadsheets.reading import kind_of
from spreadsheets.writing import XLSX

BODY_TIMEOUT_S: Final = 60.0
"""How long the bytes of a file may take to come."""

MAX_FIELDS: Final = 10
FORM: Final = "multipart/form-data"
RAW_TYPES: Final = frozenset({XLSX, "text/csv", "application/csv", "application/vnd.ms-excel"})
"""Windows names a CSV file as if it was Excel's. What a file is, its content tells."""

REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "The file itself, or a form with one file. XLSX, or CSV in UTF-8 or GBK; at most 4 MiB.",
    "content": {
        XLSX: {"schema": {"type": "string", "format": "binary"}},
        "text/csv": {"schema": {"type": "string", "format": "binary"}},
        FORM: {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
    },
}


class _InMemory(MultiPartParser):
    # Beyond this size the parser would write to a file, in the clear.
    spool_max_size = MAX_BODY_BYTES + 1


async def _timely(request: Request) -> None:
    """Read the body while it comes in time; whoever asks for it afterwards finds it read."""
    media_type(request)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            await request.body()
    except TimeoutError:
        raise Problem(problem_types.TOO_SLOW, _TOO_SLOW, headers={"Connection": "close"}) from None


TimelyBody = Depends(_timely)
"""For a route's dependencies: the body is read before anything else, or given up."""


def media_type(request: Request) -> str:
    """The media type of the body. Raises Problem `unsupported-media-type`."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in RAW_TYPES and given != FORM:
        raise unsupported_media_type(f"{XLSX}, text/csv, {FORM}")
    return given


async def _upload(request: Request) -> bytes:
    body = await request.body()
    return await _file_of(request) if media_type(request) == FORM else body


Upload = Annotated[bytes, Depends(_upload)]
"""The file that a request brings."""


async def _file_of(request: Request) -> bytes:
    parser = _InMemory(request.headers, request.stream(), max_files=1, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError):
        raise Problem(problem_types.MALFORMED, _BAD_FORM) from None
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise Problem(problem_types.MALFORMED, _BAD_FORM)
        return await files[0].read()
    finally:
        await form.close()


def file_problem(error: SpreadsheetError) -> Problem:
    """What is wrong with a file as a whole."""
    type_ = problem_types.TOO_LARGE if error.code in _TOO_LARGE_CODES else problem_types.FILE_INVALID
    fault = Fault(error.code, error.en, error.zh, error.remedy_en, error.remedy_zh, line=error.row)
    return Problem(type_, fault)


def require_readable(content: bytes) -> None:
    """Raises Problem for what the first bytes tell: nothing in it, a password, an old format."""
    try:
        kind_of(content)
    except SpreadsheetError as error:
        raise file_problem(error) from None


_TOO_LARGE_CODES: Final = frozenset({"file_unpacks_too_large", "file_too_many_rows", "file_too_many_columns"})
_BAD_FORM: Final = Fault(
    "form_without_file",
    "The form does not hold exactly one file.",
    "表单中应当只有一个文件。",
    "Send it as the field `file` of multipart/form-data, or the file itself as the body.",
    "请以 multipart/form-data 的 `file` 字段提交，或直接把文件作为请求体。",
)
_TOO_SLOW: Final = Fault(
    "body_too_slow",
    "The body did not come within 60 seconds.",
    "请求体未在 60 秒内传完。",
    "Send it again over a better line, or in smaller files, with the same Idempotency-Key.",
    "请在网络良好时用同一 Idempotency-Key 重发，或拆分文件。",
)
