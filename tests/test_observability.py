"""Log lines: one form for people, one for machines, nothing personal in either."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from observability import MASK, configure_logging


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The JSON log of this test; logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    output = io.StringIO()
    configure_logging("worker", "json", stream=output)
    yield output
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def last(output: io.StringIO) -> dict[str, Any]:
    found = json.loads(output.getvalue().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_a_line_is_one_json_object_that_names_its_process(lines: io.StringIO) -> None:
    structlog.get_logger("api").info("command done", trainee="zz22-410181-00123", version=3)
    line = last(lines)
    assert (line["event"], line["process"], line["level"]) == ("command done", "worker", "info")
    assert (line["trainee"], line["version"]) == ("zz22-410181-00123", 3)
    assert line["timestamp"].endswith("Z")


def test_a_library_logs_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("temporalio.worker").warning("poll failed after %d s", 5, extra={"queue": "xunji"})
    line = last(lines)
    assert (line["event"], line["logger"], line["queue"]) == ("poll failed after 5 s", "temporalio.worker", "xunji")


@pytest.mark.parametrize(
    "personal",
    ["11010519491231002X", "110105194912310021", "13800138000", "wang@example.cn", "xunji:pass-word"],
)
def test_what_looks_personal_is_masked_wherever_it_stands(lines: io.StringIO, personal: str) -> None:
    text = f"postgresql://{personal}@h/x" if ":" in personal else f"row 7: {personal}, refused"
    logger = structlog.get_logger("api")
    logger.info(text)
    logger.info("deep", reasons=[{"text": text}], other=ValueError(text))
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")
    logging.getLogger("library").error("said %s", text)
    assert personal not in lines.getvalue()
    assert lines.getvalue().count(MASK) >= 5


@pytest.mark.parametrize("key", ["identity_number", "person", "phone", "Authorization", "master_key", "database_url"])
def test_a_personal_value_is_known_by_its_name(lines: io.StringIO, key: str) -> None:
    structlog.get_logger("api").info("found", **{key: "anything"}, row={key: {"deep": "anything"}})
    assert "anything" not in lines.getvalue()
    assert last(lines)[key] == MASK


def test_numbers_that_are_no_persons_stay(lines: io.StringIO) -> None:
    structlog.get_logger("api").info("sealed", root="a" * 64, sequence=123_456, at="1669200000123", n="zz22-c-h012-01")
    assert MASK not in lines.getvalue()


def test_what_is_too_deep_to_look_at_is_not_shown(lines: io.StringIO) -> None:
    nested: Any = "anything"
    for _ in range(20):
        nested = [nested]
    structlog.get_logger("api").info("deep", value=nested)
    assert "anything" not in lines.getvalue()


@pytest.mark.usefixtures("lines")
def test_the_readable_form_is_for_people() -> None:
    output = io.StringIO()
    configure_logging("worker", "console", stream=output)
    structlog.get_logger("api").info("command done", version=3)
    assert "command done" in output.getvalue()
    assert "version=3" in output.getvalue()
    assert not output.getvalue().startswith("{")


@pytest.mark.usefixtures("lines")
def test_the_automatic_form_is_json_where_nobody_reads_along() -> None:
    output = io.StringIO()
    configure_logging("worker", "auto", "warning", stream=output)
    structlog.get_logger("api").info("too quiet")
    structlog.get_logger("api").warning("loud enough")
    assert json.loads(output.getvalue())["event"] == "loud enough"
