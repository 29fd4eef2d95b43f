"""A changed byte in any column is found, in the database and through an export; a fake between two right ends too."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from ledger.archive import BookDamaged, export_book
from ledger.archive_audit import EVENTS_FILE, LEAVES_FILE, MANIFEST_FILE, audit
from ledger.canonical import canonical_bytes
from ledger.checkpoint import open_note
from ledger.merkle import leaf_hash
from ledger.proofs import ProofRejected, check_consistency, consistency_proof
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.verify import BookReport, verify
from tests.ledger.appends import BOOK, append, fill, write
from tests.ledger.test_verify import tamper

KEY, ORIGIN = bytes(range(32)), "xunji.example"
PUBLIC_KEY = public_key_of(KEY)
Pool = asyncpg.Pool

EVENT_COLUMNS = {
    "sequence": ("1014", "missing"),
    "version": ("version + 100", "changed"),
    "recorded_at": ("recorded_at + interval '1 microsecond'", "changed"),
    "effective_at": ("effective_at - interval '1 microsecond'", "changed"),
    "schema_version": ("schema_version + 1", "changed"),
    "id": ("overlay(id::text placing '0' from 36)::uuid", "changed"),
    "command_id": ("overlay(command_id::text placing '0' from 36)::uuid", "changed"),
    "book": ("'other'", "missing"),
    "stream": ("overlay(stream placing 'X' from 3)", "changed"),
    "type": ("overlay(type placing 'X' from 3)", "changed"),
    "leaf_hash": ("set_byte(leaf_hash, 31, get_byte(leaf_hash, 31) # 1)", "changed"),
    "body": ("set_byte(body, 40, get_byte(body, 40) # 1)", "changed"),
}
CHECKPOINT_COLUMNS = {
    "book": "'other'",
    "size": "size + 1",
    "root": "set_byte(root, 0, get_byte(root, 0) # 1)",
    "sealed_at": "sealed_at + interval '1 microsecond'",
    "note": "overlay(note placing 'X' from 3)",
    "frontier": "set_byte(frontier, 0, get_byte(frontier, 0) # 1)",
}


@pytest.fixture
async def sealed(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> "Pool[Any]":
    """Thirty events, sealed at 20, and another book."""
    await fill(ledger, 20)
    await ledger.append(append(write(book="other")))
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    await fill(ledger, 10, prefix="unsealed")
    return pool


async def report(pool: "Pool[Any]") -> BookReport:
    (found,) = await verify(pool, PUBLIC_KEY, BOOK)
    return found


async def columns_of(pool: "Pool[Any]", table: str) -> set[str]:
    rows = await pool.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ledger' AND table_name = $1", table
    )
    return {row["column_name"] for row in rows}


async def change(pool: "Pool[Any]", column: str, sequence: int) -> None:
    value = EVENT_COLUMNS[column][0]
    if column in ("id", "command_id"):
        # One that ends with a zero would not be changed by one.
        value = value.replace("'0'", f"CASE right({column}::text, 1) WHEN '0' THEN '1' ELSE '0' END")
    await pool.execute("ALTER TABLE ledger.events_2 DISABLE TRIGGER refuse_change")
    await tamper(pool, f"UPDATE ledger.events SET {column} = {value} WHERE book = '{BOOK}' AND sequence = {sequence}")


async def test_no_column_is_left_out(pool: "Pool[Any]") -> None:
    assert await columns_of(pool, "events") == set(EVENT_COLUMNS)
    assert await columns_of(pool, "checkpoints") == set(CHECKPOINT_COLUMNS)


@pytest.mark.parametrize("sequence", [14, 25])
@pytest.mark.parametrize("column", EVENT_COLUMNS)
async def test_a_change_in_any_column_is_found_sealed_or_not(sealed: "Pool[Any]", column: str, sequence: int) -> None:
    await change(sealed, column, sequence)
    found = await report(sealed)
    assert (found.verified, found.problem) == (False, EVENT_COLUMNS[column][1])
    assert (found.first_wrong, found.size) == (sequence, sequence - 1)


@pytest.mark.parametrize("column", CHECKPOINT_COLUMNS)
async def test_a_change_in_any_column_of_a_checkpoint_is_found(sealed: "Pool[Any]", column: str) -> None:
    change = f"{column} = {CHECKPOINT_COLUMNS[column]}"
    if column == "book":
        change += ", size = 2"
    await tamper(sealed, f"UPDATE ledger.checkpoints SET {change} WHERE book = '{BOOK}'")
    reports = await verify(sealed, PUBLIC_KEY)
    assert [each.problem for each in reports if not each.verified] in (["checkpoint"], ["signature"])


@pytest.mark.parametrize("column", EVENT_COLUMNS)
async def test_an_export_never_carries_a_changed_column_away(sealed: "Pool[Any]", column: str, tmp_path: Path) -> None:
    """Either nothing is exported, or what was recorded: the columns beside the bytes do not go into the files."""
    root = await sealed.fetchval("SELECT root FROM ledger.checkpoints WHERE book = $1", BOOK)
    await tamper(sealed, f"DELETE FROM ledger.events WHERE book = '{BOOK}' AND sequence > 20")
    await sealed.execute("UPDATE ledger.books SET sequence = 20 WHERE book = $1", BOOK)
    await change(sealed, column, 14)
    if column in ("sequence", "book", "leaf_hash", "body"):
        with pytest.raises(BookDamaged):
            await export_book(sealed, BOOK, tmp_path / "export")
        assert not (tmp_path / "export").exists()
        return
    await export_book(sealed, BOOK, tmp_path / "export")
    found = audit(tmp_path / "export", PUBLIC_KEY)
    assert (found.verified, found.root_hex) == (True, root.hex())


@pytest.fixture
async def exported(ledger: Ledger, pool: "Pool[Any]", tmp_path: Path) -> Path:
    await fill(ledger, 20)
    await Sealer(pool, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    await export_book(pool, BOOK, tmp_path / "export")
    return tmp_path / "export"


ENVELOPE = (
    "actor", "book", "causation_id", "command_id", "correlation_id", "data", "effective_at", "id", "recorded_at",
    "schema_version", "sequence", "stream", "type", "version",
)  # fmt: skip


def changed(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    return {**value, "added": 1} if isinstance(value, dict) else value[:-1] + ("0" if value[-1] != "0" else "1")


@pytest.mark.parametrize("with_leaves", ["as they were", "made to fit", "taken away"])
@pytest.mark.parametrize("field", ENVELOPE)
async def test_a_change_in_any_field_of_an_exported_event_is_found(
    exported: Path, field: str, with_leaves: str
) -> None:
    lines = (exported / EVENTS_FILE).read_bytes().splitlines()
    envelope = orjson.loads(lines[13])
    assert set(envelope) == set(ENVELOPE)
    lines[13] = canonical_bytes({**envelope, field: changed(envelope[field])})
    (exported / EVENTS_FILE).write_bytes(b"".join(line + b"\n" for line in lines))
    leaves = exported / LEAVES_FILE
    if with_leaves == "made to fit":
        leaves.write_bytes(b"".join(leaf_hash(line) for line in lines))
    elif with_leaves == "taken away":
        leaves.unlink()
    found = audit(exported, PUBLIC_KEY)
    assert not found.verified
    if with_leaves == "as they were":
        assert found.first_wrong == 14
    assert found.problem in ("changed", "foreign", "unsound", "rewritten", "exchanged", "missing", "repeated")


@pytest.mark.parametrize("place", [0, 31, 13 * 32 + 5, -1])
async def test_a_changed_byte_of_the_exported_leaves_never_hides_an_event(exported: Path, place: int) -> None:
    """They only tell which line is wrong: where they are wrong themselves, the lines alone still decide."""
    leaves = exported / LEAVES_FILE
    content = bytearray(leaves.read_bytes())
    content[place] ^= 1
    leaves.write_bytes(content)
    assert audit(exported, PUBLIC_KEY).verified
    events = exported / EVENTS_FILE
    events.write_bytes(events.read_bytes().replace(b"county:410181", b"county:410182", 1))
    assert audit(exported, PUBLIC_KEY).problem == "rewritten"


@pytest.mark.parametrize("field", ["format", "book", "size", "root", "events_sha256", "checkpoint"])
async def test_a_change_in_any_field_of_the_manifest_is_found(exported: Path, field: str) -> None:
    path = exported / MANIFEST_FILE
    fields = json.loads(path.read_text())
    assert len(fields) == 6
    path.write_text(
        json.dumps({**fields, field: changed(fields[field].rstrip() if field == "checkpoint" else fields[field])})
    )
    assert not audit(exported, PUBLIC_KEY).verified


# ---------------------------------------------------------------------------------------------------- linear fake


@pytest.mark.parametrize("sequence", range(21, 31))
@pytest.mark.parametrize("column", ["body", "type", "leaf_hash"])
async def test_linear_fake_the_unsealed_tail_is_verified_leaf_by_leaf(
    sealed: "Pool[Any]", column: str, sequence: int
) -> None:
    """immudb checked the part that was not in the tree yet at its ends only, so its middle could be anything."""
    await change(sealed, column, sequence)
    found = await report(sealed)
    assert (found.problem, found.first_wrong, found.sealed) == ("changed", sequence, 20)


async def test_linear_fake_two_histories_with_the_same_ends_are_not_consistent(
    sealed: "Pool[Any]", tmp_path: Path
) -> None:
    """What was signed at 30 does not lead to a tail whose middle was exchanged since, though its ends were not."""
    sealer = Sealer(sealed, KEY, ORIGIN, tmp_path / "checkpoints")
    (first,) = await sealer.seal_due()
    async with Ledger(sealed) as ledger:
        await fill(ledger, 5, prefix="more")
    body = "overlay(body placing 'X'::bytea from 12)"
    await tamper(
        sealed,
        f"UPDATE ledger.events SET body = {body}, leaf_hash = sha256('\\x00'::bytea || {body}) "
        f"WHERE book = '{BOOK}' AND sequence = 24",
    )
    (second,) = await Sealer(sealed, KEY, ORIGIN, tmp_path / "checkpoints").seal_due()
    note = await sealed.fetchval("SELECT note FROM ledger.checkpoints WHERE size = 35")
    assert open_note(note, PUBLIC_KEY) == second
    # The sealer went on from its stored frontier, so the fake shows at the first checkpoint that covers it.
    found = await report(sealed)
    assert (found.problem, found.first_wrong, found.sealed) == ("rewritten", 21, 20)
    check_consistency(await consistency_proof(sealed, BOOK, 30, 35), first, second)
    await tamper(sealed, f"DELETE FROM ledger.checkpoints WHERE book = '{BOOK}' AND size = 30")
    with pytest.raises(ProofRejected):
        check_consistency(await consistency_proof(sealed, BOOK, 30, 35), first, second)
