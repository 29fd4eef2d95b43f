"""How often somebody may ask: a bucket of tokens for each key, and one of failures for each address that signs in.

The buckets are in PostgreSQL, so that all processes share them. A request does not go there each time: a process takes
a few tokens at once and spends them itself, twice as many whenever they were gone early, and gives back what it did not
need. A caller gets what his bucket holds and no more, however many processes he asks.

    asked ──► tokens in hand? ── yes ──► spent
                   │ no
                   ▼
              app.take_tokens ── some ──► in hand, one spent
                   │ none
                   ▼
              429 until there is one again, without asking the database
"""

import asyncio
import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import structlog

from api import problem_types
from api.problem_types import ProblemType
from api.problems import Problem
from api.validation import Fault
from ledger.errors import DATABASE_LOST

HAND_S: Final = 1.0
"""Tokens in hand are given back when they were not used for so long."""

MAX_HAND: Final = 256
SUBJECTS_LIMIT: Final = 20_000
"""Callers whose tokens one process holds; the one that was not heard of for longest is forgotten."""

SWEEP_INTERVAL_S: Final = 600.0
SWEEP_ROWS: Final = 10_000
IDLE_S: Final = 3_600
"""A bucket that nobody has touched for so long is full, and not needed."""

SUBJECT_BYTES: Final = 16
_TAKE: Final = "SELECT granted, wait_s FROM app.take_tokens($1, $2, $3, $4, $5)"
_SWEEP: Final = """
DELETE FROM app.rate_limits WHERE subject IN (
    SELECT subject FROM app.rate_limits WHERE at < clock_timestamp() - make_interval(secs => $1) LIMIT $2
)
"""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a bucket gains a minute, and what it holds. Nothing a minute means that there is no limit."""

    per_minute: int
    burst: int

    @property
    def per_second(self) -> float:
        return self.per_minute / 60


@dataclass(slots=True)
class _Hand:
    """What this process holds of one bucket."""

    left: int = 0
    size: int = 1
    taken_s: float = -math.inf
    empty_until_s: float = -math.inf
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimits:
    """Counts for one process. `monotonic` counts seconds; a test may give its own."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        key: bytes,
        *,
        requests: Limit,
        failures: Limit,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._key = key
        self._requests = requests
        self._failures = failures
        self._monotonic = monotonic
        self._hands: OrderedDict[bytes, _Hand] = OrderedDict()

    async def spend(self, key_id: str) -> None:
        """Count a request with a key. Raises Problem `too-many-requests`."""
        if self._requests.per_minute:
            wait_s = await self._take(f"key {key_id}", self._requests)
            if wait_s:
                raise _too_many(problem_types.TOO_MANY_REQUESTS, _REQUESTS, wait_s)

    def require_patience(self, *who: str) -> None:
        """Raises Problem `too-many-failed-sign-ins` while somebody of `who` is known to have failed too often."""
        for each in who if self._failures.per_minute else ():
            hand = self._hands.get(self._subject(f"failure {each}"))
            wait_s = hand.empty_until_s - self._monotonic() if hand else 0
            if wait_s > 0:
                raise _too_many(problem_types.TOO_MANY_FAILED_SIGN_INS, _FAILURES, wait_s)

    async def failed(self, *who: str) -> None:
        """Count a failure to sign in, for each of `who`: an address, an account. Raises the same when it is one too
        many, in place of the answer to the failure.
        """
        if not self._failures.per_minute:
            return
        waits = [await self._take(f"failure {each}", self._failures) for each in who]
        if any(waits):
            raise _too_many(problem_types.TOO_MANY_FAILED_SIGN_INS, _FAILURES, max(waits))

    async def sweep_for_ever(self) -> None:
        """Forget buckets that are full, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            try:
                await self.sweep()
            except DATABASE_LOST as error:
                log.warning("rate_limits_not_swept", cause=type(error).__name__)

    async def sweep(self) -> int:
        """Forget at most SWEEP_ROWS full buckets; give how many."""
        status: str = await self._pool.execute(_SWEEP, float(IDLE_S), SWEEP_ROWS)
        return int(status.rpartition(" ")[2])

    def _subject(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)[:SUBJECT_BYTES]

    async def _take(self, text: str, limit: Limit) -> float:
        """Spend one token; gives 0, or the seconds until there is one."""
        subject = self._subject(text)
        hand = self._hands.setdefault(subject, _Hand())
        self._hands.move_to_end(subject)
        if len(self._hands) > SUBJECTS_LIMIT:
            self._hands.popitem(last=False)
        if not self._is_spendable(hand):
            async with hand.turn:
                if not self._is_spendable(hand):
                    await self._refill(hand, subject, limit)
        if hand.left:
            hand.left -= 1
            return 0
        return max(hand.empty_until_s - self._monotonic(), 1e-3)

    def _is_spendable(self, hand: _Hand) -> bool:
        """Whether it can be answered without the database: with a token, or because there is none yet."""
        now_s = self._monotonic()
        return now_s < hand.empty_until_s or (hand.left > 0 and now_s - hand.taken_s < HAND_S)

    async def _refill(self, hand: _Hand, subject: bytes, limit: Limit) -> None:
        now_s = self._monotonic()
        was_early = hand.left == 0 and now_s - hand.taken_s < HAND_S
        largest = max(1, min(MAX_HAND, round(limit.per_second * HAND_S)))
        hand.size = min(hand.size * 2, largest) if was_early else max(hand.size // 2, 1)
        returned, hand.left = hand.left, 0
        row = await self._pool.fetchrow(_TAKE, subject, limit.per_second, float(limit.burst), hand.size, returned)
        assert row is not None, "the function answers always"
        hand.left, hand.taken_s = row["granted"], now_s
        if not hand.left:
            hand.empty_until_s = now_s + row["wait_s"]


def _too_many(type_: ProblemType, fault: Fault, wait_s: float) -> Problem:
    return Problem(type_, fault, headers={"Retry-After": str(math.ceil(wait_s))})


_REQUESTS: Final = Fault(
    "too_many_requests",
    "This key has sent more requests than it may for now.",
    "该密钥的请求次数暂时超出限制。",
    "Wait for as long as `Retry-After` says, then go on; send many rows in one request (`/v1/trainees/{command}`).",
    "请按 `Retry-After` 等待后继续；多条记录可合并为一个请求（`/v1/trainees/{command}`）。",
)
_FAILURES: Final = Fault(
    "too_many_failed_sign_ins",
    "Too many attempts to sign in have failed from here.",
    "登录失败次数过多。",
    "Wait for as long as `Retry-After` says; check that the key or the password is right.",
    "请按 `Retry-After` 等待，并核对密钥或密码。",
)
