"""What a view is: a table, the events that concern it, and how one event changes one row. Pure.

A row is a mapping from column to a JSON value, as the database gives it and takes it back. A view that keeps the
domain's state holds it under `state` as the domain's own object while a batch is applied.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from domain.decision import Case
from ledger.types import RecordedEvent

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """A table of the schema `view`.

    `key` is its primary key's column. `key_of` names the row that an event concerns, None for no row of this view.
    `apply` gives the row after the event (None before: there is no such row yet) and leaves the old one as it was; it
    may raise ValueError, TypeError, LookupError, AttributeError or AssertionError, and the event is then parked.

    `version` goes up when `apply` makes other rows of the same events: the next migration then builds the views anew,
    as it does when their SQL has changed. `per_stream` says that each row comes of one stream's events alone, so that
    a build may take the streams one after the other instead of in the order in which they were recorded.
    """

    table: str
    key: str
    key_of: Callable[[RecordedEvent], str | None]
    apply: Callable[[Row | None, RecordedEvent], Row]
    state: TypeAdapter[Any] | None = None
    version: int = 1
    per_stream: bool = False

    @property
    def name(self) -> str:
        """`trainees@2`: which view, in which version."""
        return f"{self.table}@{self.version}"

    def thaw(self, stored: dict[str, Any]) -> Row:
        """The row as `apply` wants it, from the row as the database gave it."""
        if self.state is None:
            return stored
        return {**stored, "state": self.state.validate_python(stored["state"])}

    def freeze(self, row: Row) -> Row:
        """The row as the database takes it."""
        if self.state is None:
            return row
        state = row["state"]
        document: dict[str, Any] = self.state.dump_python(state, mode="json")
        for each in fields(state):
            # A set has no order of its own, and equal states must give equal rows.
            if isinstance(getattr(state, each.name), frozenset):
                document[each.name] = sorted(document[each.name])
        return {**row, "state": document}


def place(row: Row | None, event: RecordedEvent) -> dict[str, Any]:
    """The columns that say which event the row rests on. Raises ValueError when one in between is missing."""
    expected = 1 if row is None else row["version"] + 1
    if event.version != expected:
        raise ValueError(f"version {event.version} of the stream where {expected} was expected")
    return {"version": event.version, "sequence": event.sequence}


def of_case(case: Case) -> dict[str, Any]:
    """The columns that every process shows."""
    return {
        "phase": case.phase,
        "closed": case.closed,
        "waiting_for": case.waiting_for,
        "deadline": case.deadline,
    }
