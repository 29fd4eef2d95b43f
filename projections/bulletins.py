"""The two bulletins of a campaign: as they stand now, and as they were issued."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from domain.bulletin import BulletinKind, BulletinRow, county_rows, host_rows
from projections import quotas, trainees
from projections.database import Database

MAX_ISSUED: Final = 1_000

_ISSUED = """
SELECT campaign, kind, version, as_of, issued_at, rows FROM view.bulletins
WHERE campaign = $1 AND ($2::text IS NULL OR kind = $2) ORDER BY kind, version LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class IssuedBulletin:
    """A bulletin as it was issued; a later version does not change it (edge case 48)."""

    campaign: str
    kind: BulletinKind
    version: int
    as_of: datetime
    issued_at: datetime
    rows: tuple[BulletinRow, ...]


async def compute(database: Database, campaign: str) -> tuple[tuple[BulletinRow, ...], tuple[BulletinRow, ...]]:
    """The county rows and the host rows as the views stand; for the system and the bureau.

    Give a connection in a repeatable-read transaction where the two must be of one moment.
    """
    seats = await quotas.assigned(database, campaign)
    cases = [record async for record in trainees.records(database, campaign)]
    return county_rows(seats, cases), host_rows(cases)


async def issued(database: Database, campaign: str, kind: BulletinKind | None = None) -> tuple[IssuedBulletin, ...]:
    """What was issued, by kind and version, at most MAX_ISSUED. Organisations only, so everybody may read it."""
    return tuple(
        IssuedBulletin(
            campaign=record["campaign"],
            kind=record["kind"],
            version=record["version"],
            as_of=record["as_of"],
            issued_at=record["issued_at"],
            rows=tuple(BulletinRow.model_validate(row) for row in orjson.loads(record["rows"])),
        )
        for record in await database.fetch(_ISSUED, campaign, kind, MAX_ISSUED)
    )
