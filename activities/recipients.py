"""Whom notices are written to: a teacher's name and address, sealed in the ledger, and an organisation's address."""

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
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
    """Whom a message goes to. Nothing of it is ever logged; a teacher's address is stored under his own key only.

    `person` is None for an organisation. `digest` is another one when the address was changed.
    """

    name: str = field(repr=False)
    email: str = field(repr=False)
    digest: bytes = field(repr=False)
    person: UUID | None = None
    telephone: str = field(default="", repr=False)

    @property
    def telephone_digest(self) -> bytes:
        """As `digest`, for the telephone: one of the two may be wrong and the other right."""
        return hashlib.sha256(b"telephone\x00" + self.digest).digest()


class Recipients:
    """Finds addresses."""

    def __init__(self, database: Queryable, people: PeopleStreams, vault: PersonalFields) -> None:
        self._database = database
        self._people = people
        self._vault = vault

    async def teacher(self, person: UUID) -> Recipient | None:
        """Name and addresses from the newest sealed record; None without one, or when the person was erased.

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
        return Recipient(
            name=fields.get("name", ""),
            email=fields.get("email", "").strip(),
            digest=hashlib.sha256(sealed.encode()).digest(),
            person=person,
            telephone=fields.get("telephone", "").strip(),
        )

    async def sealed(self, recipient: Recipient, address: dict[str, str]) -> str | None:
        """The address that a teacher was written to, under his own key; None for an organisation, and for who was
        erased meanwhile.
        """
        if recipient.person is None:
            return None
        with suppress(SubjectErased, SubjectUnknown):
            return await self._vault.seal(recipient.person, address)
        return None

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

    async def is_resting(self, digest: bytes) -> bool:
        """Whether the address has been refused of late: trying it again and again would only look like junk mail."""
        refused: bool = await self._database.fetchval(statement("address_refused"), digest, ADDRESS_REST)
        return refused
