"""What stands outside the database about a book: the notes of witnesses, and of keys that were handed over.

Somebody who owns the database and a signing key can rewrite both a book and its checkpoints. What he cannot rewrite is
what others hold; `ledger.verify` compares the book with it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ledger.checkpoint import Checkpoint
from ledger.cosignature import Witness, cosigned_at
from ledger.errors import CheckpointError
from ledger.keyring import Keyring
from ledger.schema import AnyConnection
from ledger.seal import FILE_SUFFIX
from ledger.witnessing import COSIGNED_SUFFIX, cosigned_file, stored_name

WITNESS_GRACE_S: Final = 300
"""A required witness is missed when a checkpoint is older than this and it has not countersigned as much."""

COSIGNATURES_PER_FETCH: Final = 500

_COSIGNATURES: Final = """
SELECT s.size, s.line, s.cosigned_at, c.note
FROM ledger.cosignatures s LEFT JOIN ledger.checkpoints c USING (book, size)
WHERE s.book = $1 AND s.witness = $2 ORDER BY s.size
"""
_OVERDUE: Final = """
SELECT size, sealed_at FROM ledger.checkpoints WHERE book = $1 AND size > $2 ORDER BY size LIMIT 1
"""


class WitnessMissed(Exception):
    """What is wrong with a witness's signatures, in words."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The first `size` events of the book have this root, says `where`."""

    size: int
    root: bytes
    where: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What is compared with: the directory of checkpoints, the witnesses, and what these were asked just now.

    `held` gives, by book and by the name of the witness, how many events the witness says it has countersigned.
    """

    keyring: Keyring
    directory: Path | None = None
    witnesses: Sequence[Witness] = ()
    held: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def books(self) -> set[str]:
        """Give the names of all books of which anything stands outside the database."""
        names = {book for each in self.keyring.successions for book in each.books} | set(self.held)
        if self.directory is not None:
            for suffix in (FILE_SUFFIX, *(f".{each.id}{COSIGNED_SUFFIX}" for each in self.witnesses)):
                names |= {path.name.removesuffix(suffix) for path in self.directory.glob(f"[!.]*{suffix}")}
        return names

    def marks(self, book: str) -> list[Mark]:
        """Give every size with its root, by size. Raises WitnessMissed for a file that is not what it should be."""
        found = [
            Mark(size, root, f"succession {succession.number} of the signing key")
            for succession, size, root in self.keyring.handed_over(book)
        ]
        for witness in self.witnesses:
            signed = self._read_file(book, witness)
            if signed is not None:
                found.append(Mark(signed.size, signed.root, f"what the witness {witness.name} has countersigned"))
        return sorted(found, key=lambda each: each.size)

    def longest_held(self, book: str) -> tuple[str, int]:
        """Give the witness that says it has countersigned most of the book, and how many events."""
        held = self.held.get(book, {})
        return max(held.items(), key=lambda each: each[1], default=("", 0))

    async def witnessed(self, connection: AnyConnection, book: str) -> int:
        """Check every stored cosignature, and give how many events all required witnesses have countersigned.

        Raises WitnessMissed when a signature is not over its checkpoint, or a required one is overdue.
        """
        sizes: list[int] = []
        for witness in self.witnesses:
            size = await self._check(connection, book, witness)
            signed = self._read_file(book, witness)
            size = max(size, signed.size if signed else 0)
            if witness.required:
                await self._refuse_overdue(connection, book, witness, size)
                sizes.append(size)
        return min(sizes, default=0)

    async def _check(self, connection: AnyConnection, book: str, witness: Witness) -> int:
        size = 0
        rows = await connection.cursor(_COSIGNATURES, book, stored_name(witness))
        while page := await rows.fetch(COSIGNATURES_PER_FETCH):
            for row in page:
                if row["note"] is None:
                    raise WitnessMissed(
                        f"the checkpoint at {row['size']} that {witness.name} has countersigned is gone"
                    )
                text = row["note"].partition("\n\n")[0]
                at = cosigned_at(f"{text}\n\n{row['line']}", witness)
                if at is None or at != row["cosigned_at"]:
                    raise WitnessMissed(
                        f"the signature of the witness {witness.name} at {row['size']} is not over that checkpoint"
                    )
                size = row["size"]
        return size

    async def _refuse_overdue(self, connection: AnyConnection, book: str, witness: Witness, size: int) -> None:
        row = await connection.fetchrow(_OVERDUE, book, size)
        if row is not None and row["sealed_at"] < datetime.now(UTC) - timedelta(seconds=WITNESS_GRACE_S):
            raise WitnessMissed(
                f"the witness {witness.name} has countersigned {size} events, and not the checkpoint at {row['size']} "
                f"of {row['sealed_at']:%Y-%m-%d %H:%M}Z: see that it is asked"
            )

    def _read_file(self, book: str, witness: Witness) -> Checkpoint | None:
        if self.directory is None:
            return None
        path = cosigned_file(self.directory, book, witness)
        note: str | None = None
        with contextlib.suppress(UnicodeDecodeError):
            try:
                note = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
        if note is None or cosigned_at(note, witness) is None:
            raise WitnessMissed(f"{path} is not a checkpoint that the witness {witness.name} has countersigned")
        try:
            signed = self.keyring.open(note)
        except CheckpointError as error:
            raise WitnessMissed(f"{path} is not a checkpoint of a key that counts: {error}") from error
        if signed.origin.rpartition("/")[2] != book:
            raise WitnessMissed(f"{path} is of another book: {signed.origin}")
        return signed
