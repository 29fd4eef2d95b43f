"""The event store that the ledger is measured against: `eventsourcing` and its recorder for PostgreSQL."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as futures_wait
from uuid import uuid4

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

EVENTS_PER_STREAM = 8
EVENT_TYPE = "trainee.nominated"
THREADS = (4, 16, 64)
TRIAL_S = 1.0
PATIENCE_S = 2.0


class EventSourcing:
    """The peer: single events through its application recorder, in threads.

    It has two ways. By default each insert locks the table, so that its readers, who page by id, never meet a later id
    first. With its database functions on, it is faster and takes no lock: `skips_an_event` shows what that costs.
    """

    def __init__(self, url: str, body: bytes) -> None:
        self._url = url
        self._body = body
        self._threads = {False: THREADS[0], True: THREADS[0]}

    async def prepare(self) -> None:
        """Find the threads that serve each way best."""
        for functions in (False, True):
            rates = {threads: await asyncio.to_thread(self._run, TRIAL_S, threads, functions) for threads in THREADS}
            self._threads[functions] = max(rates, key=lambda threads: rates[threads])

    @property
    def settings(self) -> dict[str, str]:
        """What was found."""
        return {
            "eventsourcing": f"{self._threads[False]} threads, database functions off",
            "eventsourcing_unordered": f"{self._threads[True]} threads, database functions on",
        }

    async def ordered(self, seconds: float) -> float:
        """Events per second of the way that keeps the order it promises."""
        return await asyncio.to_thread(self._run, seconds, self._threads[False], False)

    async def unordered(self, seconds: float) -> float:
        """Events per second with its database functions on."""
        return await asyncio.to_thread(self._run, seconds, self._threads[True], True)

    def skips_an_event(self, functions: bool) -> bool:
        """Whether a reader who pages by id steps over an event for good when two writers commit in the other order.

        The first writer inserts and waits; the second inserts and commits, if it can; then the reader reads, the first
        commits, and the reader goes on after the last id he has seen.
        """
        table = f"order_{int(functions)}"
        with PostgresDatastore(*address_of(self._url), pool_size=3, enable_db_functions=functions) as datastore:
            recorder = PostgresApplicationRecorder(datastore, events_table_name=table)
            recorder.create_table()
            began, finish = threading.Event(), threading.Event()

            def first_writer() -> None:
                with datastore.get_connection() as connection, connection.transaction(), connection.cursor() as cursor:
                    if functions:
                        state = recorder.construct_pg_stored_event(uuid4(), 1, EVENT_TYPE, self._body)
                        cursor.execute(recorder.sql_invoke_pg_function_insert_events, ([state],))
                    else:
                        with connection.pipeline():
                            # Its own steps, without the commit.
                            event = StoredEvent(uuid4(), 1, EVENT_TYPE, self._body)
                            recorder._insert_stored_events(cursor, [event])  # noqa: SLF001
                    began.set()
                    finish.wait()

            def second_writer() -> None:
                recorder.insert_events([StoredEvent(uuid4(), 1, EVENT_TYPE, self._body)])

            with ThreadPoolExecutor(2) as executor:
                first = executor.submit(first_writer)
                began.wait()
                second = executor.submit(second_writer)
                futures_wait([second], timeout=PATIENCE_S)
                seen = [each.id for each in recorder.select_notifications(None, 10)]
                finish.set()
                first.result()
                second.result()
            seen += [
                each.id for each in recorder.select_notifications(max(seen, default=0), 10, inclusive_of_start=False)
            ]
            return len(seen) < 2

    def _run(self, seconds: float, threads: int, functions: bool) -> float:
        address = address_of(self._url)
        with PostgresDatastore(*address, pool_size=threads, enable_db_functions=functions) as datastore:
            recorder = PostgresApplicationRecorder(datastore, events_table_name=f"peer_{int(functions)}")
            recorder.create_table()
            ends = time.perf_counter() + seconds

            def caller() -> int:
                written = 0
                while True:
                    stream = uuid4()
                    for version in range(1, EVENTS_PER_STREAM + 1):
                        if time.perf_counter() > ends:
                            return written
                        recorder.insert_events([StoredEvent(stream, version, EVENT_TYPE, self._body)])
                        written += 1

            began = time.perf_counter()
            with ThreadPoolExecutor(threads) as executor:
                written = sum(executor.map(lambda _: caller(), range(threads)))
            return written / (time.perf_counter() - began)


def address_of(url: str) -> tuple[str, str, str, str, str]:
    """Database, host, port, user and password of one of the embedded server's TCP addresses."""
    rest = url.removeprefix("postgresql://")
    user, _, rest = rest.partition(":")
    password, _, rest = rest.partition("@")
    host, _, rest = rest.partition(":")
    port, _, database = rest.partition("/")
    return database, host, port, user, password
