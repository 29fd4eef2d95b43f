"""The lease on the live views: one projector writes at a time, and a former one cannot.

An advisory lock is the fast half: it ends with the connection of the one who holds it, so another takes over within a
second. It is not enough by itself. A projector whose process is frozen keeps its lock for ever; behind a pooler its
lock may end while it still writes; and one that has read a checkpoint may find, after a switch, another build with the
same checkpoint. So every holder gets a token, one higher than any before. Each batch locks the lease's row for as long
as its transaction lasts and goes on only if the token there is still its own; whoever takes the lease raises the token,
and waits for such a batch first.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from projections.database import LOCK_CLASS, PROJECTOR_LOCK, AnyConnection

LEASE_SECONDS: Final = 15.0
"""A lease that was not renewed for so long may be taken although its holder's connection lives."""

RENEW_SECONDS: Final = 3.0

_TAKE: Final = """
UPDATE projection.lease SET token = token + 1, renewed_at = clock_timestamp()
WHERE $1 OR renewed_at < clock_timestamp() - $2::interval
RETURNING token
"""
_RENEW: Final = "UPDATE projection.lease SET renewed_at = clock_timestamp() WHERE token = $1 RETURNING token"
_REVOKE: Final = "UPDATE projection.lease SET token = token + 1, renewed_at = '-infinity'"


class LeaseLost(RuntimeError):
    """Another process took the lease, or the live build was switched; nothing of the batch was written."""


@dataclass(slots=True)
class Lease:
    """The right to move the live views. `exclusive`: the holder also has the lock that ends with its connection."""

    token: int
    exclusive: bool
    renewed_at_s: float = field(default=0.0, compare=False)

    async def keep(self, connection: AnyConnection) -> None:
        """Renew the lease if it is time to. Raises LeaseLost."""
        now = asyncio.get_running_loop().time()
        if now - self.renewed_at_s < RENEW_SECONDS:
            return
        if await connection.fetchval(_RENEW, self.token) is None:
            raise LeaseLost(f"the lease with the token {self.token} was taken by somebody else")
        self.renewed_at_s = now


async def take(connection: AnyConnection) -> Lease | None:
    """Take the lease if nobody has it, or if its holder has not renewed it for LEASE_SECONDS; else None.

    The lock stays with the connection until it is unlocked there or the connection ends.
    """
    locked: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, PROJECTOR_LOCK)
    token: int | None = await connection.fetchval(_TAKE, locked, timedelta(seconds=LEASE_SECONDS))
    return None if token is None else Lease(token, locked, asyncio.get_running_loop().time())


async def revoke(connection: AnyConnection) -> None:
    """Take the lease from whoever has it, within the caller's transaction, until whose end nobody gets it.

    Waits for a batch that is being written.
    """
    await connection.execute(_REVOKE)
