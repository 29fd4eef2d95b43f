"""The trail of reads of personal data, `app.personal_reads`: who was shown whose, when, and by which operation.

It is only added to. It holds ids and no personal data, so it outlives an erasure and says even then who had read what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

PERSONS_SHOWN: Final = 100
"""So many persons of one read are listed; `rows` counts them all."""

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


async def record(pool: "asyncpg.Pool[Any]", read: Read) -> None:
    """Add a read to the trail; it is on the disk when this returns. Raises asyncpg's errors."""
    await pool.execute(
        _RECORD,
        read.organisation,
        read.role,
        read.reader,
        read.operation,
        read.object,
        sorted(read.persons),
        max(read.rows, len(read.persons)),
        read.request_id,
    )


async def page(
    pool: "asyncpg.Pool[Any]",
    *,
    person: UUID | None,
    organisation: str | None,
    operation: str | None,
    before: int,
    limit: int,
) -> list[RecordedRead]:
    """The newest reads before the sequence `before`, newest first."""
    rows = await pool.fetch(_PAGE, before, person, organisation, operation, limit, PERSONS_SHOWN)
    return [RecordedRead(**row) for row in rows]
