"""The signing key is handed over: what both keys sign, who stops, and what is checked from then on."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.archive import SigningRefused, export_book, import_book
from ledger.archive_audit import MANIFEST_FILE, audit
from ledger.checkpoint import open_note
from ledger.errors import BadSignature, RotationRefused, SealRefused
from ledger.keyring import Keyring, read_database, read_succession, succession_file
from ledger.rotation import rotate
from ledger.schema import LOCK_CLASS, SEALING_LOCK
from ledger.seal import Sealer, checkpoint_file, public_key_of
from ledger.store import Ledger
from ledger.verify import BookReport, verify
from tests.ledger.appends import BOOK, fill

OLD, NEW, NEXT, STRANGE = (bytes([number] * 32) for number in range(1, 5))
ORIGIN = "xunji.example"
Pool = asyncpg.Pool


async def hand_over(pool: "Pool[Any]", directory: Path, old: bytes = OLD, new: bytes = NEW) -> None:
    await rotate(pool, old_key=old, new_key=new, origin=ORIGIN, directory=directory)


async def found(pool: "Pool[Any]", key: bytes, directory: Path | None = None) -> BookReport:
    (report,) = await verify(pool, public_key_of(key), BOOK, directory)
    return report


async def test_a_new_key_signs_and_everything_before_still_verifies(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 10)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await fill(ledger, 5, prefix="unsealed")
    await hand_over(pool, tmp_path)
    await fill(ledger, 5, prefix="after")
    await Sealer(pool, NEW, ORIGIN, tmp_path).seal_due()
    sizes = [row["size"] for row in await pool.fetch("SELECT size FROM ledger.checkpoints ORDER BY size")]
    assert sizes == [10, 15, 20]
    for key in (OLD, NEW):
        report = await found(pool, key, tmp_path)
        assert (report.verified, report.sealed, report.detail) == (True, 20, "")
    assert (await found(pool, STRANGE)).problem == "signature"
    note = await pool.fetchval("SELECT note FROM ledger.checkpoints WHERE size = 20")
    assert open_note(note, public_key_of(NEW)).size == 20
    with pytest.raises(BadSignature):
        open_note(note, public_key_of(OLD))


async def test_both_keys_sign_until_the_old_one_is_taken_out(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> None:
    """Before the handing over and after it: a reader who knows only one of the keys goes on."""
    both = Sealer(pool, NEW, ORIGIN, tmp_path, previous_key=OLD)
    await fill(ledger, 3)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await fill(ledger, 3, prefix="before")
    await both.seal_due()
    # Workers that were not restarted yet have only the old key, and go on too.
    await fill(ledger, 3, prefix="others")
    assert len(await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()) == 1
    await hand_over(pool, tmp_path)
    await fill(ledger, 3, prefix="after")
    await both.seal_due()
    for size in (6, 12):
        note = await pool.fetchval("SELECT note FROM ledger.checkpoints WHERE size = $1", size)
        assert {open_note(note, public_key_of(key)).size for key in (OLD, NEW)} == {size}
    assert (await found(pool, NEW, tmp_path)).sealed == 12


async def test_a_sealer_with_nothing_but_the_old_key_stops_and_says_why(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 3)
    sealer = Sealer(pool, OLD, ORIGIN, tmp_path)
    await sealer.seal_due()
    await hand_over(pool, tmp_path)
    await fill(ledger, 3, prefix="after")
    with pytest.raises(SealRefused, match="handed over"):
        await sealer.seal_due()
    # Neither a database nor a directory alone makes it go on.
    succession_file(tmp_path, 1).unlink()
    with pytest.raises(SealRefused, match="handed over"):
        await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await Sealer(pool, NEW, ORIGIN, tmp_path).seal_due()
    assert succession_file(tmp_path, 1).exists(), "the note is written again where it is missing"
    await pool.execute("ALTER TABLE ledger.successions DISABLE TRIGGER refuse_change; DELETE FROM ledger.successions")
    await fill(ledger, 3, prefix="later")
    with pytest.raises(SealRefused, match="handed over"):
        await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    assert (await found(pool, NEW, tmp_path)).verified


async def test_the_new_key_alone_signs_nothing_before_it_is_its_turn(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 3)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await fill(ledger, 3, prefix="later")
    with pytest.raises(SealRefused):
        await Sealer(pool, NEW, ORIGIN, tmp_path).seal_due()


async def test_whoever_owns_the_database_cannot_add_a_key(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> None:
    await fill(ledger, 6)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await pool.execute("ALTER TABLE ledger.checkpoints DISABLE TRIGGER refuse_change; DELETE FROM ledger.checkpoints")
    # He makes a succession as well as he can: without the old key it links nothing.
    await rotate(pool, old_key=STRANGE, new_key=NEXT, origin=ORIGIN, directory=tmp_path / "his")
    forged = await pool.fetchval("SELECT note FROM ledger.successions")
    assert read_succession(forged).old_key == public_key_of(STRANGE).public_bytes_raw()
    assert (await found(pool, OLD)).problem == "signature"
    await pool.execute("ALTER TABLE ledger.successions DISABLE TRIGGER refuse_change")
    await pool.execute("UPDATE ledger.successions SET note = 'succession of my own'")
    assert await read_database(pool) == []


async def test_a_stolen_old_key_rewrites_nothing_that_was_handed_over(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    """The thief owns the database too, and signs the rewritten tree with the stolen key, up to the handed-over size."""
    await fill(ledger, 10)
    await Sealer(pool, OLD, ORIGIN, tmp_path / "ours").seal_due()
    await hand_over(pool, tmp_path / "ours")
    succession = await pool.fetchval("SELECT note FROM ledger.successions")
    for table in ("events", "events_1", "checkpoints", "successions"):
        await pool.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER refuse_change")
    await pool.execute("DELETE FROM ledger.checkpoints; DELETE FROM ledger.successions")
    change = "overlay(body placing 'X'::bytea from 12)"
    await pool.execute(f"UPDATE ledger.events SET body = {change}, leaf_hash = sha256('\\x00'::bytea || {change})")
    await Sealer(pool, OLD, ORIGIN, tmp_path / "his").seal_due()
    await pool.execute("INSERT INTO ledger.successions (number, note) VALUES (1, $1)", succession)
    report = await found(pool, NEW)
    assert (report.problem, report.verified) == ("rewritten", False)
    assert "succession 1" in report.detail
    # Without the note the old key is nobody's, and where the files are, the note is there.
    await pool.execute("DELETE FROM ledger.successions")
    assert (await found(pool, NEW)).problem == "signature"
    assert (await found(pool, NEW, tmp_path / "ours")).verified is False


async def test_a_forged_note_beside_the_checkpoints_is_told(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> None:
    await fill(ledger, 3)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await hand_over(pool, tmp_path)
    path = succession_file(tmp_path, 1)
    path.write_text(path.read_text().replace(f"book {BOOK} 3", f"book {BOOK} 2"))
    report = await found(pool, NEW, tmp_path)
    assert (report.verified, report.problem) == (False, "signature")
    assert "both keys" in report.detail
    await fill(ledger, 3, prefix="later")
    with pytest.raises(SealRefused, match="both keys"):
        await Sealer(pool, NEW, ORIGIN, tmp_path).seal_due()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [(NEW, NEW, "the same"), (OLD, NEXT, "handed over already"), (NEW, OLD, "been a signing key before")],
)
async def test_only_the_present_key_is_handed_over_and_only_to_a_new_one(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path, old: bytes, new: bytes, said: str
) -> None:
    await fill(ledger, 3)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    await hand_over(pool, tmp_path)
    with pytest.raises(RotationRefused, match=said):
        await hand_over(pool, tmp_path, old, new)
    assert await pool.fetchval("SELECT count(*) FROM ledger.successions") == 1
    await hand_over(pool, tmp_path, NEW, NEXT)
    assert [each.number for each in await read_database(pool)] == [1, 2]
    for key in (OLD, NEW, NEXT):
        assert (await found(pool, key, tmp_path)).verified


async def test_a_strange_key_hands_nothing_over(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> None:
    await fill(ledger, 3)
    await Sealer(pool, OLD, ORIGIN, tmp_path).seal_due()
    with pytest.raises(BadSignature):
        await hand_over(pool, tmp_path, STRANGE, NEXT)
    await fill(ledger, 3, prefix="later")
    with pytest.raises(RotationRefused, match="cannot be sealed"):
        await hand_over(pool, tmp_path, STRANGE, NEXT)
    assert await pool.fetchval("SELECT count(*) FROM ledger.successions") == 0
    assert not succession_file(tmp_path, 1).exists()
    assert checkpoint_file(tmp_path, BOOK).read_text() == await pool.fetchval("SELECT note FROM ledger.checkpoints")


async def test_handing_over_waits_for_a_sealer_that_is_at_work(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 3)
    async with pool.acquire() as leader:
        await leader.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, SEALING_LOCK)
        waiting = asyncio.create_task(hand_over(pool, tmp_path))
        while not await pool.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
        ):
            assert not waiting.done()
        await leader.execute("SELECT pg_advisory_unlock_all()")
        await waiting
    assert await pool.fetchval("SELECT size FROM ledger.checkpoints") == 3


async def test_an_export_carries_the_notes_and_is_audited_with_either_key(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 6)
    await Sealer(pool, OLD, ORIGIN, tmp_path / "checkpoints").seal_due()
    await hand_over(pool, tmp_path / "checkpoints")
    await export_book(pool, BOOK, tmp_path / "at-once", signing_key=NEW, origin=ORIGIN)
    await fill(ledger, 6, prefix="later")
    with pytest.raises(SigningRefused, match="handed over"):
        await export_book(pool, BOOK, tmp_path / "refused", signing_key=OLD, origin=ORIGIN)
    await export_book(pool, BOOK, tmp_path / "later", signing_key=NEW, origin=ORIGIN)
    for name in ("at-once", "later"):
        assert '"format": 2' in (tmp_path / name / MANIFEST_FILE).read_text()
        for key in (OLD, NEW):
            assert audit(tmp_path / name, public_key_of(key)).verified
        assert audit(tmp_path / name, public_key_of(STRANGE)).problem == "key"
    manifest = tmp_path / "later" / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace("succession 1", "succession 2"))
    assert audit(tmp_path / "later", public_key_of(NEW)).problem == "key"


async def test_an_import_brings_the_notes_along(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path, database_url: str
) -> None:
    await fill(ledger, 6)
    await hand_over(pool, tmp_path / "checkpoints")
    await export_book(pool, BOOK, tmp_path / "export", signing_key=NEW, origin=ORIGIN)
    for table in ("successions", "checkpoints", "events", "commands"):
        await pool.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER refuse_change")
    await pool.execute("DROP TABLE ledger.events_1")
    await pool.execute(
        "DELETE FROM ledger.successions; DELETE FROM ledger.checkpoints; DELETE FROM ledger.books; "
        "DELETE FROM ledger.streams; DELETE FROM ledger.commands"
    )
    await import_book(pool, tmp_path / "export", Keyring([public_key_of(OLD)]))
    assert (await found(pool, OLD)).verified
    await fill(ledger, 3, prefix="here")
    assert len(await Sealer(pool, NEW, ORIGIN, tmp_path / "elsewhere").seal_due()) == 1
    assert (await found(pool, NEW)).sealed == 9
