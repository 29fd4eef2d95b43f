"""Notices in the outbox, as an append of the ledger puts them there."""

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from ledger.store import Ledger
from ledger.types import Append, Appended, NewEvent, OutboxEntry, StreamWrite
from tests.api.front_door import API

NUMBERS = count(1)
NOW = datetime(2022, 9, 20, 1, 30, tzinfo=UTC)


def append_of(organisation: str, type_: str, person: UUID | None = None, **data: Any) -> Append:
    """An append that tells an organisation something, in one of a few books, so that not all wait for each other."""
    number = next(NUMBERS)
    write = StreamWrite(f"2022-notices-{number % 4}", f"cause/{number}", 0, (NewEvent("cause", {}),))
    body = {"data": {"trainee": f"zz22-{number}", **data}, "person": str(person) if person else None}
    entry = OutboxEntry(organisation, type_, body, "")
    return Append(uuid4(), bytes(32), "system:test", (write,), NOW, outbox=(entry,))


async def tell(api: API, organisation: str, type_: str, person: UUID | None = None, **data: Any) -> UUID:
    """Put a notice into the outbox; answers with its id."""
    ledger = Ledger(api.services.pool)
    assert isinstance(await ledger.append(append_of(organisation, type_, person, **data)), Appended)
    await ledger.close()
    newest: UUID = await api.services.pool.fetchval("SELECT id FROM ledger.outbox ORDER BY position DESC LIMIT 1")
    return newest
