"""The defects that other event stores have had, by name. `pytest -m defect` runs the test of each.

Where the behaviour belongs to every store, the test is the contract's (`ledger.testing`) and is called from here by
the defect's name; where it belongs to another part, it stands there under the same mark.
"""

import ast
import asyncio
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import pytest

from ledger.reading import events_by_type, stream_at
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.subscription import LONGEST_WAIT_S, Subscription
from ledger.testing.append import AppendContract
from ledger.testing.order import OrderContract
from ledger.testing.store import OpenStore
from ledger.types import Appended
from ledger.verify import verify
from tests.ledger.appends import BOOK, STREAM, append, fill, write

Pool: TypeAlias = "asyncpg.Pool[Any]"
TESTS = Path(__file__).parent.parent
KEY = bytes(range(32))

DEFECTS: Final = {
    "skipped events": "a reader passes an event whose transaction commits late: marten #2370, #4953, #4964,"
    " commanded #3, Eventuous #222, emmett #336",
    "false success on a race": "twenty appends to one version are all told that they were stored: Eventuous #553",
    "raw unique violation": "a lost race is told as the database's own error: marten #1465, #2260, #2696",
    "lost appends on retry": "a retry after a lost reply is a conflict with itself: eventsourcing's @retry",
    "notify stalls": "a lost NOTIFY stops a subscription for good: eventsourcing #305",
    "upcasters ignored": "live folding upcasts, the projections and their rebuild do not: marten #2615",
    "linear fake": "what no signed root covers yet is checked at its ends only: immudb",
    "more than a thousand events": "an append of 1,001 events to a new stream fails: commanded #283",
    "two thousand appends": "a call of many appends fails, or answers for all of them at once",
    "order on read": "a stream is read in the order of its rows: emmett #239",
}
"""Each with what goes wrong, and where it did."""


def test_each_defect_has_a_test_and_each_mark_a_defect() -> None:
    marked: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.defect":
                marked.add(ast.literal_eval(node.args[0]))
    assert marked == set(DEFECTS)


# --------------------------------------------------------------------------------------------- of the store's contract


@pytest.mark.defect("skipped events")
async def test_skipped_events(open_store: OpenStore) -> None:
    await OrderContract().test_sixteen_writers_and_a_reader_that_skips_nothing(open_store)


@pytest.mark.defect("false success on a race")
@pytest.mark.defect("raw unique violation")
async def test_false_success_on_a_race_and_raw_unique_violation(open_store: OpenStore) -> None:
    await AppendContract().test_of_twenty_at_once_one_is_stored_and_only_one_is_told_so(open_store)


@pytest.mark.defect("raw unique violation")
@pytest.mark.defect("lost appends on retry")
async def test_a_retry_beside_the_first_attempt_is_no_violation(open_store: OpenStore) -> None:
    await AppendContract().test_the_same_command_through_two_processes_is_carried_out_once(open_store)


@pytest.mark.defect("more than a thousand events")
async def test_more_than_a_thousand_events(open_store: OpenStore) -> None:
    await AppendContract().test_one_append_holds_a_thousand_and_one_events(open_store)


@pytest.mark.defect("two thousand appends")
async def test_two_thousand_appends(open_store: OpenStore) -> None:
    await AppendContract().test_two_thousand_appends_of_one_call_each_get_their_own_answer(open_store)


# ---------------------------------------------------------------------------------------------------- of this database


@pytest.mark.defect("order on read")
async def test_order_on_read(ledger: Ledger, pool: Pool) -> None:
    """Every way to read gives the events in order, though their rows lie in the opposite one."""
    await ledger.append_many([append(write(expected=version)) for version in range(20)])
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE ledger.events_1 DISABLE TRIGGER refuse_change")
        rows = await connection.fetch("DELETE FROM ledger.events_1 RETURNING *")
        places = ", ".join(f"${place}" for place in range(1, len(rows[0]) + 1))
        insert = f"INSERT INTO ledger.events ({', '.join(rows[0].keys())}) VALUES ({places})"
        await connection.executemany(insert, [tuple(row) for row in reversed(rows)])
        await connection.execute("ALTER TABLE ledger.events_1 ENABLE ALWAYS TRIGGER refuse_change")
    lying = [row["version"] for row in await pool.fetch("SELECT version FROM ledger.events ORDER BY ctid")]
    assert lying == list(range(20, 0, -1))
    async with Subscription(pool, BOOK) as subscription:
        read = [
            await ledger.read_stream(BOOK, STREAM),
            await ledger.read_book(BOOK, 0, 100),
            await stream_at(pool, BOOK, STREAM, version=20),
            await events_by_type(pool, BOOK, "trainee.nominated"),
            await anext(subscription),
        ]
    for events in read:
        assert [event.version for event in events] == list(range(1, 21))


@pytest.mark.defect("notify stalls")
async def test_a_lost_notify_stalls_no_subscription(ledger: Ledger, pool: Pool, database_url: str) -> None:
    """Every session that could have listened is cut while the subscription is idle; the event comes all the same."""
    name = "idle-reader"
    async with (
        asyncpg.create_pool(
            database_url, min_size=1, max_size=2, server_settings={"application_name": name}
        ) as readers,
        Subscription(readers, BOOK) as subscription,
    ):
        waiting = asyncio.create_task(anext(subscription))
        await asyncio.sleep(3 * LONGEST_WAIT_S)
        assert not waiting.done()
        cut = await pool.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1", name
        )
        assert cut >= 1
        assert isinstance(await ledger.append(append()), Appended)
        assert [event.sequence for event in await waiting] == [1]
    listening = await pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen%'")
    assert listening == 0, "nothing may depend on a NOTIFY"


@pytest.mark.defect("linear fake")
@pytest.mark.parametrize("sequence", [1, 9, 10, 11, 12, 15, 19, 20])
async def test_linear_fake(ledger: Ledger, pool: Pool, tmp_path: Path, sequence: int) -> None:
    """Ten events are signed and ten are not: every single one is checked, and not only the ends of either part."""
    await fill(ledger, 10, prefix="signed")
    await Sealer(pool, KEY, "test", tmp_path).seal_due()
    await fill(ledger, 10, prefix="not-yet")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE ledger.events_1 DISABLE TRIGGER refuse_change")
        await connection.execute(
            "UPDATE ledger.events_1 SET body = overlay(body placing 'X'::bytea from 12) WHERE sequence = $1", sequence
        )
    (found,) = await verify(pool, public_key_of(KEY), BOOK)
    assert (found.verified, found.first_wrong) == (False, sequence)
