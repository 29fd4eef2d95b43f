"""Teachers: resolved to a random id and sealed before anything else sees them, and shown as far as the caller may see.

Nothing personal goes on to Temporal, into an event in the clear, or into a log. An identity number is never shown again
in full, not even to whoever sent it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.personal import PERSONAL, not_shown
from api.problems import identity_problem
from api.services import Services
from domain import calendar
from domain.identity import (
    DocumentKind,
    IdentityDocument,
    IdentityNumberError,
    mask_identity_number,
    mask_name,
    parse_identity_document,
    same_name,
)
from domain.numbers import PEOPLE, stream_name
from domain.person import Person
from domain.trainee_messages import PersonReference
from ledger.errors import SubjectErased
from ledger.types import StreamPlace

TELEPHONE_SHOWN = 3
TELEPHONE_SHOWN_AT_END = 2
IDENTITY_POINTER = "/person/identity_number"
TELEPHONE = r"^\+?[0-9][0-9 -]{4,18}[0-9]$"
EMAIL = r"^[^@\s]{1,64}@[^@\s]+\.[^@\s]+$"


class PersonIn(BaseModel):
    """A teacher as his school knows him. All of it is encrypted under a key of his own before it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=2, max_length=64), Field(examples=["王小明"])
    ]
    identity_number: Annotated[
        str,
        Field(
            max_length=200,
            description="18 characters; full-width digits, blanks and a small x are put right, 15 digits completed.",
            examples=["410181199003070014"],
        ),
    ]
    identity_document: DocumentKind = "identity-card"
    telephone: Annotated[str, Field(pattern=TELEPHONE, examples=["13800000000"])]
    email: Annotated[str | None, Field(max_length=200, pattern=EMAIL, examples=["wxm@example.invalid"])] = None


class Particulars(Protocol):
    """What is sealed of a person beside the identity number."""

    @property
    def name(self) -> str: ...
    @property
    def telephone(self) -> str | None: ...
    @property
    def email(self) -> str | None: ...


class PersonOut(BaseModel):
    """A teacher as the caller may see him; every field is null once the person was erased."""

    id: UUID = Field(description="A random id that stays the same over campaigns.")
    name: Annotated[str | None, PERSONAL]
    identity_number: Annotated[
        str | None, PERSONAL, Field(description="Always masked.", examples=["4101**********0014"])
    ]
    telephone: Annotated[str | None, PERSONAL, Field(description="Always masked.", examples=["138******00"])]
    email: Annotated[str | None, PERSONAL, Field(description="Always masked.", examples=["w***@example.invalid"])]


@dataclass(frozen=True, slots=True)
class Recognised:
    """The person behind a number. `name_differs`: he is known under another name than the one that was given."""

    reference: PersonReference
    name_differs: bool


async def read_identity(
    services: Services, text: str, kind: DocumentKind = "identity-card", *, pointer: str = IDENTITY_POINTER
) -> IdentityDocument:
    """The identity number in `text`. Raises Problem `invalid-identity-number`, which does not repeat it."""
    today = calendar.local_date(await services.clock.now())
    try:
        return parse_identity_document(text, kind, latest_birth_date=today)
    except IdentityNumberError as error:
        raise identity_problem(error, pointer) from None


async def resolve(services: Services, person: Particulars, identity: IdentityDocument) -> PersonReference:
    """The person behind the identity number, known or new, with the fields sealed under his own key."""
    return (await recognise(services, person, identity)).reference


async def recognise(services: Services, person: Particulars, identity: IdentityDocument) -> Recognised:
    """The person behind the identity number, and whether he is known under another name (edge case 8).

    The number of a record that was joined into another one stands for that other one (edge case 74).
    """
    subject = (await services.vault.subject_for(identity.text)).id
    known = await services.people.answering(subject)
    if known is not None:
        subject = known.id
    given = {"name": person.name, "telephone": person.telephone, "email": person.email}
    fields = {"identity_number": identity.text} | {key: value for key, value in given.items() if value}
    reference = PersonReference(id=subject, sealed=await services.vault.seal(subject, fields))
    with not_shown():
        recorded = (await _opened(services, known)).get("name") if known is not None else None
    return Recognised(reference, recorded is not None and not same_name(recorded, person.name))


async def recognise_known(services: Services, person: Particulars, identity: IdentityDocument) -> Recognised:
    """The same without making anybody known: somebody who is not gets a random id that is kept nowhere."""
    subject = await services.vault.find(identity.text)
    known = await services.people.answering(subject) if subject is not None else None
    if known is None:
        return Recognised(PersonReference(id=subject or uuid4(), sealed=""), name_differs=False)
    recorded = (await _opened(services, known)).get("name")
    differs = recorded is not None and not same_name(recorded, person.name)
    return Recognised(PersonReference(id=known.id, sealed=""), differs)


async def show(services: Services, person: UUID, *, name_is_clear: bool) -> PersonOut:
    """The person with masked fields; the name is in the clear only where the caller works with him."""
    return _shown(person, await _opened(services, await services.people.answering(person)), name_is_clear=name_is_clear)


async def show_remembered(
    services: Services, person: UUID, case: StreamPlace, *, name_is_clear: bool
) -> PersonOut | None:
    """The same in one round trip, if he is remembered, and neither his record nor the case has changed since."""
    known = services.people.remembered(person)
    if known is None or known.erasure:
        return None
    record = StreamPlace(PEOPLE, stream_name("person", str(person)), known.version)
    try:
        fields = await services.vault.open_at(known.id, known.sealed, (case, record))
    except SubjectErased:
        return None
    return None if fields is None else _shown(person, fields, name_is_clear=name_is_clear)


def _shown(person: UUID, fields: Mapping[str, Any], *, name_is_clear: bool) -> PersonOut:
    name, number = fields.get("name"), fields.get("identity_number")
    telephone, email = fields.get("telephone"), fields.get("email")
    return PersonOut(
        id=person,
        name=name if name is None or name_is_clear else mask_name(name),
        identity_number=mask_identity_number(number) if number else None,
        telephone=mask_telephone(telephone) if telephone else None,
        email=mask_email(email) if email else None,
    )


async def _opened(services: Services, known: Person | None) -> dict[str, Any]:
    """The newest fields; none for somebody who was erased, or asked for it and is kept only because he is barred."""
    if known is None or known.erasure:
        return {}
    try:
        return dict(await services.vault.open(known.id, known.sealed))
    except SubjectErased:
        return {}


def mask_telephone(telephone: str) -> str:
    """`138******00`; the number of stars says nothing about the number's length."""
    return f"{telephone[:TELEPHONE_SHOWN]}******{telephone[-TELEPHONE_SHOWN_AT_END:]}"


def mask_email(email: str) -> str:
    """`w***@example.invalid`."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}***@{domain}"
