"""What we sign and prove, checked by programs that share no code with us: Go's sumdb/note and transparency-dev's.

`tests/independent/` holds them. They are built here, with the modules that their go.sum pins; where Go is missing, or
its modules cannot be had, a user's machine skips this with the reason and CI fails.
"""

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import verifier_key
from ledger.cosignature import cosign, cosigned_at, with_line, witness_key, witness_of
from ledger.proofs import consistency_proof, inclusion_proof
from ledger.rotation import rotate
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from tests.go_programs import built
from tests.ledger.appends import BOOK, fill

PROGRAMS = Path(__file__).parent.parent / "independent"
KEY, NEW_KEY, WITNESS_KEY = (bytes([number] * 32) for number in range(1, 4))
ORIGIN, WITNESS = "xunji.example", "witness.example/w1"
SIZES = (1, 2, 3, 4, 7, 8, 20, 33)
Build = Callable[[str, tuple[int, int]], Path]
Document = dict[str, Any]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build one of the programs, once, with a Go of at least a version."""

    @cache
    def make(name: str, oldest: tuple[int, int]) -> Path:
        return built(PROGRAMS / name, tmp_path_factory.mktemp("independent"), oldest)

    return make


@pytest.fixture
def proofs(build: Build) -> Path:
    return build("proofs", (1, 18))


@pytest.fixture
def cosignatures(build: Build) -> Path:
    return build("cosignatures", (1, 24))


def run(program: Path, document: Document) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([program], input=json.dumps(document), capture_output=True, text=True, check=False)


def our_key(key: bytes) -> str:
    return verifier_key(f"{ORIGIN}/{BOOK}", public_key_of(key))


async def grown(ledger: Ledger, pool: "asyncpg.Pool[Any]", directory: Path) -> None:
    """A book that was sealed at SIZES; at 8 the signing key was handed over."""
    key, before = KEY, 0
    for size in SIZES:
        await fill(ledger, size - before, prefix=f"to-{size}")
        await Sealer(pool, key, ORIGIN, directory).seal_due()
        if size == 8:
            await rotate(pool, old_key=KEY, new_key=NEW_KEY, origin=ORIGIN, directory=directory)
            key = NEW_KEY
        before = size


async def everything(pool: "asyncpg.Pool[Any]") -> Document:
    """All events, checkpoints, and every proof between the signed sizes."""
    events = await pool.fetch("SELECT body FROM ledger.events WHERE book = $1 ORDER BY sequence", BOOK)
    notes = await pool.fetch("SELECT note FROM ledger.checkpoints WHERE book = $1 ORDER BY size", BOOK)
    inclusion = [await inclusion_proof(pool, BOOK, at, size) for size in SIZES for at in range(1, size + 1)]
    consistency = [
        await consistency_proof(pool, BOOK, first, second) for second in SIZES for first in SIZES if first <= second
    ]
    return {
        "verifier_keys": [our_key(KEY), our_key(NEW_KEY)],
        "checkpoints": [row["note"] for row in notes],
        "events": [row["body"].decode() for row in events],
        "inclusion": [
            {
                "event": events[each.sequence - 1]["body"].decode(),
                "sequence": each.sequence,
                "size": each.size,
                "hashes": [one.hex() for one in each.hashes],
            }
            for each in inclusion
        ],
        "consistency": [
            {"first": each.first, "second": each.second, "hashes": [one.hex() for one in each.hashes]}
            for each in consistency
        ],
    }


async def test_checkpoints_roots_and_proofs_hold_for_others(
    proofs: Path, ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await grown(ledger, pool, tmp_path)
    document = await everything(pool)
    found = run(proofs, document)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert [line for line in lines if line.startswith("checkpoint")] == [f"checkpoint {size}" for size in SIZES]
    assert sorted(line for line in lines if line.startswith("root")) == sorted(f"root {size}" for size in SIZES)
    assert len([line for line in lines if line.startswith("inclusion")]) == sum(SIZES)
    assert len([line for line in lines if line.startswith("consistency")]) == len(SIZES) * (len(SIZES) + 1) // 2


async def test_what_does_not_hold_for_us_does_not_for_others(
    proofs: Path, ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    """Without this a program that says yes to everything would do."""
    await grown(ledger, pool, tmp_path)
    whole = json.dumps(await everything(pool))

    def refused(change: Callable[[Document], None]) -> str:
        document: Document = json.loads(whole)
        change(document)
        found = run(proofs, document)
        assert found.returncode == 1
        return found.stderr

    def other_event(document: Document) -> None:
        document["inclusion"][9]["event"] += " "

    def other_hash(document: Document) -> None:
        proof = document["consistency"][-2]
        proof["hashes"][0] = "00" * 32

    def other_key(document: Document) -> None:
        document["verifier_keys"] = [our_key(WITNESS_KEY)]

    def only_the_old_key(document: Document) -> None:
        document["verifier_keys"] = [our_key(KEY)]

    def changed_checkpoint(document: Document) -> None:
        document["checkpoints"][3] = document["checkpoints"][3].replace("time 2", "time 3")

    def changed_past(document: Document) -> None:
        document["events"][2] = document["events"][3]

    assert "inclusion of" in refused(other_event)
    assert "consistency of" in refused(other_hash)
    for change in (other_key, only_the_old_key, changed_checkpoint):
        assert "note:" in refused(change)
    assert "root of" in refused(changed_past)


async def test_our_cosignatures_hold_for_others_and_theirs_for_us(
    cosignatures: Path, ledger: Ledger, pool: "asyncpg.Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, 5)
    await Sealer(pool, KEY, ORIGIN, tmp_path).seal_due()
    note = await pool.fetchval("SELECT note FROM ledger.checkpoints")
    signer = Ed25519PrivateKey.from_private_bytes(WITNESS_KEY)
    public = witness_key(WITNESS, signer.public_key())
    at = datetime(2026, 11, 24, 8, 0, 1, tzinfo=UTC)
    ours = with_line(note, cosign(note, WITNESS, signer, at))
    document = {"verifier_key": our_key(KEY), "witness_key": public, "checkpoints": [ours]}
    found = run(cosignatures, document)
    assert (found.returncode, found.stdout) == (0, f"{int(at.timestamp())}\n"), found.stderr
    forged = with_line(note, cosign(note.replace("\n5\n", "\n6\n"), WITNESS, signer, at))
    assert run(cosignatures, {**document, "checkpoints": [forged]}).returncode == 1
    name, key_hash, _ = public.split("+", 2)
    secret = f"PRIVATE+KEY+{name}+{key_hash}+{base64.b64encode(bytes([1]) + WITNESS_KEY).decode()}"
    theirs = run(cosignatures, {"verifier_key": our_key(KEY), "secret_key": secret, "checkpoints": [note]})
    assert theirs.returncode == 0, theirs.stderr
    assert cosigned_at(with_line(note, theirs.stdout), witness_of(public)) is not None
