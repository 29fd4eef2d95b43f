"""Members of staff who are signed in: an opaque token in a cookie that scripts cannot read, of which the database keeps
the hash. It ends by signing out, by itself, with its account, or when it was not used for a while.

A session gives the same `Caller` as a key, so every permission applies to it alike. From another site it changes
nothing: such a request must come from our own pages (`Origin`).
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import asyncpg
import structlog
from fastapi import Request, Response

from api import problem_types
from api.auth import unauthenticated
from api.permissions import Caller, KeyRole
from api.problems import Problem
from api.validation import Fault

CACHE_S: Final = 10.0
CACHE_LIMIT: Final = 10_000
TOKEN_BYTES: Final = 32
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
KEPT: Final = timedelta(days=30)
"""So long ended sessions are kept, for whoever asks when somebody was signed in."""

SWEEP_ROWS: Final = 10_000
_INSERT: Final = """
INSERT INTO app.sessions (token_hash, staff, account, organisation, role, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval)
"""
_USE: Final = """
UPDATE app.sessions AS s SET last_seen_at = clock_timestamp()
WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > clock_timestamp()
  AND last_seen_at > clock_timestamp() - $2::interval
  AND NOT EXISTS (SELECT FROM app.accounts AS a WHERE a.id = s.account AND a.disabled_at IS NOT NULL)
RETURNING staff, organisation, role, scopes, expires_at
"""
_END: Final = "UPDATE app.sessions SET ended_at = clock_timestamp() WHERE token_hash = $1 AND ended_at IS NULL"
_END_ALL: Final = "UPDATE app.sessions SET ended_at = clock_timestamp() WHERE organisation = $1 AND ended_at IS NULL"
_SWEEP: Final = """
DELETE FROM app.sessions WHERE token_hash IN (
    SELECT token_hash FROM app.sessions WHERE expires_at < clock_timestamp() - $1::interval LIMIT $2
)
"""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who has shown who he is. `account` is empty for whom a provider knows."""

    id: str
    organisation: str
    role: KeyRole
    scopes: frozenset[str]
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What a token stands for, as it was read."""

    caller: Caller
    expires_at: datetime
    read_s: float


class Sessions:
    """Begins, finds and ends sessions. `origin` is where our pages are; `monotonic` counts seconds."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        origin: str,
        *,
        lasts: timedelta,
        idle: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._origin = origin.rstrip("/")
        self._lasts = lasts
        self._idle = idle
        self._monotonic = monotonic
        self._cache: OrderedDict[bytes, Session] = OrderedDict()

    @property
    def is_secure(self) -> bool:
        """Whether our pages come by TLS, as they always do but on one's own machine."""
        return self._origin.startswith("https://")

    @property
    def cookie(self) -> str:
        """The cookie's name. Browsers take `__Host-` only with TLS and from the host itself."""
        return "__Host-xunji_session" if self.is_secure else "xunji_session"

    async def begin(self, staff: Staff, response: Response, *, instead_of: str | None = None) -> None:
        """Sign somebody in: a new token each time, and what the browser had before ends."""
        if instead_of:
            await self.end(instead_of)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        await self._pool.execute(
            _INSERT,
            _hash(token),
            staff.id,
            staff.account,
            staff.organisation,
            staff.role,
            sorted(staff.scopes),
            self._lasts,
        )
        await self._pool.execute(_SWEEP, KEPT, SWEEP_ROWS)
        response.set_cookie(
            self.cookie,
            token,
            max_age=int(self._lasts.total_seconds()),
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    async def end(self, token: str) -> None:
        """Sign out: here at once, in other processes within CACHE_S. An unknown token is none any more."""
        self._cache.pop(_hash(token), None)
        await self._pool.execute(_END, _hash(token))

    async def end_all(self, organisation: str) -> None:
        """The organisation takes part no longer: nobody of it stays signed in."""
        for token in [token for token, each in self._cache.items() if each.caller.organisation == organisation]:
            self._cache.pop(token)
        await self._pool.execute(_END_ALL, organisation)

    def forget_in(self, response: Response) -> None:
        """Let the browser drop its cookie."""
        response.delete_cookie(self.cookie, path="/", secure=self.is_secure, httponly=True, samesite="lax")

    def token_in(self, request: Request) -> str | None:
        """The token that the browser has sent."""
        return request.cookies.get(self.cookie)

    async def admit(self, request: Request, token: str) -> Session:
        """Whose session it is. Raises Problem `unauthenticated` and `cross-site-request`."""
        self.require_own_origin(request)
        key = _hash(token)
        cached = self._cache.get(key)
        if cached is not None and self._monotonic() - cached.read_s < CACHE_S and cached.expires_at > datetime.now(UTC):
            return cached
        row = await self._pool.fetchrow(_USE, key, self._idle)
        if row is None:
            self._cache.pop(key, None)
            raise unauthenticated()
        caller = Caller(row["staff"], row["organisation"], cast("KeyRole", row["role"]), frozenset(row["scopes"]))
        session = Session(caller, row["expires_at"], self._monotonic())
        self._cache[key] = session
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_LIMIT:
            self._cache.popitem(last=False)
        return session

    def require_own_origin(self, request: Request) -> None:
        """Raises Problem `cross-site-request` for a change that another site may have caused.

        Every browser of this decade sends `Origin` with what is not safe; what sends none is no browser and has a key.
        """
        if request.method not in SAFE_METHODS and request.headers.get("origin") != self._origin:
            raise Problem(problem_types.CROSS_SITE, _CROSS_SITE)


def staff_id(key: bytes, issuer: str, subject: str) -> str:
    """16 characters that stand for a provider's subject and tell nothing of it."""
    return hmac.new(key, f"{issuer}\n{subject}".encode(), hashlib.sha256).hexdigest()[:16]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_CROSS_SITE: Final = Fault(
    "cross_site_request",
    "A session changes something only from our own pages, and this request does not come from there.",
    "会话只能从本系统页面提交变更，该请求来自其他网站。",
    "Use the page of this system; programs send `Authorization: Bearer xj_…` instead of a cookie.",
    "请在本系统页面操作；程序请使用 `Authorization: Bearer xj_…`，不要使用 Cookie。",
)
