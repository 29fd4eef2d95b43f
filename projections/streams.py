"""Which processes there are and how far each has come: what recovery starts and reconciliation compares with."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from projections.database import Database
from projections.query import Where, sql

PAGE_ROWS: Final = 1_000

_SOURCES: Final = {
    "trainee": ("view.trainees", "number", "campaign"),
    "class": ("view.classes", "number", "campaign"),
    "restriction": ("view.restrictions", "number", "campaign"),
    "campaign": ("view.campaigns", "id", "id"),
    "quota": ("view.quotas", "key", "campaign"),
}
"""The table of each kind of process, with the columns of its number and of its campaign."""


@dataclass(frozen=True, slots=True)
class StreamVersion:
    """A stream as the views have it. `closed` means that no workflow needs to run for it."""

    kind: str
    number: str
    campaign: str
    version: int
    sequence: int
    phase: str
    closed: bool
    deadline: datetime | None


async def stream_versions(
    database: Database, kind: str, campaign: str | None = None, *, closed: bool | None = False
) -> AsyncIterator[StreamVersion]:
    """The streams of a kind by number, the unfinished ones unless `closed` says otherwise (None: all).

    Call it after the views have caught up, or it gives older versions. Raises KeyError for a kind without a process.
    """
    table, number, campaign_column = _SOURCES[kind]
    after = ""
    while True:
        where = Where().equal(closed=closed, **{campaign_column: campaign}).that(f'"{number}" > ?', after)
        statement = sql(
            f'SELECT "{number}" AS number, "{campaign_column}" AS campaign, version, sequence, phase, closed, deadline',
            "FROM",
            table,
            where,
            "ORDER BY 1 LIMIT",
            PAGE_ROWS,
        )
        found = await database.fetch(statement, *where.arguments)
        for record in found:
            yield StreamVersion(kind=kind, **record)
        if len(found) < PAGE_ROWS:
            return
        after = found[-1]["number"]


async def overdue(database: Database, now: datetime, limit: int) -> list[StreamVersion]:
    """The unfinished streams of every kind whose deadline has passed, those that wait longest first."""
    found: list[StreamVersion] = []
    for kind, (table, number, campaign) in _SOURCES.items():
        statement = sql(
            f'SELECT "{number}" AS number, "{campaign}" AS campaign, version, sequence, phase, closed, deadline',
            "FROM",
            table,
            Where().that("NOT closed AND deadline <= ?", now),
            "ORDER BY deadline, 1 LIMIT",
            limit,
        )
        found += [StreamVersion(kind=kind, **record) for record in await database.fetch(statement, now)]
    return sorted(found, key=lambda stream: (stream.deadline, stream.kind, stream.number))[:limit]
