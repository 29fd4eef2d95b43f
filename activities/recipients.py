"""Whom notices are written to: a teacher's name and address, sealed in the ledger, and an organisation's address."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
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
ADDRESS_REST = timedelta(days=1)
"""An address that was refused is left alone for so long, unless it is changed."""


class PeopleStreams(Protocol):
    """What of the ledger is read here: a person's stream."""

    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]: ...


class PersonalFields(Protocol):
    """What of the vault is used here."""

    async def open(self, subject_id: UUID, sealed: str) -> dict[str, str]: ...
    async def seal(self, subject_id: UUID, fields: Mapping[str, str]) -> str: ...


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a mail goes to. Nothing of it is ever logged; the address is stored only in `sealed`.

    `digest` is another one when the address was changed. `sealed` is a teacher's address under his own key.
    """

    name: str = field(repr=False)
    email: str = field(repr=False)
    digest: bytes = field(repr=False)
    sealed: str | None = field(default=None, repr=False)


class Recipients:
    """Finds addresses."""

    def __init__(self, database: Queryable, people: PeopleStreams, vault: PersonalFields) -> None:
        self._database = database
        self._people = people
        self._vault = vault

    async def teacher(self, person: UUID) -> Recipient | None:
        """Name and address from the newest sealed record; None without an address, or when the person was erased.

        Raises VaultError when the record is there and cannot be opened.
        """
        events = await self._people.read_stream(PEOPLE, stream_name("person", str(person)))
        sealed = next((event.data["sealed"] for event in reversed(events) if "sealed" in event.data), None)
        if sealed is None:
            return None
        try:
            fields = await self._vault.open(person, sealed)
            email = fields.get("email", "").strip()
            if not email:
                return None
            kept = await self._vault.seal(person, {"email": email})
        except (SubjectErased, SubjectUnknown):
            return None
        return Recipient(fields.get("name", ""), email, hashlib.sha256(sealed.encode()).digest(), kept)

    async def organisation(self, organisation: str) -> Recipient | None:
        """The organisation's name and mail address, None when it has none."""
        for attempt in range(ADDRESS_ATTEMPTS):
            if attempt:
                await asyncio.sleep(ADDRESS_WAIT_S)
            row = await self._database.fetchrow(statement("institution_address"), organisation)
            if row is not None:
                email = row["email"]
                return Recipient(row["name_zh"], email, hashlib.sha256(email.encode()).digest()) if email else None
        return None

    async def is_resting(self, recipient: Recipient) -> bool:
        """Whether his address has been refused of late: trying it again and again would only look like junk mail."""
        refused: bool = await self._database.fetchval(statement("address_refused"), recipient.digest, ADDRESS_REST)
        return refused
