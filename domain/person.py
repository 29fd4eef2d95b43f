"""A teacher in the `people` book (stream `person/{uuid}`): an id, and personal fields sealed under his own key."""

from typing import ClassVar
from uuid import UUID

from domain.decision import Event, EventCatalogue


class PersonRegistered(Event):
    """First seen. `sealed` holds name, identity number, telephone and e-mail; destroying the key erases them."""

    type: ClassVar[str] = "person.registered"
    person: UUID
    sealed: str


EVENTS = EventCatalogue(PersonRegistered)
