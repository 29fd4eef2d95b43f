"""Very many rows that are judged as a whole, after their request was answered: all of them or none (`atomic-rows`), or
only tried (`dry-run`).

    kept in `app.inbox` ──▶ wait for what was kept before ──▶ judge, with progress ──▶ every row's outcome, in one go

They stand in the inbox, so that what their sender sends afterwards queues up behind them, and that their content is
sealed and forgotten like a command's. Nobody sends them one by one. Whoever has the operation's lease judges them; when
that process dies, another one finds by their ids what was carried out. Rows that are only tried wait for nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from api import inbox, operations, problem_types
from api.bulk import judge_rows
from api.operations import Away, Lease, LeaseLost
from api.problems import Problem, internal_error, known_problem
from api.receipts import Done, Failed, Result, Waits, outcome_of
from api.services import Services
from api.validation import Fault
from services.judging import Contended

KINDS: Final = inbox.KINDS - {inbox.KIND}
MAX_DEFECTS: Final = 5
"""Rows that meet a failure of ours so often are given up, with that failure as their outcome."""

CREATED, DONE = 201, 200


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was kept."""

    position: int
    command_id: UUID
    item: int
    process: str
    organisation: str
    request_id: str
    content_sealed: bytes
    kept_at: datetime
    is_old: bool
    is_revoked: bool


async def carry_out(services: Services, lease: Lease) -> None:
    """Judge the rows of an operation, and write down what each has come to. Raises Away, LeaseLost, and what the
    database raises.
    """
    rows = [Row(**row) for row in await services.pool.fetch(_ROWS, lease.operation, inbox.MAX_AGE)]
    if not rows:
        await operations.finish(services.pool, lease)
        return
    try:
        results = await _results(services, lease, rows)
    except (Away, LeaseLost):
        raise
    except Contended:
        raise Away(problem_types.STILL_WORKING.slug) from None
    except Exception as error:
        # The edge of the rows: they must not stand in their sender's way for ever.
        problem = known_problem(error)
        if (problem is not None and problem.type.status == problem_types.DATABASE_AWAY.status) or (
            lease.attempts < MAX_DEFECTS
        ):
            raise
        results = [Failed(row.item, internal_error()) for row in rows]
    await _write_down(services, lease, rows, results)


async def _results(services: Services, lease: Lease, rows: Sequence[Row]) -> Sequence[Result]:
    if rows[0].is_old:
        return [Failed(row.item, Problem(problem_types.NOT_CARRIED_OUT, _TOO_OLD)) for row in rows]
    if rows[0].is_revoked:
        return [Failed(row.item, Problem(problem_types.UNAUTHENTICATED, _REVOKED)) for row in rows]
    is_only_tried = lease.kind == inbox.DRY_RUN
    if not is_only_tried:
        await _require_turn(services, lease, rows)
    before = lease.total - len(rows)

    async def progress(judged: int) -> None:
        await operations.advance(services.pool, lease, before + judged)

    waiting = []
    for row in rows:
        delivery = services.inbox.opened(row.command_id, row.content_sealed)
        waiting.append(Waits(row.item, delivery, None if delivery.target.new else delivery.target.number))
    # A row that had failed before it was kept (`before` counts them) keeps the others from being carried out.
    return await judge_rows(services, waiting, only_try=is_only_tried, are_refused=before > 0, progress=progress)


async def _require_turn(services: Services, lease: Lease, rows: Sequence[Row]) -> None:
    """Nothing overtakes what was kept before. Raises Away when something was."""
    processes = sorted({row.process for row in rows})
    first = rows[0]
    is_later: bool = await services.pool.fetchval(
        _EARLIER, min(row.position for row in rows), lease.operation, processes, first.organisation, inbox.OWN_FAILURES
    )
    if is_later:
        raise Away(problem_types.STILL_WORKING.slug)


async def _write_down(services: Services, lease: Lease, rows: Sequence[Row], results: Sequence[Result]) -> None:
    outcomes: list[dict[str, Any]] = []
    for row, result in zip(rows, results, strict=True):
        assert isinstance(result, Done | Failed), "a judged row has come to something"
        success = CREATED if isinstance(result, Done) and result.is_new else DONE
        is_only_tried = lease.kind == inbox.DRY_RUN
        outcomes.append(outcome_of(result, services, row.request_id, success, is_only_tried=is_only_tried))
    problems = [each.problem.type.slug if isinstance(each, Failed) else None for each in results]
    given_up = [
        slug
        for slug, each in zip(problems, results, strict=True)
        if isinstance(each, Failed) and each.problem.type.status >= problem_types.INTERNAL.status
    ]
    async with services.pool.acquire() as connection, connection.transaction():
        # First, so that a process that was taken over writes nothing beside its successor.
        await operations.finish(connection, lease, min((each for each in given_up if each), default=None))
        await connection.execute(
            _FINISH,
            [row.position for row in rows],
            [orjson.dumps(outcome).decode() for outcome in outcomes],
            problems,
        )
    # What was sent meanwhile may go on.
    services.inbox.announced.set()


_ROWS: Final = """
SELECT i.position, i.command_id, i.item, i.process, i.organisation, i.request_id, i.content_sealed, i.kept_at,
       i.kept_at < clock_timestamp() - $2::interval AS is_old, k.revoked_at IS NOT NULL AS is_revoked
FROM app.inbox i LEFT JOIN app.api_keys k ON k.key_id = i.key_id
WHERE i.operation = $1 AND i.finished_at IS NULL ORDER BY i.item
"""
_EARLIER: Final = """
SELECT EXISTS (SELECT FROM app.inbox WHERE finished_at IS NULL AND position < $1 AND operation <> $2
               AND (process = ANY ($3::text[]) OR (organisation = $4 AND attempts < $5)))
"""
_FINISH: Final = """
UPDATE app.inbox AS i SET outcome = r.outcome::jsonb, problem = r.problem, finished_at = clock_timestamp(),
       content_sealed = NULL
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS r (position, outcome, problem)
WHERE i.position = r.position AND i.finished_at IS NULL
"""
_TOO_OLD: Final = Fault(
    "waited_too_long",
    f"The rows have waited for {inbox.MAX_AGE.days} days for commands that were kept before them. They were given up.",
    f"这些行等待先前命令已达 {inbox.MAX_AGE.days} 天，现已放弃执行。",
    "Look whether they are still wanted and send them as a new request. Operators: `xunji inbox` shows what waits.",
    "请确认是否仍需执行，并作为新请求重新提交。运维：`xunji inbox` 显示等待的命令。",
)
_REVOKED: Final = Fault(
    "key_revoked",
    "The key with which the rows were sent was revoked before they could be carried out.",
    "提交这些行的密钥在执行前已被吊销。",
    "Send them again with a valid key if they are still wanted.",
    "如仍需执行，请用有效密钥重新提交。",
)
