"""Proofs over books in PostgreSQL are those of the definition, and of one moment."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import proofs as proofs_module
from ledger.checkpoint import open_note
from ledger.merkle import leaf_hash
from ledger.proofs import (
    ConsistencyProof,
    InclusionProof,
    LeavesMissing,
    ProofOutOfRange,
    ProofRejected,
    UnknownBook,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
)
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from tests.ledger.appends import BOOK, fill
from tests.ledger.test_merkle import root_by_definition
from tests.ledger.test_proofs import KEY, ORIGIN, consistency_by_definition, path_by_definition
from tests.ledger.test_verify import tamper


async def bodies(pool: "asyncpg.Pool[Any]", book: str = BOOK) -> list[bytes]:
    rows = await pool.fetch("SELECT body FROM ledger.events WHERE book = $1 ORDER BY sequence", book)
    return [row["body"] for row in rows]


@pytest.mark.parametrize("page", [1, 3, 5_000])
async def test_every_proof_over_a_book_is_the_one_of_the_definition(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(proofs_module, "LEAVES_PER_FETCH", page)
    await fill(ledger, 4, book="another")
    await fill(ledger, 13)
    entries = await bodies(pool)
    async with pool.acquire() as connection:
        for size in range(1, 14):
            for sequence in range(1, size + 1):
                inclusion = await inclusion_proof(connection, BOOK, sequence, size)
                assert inclusion == InclusionProof(
                    BOOK,
                    sequence,
                    size,
                    leaf_hash(entries[sequence - 1]),
                    tuple(path_by_definition(sequence - 1, entries[:size])),
                )
                consistency = await consistency_proof(connection, BOOK, sequence, size)
                hashes = tuple(consistency_by_definition(sequence, entries[:size]))
                assert consistency == ConsistencyProof(BOOK, sequence, size, hashes)


async def test_without_a_size_a_proof_is_over_all_events(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await fill(ledger, 9)
    assert await inclusion_proof(pool, BOOK, 4) == await inclusion_proof(pool, BOOK, 4, 9)
    assert await consistency_proof(pool, BOOK, 4) == await consistency_proof(pool, BOOK, 4, 9)


async def test_a_sealed_book_is_checked_with_json_bytes_and_notes_alone(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    sealer = Sealer(pool, KEY, ORIGIN, tmp_path)
    for part, count in enumerate((5, 8, 11)):
        await fill(ledger, count, prefix=f"part-{part}")
        await sealer.seal_due()
    events = await bodies(pool)
    notes = [row["note"] for row in await pool.fetch("SELECT note FROM ledger.checkpoints ORDER BY size")]
    sizes = [5, 13, 24]
    inclusions = [(await inclusion_proof(pool, BOOK, sequence, 13)).as_json() for sequence in range(1, 14)]
    consistencies = {
        (first, second): (await consistency_proof(pool, BOOK, sizes[first], sizes[second])).as_json()
        for first in range(3)
        for second in range(first, 3)
    }

    checkpoints = [open_note(note, public_key_of(KEY)) for note in notes]
    for text, event in zip(inclusions, events, strict=False):
        check_inclusion(InclusionProof.from_json(text), event, checkpoints[1])
    for (first, second), text in consistencies.items():
        check_consistency(ConsistencyProof.from_json(text), checkpoints[first], checkpoints[second])


async def test_a_rewritten_event_cannot_be_proved_to_whoever_kept_a_checkpoint(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 20)
    (kept,) = await Sealer(pool, KEY, ORIGIN, tmp_path).seal_due()
    change = "overlay(body placing 'X'::bytea from 12)"
    await tamper(
        pool,
        f"UPDATE ledger.events SET body = {change}, leaf_hash = sha256('\\x00'::bytea || {change}) WHERE sequence = 14",
    )
    await fill(ledger, 10, prefix="later")
    events = await bodies(pool)
    forged = replace(kept, size=30, root=root_by_definition(events))
    with pytest.raises(ProofRejected, match="do not add up"):
        check_inclusion(await inclusion_proof(pool, BOOK, 14, 20), events[13], kept)
    with pytest.raises(ProofRejected, match=r"root of (20|30)"):
        check_consistency(await consistency_proof(pool, BOOK, 20), kept, forged)


async def test_a_book_that_nobody_knows_is_named(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await fill(ledger, 1)
    with pytest.raises(UnknownBook, match="no book nowhere"):
        await inclusion_proof(pool, "nowhere", 1)
    with pytest.raises(UnknownBook, match="no book nowhere"):
        await consistency_proof(pool, "nowhere", 1)


@pytest.mark.parametrize("name", ["", "A name", "\x00", "\ud800", "b" * 101])
async def test_what_cannot_be_a_book_is_refused(pool: "asyncpg.Pool[Any]", name: str) -> None:
    with pytest.raises(UnknownBook, match="no book has such a name"):
        await inclusion_proof(pool, name, 1)
    with pytest.raises(UnknownBook, match="no book has such a name"):
        await consistency_proof(pool, name, 1)


async def test_sequences_and_sizes_out_of_range_are_refused_with_what_is_allowed(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    await fill(ledger, 7)
    for sequence, size, allowed in (
        (0, None, "a sequence of 1 to 7, not 0"),
        (-1, 5, "a sequence of 1 to 5, not -1"),
        (8, None, "a sequence of 1 to 7, not 8"),
        (6, 5, "a sequence of 1 to 5, not 6"),
        (1, 0, "a size of 1 to 7, not 0"),
        (1, 8, "a size of 1 to 7, not 8"),
        (2**70, 2**71, "a size of 1 to 7"),
    ):
        with pytest.raises(ProofOutOfRange, match=allowed):
            await inclusion_proof(pool, BOOK, sequence, size)
    for first, second, allowed in (
        (0, None, "a first size of 1 to 7, not 0"),
        (8, None, "a first size of 1 to 7, not 8"),
        (6, 5, "a first size of 1 to 5, not 6"),
        (1, 0, "a second size of 1 to 7, not 0"),
        (1, 8, "a second size of 1 to 7, not 8"),
        (2**70, 2**71, "a second size of 1 to 7"),
    ):
        with pytest.raises(ProofOutOfRange, match=allowed):
            await consistency_proof(pool, BOOK, first, second)


@pytest.mark.parametrize(
    ("gone", "first_gone"), [("sequence = 4", 4), ("sequence = 1", 1), ("sequence = 7", 7), ("sequence > 5", 6)]
)
async def test_a_book_with_events_missing_is_not_proved(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", gone: str, first_gone: int
) -> None:
    await fill(ledger, 7)
    await tamper(pool, f"DELETE FROM ledger.events WHERE {gone}")
    with pytest.raises(LeavesMissing, match=f"event {first_gone} of {BOOK}"):
        await inclusion_proof(pool, BOOK, 3)
    with pytest.raises(LeavesMissing, match=f"event {first_gone} of {BOOK}"):
        await consistency_proof(pool, BOOK, 3)


async def test_the_size_and_the_leaves_are_of_one_moment(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(ledger, 7)
    entries = await bodies(pool)
    original = proofs_module._head
    seen: list[str] = []

    async def head_then_loss(connection: Any, book: str) -> int:
        head = await original(connection, book)
        seen.append(await connection.fetchval("SHOW transaction_read_only"))
        await tamper(pool, "DELETE FROM ledger.events WHERE sequence = 5")
        return head

    monkeypatch.setattr(proofs_module, "_head", head_then_loss)
    async with pool.acquire() as connection:
        proof = await inclusion_proof(connection, BOOK, 3)
    assert proof.hashes == tuple(path_by_definition(2, entries))
    assert seen == ["on"]


async def test_the_connection_is_given_back_outside_a_transaction(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await fill(ledger, 3)
    async with pool.acquire() as connection:
        with pytest.raises(ProofOutOfRange):
            await inclusion_proof(connection, BOOK, 4)
        assert not connection.is_in_transaction()
        assert (await inclusion_proof(connection, BOOK, 3)).size == 3
        assert not connection.is_in_transaction()


async def test_a_proof_over_a_book_of_any_length_takes_constant_memory(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs_module, "LEAVES_PER_FETCH", 500)

    async def peak_bytes() -> int:
        tracemalloc.start()
        try:
            await inclusion_proof(pool, BOOK, 1)
            await consistency_proof(pool, BOOK, 1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await fill(ledger, 2_000)
    await peak_bytes()
    small = await peak_bytes()
    await fill(ledger, 8_000, prefix="more")
    assert await peak_bytes() < small * 1.5
