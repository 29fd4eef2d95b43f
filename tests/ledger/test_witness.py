"""A witness countersigns a ledger that only grows, remembers it, and is not talked into a second history."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint, sign
from ledger.cosignature import cosigned_at, with_line, witness_of
from ledger.merkle import Frontier, leaf_hash
from ledger.proofs import consistency_proof
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.witness import (
    MalformedRequest,
    NotConsistent,
    NotSigned,
    OtherSize,
    Request,
    UnknownLog,
    WitnessService,
    read_request,
)
from tests.ledger.appends import BOOK, fill

LOG_KEY, WITNESS_KEY, STRANGE = (bytes([number] * 32) for number in range(1, 4))
ORIGIN, NAME = "xunji.example", "witness.example/w1"
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
Pool = asyncpg.Pool


@pytest.fixture
def service(pool: "Pool[Any]") -> WitnessService:
    return WitnessService(pool, NAME, WITNESS_KEY, {ORIGIN: [public_key_of(LOG_KEY)]})


def note(size: int, prefix: str = "leaf", key: bytes = LOG_KEY, book: str = BOOK) -> str:
    frontier = Frontier()
    frontier.extend([leaf_hash(f"{prefix} {number}".encode()) for number in range(size)])
    checkpoint = Checkpoint(f"{ORIGIN}/{book}", size, frontier.root(), NOW)
    return sign(checkpoint, Ed25519PrivateKey.from_private_bytes(key))


def request(old: int, text: str, proof: Sequence[bytes] = ()) -> str:
    return Request(old, tuple(proof), text).text()


async def test_a_ledger_that_grows_is_countersigned(
    service: WitnessService, ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    sealer = Sealer(pool, LOG_KEY, ORIGIN, tmp_path)
    old, root = 0, b""
    for part, events in enumerate((1, 2, 4, 30, 1)):
        await fill(ledger, events, prefix=f"part-{part}")
        (sealed,) = await sealer.seal_due()
        signed = await pool.fetchval("SELECT note FROM ledger.checkpoints WHERE size = $1", sealed.size)
        proof = (await consistency_proof(pool, BOOK, old, sealed.size)).hashes if old else ()
        line = await service.add_checkpoint(request(old, signed, proof))
        assert cosigned_at(with_line(signed, line), witness_of(service.verifier_key)) is not None
        old, root = sealed.size, sealed.root
    kept = await pool.fetchrow("SELECT * FROM ledger.witnessed")
    assert kept is not None
    assert (kept["origin"], kept["size"], kept["root"]) == (f"{ORIGIN}/{BOOK}", 38, root)


async def test_the_same_again_is_countersigned_again(service: WitnessService) -> None:
    await service.add_checkpoint(request(0, note(5)))
    assert (await service.add_checkpoint(request(5, note(5)))).startswith(f"— {NAME} ")


@pytest.mark.parametrize("old", [0, 3, 6])
async def test_another_old_size_is_told_the_one_that_is_known(service: WitnessService, old: int) -> None:
    await service.add_checkpoint(request(0, note(5)))
    with pytest.raises(OtherSize) as told:
        await service.add_checkpoint(request(old, note(9)))
    assert told.value.size == 5


async def test_a_second_history_is_never_countersigned(service: WitnessService, pool: "Pool[Any]") -> None:
    await service.add_checkpoint(request(0, note(5)))
    other_root = read_request(request(5, note(5, "forged")))
    with pytest.raises(OtherSize):
        await service.add_checkpoint(other_root.text())
    for proof in ((), (bytes(32),), (bytes(32),) * 4, (bytes(32),) * 63):
        with pytest.raises(NotConsistent):
            await service.add_checkpoint(request(5, note(9, "forged"), proof))
    assert await pool.fetchval("SELECT size FROM ledger.witnessed") == 5


async def test_a_rolled_back_ledger_is_told_what_was_countersigned(service: WitnessService) -> None:
    await service.add_checkpoint(request(0, note(9)))
    with pytest.raises(OtherSize) as told:
        await service.add_checkpoint(request(0, note(5)))
    assert told.value.size == 9


async def test_of_many_at_once_each_is_consistent_with_the_one_before(
    service: WitnessService, pool: "Pool[Any]"
) -> None:
    async def once(prefix: str) -> str | None:
        try:
            return await service.add_checkpoint(request(0, note(5, prefix)))
        except OtherSize:
            return None

    answers = await asyncio.gather(*(once(f"history {number}") for number in range(12)))
    assert len([answer for answer in answers if answer is not None]) == 1
    assert await pool.fetchval("SELECT size FROM ledger.witnessed") == 5


async def test_only_known_logs_and_their_keys_count(service: WitnessService, pool: "Pool[Any]") -> None:
    with pytest.raises(NotSigned):
        await service.add_checkpoint(request(0, note(5, key=STRANGE)))
    with pytest.raises(NotSigned):
        await service.add_checkpoint(request(0, note(5).replace("\n5\n", "\n6\n")))
    for origin in ("elsewhere.example/people", f"{ORIGIN}/a/b", f"{ORIGIN}/UPPER"):
        with pytest.raises(UnknownLog):
            await service.add_checkpoint(request(0, note(5).replace(f"{ORIGIN}/{BOOK}\n", f"{origin}\n")))
    assert await pool.fetchval("SELECT count(*) FROM ledger.witnessed") == 0
    exact = WitnessService(pool, NAME, WITNESS_KEY, {f"{ORIGIN}/{BOOK}": [public_key_of(LOG_KEY)]})
    await exact.add_checkpoint(request(0, note(5)))
    with pytest.raises(UnknownLog):
        await exact.add_checkpoint(request(0, note(5, book="people")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "old 0",
        f"new 0\n\n{note(5)}",
        f"old 00\n\n{note(5)}",
        f"old -1\n\n{note(5)}",
        f"old 6\n\n{note(5)}",
        f"old 0\nAAAA\n\n{note(5)}",
        f"old 0\n!\n\n{note(5)}",
        "old 1\n" + "A" * 43 + "=\n" * 64 + f"\n{note(5)}",
        f"old 0\n\n{note(5).removesuffix(chr(10))}",
        "old 0\n\nnothing of the kind\n",
        "x" * 20_000,
    ],
)
async def test_what_is_no_request_is_refused(service: WitnessService, text: str) -> None:
    with pytest.raises(MalformedRequest):
        await service.add_checkpoint(text)


async def test_a_request_goes_out_as_it_came_in() -> None:
    sent = Request(3, (bytes(32), b"\x01" * 32), note(5))
    assert read_request(sent.text()) == sent
    assert sent.text().split("\n")[:5] == ["old 3", "A" * 43 + "=", "AQEB" * 10 + "AQE=", "", f"{ORIGIN}/{BOOK}"]


async def test_the_application_may_be_a_witness(service: WitnessService, pool: "Pool[Any]", database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2, init=_as_application) as own:
        limited = WitnessService(own, NAME, WITNESS_KEY, {ORIGIN: [public_key_of(LOG_KEY)]})
        await limited.add_checkpoint(request(0, note(5)))
    with pytest.raises(OtherSize):
        await service.add_checkpoint(request(0, note(5)))


async def _as_application(connection: Any) -> None:
    await connection.execute("SET SESSION AUTHORIZATION xunji_app")
