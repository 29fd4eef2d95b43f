"""Who is behind a name and a password. Whoever does not exist takes as long as whoever errs, and hears the same."""

import asyncio
from typing import Any, Final

import asyncpg

from api.permissions import scopes_of
from api.registry import Registry
from api.sessions import Staff
from domain.institution import InstitutionRegistered
from projections import institutions
from services.accounts import is_password, nobodys_hash

AT_ONCE: Final = 2
"""A hash takes 64 MiB and a core for a moment: no more than so many passwords are tried at the same time."""

_SELECT: Final = "SELECT id, organisation, scopes, password_hash, disabled_at FROM app.accounts WHERE name = $1"


async def standing(pool: "asyncpg.Pool[Any]", registry: Registry, organisation: str) -> InstitutionRegistered | None:
    """The organisation, None when nobody has registered it or when it was closed."""
    registered = await registry.find(organisation)
    if registered is None or await institutions.successor_of(pool, organisation):
        return None
    return registered


class Accounts:
    """Local accounts, for the embedded stack and while a provider is away."""

    def __init__(self, pool: "asyncpg.Pool[Any]", registry: Registry) -> None:
        self._pool = pool
        self._registry = registry
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._nobodys = ""

    async def find(self, name: str, password: str) -> Staff | None:
        """The member of staff, or None: unknown, disabled, wrong password, or of no organisation that takes part."""
        row = await self._pool.fetchrow(_SELECT, name)
        async with self._turn:
            self._nobodys = self._nobodys or await asyncio.to_thread(nobodys_hash)
            kept = row["password_hash"] if row is not None else self._nobodys
            is_right = await asyncio.to_thread(is_password, password, kept)
        if row is None or not is_right or row["disabled_at"] is not None:
            return None
        organisation = await standing(self._pool, self._registry, row["organisation"])
        if organisation is None:
            return None
        every = frozenset(scopes_of(organisation.kind))
        scopes = every & frozenset(row["scopes"] or every)
        return Staff(row["id"], organisation.id, organisation.kind, scopes, row["id"]) if scopes else None
