"""What a counter is used for: how many there are, how many are used, held, waited for, and left.

A counter (`CountClaim`, `LimitClaim`) guards a number and knows nothing of what it counts. Its breakdown needs two more
tallies, and where those stand is the caller's convention, which it declares once as `Parts`:

    held      taken from the counter for the time being: an offer that may lapse, a payment under way. Whoever holds
              one has claimed it (`CountClaim(key, 1)`) like everybody else, so the limit guards it; the tally only says
              that it is not for good yet.
    waiting   wanted and not taken: it is not in the counter, and takes nothing from it.

A tally is made of the ledger's own claims, in the very append that changes the counter, so the three never disagree. It
is either another counter, or the holds (`TakeClaim`) whose keys begin alike; `{key}` in its pattern stands for the
counter's key. Holds need no limit, name who holds, and let nobody wait twice. With

    PARTS = Parts(held=Tally.holds("held/{key}/"), waiting=Tally.holds("waiting/{key}/"))

one who waits, is offered the next one, and takes it or lets it go, makes these claims:

    wait     TakeClaim("waiting/room:7/ada", "ada")
    offer    CountClaim("room:7", 1), ReleaseClaim("waiting/room:7/ada", "ada"), TakeClaim("held/room:7/ada", "ada")
    keep     ReleaseClaim("held/room:7/ada", "ada")
    let go   ReleaseClaim("held/room:7/ada", "ada"), CountClaim("room:7", -1)

Each read is one statement, so what it gives stood in the ledger at one moment.
"""

from dataclasses import dataclass
from typing import Final, Literal, Self

import asyncpg

from ledger.errors import LedgerError, PageOutOfRange
from ledger.reading import Database

MAX_PAGE_COUNTERS: Final = 1_000
"""No page is longer than this."""

PLACE: Final = "{key}"
_LAST_CHARACTER: Final = chr(0x10FFFF)

# $1 to $3 say where what is held is tallied, $4 to $6 where what is waited for, $7 is the last character. A tally of no
# kind is 0. Holds are found by a range of their index, so a breakdown costs what there is to count.
_BREAKDOWN: Final = """
SELECT c.key, c.maximum AS size, c.used AS taken,
    CASE $1::text
    WHEN 'counter' THEN coalesce((SELECT t.used FROM ledger.counters t WHERE t.key = $2::text || c.key || $3::text), 0)
    WHEN 'holds' THEN (SELECT count(*) FROM ledger.holds t
                       WHERE t.key >= $2 || c.key || $3 AND t.key < $2 || c.key || $3 || $7::text)
    ELSE 0 END AS held,
    CASE $4::text
    WHEN 'counter' THEN coalesce((SELECT t.used FROM ledger.counters t WHERE t.key = $5::text || c.key || $6::text), 0)
    WHEN 'holds' THEN (SELECT count(*) FROM ledger.holds t
                       WHERE t.key >= $5 || c.key || $6 AND t.key < $5 || c.key || $6 || $7)
    ELSE 0 END AS waiting
FROM {source} c
ORDER BY c.key
"""
_ONE: Final = _BREAKDOWN.format(
    source='(SELECT $8::text COLLATE "C" AS key, coalesce(max(maximum), 0) AS maximum, coalesce(max(used), 0) AS used'
    " FROM ledger.counters WHERE key = $8)"
)
# The counters that are tallies of others are left out of a page.
_PAGE: Final = _BREAKDOWN.format(
    source="(SELECT key, maximum, used FROM ledger.counters WHERE key >= $8 AND key < $9 AND key > $10"
    " AND NOT ($1 = 'counter' AND starts_with(key, $2) AND right(key, length($3)) = $3)"
    " AND NOT ($4 = 'counter' AND starts_with(key, $5) AND right(key, length($6)) = $6)"
    " ORDER BY key LIMIT $11)"
)


class InvalidTally(LedgerError):
    """A pattern without exactly one `{key}`, or one that would tally another key's holds or the counter itself."""


class TallyBroken(LedgerError):
    """More is held than was taken from the counter: somebody claimed the one without the other."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a part of a counter's use is counted. Made by `counter` and `holds`."""

    kind: Literal["counter", "holds", ""]
    before: str
    after: str

    @classmethod
    def counter(cls, pattern: str) -> Self:
        """The counter of that key, e.g. `{key}#held`. It needs a limit too (`LimitClaim`). Raises InvalidTally."""
        before, after = _split(pattern)
        if not before and not after:
            raise InvalidTally("a counter is no tally of itself: put something before or after {key}")
        return cls("counter", before, after)

    @classmethod
    def holds(cls, pattern: str) -> Self:
        """The holds whose keys begin like this, e.g. `held/{key}/`. Raises InvalidTally.

        What follows `{key}` may not occur in the counters' keys, or one key's holds would count for another.
        """
        before, after = _split(pattern)
        if not after:
            raise InvalidTally("the holds of room:7 would count those of room:70: put something after {key}")
        return cls("holds", before, after)


_NOTHING: Final = Tally("", "", "")


@dataclass(frozen=True, slots=True)
class Parts:
    """A caller's convention: where what is held and what is waited for is counted. Left out, it is 0."""

    held: Tally = _NOTHING
    waiting: Tally = _NOTHING


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What a counter is used for. `size` = `used` + `held` + `left`; `waiting` takes nothing from it."""

    key: str
    size: int
    used: int
    held: int
    waiting: int

    @property
    def left(self) -> int:
        """How many can still be taken."""
        return self.size - self.used - self.held


async def breakdown(database: Database, key: str, parts: Parts) -> Breakdown:
    """The breakdown of one counter; of one that was never seen everything but `waiting` is 0. Raises TallyBroken."""
    row = await database.fetchrow(_ONE, *_arguments(parts), key)
    assert row is not None, "an aggregate always gives a row"
    return _of(row)


async def breakdowns(
    database: Database, prefix: str, parts: Parts, after: str = "", limit: int = MAX_PAGE_COUNTERS
) -> list[Breakdown]:
    """The breakdowns of the counters whose keys begin with `prefix`, by key, a page after the key `after`.

    The counters in which the parts are counted are left out. Raises PageOutOfRange, TallyBroken.
    """
    if not 1 <= limit <= MAX_PAGE_COUNTERS:
        raise PageOutOfRange(f"a page holds 1 to {MAX_PAGE_COUNTERS} counters, not {limit}")
    end = prefix + _LAST_CHARACTER
    return [_of(row) for row in await database.fetch(_PAGE, *_arguments(parts), prefix, end, after, limit)]


def _split(pattern: str) -> tuple[str, str]:
    before, *rest = pattern.split(PLACE)
    if len(rest) != 1:
        raise InvalidTally(f"a tally's pattern has {PLACE} once, not {len(rest)} times: {pattern!r}")
    return before, rest[0]


def _arguments(parts: Parts) -> tuple[str, ...]:
    held, waiting = parts.held, parts.waiting
    return (held.kind, held.before, held.after, waiting.kind, waiting.before, waiting.after, _LAST_CHARACTER)


def _of(row: "asyncpg.Record") -> Breakdown:
    if row["held"] > row["taken"]:
        raise TallyBroken(f"{row['held']} of {row['key']} are held and only {row['taken']} were taken")
    return Breakdown(
        key=row["key"],
        size=row["size"],
        used=row["taken"] - row["held"],
        held=row["held"],
        waiting=row["waiting"],
    )
