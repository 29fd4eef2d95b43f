"""Replacing the master key and the index key by commands, with everything that stands under them."""

import asyncio
import base64
import json
import secrets
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from cli import app
from command_line.exit_codes import MISUSED, OK, WRONG
from domain.numbers import PEOPLE, stream_name
from domain.person import PersonRegistered
from ledger.errors import SealBroken
from ledger.store import Ledger
from ledger.types import StreamWrite
from ledger.vault import IndexKeyMissing, Vault
from migrations import migrate
from secrets_box import SecretBroken, SecretsBox, open_secret, seal_secret
from tests.ledger.appends import append
from tests.projections.histories import as_new
from tests.services.test_person_export import FIELDS, NUMBER

OLD_MASTER, NEW_MASTER, OLD_INDEX, NEW_INDEX, SIGNING = (secrets.token_bytes(32) for _ in range(5))
ANSWER = ("410181", "keys", "k1")
IMPORT = UUID(int=7)


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


async def xunji(state: Path, *arguments: str) -> Result:
    given = ["ledger", *arguments, "--json", "--state", str(state)]
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))


@pytest_asyncio.fixture
async def person(database_url: str, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A person, an endpoint and a kept answer under the old keys; the settings name the new keys alone."""
    await migrate(database_url)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        vault = Vault(pool, OLD_MASTER, OLD_INDEX)
        subject = (await vault.subject_for(NUMBER)).id
        registered = PersonRegistered(person=subject, sealed=await vault.seal(subject, FIELDS))
        stream = stream_name("person", str(subject))
        await ledger.append(append(StreamWrite(PEOPLE, stream, 0, (as_new(registered),))))
        await pool.execute(
            "INSERT INTO app.webhook_endpoints VALUES ($1, 'h001', 'https://x.example/', $2, NULL, now())",
            f"we_{'0' * 16}",
            seal_secret(OLD_MASTER, f"we_{'0' * 16}", "whsec_first"),
        )
        place = "idempotency:" + "\n".join(ANSWER)
        await pool.execute(
            "INSERT INTO app.idempotency VALUES ($1, $2, $3, $4, now(), 201, '{}', $5, true, now())",
            *ANSWER,
            bytes(32),
            SecretsBox(OLD_MASTER).seal(place, b"shown once"),
        )
        await pool.execute(
            "INSERT INTO app.operations (id, organisation, kind, total) VALUES ($1, 'c', 'x', 1)", IMPORT
        )
        await pool.execute(
            "INSERT INTO app.imports VALUES ($1, 'nomination-import', 'c', 'county', 'k', 'r', 'p', $2, 'partial', "
            "false, 'read', now(), 'send', '{}', $3, $3)",
            IMPORT,
            "0" * 64,
            SecretsBox(OLD_MASTER).seal(f"nomination-import:{IMPORT}", b"the key of a file"),
        )
    for name, value in (
        ("DATABASE_URL", database_url),
        ("XUNJI_MASTER_KEY", text(NEW_MASTER)),
        ("XUNJI_INDEX_KEY", text(NEW_INDEX)),
        ("XUNJI_SIGNING_KEY", text(SIGNING)),
        ("XUNJI_LINK_KEY", text(SIGNING)),
    ):
        monkeypatch.setenv(name, value)
    return subject


@pytest.fixture
def former(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings as they are while the keys are replaced."""
    stranger = text(secrets.token_bytes(32))
    monkeypatch.setenv("XUNJI_FORMER_MASTER_KEYS", f"{text(OLD_MASTER)}, {stranger}")
    monkeypatch.setenv("XUNJI_FORMER_INDEX_KEYS", text(OLD_INDEX))


async def test_without_the_former_key_nothing_is_rotated(person: UUID, tmp_path: Path) -> None:
    for command in ("rotate-master-key", "rotate-index-key"):
        result = await xunji(tmp_path, command)
        assert result.exit_code == MISUSED
        assert "XUNJI_FORMER" in result.output


@pytest.mark.usefixtures("former")
async def test_while_keys_are_replaced_everything_is_read(person: UUID, tmp_path: Path) -> None:
    shown = await xunji(tmp_path, "person", str(person))
    assert shown.exit_code == OK, shown.output
    assert json.loads(shown.stdout)["personal"] == FIELDS


@pytest.mark.usefixtures("former")
async def test_afterwards_the_new_keys_are_enough_and_the_old_ones_open_nothing(
    person: UUID, database_url: str, tmp_path: Path
) -> None:
    master = await xunji(tmp_path, "rotate-master-key")
    assert master.exit_code == OK, master.output
    done: dict[str, Any] = json.loads(master.stdout)
    assert (done["persons"]["rewrapped"], done["persons"]["remaining"], done["resealed"], done["finished"]) == (
        1, 0, 3, True,
    )  # fmt: skip
    index = await xunji(tmp_path, "rotate-index-key")
    assert index.exit_code == OK, index.output
    assert (json.loads(index.stdout)["reindexed"], json.loads(index.stdout)["finished"]) == (1, True)
    again = json.loads((await xunji(tmp_path, "rotate-master-key")).stdout)
    assert (again["persons"]["rewrapped"], again["resealed"], again["finished"]) == (0, 0, True)

    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        new, old = Vault(pool, NEW_MASTER, NEW_INDEX), Vault(pool, OLD_MASTER, OLD_INDEX)
        assert await new.find(NUMBER) == person
        (event,) = await ledger.read_stream(PEOPLE, stream_name("person", str(person)))
        sealed = str(event.data["sealed"])
        assert await new.open(person, sealed) == FIELDS
        with pytest.raises(SealBroken):
            await old.open(person, sealed)
        with pytest.raises(IndexKeyMissing):
            await old.find(NUMBER)
        ((endpoint, secret),) = await pool.fetch("SELECT id, secret_sealed FROM app.webhook_endpoints")
        assert open_secret(NEW_MASTER, endpoint, secret) == "whsec_first"
        with pytest.raises(SecretBroken):
            open_secret(OLD_MASTER, endpoint, secret)
        body = await pool.fetchval("SELECT body FROM app.idempotency")
        assert SecretsBox(NEW_MASTER).open("idempotency:" + "\n".join(ANSWER), body) == b"shown once"


@pytest.mark.usefixtures("former")
async def test_what_no_key_opens_is_counted_and_keeps_the_former_key_alive(
    person: UUID, database_url: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE app.webhook_endpoints SET secret_sealed = $1", bytes(60))
    await connection.close()
    result = await xunji(tmp_path, "rotate-master-key")
    assert (result.exit_code, json.loads(result.stdout)["unreadable"]) == (WRONG, 1)
