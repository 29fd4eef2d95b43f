"""What an auditor needs who does not trust us: signed roots, the keys behind them, and proofs.

Signed roots and public keys are for everybody. A proof holds hashes only, never an event: a leaf's hash tells nothing
of the event to whoever does not have its bytes, which hold an id of 74 random bits. It still takes a key with the
scope `ledger:audit`, because the length of a book and the work of a proof are not everybody's. The bytes of events
come with `xunji ledger export`, from the bureau's own hands.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, Field

from api import problem_types
from api.permissions import Caller
from api.problems import Problem, documented, not_found
from api.routing import public_router, router
from api.services import ServicesHere, allowed
from api.validation import Fault
from ledger.keyring import read_database
from ledger.proofs import (
    ConsistencyProof,
    InclusionProof,
    LeavesMissing,
    ProofOutOfRange,
    UnknownBook,
    consistency_proof,
    inclusion_proof,
)
from ledger_trust import keyring_of, public_key_text

routes = public_router("/v1/ledger", "ledger")
proofs = router("/v1/ledger", "ledger")

MAX_SIZE: Final = 2**53 - 1
CONCURRENT_PROOFS: Final = 2
"""A proof reads the hashes of a whole book; more of them at once would take the database from everybody else."""

BookName = Annotated[
    str,
    Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, description="For example `2022-zhengzhou` or `people`."),
]
Auditor = Annotated[Caller, allowed("ledger:audit")]
Count = Annotated[int, Query(ge=1, le=MAX_SIZE)]
Proof = TypeVar("Proof", InclusionProof, ConsistencyProof)
_CHECKPOINT: Final = """
SELECT size, root, sealed_at, note, (
    SELECT coalesce(string_agg(line, '' ORDER BY witness), '')
    FROM ledger.cosignatures s WHERE s.book = c.book AND s.size = c.size) AS lines
FROM ledger.checkpoints c WHERE book = $1 AND ($2::bigint IS NULL OR size = $2) ORDER BY size DESC LIMIT 1
"""
_turn = asyncio.Semaphore(CONCURRENT_PROOFS)


class CheckpointOut(BaseModel):
    """A checkpoint. `note` is the C2SP signed note, from which everything else here is read."""

    book: str
    size: int = Field(description="Events that it covers.")
    root: str = Field(description="The RFC 6962 Merkle root, in hex.")
    sealed_at: datetime
    note: str = Field(description="With the signatures of the witnesses that have countersigned it so far.")


class LedgerKeysOut(BaseModel):
    """Whose signatures count. Compare `public_keys` with what you have from us by another way."""

    origin: str = Field(description="The name in the first line of each checkpoint, before the book's.")
    public_keys: list[str] = Field(description="Ed25519, base64 of 32 bytes; two while one key follows another.")
    successions: list[str] = Field(description="The notes by which a key followed another, signed by both.")
    witness: str | None = Field(description="The verifier key under which this instance countersigns for others.")


class InclusionOut(BaseModel):
    """The event is among the first `size` ones; `hashes` lead from its leaf to the root, in hex (RFC 6962)."""

    book: str
    sequence: int
    size: int
    leaf_hash: str = Field(description="SHA-256 of a zero byte and the event's canonical bytes.")
    hashes: list[str]
    checkpoint: str | None = Field(description="The signed note of this size; null if none was signed there.")


class ConsistencyOut(BaseModel):
    """The book of `to` events begins with the book of `from` events; `hashes` are in hex (RFC 6962)."""

    book: str
    from_: int = Field(alias="from", serialization_alias="from")
    to: int
    hashes: list[str]
    checkpoints: list[str | None] = Field(description="The signed notes of both sizes; null where none was signed.")


@routes.get(
    "/keys",
    operation_id="get_ledger_keys",
    summary="Read the public keys of the ledger",
    responses=documented(),
)
async def get_ledger_keys(services: ServicesHere) -> LedgerKeysOut:
    """An auditor who holds an earlier key follows it to the present one by the notes of succession."""
    keyring = keyring_of(services.settings).with_successions(await read_database(services.pool))
    return LedgerKeysOut(
        origin=services.settings.ledger_origin,
        public_keys=[public_key_text(key) for key in keyring.present_keys()],
        successions=[each.note for each in keyring.successions],
        witness=services.witness.verifier_key if services.witness is not None else None,
    )


@routes.get(
    "/{book}/checkpoint",
    operation_id="get_checkpoint",
    summary="Read a book's signed root",
    responses=documented(404),
)
async def get_checkpoint(
    book: BookName,
    services: ServicesHere,
    size: Annotated[Count | None, Query(description="Of the checkpoint; the newest one when left out.")] = None,
) -> CheckpointOut:
    """Signed at least every second while the book grows."""
    row = await services.pool.fetchrow(_CHECKPOINT, book, size)
    if row is None:
        raise not_found("checkpoint of the book", book)
    return CheckpointOut(
        book=book,
        size=row["size"],
        root=row["root"].hex(),
        sealed_at=row["sealed_at"],
        note=row["note"] + row["lines"],
    )


@proofs.get(
    "/{book}/proofs/inclusion",
    operation_id="prove_inclusion",
    summary="Prove that an event is in a book",
    responses=documented(404, 409),
)
async def prove_inclusion(
    book: BookName,
    caller: Auditor,
    services: ServicesHere,
    sequence: Annotated[Count, Query(description="Of the event, from 1.")],
    size: Annotated[Count | None, Query(description="Of the checkpoint; the newest one when left out.")] = None,
) -> InclusionOut:
    """The proof holds the event's leaf hash, not the event: whoever has its bytes hashes and compares them."""
    wanted = size if size is not None else await _newest_size(services.pool, book)
    proof = await _prove(book, lambda: inclusion_proof(services.pool, book, sequence, wanted))
    return InclusionOut(
        book=book,
        sequence=proof.sequence,
        size=proof.size,
        leaf_hash=proof.leaf_hash.hex(),
        hashes=[one.hex() for one in proof.hashes],
        checkpoint=await _note(services.pool, book, proof.size),
    )


@proofs.get(
    "/{book}/proofs/consistency",
    operation_id="prove_consistency",
    summary="Prove that a book only grew",
    responses=documented(404, 409),
)
async def prove_consistency(
    book: BookName,
    caller: Auditor,
    services: ServicesHere,
    from_: Annotated[Count, Query(alias="from", description="The size of the earlier checkpoint.")],
    to: Annotated[Count | None, Query(description="The size of the later one; the newest when left out.")] = None,
) -> ConsistencyOut:
    """Whoever kept a checkpoint sees that everything it covered is still there, unchanged."""
    second = to if to is not None else await _newest_size(services.pool, book)
    proof = await _prove(book, lambda: consistency_proof(services.pool, book, from_, second))
    return ConsistencyOut(
        **{"from": proof.first},
        book=book,
        to=proof.second,
        hashes=[one.hex() for one in proof.hashes],
        checkpoints=[await _note(services.pool, book, each) for each in (proof.first, proof.second)],
    )


async def _prove(book: str, make: Callable[[], Awaitable[Proof]]) -> Proof:
    try:
        async with _turn:
            return await make()
    except UnknownBook:
        raise not_found("book", book) from None
    except ProofOutOfRange as error:
        raise Problem(
            problem_types.OUT_OF_RANGE,
            Fault(
                "proof_out_of_range",
                str(error),
                "账本没有该序号或长度。",
                "Take sizes from signed checkpoints, and a sequence not beyond them.",
                "请使用检查点中的长度，序号不得超过该长度。",
            ),
        ) from None
    except LeavesMissing as error:
        raise Problem(
            problem_types.LEDGER_DAMAGED,
            Fault(
                "ledger_damaged",
                str(error),
                "账本缺少已记录的内容。",
                "Keep your checkpoints. Operators: `xunji ledger verify` names what is missing.",
                "请保留已有的检查点。运维：`xunji ledger verify` 会指出缺失的内容。",
            ),
        ) from None


async def _newest_size(pool: Any, book: str) -> int:
    row = await pool.fetchrow(_CHECKPOINT, book, None)
    if row is None:
        raise not_found("checkpoint of the book", book)
    return int(row["size"])


async def _note(pool: Any, book: str, size: int) -> str | None:
    row = await pool.fetchrow(_CHECKPOINT, book, size)
    return None if row is None else str(row["note"] + row["lines"])
