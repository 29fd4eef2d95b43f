"""Closing a book: from then on it holds what it holds.

    open ──close──► closed ──detach──► detached
                      ▲                   │
                      └──────attach───────┘          see `ledger.detaching`

The database keeps a closed book closed (`ledger/sql/036_procedures.sql`): its head row cannot move, whoever appends and
by whatever path. Every step is a row of `ledger.procedures`, written in the transaction of the step itself.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from ledger.errors import AppendRejected, BookClosed, BookNotSealed, BookUnknown, InvalidProcedure
from ledger.schema import AnyConnection
from ledger.seal import SEAL_INTERVAL_S, Sealer

CLOSED_CONSTRAINT: Final = "book_is_closed"
SEAL_ATTEMPTS: Final = 20
"""So often a closed book is looked at for its checkpoint: another process may be sealing at that moment."""

MAX_REASON_LENGTH: Final = 500
_ACTOR: Final = re.compile(r"[a-z0-9][a-z0-9._:@/-]{0,99}")
_FAILING_BOOK: Final = re.compile(r"\(([a-z0-9][a-z0-9._-]{0,99}),")


@dataclass(frozen=True, slots=True)
class Closing:
    """A book was closed by `actor` for `reason`, with `size` events; `root_hex` is the root signed over them."""

    book: str
    size: int
    actor: str
    reason: str
    closed_at: datetime
    root_hex: str


def named(error: AppendRejected) -> AppendRejected:
    """The same refusal by its name, when the database refused because the book is closed."""
    cause = error.__cause__
    if not isinstance(cause, asyncpg.CheckViolationError) or cause.constraint_name != CLOSED_CONSTRAINT:
        return error
    # PostgreSQL shows the row that would have been, and the name of the book is its first column.
    found = _FAILING_BOOK.search(cause.detail or "")
    book = found.group(1) if found else ""
    return BookClosed(f"the book {book or 'appended to'} is closed: append to another one", book)


async def close_book(pool: "asyncpg.Pool[Any]", sealer: Sealer, book: str, *, actor: str, reason: str) -> Closing:
    """Close a book and seal it at once, as the owner of the ledger's tables. Appends under way are waited for.

    `actor` is an account (`operator:ci`), `reason` a sentence that names nobody. Closing it again changes nothing and
    gives who closed it first. Raises BookUnknown, InvalidProcedure, BookNotSealed, SealRefused, and asyncpg's errors.
    """
    check_words(actor, reason)
    async with pool.acquire() as connection, connection.transaction():
        size = await connection.fetchval("SELECT sequence FROM ledger.books WHERE book = $1 FOR UPDATE", book)
        if not size:
            raise BookUnknown(f"there is no book {book} with events in it")
        if await _closing(connection, book) is None:
            await connection.execute("UPDATE ledger.books SET closed_size = sequence WHERE book = $1", book)
            await connection.execute(
                "INSERT INTO ledger.procedures (book, act, actor, reason, size) VALUES ($1, 'closed', $2, $3, $4)",
                book,
                actor,
                reason,
                size,
            )
    root = await _sealed_root(pool, sealer, book, size)
    closing = await _closing(pool, book)
    assert closing is not None, "it was recorded above, or earlier, and is never taken away"
    return Closing(book, closing["size"], closing["actor"], closing["reason"], closing["at"], root.hex())


def check_words(actor: str, reason: str) -> None:
    """Raise InvalidProcedure unless `actor` is an account's name and `reason` a short text."""
    if _ACTOR.fullmatch(actor) is None:
        raise InvalidProcedure("the actor is an account such as operator:ci: 1 to 100 of a-z, 0-9 and . _ : @ / -")
    if not 1 <= len(reason.strip()) <= MAX_REASON_LENGTH:
        raise InvalidProcedure(f"the reason is a text of 1 to {MAX_REASON_LENGTH} characters")


async def _closing(database: "asyncpg.Pool[Any] | AnyConnection", book: str) -> Any:
    return await database.fetchrow(
        "SELECT actor, reason, at, size FROM ledger.procedures WHERE book = $1 AND act = 'closed'", book
    )


async def _sealed_root(pool: "asyncpg.Pool[Any]", sealer: Sealer, book: str, size: int) -> bytes:
    for attempt in range(SEAL_ATTEMPTS):
        root: bytes | None = await pool.fetchval(
            "SELECT root FROM ledger.checkpoints WHERE book = $1 AND size = $2", book, size
        )
        if root is not None:
            return root
        if attempt:
            await asyncio.sleep(SEAL_INTERVAL_S)
        await sealer.seal_due()
    raise BookNotSealed(f"{book} is closed with {size} events, and no checkpoint covers them: look at the sealer's log")
