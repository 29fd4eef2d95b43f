"""Carries out imports: every row of a file goes the way of the single command it stands for, by the same guards.

    check   every row is judged as if it was sent, and nothing is changed   (dry run, and atomic before it sends)
    send    rows are sent, RUN at a time; what they came to is kept before the next ones

A dry run ends after the check; so does an atomic import in which a row fails. A partial import begins with sending.
Command ids follow from organisation, content and row, so that sending again after a crash, or the same file again under
another key, changes nothing twice (edge case 63).
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from api import kept_imports as kept
from api import operations
from api.import_columns import RESULT, SUCCEEDED_MARK, Columns
from api.kept_imports import Import, Result
from api.permissions import KeyRole
from api.problem_types import INVALID
from api.problems import Problem
from api.services import Services
from api.validation import Fault
from spreadsheets.cells import address, column_letters

RUN: Final = 200
"""So many rows are carried out between two times that the results are kept."""

YIELD_ROWS: Final = 5
"""Rows that are read before others get a turn."""


class Rows(Protocol):
    """What the rows of one import mean. Both give a result per row, and raise Away when one of them met an outage."""

    async def check(self, indexes: range) -> list[Result]: ...
    async def send(self, indexes: range) -> list[Result]: ...


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of file. `roles` are whose it is, `subject` is what it is for: a campaign, or a class."""

    kind: str
    words: str
    scope: str
    roles: tuple[KeyRole, ...]
    subject: Literal["campaign", "class"]
    columns: Columns
    open: Callable[[Services, Import], Awaitable[Rows]]

    async def carry_out(self, services: Services, lease: operations.Lease) -> None:
        """Carry out an import, or go on with one. Raises Away, LeaseLost, and what the database raises."""
        the_import = await kept.load(services, lease.operation, self.scope)
        rows = await self.open(services, the_import)
        if the_import.stage == "check" and (the_import.dry_run or the_import.mode == "atomic"):
            results = await _check_all(services, lease, the_import, rows)
            if the_import.dry_run or any(each["status"] == "failed" for each in results):
                await _keep_all(services, lease, the_import, results)
                return
            await services.pool.execute("UPDATE app.imports SET stage = 'send' WHERE id = $1", the_import.id)
        await _send_all(services, lease, the_import, rows)


def _runs(the_import: Import) -> Iterator[range]:
    total = len(the_import.table.rows)
    return (range(first, min(first + RUN, total)) for first in range(0, total, RUN))


async def _check_all(services: Services, lease: operations.Lease, the_import: Import, rows: Rows) -> list[Result]:
    """What every row would come to now. Nothing is changed, and nobody becomes known."""
    results: list[Result] = []
    for indexes in _runs(the_import):
        await operations.advance(services.pool, lease, indexes.start)
        results += await rows.check(indexes)
    return results


async def _keep_all(services: Services, lease: operations.Lease, the_import: Import, results: list[Result]) -> None:
    if not the_import.dry_run:
        results = [each | {"status": "not-sent"} if each["status"] == "acceptable" else each for each in results]
    async with services.pool.acquire() as connection, connection.transaction():
        await kept.forget_results(connection, the_import)
        for indexes in _runs(the_import):
            await kept.keep(connection, the_import, indexes.start, results[indexes.start : indexes.stop])
        await operations.finish(connection, lease)


async def _send_all(services: Services, lease: operations.Lease, the_import: Import, rows: Rows) -> None:
    done = await kept.kept_firsts(services, the_import)
    for indexes in _runs(the_import):
        if indexes.start in done:
            continue
        results = await rows.send(indexes)
        async with services.pool.acquire() as connection, connection.transaction():
            # First, so that a process that was taken over keeps nothing beside its successor.
            await operations.advance(connection, lease, indexes.stop)
            await kept.keep(connection, the_import, indexes.start, results)
    await operations.finish(services.pool, lease)


# ------------------------------------------------------------------------------------------------------- one row


def require_plain(the_import: Import, index: int) -> None:
    """Raises Problem for a row that the spreadsheet hides, unless hidden rows are wanted (edge case 65), and for one
    with formulas: what they show depends on which program has opened the file last.
    """
    number = the_import.table.rows[index][0]
    if number in the_import.hidden:
        raise Problem(INVALID, _HIDDEN)
    computed = sorted(the_import.computed.get(number, ()))
    if computed:
        raise Problem(INVALID, *(_formula(column) for column in computed))


def succeeded_before(the_import: Import, index: int) -> str:
    """What the row's result says of an earlier import in which it went through: `zz22-410181-00123 complete`, or ""."""
    mark, _, rest = the_import.table.cell(the_import.cells(index), RESULT).partition(" ")
    return rest.strip() if mark == SUCCEEDED_MARK else ""


def settled(columns: Columns, the_import: Import, index: int, problem: Problem) -> Result:
    """What a problem makes of a row: a failure, by the cells of the spreadsheet. Raises Away for an outage."""
    if problem.type.status >= 500:
        raise operations.Away(problem.type.slug)
    return the_import.result(index, "failed", errors=list(_errors(columns, the_import, index, problem)))


def _errors(columns: Columns, the_import: Import, index: int, problem: Problem) -> Iterator[dict[str, Any]]:
    table = the_import.table
    number, cells = table.rows[index]
    for fault in problem.faults:
        item: dict[str, Any] = {"row": number, **fault.as_json()}
        item.pop("pointer", None)
        column = columns.column_of(fault.pointer) if fault.pointer else ""
        place = table.columns.get(column)
        if place is not None:
            item |= {"column": column_letters(place), "cell": address(number, place)}
            text = table.cell(cells, column)
            item |= {"value": columns.shown(column, text)} if text else {}
        yield item | ({"field": column} if column else {})


def _formula(column: str) -> Fault:
    return Fault(
        "cell_is_formula",
        "The cell holds a formula and not a value.",
        "单元格为公式，不是数值。",
        "Copy the column and paste it as values.",
        "请复制该列并以“数值”方式粘贴。",
        pointer=f"/{column}",
    )


_HIDDEN: Final = Fault(
    "row_hidden",
    "The row is hidden in the spreadsheet, so it is not clear whether it is meant.",
    "该行在表格中被隐藏，无法确定是否需要导入。",
    "Show or delete it; or send the file with `hidden_rows=read`.",
    "请取消隐藏或删除该行；或以 `hidden_rows=read` 提交。",
)
