"""Log lines of every process: readable on a terminal, one JSON object per line otherwise, and nothing
personal in either.

Call `configure_logging` once, at the start of a process. Our code logs through `structlog.get_logger()`;
the libraries' `logging` goes the same way, so that a masked value is masked everywhere.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
TEXT_CHARACTERS_MAXIMUM = 4_000
DEPTH_MAXIMUM = 6

# Names of values that tell who somebody is or let somebody in, wherever they stand.
PERSONAL_KEYS = frozenset(
    {
        "name",
        "person_name",
        "full_name",
        "identity_number",
        "id_number",
        "phone",
        "mobile",
        "email",
        "address",
        "birth_date",
        "person",
        "password",
        "secret",
        "token",
        "authorization",
        "api_key",
        "master_key",
        "index_key",
        "signing_key",
        "previous_signing_key",
        "witness_key",
        "link_key",
        "database_url",
    }
)
# A Chinese ID number (18 characters, the last may be X), a mobile number, an e-mail address, a password in
# a URL.
PERSONAL_TEXT = re.compile(
    r"(?<!\d)\d{17}[\dXx](?![\dXx])"
    r"|(?<!\d)1[3-9]\d{9}(?!\d)"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)

QUIET_LOGGERS = ("httpx2", "httpcore2", "uvicorn.access", "asyncio")


def mask_personal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what is personal or secret by `***`, by the value's key or by its looks, at any depth."""
    return {key: _masked(key, value, 0) for key, value in event.items()}


def configure_logging(
    process: str,
    log_format: Literal["auto", "console", "json"] = "auto",
    level: Literal["debug", "info", "warning", "error"] = "info",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (default: standard error), each with `process` in it.

    `auto` means `console` on a terminal and `json` elsewhere. Safe to repeat: the last call counts.
    """
    output = stream if stream is not None else sys.stderr
    readable = log_format == "console" or (log_format == "auto" and output.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.UnicodeDecoder(),
    ]
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # The text of an exception is masked as well; its local variables are never shown.
                structlog.processors.format_exc_info,
                mask_personal,
                *_last(readable, process, output),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *(step for step in shared if not isinstance(step, structlog.stdlib.ExtraAdder)),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _last(readable: bool, process: str, output: TextIO) -> list[Processor]:
    if readable:
        return [
            structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]

    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    def to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        return orjson.dumps(event, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()

    return [name_process, to_json]


def _masked(key: object, value: Any, depth: int) -> Any:
    if isinstance(key, str) and key.lower() in PERSONAL_KEYS and value is not None:
        return MASK
    if isinstance(value, str):
        return PERSONAL_TEXT.sub(MASK, value[:TEXT_CHARACTERS_MAXIMUM])
    if isinstance(value, bool | int | float | None):
        return value
    if depth >= DEPTH_MAXIMUM:
        return MASK
    if isinstance(value, MutableMapping):
        return {inner: _masked(inner, item, depth + 1) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(None, item, depth + 1) for item in value]
    # Any other object is known by its text; that may hold anything.
    return PERSONAL_TEXT.sub(MASK, repr(value)[:TEXT_CHARACTERS_MAXIMUM])
