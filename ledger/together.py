"""Appends that share their fate: all of them are stored in one transaction, or none is."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from ledger.batch import QUERY, PreparedAppend, answers, arguments
from ledger.errors import DATABASE_LOST, AppendRejected, InvalidAppend, LedgerUnavailable
from ledger.types import Appended, AppendResult, Duplicate

MAX_TOGETHER: Final = 2_048
PER_CALL: Final = 512
"""So many are judged by one call of the transaction; the next call sees what the ones before have left."""

CALL_TIMEOUT_S: Final = 30.0
_REJECTED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


class TooManyTogether(InvalidAppend):
    """More appends than one transaction takes."""


async def send(pool: "asyncpg.Pool[Any]", batch: Sequence[PreparedAppend], *, only_try: bool) -> list[AppendResult]:
    """Judge the appends in their order, and store them if each was appended and it is not only tried.

    Raises TooManyTogether, AppendRejected and LedgerUnavailable; nothing is stored then.
    """
    if len(batch) > MAX_TOGETHER:
        raise TooManyTogether(f"{len(batch)} appends together instead of {MAX_TOGETHER} at most")
    if not batch:
        return []
    try:
        async with pool.acquire(timeout=CALL_TIMEOUT_S) as connection:
            transaction = connection.transaction()
            await transaction.start()
            is_kept = False
            try:
                results: list[AppendResult] = []
                for first in range(0, len(batch), PER_CALL):
                    part = batch[first : first + PER_CALL]
                    row = await connection.fetchrow(QUERY, *arguments(part), timeout=CALL_TIMEOUT_S)
                    assert row is not None, "the function answers with one row"
                    results += answers(part, row)
                is_kept = not only_try and all(isinstance(each, Appended | Duplicate) for each in results)
            finally:
                await (transaction.commit() if is_kept else transaction.rollback())
    except _REJECTED as error:
        raise AppendRejected(str(error)) from error
    except DATABASE_LOST as error:
        raise LedgerUnavailable(str(error)) from error
    except TimeoutError as error:
        raise LedgerUnavailable(f"no answer within {CALL_TIMEOUT_S} s") from error
    return results
