"""Bringing every person under the current master key and the current index key, while the system runs.

Master key: configure the new one as current and the old one as former everywhere, run `rewrap` until its report is
`finished`, then take the old one away. Nothing that was sealed changes, only the wrapping of each person's key.

Index key: an index is a keyed hash of a natural key that stands nowhere in the clear, so it cannot be computed from the
old one. Everybody who is looked up is moved on the way; for the others `reindex` asks the caller, who may be able to
open the natural key from what he has sealed. `count_former` says when the former key is not needed any more. Whoever
can be neither looked up nor opened keeps the former key alive, or is to be erased.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from ledger.advance import Advance, uncounted
from ledger.errors import PageOutOfRange, SealBroken, SubjectErased
from ledger.vault import MasterKeys, Vault

BATCH: Final = 500
MAX_BATCH: Final = 10_000

NaturalKeyOf = Callable[[UUID], Awaitable[str | None]]
"""Gives a person's natural key, or None when it is not to be had. Its errors end the run; what was done stays done."""

_FIRST = UUID(int=0)

_DUE = """
SELECT id, wrapped_key, master_key_id FROM vault.subjects
WHERE id > $1 AND wrapped_key IS NOT NULL AND master_key_id IS DISTINCT FROM $2 ORDER BY id LIMIT $3
"""
# Rows are locked in the order of ids, so that two runs wait for each other and do not block each other. A key that was
# destroyed or wrapped anew since it was read is left as it is: an erasure always wins.
_REWRAP = """
WITH mine AS (SELECT id FROM vault.subjects WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE)
UPDATE vault.subjects s SET wrapped_key = u.after, master_key_id = $4
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS u (id, before, after) JOIN mine ON mine.id = u.id
WHERE s.id = u.id AND s.wrapped_key = u.before
RETURNING s.id
"""
_REMAINING = """
SELECT count(*) FROM vault.subjects WHERE wrapped_key IS NOT NULL AND master_key_id IS DISTINCT FROM $1
"""
_UNDER_FORMER = """
SELECT id FROM vault.subjects
WHERE id > $1 AND blind_index IS NOT NULL AND index_key_id IS DISTINCT FROM $2 ORDER BY id LIMIT $3
"""
_COUNT_FORMER = """
SELECT count(*) FROM vault.subjects WHERE blind_index IS NOT NULL AND index_key_id IS DISTINCT FROM $1
"""


@dataclass(frozen=True, slots=True)
class RewrapReport:
    """`rewrapped` keys in this run, `unreadable` by any of the keys given, and `remaining` under other keys at the end.

    More remain than are unreadable when somebody still works with the old key: configure him anew and run it again.
    """

    rewrapped: int
    unreadable: int
    remaining: int

    @property
    def finished(self) -> bool:
        """Whether the former keys are not needed any more."""
        return self.remaining == 0


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """`reindexed` persons in this run. The natural key of others was `unknown`, was `wrong` (it is not the one under
    which the person stands), or is that of a second person too (`taken`). `remaining` under former keys at the end.
    """

    reindexed: int
    unknown: int
    wrong: int
    taken: int
    remaining: int

    @property
    def finished(self) -> bool:
        """Whether the former keys are not needed any more."""
        return self.remaining == 0


async def rewrap(
    pool: "asyncpg.Pool[Any]",
    current: bytes,
    former: Sequence[bytes],
    batch: int = BATCH,
    *,
    advance: Advance = uncounted,
) -> RewrapReport:
    """Wrap every person's key under the `current` master key, `batch` (1 to MAX_BATCH) in a transaction.

    It runs as the database's owner. Stopped at any point and run again, it goes on where it was. A key that none of the
    given ones opens is left as it is and counted. Raises InvalidKey, PageOutOfRange, and asyncpg's errors.
    """
    _check_batch(batch)
    keys = MasterKeys(current, former)
    after, rewrapped, unreadable = _FIRST, 0, 0
    while rows := await pool.fetch(_DUE, after, keys.current_id, batch):
        after = rows[-1]["id"]
        ids, before, wrapped = [], [], []
        for row in rows:
            try:
                key = keys.unwrap(row["id"], row["wrapped_key"], row["master_key_id"])
            except SealBroken:
                unreadable += 1
                continue
            ids.append(row["id"])
            before.append(row["wrapped_key"])
            wrapped.append(keys.wrap(row["id"], key))
        rewrapped += len(await pool.fetch(_REWRAP, ids, before, wrapped, keys.current_id))
        advance(len(rows))
    return RewrapReport(rewrapped, unreadable, int(await pool.fetchval(_REMAINING, keys.current_id)))


async def count_to_rewrap(pool: "asyncpg.Pool[Any]", current: bytes) -> int:
    """How many persons' keys are wrapped by another master key than this one."""
    return int(await pool.fetchval(_REMAINING, MasterKeys(current).current_id))


async def count_former(pool: "asyncpg.Pool[Any]", index_key_id: str) -> int:
    """How many persons stand under another index key than this (`Vault.index_key_id`, `ledger.vault.key_id`).

    Rows from before keys had ids count until they are looked up.
    """
    return int(await pool.fetchval(_COUNT_FORMER, index_key_id))


async def reindex(
    pool: "asyncpg.Pool[Any]",
    vault: Vault,
    natural_key_of: NaturalKeyOf,
    batch: int = BATCH,
    *,
    advance: Advance = uncounted,
) -> ReindexReport:
    """Put everybody under the vault's current index key whose natural key the caller can give.

    The natural key is checked against the index under which the person stands, so a wrong one moves nobody. Can be
    stopped and run again. Raises PageOutOfRange, asyncpg's errors, and whatever `natural_key_of` raises.
    """
    _check_batch(batch)
    after, reindexed, unknown, wrong, taken = _FIRST, 0, 0, 0, 0
    while rows := await pool.fetch(_UNDER_FORMER, after, vault.index_key_id, batch):
        after = rows[-1]["id"]
        for row in rows:
            advance(1)
            natural_key = await natural_key_of(row["id"])
            if natural_key is None:
                unknown += 1
                continue
            try:
                moved = await vault.reindex(row["id"], natural_key)
            except SubjectErased:
                continue
            except asyncpg.UniqueViolationError:
                taken += 1
                continue
            reindexed += moved
            wrong += not moved
    return ReindexReport(reindexed, unknown, wrong, taken, await count_former(pool, vault.index_key_id))


def _check_batch(batch: int) -> None:
    if not 1 <= batch <= MAX_BATCH:
        raise PageOutOfRange(f"a batch holds 1 to {MAX_BATCH} persons, not {batch}")
