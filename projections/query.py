"""What the reads share: conditions with their arguments, pages with a cursor, and the scope of the one who asks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Generic, TypeVar, cast

from domain.decision import Actor
from projections.database import Database

PAGE_LIMIT: Final = 1_000
"""No page is longer than this."""

_T = TypeVar("_T")


class LimitOutOfRange(ValueError):
    """A page of fewer than one or more than PAGE_LIMIT rows was asked for."""


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Rows in the order of their keys. `next` is the cursor of the page after this one, None at the end."""

    items: tuple[_T, ...]
    next: str | None


class Where:
    """Conditions of a query, joined by AND. Columns are named by our own code; values always go as arguments."""

    def __init__(self) -> None:
        self.arguments: list[object] = []
        self._conditions: list[str] = []

    def that(self, condition: str, *values: object) -> "Where":
        """Add a condition in which each `?` stands for the next of `values`."""
        for value in values:
            self.arguments.append(value)
            condition = condition.replace("?", f"${len(self.arguments)}", 1)
        self._conditions.append(condition)
        return self

    def equal(self, **columns: object) -> "Where":
        """Each column has its value; None stands for any."""
        for column, value in columns.items():
            if value is not None:
                self.that(f'"{column}" = ?', value)
        return self

    def own(self, viewer: Actor, column_by_role: dict[str, str], *, audited: bool = False) -> "Where":
        """Only the rows of the viewer's organisation, found by the column of its role; none for a role without one.

        The bureau and the system see every row, an auditor those of tables without persons (`audited`).
        """
        if viewer.role in ("bureau", "system") or (audited and viewer.role == "auditor"):
            return self
        column = column_by_role.get(viewer.role)
        return self.that(f'"{column}" = ?', viewer.organisation) if column else self.that("false")

    def __str__(self) -> str:
        return "WHERE " + " AND ".join(self._conditions) if self._conditions else ""


def columns_of(row: type[Any]) -> str:
    """The columns of a row's dataclass, to be selected."""
    return ", ".join(f'"{each.name}"' for each in fields(row))


def sql(*parts: object) -> str:
    """A statement from its parts, none of which may come from outside."""
    return " ".join(str(part) for part in parts)


async def one(database: Database, row: type[_T], table: str, where: Where) -> _T | None:
    """The row that meets the conditions, which leave at most one, or None."""
    query = sql("SELECT", columns_of(row), "FROM", table, where, "LIMIT 2")
    found = await database.fetch(query, *where.arguments)
    assert len(found) < 2, f"more than one row of {table} where one was asked for"
    return row(**found[0]) if found else None


async def page(
    database: Database, row: type[_T], table: str, where: Where, *, key: str, after: str, limit: int
) -> Page[_T]:
    """The next rows after the key `after`, in the order of keys. Raises LimitOutOfRange."""
    columns = [each.name for each in fields(cast("Any", row))]
    found = await page_of_columns(database, columns, table, where, key=key, after=after, limit=limit)
    return Page(tuple(row(**each) for each in found.items), found.next)


async def page_of_columns(
    database: Database, columns: Sequence[str], table: str, where: Where, *, key: str, after: str, limit: int
) -> Page[Mapping[str, Any]]:
    """The same, of each row only some columns, the key among them: what is only handed on needs no objects."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise LimitOutOfRange(f"a page holds 1 to {PAGE_LIMIT} rows, not {limit}")
    where.that(f'"{key}" > ?', after)
    selected = ", ".join(f'"{each}"' for each in columns)
    query = sql("SELECT", selected, "FROM", table, where, "ORDER BY", f'"{key}"', "LIMIT", limit + 1)
    found = await database.fetch(query, *where.arguments)
    return Page(tuple(found[:limit]), found[limit - 1][key] if len(found) > limit else None)


async def count_by(database: Database, table: str, column: str, where: Where) -> dict[str, int]:
    """How many rows have each value of `column`, by value."""
    query = sql(f'SELECT "{column}" AS value, count(*) AS rows FROM', table, where, "GROUP BY 1 ORDER BY 1")
    return {record["value"]: record["rows"] for record in await database.fetch(query, *where.arguments)}


def texts(values: Iterable[str]) -> list[str]:
    """An argument for `= ANY(?)`."""
    return sorted(values)
