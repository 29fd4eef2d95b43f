"""Sealing: what is signed, where it stands, and what is never signed."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import seal
from ledger.checkpoint import open_note
from ledger.errors import SealRefused
from ledger.merkle import Frontier
from ledger.schema import LOCK_CLASS, SEALING_LOCK
from ledger.seal import Sealer, checkpoint_file, public_key_of
from ledger.store import Ledger
from tests.ledger.appends import BOOK, append, fill, write

KEY = bytes(range(32))
ORIGIN = "xunji.example"


@pytest.fixture
def sealer(pool: "asyncpg.Pool[Any]", tmp_path: Path) -> Sealer:
    return Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints")


async def root_of(pool: "asyncpg.Pool[Any]", book: str, size: int) -> bytes:
    frontier = Frontier()
    rows = await pool.fetch(
        "SELECT leaf_hash FROM ledger.events WHERE book = $1 AND sequence <= $2 ORDER BY sequence", book, size
    )
    frontier.extend([row["leaf_hash"] for row in rows])
    return frontier.root()


async def test_each_book_that_has_moved_is_sealed(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path
) -> None:
    assert await sealer.seal_due() == []
    await ledger.append(append(write(events=5), write("r/1", book="restrictions")))

    first = await sealer.seal_due()

    assert [(one.origin, one.size) for one in first] == [(f"{ORIGIN}/{BOOK}", 5), (f"{ORIGIN}/restrictions", 1)]
    assert await sealer.seal_due() == []
    await fill(ledger, 7)
    (second,) = await sealer.seal_due()
    assert (second.size, second.root) == (12, await root_of(pool, BOOK, 12))
    rows = await pool.fetch("SELECT * FROM ledger.checkpoints WHERE book = $1 ORDER BY size", BOOK)
    assert [open_note(row["note"], public_key_of(KEY)) for row in rows] == [first[0], second]
    file = checkpoint_file(tmp_path / "checkpoints", BOOK)
    assert file.read_text() == rows[-1]["note"]
    assert sorted(path.name for path in file.parent.iterdir()) == [f"{BOOK}.checkpoint", "restrictions.checkpoint"]


async def test_a_new_process_goes_on_from_the_stored_frontier(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(ledger, 21)
    await sealer.seal_due()
    await fill(ledger, 6, prefix="later")
    read: list[bytes] = []
    add = Frontier.add

    def count(self: Frontier, leaf: bytes) -> None:
        read.append(leaf)
        add(self, leaf)

    monkeypatch.setattr(Frontier, "add", count)

    (checkpoint,) = await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()

    assert len(read) == 6
    monkeypatch.undo()
    assert checkpoint.root == await root_of(pool, BOOK, 27)


async def test_sealers_of_several_processes_take_turns(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    sealers = [Sealer(pool, KEY, ORIGIN, tmp_path) for _ in range(4)]
    for part in range(5):
        await fill(ledger, 4, prefix=f"part-{part}")
        results = await asyncio.gather(*(one.seal_due() for one in sealers))
        assert sum(len(result) for result in results) == 1
    assert await pool.fetchval("SELECT count(*) FROM ledger.checkpoints") == 5
    async with pool.acquire() as leader:
        await leader.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, SEALING_LOCK)
        await fill(ledger, 4, prefix="more")
        assert await sealers[0].seal_due() == []
        await leader.execute("SELECT pg_advisory_unlock_all()")
    assert len(await sealers[0].seal_due()) == 1


async def test_running_seals_until_it_is_stopped(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "SEAL_INTERVAL_S", 0.01)
    stop = asyncio.Event()
    running = asyncio.create_task(sealer.run(stop))
    for part in range(3):
        await fill(ledger, 2, prefix=f"part-{part}")
        while await pool.fetchval("SELECT max(size) FROM ledger.checkpoints") != 2 * (part + 1):
            assert not running.done()
    stop.set()
    await running


async def test_running_survives_a_refused_book_and_a_lost_connection(
    ledger: Ledger,
    pool: "asyncpg.Pool[Any]",
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(seal, "SEAL_INTERVAL_S", 0.01)
    async with asyncpg.create_pool(
        database_url, min_size=1, max_size=1, server_settings={"application_name": "sealer"}
    ) as own:
        sealer = Sealer(own, KEY, ORIGIN, tmp_path)
        await fill(ledger, 3)
        await sealer.seal_due()
        await pool.execute("UPDATE ledger.books SET sequence = 2")
        stop = asyncio.Event()
        running = asyncio.create_task(sealer.run(stop))
        await fill(ledger, 3, book="other")
        while not await pool.fetchval("SELECT count(*) FROM ledger.checkpoints WHERE book = 'other'"):
            assert not running.done()
        assert await pool.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sealer'"
        )
        await pool.execute("UPDATE ledger.books SET sequence = 3 WHERE book = $1", BOOK)
        await fill(ledger, 3, prefix="later")
        while await pool.fetchval("SELECT max(size) FROM ledger.checkpoints WHERE book = $1", BOOK) != 6:
            assert not running.done()
        stop.set()
        await running
    # Twice at most: the lost connection may have come in between.
    assert 1 <= len([record for record in caplog.records if "3 events were signed" in record.message]) <= 2


async def test_a_book_that_became_shorter_is_not_sealed(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path
) -> None:
    await fill(ledger, 6)
    await sealer.seal_due()
    await pool.execute("UPDATE ledger.books SET sequence = 5")
    for one in (sealer, Sealer(pool, KEY, ORIGIN, tmp_path / "elsewhere")):
        with pytest.raises(SealRefused, match="6 events were signed"):
            await one.seal_due()


async def test_a_database_behind_the_file_outside_is_not_sealed(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path
) -> None:
    """A database restored from before the last seal: its past would be signed a second time, differently."""
    await fill(ledger, 6)
    note = await seal_and_read(sealer, tmp_path)
    await pool.execute("ALTER TABLE ledger.checkpoints DISABLE TRIGGER refuse_change; DELETE FROM ledger.checkpoints")
    await pool.execute("UPDATE ledger.books SET sequence = 5")
    with pytest.raises(SealRefused):
        await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    assert checkpoint_file(tmp_path / "checkpoints", BOOK).read_text() == note


async def seal_and_read(sealer: Sealer, tmp_path: Path) -> str:
    await sealer.seal_due()
    return checkpoint_file(tmp_path / "checkpoints", BOOK).read_text()


async def test_nothing_is_built_on_a_checkpoint_that_was_not_signed_here(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 6)
    await Sealer(pool, bytes(32), ORIGIN, tmp_path / "forger").seal_due()
    await fill(ledger, 6, prefix="later")
    with pytest.raises(SealRefused):
        await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()


async def test_a_changed_frontier_is_not_gone_on_from(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path
) -> None:
    await fill(ledger, 6)
    await sealer.seal_due()
    await pool.execute("ALTER TABLE ledger.checkpoints DISABLE TRIGGER refuse_change")
    await pool.execute("UPDATE ledger.checkpoints SET frontier = set_byte(frontier, 0, get_byte(frontier, 0) # 1)")
    await fill(ledger, 6, prefix="later")
    with pytest.raises(SealRefused):
        await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()


async def test_a_missing_event_is_not_sealed_and_other_books_are(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer
) -> None:
    await fill(ledger, 6)
    await fill(ledger, 6, book="other")
    await pool.execute("ALTER TABLE ledger.events DISABLE TRIGGER refuse_change")
    await pool.execute("DELETE FROM ledger.events WHERE book = $1 AND sequence = 4", BOOK)
    with pytest.raises(SealRefused, match="event 4 is missing"):
        await sealer.seal_due()
    rows = await pool.fetch("SELECT book FROM ledger.checkpoints")
    assert [row["book"] for row in rows] == ["other"]


async def test_a_file_that_is_no_checkpoint_is_left_alone(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path
) -> None:
    await fill(ledger, 3)
    file = checkpoint_file(tmp_path / "checkpoints", BOOK)
    file.parent.mkdir()
    for content in (b"\xff", b"a note to myself"):
        file.write_bytes(content)
        with pytest.raises(SealRefused):
            await sealer.seal_due()
        assert file.read_bytes() == content


async def test_a_file_that_a_crash_has_left_out_is_written_later(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", sealer: Sealer, tmp_path: Path
) -> None:
    await fill(ledger, 3)
    note = await seal_and_read(sealer, tmp_path)
    checkpoint_file(tmp_path / "checkpoints", BOOK).unlink()
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    assert checkpoint_file(tmp_path / "checkpoints", BOOK).read_text() == note
