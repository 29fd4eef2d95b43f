"""Quota lines with what is in use: the seats are the view's, their use is the ledger's own counter at this moment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.bulletin import AssignedSeats
from domain.decision import Actor
from domain.numbers import seat_key
from ledger.store import PAGE_LIMIT, Ledger
from ledger.types import Counter
from projections import query, trainees
from projections.database import Database
from projections.query import Page, Where
from projections.quota_view import quota_key
from projections.trainees import Suspense

TABLE: Final = "view.quotas"
OWN: Final = {"county": "owner"}
"""A county's own lines and those of its schools."""

_ASSIGNED = """
SELECT recipient AS organisation, sum(issued)::bigint AS original, sum(seats)::bigint AS adjusted
FROM view.quotas WHERE campaign = $1 AND level = 'county' GROUP BY recipient ORDER BY recipient
"""


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """One quota line. `issued` are the seats first issued, `seats` those after reallocation (edge case 2).

    `delegated` seats went to lines below, `held` ones are offered to another recipient; both count as used.
    """

    key: str
    version: int
    sequence: int
    campaign: str
    line: str
    project_type: str
    recipient: str
    issued: int
    seats: int
    invented: bool
    issued_at: datetime
    level: str
    parent: str
    kind: str
    delegated: int
    held: int
    shortfall: int
    shortfall_reason: str
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A quota line with its breakdown: `size` = `used` + `left`, all from the counter that decides.

    Of the used ones `held` wait for an answer: seats offered to waiting nominations or to another recipient.
    `waiting` are the nominations on the line's waiting list.
    """

    quota: QuotaRow
    size: int
    used: int
    held: int = 0
    waiting: int = 0

    @property
    def left(self) -> int:
        """Seats that can still be taken."""
        return self.size - self.used


async def get(
    database: Database,
    ledger: Ledger,
    viewer: Actor,
    campaign: str,
    line: str,
    *,
    everything: Database | None = None,
) -> QuotaUse | None:
    """The line with its use, or None when there is none or when it is another recipient's.

    Who waits for it is counted in `everything`, if it is given: an auditor sees lines, and no nomination.
    """
    where = Where().own(viewer, OWN, audited=True).equal(key=quota_key(campaign, line))
    row = await query.one(database, QuotaRow, TABLE, where)
    if row is None:
        return None
    suspense = await trainees.suspense(everything or database, campaign)
    return _use(row, await ledger.counter(seat_key(campaign, line)), suspense.get(line, _NOBODY))


async def page(
    database: Database,
    ledger: Ledger,
    viewer: Actor,
    campaign: str,
    *,
    everything: Database | None = None,
    project_type: str | None = None,
    recipient: str | None = None,
    after: str = "",
    limit: int = 100,
) -> Page[QuotaUse]:
    """The viewer's lines of a campaign with their use, by key; `everything` as in `get`. Raises LimitOutOfRange."""
    where = Where().own(viewer, OWN, audited=True)
    where.equal(campaign=campaign, project_type=project_type, recipient=recipient)
    rows = await query.page(database, QuotaRow, TABLE, where, key="key", after=after, limit=limit)
    counters = await _counters(ledger, campaign)
    suspense = await trainees.suspense(everything or database, campaign)
    uses = (_use(row, counters.get(row.line, _NONE), suspense.get(row.line, _NOBODY)) for row in rows.items)
    return Page(tuple(uses), rows.next)


async def assigned(database: Database, campaign: str) -> tuple[AssignedSeats, ...]:
    """The seats of every recipient over all its lines, by id; for the system. Neither the city's nor the schools'."""
    return tuple(AssignedSeats(**record) for record in await database.fetch(_ASSIGNED, campaign))


_NONE = Counter("", 0, 0)
_NOBODY = Suspense(0, 0)


async def _counters(ledger: Ledger, campaign: str) -> dict[str, Counter]:
    prefix = seat_key(campaign, "")
    found: dict[str, Counter] = {}
    after = ""
    while True:
        counters = await ledger.counters(prefix, after, PAGE_LIMIT)
        found |= {counter.key.removeprefix(prefix): counter for counter in counters}
        if len(counters) < PAGE_LIMIT:
            return found
        after = counters[-1].key


def _use(row: QuotaRow, counter: Counter, suspense: Suspense) -> QuotaUse:
    return QuotaUse(row, counter.limit, counter.used, row.held + suspense.offered, suspense.waiting)
