"""What is shown of persons leaves a trace, by construction.

Whatever a request opens in the vault is noted, by the vault itself (`NotingVault`), and written down before the answer
leaves: if that fails, so does the request. A response model marks the fields that show something with `PERSONAL`, and
what changes a person's record and answers with such a model is written down even where the answer was kept from before.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response
from pydantic import GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ledger.types import StreamPlace
from ledger.vault import Vault
from services.personal_reads import Read

MARK: Final = "x-personal"
PUBLIC_ROLE: Final = "public"
MAX_OBJECT_LENGTH: Final = 300


class PersonalField:
    """Marks a field of a response that shows something of a person, masked or not; its schema says so too."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), MARK: True}


PERSONAL: Final = PersonalField()


@cache
def shows_persons(response_model: Any) -> bool:
    """Whether a response of this model has a marked field, however deep."""
    return response_model is not None and _is_marked(TypeAdapter(response_model).json_schema(mode="serialization"))


def _is_marked(schema: Any) -> bool:
    if isinstance(schema, dict):
        return schema.get(MARK) is True or any(_is_marked(each) for each in schema.values())
    return isinstance(schema, list) and any(_is_marked(each) for each in schema)


@dataclass(slots=True)
class Opened:
    """What the request at hand has opened: known persons, and rows about people who may not be known yet."""

    persons: set[UUID] = field(default_factory=set)
    rows: int = 0


_opened: ContextVar[Opened | None] = ContextVar("opened", default=None)


def note_person(person: UUID) -> None:
    """The request at hand has opened something of the person. Outside a request this does nothing."""
    opened = _opened.get()
    if opened is not None:
        opened.persons.add(person)


def note_rows(count: int) -> None:
    """The request at hand has opened rows about people, as in a file that was sent."""
    opened = _opened.get()
    if opened is not None:
        opened.rows += count


@contextlib.contextmanager
def not_shown() -> Iterator[None]:
    """What is opened in here is compared and not shown to the caller."""
    token = _opened.set(None)
    try:
        yield
    finally:
        _opened.reset(token)


class NotingVault(Vault):
    """A vault that notes whose fields are opened, and who is found by an identity number."""

    async def open(self, subject_id: UUID, sealed: str) -> dict[str, str]:
        fields = await super().open(subject_id, sealed)
        note_person(subject_id)
        return fields

    async def open_at(self, subject_id: UUID, sealed: str, places: Sequence[StreamPlace]) -> dict[str, str] | None:
        fields = await super().open_at(subject_id, sealed, places)
        if fields is not None:
            note_person(subject_id)
        return fields

    async def find(self, natural_key: str) -> UUID | None:
        found = await super().find(natural_key)
        if found is not None:
            note_person(found)
        return found


async def observed(
    handle: Callable[[Request], Awaitable[Response]], request: Request, operation: str, *, shows: bool
) -> Response:
    """Answer the request; before the answer leaves, write down whose data it shows.

    `shows`: the response model has a marked field. Raises asyncpg's errors when that cannot be written down.
    """
    opened = Opened()
    token = _opened.set(opened)
    try:
        response = await handle(request)
    finally:
        _opened.reset(token)
    # A GET that has opened nothing has shown nobody; another one may have answered as it did before.
    is_shown = opened.persons or opened.rows or (shows and request.method != "GET")
    if response.status_code < 300 and is_shown:
        caller = getattr(request.state, "caller", None)
        await request.app.state.services.trail.record(
            Read(
                organisation=caller.organisation if caller else "",
                role=caller.role if caller else PUBLIC_ROLE,
                reader=caller.key_id if caller else "",
                operation=operation,
                object=" ".join(map(str, request.path_params.values()))[:MAX_OBJECT_LENGTH],
                persons=list(opened.persons),
                rows=opened.rows,
                request_id=request.state.request_id,
            ),
        )
    return response
