"""What happens to an organisation's endpoints and mailbox, recorded in its stream of the `institutions` book."""

import hashlib
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog

from domain.decision import Event
from domain.numbers import INSTITUTIONS, stream_name
from ledger.types import Append, NewEvent, RecordedEvent, StreamWrite, VersionConflict

MAX_CONFLICTS = 8
"""How often an append is tried anew because somebody else appended to the same organisation first."""
log = structlog.get_logger(__name__)


class Book(Protocol):
    """What of the ledger is used here."""

    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]: ...
    async def append(self, append: Append) -> Any: ...


class InstitutionBook:
    """Adds events to organisations' streams."""

    def __init__(self, ledger: Book) -> None:
        self._ledger = ledger

    async def record(self, organisation: str, event: Event, command_id: UUID, actor: str, now: datetime) -> bool:
        """Add `event` once per `command_id`. False for an organisation that was never registered: nothing is said of
        it before that.
        """
        stream = stream_name("institution", organisation)
        content = hashlib.sha256(event.model_dump_json().encode()).digest()
        new = NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)
        for _ in range(MAX_CONFLICTS):
            recorded = await self._ledger.read_stream(INSTITUTIONS, stream)
            if not recorded:
                log.warning("institution.unknown", organisation=organisation, type=event.type)
                return False
            write = StreamWrite(INSTITUTIONS, stream, recorded[-1].version, (new,))
            result = await self._ledger.append(
                Append(command_id, content, actor, (write,), recorded_at=now, correlation_id=stream)
            )
            if not isinstance(result, VersionConflict):
                return True
        raise RuntimeError(f"{stream} keeps changing")
