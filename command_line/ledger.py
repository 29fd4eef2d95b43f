"""`xunji ledger …`: check the ledger, prove what stands in it, carry it away.

What the exit codes say stands in `exit_codes` and in `docs/runbooks/exit-codes.md`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import asyncpg
import orjson
import typer

from command_line.exit_codes import MISUSED, OK, REFUSED, WRONG, code_of
from command_line.progress import progress
from command_line.shared import AsJSON, State, configured, fail, out, print_json, run
from database import operator_pool
from ledger.errors import LedgerError
from settings import Settings, key_bytes

# Every book that has a head row, checkpoints or events: one that lost its head row is not to be passed over. The
# recursion hops from one book of the events to the next by the index.
_SIZES = """
WITH RECURSIVE held(book) AS (
    SELECT min(book) FROM ledger.events
    UNION ALL
    SELECT (SELECT min(e.book) FROM ledger.events e WHERE e.book > held.book) FROM held WHERE held.book IS NOT NULL
)
SELECT n.book, coalesce(b.sequence, 0) AS size
FROM (
    SELECT book FROM ledger.books UNION SELECT book FROM ledger.checkpoints
    UNION SELECT book FROM held WHERE book IS NOT NULL
) n LEFT JOIN ledger.books b USING (book)
"""

if TYPE_CHECKING:
    from services.stream_history import StreamHistory

if TYPE_CHECKING:
    from ledger.keyring import Keyring

ledger_app = typer.Typer(help="Check the ledger, prove what stands in it, carry it away.", no_args_is_help=True)
Book = Annotated[str, typer.Argument(help="The book's name, e.g. 2022-zhengzhou.")]
Directory = Annotated[Path, typer.Argument(help="The directory of the export.")]
PublicKey = Annotated[
    str | None,
    typer.Option(
        "--public-key",
        help="Whose signature counts: base64, as `xunji ledger public-key` prints it. "
        "Left out, it is the key of the settings.",
    ),
]


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """A small pool on the configured database, as its owner: what an operator does here, the application may not."""
    async with operator_pool(settings, min_size=1, max_size=3) as pool:
        yield pool


@ledger_app.command()
def verify(
    book: Annotated[str | None, typer.Argument(help="One book; all when left out.")] = None,
    ask_witnesses: Annotated[
        bool, typer.Option("--ask-witnesses", help="Ask each witness now how much of each book it has countersigned.")
    ] = False,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Read every event again and check hashes, order, roots and signatures; exit code 1 when one is wrong.

    Compared are the checkpoints outside the database too, and what the witnesses have countersigned.
    """
    from ledger.detaching import detached_books
    from ledger.verify import verify as verify_ledger
    from ledger.witnessing import sizes_held
    from ledger_trust import checkpoint_directory, keyring_of, witnesses_of

    async def work() -> int:
        settings = configured(state)
        witnesses = witnesses_of(settings)
        async with database(settings) as pool:
            elsewhere = {each.book: each.place for each in await detached_books(pool)}
            if book in elsewhere:
                fail(f"The events of {book} are in {elsewhere[book]}.\n  → Audit its export there.", REFUSED)
            held = await sizes_held(pool, witnesses) if ask_witnesses else {}
            sizes = {row["book"]: row["size"] for row in await pool.fetch(_SIZES) if row["book"] not in elsewhere}
            with progress("Verifying", sizes.get(book, 0) if book else sum(sizes.values())) as advance:
                reports = await verify_ledger(
                    pool,
                    keyring_of(settings),
                    book,
                    checkpoint_directory(settings),
                    witnesses=witnesses,
                    held=held,
                    advance=advance,
                )
        if as_json:
            print_json([asdict(each) for each in reports])
        else:
            for report in reports:
                verdict = "verified" if report.verified else f"WRONG: {report.problem} at {report.first_wrong}"
                out.print(f"{report.book:20} {report.size:8} events  {report.root_hex}  {verdict}", highlight=False)
            for name, place in elsewhere.items() if book is None else ():
                out.print(f"{name:20} detached, not verified here; its events are in {place}", highlight=False)
        return OK if all(each.verified for each in reports) else WRONG

    run(work())


@ledger_app.command()
def lag(state: State = None, as_json: AsJSON = False) -> None:
    """How far the views are behind each book, in events and seconds; exit code 1 when an event was parked."""
    from projections.checkpoints import status

    async def work() -> int:
        async with database(configured(state)) as pool:
            books = await status(pool)
        if as_json:
            print_json([asdict(each) | {"lag": each.lag} for each in books])
        else:
            for each in books:
                parked = f"  {each.parked} PARKED" if each.parked else ""
                waiting = f" for {each.lag_seconds:.0f} s" if each.lag and each.lag_seconds is not None else ""
                out.print(f"{each.book:20} {each.head:8} events, {each.lag:6} behind{waiting}{parked}", highlight=False)
        return WRONG if any(each.parked for each in books) else OK

    run(work())


@ledger_app.command()
def show(
    stream: Annotated[str, typer.Argument(help="The stream's name, e.g. trainee/zz22-410181-00001.")],
    book: Annotated[str | None, typer.Option(help="The book, where several have such a stream.")] = None,
    version: Annotated[int | None, typer.Option(help="As it stood after so many events.")] = None,
    at: Annotated[str | None, typer.Option(help="As the ledger knew it then: a time with its zone.")] = None,
    effective_at: Annotated[
        str | None, typer.Option(help="What held then, as the ledger knows it today: a time with its zone.")
    ] = None,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Show a stream as it stands, or as it stood: its events, and the state they make; exit code 1 for none."""
    from services.stream_history import Moment, StreamHistoryError, history

    async def work() -> int:
        moment = Moment(version, _time("--at", at), _time("--effective-at", effective_at))
        async with database(configured(state)) as pool:
            try:
                shown = await history(pool, stream, book, moment)
            except StreamHistoryError as error:
                fail(str(error))
        if as_json:
            print_json(shown.as_json())
        else:
            print_history(shown)
        return WRONG if shown.problem else OK

    run(work())


def print_history(shown: "StreamHistory") -> None:
    """One line per event, then the state."""
    for event in shown.events:
        values = orjson.dumps(event["data"]).decode()
        line = f"{event['version']:3}  {event['recorded_at'][:19]}Z  {event['type']:28} {event['actor']}  {values}"
        out.print(line, highlight=False, markup=False)
    heading = f"{shown.stream} in {shown.book}: version {shown.version} of {shown.newest_version}"
    if shown.phase:
        until = f" until {shown.deadline:%Y-%m-%d %H:%M}Z" if shown.deadline else ""
        waiting = f", waits for {shown.waiting_for}{until}" if shown.waiting_for else ""
        heading += f", {shown.phase}{waiting}"
    out.print(heading, highlight=False, markup=False)
    for name, value in (shown.state or {}).items():
        out.print(f"  {name:20} {value}", highlight=False, markup=False)
    if shown.problem:
        out.print(f"These events make no state: {shown.problem}", style="red", highlight=False, markup=False)


@ledger_app.command("public-key")
def public_key(
    book: Annotated[str | None, typer.Option(help="Print it as other verifiers of signed notes want it.")] = None,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Print the key with which checkpoints, exports and proofs are checked: base64 of 32 bytes."""
    from ledger.checkpoint import origin_of, verifier_key
    from ledger.seal import public_key_of
    from ledger_trust import public_key_text

    async def work() -> int:
        settings = configured(state)
        key = public_key_of(key_bytes(settings.signing_key))
        text = verifier_key(origin_of(settings.ledger_origin, book), key) if book else public_key_text(key)
        if as_json:
            print_json({"public_key": text})
        else:
            typer.echo(text)
        return OK

    run(work())


# ------------------------------------------------------------------------------------------------------ carrying


@ledger_app.command("export")
def export_(book: Book, directory: Directory, state: State = None, as_json: AsJSON = False) -> None:
    """Write a book into an empty directory: events, manifest and a signed checkpoint over all of it."""
    from ledger.archive import export_book

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            size = await pool.fetchval("SELECT sequence FROM ledger.books WHERE book = $1", book)
            with progress("Exporting", size) as advance:
                report = await export_book(
                    pool,
                    book,
                    directory,
                    signing_key=key_bytes(settings.signing_key),
                    origin=settings.ledger_origin,
                    advance=advance,
                )
        if as_json:
            print_json(asdict(report))
        else:
            out.print(f"{report.book}: {report.size} events in {directory}, root {report.root_hex}", highlight=False)
        return OK

    run(work())


@ledger_app.command()
def audit(directory: Directory, public_key: PublicKey = None, state: State = None, as_json: AsJSON = False) -> None:
    """Check an export without any database; exit code 1 names the first wrong line."""
    from ledger.archive_audit import audit as audit_export

    async def work() -> int:
        key = _key(public_key, state)
        with progress("Auditing", _announced(directory)) as advance:
            report = audit_export(directory, key, advance=advance)
        if as_json:
            print_json(asdict(report))
        elif report.verified:
            out.print(f"{report.book}: {report.size} events, root {report.root_hex}, verified", highlight=False)
        else:
            out.print(f"WRONG: {report.problem}: {report.detail}", highlight=False, markup=False)
        return OK if report.verified else WRONG

    run(work())


@ledger_app.command("import")
def import_(directory: Directory, public_key: PublicKey = None, state: State = None, as_json: AsJSON = False) -> None:
    """Bring an export into a database that does not hold its book. It is audited first; all of it or nothing."""
    from ledger.archive import import_book

    async def work() -> int:
        key = _key(public_key, state)
        async with database(configured(state)) as pool:
            with progress("Importing", _announced(directory)) as advance:
                report = await import_book(pool, directory, key, advance=advance)
        if as_json:
            print_json(asdict(report))
        else:
            out.print(f"{report.book}: {report.events} events of {report.streams} streams are back", highlight=False)
        return OK

    run(work())


# ------------------------------------------------------------------------------------------------------- proving


@ledger_app.command()
def prove(
    book: Book,
    sequence: Annotated[int | None, typer.Argument(help="The event that is to be proved.")] = None,
    since: Annotated[int | None, typer.Option(help="Prove that nothing before this checkpoint's size changed.")] = None,
    state: State = None,
    as_json: AsJSON = True,
) -> None:
    """Print, as JSON, what an auditor needs: the proof, the event, and the signed checkpoints. See `check-proof`."""
    from ledger.keyring import read_database
    from ledger.proofs import consistency_proof, inclusion_proof

    async def work() -> int:
        if (sequence is None) == (since is None):
            fail("Give the sequence of an event, or --since with the size of an earlier checkpoint.", MISUSED)
        async with database(configured(state)) as pool:
            size, note = await _checkpoint(pool, book, None)
            if sequence is not None:
                proof = await inclusion_proof(pool, book, sequence, size)
                body = await pool.fetchval(
                    "SELECT body FROM ledger.events WHERE book = $1 AND sequence = $2", book, sequence
                )
                shown = {"proof": orjson.loads(proof.as_json()), "event": body.decode(), "checkpoints": [note]}
            else:
                first, first_note = await _checkpoint(pool, book, since)
                growth = await consistency_proof(pool, book, first, size)
                shown = {"proof": orjson.loads(growth.as_json()), "checkpoints": [first_note, note]}
            successions = await read_database(pool)
        print_json(shown | ({"successions": [each.note for each in successions]} if successions else {}))
        return OK

    run(work())


@ledger_app.command("check-proof")
def check_proof(
    file: Annotated[Path, typer.Argument(help="What `xunji ledger prove` printed.")],
    public_key: PublicKey = None,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Check a proof without any database; exit code 1 when it proves nothing."""

    async def work() -> int:
        key = _key(public_key, state)
        try:
            said = _checked(file, key)
        except LedgerError as error:
            code = code_of(error)
            assert code is not None, "every error of the ledger has a code"
            if as_json:
                print_json({"proved": False, "detail": str(error)})
                raise typer.Exit(code) from None
            fail(str(error), code)
        if as_json:
            print_json({"proved": True, "detail": said})
        else:
            out.print(said, highlight=False)
        return OK

    run(work())


def _checked(file: Path, key: "Keyring") -> str:
    """What the proof in the file proves. Raises CheckpointError or ProofError when it proves nothing."""
    from ledger.keyring import read_succession
    from ledger.proofs import (
        ConsistencyProof,
        InclusionProof,
        MalformedProof,
        check_consistency,
        check_inclusion,
    )

    foreign = MalformedProof(f"{file} is not what `xunji ledger prove` prints.\n  → Give its output, unchanged.")
    try:
        document: Any = orjson.loads(file.read_bytes())
        text = orjson.dumps(document["proof"]).decode()
        ring = key.with_successions(read_succession(note) for note in document.get("successions", []))
        notes = [ring.open(note) for note in document["checkpoints"]]
        event = document.get("event")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise foreign from None
    if event is not None and len(notes) == 1:
        check_inclusion(InclusionProof.from_json(text), str(event).encode(), notes[0])
        return f"The event is in {notes[0].origin} as it was signed at {notes[0].size} events."
    if event is None and len(notes) == 2:
        check_consistency(ConsistencyProof.from_json(text), *notes)
        return f"{notes[1].origin} grew from {notes[0].size} to {notes[1].size} events, unchanged."
    raise foreign


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} is no time.\n  → Write it like 2022-09-01T18:00:00+08:00.")


def _key(text: str | None, state: Path | None) -> "Keyring":
    from ledger.keyring import Keyring
    from ledger_trust import keyring_of, read_public_key

    if text is None:
        return keyring_of(configured(state))
    try:
        return Keyring([read_public_key(text)])
    except ValueError:
        fail("--public-key is not base64 of 32 bytes.\n  → Give what `xunji ledger public-key` prints.", MISUSED)


def _announced(directory: Path) -> int | None:
    """How many events the export says it has; only for the bar, so it is believed."""
    try:
        return int(orjson.loads((directory / "manifest.json").read_bytes())["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _checkpoint(pool: "asyncpg.Pool[Any]", book: str, size: int | None) -> tuple[int, str]:
    """The newest checkpoint of a book, or the one at a size."""
    row = await pool.fetchrow(
        "SELECT size, note || (SELECT coalesce(string_agg(line, '' ORDER BY witness), '') FROM ledger.cosignatures s "
        "WHERE s.book = c.book AND s.size = c.size) AS note "
        "FROM ledger.checkpoints c WHERE book = $1 AND ($2::bigint IS NULL OR size = $2) ORDER BY size DESC LIMIT 1",
        book,
        size,
    )
    if row is None:
        fail(
            f"{book} has no such checkpoint.\n  → A worker seals every second; look at `xunji ledger verify {book}`.",
            REFUSED,
        )
    return row["size"], row["note"]
