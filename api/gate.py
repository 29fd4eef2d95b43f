"""The gate of every request that is not for everybody: who calls, by key or by session, and whether too often."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import Request

from api.auth import Keys
from api.permissions import Caller
from api.problems import Problem
from api.rate_limits import RateLimits
from api.sessions import Sessions

UNKNOWN_ADDRESS: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who was let in; `expires_at` is a session's end, None for a key."""

    caller: Caller
    expires_at: datetime | None = None


class Gate:
    """Lets callers in. What it does not know it asks the others."""

    def __init__(self, keys: Keys, sessions: Sessions, limits: RateLimits) -> None:
        self._keys = keys
        self._sessions = sessions
        self._limits = limits

    async def admit(self, request: Request) -> Admitted:
        """Who calls. A key goes before a session.

        Raises Problem `unauthenticated`, `too-many-requests`, `too-many-failed-sign-ins` and `cross-site-request`.
        """
        authorization = request.headers.get("authorization")
        token = self._sessions.token_in(request) if authorization is None else None
        if token is not None:
            session = await self._sessions.admit(request, token)
            admitted = Admitted(session.caller, session.expires_at)
        else:
            admitted = Admitted(await self._by_key(request, authorization))
        await self._limits.spend(admitted.caller.key_id)
        return admitted

    async def _by_key(self, request: Request, authorization: str | None) -> Caller:
        """An address that has failed too often gets no new key looked up; one that is in use there goes on working."""
        caller = self._keys.remembered(authorization)
        if caller is not None:
            return caller
        address = f"address {address_of(request)}"
        self._limits.require_patience(address)
        try:
            return await self._keys.authenticate(authorization)
        except Problem:
            if authorization:
                await self._limits.failed(address)
            raise


def address_of(request: Request) -> str:
    """Where the request comes from, as the server that we run under says; behind a proxy it is told whom to believe."""
    return request.client.host if request.client else UNKNOWN_ADDRESS
