"""A book as files, and a second database to bring it into: what the tests of archives share."""

import json
from pathlib import Path
from typing import Any

import asyncpg

from ledger.archive_audit import EVENTS_FILE, MANIFEST_FILE
from ledger.seal import public_key_of
from tests.ledger.appends import BOOK

KEY = bytes(range(32))
PUBLIC_KEY = public_key_of(KEY)
ORIGIN = "xunji.example"
EVENTS = 20
COLUMNS = (
    "sequence, version, recorded_at, effective_at, schema_version, id, command_id, book, stream, type, leaf_hash, body"
)
Lines = list[bytes]
Pool = asyncpg.Pool


def lines_of(directory: Path) -> Lines:
    return (directory / EVENTS_FILE).read_bytes().splitlines(keepends=True)


def change_manifest(directory: Path, **fields: Any) -> None:
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


async def rows_of(pool: "Pool[Any]", book: str = BOOK) -> list[tuple[Any, ...]]:
    rows = await pool.fetch(f"SELECT {COLUMNS} FROM ledger.events WHERE book = $1 ORDER BY sequence", book)
    return [tuple(row) for row in rows]


async def counts_of(pool: "Pool[Any]") -> dict[str, int]:
    tables = ("books", "events", "streams", "commands", "checkpoints")
    return {table: await pool.fetchval(f"SELECT count(*) FROM ledger.{table}") for table in tables}


async def assert_nothing_in(pool: "Pool[Any]") -> None:
    assert set((await counts_of(pool)).values()) == {0}
    assert await pool.fetchval("SELECT to_regclass('ledger.events_1')") is None


def changed_data(lines: Lines) -> None:
    lines[6] = lines[6].replace(b'"place":0', b'"place":7')
