"""Seal every book: sign how long it is and what its root is, within a second of each append.

A pass looks for books whose head has moved since their last checkpoint, adds the new leaves to the book's frontier,
signs the root, stores the checkpoint and writes it to a file outside the database. Passes of several processes do not
overlap: an advisory lock makes one of them the leader, pass by pass.

The sealer signs nothing that contradicts what was signed before. A book that has become shorter, a checkpoint in the
database that it has not signed, or a file that is ahead of the database is refused, loudly, until somebody has looked.
It does not sign with a key that was handed over to another one either; see `ledger.rotation`.
"""

import asyncio
import logging
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.checkpoint import Checkpoint, origin_of, sign
from ledger.errors import DATABASE_LOST, CheckpointError, InvalidProofInput, SealRefused
from ledger.keyring import Keyring, read_database, read_directory, succession_file
from ledger.merkle import Frontier
from ledger.schema import LOCK_CLASS, SEALING_LOCK, AnyConnection

SEAL_INTERVAL_S: Final = 0.5
"""The pause between two passes, which leaves the other half of a second for the pass itself."""

LEAVES_PER_FETCH: Final = 5_000
MAX_BOOKS_PER_PASS: Final = 1_000
FILE_SUFFIX: Final = ".checkpoint"

MAX_WAITS: Final = 60
"""So many pauses `seal_now` leaves another process for its pass."""

_NEWEST: Final = """
SELECT DISTINCT ON (book) book, size, root, sealed_at FROM ledger.checkpoints ORDER BY book, size DESC LIMIT $1
"""
_DUE: Final = """
SELECT b.book, b.sequence AS head, c.size, c.root, c.note, c.frontier
FROM ledger.books b
LEFT JOIN LATERAL (
    SELECT size, root, note, frontier FROM ledger.checkpoints WHERE book = b.book ORDER BY size DESC LIMIT 1
) c ON true
WHERE b.sequence <> coalesce(c.size, 0)
ORDER BY b.book
LIMIT $1
"""

_log = logging.getLogger(__name__)


def public_key_of(signing_key: bytes) -> Ed25519PublicKey:
    """Give the public half of a signing key (the 32 bytes of an ed25519 seed), with which books are verified."""
    return Ed25519PrivateKey.from_private_bytes(signing_key).public_key()


def checkpoint_file(directory: Path, book: str) -> Path:
    """Give the file that holds a book's last checkpoint. Names of books are safe names of files."""
    return directory / f"{book}{FILE_SUFFIX}"


@dataclass(frozen=True, slots=True)
class SealedBook:
    """The newest checkpoint of a book; `is_new` if it was signed by the call that tells it."""

    book: str
    size: int
    root_hex: str
    sealed_at: datetime
    is_new: bool


class Sealer:
    """Signs checkpoints with `signing_key` (an ed25519 seed of 32 bytes) in the name `origin`/book.

    While `previous_key` is given too, both sign: whoever knows only one of them can check what is signed meanwhile.
    The last checkpoint of each book also stands in `directory`, which ought to be on other storage than the database.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        signing_key: bytes,
        origin: str,
        directory: Path,
        previous_key: bytes | None = None,
    ) -> None:
        self._pool = pool
        seeds = [signing_key] if previous_key is None else [signing_key, previous_key]
        self._signing_keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]
        self._keyring = Keyring([key.public_key() for key in self._signing_keys])
        self._origin = origin
        self._directory = directory
        self._frontiers: dict[str, Frontier] = {}
        # Notes that are in the database and not yet in their files; None until the first pass has compared them.
        self._unwritten: dict[str, str] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Seal what is due until `stop` is set. A lost database and refused books are logged; passes go on."""
        complaint = ""
        while not stop.is_set():
            try:
                await self.seal_due()
                complaint = ""
            except (*DATABASE_LOST, SealRefused) as error:
                # The same trouble is told once and not twice a second.
                if str(error) != complaint:
                    complaint = str(error)
                    _log.error("sealing failed: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), SEAL_INTERVAL_S)
            except TimeoutError:
                continue

    async def seal_due(self) -> list[Checkpoint]:
        """Seal each book whose head has moved, and give the new checkpoints; none while another process seals.

        Raises SealRefused, after the other books are sealed, when a book contradicts what was signed before.
        """
        sealed: list[Checkpoint] = []
        refusals: list[str] = []
        unwritten = await self._find_unwritten() if self._unwritten is None else self._unwritten
        if await self._pool.fetch(_DUE, 1):
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", LOCK_CLASS, SEALING_LOCK):
                    sealed, notes, refusals = await self.seal_under_lock(connection)
                    unwritten |= notes
        self._unwritten = unwritten
        for book, note in list(unwritten.items()):
            await asyncio.to_thread(write_atomically, checkpoint_file(self._directory, book), note)
            del unwritten[book]
        if refusals:
            raise SealRefused("; ".join(refusals))
        return sealed

    async def seal_under_lock(self, connection: AnyConnection) -> tuple[list[Checkpoint], dict[str, str], list[str]]:
        """Seal what is due in the caller's transaction, which holds SEALING_LOCK.

        Gives the new checkpoints, their notes by book, which the caller writes to their files after the commit, and
        what was refused, in words.
        """
        await self._follow_successions(connection)
        sealed: list[Checkpoint] = []
        notes: dict[str, str] = {}
        refusals: list[str] = []
        for row in await connection.fetch(_DUE, MAX_BOOKS_PER_PASS):
            try:
                checkpoint, notes[row["book"]] = await self._seal(connection, row)
                sealed.append(checkpoint)
            except (CheckpointError, InvalidProofInput) as error:
                refusals.append(f"{row['book']}: {error}")
        return sealed, notes, refusals

    async def _follow_successions(self, connection: AnyConnection) -> None:
        try:
            found = [*await read_database(connection), *await asyncio.to_thread(read_directory, self._directory)]
            self._keyring = Keyring([key.public_key() for key in self._signing_keys], found)
        except CheckpointError as error:
            raise SealRefused(f"a note of succession is not what both keys signed: {error}") from error
        if not any(self._keyring.counts(key.public_key()) for key in self._signing_keys):
            raise SealRefused(
                "this process has a signing key that was handed over to another one: give it the new key, and start "
                "it again"
            )
        for each in found:
            path = succession_file(self._directory, each.number)
            if not path.exists():
                await asyncio.to_thread(write_atomically, path, each.note)

    async def _find_unwritten(self) -> dict[str, str]:
        # A crash between the commit and the file leaves the file behind, perhaps for as long as the book rests.
        rows = await self._pool.fetch(
            "SELECT DISTINCT ON (book) book, size, note FROM ledger.checkpoints ORDER BY book, size DESC LIMIT $1",
            MAX_BOOKS_PER_PASS,
        )
        return {row["book"]: row["note"] for row in rows if not checkpoint_file(self._directory, row["book"]).exists()}

    async def _seal(self, connection: AnyConnection, row: Any) -> tuple[Checkpoint, str]:
        book, head = row["book"], row["head"]
        self._compare_with_file(book, head)
        known = self._frontiers.get(book)
        if known is None:
            known = self._restore(row)
        signed = max(known.size, row["size"] or 0)
        if signed > head:
            raise SealRefused(f"{signed} events were signed and {head} are left")
        # A pass that fails leaves the known frontier where it was.
        frontier = Frontier.restore(known.size, known.encode())
        await _extend(connection, book, frontier, head)
        self._frontiers[book] = frontier
        checkpoint = Checkpoint(origin_of(self._origin, book), head, frontier.root(), datetime.now(UTC))
        note = sign(checkpoint, *self._signing_keys)
        await connection.execute(
            "INSERT INTO ledger.checkpoints (book, size, root, sealed_at, note, frontier) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            book,
            checkpoint.size,
            checkpoint.root,
            checkpoint.sealed_at,
            note,
            frontier.encode(),
        )
        return checkpoint, note

    def _restore(self, row: Any) -> Frontier:
        # Only a frontier that adds up to a root under our own signature is gone on from: otherwise a forged
        # checkpoint in the database would have the sealer sign a forged history.
        if row["size"] is None:
            return Frontier()
        signed = self._keyring.open(row["note"])
        frontier = Frontier.restore(signed.size, row["frontier"])
        stored = Checkpoint(origin_of(self._origin, row["book"]), row["size"], row["root"], signed.sealed_at)
        if signed != stored or frontier.root() != signed.root:
            raise SealRefused("the last checkpoint in the database is not the one that was signed")
        return frontier

    def _compare_with_file(self, book: str, head: int) -> None:
        path = checkpoint_file(self._directory, book)
        try:
            note = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except UnicodeDecodeError as error:
            raise SealRefused(f"{path} is not a checkpoint; look at it and move it away") from error
        try:
            outside = self._keyring.open(note)
        except CheckpointError as error:
            raise SealRefused(f"{path} is not a checkpoint of this key; look at it and move it away") from error
        if outside.size > head:
            raise SealRefused(f"{path} says that {outside.size} events were signed, and {head} are left")


async def seal_now(pool: "asyncpg.Pool[Any]", sealer: Sealer) -> list[SealedBook]:
    """Seal what is due, or wait until another process has, and give the newest checkpoint of each book.

    Raises SealRefused when a book contradicts what was signed before, or another process keeps the lock for long.
    """
    wanted = {row["book"]: row["head"] for row in await pool.fetch(_DUE, MAX_BOOKS_PER_PASS)}
    sealed = await sealer.seal_due()
    for _ in range(MAX_WAITS):
        rows = await pool.fetch(_NEWEST, MAX_BOOKS_PER_PASS)
        covered = {row["book"]: row["size"] for row in rows}
        if all(covered.get(book, 0) >= head for book, head in wanted.items()):
            mine = {(each.origin.rpartition("/")[2], each.size) for each in sealed}
            return [
                SealedBook(
                    row["book"], row["size"], row["root"].hex(), row["sealed_at"], (row["book"], row["size"]) in mine
                )
                for row in rows
            ]
        await asyncio.sleep(SEAL_INTERVAL_S)
        sealed += await sealer.seal_due()
    raise SealRefused("another process holds the sealing lock and does not seal: look at the workers' logs")


async def _extend(connection: AnyConnection, book: str, frontier: Frontier, head: int) -> None:
    leaves = await connection.cursor(
        "SELECT sequence, leaf_hash FROM ledger.events WHERE book = $1 AND sequence > $2 AND sequence <= $3 "
        "ORDER BY sequence",
        book,
        frontier.size,
        head,
    )
    while rows := await leaves.fetch(LEAVES_PER_FETCH):
        for expected, row in enumerate(rows, start=frontier.size + 1):
            if row["sequence"] != expected:
                raise SealRefused(f"event {expected} is missing")
        frontier.extend([row["leaf_hash"] for row in rows])
    if frontier.size != head:
        raise SealRefused(f"event {frontier.size + 1} is missing")


def write_atomically(path: Path, text: str) -> None:
    """Write a file and see it safely on its storage."""
    # Readers find the old file or the new one, never half of one, even after a power failure.
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
