"""The gate that every request with a key passes before anything else is looked at: who calls, and whether too often."""

from typing import Final

from fastapi import Request

from api.auth import Keys
from api.permissions import Caller
from api.problems import Problem
from api.rate_limits import RateLimits

UNKNOWN_ADDRESS: Final = "unknown"


class Gate:
    """Lets callers in. What it does not know it asks `keys` and `limits`."""

    def __init__(self, keys: Keys, limits: RateLimits) -> None:
        self._keys = keys
        self._limits = limits

    async def admit(self, request: Request) -> Caller:
        """Who calls. Raises Problem `unauthenticated`, `too-many-requests` and `too-many-failed-sign-ins`.

        An address that has failed too often gets no new key looked up; one that is in use there goes on working.
        """
        authorization = request.headers.get("authorization")
        caller = self._keys.remembered(authorization)
        if caller is None:
            address = address_of(request)
            self._limits.require_patience(address)
            try:
                caller = await self._keys.authenticate(authorization)
            except Problem:
                if authorization:
                    await self._limits.failed(address)
                raise
        await self._limits.spend(caller.key_id)
        return caller


def address_of(request: Request) -> str:
    """Where the request comes from, as the server that we run under says; behind a proxy it is told whom to believe."""
    return request.client.host if request.client else UNKNOWN_ADDRESS
