"""The search attributes by which operators find a case in the Temporal UI: how they are set at the start, and later.

A case that is started with them is listed as it stands without a write of its own (docs/decisions/0009).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

NEXT_DEADLINE = SearchAttributeKey.for_datetime("XunjiNextDeadline")
Listed = tuple[dict[str, str], datetime | None]
"""The keywords by name, and the next deadline."""


def at_start(attributes: Mapping[str, str], deadline: datetime | None) -> TypedSearchAttributes:
    """What a workflow is started with."""
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in attributes.items()
    ]
    if deadline is not None:
        pairs.append(SearchAttributePair(NEXT_DEADLINE, deadline))
    return TypedSearchAttributes(pairs)


def read(attributes: TypedSearchAttributes) -> Listed:
    """The inverse of `at_start`."""
    keywords = {pair.key.name: str(pair.value) for pair in attributes if pair.key.name != NEXT_DEADLINE.name}
    return keywords, attributes.get(NEXT_DEADLINE)


def changes(
    listed: Listed, attributes: Mapping[str, str], deadline: datetime | None
) -> list[SearchAttributeUpdate[Any]]:
    """What must be written so that the list says this. Keywords are never taken back."""
    before, deadline_before = listed
    updates: list[SearchAttributeUpdate[Any]] = [
        SearchAttributeKey.for_keyword(name).value_set(value)
        for name, value in attributes.items()
        if before.get(name) != value
    ]
    if deadline != deadline_before:
        updates.append(NEXT_DEADLINE.value_set(deadline) if deadline else NEXT_DEADLINE.value_unset())
    return updates
