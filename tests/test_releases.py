"""Migrating under the feet of the release before: what it uses is still there afterwards, and still works."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from ledger.seal import public_key_of
from ledger.store import Ledger
from ledger.types import Appended
from ledger.verify import verify
from migrations import migrate
from tests.ledger.appends import append, write
from tests.ledger.test_seal import KEY

RELEASES = Path(__file__).parent / "releases"
BEFORE = sorted(path.stem for path in RELEASES.glob("*.sql"))
SCHEMAS = ["ledger", "vault", "app"]

# What a process may call, by name and types of parameters. Functions that only other functions call may go.
FUNCTIONS = """
SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
       pg_get_function_result(p.oid) AS result
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY ($1) AND has_function_privilege('xunji_app', p.oid, 'EXECUTE')
"""
COLUMNS = """
SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name, format_type(a.atttypid, a.atttypmod) AS result
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""
# What an INSERT of the release before, which does not name it, would leave empty.
NEEDED = """
SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
"""
GRANTS = """
SELECT grantee || ' ' || privilege_type || ' ' || table_schema || '.' || table_name AS name
FROM information_schema.role_table_grants WHERE table_schema = ANY ($1) AND grantee LIKE 'xunji%' AND grantee <> 'xunji'
"""


def decoded(value: Any) -> Any:
    """An argument as the driver takes it."""
    match value:
        case {"hex": text}:
            return bytes.fromhex(text)
        case {"uuid": text}:
            return UUID(text)
        case list():
            return [decoded(each) for each in value]
        case _:
            return value


async def surface(connection: "asyncpg.Connection[Any]") -> dict[str, str]:
    """Every function and column by its name, with its type."""
    found: dict[str, str] = {}
    for query in (FUNCTIONS, COLUMNS):
        found |= {row["name"]: row["result"] for row in await connection.fetch(query, SCHEMAS)}
    return found


async def names(connection: "asyncpg.Connection[Any]", query: str) -> set[str]:
    return {row["name"] for row in await connection.fetch(query, SCHEMAS)}


def test_there_is_a_release_to_upgrade_from() -> None:
    assert BEFORE
    assert all((RELEASES / f"{release}.json").exists() for release in BEFORE)


@pytest.mark.parametrize("release", BEFORE)
async def test_what_the_release_before_uses_is_there_and_works_after_migrating(release: str, database_url: str) -> None:
    call = json.loads((RELEASES / f"{release}.json").read_text(encoding="utf-8"))
    arguments = decoded(call["arguments"])
    connection = await asyncpg.connect(database_url)
    await connection.execute((RELEASES / f"{release}.sql").read_text(encoding="utf-8"))
    await connection.execute("SET client_min_messages = notice")
    before, needed, grants = (
        await surface(connection),
        await names(connection, NEEDED),
        await names(connection, GRANTS),
    )
    assert len(before) > 100 and len(grants) > 20
    first = await connection.fetchrow(call["statement"], *arguments)
    assert first is not None and list(first["outcomes"]) == ["appended"]

    await migrate(database_url)
    await migrate(database_url)

    after = await surface(connection)
    assert {name: result for name, result in before.items() if after.get(name) != result} == {}
    tables = {name.rpartition(".")[0] for name in before if "(" not in name}
    new_and_needed = await names(connection, NEEDED) - needed
    assert {name for name in new_and_needed if name.rpartition(".")[0] in tables} == set()
    assert grants - await names(connection, GRANTS) == set()

    # Its process goes on, on the same connection and as the same role: a repetition, and a new append.
    await connection.execute("SET ROLE xunji_app")
    again = await connection.fetchrow(call["statement"], *arguments)
    assert again is not None and list(again["outcomes"]) == ["duplicate"]
    other = [*arguments]
    other[0] = "{00000000-0000-4000-8000-000000000002}"
    conflict = await connection.fetchrow(call["statement"], *other)
    assert conflict is not None and list(conflict["outcomes"]) == ["conflict"]
    await connection.execute("RESET ROLE")
    await connection.close()

    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        assert isinstance(await ledger.append(append(write("trainee/new"))), Appended)
        assert len(await ledger.read_stream("2022-zhengzhou", "trainee/old")) == 2
        assert [report.verified for report in await verify(pool, public_key_of(KEY))] == [True, True]
