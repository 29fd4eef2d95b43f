"""Who calls: `Authorization: Bearer xj_<key id>_<secret>`, looked up in `app.api_keys`.

A key is cached for a few seconds, so that a revoked one stops working everywhere within `CACHE_S`, and at once in the
process that revoked it. The secret has 192 bits of chance, so its plain SHA-256 cannot be guessed back.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import asyncpg

from api import problem_types
from api.permissions import Caller, KeyRole
from api.problems import Problem
from api.validation import Fault
from ledger.errors import DATABASE_LOST

CACHE_S: Final = 10.0
CACHE_LIMIT: Final = 10_000
TOUCH_INTERVAL_S: Final = 30.0
"""`last_used_at` is written so often at most; it need not be exact."""

NOT_YOUR_PART: Final = problem_types.REFUSALS["not_your_part"]
SECRET_BYTES: Final = 24
KEY_ID_LENGTH: Final = 16
_KEY: Final = re.compile(r"xj_([a-z0-9]{16})_([A-Za-z0-9_-]{32})")
_SELECT: Final = """
SELECT organisation, role, secret_hash, scopes, expires_at, revoked_at, starts_at FROM app.api_keys WHERE key_id = $1
"""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it stands in the database, and when it was read by the monotonic counter."""

    caller: Caller
    secret_hash: bytes
    expires_at: datetime | None
    revoked: bool
    starts_at: datetime | None
    read_s: float


class Keys:
    """Tells who a key belongs to. `monotonic` counts seconds; a test may give its own."""

    def __init__(self, pool: "asyncpg.Pool[Any]", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._cache: OrderedDict[str, StoredKey] = OrderedDict()
        self._used: set[str] = set()

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller behind an `Authorization` header. Raises Problem `unauthenticated`, always in the same words."""
        key_id, secret = _parts_of(authorization)
        stored = await self._stored(key_id)
        if not _is_right(stored, secret):
            raise unauthenticated()
        assert stored is not None, "what is right is known"
        self._used.add(key_id)
        return stored.caller

    def remembered(self, authorization: str | None) -> Caller | None:
        """The caller, if his key was looked up moments ago and is right; None says nothing."""
        try:
            key_id, secret = _parts_of(authorization)
        except Problem:
            return None
        cached = self._fresh(key_id)
        if cached is None or not _is_right(cached, secret):
            return None
        self._used.add(key_id)
        return cached.caller

    def forget(self, key_id: str) -> None:
        """The key has changed."""
        self._cache.pop(key_id, None)

    async def touch_for_ever(self) -> None:
        """Write down when keys were used, until cancelled."""
        while True:
            await asyncio.sleep(TOUCH_INTERVAL_S)
            await self.touch()

    async def touch(self) -> None:
        """Write down that keys were used; what cannot be written is written next time."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._pool.execute(
                "UPDATE app.api_keys SET last_used_at = clock_timestamp() WHERE key_id = ANY ($1)", list(used)
            )
        except DATABASE_LOST:
            self._used |= used

    def _fresh(self, key_id: str) -> StoredKey | None:
        cached = self._cache.get(key_id)
        return cached if cached is not None and self._monotonic() - cached.read_s < CACHE_S else None

    async def _stored(self, key_id: str) -> StoredKey | None:
        cached = self._fresh(key_id)
        if cached is not None:
            return cached
        row = await self._pool.fetchrow(_SELECT, key_id)
        if row is None:
            # An unknown key is not remembered: guesses must not push real keys out.
            return None
        role = cast("KeyRole", row["role"])
        stored = StoredKey(
            Caller(key_id, row["organisation"], role, frozenset(row["scopes"])),
            row["secret_hash"],
            row["expires_at"],
            row["revoked_at"] is not None,
            row["starts_at"],
            self._monotonic(),
        )
        self._cache[key_id] = stored
        self._cache.move_to_end(key_id)
        if len(self._cache) > CACHE_LIMIT:
            self._cache.popitem(last=False)
        return stored


def _parts_of(authorization: str | None) -> tuple[str, str]:
    scheme, _, token = (authorization or "").partition(" ")
    match = _KEY.fullmatch(token.strip())
    if scheme.lower() != "bearer" or match is None:
        raise unauthenticated()
    key_id, secret = match.groups()
    return key_id, secret


def _is_right(stored: StoredKey | None, secret: str) -> bool:
    # Compared even for an unknown key, so that the time tells nothing.
    right = hmac.compare_digest(secret_hash(secret), stored.secret_hash if stored else bytes(32))
    if stored is None or not right:
        return False
    return not (stored.revoked or _is_over(stored.expires_at) or _is_early(stored.starts_at))


def _is_over(expires_at: datetime | None) -> bool:
    # Keys live in real time, whatever the campaign's clock says.
    return expires_at is not None and expires_at <= datetime.now(UTC)


def _is_early(starts_at: datetime | None) -> bool:
    return starts_at is not None and starts_at > datetime.now(UTC)


def secret_hash(secret: str) -> bytes:
    """What is kept of a key's secret: 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def new_secret() -> str:
    """A secret of 32 characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def key_text(key_id: str, secret: str) -> str:
    """The key as its owner keeps it: `xj_<key id>_<secret>`."""
    return f"xj_{key_id}_{secret}"


def require_scope(caller: Caller, scope: str) -> None:
    """Raises Problem `scope-missing` unless the key carries the scope."""
    if scope not in caller.scopes:
        raise Problem(
            problem_types.SCOPE_MISSING,
            Fault(
                "scope_missing",
                f"This needs the scope `{scope}`, which the key does not carry.",
                f"此操作需要权限“{scope}”，该密钥没有。",
                "Use a key with the scope; `POST /v1/institutions/{id}/keys` issues one where the role allows it.",
                "请使用具有该权限的密钥；可在角色允许时通过 `POST /v1/institutions/{id}/keys` 签发。",
            ),
        )


def not_your_part(roles: Sequence[str]) -> Problem:
    """The step is never this role's."""
    listed = " / ".join(roles)
    return Problem(
        NOT_YOUR_PART,
        Fault(
            "not_your_part",
            f"This step belongs to: {listed}.",
            f"此操作应由{listed}执行。",
            "Send it with a key of the organisation whose step it is.",
            "请由相应单位的密钥提交。",
            source="domain.md §2",
        ),
    )


def unauthenticated() -> Problem:
    """Nobody whom we know. Always in the same words."""
    fault = Fault(
        "unauthenticated",
        "The request carries no valid API key.",
        "请求没有有效的 API 密钥。",
        "Send `Authorization: Bearer xj_…` with a key that is neither revoked nor expired.",
        "请用未吊销且未过期的密钥发送 `Authorization: Bearer xj_…`。",
    )
    return Problem(problem_types.UNAUTHENTICATED, fault, headers={"WWW-Authenticate": 'Bearer realm="xunji"'})
