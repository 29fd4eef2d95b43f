"""`xunji account …` on a real database."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from api.accounts import Accounts
from api.registry import Registry
from cli import app
from command_line.exit_codes import MISUSED, OK, REFUSED
from event_schemas import SCHEMAS
from ledger.store import Ledger
from settings import Settings, variable_of
from tests.api.front_door import API, COUNTY, own_plan, running, settings_for

PASSWORD, OTHER = "a long enough password", "another long password"


@pytest_asyncio.fixture
async def api(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> API:
    """The organisations exist; the command finds the same settings in its environment."""
    settings = settings_for(database_url, tmp_path)
    for field in ("database_url", "master_key", "index_key", "signing_key", "link_key"):
        monkeypatch.setenv(variable_of(field), getattr(settings, field).get_secret_value())
    monkeypatch.setenv("XUNJI_STATE_DIR", str(tmp_path))
    assert isinstance(settings, Settings)
    async with running(settings, own_plan()) as api:
        return api


def xunji(*words: str, password: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["account", *words], input=f"{password}\n" if password else None)
    return result.exit_code, result.output


async def signs_in(database_url: str, name: str, password: str) -> bool:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        ledger = Ledger(pool, SCHEMAS)
        found = await Accounts(pool, Registry(ledger)).find(name, password)
        await ledger.close()
        return found is not None


@pytest.mark.usefixtures("api")
def test_an_account_from_beginning_to_end(database_url: str) -> None:
    def works(password: str) -> bool:
        return asyncio.run(signs_in(database_url, "anna", password))

    add = ("add", "anna", "--organisation", COUNTY, "--password-stdin")
    assert xunji(*add, password=PASSWORD)[0] == OK
    assert works(PASSWORD) and not works(OTHER)
    assert xunji(*add, password=PASSWORD)[0] == REFUSED
    assert xunji("password", "anna", "--password-stdin", password=OTHER)[0] == OK
    assert works(OTHER) and not works(PASSWORD)
    assert xunji("disable", "anna")[0] == OK
    assert not works(OTHER)
    code, listed = xunji("list", "--json")
    (row,) = json.loads(listed)
    assert code == OK and row["name"] == "anna" and row["disabled_at"]
    assert "argon2" not in listed and PASSWORD not in listed
    assert xunji("password", "anna", "--password-stdin", password=OTHER)[0] == OK
    assert works(OTHER), "a new password opens it again"


@pytest.mark.usefixtures("api")
def test_what_cannot_be_is_refused_with_the_way_out() -> None:
    for words, password, code, said in (
        (("add", "anna", "--organisation", "nobody"), PASSWORD, REFUSED, "No organisation nobody"),
        (("add", "Anna", "--organisation", COUNTY), PASSWORD, MISUSED, "small letter"),
        (("add", "anna", "--organisation", COUNTY), "short", MISUSED, "12 to 200"),
        (("add", "anna", "--organisation", COUNTY, "--scope", "clock:write"), PASSWORD, MISUSED, "clock:write"),
        (("password", "bert"), PASSWORD, REFUSED, "no account bert"),
    ):
        found, output = xunji(*words, "--password-stdin", password=password)
        assert found == code and said in output, output
    assert xunji("disable", "bert")[0] == REFUSED
