"""Every event that a view is given has passed here: it is in the newest schema version that this release knows.

The live projector reads through a `Ledger` that does the same; what reads stored bytes on a connection of its own (a
build beside, a released event) comes here.
"""

from uuid import UUID

from event_schemas import SCHEMAS
from ledger.canonical import parse_event
from ledger.types import RecordedEvent


def newest(event: RecordedEvent) -> RecordedEvent:
    """The event as it would be written today; one of a later release as it was stored."""
    return SCHEMAS.newest(event)


def read_event(body: bytes, uuid: type[UUID] = UUID) -> RecordedEvent:
    """The event of these stored bytes, in its newest version. `uuid` is the class that ids are made of."""
    return SCHEMAS.newest(parse_event(body, uuid))
