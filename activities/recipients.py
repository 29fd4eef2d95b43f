"""Whom notices are written to: a teacher's name and address, sealed in the ledger, and an organisation's address."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from activities.outbox import Queryable
from activities.schema import statement
from domain.numbers import PEOPLE, stream_name
from ledger.errors import SubjectErased, SubjectUnknown
from ledger.types import RecordedEvent

ADDRESS_ATTEMPTS = 10
ADDRESS_WAIT_S = 0.2
"""An organisation that has only just been registered is seen in the view a moment later."""


class PeopleStreams(Protocol):
    """What of the ledger is read here: a person's stream."""

    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]: ...


class PersonalFields(Protocol):
    """What of the vault is used here."""

    async def open(self, subject_id: UUID, sealed: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Teacher:
    """Whom a letter goes to. Nothing of it is ever logged or stored."""

    name: str = field(repr=False)
    email: str = field(repr=False)


class Recipients:
    """Finds addresses."""

    def __init__(self, database: Queryable, people: PeopleStreams, vault: PersonalFields) -> None:
        self._database = database
        self._people = people
        self._vault = vault

    async def teacher(self, person: UUID) -> Teacher | None:
        """Name and address from the newest sealed record; None without an address, or when the person was erased.

        Raises VaultError when the record is there and cannot be opened.
        """
        events = await self._people.read_stream(PEOPLE, stream_name("person", str(person)))
        sealed = next((event.data["sealed"] for event in reversed(events) if "sealed" in event.data), None)
        if sealed is None:
            return None
        try:
            fields = await self._vault.open(person, sealed)
        except (SubjectErased, SubjectUnknown):
            return None
        email = fields.get("email", "").strip()
        return Teacher(fields.get("name", ""), email) if email else None

    async def organisation(self, organisation: str) -> tuple[str, str] | None:
        """The organisation's name and mail address, None when it has none."""
        for attempt in range(ADDRESS_ATTEMPTS):
            if attempt:
                await asyncio.sleep(ADDRESS_WAIT_S)
            row = await self._database.fetchrow(statement("institution_address"), organisation)
            if row is not None:
                return (row["name_zh"], row["email"]) if row["email"] else None
        return None
