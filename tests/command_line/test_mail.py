"""`xunji mail bounce` as a mail server calls it: the report on standard input, the exit code as sysexits.h has them."""

import asyncio
import base64
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from activities.return_path import ReturnPaths
from cli import app
from command_line.exit_codes import MISUSED
from command_line.mail import EX_DATAERR, EX_TEMPFAIL
from tests.activities.delivery_reports import out_of_office, report
from tests.activities.post_office import open_post_office

KEY = bytes(range(64, 96))
PATHS = ReturnPaths("bounces@example.org", KEY)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> None:
    key = base64.b64encode(KEY).decode()
    for name in ("MASTER", "INDEX", "SIGNING", "LINK"):
        monkeypatch.setenv(f"XUNJI_{name}_KEY", key)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("XUNJI_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("XUNJI_BOUNCE_ADDRESS", PATHS.address)


def bounce(content: bytes, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["mail", "bounce", *options], input=content)
    return result.exit_code, result.output


async def test_a_report_on_standard_input_sends_the_notice_another_way(database_url: str) -> None:
    async with open_post_office(database_url) as office:
        await office.organisation("s1")
        person = await office.person(name="王", email="wang@school.example.org")
        await office.tell("s1", "trainee.enrolled", person=person)
        await office.deliver("s1")
        (letter,) = office.mails.mails
        code, said = await asyncio.to_thread(bounce, report(letter.sender))
        assert (code, "1 notices go another way" in said) == (0, True)
        assert "wang" not in said
        assert await office.undelivered() == 1


def test_what_is_no_report_is_told_apart_from_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = PATHS.of(uuid4())
    assert bounce(out_of_office(path))[0] == EX_DATAERR
    assert bounce(report("bounces@example.org"))[0] == EX_DATAERR
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@/x?host={tmp_path}")
    assert bounce(report(path))[0] == EX_TEMPFAIL
    monkeypatch.setenv("XUNJI_BOUNCE_ADDRESS", "")
    code, said = bounce(report(path))
    assert (code, "XUNJI_BOUNCE_ADDRESS" in said) == (MISUSED, True)


async def test_a_file_and_the_servers_word_for_the_recipient_do_as_well(database_url: str, tmp_path: Path) -> None:
    async with open_post_office(database_url):
        file = tmp_path / "report.eml"
        file.write_bytes(report("somebody@example.org"))
        code, said = await asyncio.to_thread(bounce, b"", str(file), "--recipient", PATHS.of(uuid4()))
    assert (code, "0 notices" in said) == (0, True)
