"""Commands that were accepted while Temporal or the workers were away: kept in `app.inbox`, handled in order afterwards
(`api/draining.py`). Whoever sent one is answered 202 with an operation, and reads there what came of it.

Nothing overtakes: while something is kept for a process or from an organisation, their further commands join the queue.
What a command says is sealed; its id is the one it was or would have been sent under, so it is never carried out twice.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
import orjson
import structlog
from pydantic import TypeAdapter

from api import problem_types
from api.commands import Delivery, Target
from api.problems import RETRY_AFTER_S, Problem, temporal_away
from api.validation import Fault
from secrets_box import SecretsBox
from workflows.messages import CommandMessage

KIND: Final = "command"
"""The kind of operation that kept commands are."""

ATOMIC: Final = "atomic-rows"
DRY_RUN: Final = "dry-run"
KINDS: Final = frozenset({KIND, ATOMIC, DRY_RUN})
"""All kinds whose rows stand here. Of the last two no row is sent by itself (its `not_before` is never):
`api/rows_together.py` judges them as a whole. Rows that are only tried hold up nobody: they are of no process, and
count for no organisation, as if they had failed too often."""

MAX_KEPT: Final = 10_000
"""Commands of all organisations that wait at once; what comes beyond is not accepted."""

MAX_CONTENT_BYTES: Final = 256 * 1024
"""A command that says more is not kept; none of a person's does."""

MAX_AGE: Final = timedelta(days=7)
"""A command that has waited so long is given up: whoever sent it has found another way, or must decide anew."""

OWN_FAILURES: Final = 10
"""A command that has failed so often while others were carried out holds up its own process only, no longer whoever
sent it."""

NOTICE_S: Final = 60.0
"""How long this process looks before each command whether it would overtake, after the inbox was seen in use."""

log = structlog.get_logger(__name__)
_TARGET: Final = TypeAdapter(Target)


@dataclass(frozen=True, slots=True)
class Kept:
    """The operation under which commands of a request are kept."""

    operation: UUID
    created_at: datetime
    total: int
    done: int = 0
    kind: str = KIND

    @property
    def location(self) -> str:
        """Where the operation is to be read."""
        return f"/v1/operations/{self.operation}"

    def body(self) -> dict[str, Any]:
        """The operation as `GET` would show it now."""
        return {
            "id": str(self.operation),
            "kind": self.kind,
            "state": "queued",
            "progress": {"done": self.done, "total": self.total},
            "result": f"{self.location}/rows",
            "error": None,
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            "finished_at": None,
            "outcome": None,
        }

    def headers(self) -> dict[str, str]:
        """What goes with a 202."""
        return {"Location": self.location, "Retry-After": str(RETRY_AFTER_S)}


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much is kept and not handled yet, and how long the oldest of it has waited."""

    count: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """One of them, without what it says."""

    position: int
    command: str
    process: str
    organisation: str
    operation: UUID
    kept_at: datetime
    waited_s: float
    attempts: int
    problem: str | None


class Inbox:
    """Keeps commands. `monotonic` counts seconds; a test may give its own."""

    def __init__(
        self, pool: "asyncpg.Pool[Any]", box: SecretsBox, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._box = box
        self._monotonic = monotonic
        self._noticed_s: float | None = None
        self.announced = asyncio.Event()

    @property
    def in_use(self) -> bool:
        """Whether something was kept of late. Every request looks, so what a caller was told is known by his next."""
        return self._noticed_s is not None and self._monotonic() - self._noticed_s < NOTICE_S

    def notice(self) -> None:
        """Something is kept."""
        self._noticed_s = self._monotonic()

    async def holds(self, process: str, organisation: str) -> bool:
        """Whether a command for the process or from the organisation would overtake one that is kept."""
        held: bool = await self._pool.fetchval(_HOLDS, process, organisation, OWN_FAILURES)
        return held

    async def kept_for(self, processes: Sequence[str]) -> frozenset[str]:
        """Those of the processes for which a command is kept and not handled yet."""
        rows = await self._pool.fetch(_KEPT_FOR, list(processes)) if self.in_use else []
        return frozenset(row["process"] for row in rows)

    async def keep(
        self,
        operation: UUID,
        rows: Sequence[tuple[int | None, Delivery]],
        failed: Sequence[tuple[int, dict[str, Any]]] = (),
        kind: str = KIND,
    ) -> Kept:
        """Keep the commands of a request, each with its row, None for a single one. Kept again, they are kept once.

        `failed` are rows with the outcome that they have come to already.

        Raises Problem `inbox-full`, and `temporal-unavailable` for a command that is too large to be kept.
        """
        assert rows, "there is something to keep"
        sealed = [self._sealed(delivery) for _, delivery in rows]
        actor = rows[0][1].message.actor
        self.notice()
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_COUNT) + len(rows) > MAX_KEPT:
                raise full()
            await connection.execute(_BEGIN, operation, actor.organisation, kind)
            added = await connection.fetch(
                _INSERT,
                operation,
                [delivery.command_id for _, delivery in rows],
                [item for item, _ in rows],
                [_process(delivery, operation, kind) for _, delivery in rows],
                [delivery.command for _, delivery in rows],
                actor.organisation,
                actor.key,
                rows[0][1].message.correlation_id,
                sealed,
                OWN_FAILURES if kind == DRY_RUN else 0,
                kind != KIND,
            )
            known = await connection.fetch(
                _INSERT_FAILED,
                operation,
                [uuid5(operation, str(item)) for item, _ in failed],
                [item for item, _ in failed],
                [orjson.dumps(outcome).decode() for _, outcome in failed],
                actor.organisation,
                actor.key,
                rows[0][1].message.correlation_id,
                rows[0][1].command,
            )
            row = await connection.fetchrow(_GROW, operation, len(added) + len(known), len(known))
        assert row is not None, "the operation was begun in this transaction or before"
        self.announced.set()
        names = sorted({delivery.command for _, delivery in rows})
        log.info("commands_kept", count=len(added), commands=names, organisation=actor.organisation)
        return Kept(operation, row["created_at"], row["total"], row["done"], kind)

    def opened(self, command_id: UUID, sealed: bytes) -> Delivery:
        """A command as it was kept. Raises SecretBroken."""
        content = orjson.loads(self._box.open(_place(command_id), sealed))
        message = CommandMessage.model_validate(content["message"])
        return Delivery(_TARGET.validate_python(content["target"]), content["command"], message, command_id)

    def _sealed(self, delivery: Delivery) -> bytes:
        content = orjson.dumps(
            {
                "target": asdict(delivery.target),
                "command": delivery.command,
                "message": delivery.message.model_dump(mode="json"),
            }
        )
        if len(content) > MAX_CONTENT_BYTES:
            raise temporal_away()
        return self._box.seal(_place(delivery.command_id), content)


def _process(delivery: Delivery, operation: UUID, kind: str) -> str:
    return delivery.process if kind != DRY_RUN else f"{DRY_RUN}/{operation}"


def _place(command_id: UUID) -> str:
    # `services/key_rotation.py` names it, too.
    return f"inbox:{command_id}"


def full() -> Problem:
    """Nothing more is accepted for now."""
    return Problem(problem_types.INBOX_FULL, _FULL, headers={"Retry-After": str(RETRY_AFTER_S)})


async def waiting(pool: "asyncpg.Pool[Any]") -> Waiting:
    """How much waits in the inbox."""
    row = await pool.fetchrow(_FIGURES)
    assert row is not None, "an aggregate gives one row"
    return Waiting(row["count"], row["oldest_s"])


async def listed(pool: "asyncpg.Pool[Any]", limit: int) -> list[WaitingCommand]:
    """The oldest commands that wait, in their order."""
    return [WaitingCommand(**row) for row in await pool.fetch(_LIST, limit)]


_HOLDS: Final = """
SELECT EXISTS (SELECT FROM app.inbox WHERE finished_at IS NULL
               AND (process = $1 OR (organisation = $2 AND attempts < $3)))
"""
_KEPT_FOR: Final = "SELECT DISTINCT process FROM app.inbox WHERE finished_at IS NULL AND process = ANY ($1::text[])"
_COUNT: Final = "SELECT count(*) FROM app.inbox WHERE finished_at IS NULL"
_FIGURES: Final = """
SELECT count(*) AS count, extract(epoch FROM clock_timestamp() - min(kept_at))::float8 AS oldest_s
FROM app.inbox WHERE finished_at IS NULL
"""
_LIST: Final = """
SELECT position, command, process, organisation, operation, kept_at,
       extract(epoch FROM clock_timestamp() - kept_at)::float8 AS waited_s, attempts, problem
FROM app.inbox WHERE finished_at IS NULL ORDER BY position LIMIT $1
"""
_BEGIN: Final = """
INSERT INTO app.operations (id, organisation, kind, total) VALUES ($1, $2, $3, 0) ON CONFLICT (id) DO NOTHING
"""
_INSERT: Final = """
INSERT INTO app.inbox (operation, command_id, item, process, command, organisation, key_id, request_id, content_sealed,
                       attempts, not_before)
SELECT $1, c.id, c.item, c.process, c.command, $6, $7, $8, c.sealed,
       $10, CASE WHEN $11 THEN 'infinity' ELSE clock_timestamp() END
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[], $9::bytea[])
     WITH ORDINALITY AS c (id, item, process, command, sealed, place)
ORDER BY c.place
ON CONFLICT (command_id) DO NOTHING RETURNING position
"""
_INSERT_FAILED: Final = """
INSERT INTO app.inbox (operation, command_id, item, process, command, organisation, key_id, request_id, outcome,
                       finished_at)
SELECT $1, f.id, f.item, '', $8, $5, $6, $7, f.outcome::jsonb, clock_timestamp()
FROM unnest($2::uuid[], $3::integer[], $4::text[]) AS f (id, item, outcome)
ON CONFLICT (command_id) DO NOTHING RETURNING position
"""
_GROW: Final = """
UPDATE app.operations SET total = total + $2::integer, done = done + $3::integer,
       state = CASE WHEN $2 > 0 THEN 'queued' ELSE state END, error = CASE WHEN $2 > 0 THEN NULL ELSE error END,
       finished_at = CASE WHEN $2 > 0 THEN NULL ELSE finished_at END
WHERE id = $1 RETURNING created_at, done, total
"""
_FULL: Final = Fault(
    "inbox_full",
    f"The workflow service is away and {MAX_KEPT} commands are waiting already; this one was not accepted.",
    f"流程服务暂不可用，且已有 {MAX_KEPT} 条命令等待执行；本命令未被接受。",
    "Repeat the request with the same Idempotency-Key later. Operators: `xunji inbox` shows what waits, /v1/readyz "
    "what is away.",
    "请稍后用同一 Idempotency-Key 重发。运维：`xunji inbox` 显示等待的命令，/v1/readyz 显示何处不可用。",
)
