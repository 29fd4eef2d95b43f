"""`xunji ledger seal|rotate-key|witnesses` and what verify says of witnesses, as a script uses them."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from dotenv import dotenv_values
from typer.testing import CliRunner, Result

from api.app import create_app
from cli import app
from ledger.cosignature import witness_of
from ledger.seal import Sealer, checkpoint_file, public_key_of
from ledger.store import Ledger
from ledger.witness import WitnessService
from ledger_trust import public_key_text, witnessing_of
from settings import load_settings
from tests.ledger.appends import append, fill, write
from tests.serving import served

BOOK = "2022-script"
SIGNING_KEY, NEW_KEY, WITNESS_KEY = (secrets.token_bytes(32) for _ in range(3))
Run = Callable[..., Awaitable[Result]]


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest_asyncio.fixture
async def xunji(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Run a command of `xunji` on a database whose book has three events that nobody has sealed."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name, key in (("SIGNING", SIGNING_KEY), ("MASTER", bytes(32)), ("INDEX", bytes(32)), ("LINK", bytes(32))):
        monkeypatch.setenv(f"XUNJI_{name}_KEY", encoded(key))
    await grow(database_url, 3)

    async def run(*arguments: str) -> Result:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, [*arguments, "--state", str(tmp_path)]))

    yield run


async def grow(database_url: str, events: int, prefix: str = "trainee") -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool, Ledger(pool) as ledger:
        await fill(ledger, events, book=BOOK, prefix=prefix)


async def test_sealing_tells_the_root_of_every_book_and_whether_it_is_new(
    xunji: Run, database_url: str, tmp_path: Path
) -> None:
    first = await xunji("ledger", "seal", "--json")
    assert first.exit_code == 0, first.output
    (book,) = json.loads(first.output)
    assert (book["book"], book["size"], book["is_new"]) == (BOOK, 3, True)
    verified = json.loads((await xunji("ledger", "verify", "--json")).output)
    assert (verified[0]["root_hex"], verified[0]["sealed"]) == (book["root_hex"], 3)
    assert checkpoint_file(tmp_path / "checkpoints", BOOK).exists()
    (again,) = json.loads((await xunji("ledger", "seal", "--json")).output)
    assert (again["root_hex"], again["is_new"]) == (book["root_hex"], False)
    await grow(database_url, 2, "more")
    shown = await xunji("ledger", "seal")
    assert "5 events" in shown.output
    assert "sealed now" in shown.output


async def test_a_book_that_contradicts_what_was_signed_is_not_sealed(xunji: Run, database_url: str) -> None:
    await xunji("ledger", "seal")
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE ledger.books SET sequence = 2")
    await connection.close()
    refused = await xunji("ledger", "seal")
    assert refused.exit_code == 1
    assert "says that 3 events were signed, and 2 are left" in refused.output


async def test_the_key_is_handed_over_and_everything_goes_on(
    xunji: Run, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await xunji("ledger", "seal")
    alone = await xunji("ledger", "rotate-key")
    assert alone.exit_code == 1
    assert "XUNJI_PREVIOUS_SIGNING_KEY" in alone.output
    old_public = (await xunji("ledger", "public-key")).output.strip()
    monkeypatch.setenv("XUNJI_PREVIOUS_SIGNING_KEY", encoded(SIGNING_KEY))
    monkeypatch.setenv("XUNJI_SIGNING_KEY", encoded(NEW_KEY))
    done = await xunji("ledger", "rotate-key", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output)
    assert (answer["number"], answer["public_key"]) == (1, public_key_text(public_key_of(NEW_KEY)))
    assert (await xunji("ledger", "rotate-key")).exit_code == 1, "it is handed over once"
    monkeypatch.delenv("XUNJI_PREVIOUS_SIGNING_KEY")
    await grow(database_url, 2, "more")
    assert (await xunji("ledger", "seal")).exit_code == 0
    verified = json.loads((await xunji("ledger", "verify", "--json")).output)
    assert [(each["verified"], each["sealed"]) for each in verified] == [(True, 5)]
    # An auditor who has the old public key follows it to the new one: a proof, a growth, and an export.
    inclusion, growth, export = tmp_path / "inclusion.json", tmp_path / "growth.json", tmp_path / "export"
    inclusion.write_text((await xunji("ledger", "prove", BOOK, "5")).output)
    growth.write_text((await xunji("ledger", "prove", BOOK, "--since", "3")).output)
    assert (await xunji("ledger", "export", BOOK, str(export))).exit_code == 0
    new_public = (await xunji("ledger", "public-key")).output.strip()
    for key, code in ((old_public, 0), (new_public, 0), (encoded(bytes(32)), 1)):
        for arguments in (("check-proof", str(inclusion)), ("check-proof", str(growth)), ("audit", str(export))):
            result = await xunji("ledger", *arguments, "--public-key", key)
            assert result.exit_code == code, (arguments, result.output)


async def test_a_ledger_that_does_not_verify_is_not_handed_over(
    xunji: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await xunji("ledger", "seal")
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE ledger.events_1 DISABLE TRIGGER refuse_change")
    await connection.execute("UPDATE ledger.events_1 SET type = 'forged' WHERE sequence = 2")
    await connection.close()
    monkeypatch.setenv("XUNJI_PREVIOUS_SIGNING_KEY", encoded(SIGNING_KEY))
    monkeypatch.setenv("XUNJI_SIGNING_KEY", encoded(NEW_KEY))
    refused = await xunji("ledger", "rotate-key")
    assert refused.exit_code == 1
    assert "Nothing is handed over" in refused.output


async def test_the_stacks_own_key_is_made_anew_in_its_file(
    xunji: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await xunji("ledger", "seal")
    assert (await xunji("ledger", "rotate-key", "--new-key")).exit_code == 1, "the key is not in the file"
    secrets_file = tmp_path / "secrets.env"
    secrets_file.write_text(f"XUNJI_SIGNING_KEY='{encoded(SIGNING_KEY)}'\nXUNJI_OTHER='kept'\n")
    monkeypatch.delenv("XUNJI_SIGNING_KEY")
    done = await xunji("ledger", "rotate-key", "--new-key")
    assert done.exit_code == 0, done.output
    kept = dotenv_values(secrets_file)
    assert (kept["XUNJI_PREVIOUS_SIGNING_KEY"], kept["XUNJI_OTHER"]) == (encoded(SIGNING_KEY), "kept")
    assert kept["XUNJI_SIGNING_KEY"] != encoded(SIGNING_KEY)
    assert secrets_file.stat().st_mode & 0o777 == 0o600
    assert (await xunji("ledger", "verify")).exit_code == 0


@asynccontextmanager
async def serving(database_url: str, state_dir: Path) -> AsyncIterator[str]:
    """An API process's worth of xunji on a real port, as the witness of the ledger that the tests seal."""
    settings = load_settings(
        state_dir,
        witness_key=encoded(WITNESS_KEY),
        witness_name="witness.example",
        witnessed_logs={"xunji": [public_key_text(public_key_of(SIGNING_KEY))]},
    )
    async with served(create_app(settings), lifespan="on") as address:
        yield f"{address}/v1/witness"


async def test_a_witness_is_asked_over_http_and_missed_when_it_is_away(
    xunji: Run, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "XUNJI_WITNESSES" in (await xunji("ledger", "witnesses")).output
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        key = WitnessService(pool, "witness.example", WITNESS_KEY, {}).verifier_key
        async with serving(database_url, tmp_path / "witness") as url:
            monkeypatch.setenv("XUNJI_WITNESSES", json.dumps([{"url": url, "key": key}]))
            await xunji("ledger", "seal")
            asking = witnessing_of(load_settings(tmp_path), pool)
            assert await asking.ask_due() == 1
            found = json.loads((await xunji("ledger", "witnesses", "--json")).output)
            assert [(each["book"], each["cosigned"], each["behind"]) for each in found] == [(BOOK, 3, 0)]
            verified = await xunji("ledger", "verify", "--ask-witnesses", "--json")
            assert verified.exit_code == 0, verified.output
            # The witness runs in this process, so its log lines come before what the command prints.
            assert json.loads(verified.output[verified.output.index("[\n") :])[0]["witnessed"] == 3
            proof = json.loads((await xunji("ledger", "prove", BOOK, "1")).output)
            assert f"— {witness_of(key).name} " in proof["checkpoints"][0]
        await grow(database_url, 2, "more")
        sealer = Sealer(pool, SIGNING_KEY, "xunji", tmp_path / "checkpoints")
        assert len(await sealer.seal_due()) == 1, "a witness that is away stops nothing"
        assert await asking.ask_due() == 0
        away = await xunji("ledger", "verify", "--ask-witnesses")
        assert away.exit_code == 1
        assert "witness.example cannot be reached" in away.output
        late = json.loads((await xunji("ledger", "witnesses", "--json")).output)
        assert [(each["cosigned"], each["behind"]) for each in late] == [(3, 2)]


async def test_a_witness_key_that_cannot_be_read_is_told(xunji: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, said in (
        ("no JSON", "is not JSON"),
        ('[{"url": "ftp://x", "key": "k"}]', "XUNJI_WITNESSES"),
        ('[{"url": "http://x", "key": "k"}]', "NAME+HASH+KEY"),
    ):
        monkeypatch.setenv("XUNJI_WITNESSES", value)
        result = await xunji("ledger", "verify")
        assert result.exit_code == 2
        assert said in result.output, value


async def test_a_verifier_key_is_printed_for_others(xunji: Run) -> None:
    printed = (await xunji("ledger", "public-key", "--book", BOOK)).output.strip()
    assert printed.startswith(f"xunji/{BOOK}+")
    assert len(printed.split("+", 2)) == 3


async def test_another_books_events_do_not_matter(xunji: Run, database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool, Ledger(pool) as ledger:
        await ledger.append(append(write(book="people")))
    found = json.loads((await xunji("ledger", "seal", "--json")).output)
    assert [(each["book"], each["size"]) for each in found] == [(BOOK, 3), ("people", 1)]
