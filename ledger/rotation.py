"""Hand the ledger over to a new signing key: seal every book with the old one, and have both keys sign where each is.

    1. The new key is made, and every sealer gets both. Both sign, the old one counts.
    2. `rotate`: the note of succession is stored in the database and beside the checkpoints. The new key counts.
    3. When auditors and witnesses know the new public key, the old one is taken from the sealers.

Sealers that have only the old key go on until step 2 and refuse to sign from there on. Nothing else waits: appends go
on throughout. What the old key signed up to the sizes in the note stays good (`ledger.keyring`).
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import RotationRefused
from ledger.keyring import MAX_BOOKS, Keyring, Succession, hand_over, read_database, read_directory, succession_file
from ledger.schema import LOCK_CLASS, SEALING_LOCK, AnyConnection
from ledger.seal import Sealer, checkpoint_file, write_atomically

LOCK_TIMEOUT_S: Final = 30

_NEWEST: Final = """
SELECT DISTINCT ON (book) book, note FROM ledger.checkpoints ORDER BY book, size DESC LIMIT $1
"""


async def rotate(
    pool: "asyncpg.Pool[Any]", *, old_key: bytes, new_key: bytes, origin: str, directory: Path
) -> Succession:
    """Have `new_key` follow `old_key` (ed25519 seeds of 32 bytes) from the present size of each book on.

    Every book is sealed once more, by both, before the old key is given up. Raises RotationRefused when the keys are
    not the present one and a new one, SealRefused when a book cannot be sealed, and asyncpg's errors; nothing has
    changed then.
    """
    old, new = Ed25519PrivateKey.from_private_bytes(old_key), Ed25519PrivateKey.from_private_bytes(new_key)
    sealer = Sealer(pool, new_key, origin, directory, previous_key=old_key)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK_CLASS, SEALING_LOCK)
        known = [*await read_database(connection), *await asyncio.to_thread(read_directory, directory)]
        _refuse_wrong_keys(known, old, new)
        _, notes, refusals = await sealer.seal_under_lock(connection)
        if refusals:
            raise RotationRefused(f"a book cannot be sealed, so nothing is handed over: {'; '.join(refusals)}")
        keyring = Keyring([old.public_key()], known)
        books = await _present_books(connection, keyring)
        number = max((each.number for each in known), default=0) + 1
        succession = hand_over(origin, number, old, new, datetime.now(UTC), books)
        await connection.execute(
            "INSERT INTO ledger.successions (number, note) VALUES ($1, $2)", number, succession.note
        )
    # Should this process end here, the next pass of a sealer writes the note.
    await asyncio.to_thread(write_atomically, succession_file(directory, number), succession.note)
    for book, note in notes.items():
        await asyncio.to_thread(write_atomically, checkpoint_file(directory, book), note)
    return succession


def _refuse_wrong_keys(known: list[Succession], old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> None:
    old_raw, new_raw = old.public_key().public_bytes_raw(), new.public_key().public_bytes_raw()
    if old_raw == new_raw:
        raise RotationRefused("both keys are the same: make a new one")
    if any(each.old_key == old_raw for each in known):
        raise RotationRefused("the old key was handed over already: give the one that counts now")
    if any(new_raw in (each.old_key, each.new_key) for each in known):
        raise RotationRefused("the new key has been a signing key before: make a new one")


async def _present_books(connection: AnyConnection, keyring: Keyring) -> dict[str, tuple[int, bytes]]:
    rows = await connection.fetch(_NEWEST, MAX_BOOKS + 1)
    if len(rows) > MAX_BOOKS:
        raise RotationRefused(f"more than {MAX_BOOKS} books: detach closed ones first")
    books: dict[str, tuple[int, bytes]] = {}
    for row in rows:
        # Only what the old key has signed is vouched for by the new one.
        signed = keyring.open(row["note"])
        if signed.origin.rpartition("/")[2] != row["book"]:
            raise RotationRefused(f"the newest checkpoint of {row['book']} is of another book: verify it first")
        books[row["book"]] = (signed.size, signed.root)
    return books
