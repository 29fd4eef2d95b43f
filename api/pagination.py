"""Pages of lists: `?limit=&cursor=` → `{"items": […], "next": "…"}`; `next` is null on the last page.

A cursor is the last key of its page, encoded. It is opaque to callers and carries no right: what a page may show is
decided anew for each.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from api import problem_types
from api.problems import Problem
from api.validation import Fault

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 500
CURSOR_LIMIT: Final = 400

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A page of a list, in the order of its keys."""

    items: list[Item]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


@dataclass(frozen=True, slots=True)
class Window:
    """Which page is wanted: at most `limit` rows after the key `after` ("" for the first page)."""

    limit: int
    after: str


def next_cursor(key: str | None) -> str | None:
    """The cursor of the page after the key, None at the end."""
    return None if key is None else encode_cursor(key)


def encode_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The inverse of `encode_cursor`. Raises Problem."""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise _unknown_cursor() from None
    if "\x00" in key:
        raise _unknown_cursor()
    return key


def _unknown_cursor() -> Problem:
    fault = Fault(
        "unknown_cursor",
        "This is no cursor of a page.",
        "游标无效。",
        "Use the `next` of the page before, or leave it out for the first page.",
        "请使用上一页的 `next`，或省略以取第一页。",
        parameter="cursor",
    )
    return Problem(problem_types.INVALID, fault)


async def _window(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows per page.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT, description="The `next` of the page before.")] = None,
) -> Window:
    return Window(limit, decode_cursor(cursor) if cursor else "")


WindowHere = Annotated[Window, Depends(_window)]
"""The parameters of a route that answers with a page."""
