"""Many callers at once, and what happens when a connection is lost; `ledger.testing` has the order's contract."""

import asyncio
from typing import Any

import asyncpg
import pytest

from ledger import coalescer
from ledger.batch import QUERY, PreparedAppend, arguments, prepare
from ledger.errors import AppendRejected, LedgerClosed, LedgerUnavailable
from ledger.store import Ledger
from ledger.types import Appended, CountClaim, Duplicate, LimitClaim, VersionConflict
from tests.ledger.appends import BOOK, append, write

WRITERS = 16
APPENDS_PER_WRITER = 60


async def test_concurrent_callers_share_commits(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    await ledger.append(append(write("first")))
    results = await asyncio.gather(*(ledger.append(append(write(f"trainee/{n}"))) for n in range(200)))
    assert all(isinstance(result, Appended) for result in results)
    transactions = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM ledger.events")
    assert transactions < 10


async def kill_writers(pool: "asyncpg.Pool[Any]") -> int:
    """Cut every connection of this database that has sent an append last."""
    return int(
        await pool.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%ledger.append(%'"
        )
    )


@pytest.mark.defect("lost appends on retry")
async def test_a_lost_connection_is_replaced_and_the_batch_sent_again(
    ledger: Ledger, pool: "asyncpg.Pool[Any]"
) -> None:
    await ledger.append(append(write("trainee/1")))
    assert await kill_writers(pool) == 1
    results = await asyncio.gather(*(ledger.append(append(write(f"other/{n}"))) for n in range(20)))
    assert all(isinstance(result, Appended) for result in results)


@pytest.mark.parametrize("way", ["append", "append_one", "append_plain"])
@pytest.mark.defect("lost appends on retry")
async def test_a_crash_between_commit_and_reply_is_answered_with_the_first_answer(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The database commits, and the reply is lost with the connection before anybody reads it."""
    await ledger.append(append(write("first")))
    fetch = "fetchrow" if way == "append" else "fetchval"
    original = getattr(asyncpg.pool.PoolConnectionProxy, fetch)
    crashes = 0

    async def crash_after_commit(self: Any, query: str, *values: Any, **more: Any) -> Any:
        nonlocal crashes
        answer = await original(self, query, *values, **more)
        if f"ledger.{way}(" in query and crashes == 0:
            crashes += 1
            self.terminate()
            raise ConnectionResetError("cut after the commit")
        return answer

    monkeypatch.setattr(asyncpg.pool.PoolConnectionProxy, fetch, crash_after_commit)
    events = 2 if way == "append_plain" else 1
    claims = (LimitClaim("limit", 1),) if way == "append" else ()
    one = append(write("trainee/1", events=events), claims=claims, reply=b"the answer")

    assert await ledger.append(one) == Duplicate(b"the answer")
    assert crashes == 1
    assert len(await ledger.read_stream(BOOK, one.writes[0].stream)) == events


@pytest.mark.defect("lost appends on retry")
async def test_a_process_that_dies_between_commit_and_reply_finds_its_answer(pool: "asyncpg.Pool[Any]") -> None:
    one = append(reply=b"the answer")
    async with pool.acquire() as connection:
        # Another process: it commits, and is gone before it could tell anybody.
        await connection.fetchrow(QUERY, *arguments([prepare(one)]))
        connection.terminate()
    async with Ledger(pool) as ledger:
        assert await ledger.append(one) == Duplicate(b"the answer")
        assert await ledger.head(BOOK) == 1


async def test_a_database_that_stays_away_is_an_error_and_no_loss(
    ledger: Ledger, pool: "asyncpg.Pool[Any]", database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.append(append(write("trainee/1")))
    name = await pool.fetchval("SELECT current_database()")
    outside = await asyncpg.connect(database_url.replace(f"/{name}", "/postgres"))
    again = append(write("trainee/2"))
    try:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await outside.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        with pytest.raises(LedgerUnavailable):
            await ledger.append(again)
    finally:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await outside.close()
    assert isinstance(await ledger.append(again), Appended)


async def test_an_append_that_the_database_rejects_fails_alone(ledger: Ledger, pool: "asyncpg.Pool[Any]") -> None:
    # A rule that only this database has, so that the append passes our own checks.
    await pool.execute("ALTER TABLE ledger.commands ADD CHECK (reply <> 'poison')")
    poisoned = append(write("trainee/poison"), reply=b"poison")
    others = [append(write(f"trainee/{n}")) for n in range(10)]

    results = await asyncio.gather(*(ledger.append(one) for one in [*others, poisoned]), return_exceptions=True)

    assert all(isinstance(result, Appended) for result in results[:10])
    assert isinstance(results[10], AppendRejected)


async def test_a_cancelled_caller_disturbs_nobody(ledger: Ledger) -> None:
    tasks = [asyncio.create_task(ledger.append(append(write(f"trainee/{n}")))) for n in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert isinstance(await ledger.append(append(write("class/1"))), Appended)


async def test_callers_wait_while_the_queue_is_full(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescer, "MAX_WAITING", 4)
    monkeypatch.setattr(coalescer, "MAX_BATCH_APPENDS", 3)
    longest = 0
    take = coalescer.Coalescer._take

    def measure(self: coalescer.Coalescer, crowd: bool) -> Any:
        nonlocal longest
        longest = max(longest, len(self._waiting))
        return take(self, crowd)

    monkeypatch.setattr(coalescer.Coalescer, "_take", measure)
    results = await asyncio.gather(*(ledger.append(append(write(f"trainee/{n}"))) for n in range(50)))
    assert all(isinstance(result, Appended) for result in results)
    assert longest == 4


async def test_batches_are_bounded_in_appends_events_and_bytes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[PreparedAppend]] = []
    send = coalescer.Coalescer._send

    async def record(self: coalescer.Coalescer, batch: Any) -> Any:
        sent.append(list(batch))
        return await send(self, batch)

    monkeypatch.setattr(coalescer.Coalescer, "_send", record)
    monkeypatch.setattr(coalescer, "MAX_BATCH_APPENDS", 7)
    monkeypatch.setattr(coalescer, "MAX_BATCH_EVENTS", 10)
    await ledger.append_many([append(write(f"few/{n}")) for n in range(30)])
    await ledger.append_many([append(write(f"many/{n}", events=4)) for n in range(10)])
    monkeypatch.setattr(coalescer, "MAX_BATCH_BYTES", 1_000)
    await ledger.append_many([append(write(f"bytes/{n}")) for n in range(10)])
    await ledger.append(append(write("one", events=20)))

    assert max(len(batch) for batch in sent) == 7
    assert max(sum(one.event_count for one in batch) for batch in sent[:-1]) <= 10
    assert len(sent[-1]) == 1 and sent[-1][0].event_count == 20
    assert all(sum(one.size_bytes for one in batch) <= 1_000 for batch in sent[-4:-1])


async def test_a_batch_of_claims_and_conflicts_answers_each(ledger: Ledger) -> None:
    results = await ledger.append_many(
        [
            append(write("a"), claims=[LimitClaim("seat", 2)]),
            append(write("b"), claims=[CountClaim("seat", 1)]),
            append(write("b"), claims=[CountClaim("seat", 1)]),
            append(write("c"), claims=[CountClaim("seat", 1)]),
            append(write("d"), claims=[CountClaim("seat", 1)]),
        ]
    )
    assert [type(result).__name__ for result in results] == [
        "Appended",
        "Appended",
        "VersionConflict",
        "Appended",
        "ClaimRefused",
    ]
    assert results[2] == VersionConflict("b", 0, 1)


async def test_a_cancelled_writer_leaves_nobody_waiting(pool: "asyncpg.Pool[Any]") -> None:
    ledger = Ledger(pool)
    waiting = asyncio.create_task(ledger.append_many([append()]))
    await asyncio.sleep(0)
    writer = ledger._coalescer._writer
    assert writer is not None
    writer.cancel()
    with pytest.raises(LedgerClosed):
        await waiting
    with pytest.raises(LedgerClosed):
        await ledger.append(append())
    await ledger.close()


async def test_a_broken_writer_is_replaced(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: Any) -> Any:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(coalescer, "_call", break_down)
    results = await asyncio.gather(
        *(ledger.append_many([append(write(f"trainee/{n}"))]) for n in range(40)), return_exceptions=True
    )
    assert all(isinstance(result, LedgerUnavailable) for result in results)
    assert any("a defect" in str(record.exc_info) for record in caplog.records)
    monkeypatch.undo()
    assert isinstance(await ledger.append(append()), Appended)
