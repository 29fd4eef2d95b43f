"""The event store that the ledger is measured against: `eventsourcing` and its recorder for PostgreSQL."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

EVENTS_PER_STREAM = 8
EVENT_TYPE = "trainee.nominated"
THREADS = (4, 16, 64)
TRIAL_S = 1.0


class EventSourcing:
    """The peer: single events through its application recorder, in threads."""

    def __init__(self, url: str, body: bytes) -> None:
        self._url = url
        self._body = body
        self.settings = ""

    async def prepare(self) -> None:
        """Find the settings that serve it best."""
        best = 0.0
        for functions in (False, True):
            for threads in THREADS:
                settings = f"{threads} threads, database functions {'on' if functions else 'off'}"
                rate = await asyncio.to_thread(self._run, TRIAL_S, threads, functions)
                if rate > best:
                    best, self._threads, self._functions, self.settings = rate, threads, functions, settings

    async def single64(self, seconds: float) -> float:
        """Events per second with the best settings."""
        return await asyncio.to_thread(self._run, seconds, self._threads, self._functions)

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
