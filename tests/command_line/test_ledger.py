"""`xunji ledger …` as a script uses it: what is printed, what is written, and the exit codes."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from cli import app
from command_line.exit_codes import MISUSED, REFUSED
from domain.decision import Event
from domain.numbers import PEOPLE, RESTRICTIONS
from domain.person import PersonRegistered
from domain.restriction_messages import EarlierRestrictionRecorded
from ledger.seal import Sealer
from ledger.store import Ledger
from ledger.types import NewEvent, StreamWrite
from ledger.vault import Vault
from projections.engine import Projector
from tests.ledger.appends import append, write

BOOK, STREAM = "2022-script", "trainee/1"
SIGNING_KEY, MASTER_KEY, INDEX_KEY = (secrets.token_bytes(32) for _ in range(3))
Run = Callable[..., Awaitable[Result]]


@pytest_asyncio.fixture
async def xunji(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Run a command of `xunji` on a database whose book has three sealed events."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name, key in (("SIGNING", SIGNING_KEY), ("MASTER", MASTER_KEY), ("INDEX", INDEX_KEY), ("LINK", INDEX_KEY)):
        monkeypatch.setenv(f"XUNJI_{name}_KEY", base64.b64encode(key).decode())
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool:
        ledger = Ledger(pool)
        await ledger.append(append(write(STREAM, events=3, book=BOOK)))
        await ledger.close()
        await Sealer(pool, SIGNING_KEY, "test", tmp_path / "checkpoints").seal_due()

    async def run(*arguments: str, stdin: str = "") -> Result:
        # A command runs an event loop of its own.
        given = [*arguments, "--state", str(tmp_path)]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, given, input=stdin))

    yield run


async def test_a_right_ledger_is_verified_and_a_changed_byte_ends_with_1(xunji: Run, database_url: str) -> None:
    right = await xunji("ledger", "verify", "--json")
    assert right.exit_code == 0
    assert [(each["book"], each["size"], each["verified"]) for each in json.loads(right.output)] == [(BOOK, 3, True)]
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE ledger.events DISABLE TRIGGER ALL")
    for partition in await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'ledger.events'::regclass"
    ):
        await connection.execute(f"ALTER TABLE {partition['name']} DISABLE TRIGGER ALL")
        await connection.execute(f"UPDATE {partition['name']} SET type = 'forged' WHERE sequence = 2")
    await connection.close()
    wrong = await xunji("ledger", "verify", BOOK)
    assert wrong.exit_code == 1
    assert "changed at 2" in wrong.output


async def test_a_book_is_exported_audited_offline_and_imported_into_another_database(
    xunji: Run, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "export"
    exported = await xunji("ledger", "export", BOOK, str(directory), "--json")
    assert exported.exit_code == 0, exported.output
    assert json.loads(exported.output)["size"] == 3
    key = (await xunji("ledger", "public-key")).output.strip()
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert (await xunji("ledger", "audit", str(directory), "--public-key", key)).exit_code == 0
    stranger = base64.b64encode(secrets.token_bytes(32)).decode()
    assert (await xunji("ledger", "audit", str(directory), "--public-key", "no key")).exit_code == MISUSED
    assert "key" in (await xunji("ledger", "audit", str(directory), "--public-key", stranger)).output
    monkeypatch.setenv("DATABASE_URL", database_url)
    again = await xunji("ledger", "import", str(directory))
    assert again.exit_code == REFUSED, "the book is there already"
    events = directory / "events.ndjson"
    events.write_bytes(events.read_bytes().replace(b"county:410181", b"county:410182", 1))
    forged = await xunji("ledger", "audit", str(directory), "--json")
    assert forged.exit_code == 1
    assert (json.loads(forged.output)["problem"], json.loads(forged.output)["first_wrong"]) == ("changed", 1)


async def test_a_proof_is_checked_without_a_database_and_a_forged_one_refused(
    xunji: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inclusion, growth = tmp_path / "inclusion.json", tmp_path / "growth.json"
    inclusion.write_text((await xunji("ledger", "prove", BOOK, "2")).output)
    growth.write_text((await xunji("ledger", "prove", BOOK, "--since", "3")).output)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert (await xunji("ledger", "check-proof", str(inclusion))).exit_code == 0
    assert (await xunji("ledger", "check-proof", str(growth))).exit_code == 0
    inclusion.write_text(inclusion.read_text().replace("trainee.nominated", "trainee.dismissed"))
    assert (await xunji("ledger", "check-proof", str(inclusion))).exit_code == 1


async def test_a_proof_needs_an_event_or_a_size_that_was_signed(xunji: Run) -> None:
    for arguments, code in (
        ((), MISUSED),
        (("2", "--since", "1"), MISUSED),
        (("9",), REFUSED),
        (("--since", "2"), REFUSED),
    ):
        result = await xunji("ledger", "prove", BOOK, *arguments)
        assert result.exit_code == code
        assert result.exception is None or isinstance(result.exception, SystemExit)


async def test_lag_tells_how_far_the_views_are_behind(xunji: Run) -> None:
    result = await xunji("ledger", "lag", "--json")
    assert result.exit_code == 0
    assert [(each["book"], each["lag"]) for each in json.loads(result.output)] == [(BOOK, 3)]


async def test_a_person_is_shown_erased_and_not_shown_again(xunji: Run, database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        subject = await Vault(pool, MASTER_KEY, INDEX_KEY).subject_for("11010519491231002X")
    by_number = await xunji("ledger", "person", "-", stdin="11010519491231002X\n")
    assert by_number.exit_code == 0, by_number.output
    assert str(subject.id) in by_number.output
    assert "11010519491231002X" not in by_number.output
    assert (await xunji("ledger", "erase", str(subject.id), stdin="n\n")).exit_code == REFUSED
    assert (await xunji("ledger", "erase", str(subject.id), "--yes", "--reason", "retention")).exit_code == 0
    shown = await xunji("ledger", "person", str(subject.id))
    assert json.loads(shown.output)["erased"]["reason"] == "retention"
    unknown = await xunji("ledger", "person", str(uuid4()))
    assert unknown.exit_code == REFUSED


async def test_a_book_is_closed_detached_and_attached_and_says_where_it_is(xunji: Run, tmp_path: Path) -> None:
    who = ("--by", "operator:ci", "--reason", "the year is over")
    closed = await xunji("ledger", "close", BOOK, *who, "--json")
    assert closed.exit_code == 0, closed.output
    assert (json.loads(closed.output)["size"], json.loads(closed.output)["actor"]) == (3, "operator:ci")
    export = tmp_path / "export"
    early = await xunji("ledger", "detach", BOOK, str(export), *who)
    assert early.exit_code == 1, "there is no export yet"
    assert (await xunji("ledger", "export", BOOK, str(export))).exit_code == 0
    gone = await xunji("ledger", "detach", BOOK, str(export), *who, "--place", "tape 7", "--drop", "--json")
    assert gone.exit_code == 0, gone.output
    verified = await xunji("ledger", "verify")
    assert verified.exit_code == 0
    assert "tape 7" in verified.output
    for command in (("verify", BOOK), ("export", BOOK, str(tmp_path / "again"))):
        read = await xunji("ledger", *command)
        assert (read.exit_code, "tape 7" in read.output) == (REFUSED, True), read.output
    (listed,) = json.loads((await xunji("ledger", "books", "--json")).output)
    assert (listed["closed"], listed["detached_to"]) == (True, "tape 7")
    assert [each["act"] for each in listed["procedures"]] == ["closed", "detached"]
    assert (await xunji("ledger", "attach", BOOK, *who)).exit_code == 1, "the rows were dropped"
    back = await xunji("ledger", "attach", BOOK, *who, "--export", str(export), "--json")
    assert back.exit_code == 0, back.output
    assert json.loads(back.output)["verified"]
    assert "closed" in (await xunji("ledger", "books")).output
    assert (await xunji("ledger", "verify", BOOK)).exit_code == 0


async def test_case_66_who_is_barred_is_not_erased_from_the_command_line_either(xunji: Run, database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=2, max_size=4) as pool:
        vault, ledger = Vault(pool, MASTER_KEY, INDEX_KEY), Ledger(pool)
        person = (await vault.subject_for("11010519491231002X")).id
        sealed = await vault.seal(person, {"name": "王小明"})
        barred = EarlierRestrictionRecorded(
            by="bureau:zzedu",
            campaign=BOOK,
            person=person,
            starts=date(2021, 5, 1),
            until=date(2999, 5, 1),
            document="d",
        )
        await record_event(ledger, PEOPLE, f"person/{person}", PersonRegistered(person=person, sealed=sealed))
        await record_event(ledger, RESTRICTIONS, "restriction/prior-00001", barred)
        await Projector(pool, ledger).catch_up()
        held = await xunji("ledger", "erase", str(person), "--yes")
        assert held.exit_code == REFUSED, held.output
        assert "barred still" in held.output
        assert await vault.open(person, sealed) == {"name": "王小明"}
        assert [each.type for each in await ledger.read_stream(PEOPLE, f"person/{person}")] == [
            "person.registered",
            "person.erasure_held",
        ]
        await ledger.close()


async def record_event(ledger: Ledger, book: str, stream: str, event: Event) -> None:
    new = NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)
    await ledger.append(append(StreamWrite(book, stream, 0, (new,))))
