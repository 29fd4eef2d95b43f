"""Migrating, and what the database refuses to whom."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import schema
from ledger.batch import QUERY, arguments, prepare
from ledger.schema import LOCK_CLASS, migrate
from ledger.store import Ledger
from tests.ledger.appends import BOOK, append, fill, write

TABLES = {"books", "events", "streams", "commands", "counters", "holds", "blocks", "outbox", "checkpoints"}


async def test_migrating_twice_and_at_once_changes_nothing(empty_url: str) -> None:
    async with asyncpg.create_pool(empty_url, min_size=4, max_size=4) as pool:

        async def once() -> None:
            async with pool.acquire() as connection:
                await migrate(connection)

        await asyncio.gather(*(once() for _ in range(4)))
        async with Ledger(pool) as ledger:
            await fill(ledger, 5)
            await once()
            assert len(await ledger.read_book(BOOK, 0, 10)) == 5
        rows = await pool.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace")
        assert {row["relname"] for row in rows} >= TABLES
        assert await pool.fetchval("SELECT ledger.lock_class()") == LOCK_CLASS


def test_each_file_of_sql_holds_at_most_one_function() -> None:
    files = sorted((Path(schema.__file__).parent / "sql").glob("*.sql"))
    assert files
    for path in files:
        assert path.read_text(encoding="utf-8").count("CREATE OR REPLACE FUNCTION") <= 1, path.name


@pytest.mark.parametrize(
    "table", ["ledger.events", "ledger.events_1", "ledger.checkpoints", "ledger.cosignatures", "ledger.successions"]
)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {0} SET {1} = {1}", "UPDATE {0} SET {1} = {1} WHERE false", "DELETE FROM {0}", "TRUNCATE {0}"],
)
async def test_history_is_not_changed(ledger: Ledger, pool: "asyncpg.Pool[Any]", table: str, statement: str) -> None:
    statement = statement.format(table, "number" if table == "ledger.successions" else "book")
    await ledger.append(append())
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        # Replication may not be used to go around the triggers.
        await connection.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.execute("RESET session_replication_role")
    assert len(await ledger.read_book(BOOK, 0, 10)) == 1


async def test_the_application_may_append_and_read_and_nothing_else(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write("trainee/1")))
    async with pool.acquire() as connection:
        await connection.execute("SET ROLE xunji_app")
        await connection.fetchrow(QUERY, *arguments([prepare(append(write("a/1", book="made-by-the-application")))]))
        assert await connection.fetchval("SELECT count(*) FROM ledger.events") == 2
        for table in sorted(TABLES):
            await connection.fetchrow(f"SELECT * FROM ledger.{table} LIMIT 1")
            for statement in (f"DELETE FROM ledger.{table}", f"TRUNCATE ledger.{table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        for statement in (
            "INSERT INTO ledger.books (book) VALUES ('mine')",
            "UPDATE ledger.books SET sequence = 99",
            "UPDATE ledger.counters SET maximum = 99",
            "UPDATE ledger.outbox SET recipient = 'me'",
            "UPDATE vault.subjects SET wrapped_key = NULL",
            "DELETE FROM vault.subjects",
            "SELECT ledger.create_partition('x')",
            "SELECT ledger.lock_claims(ARRAY['x'])",
            "INSERT INTO ledger.checkpoints SELECT * FROM ledger.checkpoints",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute("UPDATE ledger.outbox SET delivered_at = now()")
        await connection.execute("RESET ROLE")


async def test_the_function_cannot_be_led_astray_by_the_search_path(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    async with pool.acquire() as connection:
        await connection.execute(
            "CREATE SCHEMA evil; CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT $1 $$"
        )
        await connection.execute("SET search_path = evil, pg_catalog")
        await connection.fetchrow(QUERY, *arguments([prepare(append())]))
        await connection.execute("RESET search_path")
        assert await connection.fetchval("SELECT octet_length(leaf_hash) FROM ledger.events") == 32


async def test_events_that_do_not_add_up_to_their_writes_are_refused(pool: "asyncpg.Pool[Any]") -> None:
    prepared = prepare(append(write(events=3)))
    announced = arguments([prepared])
    announced[10] = "{4}"
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await connection.fetchrow(QUERY, *announced)
        assert await connection.fetchval("SELECT count(*) FROM ledger.books") == 0
