"""The two bulletins of a campaign: as they stand now, and as they were issued."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from domain.bulletin import BulletinKind, BulletinRow, county_rows, host_rows, rated
from domain.bulletin_publication import Latest
from domain.plan_outcomes import OutcomeRules
from projections import classes, quotas, trainees
from projections.database import Database

MAX_ISSUED: Final = 1_000

_ISSUED = """
SELECT campaign, kind, period, version, reason, as_of, as_of_sequence, issued_at, rows FROM view.bulletins
WHERE campaign = $1 AND ($2::text IS NULL OR kind = $2) ORDER BY kind, sequence LIMIT $3
"""
_ONE_ISSUED = """
SELECT campaign, kind, period, version, reason, as_of, as_of_sequence, issued_at, rows FROM view.bulletins
WHERE campaign = $1 AND kind = $2 AND period = $3 AND version = $4
"""
_LATEST = """
SELECT period, version, as_of, as_of_sequence FROM view.bulletins WHERE campaign = $1 ORDER BY sequence DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class IssuedBulletin:
    """A bulletin as it was issued; a later version does not change it (edge case 48)."""

    campaign: str
    kind: BulletinKind
    period: str
    version: int
    reason: str
    as_of: datetime
    as_of_sequence: int
    issued_at: datetime
    rows: tuple[BulletinRow, ...]


async def compute(
    database: Database, campaign: str, rules: OutcomeRules
) -> tuple[tuple[BulletinRow, ...], tuple[BulletinRow, ...]]:
    """The county rows and the host rows as the views stand, hosts rated by `rules`; for the system and the bureau.

    Give a connection in a repeatable-read transaction where the two must be of one moment.
    """
    seats = await quotas.assigned(database, campaign)
    cases = [record async for record in trainees.records(database, campaign)]
    duties = await classes.duties_of_hosts(database, campaign)
    return county_rows(seats, cases), rated(host_rows(cases, duties), rules)


async def one_issued(
    database: Database, campaign: str, kind: BulletinKind, period: str, version: int
) -> IssuedBulletin | None:
    """One version of one bulletin, or None."""
    records = await database.fetch(_ONE_ISSUED, campaign, kind, period, version)
    return _issued(records[0]) if records else None


async def issued(database: Database, campaign: str, kind: BulletinKind | None = None) -> tuple[IssuedBulletin, ...]:
    """What was issued, by kind and version, at most MAX_ISSUED. Organisations only, so everybody may read it."""
    return tuple(_issued(record) for record in await database.fetch(_ISSUED, campaign, kind, MAX_ISSUED))


def _issued(record: Mapping[str, Any]) -> IssuedBulletin:
    return IssuedBulletin(
        campaign=record["campaign"],
        kind=record["kind"],
        period=record["period"],
        version=record["version"],
        reason=record["reason"],
        as_of=record["as_of"],
        as_of_sequence=record["as_of_sequence"],
        issued_at=record["issued_at"],
        rows=tuple(BulletinRow.model_validate(row) for row in orjson.loads(record["rows"])),
    )


async def latest(database: Database, campaign: str) -> Latest | None:
    """The newest bulletin of a campaign, None before the first; for the system."""
    record = await database.fetchrow(_LATEST, campaign)
    return None if record is None else Latest(**record)
