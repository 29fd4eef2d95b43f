"""How events of every schema version are read in their newest form: the one place where upcasting happens.

    stored bytes ─► parse ─► newest ─► folding a stream, projections and their rebuild, an export, a list for people

A schema version is a promise about an event's data. When the promise changes, the version rises by one, and an upcast
turns the old data into the new. Nothing stored is ever rewritten: it is what was hashed and signed.

`Schemas` goes into whatever reads (`Ledger`, `Subscription`, `stream_at`), so that no reader can forget it. What
carries or checks the bytes themselves (verify, export, import, proofs) does without it and sees what is stored.

An event of a later release may come back from a reader during an upgrade: of a type or a version that is not known
here. It is given as it was stored, because the one event must not stop the page that it stands on; whoever parses
its data compares the version first and refuses, or parks, that one event. Writing is the other way round: an unknown
type or a version that is not the newest one is an error, and nothing is sent.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from ledger.errors import LedgerError, UnknownEventType, WrongSchemaVersion
from ledger.types import Append, RecordedEvent

Upcast: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Gives an event's data in the version after theirs. Pure, and total for data that were ever written."""

_DEFECTS: Final = (ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What an upcast raises that meets data it was not written for."""

_log = logging.getLogger(__name__)


class SchemaDeclaredTwice(LedgerError):
    """Two schemas of one type: which upcasts hold would depend on their order."""


@dataclass(frozen=True, slots=True)
class EventSchema:
    """A type of event, with the upcasts from version 1 to 2, from 2 to 3, and so on."""

    type: str
    upcasts: tuple[Upcast, ...] = ()

    @property
    def version(self) -> int:
        """The newest version, in which events are written. The first one is 1."""
        return len(self.upcasts) + 1


class Schemas:
    """The types of events that a release knows. Raises SchemaDeclaredTwice."""

    def __init__(self, schemas: Iterable[EventSchema]) -> None:
        self._versions: dict[str, int] = {}
        self._upcasts: dict[str, tuple[Upcast, ...]] = {}
        for schema in schemas:
            if schema.type in self._versions:
                raise SchemaDeclaredTwice(f"the event type {schema.type} is declared twice; give it one schema")
            self._versions[schema.type] = schema.version
            self._upcasts[schema.type] = schema.upcasts

    def version(self, type_: str) -> int | None:
        """The newest version of a type, None for an unknown one."""
        return self._versions.get(type_)

    def newest(self, event: RecordedEvent) -> RecordedEvent:
        """The event with data and schema version as they are written today; see above for one of a later release.

        An upcast that fails leaves the event as it was stored and is logged, without the event's values.
        """
        version = self._versions.get(event.type)
        if version is None or event.schema_version >= version:
            return event
        data = event.data
        for step in range(event.schema_version, version):
            try:
                # A copy, so that an upcast may write into what it is given.
                data = self._upcasts[event.type][step - 1](dict(data))
            except _DEFECTS as error:
                _log.error(
                    "the upcast of %s from version %d failed at %s/%d: %s",
                    event.type,
                    step,
                    event.book,
                    event.sequence,
                    type(error).__name__,
                )
                return event
        return replace(event, data=data, schema_version=version)

    def check(self, append: Append) -> None:
        """Raise UnknownEventType or WrongSchemaVersion for an append that this release may not write."""
        for write in append.writes:
            for event in write.events:
                version = self._versions.get(event.type)
                if version is None:
                    raise UnknownEventType(
                        f"{write.stream}: the event type {event.type!r} is not declared; declare it, or correct it"
                    )
                if event.schema_version != version:
                    raise WrongSchemaVersion(
                        f"{write.stream}: {event.type} is written in schema version {version}, "
                        f"not {event.schema_version}"
                    )


class _Opaque(Schemas):
    """No schemas at all: every type and version may be written, and what is read is what was stored."""

    def __init__(self) -> None:
        super().__init__(())

    def check(self, append: Append) -> None:
        """Any type of event is good."""


OPAQUE: Final[Schemas] = _Opaque()
"""What a reader or a writer uses that was given no schemas."""
