"""A dump of the database, restored into a new cluster: the same order, the same proofs, and the sealer goes on."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from embedded.child_processes import Supervisor
from embedded.postgres import EmbeddedPostgres, find_binaries
from ledger.checkpoint import open_note
from ledger.closing import close_book
from ledger.errors import BookClosed
from ledger.proofs import check_consistency, check_inclusion, consistency_proof, inclusion_proof
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.types import Appended, CountClaim, Duplicate, LimitClaim
from ledger.verify import verify
from migrations import migrate
from tests.conftest import POSTGRES_SETTINGS
from tests.ledger.appends import BOOK, append, claiming, fill, notice, write

KEY = bytes(range(32))
PUBLIC = public_key_of(KEY)
TABLES = ("events", "books", "streams", "commands", "counters", "holds", "outbox", "checkpoints", "procedures")


@pytest_asyncio.fixture
async def other_cluster(session_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A second server, with data and a password of its own."""
    directory = session_dir / "restored"
    directory.mkdir()
    directory.chmod(0o711)
    supervisor = Supervisor(directory)
    server = EmbeddedPostgres(directory / "postgresql", "another", supervisor, POSTGRES_SETTINGS)
    await server.start()
    yield server
    await server.stop()
    await supervisor.stop_all()


async def tool(name: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's to its good end."""
    process = await asyncio.create_subprocess_exec(
        str(find_binaries() / name), *arguments, env={"PATH": os.environ["PATH"]}
    )
    assert await process.wait() == 0, name


async def rows(url: str) -> dict[str, list[str]]:
    """Every row of the ledger's tables as text, in its order."""
    connection = await asyncpg.connect(url)
    found = {
        table: [row[0] for row in await connection.fetch(f"SELECT t::text FROM ledger.{table} t ORDER BY 1")]
        for table in TABLES
    }
    await connection.close()
    return found


async def test_a_dump_restored_into_a_new_cluster_keeps_order_and_proofs(
    database_url: str, other_cluster: EmbeddedPostgres, tmp_path: Path
) -> None:
    await migrate(database_url)
    repeated = append(write("trainee/1", events=2), outbox=(notice(),))
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        await ledger.append(repeated)
        await ledger.append(claiming(LimitClaim("seats", 2)))
        await fill(ledger, 20)
        sealer = Sealer(pool, KEY, "test", tmp_path / "checkpoints")
        await sealer.seal_due()
        early = await pool.fetchval("SELECT note FROM ledger.checkpoints WHERE book = $1", BOOK)
        proof = await inclusion_proof(pool, BOOK, 7, 22)
        body = await pool.fetchval("SELECT body FROM ledger.events WHERE book = $1 AND sequence = 7", BOOK)
        await fill(ledger, 6, book="closed-book", prefix="c")
        await close_book(pool, sealer, "closed-book", actor="operator:ci", reason="over")

    dump = tmp_path / "dump"
    await tool("pg_dump", "--format=custom", f"--file={dump}", database_url)
    # The roles belong to the cluster and not to the database; the first migration makes them.
    await migrate(other_cluster.url())
    administrator = await asyncpg.connect(other_cluster.url("postgres"))
    await administrator.execute("CREATE DATABASE restored TEMPLATE template0")
    await administrator.close()
    restored = other_cluster.url("restored")
    await tool("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={restored}", str(dump))

    assert await rows(restored) == await rows(database_url)
    await migrate(restored)
    async with asyncpg.create_pool(restored, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        assert {each.book: each.verified for each in await verify(pool, PUBLIC)} == {BOOK: True, "closed-book": True}
        check_inclusion(proof, body, open_note(early, PUBLIC))
        assert await inclusion_proof(pool, BOOK, 7, 22) == proof
        assert isinstance(await ledger.append(repeated), Duplicate)
        result = await ledger.append(append(write("trainee/new"), claims=[CountClaim("seats", 1)]))
        assert isinstance(result, Appended)
        assert result.sequences[BOOK] == 23, "the order goes on where it was"
        with pytest.raises(BookClosed):
            await ledger.append(append(write("c/late", book="closed-book")))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM ledger.events")
        # The sealer signs on, with the checkpoint files of the first cluster beside it.
        (sealed,) = await Sealer(pool, KEY, "test", tmp_path / "checkpoints").seal_due()
        growth = await consistency_proof(pool, BOOK, 22, sealed.size)
        check_consistency(growth, open_note(early, PUBLIC), sealed)


async def test_a_restore_that_lost_the_last_events_is_noticed_by_the_checkpoints_outside(
    database_url: str, tmp_path: Path
) -> None:
    await migrate(database_url)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
        await fill(ledger, 6)
        dump = tmp_path / "dump"
        await tool("pg_dump", "--format=custom", f"--file={dump}", database_url)
        await fill(ledger, 6, prefix="later")
        await Sealer(pool, KEY, "test", tmp_path / "checkpoints").seal_due()
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA ledger, vault, view, app, projection CASCADE")
    await connection.close()
    await tool("pg_restore", "--exit-on-error", f"--dbname={database_url}", str(dump))
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool:
        (report,) = await verify(pool, PUBLIC, directory=tmp_path / "checkpoints")
    assert (report.verified, report.problem, report.first_wrong) == (False, "missing", 7)
