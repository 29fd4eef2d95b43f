"""通报 published by schedule (stream `bulletin/{campaign}`): interim ones, and new versions after a correction.

A period is a date of the plan's grid (every so many days from the opening of the campaign), or `final` for the bulletin
that the campaign issues when it closes. Within a period versions count 1, 2, …; a later version never changes an
earlier one (edge case 48). A correction of an outcome, and a reversal of a restriction, make the newest bulletin
outdated, also after the campaign was closed: its next version follows at the next run (edge cases 38, 72).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar, Literal

from domain import calendar
from domain.bulletin import FORMULAS_VERSION, BulletinKind, BulletinRow
from domain.decision import Decision, Event, EventCatalogue, Notice
from domain.plan import Plan

FINAL = "final"
Reason = Literal["scheduled", "corrected"]


class BulletinPublished(Event):
    """One of the two bulletins as of `as_of`: organisations and figures only (edge case 69).

    `as_of_sequence` is the sequence in the campaign's book that the figures rest on.
    """

    type: ClassVar[str] = "bulletin.published"
    kind: BulletinKind
    period: str
    version: int
    as_of: datetime
    as_of_sequence: int
    reason: Reason
    formulas: int
    rows: tuple[BulletinRow, ...]


EVENTS = EventCatalogue(BulletinPublished)


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest bulletin of a campaign."""

    period: str
    version: int
    as_of: datetime
    as_of_sequence: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a publication rests on, all read at `as_of_sequence`.

    `corrected_at_sequence` is that of the last corrected outcome, 0 for none; `reversed_at` the moment of the last
    reversed restriction.
    """

    plan: Plan
    opened_on: date
    closed: bool
    latest: Latest | None
    corrected_at_sequence: int
    reversed_at: datetime | None
    as_of_sequence: int
    county_rows: tuple[BulletinRow, ...]
    host_rows: tuple[BulletinRow, ...]


def publish(facts: Facts, now: datetime) -> Decision | None:
    """What is to be published now, None when nothing is due."""
    latest = facts.latest
    if latest is not None and _is_outdated(latest, facts):
        return _published(facts, latest.period, latest.version + 1, "corrected", now)
    period = None if facts.closed else last_grid_date(facts.opened_on, facts.plan.outcomes.bulletin_every_days, now)
    if period is None or (latest is not None and latest.as_of >= calendar.start_of_day(period)):
        return None
    return _published(facts, period.isoformat(), 1, "scheduled", now)


def _is_outdated(latest: Latest, facts: Facts) -> bool:
    reversed_later = facts.reversed_at is not None and facts.reversed_at > latest.as_of
    return facts.corrected_at_sequence > latest.as_of_sequence or reversed_later


def last_grid_date(opened_on: date, every_days: int, now: datetime) -> date | None:
    """The newest date of the grid that has begun, None before the first.

    After an outage only this one is published: the figures of the dates before are no longer to be had.
    """
    periods = (calendar.local_date(now) - opened_on).days // every_days
    return opened_on + timedelta(days=periods * every_days) if periods > 0 else None


def _published(facts: Facts, period: str, version: int, reason: Reason, now: datetime) -> Decision:
    both: tuple[tuple[BulletinKind, tuple[BulletinRow, ...]], ...] = (
        ("counties", facts.county_rows),
        ("hosts", facts.host_rows),
    )
    events = tuple(
        BulletinPublished(
            kind=kind,
            period=period,
            version=version,
            as_of=now,
            as_of_sequence=facts.as_of_sequence,
            reason=reason,
            formulas=FORMULAS_VERSION,
            rows=rows,
        )
        for kind, rows in both
    )
    return Decision(events, notices=tuple(_told(facts, events)) if reason == "corrected" else ())


def _told(facts: Facts, events: tuple[BulletinPublished, ...]) -> Iterator[Notice]:
    """Who holds a version that no longer stands. An interim bulletin is there to be read, nobody is written to."""
    for event in events:
        data = {"campaign": facts.plan.id, "bulletin": event.kind, "period": event.period, "version": event.version}
        yield from (Notice(row.organisation, event.type, data) for row in event.rows)
