"""Be a witness of other ledgers: countersign a checkpoint when it holds everything that was countersigned before.

This is the server's half of C2SP tlog-witness; `ledger.witness_client` is the other. What a witness knows of a log is
the longest tree that it countersigned. One row per log holds it, is compared and moved forward under its lock, and is
on disk before the answer goes out: of two contradicting trees of one size at most one is ever countersigned, whoever
asks at the same time, and after a crash too.
"""

import base64
import binascii
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.checkpoint import MAX_NOTE_CHARACTERS, is_signed_by
from ledger.cosignature import Head, cosign, read_head, witness_key
from ledger.errors import MalformedCheckpoint, WitnessError
from ledger.merkle import HASH_BYTES
from ledger.proofs import ProofRejected, verify_consistency

MAX_PROOF_LINES: Final = 63
MAX_REQUEST_CHARACTERS: Final = MAX_NOTE_CHARACTERS + 4_000

_OLD: Final = re.compile(r"old ([1-9][0-9]{0,18}|0)")
_BOOK: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_FIRST_TIME: Final = """
INSERT INTO ledger.witnessed (origin, size, root, note) VALUES ($1, 0, sha256(''), '') ON CONFLICT DO NOTHING
"""
_LATEST: Final = "SELECT size, root FROM ledger.witnessed WHERE origin = $1 FOR UPDATE"
_MOVE_FORWARD: Final = """
UPDATE ledger.witnessed SET size = $2, root = $3, note = $4, cosigned_at = $5 WHERE origin = $1
"""

_log = logging.getLogger(__name__)


class MalformedRequest(WitnessError):
    """The request is not one of the protocol, or its old size is beyond the checkpoint's."""


class UnknownLog(WitnessError):
    """This witness does not know the log of that origin."""


class NotSigned(WitnessError):
    """No key of the log has signed the checkpoint."""


class OtherSize(WitnessError):
    """The witness has countersigned another size than the request begins at, or another tree of the same size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the longest tree that this witness has countersigned has {size} leaves")
        self.size = size


class NotConsistent(WitnessError):
    """The proof does not show that the checkpoint's tree begins with the one that was countersigned before."""


@dataclass(frozen=True, slots=True)
class Request:
    """`proof` shows that the tree of `checkpoint`, a signed note, begins with the one of `old_size` leaves."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: str

    def text(self) -> str:
        """Give the body of an add-checkpoint request."""
        lines = [f"old {self.old_size}", *(base64.b64encode(one).decode() for one in self.proof), "", self.checkpoint]
        return "\n".join(lines)


def read_request(text: str) -> Request:
    """Read the body of an add-checkpoint request. Raises MalformedRequest."""
    if len(text) > MAX_REQUEST_CHARACTERS:
        raise MalformedRequest(f"{len(text)} characters; at most {MAX_REQUEST_CHARACTERS} are read")
    head, separator, checkpoint = text.partition("\n\n")
    first, *encoded = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not separator or len(encoded) > MAX_PROOF_LINES:
        raise MalformedRequest(
            f'send a line "old N", at most {MAX_PROOF_LINES} hashes of the proof, an empty line, and the checkpoint'
        )
    try:
        proof = tuple(base64.b64decode(line, validate=True) for line in encoded)
    except (ValueError, binascii.Error):
        proof = (b"",)
    if any(len(one) != HASH_BYTES for one in proof):
        raise MalformedRequest(f"each line of the proof is the base64 of {HASH_BYTES} bytes")
    return Request(int(old[1]), proof, checkpoint)


class WitnessService:
    """Countersigns as `name`, with `signing_key` (an ed25519 seed of 32 bytes), for the logs of `logs`.

    `logs` gives, by origin, the public keys whose signatures count. The origin of one of our ledgers, which stands
    before the books' names, covers each of its books.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        name: str,
        signing_key: bytes,
        logs: Mapping[str, Sequence[Ed25519PublicKey]],
    ) -> None:
        self._pool = pool
        self._name = name
        self._signing_key = Ed25519PrivateKey.from_private_bytes(signing_key)
        self._logs = dict(logs)

    @property
    def verifier_key(self) -> str:
        """What others configure to check our cosignatures."""
        return witness_key(self._name, self._signing_key.public_key())

    async def add_checkpoint(self, text: str) -> str:
        """Countersign the checkpoint of an add-checkpoint request, and give the signature line.

        Raises MalformedRequest, UnknownLog, NotSigned, OtherSize, NotConsistent and asyncpg's errors; nothing was
        signed then.
        """
        request = read_request(text)
        try:
            head = read_head(request.checkpoint)
        except MalformedCheckpoint as error:
            raise MalformedRequest(str(error)) from error
        keys = self._keys_of(head.origin)
        if not any(is_signed_by(request.checkpoint, head.origin, key) for key in keys):
            raise NotSigned("no key of this log has signed the checkpoint")
        if request.old_size > head.size:
            raise MalformedRequest(f"the old size {request.old_size} is beyond the checkpoint's {head.size}")
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_FIRST_TIME, head.origin)
            latest = await connection.fetchrow(_LATEST, head.origin)
            assert latest is not None, "the row was made above"
            self._compare(request, head, latest["size"], latest["root"])
            now = datetime.now(UTC)
            line = cosign(request.checkpoint, self._name, self._signing_key, now)
            await connection.execute(_MOVE_FORWARD, head.origin, head.size, head.root, request.checkpoint, now)
        return line

    def _keys_of(self, origin: str) -> Sequence[Ed25519PublicKey]:
        if origin in self._logs:
            return self._logs[origin]
        ledger, _, book = origin.rpartition("/")
        if ledger in self._logs and _BOOK.fullmatch(book):
            return self._logs[ledger]
        raise UnknownLog("this witness does not know the log of this origin")

    def _compare(self, request: Request, head: Head, size: int, root: bytes) -> None:
        if request.old_size != size:
            raise OtherSize(size)
        if head.size == size and head.root != root:
            # Signed by the log, both of them: this is the proof that it shows different people different histories.
            _log.error("%s has signed two trees of %s leaves; the second: %s", head.origin, size, request.checkpoint)
            raise OtherSize(size)
        if size in (0, head.size):
            if request.proof:
                raise NotConsistent("a proof from nothing, or from a size to itself, is empty")
            return
        try:
            verify_consistency(size, head.size, request.proof, root, head.root)
        except ProofRejected as error:
            _log.error("%s: no proof from %s to a signed tree of %s leaves", head.origin, size, head.size)
            raise NotConsistent(str(error)) from error
