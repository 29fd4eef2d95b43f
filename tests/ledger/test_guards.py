"""History is refused to everybody: every table that is history is guarded, even against the owner of the database."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.errors import SubjectErased
from ledger.store import Ledger
from ledger.vault import Vault
from tests.ledger.appends import append, notice

Pool: TypeAlias = "asyncpg.Pool[Any]"
NOT_HISTORY = {"books", "streams", "counters", "holds", "blocks", "witnessed"}
"""What the ledger's own functions rewrite: where things stand now, not how they came there."""

GUARDED = ("events", "events_1", "checkpoints", "commands", "procedures")


async def test_every_table_of_the_ledger_is_guarded_or_is_known_to_be_no_history(ledger: Ledger, pool: Pool) -> None:
    await ledger.append(append())
    rows = await pool.fetch(
        "SELECT c.relname AS name, coalesce(bit_or(t.tgtype), 0) AS types, bool_and(t.tgenabled = 'A') AS always "
        "FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname LIKE 'refuse_%' "
        "WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY 1"
    )
    # The bits of DELETE, UPDATE and TRUNCATE in a trigger's type.
    unguarded = {row["name"] for row in rows if row["types"] & (8 | 16 | 32) != 8 | 16 | 32 or not row["always"]}
    assert unguarded == NOT_HISTORY | {"outbox"}
    assert {row["name"] for row in rows if row["types"] & (8 | 32) == 8 | 32} >= {*GUARDED, "outbox"}


@pytest.mark.parametrize("table", GUARDED)
@pytest.mark.parametrize("act", ["UPDATE {} SET book = book", "DELETE FROM {} WHERE false", "TRUNCATE {} CASCADE"])
async def test_the_owner_may_not_change_history(ledger: Ledger, pool: Pool, table: str, act: str) -> None:
    await ledger.append(append())
    statement = act.format(f"ledger.{table}")
    if table == "commands":
        statement = statement.replace("book = book", "reply = reply")
    async with pool.acquire() as connection:
        for role in ("origin", "replica"):
            await connection.execute(f"SET session_replication_role = {role}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute("RESET session_replication_role")


async def test_a_notice_is_marked_and_never_taken_away(ledger: Ledger, pool: Pool) -> None:
    await ledger.append(append(outbox=(notice(),)))
    assert await pool.execute("UPDATE ledger.outbox SET delivered_at = now()") == "UPDATE 1"
    for statement in ("DELETE FROM ledger.outbox", "TRUNCATE ledger.outbox"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_a_tombstone_is_kept_and_nobody_is_deleted(pool: Pool) -> None:
    vault = Vault(pool, bytes(32), bytes([1]) * 32)
    gone, here = (await vault.subject_for("a")).id, (await vault.subject_for("b")).id
    first = await vault.erase(gone)
    assert await vault.erase(gone, "again") == first, "erasing again changes nothing"
    for statement in (
        f"UPDATE vault.subjects SET erased_at = now() WHERE id = '{gone}'",
        f"UPDATE vault.subjects SET erasure_reason = 'other' WHERE id = '{gone}'",
        f"UPDATE vault.subjects s SET erased_at = NULL, wrapped_key = h.wrapped_key, blind_index = '\\x{'00' * 32}' "
        f"FROM vault.subjects h WHERE s.id = '{gone}' AND h.id = '{here}'",
        f"DELETE FROM vault.subjects WHERE id = '{here}'",
        "TRUNCATE vault.subjects",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    with pytest.raises(SubjectErased):
        await vault.open(gone, "v1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
