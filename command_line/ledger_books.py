"""`xunji ledger books | close | detach | attach`: whole books, as `docs/runbooks/closing-a-book.md` tells it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer

from command_line.exit_codes import OK
from command_line.ledger import Book, database
from command_line.progress import progress
from command_line.shared import FAILED, AsJSON, State, configured, fail, out, print_json, run
from settings import key_bytes

Actor = Annotated[str, typer.Option("--by", help="The account that does it, e.g. operator:ci. Not a person's name.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence that names nobody.")]
EVENTS_COUNTED = 2
"""Detaching and attaching read every event twice: in the export and in the database."""

_BOOKS = """
SELECT b.book, b.sequence AS size, coalesce(max(c.size), 0) AS sealed, b.closed_size IS NOT NULL AS closed,
       (SELECT p.place FROM ledger.procedures p
        WHERE p.book = b.book AND p.act = 'detached' AND b.detached_at IS NOT NULL
        ORDER BY p.number DESC LIMIT 1) AS detached_to
FROM ledger.books b LEFT JOIN ledger.checkpoints c ON c.book = b.book
GROUP BY b.book ORDER BY b.book
"""
_PROCEDURES = "SELECT act, actor, reason, at, size, place FROM ledger.procedures WHERE book = $1 ORDER BY number"


def books(state: State = None, as_json: AsJSON = False) -> None:
    """The books, whether they are closed, and where the events of detached ones are."""

    async def work() -> int:
        async with database(configured(state)) as pool:
            found = [dict(row) for row in await pool.fetch(_BOOKS)]
            for each in found:
                each["procedures"] = [dict(row) for row in await pool.fetch(_PROCEDURES, each["book"])]
        if as_json:
            print_json(found)
            return OK
        for each in found:
            standing = "open" if not each["closed"] else "closed"
            if each["detached_to"]:
                standing = f"detached, in {each['detached_to']}"
            out.print(f"{each['book']:20} {each['size']:8} events  {standing}", highlight=False, markup=False)
        return OK

    run(work())


def close(book: Book, actor: Actor, reason: Reason, state: State = None, as_json: AsJSON = False) -> None:
    """Close a book for ever and seal it at once: nothing can be appended to it any more."""
    from ledger.closing import close_book
    from ledger.seal import Sealer

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            sealer = Sealer(
                pool, key_bytes(settings.signing_key), settings.ledger_origin, settings.state_dir / "checkpoints"
            )
            closing = await close_book(pool, sealer, book, actor=actor, reason=reason)
        if as_json:
            print_json(asdict(closing))
        else:
            out.print(
                f"{book} is closed with {closing.size} events, root {closing.root_hex}, by {closing.actor} at "
                f"{closing.closed_at:%Y-%m-%d %H:%M}Z.",
                highlight=False,
                markup=False,
            )
        return OK

    run(work())


def detach(
    book: Book,
    export: Annotated[Path, typer.Argument(help="The directory of its export, which is audited first.")],
    actor: Actor,
    reason: Reason,
    place: Annotated[str, typer.Option(help="Where readers are sent; the export's directory when left out.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Free the space: only the export is left then.")] = False,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Take a closed book's events out of the database, once its export is right and is all of it."""
    from ledger.detaching import detach_book
    from ledger.seal import public_key_of

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            with progress("Comparing", EVENTS_COUNTED * await _size(pool, book)) as advance:
                detached = await detach_book(
                    pool,
                    book,
                    export,
                    public_key_of(key_bytes(settings.signing_key)),
                    actor=actor,
                    reason=reason,
                    place=place,
                    drop=drop,
                    advance=advance,
                )
        if as_json:
            print_json(asdict(detached))
        else:
            out.print(f"{book}: {detached.size} events are now in {detached.place}.", highlight=False, markup=False)
        return OK

    run(work())


def attach(
    book: Book,
    actor: Actor,
    reason: Reason,
    export: Annotated[Path | None, typer.Option(help="Its export, when the rows were dropped.")] = None,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Bring a detached book's events back, and verify them; exit code 1 when something is wrong then."""
    from ledger.detaching import attach_book
    from ledger.seal import public_key_of
    from ledger.verify import verify

    async def work() -> int:
        settings = configured(state)
        key = public_key_of(key_bytes(settings.signing_key))
        async with database(settings) as pool:
            with progress("Attaching", EVENTS_COUNTED * await _size(pool, book)) as advance:
                attached = await attach_book(
                    pool, book, key, actor=actor, reason=reason, export=export, advance=advance
                )
            (report,) = await verify(pool, key, book)
        if as_json:
            print_json(asdict(attached) | {"verified": report.verified, "problem": report.problem})
        else:
            out.print(f"{book}: {attached.size} events are back.", highlight=False, markup=False)
        if not report.verified:
            fail(f"{book} is WRONG: {report.problem} at {report.first_wrong}: {report.detail}", FAILED)
        return OK

    run(work())


async def _size(pool: "asyncpg.Pool[Any]", book: str) -> int:
    return await pool.fetchval("SELECT sequence FROM ledger.books WHERE book = $1", book) or 0
