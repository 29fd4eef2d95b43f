"""The trail of reads of personal data, `app.personal_reads`: who was shown whose, when, and by which operation.

It is only added to. It holds ids and no personal data, so it outlives an erasure and says even then who had read what.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from ledger.errors import DATABASE_LOST
from projections.database import Database

PERSONS_SHOWN: Final = 100
"""So many persons of one read are listed; `rows` counts them all."""

READS_PER_WRITE: Final = 100
"""So many reads are written by one commit at most."""

_RECORD: Final = """
INSERT INTO app.personal_reads (organisation, role, reader, operation, object, persons, rows, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_PAGE: Final = """
SELECT sequence, at, organisation, role, reader, operation, object, persons[1:$6] AS persons, rows, request_id
FROM app.personal_reads
WHERE sequence < $1 AND ($2::uuid IS NULL OR persons @> ARRAY[$2::uuid]) AND ($3::text IS NULL OR organisation = $3)
  AND ($4::text IS NULL OR operation = $4)
ORDER BY sequence DESC LIMIT $5
"""
NEWEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Read:
    """One answer that showed something. `rows` counts what was shown of persons, known ones or not."""

    organisation: str
    role: str
    reader: str
    operation: str
    object: str
    persons: Sequence[UUID]
    rows: int
    request_id: str


@dataclass(frozen=True, slots=True)
class RecordedRead(Read):
    """A read as it stands in the trail."""

    sequence: int
    at: datetime


async def record(pool: "asyncpg.Pool[Any]", *reads: Read) -> None:
    """Add reads to the trail, all or none; they are on the disk when this returns. Raises asyncpg's errors."""
    rows = [
        (
            each.organisation,
            each.role,
            each.reader,
            each.operation,
            each.object,
            sorted(each.persons),
            max(each.rows, len(each.persons)),
            each.request_id,
        )
        for each in reads
    ]
    if len(rows) == 1:
        await pool.execute(_RECORD, *rows[0])
    else:
        await pool.executemany(_RECORD, rows)


class Trail:
    """Adds reads for many who ask at once: what comes while a write is under way is written by the next one."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._waiting: deque[tuple[Read, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def record(self, read: Read) -> None:
        """Add a read; it is on the disk when this returns. Raises asyncpg's errors and OSError."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((read, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="personal_reads.write")
        await written

    async def _write(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), READS_PER_WRITE)
                await self._write_batch([self._waiting.popleft() for _ in range(count)])
        finally:
            self._writer = None

    async def _write_batch(self, batch: list[tuple[Read, "asyncio.Future[None]"]]) -> None:
        error = await self._attempt([read for read, _ in batch])
        for read, written in batch:
            # One that cannot be written must not keep the others from being.
            failed = await self._attempt([read]) if error is not None and len(batch) > 1 else error
            if written.done():
                continue
            if failed is None:
                written.set_result(None)
            else:
                written.set_exception(failed)

    async def _attempt(self, reads: list[Read]) -> Exception | None:
        try:
            await record(self._pool, *reads)
        except DATABASE_LOST as error:
            return error
        return None


async def page(
    database: Database,
    *,
    person: UUID | None,
    organisation: str | None,
    operation: str | None,
    before: int,
    limit: int,
) -> list[RecordedRead]:
    """The newest reads before the sequence `before`, newest first."""
    rows = await database.fetch(_PAGE, before, person, organisation, operation, limit, PERSONS_SHOWN)
    return [RecordedRead(**row) for row in rows]
