"""Many callers, one commit: appends that arrive while another call is on its way share the next one.

    caller ─ prepare ─┐
    caller ─ prepare ─┼─► queue (bounded) ─► one call at a time on one connection ─► an answer to each caller
    caller ─ prepare ─┘

A caller who comes alone makes the call himself, which saves him two turns of the event loop. Each batch is one
statement and therefore one round trip, one transaction and one flush to disk, however many appends it holds.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg
import asyncpg.pool

from ledger import batch as judged
from ledger import plain
from ledger.batch import PreparedAppend
from ledger.errors import AppendRejected, LedgerClosed, LedgerError, LedgerUnavailable
from ledger.types import AppendResult, ClaimRefused

MAX_BATCH_APPENDS: Final = 512
MAX_BATCH_EVENTS: Final = 10_000
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
MAX_WAITING: Final = 8_192
"""So many appends wait at most; further callers wait before they are taken in."""

SPLIT_FROM: Final = 16
"""A crowd of at least this size that meets an idle writer is sent in two halves: see `_take`."""

CALL_TIMEOUT_S: Final = 30.0
CALL_ATTEMPTS: Final = 2
"""A batch whose connection is lost is sent again once. Command ids make that safe, wherever it was lost."""

_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # What the driver says when the loss is noticed while a call begins.
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
)
# The same command arrived through another process at the same instant, or the server broke a deadlock with somebody
# who takes locks in another order. Nothing was stored; the next attempt finds things settled.
_UNSETTLED = (asyncpg.UniqueViolationError, asyncpg.TransactionRollbackError)
_REJECTED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)

Answer = AppendResult | LedgerError
_Waiting = tuple[PreparedAppend, "asyncio.Future[AppendResult]"]
_Connection = asyncpg.pool.PoolConnectionProxy
_log = logging.getLogger(__name__)


class Coalescer:
    """Gathers prepared appends into batches and answers each. It keeps one connection of the pool for itself."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._waiting: deque[_Waiting] = deque()
        self._in_flight: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._connection: _Connection[Any] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        # Held by whoever calls the database: the writer, or a caller who came alone.
        self._turn = asyncio.Lock()
        self._crowded = False

    async def append(self, prepared: PreparedAppend) -> AppendResult:
        """Store one append and give its answer; raises what the futures of `enqueue` raise."""
        if self._crowded or self._waiting or self._turn.locked() or self._closing:
            return await (await self.enqueue(prepared))
        async with self._turn:
            answer = (await self._commit([prepared]))[0]
        if isinstance(answer, LedgerError):
            raise answer
        return answer

    async def enqueue(self, prepared: PreparedAppend) -> "asyncio.Future[AppendResult]":
        """Take an append in, as soon as there is room, and give the future of its answer.

        The future's errors are LedgerUnavailable when the database did not answer (send it again under the same
        command id), AppendRejected when the database refuses it, and LedgerClosed, which this raises too. An append
        whose future is cancelled may be stored.
        """
        while len(self._waiting) >= MAX_WAITING and not self._closing:
            self._room.clear()
            await self._room.wait()
        if self._closing:
            raise LedgerClosed("the ledger is closed")
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="ledger-writer")
            self._writer.add_done_callback(self._stopped)
        answer: asyncio.Future[AppendResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((prepared, answer))
        self._arrived.set()
        return answer

    async def close(self) -> None:
        """Answer whoever is waiting, then give the connection back. Later appends raise LedgerClosed."""
        self._closing = True
        self._room.set()
        self._arrived.set()
        if self._writer is not None:
            await asyncio.wait([self._writer])
        async with self._turn:
            await self._release()

    async def _write(self) -> None:
        crowd = True
        while self._waiting or not self._closing:
            if not self._waiting:
                crowd = True
                self._arrived.clear()
                await self._arrived.wait()
                continue
            batch = self._in_flight = self._take(crowd)
            crowd = False
            self._crowded = len(batch) > 1
            async with self._turn:
                results = await self._commit([prepared for prepared, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if answer.done():
                    continue  # Its caller was cancelled meanwhile.
                if isinstance(result, LedgerError):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    def _stopped(self, writer: "asyncio.Task[None]") -> None:
        # Only a cancelled or broken writer leaves anybody unanswered; it may not even have begun.
        reason: LedgerError = LedgerClosed("the ledger's writer was cancelled")
        if writer.cancelled():
            self._closing = True
        elif (error := writer.exception()) is not None:
            # A defect. The next append begins with a new writer, so that it costs those under way and no more.
            _log.critical("the ledger's writer has broken down", exc_info=error)
            reason = LedgerUnavailable(f"the ledger's writer has broken down: {error!r}")
            self._writer = None
        for _, answer in (*self._in_flight, *self._waiting):
            if not answer.done():
                answer.set_exception(reason)
        self._in_flight = []
        self._waiting.clear()
        self._room.set()

    def _take(self, crowd: bool) -> list[_Waiting]:
        """Take the next batch off the queue, in order, each command id at most once.

        Callers that append again as soon as they are answered arrive all together at an idle writer. Taken as a
        whole they would stay together, and Python and PostgreSQL would take turns in waiting for each other. Taken
        in halves, one half is prepared while the other is stored.
        """
        waiting = self._waiting
        most = min(len(waiting), MAX_BATCH_APPENDS)
        if crowd and SPLIT_FROM <= most < MAX_BATCH_APPENDS:
            most = (most + 1) // 2
        batch: list[_Waiting] = []
        commands = set()
        events = size_bytes = 0
        while waiting and len(batch) < most:
            prepared, answer = waiting[0]
            if answer.done():  # Its caller was cancelled before it was sent.
                waiting.popleft()
                continue
            events += prepared.event_count
            size_bytes += prepared.size_bytes
            full = events > MAX_BATCH_EVENTS or size_bytes > MAX_BATCH_BYTES
            if batch and (full or prepared.append.command_id in commands):
                break
            commands.add(prepared.append.command_id)
            batch.append((prepared, answer))
            waiting.popleft()
        if len(waiting) < MAX_WAITING:
            self._room.set()
        return batch

    async def _commit(self, batch: Sequence[PreparedAppend]) -> list[Answer]:
        if not batch:
            return []
        try:
            results = await self._send(batch)
        except AppendRejected as error:
            if len(batch) == 1:
                return [error]
            # One of them broke the call for all; alone, it breaks only its own.
            return [answer for prepared in batch for answer in await self._commit([prepared])]
        except LedgerError as error:
            return [type(error)(*error.args).with_traceback(error.__traceback__) for _ in batch]
        if len(batch) > 1:
            for place, result in enumerate(results):
                if isinstance(result, ClaimRefused):
                    # What was refused in company is asked again alone, so that the answer rests on committed facts.
                    results[place] = (await self._commit([batch[place]]))[0]
        return results

    async def _send(self, batch: Sequence[PreparedAppend]) -> list[Answer]:
        for attempt in range(1, CALL_ATTEMPTS + 1):
            try:
                return await _call(await self._connect(), batch)
            except _REJECTED as error:
                if attempt == CALL_ATTEMPTS or not isinstance(error, _UNSETTLED):
                    raise AppendRejected(str(error)) from error
            except _UNSETTLED as error:
                if attempt == CALL_ATTEMPTS:
                    raise LedgerUnavailable(str(error)) from error
            except TimeoutError as error:
                await self._abandon()
                raise LedgerUnavailable(f"no answer within {CALL_TIMEOUT_S} s") from error
            except _LOST as error:
                _log.warning("the ledger's connection was lost: %s", error)
                await self._abandon()
                if attempt == CALL_ATTEMPTS:
                    raise LedgerUnavailable(str(error)) from error
            except asyncpg.PostgresError as error:
                raise LedgerUnavailable(str(error)) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _connect(self) -> "_Connection[Any]":
        if self._connection is not None and not _is_usable(self._connection):
            await self._abandon()
        if self._connection is None:
            self._connection = await self._pool.acquire(timeout=CALL_TIMEOUT_S)
        return self._connection

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)

    async def _abandon(self) -> None:
        # A connection in doubt is not reset, which might wait for ever; it is cut.
        if self._connection is not None:
            with suppress(asyncpg.InterfaceError):
                self._connection.terminate()
        await self._release()


async def _call(connection: "_Connection[Any]", batch: Sequence[PreparedAppend]) -> list[Answer]:
    call = plain.call(batch)
    if call is not None:
        query, values = call
        try:
            return list(plain.answers(batch, await connection.fetchval(query, *values, timeout=CALL_TIMEOUT_S)))
        except asyncpg.CheckViolationError:
            # The book is closed, or a value breaks a rule: who was answered before gets that answer all the same.
            pass
        except asyncpg.PostgresError as error:
            if error.sqlstate != plain.NOT_PLAIN:
                raise
    row = await connection.fetchrow(judged.QUERY, *judged.arguments(batch), timeout=CALL_TIMEOUT_S)
    assert row is not None, "the function answers with one row"
    return list(judged.answers(batch, row))


def _is_usable(connection: "_Connection[Any]") -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has noticed the loss before us and taken the connection back.
        return False
