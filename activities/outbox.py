"""The ledger's outbox, seen by those who empty it: what is to be told to whom, and what processes are to be started."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from activities.schema import statement

START_RECIPIENT = "process:start"
"""The recipient of the entries that ask for a process to be started; its topic is the kind of process."""
NOTICES_PER_BATCH = 500
"""The roster of a whole county is one mail."""
STARTS_PER_POLL = 100
ORGANISATIONS_PER_POLL = 1_000
QUEUE_COUNT_MAX = 10_000
"""A longer queue is reported with this length."""


class Queryable(Protocol):
    """What of asyncpg's pools and connections is used here."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...
    async def execute(self, query: str, *args: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class QueuedNotice:
    """A notice of the outbox. `data` holds references only; `person` is whom it goes on to, if anybody."""

    id: UUID
    position: int
    organisation: str
    type: str
    data: dict[str, Any]
    person: UUID | None
    created_at: datetime
    campaign: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableNotice:
    """An entry that is not a notice. It stays in the queue, is reported, and holds up nothing."""

    id: UUID


@dataclass(frozen=True, slots=True)
class QueuedStart:
    """A process that is to be started; `kind` was not checked yet. `wake`: one that runs must read its case again."""

    id: UUID
    kind: str
    number: str
    campaign: str
    wake: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """An organisation with undelivered notices, and the position of the newest of them.

    With `asked`: one whose mailbox has something else to do, and the number of the newest request.
    """

    organisation: str
    position: int
    asked: bool = False


class Outbox:
    """Reads and marks of `ledger.outbox`, on a pool or on one connection."""

    def __init__(self, database: Queryable) -> None:
        self.database = database

    async def next_notices(self, organisation: str) -> list[QueuedNotice | UnreadableNotice]:
        """The organisation's oldest undelivered notices, at most NOTICES_PER_BATCH, in order."""
        rows = await self.database.fetch(statement("next_notices"), organisation, NOTICES_PER_BATCH)
        return [_notice(row) for row in rows]

    async def count_undelivered(self, organisation: str) -> int:
        """The length of the organisation's queue, counted up to QUEUE_COUNT_MAX."""
        count = await self.database.fetchval(statement("count_undelivered"), organisation, QUEUE_COUNT_MAX)
        return int(count)

    async def next_starts(self) -> list[QueuedStart | UnreadableNotice]:
        """The oldest processes that are to be started, at most STARTS_PER_POLL."""
        rows = await self.database.fetch(statement("next_notices"), START_RECIPIENT, STARTS_PER_POLL)
        return [_start(row) for row in rows]

    async def waiting_organisations(self, below: str = "") -> list[Waiting]:
        """Who has undelivered notices, in descending order of id, at most ORGANISATIONS_PER_POLL.

        `below` continues after a page that was full.
        """
        rows = await self.database.fetch(statement("waiting_organisations"), below, ORGANISATIONS_PER_POLL)
        return [Waiting(row["recipient"], row["position"]) for row in rows]

    async def mark_delivered(self, ids: Sequence[UUID]) -> None:
        """Nothing more is to be done for these entries. One that was marked before keeps its time."""
        await self.database.execute(statement("mark_delivered"), ids)


def _notice(row: Any) -> QueuedNotice | UnreadableNotice:
    try:
        body = orjson.loads(row["body"])
        person, data = body.get("person"), body.get("data", {})
        if not isinstance(data, dict):
            return UnreadableNotice(row["id"])
        return QueuedNotice(
            id=row["id"],
            position=row["position"],
            organisation=row["recipient"],
            type=row["topic"],
            data=data,
            person=UUID(person) if person else None,
            created_at=row["created_at"],
            campaign=str(body.get("campaign", "")),
        )
    except (AttributeError, TypeError, ValueError):
        return UnreadableNotice(row["id"])


def _start(row: Any) -> QueuedStart | UnreadableNotice:
    try:
        body = orjson.loads(row["body"])
        wake = bool(body.get("wake"))
        return QueuedStart(row["id"], row["topic"], str(body["number"]), str(body["campaign"]), wake)
    except (KeyError, TypeError, ValueError):
        return UnreadableNotice(row["id"])
