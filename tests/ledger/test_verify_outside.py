"""What others hold decides where the database's owner has a signing key too: witnesses, and the files beside them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import outside
from ledger.cosignature import Witness, cosign, with_line, witness_key, witness_of
from ledger.seal import Sealer, checkpoint_file, public_key_of
from ledger.store import Ledger
from ledger.verify import BookReport, verify
from ledger.witnessing import cosigned_file, stored_name
from tests.ledger.appends import BOOK, fill
from tests.ledger.test_verify import tamper

KEY, ORIGIN, NAME = bytes(range(32)), "xunji.example", "witness.example/w1"
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes([2] * 32))
WITNESS = witness_of(witness_key(NAME, SIGNER.public_key()))
Pool = asyncpg.Pool


async def countersign(pool: "Pool[Any]", directory: Path | None, size: int) -> None:
    note = await pool.fetchval("SELECT note FROM ledger.checkpoints WHERE size = $1", size)
    now = datetime.now(UTC).replace(microsecond=0)
    line = cosign(note, NAME, SIGNER, now)
    await pool.execute(
        "INSERT INTO ledger.cosignatures VALUES ($1, $2, $3, $4, $5)", BOOK, size, stored_name(WITNESS), line, now
    )
    if directory is not None:
        cosigned_file(directory, BOOK, WITNESS).write_text(with_line(note, line))


@pytest.fixture
async def sealed(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> "Pool[Any]":
    """A book of thirty events, sealed at 10 and 20; the witness has countersigned both."""
    for part in range(3):
        await fill(ledger, 10, prefix=f"part-{part}")
        if part < 2:
            await Sealer(pool, KEY, ORIGIN, tmp_path).seal_due()
            await countersign(pool, tmp_path, 10 * (part + 1))
    return pool


async def report(
    pool: "Pool[Any]", directory: Path | None, witness: Witness = WITNESS, held: int | None = None
) -> BookReport:
    asked = {} if held is None else {BOOK: {witness.name: held}}
    (found,) = await verify(pool, public_key_of(KEY), BOOK, directory, witnesses=[witness], held=asked)
    return found


async def rewrite(pool: "Pool[Any]", directory: Path) -> None:
    """What somebody does who owns the database, the directory of checkpoints and the signing key."""
    change = "overlay(body placing 'X'::bytea from 12)"
    await tamper(
        pool,
        f"UPDATE ledger.events SET body = {change}, leaf_hash = sha256('\\x00'::bytea || {change}) WHERE sequence = 14",
        "DELETE FROM ledger.checkpoints",
    )
    checkpoint_file(directory, BOOK).unlink()
    await Sealer(pool, KEY, ORIGIN, directory).seal_due()


async def test_what_was_countersigned_is_told(sealed: "Pool[Any]", tmp_path: Path) -> None:
    for directory in (tmp_path, None):
        found = await report(sealed, directory)
        assert (found.verified, found.sealed, found.witnessed) == (True, 20, 20)
    assert (await report(sealed, tmp_path, held=20)).verified


async def test_a_rewritten_and_freshly_signed_tree_contradicts_the_witness(sealed: "Pool[Any]", tmp_path: Path) -> None:
    cosignature = cosigned_file(tmp_path, BOOK, WITNESS).read_text()
    await rewrite(sealed, tmp_path)
    found = await report(sealed, tmp_path)
    assert (found.verified, found.problem) == (False, "rewritten")
    assert NAME in found.detail
    # Without the witness's note it is what the database says, and that has been made to fit; the signatures have not.
    cosigned_file(tmp_path, BOOK, WITNESS).unlink()
    assert (await report(sealed, tmp_path)).problem == "witness"
    await sealed.execute("ALTER TABLE ledger.cosignatures DISABLE TRIGGER refuse_change")
    await sealed.execute("DELETE FROM ledger.cosignatures")
    assert cosignature.startswith(ORIGIN)


async def test_a_rewritten_tree_of_the_countersigned_size_is_not_taken_for_the_witnesses(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 20)
    await Sealer(pool, KEY, ORIGIN, tmp_path).seal_due()
    await countersign(pool, tmp_path, 20)
    await rewrite(pool, tmp_path)
    found = await report(pool, tmp_path)
    assert (found.verified, found.problem) == (False, "rewritten")
    assert "contradicts" in found.detail


async def test_a_ledger_that_was_rolled_back_is_shorter_than_what_the_witness_holds(
    sealed: "Pool[Any]", tmp_path: Path
) -> None:
    """Checkpoints, files and head row are made to fit: only the witness remembers."""
    await sealed.execute("ALTER TABLE ledger.cosignatures DISABLE TRIGGER refuse_change")
    await sealed.execute("DELETE FROM ledger.cosignatures WHERE size > 15")
    await tamper(
        sealed,
        "DELETE FROM ledger.events WHERE sequence > 15",
        "DELETE FROM ledger.checkpoints WHERE size > 15",
        "UPDATE ledger.books SET sequence = 15",
    )
    checkpoint_file(tmp_path, BOOK).unlink()
    found = await report(sealed, tmp_path)
    assert (found.problem, found.first_wrong) == ("missing", 16)
    assert NAME in found.detail
    cosigned_file(tmp_path, BOOK, WITNESS).unlink()
    assert (await report(sealed, tmp_path)).verified, "nobody was asked"
    found = await report(sealed, tmp_path, held=20)
    assert (found.problem, found.first_wrong) == ("missing", 16)
    assert f"{NAME} has countersigned 20 events, 15 are left" in found.detail


async def test_a_required_witness_that_has_not_signed_is_missed_after_a_while(
    ledger: Ledger, sealed: "Pool[Any]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Sealer(sealed, KEY, ORIGIN, tmp_path).seal_due()
    found = await report(sealed, tmp_path)
    assert (found.verified, found.sealed, found.witnessed) == (True, 30, 20)
    monkeypatch.setattr(outside, "WITNESS_GRACE_S", -1)
    found = await report(sealed, tmp_path)
    assert (found.verified, found.problem, found.witnessed) == (False, "witness", 0)
    assert "has countersigned 20 events, and not the checkpoint at 30" in found.detail
    optional = Witness(WITNESS.name, WITNESS.public_key, required=False)
    assert (await report(sealed, tmp_path, optional)).verified
    await countersign(sealed, tmp_path, 30)
    assert (await report(sealed, tmp_path)).witnessed == 30


@pytest.mark.parametrize(
    "change",
    [
        "line = replace(line, 'w1 ', 'w1 A')",
        f"line = (SELECT line FROM ledger.cosignatures WHERE size = 10 AND book = '{BOOK}')",
        "cosigned_at = cosigned_at + interval '1 second'",
        "size = 19",
    ],
)
async def test_a_changed_cosignature_is_found(sealed: "Pool[Any]", tmp_path: Path, change: str) -> None:
    await sealed.execute("ALTER TABLE ledger.cosignatures DISABLE TRIGGER refuse_change")
    await sealed.execute(f"UPDATE ledger.cosignatures SET {change} WHERE size = 20")
    found = await report(sealed, tmp_path)
    assert (found.verified, found.problem) == (False, "witness")


async def test_a_file_that_no_witness_has_signed_is_found(sealed: "Pool[Any]", tmp_path: Path) -> None:
    path = cosigned_file(tmp_path, BOOK, WITNESS)
    good = path.read_text()
    for content in (
        b"\xff",
        b"",
        good.replace("\n20\n", "\n19\n").encode(),
        good.partition("— witness")[0].encode(),
        good.replace(f"— {ORIGIN}", "— somebody").encode(),
    ):
        path.write_bytes(content)
        found = await report(sealed, tmp_path)
        assert (found.verified, found.problem) == (False, "witness"), content


async def test_a_countersigned_checkpoint_that_was_taken_away_is_missed(sealed: "Pool[Any]", tmp_path: Path) -> None:
    await tamper(sealed, "DELETE FROM ledger.checkpoints WHERE size = 10")
    found = await report(sealed, tmp_path)
    assert (found.problem, found.verified) == ("witness", False)
    assert "at 10" in found.detail


async def test_a_book_that_was_removed_as_a_whole_is_missed_by_what_the_witness_signed(
    sealed: "Pool[Any]", tmp_path: Path
) -> None:
    await sealed.execute("ALTER TABLE ledger.cosignatures DISABLE TRIGGER refuse_change")
    await sealed.execute("DELETE FROM ledger.cosignatures")
    await tamper(sealed, "DELETE FROM ledger.events", "DELETE FROM ledger.checkpoints", "DELETE FROM ledger.books")
    checkpoint_file(tmp_path, BOOK).unlink()
    (found,) = await verify(sealed, public_key_of(KEY), directory=tmp_path, witnesses=[WITNESS])
    assert (found.book, found.problem, found.first_wrong) == (BOOK, "missing", 1)


def test_the_grace_is_some_minutes() -> None:
    assert timedelta(minutes=1) < timedelta(seconds=outside.WITNESS_GRACE_S) < timedelta(minutes=15)
