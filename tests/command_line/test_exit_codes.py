"""Every exit code that is documented happens, and says what the documentation says; every command speaks JSON."""

import asyncio
import base64
import json
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import typer
from typer.testing import CliRunner, Result

from cli import app
from command_line import exit_codes
from command_line.exit_codes import INTERRUPTED, MISUSED, OK, REFUSED, UNAVAILABLE, WRONG, code_of
from command_line.ledger import ledger_app
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.seal import Sealer
from ledger.store import Ledger
from ledger.vault import Vault
from tests.ledger.appends import append, write

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "runbooks" / "exit-codes.md"
BOOK, PERSON_NUMBER = "2022-script", "11010519491231002X"
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
KEYS = {name: secrets.token_bytes(32) for name in ("SIGNING", "MASTER", "INDEX", "LINK")}
NOBODY = "0193a5b0-0000-4000-8000-000000000000"
WHO = ("--by", "operator:ci", "--reason", "over")
Run = Callable[..., Awaitable[Result]]


@pytest_asyncio.fixture
async def xunji(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Run `xunji ledger …` on a database whose book has three sealed events and is exported to `tmp_path/export`."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name, key in KEYS.items():
        monkeypatch.setenv(f"XUNJI_{name}_KEY", base64.b64encode(key).decode())
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        await ledger.append(append(write("trainee/1", events=3, book=BOOK)))
        await Sealer(pool, KEYS["SIGNING"], "xunji", tmp_path / "checkpoints").seal_due()

    async def run(*arguments: str, stdin: str = "") -> Result:
        given = ["ledger", *(each.format(tmp=tmp_path) for each in arguments), "--state", str(tmp_path)]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, given, input=stdin))

    exported = await run("export", BOOK, "{tmp}/export")
    assert exported.exit_code == OK, exported.output
    (tmp_path / "proof.json").write_text((await run("prove", BOOK, "2")).output)
    yield run


async def tamper(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "ALTER TABLE ledger.events_1 DISABLE TRIGGER ALL; UPDATE ledger.events_1 SET type = 'forged' WHERE sequence = 2"
    )
    await connection.close()


# ------------------------------------------------------------------------------------------------------ 0, 2, 3, 4


@pytest.mark.parametrize(
    "command",
    [
        ("verify",),
        ("lag",),
        ("books",),
        ("public-key",),
        ("audit", "{tmp}/export"),
        ("prove", BOOK, "1"),
        ("check-proof", "{tmp}/proof.json"),
        ("close", BOOK, *WHO),
        ("export", BOOK, "{tmp}/second"),
    ],
    ids=lambda command: str(command[0]),
)
async def test_0_what_is_right_ends_with_0_and_prints_one_json_document(xunji: Run, command: tuple[str, ...]) -> None:
    result = await xunji(*command, "--json")
    assert result.exit_code == OK, result.output
    json.loads(result.stdout)


@pytest.mark.parametrize(
    "command",
    [
        ("verify", BOOK, "another"),
        ("nonsense",),
        ("audit", "{tmp}/export", "--public-key", "no key"),
        ("prove", BOOK),
        ("person", "nobody"),
        ("erase", "nobody", "--yes"),
        ("close", BOOK),
        ("close", BOOK, "--by", "Zhang San", "--reason", "over"),
        ("rotate-master-key",),
        ("rotate-index-key",),
    ],
    ids=lambda command: " ".join(command[:2]),
)
async def test_2_what_is_misused_ends_with_2(xunji: Run, command: tuple[str, ...]) -> None:
    result = await xunji(*command)
    assert result.exit_code == MISUSED, result.output


@pytest.mark.parametrize("setting", ["XUNJI_MASTER_KEY", "XUNJI_API_PORT"])
async def test_2_a_wrong_setting_ends_with_2(xunji: Run, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(setting, "nonsense")
    result = await xunji("verify")
    assert (result.exit_code, setting in result.output) == (MISUSED, True)


async def test_2_a_reason_that_is_no_code_ends_with_2(xunji: Run, database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        person = (await Vault(pool, KEYS["MASTER"], KEYS["INDEX"]).subject_for(PERSON_NUMBER)).id
    assert (await xunji("erase", str(person), "--yes", "--reason", "He asked!")).exit_code == MISUSED


@pytest.mark.parametrize(
    "command",
    [
        ("export", "unknown", "{tmp}/x"),
        ("export", BOOK, "{tmp}/export"),
        ("import", "{tmp}/export"),
        ("prove", "unknown", "1"),
        ("prove", BOOK, "9"),
        ("check-proof", "{tmp}/nothing"),
        ("person", NOBODY),
        ("erase", NOBODY, "--yes"),
        ("close", "unknown", *WHO),
        ("detach", BOOK, "{tmp}/export", *WHO),
        ("attach", BOOK, *WHO),
    ],
    ids=lambda command: " ".join(command[:2]),
)
async def test_3_what_is_not_there_or_not_allowed_ends_with_3(xunji: Run, command: tuple[str, ...]) -> None:
    result = await xunji(*command)
    assert result.exit_code == REFUSED, result.output
    assert result.stdout == "", "what went wrong is on standard error"


async def test_3_what_only_the_owner_may_ends_with_3_and_names_the_setting(
    xunji: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(database_url)
    login, word = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    await connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{word}'; GRANT xunji_app TO {login}")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{login}:{word}@{database_url.partition('@')[2]}")
    result = await xunji("close", BOOK, *WHO)
    assert (result.exit_code, "XUNJI_MIGRATION_DATABASE_URL" in result.output) == (REFUSED, True), result.output
    await connection.execute(f"DROP ROLE {login}")
    await connection.close()


@pytest.mark.parametrize(
    "command",
    [
        ("verify",),
        ("lag",),
        ("books",),
        ("export", BOOK, "{tmp}/x"),
        ("import", "{tmp}/export"),
        ("prove", BOOK, "1"),
        ("person", NOBODY),
        ("erase", NOBODY, "--yes"),
        ("close", BOOK, *WHO),
        ("detach", BOOK, "{tmp}/export", *WHO),
        ("attach", BOOK, *WHO),
    ],
    ids=lambda command: str(command[0]),
)
async def test_4_a_database_that_is_away_ends_with_4(
    xunji: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", NOWHERE)
    result = await xunji(*command)
    assert (result.exit_code, "DATABASE_URL" in result.output) == (UNAVAILABLE, True), result.output


async def test_4_a_database_of_another_release_names_the_remedy(xunji: Run, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA ledger CASCADE")
    await connection.close()
    result = await xunji("verify")
    assert (result.exit_code, "xunji migrate" in result.output) == (UNAVAILABLE, True), result.output


# ------------------------------------------------------------------------------------------------------- 1, 130


async def test_1_what_is_wrong_ends_with_1(xunji: Run, database_url: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    forged = proof.read_text().replace("trainee.nominated", "trainee.dismissed")
    proof.write_text(forged)
    checked = await xunji("check-proof", "{tmp}/proof.json", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["proved"]) == (WRONG, False)
    proof.write_text("{}")
    assert (await xunji("check-proof", "{tmp}/proof.json")).exit_code == WRONG
    await tamper(database_url)
    assert (await xunji("verify")).exit_code == WRONG
    events = tmp_path / "export" / "events.ndjson"
    events.write_bytes(events.read_bytes().replace(b"county:410181", b"county:410182", 1))
    assert (await xunji("audit", "{tmp}/export")).exit_code == WRONG
    assert (await xunji("import", "{tmp}/export")).exit_code == WRONG
    assert (await xunji("close", BOOK, *WHO)).exit_code == OK
    assert (await xunji("detach", BOOK, "{tmp}/export", *WHO)).exit_code == WRONG


async def test_1_a_parked_event_ends_with_1(xunji: Run, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO view.parked (book, sequence, stream, version, type, reason) VALUES ($1, 1, 's', 1, 't', 'r')", BOOK
    )
    await connection.execute("INSERT INTO view.checkpoints (book, sequence, token) VALUES ($1, 3, 0)", BOOK)
    await connection.close()
    assert (await xunji("lag")).exit_code == WRONG


async def test_130_a_command_that_is_ended_from_the_keyboard_ends_with_130(
    xunji: Run, database_url: str, tmp_path: Path
) -> None:
    holder = await asyncpg.connect(database_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE ledger.books IN ACCESS EXCLUSIVE MODE")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "cli.py"), "ledger", "books", "--state", str(tmp_path)
        )
        while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == INTERRUPTED
    await holder.close()


# ------------------------------------------------------------------------------------------------- documentation


def test_each_documented_code_is_one_that_a_test_makes_happen_and_the_other_way_round() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.M)
    in_code = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", exit_codes.__doc__ or "", re.M)
    assert rows == in_code
    assert all(getattr(exit_codes, name) == int(code) for code, name in rows)
    tested = set(re.findall(r"^async def test_(\d+)_", Path(__file__).read_text(encoding="utf-8"), re.M))
    assert tested == {code for code, _ in rows}


def test_every_command_of_the_ledger_takes_json_and_is_documented() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    commands = typer.main.get_command(ledger_app).commands  # type: ignore[attr-defined]
    assert len(commands) >= 14
    for name, command in commands.items():
        assert any("--json" in parameter.opts for parameter in command.params), name
        assert f"`{name}`" in document, name


def test_every_error_of_the_ledger_has_a_code() -> None:
    def kinds(root: type[LedgerError]) -> set[type[LedgerError]]:
        return {root}.union(*(kinds(each) for each in root.__subclasses__()))

    for kind in kinds(LedgerError):
        assert code_of(kind.__new__(kind)) in (WRONG, MISUSED, REFUSED, UNAVAILABLE), kind.__name__


def test_a_ledger_that_is_away_is_to_be_tried_again_and_not_taken_for_a_refusal() -> None:
    assert code_of(LedgerUnavailable("away")) == UNAVAILABLE
    assert code_of(LedgerError("no")) == REFUSED


def test_a_defect_has_no_code() -> None:
    assert code_of(KeyError("x")) is None
    assert code_of(AssertionError()) is None
