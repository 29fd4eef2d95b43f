"""How fast the views are built anew from a book, and how much memory it takes, whatever the book's length.

Run as a program it builds one view set once, in a process of its own, and prints what it took as JSON:
`python -m benchmarks.rebuilding URL BOOK UNTIL simple|real`. The peak is then that of the rebuild and of nothing else.

- simple: one view of five plain columns, one row per stream, over the bench's own events.
- real: every view of this release, over lives of nominations as the domain records them.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from uuid import NAMESPACE_OID, uuid4, uuid5

import asyncpg
import orjson
import psutil

from domain import trainee_messages as messages
from domain import trainee_outcome_messages as outcomes
from domain.decision import Event
from ledger.store import Ledger
from ledger.types import Append, NewEvent, RecordedEvent, StreamWrite
from projections.builds import sql_files
from projections.filling import fill
from projections.rows import Row, View, place
from projections.views import VIEWS_BY_KIND

SCHEMA = "benchmark_build"
REAL_BOOK = "2022-lives"
LIVES_AT_ONCE = 500
SMALLER = 10
CREATE_SIMPLE = """
CREATE TABLE simple (
    stream text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, sequence bigint NOT NULL, type text NOT NULL,
    county text NOT NULL
)
"""
NOW = datetime(2022, 9, 1, tzinfo=UTC)
LIFE: tuple[Event, ...] = (
    messages.NominationApproved(level="county", by="county:410181", deadline=NOW),
    messages.NominationApproved(level="city", by="bureau:zzedu", host="h001"),
    messages.TraineeEnrolled(
        training_class="zz22-c-h001-01",
        host="h001",
        starts=date(2022, 10, 10),
        ends=date(2022, 10, 16),
        confirm_by=NOW,
    ),
    messages.AttendanceConfirmed(by="school:410181-s01"),
    messages.TraineeRegistered(by="host:h001", registered_at=NOW),
    outcomes.TrainingCompleted(
        by="host:h001", centralised_days=7, online_days=0, hours=56, grade="good", certificate="zz22-cert-00001"
    ),
    outcomes.FollowUpAssigned(task="lesson", due=NOW),
)
EVENTS_PER_LIFE = 1 + len(LIFE)


def _stream(event: RecordedEvent) -> str:
    return event.stream


def _apply(row: Row | None, event: RecordedEvent) -> Row:
    return {"stream": event.stream, "type": event.type, "county": event.data["county"], **place(row, event)}


SIMPLE = View("simple", "stream", _stream, _apply, per_stream=True)
SETS: Mapping[str, Mapping[str, tuple[View, ...]]] = {"simple": {"trainee": (SIMPLE,)}, "real": VIEWS_BY_KIND}


async def build(url: str, book: str, until: int, views: str) -> dict[str, float]:
    """Build the views once, and give the events per second and the bytes by which the process grew at its peak."""
    before = peak = 0

    def remember_peak(_: int) -> None:
        nonlocal peak
        peak = max(peak, psutil.Process().memory_info().rss)

    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
        await connection.execute(f"SET search_path TO {SCHEMA}")
        for text in sql_files("view"):
            await connection.execute(text)
        await connection.execute(CREATE_SIMPLE)
        before = peak = psutil.Process().memory_info().rss
        began = time.perf_counter()
        filled = await fill(connection, SETS[views], {book: until}, remember_peak)
        taken_s = time.perf_counter() - began
        assert filled == until, "the whole book is read"
        assert await connection.fetchval("SELECT count(*) FROM parked") == 0, "nothing of it is poison"
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    finally:
        await connection.close()
    return {"per_second": filled / taken_s, "growth_bytes": peak - before}


async def built(url: str, book: str, until: int, views: str = "simple") -> dict[str, float]:
    """The same in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.rebuilding", url, book, str(until), views, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the rebuild ended with {child.returncode}; what it said is above")
    figures: dict[str, float] = orjson.loads(out)
    return figures


async def measured(url: str, ledger: Ledger, book: str, events: int) -> dict[str, int]:
    """The real views' rate, and how much the process grows for a book and for a part of it: as much, or nearly so."""
    whole, part = await built(url, book, events), await built(url, book, events // SMALLER)
    real = await built(url, REAL_BOOK, await record_lives(ledger, events), "real")
    return {
        "events": events,
        "peak_growth_bytes": round(whole["growth_bytes"]),
        "smaller_book_events": events // SMALLER,
        "smaller_book_peak_growth_bytes": round(part["growth_bytes"]),
        "real_views_per_second": round(real["per_second"]),
        "real_views_peak_growth_bytes": round(real["growth_bytes"]),
    }


async def record_lives(ledger: Ledger, events: int) -> int:
    """Record nominations up to their follow-up task, many at a time and their events in turn, as it happens in life.

    Give how many events there are; it is a multiple of EVENTS_PER_LIFE.
    """
    count = events // EVENTS_PER_LIFE
    for start in range(0, count, LIVES_AT_ONCE):
        numbers = range(start, min(start + LIVES_AT_ONCE, count))
        for version in range(EVENTS_PER_LIFE):
            await ledger.append_many([_append(number, version) for number in numbers])
    return count * EVENTS_PER_LIFE


def _append(number: int, version: int) -> Append:
    event = LIFE[version - 1] if version else _nominated(number)
    command = uuid4()
    new = NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)
    return Append(
        command_id=command,
        content_hash=command.bytes * 2,
        actor="system:bench",
        writes=(StreamWrite(REAL_BOOK, f"trainee/zz22-410181-{number:05d}", version, (new,)),),
        recorded_at=NOW,
    )


def _nominated(number: int) -> Event:
    return messages.TraineeNominated(
        campaign=REAL_BOOK,
        project_type="gp1",
        county="410181",
        school="410181-s01",
        person=uuid5(NAMESPACE_OID, str(number)),
        stage="primary",
        subject="maths",
        position="teacher",
        rural=True,
        years_of_service=7,
        submitted_at=NOW,
        deadline=NOW,
    )


if __name__ == "__main__":
    url, book, until, views = sys.argv[1:]
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(build(url, book, int(until), views))))
