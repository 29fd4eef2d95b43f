"""Two instances: one seals, the other countersigns over HTTP."""

import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest_asyncio

from database import operator_pool
from ledger.cosignature import Witness, cosigned_at, witness_of
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.verify import verify
from ledger.witness import Request
from ledger.witnessing import Witnessing, cosigned_file, sizes_held
from ledger_trust import public_key_text
from tests.api.front_door import API, own_plan, running, settings_for
from tests.ledger.appends import BOOK, fill

LOG_KEY, NEW_LOG_KEY, WITNESS_KEY = (bytes([number] * 32) for number in range(1, 4))
ORIGIN = "county.example"
PATH = "/v1/witness/add-checkpoint"
PLAIN = {"Content-Type": "text/plain"}


@pytest_asyncio.fixture
async def bureau(database_url: str, tmp_path: Path) -> AsyncIterator[API]:
    """An instance that is a witness of the county's ledger."""
    settings = settings_for(
        database_url,
        tmp_path / "bureau",
        witness_key=base64.b64encode(WITNESS_KEY).decode(),
        witness_name="bureau.example/witness",
        witnessed_logs={ORIGIN: [public_key_text(public_key_of(LOG_KEY))]},
    )
    async with running(settings, own_plan()) as api:
        yield api


@pytest_asyncio.fixture
async def county(bureau: API, tmp_path: Path) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """The county's ledger. It is in the same database as the witness's memory, which knows it by its origin only."""
    async with operator_pool(bureau.settings, min_size=2, max_size=4) as pool:
        async with Ledger(pool) as ledger:
            await fill(ledger, 5)
        await Sealer(pool, LOG_KEY, ORIGIN, tmp_path).seal_due()
        yield pool


async def witness_at(bureau: API) -> Witness:
    key = (await bureau.http.get("/v1/ledger/keys")).json()["witness"]
    return witness_of(key, "http://xunji.test/v1/witness")


async def test_an_instance_countersigns_what_another_seals(
    bureau: API, county: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    witness = await witness_at(bureau)
    asking = Witnessing(county, [witness], tmp_path, bureau.http)
    # Two books: the bureau's institutions are sealed by the county's key here, too.
    assert await asking.ask_due() == 2
    async with Ledger(county) as ledger:
        await fill(ledger, 20, prefix="later")
    await Sealer(county, LOG_KEY, ORIGIN, tmp_path).seal_due()
    assert await asking.ask_due() == 1
    assert cosigned_at(cosigned_file(tmp_path, BOOK, witness).read_text(), witness) is not None
    shown = (await bureau.http.get(f"/v1/ledger/{BOOK}/checkpoint")).json()
    assert cosigned_at(shown["note"], witness) is not None
    held = await sizes_held(county, [witness], bureau.http)
    assert held[BOOK] == {witness.name: 25}
    (found,) = await verify(county, public_key_of(LOG_KEY), BOOK, tmp_path, witnesses=[witness], held=held)
    assert (found.verified, found.witnessed) == (True, 25)


async def test_a_ledger_that_was_cut_off_is_told_by_the_witness(
    bureau: API, county: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    witness = await witness_at(bureau)
    await Witnessing(county, [witness], tmp_path, bureau.http).ask_due()
    async with Ledger(county) as ledger:
        await fill(ledger, 20, prefix="later")
    await Sealer(county, LOG_KEY, ORIGIN, tmp_path).seal_due()
    await Witnessing(county, [witness], tmp_path, bureau.http).ask_due()
    for table in ("events", "checkpoints", "cosignatures"):
        await county.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER refuse_change")
        column = "sequence" if table == "events" else "size"
        await county.execute(f"DELETE FROM ledger.{table} WHERE book = $1 AND {column} > 5", BOOK)
    await county.execute("UPDATE ledger.books SET sequence = 5 WHERE book = $1", BOOK)
    held = await sizes_held(county, [witness], bureau.http)
    (found,) = await verify(county, public_key_of(LOG_KEY), BOOK, witnesses=[witness], held=held)
    assert (found.verified, found.problem, found.first_wrong) == (False, "missing", 6)
    assert witness.name in found.detail


async def test_a_new_key_is_unknown_to_the_witness_until_both_sign(
    bureau: API, county: "asyncpg.Pool[Any]", tmp_path: Path, caplog: Any
) -> None:
    caplog.set_level(logging.ERROR)
    witness = await witness_at(bureau)
    await county.execute("ALTER TABLE ledger.checkpoints DISABLE TRIGGER refuse_change; DELETE FROM ledger.checkpoints")
    await Sealer(county, NEW_LOG_KEY, ORIGIN, tmp_path / "new").seal_due()
    assert await Witnessing(county, [witness], tmp_path, bureau.http).ask_due() == 0
    assert "status 403" in caplog.text
    await county.execute("DELETE FROM ledger.checkpoints")
    await Sealer(county, NEW_LOG_KEY, ORIGIN, tmp_path / "both", previous_key=LOG_KEY).seal_due()
    assert await Witnessing(county, [witness], tmp_path, bureau.http).ask_due() == 2


async def test_the_answers_are_those_of_the_protocol(bureau: API, county: "asyncpg.Pool[Any]") -> None:
    note = await county.fetchval("SELECT note FROM ledger.checkpoints WHERE book = $1", BOOK)

    async def send(text: str, **headers: str) -> httpx2.Response:
        return await bureau.http.post(PATH, content=text.encode(), headers={**PLAIN, **headers})

    first = await send(Request(0, (), note).text())
    assert (first.status_code, first.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert first.text.startswith("— bureau.example/witness ")
    assert first.text.endswith("\n")
    conflict = await send(Request(0, (), note).text())
    assert (conflict.status_code, conflict.text) == (409, "5\n")
    assert conflict.headers["content-type"].startswith("text/x.tlog.size")
    for text, status, slug in (
        (Request(6, (), note).text(), 400, "malformed-request"),
        ("nothing", 400, "malformed-request"),
        (Request(5, (), note.replace(ORIGIN, "city.example")).text(), 404, "witness-unknown-log"),
        (Request(5, (), note.replace("\n5\n", "\n9\n")).text(), 403, "witness-not-signed"),
        (Request(5, (bytes(32),), note).text(), 422, "witness-not-consistent"),
    ):
        response = await send(text)
        assert (response.status_code, bureau.problem(response)) == (status, slug), text
    response = await bureau.http.post(PATH, json={"old": 0})
    assert (response.status_code, bureau.problem(response)) == (415, "unsupported-media-type")
    response = await bureau.http.post(PATH, content=b"old 0\n\n\xff", headers=PLAIN)
    assert (response.status_code, bureau.problem(response)) == (400, "malformed-request")
    response = await bureau.http.post(PATH, content=b"x" * 100_000, headers=PLAIN)
    assert (response.status_code, bureau.problem(response)) == (400, "malformed-request")


async def test_an_instance_without_a_witness_key_is_no_witness(api: API) -> None:
    response = await api.http.post(PATH, content=b"old 0\n\n", headers=PLAIN)
    assert (response.status_code, api.problem(response)) == (404, "witness-unknown-log")
