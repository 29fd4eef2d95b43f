"""Have witnesses countersign every checkpoint, so that nobody can show two histories, or roll one back, unseen.

A pass sends, to each witness, the newest checkpoint of each book of which it has not countersigned that much, with the
proof that nothing before was changed. The signature is stored beside the checkpoint, and the note with it in a file
outside the database, one per book and witness:

    2022-zhengzhou.8d66cf3f.cosigned        book, and the hash of the witness's key

Sealing never waits for this. A witness that is away is told once and asked again, ever less often; how far each is
behind tells `lag`. Passes of several processes do not overlap.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx2

from ledger.cosignature import Witness, with_line
from ledger.errors import DATABASE_LOST, WitnessAway, WitnessError
from ledger.proofs import ProofError, consistency_proof
from ledger.schema import LOCK_CLASS, WITNESSING_LOCK
from ledger.seal import MAX_BOOKS_PER_PASS, write_atomically
from ledger.witness_client import Cosigned, ask, held_size

WITNESSING_INTERVAL_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""A witness that stays away is asked so often at least."""

COSIGNED_SUFFIX: Final = ".cosigned"

_DUE: Final = """
SELECT b.book, c.size, c.note, coalesce(w.size, 0) AS known
FROM ledger.books b
CROSS JOIN LATERAL (
    SELECT size, note FROM ledger.checkpoints WHERE book = b.book ORDER BY size DESC LIMIT 1
) c
LEFT JOIN LATERAL (
    SELECT size FROM ledger.cosignatures WHERE book = b.book AND witness = $1 ORDER BY size DESC LIMIT 1
) w ON true
WHERE c.size > coalesce(w.size, 0)
ORDER BY b.book
LIMIT $2
"""
_STORE: Final = """
INSERT INTO ledger.cosignatures (book, size, witness, line, cosigned_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_NEWEST: Final = """
SELECT DISTINCT ON (s.book) s.book, c.note, s.line
FROM ledger.cosignatures s JOIN ledger.checkpoints c USING (book, size)
WHERE s.witness = $1 ORDER BY s.book, s.size DESC LIMIT $2
"""
_NEWEST_OF_ALL: Final = """
SELECT DISTINCT ON (book) book, size, note FROM ledger.checkpoints ORDER BY book, size DESC LIMIT $1
"""
_LAG: Final = """
SELECT b.book, coalesce(c.size, 0) AS size, coalesce(w.size, 0) AS cosigned,
       coalesce(extract(epoch FROM now() - (
           SELECT o.sealed_at FROM ledger.checkpoints o
           WHERE o.book = b.book AND o.size > coalesce(w.size, 0) ORDER BY o.size LIMIT 1)), 0)::float8 AS behind_s
FROM ledger.books b
LEFT JOIN LATERAL (
    SELECT size FROM ledger.checkpoints WHERE book = b.book ORDER BY size DESC LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT size FROM ledger.cosignatures WHERE book = b.book AND witness = $1 ORDER BY size DESC LIMIT 1
) w ON true
ORDER BY b.book LIMIT $2
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WitnessLag:
    """How far a witness is behind the newest checkpoint of a book: in events, and since when in seconds."""

    witness: str
    required: bool
    book: str
    size: int
    cosigned: int
    behind_s: float

    @property
    def behind(self) -> int:
        """Sealed events that the witness has not countersigned."""
        return max(self.size - self.cosigned, 0)


def stored_name(witness: Witness) -> str:
    """Give the name by which a witness's signatures are stored: of another key of his they are another's."""
    return f"{witness.name}+{witness.id}"


def cosigned_file(directory: Path, book: str, witness: Witness) -> Path:
    """Give the file that holds the longest note of a book that a witness has countersigned."""
    return directory / f"{book}.{witness.id}{COSIGNED_SUFFIX}"


@contextlib.asynccontextmanager
async def _client_or(http: httpx2.AsyncClient | None) -> AsyncIterator[httpx2.AsyncClient]:
    if http is not None:
        yield http
    else:
        async with httpx2.AsyncClient() as own:
            yield own


async def sizes_held(
    pool: "asyncpg.Pool[Any]", witnesses: Sequence[Witness], http: httpx2.AsyncClient | None = None
) -> dict[str, dict[str, int]]:
    """Ask each witness how many events of each book it has countersigned, by book and witness.

    One that knows nothing of a book countersigns its newest checkpoint. Raises WitnessAway and WitnessRefused.
    """
    held: dict[str, dict[str, int]] = {}
    async with _client_or(http) as client:
        for row in await pool.fetch(_NEWEST_OF_ALL, MAX_BOOKS_PER_PASS) if witnesses else []:
            held[row["book"]] = {
                each.name: await held_size(client, each, row["note"], row["size"]) for each in witnesses
            }
    return held


async def lag(pool: "asyncpg.Pool[Any]", witnesses: Sequence[Witness]) -> list[WitnessLag]:
    """Tell how far each witness is behind, by witness and book."""
    return [
        WitnessLag(each.name, each.required, row["book"], row["size"], row["cosigned"], round(row["behind_s"], 3))
        for each in witnesses
        for row in await pool.fetch(_LAG, stored_name(each), MAX_BOOKS_PER_PASS)
    ]


@dataclass(slots=True)
class _Standing:
    """How it stands with one witness: what was complained of, and how many passes to leave out."""

    complaint: str = ""
    failures: int = 0
    pause: int = 0


class Witnessing:
    """Asks `witnesses`. The notes that they have countersigned also stand in `directory`."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        witnesses: Sequence[Witness],
        directory: Path,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._pool = pool
        self._witnesses = tuple(witnesses)
        self._directory = directory
        self._http = http
        self._standing = {each.id: _Standing() for each in self._witnesses}
        self._files_compared = False

    async def run(self, stop: asyncio.Event) -> None:
        """Ask for what is due until `stop` is set. A lost database and lost witnesses are logged; passes go on."""
        if not self._witnesses:
            await stop.wait()
            return
        complaint = ""
        while not stop.is_set():
            try:
                await self._ask_until(stop)
                complaint = ""
            except* DATABASE_LOST as errors:
                if str(errors.exceptions) != complaint:
                    complaint = str(errors.exceptions)
                    _log.error("witnessing failed: %s", complaint)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), WITNESSING_INTERVAL_S)

    async def _ask_until(self, stop: asyncio.Event) -> None:
        # A slow witness of many books must not hold up the end of the process.
        asking, stopping = asyncio.create_task(self.ask_due()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result()
        finally:
            for task in (asking, stopping):
                task.cancel()
            await asyncio.gather(asking, stopping, return_exceptions=True)

    async def ask_due(self) -> int:
        """Have everything countersigned that is due now, and give the number of signatures.

        None while another process asks. A witness that is away or refuses is logged when that is new, and is behind.
        """
        if not self._files_compared:
            await self._write_missing_files()
            self._files_compared = True
        async with self._alone() as is_alone, _client_or(self._http) as http:
            if not is_alone:
                return 0
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(http, each)) for each in self._witnesses]
        return sum(task.result() for task in tasks)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        # A session's lock, because no transaction should stay open while somebody far away is waited for.
        async with self._pool.acquire() as connection:
            taken = await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, WITNESSING_LOCK)
            try:
                yield bool(taken)
            finally:
                if taken and not connection.is_closed():
                    await connection.execute("SELECT pg_advisory_unlock($1, $2)", LOCK_CLASS, WITNESSING_LOCK)

    async def _ask(self, http: httpx2.AsyncClient, witness: Witness) -> int:
        standing = self._standing[witness.id]
        if standing.pause > 0:
            standing.pause -= 1
            return 0
        count = 0
        complaints: list[str] = []
        for row in await self._pool.fetch(_DUE, stored_name(witness), MAX_BOOKS_PER_PASS):
            try:
                await self._keep(witness, row, await self._ask_for(http, witness, row))
                count += 1
            except WitnessAway as error:
                # The other books would only wait for the same.
                complaints.append(str(error))
                break
            except (WitnessError, ProofError) as error:
                complaints.append(f"{row['book']}: {error}")
        self._note_standing(witness, standing, "; ".join(complaints))
        return count

    async def _ask_for(self, http: httpx2.AsyncClient, witness: Witness, row: Any) -> Cosigned:
        async def prove(size: int) -> Sequence[bytes]:
            return (await consistency_proof(self._pool, row["book"], size, row["size"])).hashes

        return await ask(http, witness, row["note"], row["size"], row["known"], prove)

    async def _keep(self, witness: Witness, row: Any, cosigned: Cosigned) -> None:
        book, size = row["book"], row["size"]
        await self._pool.execute(_STORE, book, size, stored_name(witness), cosigned.line, cosigned.at)
        path = cosigned_file(self._directory, book, witness)
        await asyncio.to_thread(write_atomically, path, with_line(row["note"], cosigned.line))

    async def _write_missing_files(self) -> None:
        # A crash between the commit and the file leaves the file behind, perhaps for as long as the book rests.
        for witness in self._witnesses:
            for row in await self._pool.fetch(_NEWEST, stored_name(witness), MAX_BOOKS_PER_PASS):
                path = cosigned_file(self._directory, row["book"], witness)
                if not path.exists():
                    await asyncio.to_thread(write_atomically, path, with_line(row["note"], row["line"]))

    def _note_standing(self, witness: Witness, standing: _Standing, complaint: str) -> None:
        if not complaint:
            if standing.complaint:
                _log.info("the witness %s countersigns again", witness.name)
            standing.complaint, standing.failures = "", 0
            return
        standing.failures += 1
        standing.pause = min(2 ** min(standing.failures, 10), int(LONGEST_PAUSE_S / WITNESSING_INTERVAL_S)) - 1
        if complaint != standing.complaint:
            standing.complaint = complaint
            _log.error("checkpoints are not countersigned: %s", complaint)
