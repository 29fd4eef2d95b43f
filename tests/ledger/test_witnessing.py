"""Checkpoints are countersigned: what is asked and kept, and what happens when a witness is away, ahead or false."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from ledger import witnessing
from ledger.checkpoint import open_note
from ledger.cosignature import Witness, cosigned_at, witness_of
from ledger.schema import LOCK_CLASS, WITNESSING_LOCK
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.witness import NotConsistent, NotSigned, OtherSize, WitnessService
from ledger.witness_client import MAX_ANSWER_BYTES, SIZE_MEDIA_TYPE
from ledger.witnessing import Witnessing, cosigned_file, lag, sizes_held, stored_name
from tests.ledger.appends import BOOK, fill

LOG_KEY, WITNESS_KEY = bytes([1] * 32), bytes([2] * 32)
ORIGIN, NAME, URL = "xunji.example", "witness.example/w1", "http://witness.test/prefix"
Pool = asyncpg.Pool
Answer = tuple[int, str, str]


class Far:
    """A witness behind HTTP. `answer`, if set, is what it says instead; `sent` is what it was asked."""

    def __init__(self, service: WitnessService) -> None:
        self.service = service
        self.answer: Callable[[], Answer] | None = None
        self.sent: list[str] = []

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.sent.append(body.decode())
        status, kind, text = self.answer() if self.answer else await self._of_the_service(scope, body.decode())
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": text.encode()})

    async def _of_the_service(self, scope: Any, body: str) -> Answer:
        assert (scope["method"], scope["path"]) == ("POST", "/prefix/add-checkpoint")
        try:
            return 200, "text/plain", await self.service.add_checkpoint(body)
        except OtherSize as conflict:
            return 409, SIZE_MEDIA_TYPE, f"{conflict.size}\n"
        except NotSigned:
            return 403, "text/plain", ""
        except NotConsistent:
            return 422, "text/plain", ""

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self))


@pytest.fixture
def far(pool: "Pool[Any]") -> Far:
    return Far(WitnessService(pool, NAME, WITNESS_KEY, {ORIGIN: [public_key_of(LOG_KEY)]}))


@pytest.fixture
def witness(far: Far) -> Witness:
    return witness_of(far.service.verifier_key, URL)


@pytest.fixture
def sealer(pool: "Pool[Any]", tmp_path: Path) -> Sealer:
    return Sealer(pool, LOG_KEY, ORIGIN, tmp_path)


@pytest.fixture
def asking(pool: "Pool[Any]", far: Far, witness: Witness, tmp_path: Path) -> Witnessing:
    return Witnessing(pool, [witness], tmp_path, far.client())


async def test_each_new_checkpoint_is_countersigned_and_kept_inside_and_outside(
    ledger: Ledger, pool: "Pool[Any]", far: Far, witness: Witness, sealer: Sealer, asking: Witnessing, tmp_path: Path
) -> None:
    assert await asking.ask_due() == 0
    for part, events in enumerate((3, 4, 12)):
        await fill(ledger, events, prefix=f"part-{part}")
        await sealer.seal_due()
        assert await asking.ask_due() == 1
        assert await asking.ask_due() == 0
    assert [text.split("\n")[0] for text in far.sent] == ["old 0", "old 3", "old 7"]
    rows = await pool.fetch("SELECT * FROM ledger.cosignatures ORDER BY size")
    assert [(row["book"], row["size"], row["witness"]) for row in rows] == [
        (BOOK, size, stored_name(witness)) for size in (3, 7, 19)
    ]
    note = cosigned_file(tmp_path, BOOK, witness).read_text()
    assert open_note(note, public_key_of(LOG_KEY)).size == 19
    assert cosigned_at(note, witness) == rows[-1]["cosigned_at"]
    assert note.endswith(rows[-1]["line"])


async def test_every_book_and_every_witness_is_asked(
    ledger: Ledger, pool: "Pool[Any]", far: Far, witness: Witness, sealer: Sealer, tmp_path: Path
) -> None:
    other = WitnessService(pool, "witness.example/w2", bytes([3] * 32), {"xunji.example": []})
    second = witness_of(other.verifier_key, URL, required=False)
    await fill(ledger, 3)
    await fill(ledger, 2, book="people")
    await sealer.seal_due()
    assert await Witnessing(pool, [witness, second], tmp_path, far.client()).ask_due() == 2
    found = await lag(pool, [witness, second])
    assert [(each.witness, each.book, each.cosigned, each.behind) for each in found] == [
        (witness.name, BOOK, 3, 0),
        (witness.name, "people", 2, 0),
        (second.name, BOOK, 0, 3),
        (second.name, "people", 0, 2),
    ]
    assert found[0].behind_s == 0 < found[2].behind_s


async def test_a_witness_that_knows_another_size_is_asked_from_there(
    ledger: Ledger, pool: "Pool[Any]", far: Far, sealer: Sealer, asking: Witnessing
) -> None:
    await fill(ledger, 5)
    await sealer.seal_due()
    await asking.ask_due()
    # A database that was restored from before knows less than the witness does.
    await pool.execute("ALTER TABLE ledger.cosignatures DISABLE TRIGGER refuse_change; DELETE FROM ledger.cosignatures")
    await fill(ledger, 4, prefix="later")
    await sealer.seal_due()
    assert await asking.ask_due() == 1
    assert [text.split("\n")[0] for text in far.sent[1:]] == ["old 0", "old 5"]


async def test_a_witness_that_is_away_stops_nothing_and_is_told_once(
    ledger: Ledger,
    pool: "Pool[Any]",
    far: Far,
    witness: Witness,
    sealer: Sealer,
    asking: Witnessing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(witnessing, "WITNESSING_INTERVAL_S", 0.01)
    monkeypatch.setattr(witnessing, "LONGEST_PAUSE_S", 0.02)
    caplog.set_level(logging.INFO)
    far.answer = lambda: (503, "text/plain", "")
    stop = asyncio.Event()
    running = asyncio.create_task(asking.run(stop))
    for part in range(3):
        await fill(ledger, 2, prefix=f"part-{part}")
        assert len(await sealer.seal_due()) == 1
        asked = len(far.sent)
        while len(far.sent) < asked + 2:
            await asyncio.sleep(0.005)
    (behind,) = await lag(pool, [witness])
    assert (behind.size, behind.cosigned, behind.behind) == (6, 0, 6)
    assert behind.behind_s > 0
    far.answer = None
    while (await lag(pool, [witness]))[0].behind or "countersigns again" not in caplog.text:
        assert not running.done()
    stop.set()
    await running
    messages = [record.message for record in caplog.records if "witness.example" in record.message]
    assert messages == [
        f"checkpoints are not countersigned: {NAME} answers with status 503",
        f"the witness {NAME} countersigns again",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, "text/plain", ""), "status 403"),
        ((404, "text/plain", ""), "status 404"),
        ((409, "text/plain", ""), "status 409"),
        ((409, SIZE_MEDIA_TYPE, "many\n"), "no size"),
        ((409, SIZE_MEDIA_TYPE, "99\n"), "has countersigned 99 events, and here are 3"),
        ((409, SIZE_MEDIA_TYPE, "3\n"), "another tree of 3"),
        ((302, "text/plain", ""), "status 302"),
        ((200, "text/plain", ""), "without a signature"),
        ((200, "text/plain", f"— {NAME} AAAA\n"), "without a signature"),
        ((200, "text/plain", "x" * (MAX_ANSWER_BYTES + 1)), "more than"),
    ],
)
async def test_a_false_answer_is_not_taken(
    ledger: Ledger,
    pool: "Pool[Any]",
    far: Far,
    sealer: Sealer,
    asking: Witnessing,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    said: str,
) -> None:
    far.answer = lambda: answer
    await fill(ledger, 3)
    await sealer.seal_due()
    assert await asking.ask_due() == 0
    assert said in caplog.text
    assert await pool.fetchval("SELECT count(*) FROM ledger.cosignatures") == 0


async def test_a_witness_that_nobody_answers_for_is_away(
    ledger: Ledger,
    pool: "Pool[Any]",
    witness: Witness,
    sealer: Sealer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await fill(ledger, 3)
    await sealer.seal_due()
    nobody = Witness(witness.name, witness.public_key, "http://127.0.0.1:1")
    assert await Witnessing(pool, [nobody], tmp_path).ask_due() == 0
    assert "cannot be reached: ConnectError" in caplog.text


async def test_passes_of_several_processes_take_turns(
    ledger: Ledger, pool: "Pool[Any]", far: Far, witness: Witness, sealer: Sealer, tmp_path: Path
) -> None:
    await fill(ledger, 3)
    await sealer.seal_due()
    both = [Witnessing(pool, [witness], tmp_path, far.client()) for _ in range(2)]
    async with pool.acquire() as leader:
        await leader.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, WITNESSING_LOCK)
        assert await both[0].ask_due() == 0
        await leader.execute("SELECT pg_advisory_unlock_all()")
    assert sum(await asyncio.gather(*(each.ask_due() for each in both))) == 1
    assert not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")


async def test_a_file_that_a_crash_has_left_out_is_written_later(
    ledger: Ledger, pool: "Pool[Any]", far: Far, witness: Witness, sealer: Sealer, asking: Witnessing, tmp_path: Path
) -> None:
    await fill(ledger, 3)
    await sealer.seal_due()
    await asking.ask_due()
    path = cosigned_file(tmp_path, BOOK, witness)
    note = path.read_text()
    path.unlink()
    await Witnessing(pool, [witness], tmp_path, far.client()).ask_due()
    assert path.read_text() == note


async def test_what_a_witness_holds_is_asked(
    ledger: Ledger, pool: "Pool[Any]", far: Far, witness: Witness, sealer: Sealer, asking: Witnessing
) -> None:
    await fill(ledger, 3)
    await sealer.seal_due()
    assert await sizes_held(pool, [witness], far.client()) == {BOOK: {NAME: 3}}
    await asking.ask_due()
    await fill(ledger, 4, prefix="later")
    await sealer.seal_due()
    assert await sizes_held(pool, [witness], far.client()) == {BOOK: {NAME: 3}}
    assert await sizes_held(pool, []) == {}


async def test_a_witness_that_never_answers_does_not_hold_up_the_end(
    ledger: Ledger, pool: "Pool[Any]", witness: Witness, sealer: Sealer, tmp_path: Path
) -> None:
    await fill(ledger, 3)
    await sealer.seal_due()
    asked = asyncio.Event()

    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(silent))
    stop = asyncio.Event()
    running = asyncio.create_task(Witnessing(pool, [witness], tmp_path, http).run(stop))
    await asked.wait()
    stop.set()
    await running
    assert not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")


async def test_a_lost_database_is_told_once_and_passes_go_on(
    ledger: Ledger,
    pool: "Pool[Any]",
    far: Far,
    witness: Witness,
    sealer: Sealer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(witnessing, "WITNESSING_INTERVAL_S", 0.01)
    await fill(ledger, 3)
    await sealer.seal_due()
    await pool.execute("ALTER TABLE ledger.cosignatures RENAME TO elsewhere")
    stop = asyncio.Event()
    running = asyncio.create_task(Witnessing(pool, [witness], tmp_path, far.client()).run(stop))
    while "witnessing failed" not in caplog.text:
        await asyncio.sleep(0.005)
    await pool.execute("ALTER TABLE ledger.elsewhere RENAME TO cosignatures")
    while not await pool.fetchval("SELECT count(*) FROM ledger.cosignatures"):
        assert not running.done()
    stop.set()
    await running
    assert caplog.text.count("witnessing failed") == 1


async def test_without_witnesses_nothing_is_asked(pool: "Pool[Any]", tmp_path: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Witnessing(pool, [], tmp_path).run(stop))
    await asyncio.sleep(0)
    stop.set()
    await running
    assert not list(tmp_path.iterdir())
