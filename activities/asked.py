"""What somebody asked to be posted (`app.webhook_requests`): a notice once more, or a test message to see whether an
endpoint works. The requests are made by the API or by an operator; the mailbox of the organisation carries them out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson

from activities.outbox import Queryable, Waiting
from activities.schema import statement
from activities.webhooks import Message

ASKED_PER_BATCH = 100
ORGANISATIONS_PER_POLL = 1_000
GIVE_UP_AFTER = timedelta(days=5)
"""A redelivery that was not taken for so long is not tried any more."""
TEST_TYPE = "webhook.test"
PROBLEM_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits. `message` is None when its notice cannot be read."""

    id: int
    endpoint: str
    kind: Literal["redelivery", "test"]
    requested_at: datetime
    message: Message | None


class AskedLog:
    """Reads and marks of `app.webhook_requests`, on a pool or on one connection."""

    def __init__(self, database: Queryable) -> None:
        self._database = database

    async def next(self, organisation: str, endpoints: Sequence[str]) -> list[Asked]:
        """The oldest requests of the organisation, at most ASKED_PER_BATCH; those for endpoints other than these, which
        are the ones in use, are closed.
        """
        await self.close(organisation, endpoints)
        rows = await self._database.fetch(statement("next_asked"), organisation, ASKED_PER_BATCH)
        return [Asked(row["id"], row["endpoint"], row["kind"], row["requested_at"], _message(row)) for row in rows]

    async def close(self, organisation: str, endpoints: Sequence[str]) -> None:
        """Nothing is posted any more to other endpoints of the organisation than these."""
        await self._database.execute(statement("close_asked"), organisation, list(endpoints))

    async def finish(self, id_: int, problem: str = "") -> None:
        """The request has been carried out, or has no more hope."""
        await self._database.execute(statement("finish_asked"), id_, problem[:PROBLEM_LENGTH_MAX])

    async def count_other(self, organisation: str) -> int:
        """What the organisation's mailbox has to do besides its queue."""
        count = await self._database.fetchval(statement("count_other"), organisation)
        return int(count)

    async def waiting(self) -> list[Waiting]:
        """Whose mailboxes have something to do besides their queues, at most ORGANISATIONS_PER_POLL."""
        rows = await self._database.fetch(statement("waiting_asked"), ORGANISATIONS_PER_POLL)
        return [Waiting(row["organisation"], row["position"], asked=True) for row in rows]


def _message(row: Any) -> Message | None:
    if row["kind"] == "test":
        return Message(row["outbox_id"], TEST_TYPE, row["requested_at"], {"endpoint": row["endpoint"]})
    try:
        data = orjson.loads(row["body"]).get("data", {})
    except (AttributeError, TypeError, ValueError):
        return None
    return Message(row["outbox_id"], row["topic"], row["created_at"], data) if isinstance(data, dict) else None
