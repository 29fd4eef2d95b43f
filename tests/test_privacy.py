"""A whole campaign is played through the front door by people whose names, numbers, telephones and addresses are known.
Afterwards none of them stands anywhere: in no file of the stack, table, dump, Temporal history, log or exported book.
"""

import asyncio
import base64
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio
from google.protobuf.json_format import MessageToJson
from temporalio.client import Client

from domain.identity import parse_identity_number
from embedded.local_stack import LocalStack
from embedded.postgres import find_binaries
from ledger.archive import export_book
from services.person_export import export_person
from settings import key_bytes, load_settings
from simulator.population import generate
from tests.clear_text import files_with, found_in, spellings
from tests.demo.plans import small_plan, written
from tests.demo.runs import finish
from vaults import vault_of

TRAINEES, SEED = 24, 7
TEXTS_IN_FILES = 16
"""So many are looked for in the files, which are large; all of them in everything else."""

NAME_LENGTH_MINIMUM = 3
"""Names of two characters may stand in a school's or a place's name by chance."""


@dataclass
class Played:
    """A finished campaign, started again without its processes."""

    stack: LocalStack
    state: Path
    known: list[str]
    numbers: list[str] = field(default_factory=list)


def known_texts() -> tuple[list[str], list[str]]:
    """What the simulated schools have typed in, as typed and as it is read; and the identity numbers alone."""
    plan = small_plan()
    population = generate(plan, TRAINEES, SEED)
    teachers = [each.teacher for each in population.nominations]
    numbers = [parse_identity_number(each.identity_number).text for each in teachers]
    names = {each.name for each in teachers if len(each.name) >= NAME_LENGTH_MINIMUM}
    schools = plan.canonical().decode() + "".join(each.name_zh for each in population.schools)
    texts = {name for name in names if name not in schools} | set(numbers)
    texts |= {each.identity_number for each in teachers} | {each.phone for each in teachers}
    texts |= {each.email for each in teachers if each.email}
    return sorted(texts), numbers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(session_dir: Path) -> AsyncIterator[Played]:
    """The demo to its end, and its servers again."""
    state = session_dir / "privacy"
    plan = str(written(session_dir))
    figures, _ = await finish(state, "--plan", plan, "--trainees", str(TRAINEES), "--seed", str(SEED))
    assert figures["nominated"] == TRAINEES and figures["received"]["mails"] > 0
    texts, numbers = known_texts()
    assert len(texts) > 3 * TRAINEES
    async with LocalStack(state) as stack:
        yield Played(stack, state, texts, numbers)


async def test_the_people_are_known_so_there_was_something_to_find(played: Played) -> None:
    settings = load_settings(played.state)
    async with asyncpg.create_pool(played.stack.database_url, min_size=1, max_size=3) as pool:
        exported = await export_person(pool, vault_of(settings, pool), played.numbers[0])
    assert exported["personal"]["identity_number"] == played.numbers[0]
    assert {"name", "telephone"} <= exported["personal"].keys()
    assert exported["events"]


async def test_nothing_stands_in_any_file_of_the_stack(played: Played) -> None:
    """Data files and write-ahead log of PostgreSQL, Temporal's database, logs, checkpoints, reports."""
    connection = await asyncpg.connect(played.stack.database_url)
    await connection.execute("CHECKPOINT")
    await connection.close()
    names = {path.name for path in played.state.rglob("*") if path.is_file()}
    assert {"temporal.db", "worker.log", "api.log", "postgresql.log", "PG_VERSION"} <= names
    some = played.known[:: max(1, len(played.known) // TEXTS_IN_FILES)]
    assert await asyncio.to_thread(files_with, played.state, some) == {}


async def test_nothing_stands_in_a_dump_of_the_database(played: Played) -> None:
    """A dump holds what the files may hold compressed: every table, column and row."""
    argv = [str(find_binaries() / "pg_dump"), "--no-password", "--inserts", played.stack.database_url]
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, env={"PATH": os.environ["PATH"]})
    dump, _ = await process.communicate()
    assert process.returncode == 0
    for table in ("ledger.events", "ledger.outbox", "ledger.commands", "app.idempotency", "view.trainees"):
        assert f"INSERT INTO {table} ".encode() in dump, table
    assert found_in(dump, played.known) == []


async def test_nothing_stands_in_temporal_s_histories_memos_and_search_attributes(played: Played) -> None:
    client = await Client.connect(played.stack.temporal_address)
    seen = 0
    async for execution in client.list_workflows():
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        description = await client.get_workflow_handle(execution.id, run_id=execution.run_id).describe()
        payloads = "".join(MessageToJson(event) for event in history.events)
        text = json.dumps(history.to_json()) + MessageToJson(description.raw_description) + payloads
        assert found_in((text + decoded(history.to_json())).encode(), played.known) == [], execution.id
        seen += 1
    assert seen > TRAINEES


def decoded(history: str) -> str:
    """Every payload's content of a history in plain, one after the other."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("data"), str) and "metadata" in node:
                found.append(base64.b64decode(node["data"]).decode(errors="replace"))
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(json.loads(history))
    return "\n".join(found)


async def test_nothing_stands_in_an_exported_book(played: Played, tmp_path: Path) -> None:
    settings = load_settings(played.state)
    async with asyncpg.create_pool(played.stack.database_url, min_size=1, max_size=3) as pool:
        books = [row["book"] for row in await pool.fetch("SELECT book FROM ledger.books")]
        assert len(books) >= 4
        for book in books:
            await export_book(
                pool,
                book,
                tmp_path / book,
                signing_key=key_bytes(settings.signing_key),
                origin=settings.ledger_origin,
            )
    assert files_with(tmp_path, played.known) == {}


def test_the_search_finds_a_text_in_every_spelling(tmp_path: Path) -> None:
    name = "欧阳独特"
    plain = name.encode()
    for number, content in enumerate(
        (
            b"x" + plain + b"y",
            json.dumps({"n": name}).encode(),
            json.dumps(json.dumps({"n": name})).encode(),
            b"\\x00" + plain.hex().encode(),
            *(base64.b64encode(bytes(before) + plain + b"behind") for before in range(3)),
            *(base64.urlsafe_b64encode(b"abc"[:before] + plain) for before in range(3)),
        )
    ):
        (tmp_path / f"{number}.bin").write_bytes(content)
    assert len(files_with(tmp_path, [name, "13899887766"])) == 10
    assert all(len(each) >= 8 for each in spellings(name))
    assert found_in(b"nothing of him", [name]) == []
