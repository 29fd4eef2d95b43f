"""Carries out nomination imports: every row goes the way of a single nomination, by the same guards (edge case 71).

    check   every row is judged as if it was sent, and nothing is changed   (dry run, and atomic before it sends)
    send    rows are nominated, RUN at a time; what they came to is kept before the next ones

A dry run ends after the check; so does an atomic import in which a row fails. A partial import begins with sending.
Command ids follow from organisation, content and row, so that sending again after a crash, or the same file again under
another key, changes nothing twice (edge case 63). Cells and results are kept sealed under a key of the import.
"""

import asyncio
import secrets
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request

from api import operations
from api.idempotency import Once
from api.nomination_columns import RESULT, Words, column_of, nomination_of, shown
from api.nominations import Checked, check, nominate_checked, plan_of, reserve_numbers
from api.permissions import Caller
from api.personal import note_rows
from api.problem_types import INVALID
from api.problems import Problem, refused
from api.receipts import Done, Failed, Job, run_rows
from api.services import Services
from api.validation import Fault
from domain import trainee
from domain.calendar import local_date
from domain.decision import Clear, Context, Refusal, Take
from domain.refusals import refuse
from domain.trainee_context import Facts
from domain.trainee_messages import Nominate, PersonReference
from projections.history import history_of
from secrets_box import KEY_BYTES, SecretsBox
from spreadsheets.cells import address, column_letters
from spreadsheets.table import Table
from workflows.messages import Receipt

KIND: Final = "nomination-import"
RUN: Final = 200
"""So many rows are carried out between two times that the results are kept."""

YIELD_ROWS: Final = 20
"""Rows that are read before others get a turn."""

NO_NUMBER: Final = "check"
"""Stands for the number of a nomination that is only judged."""

SUCCEEDED_MARK: Final = "OK"
Result = dict[str, Any]
"""`row`, `status` (nominated, acceptable, failed, not-sent, done-before), and `number` or `errors`."""


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it is kept, opened."""

    id: UUID
    once: Once
    campaign: str
    mode: str
    dry_run: bool
    hidden_rows: str
    stage: str
    table: Table
    box: SecretsBox

    def sealed(self, first: int, results: Sequence[Result]) -> bytes:
        return self.box.seal(results_place(self.id, first), zlib.compress(orjson.dumps(results)))


def key_place(id_: UUID) -> str:
    """Where the key of an import is sealed for; `key_rotation` names it, too."""
    return f"{KIND}:{id_}"


def table_place(id_: UUID) -> str:
    return f"{KIND}:{id_}:table"


def results_place(id_: UUID, first: int) -> str:
    return f"{KIND}:{id_}:{first}"


def sealed_table(services: Services, id_: UUID, table: Table) -> tuple[bytes, bytes]:
    """A new key for an import, sealed under the master key, and the table sealed under it."""
    key = secrets.token_bytes(KEY_BYTES)
    content = zlib.compress(orjson.dumps(table.as_json()))
    return services.box.seal(key_place(id_), key), SecretsBox(key).seal(table_place(id_), content)


def opened_box(services: Services, id_: UUID, key_sealed: bytes) -> SecretsBox:
    return SecretsBox(services.box.open(key_place(id_), key_sealed))


def opened_table(box: SecretsBox, id_: UUID, sealed: bytes) -> Table:
    table = Table.from_json(orjson.loads(zlib.decompress(box.open(table_place(id_), sealed))))
    note_rows(len(table.rows))
    return table


def opened_results(box: SecretsBox, id_: UUID, first: int, sealed: bytes) -> list[Result]:
    results: list[Result] = orjson.loads(zlib.decompress(box.open(results_place(id_, first), sealed)))
    return results


async def carry_out(services: Services, lease: operations.Lease) -> None:
    """Carry out an import, or go on with one. Raises Away, LeaseLost, and what the database raises."""
    the_import = await _load(services, lease.operation)
    if the_import.stage == "check" and (the_import.dry_run or the_import.mode == "atomic"):
        results = await _check_all(services, lease, the_import)
        if the_import.dry_run or any(each["status"] == "failed" for each in results):
            await _keep_all(services, lease, the_import, results)
            return
        await services.pool.execute("UPDATE app.nomination_imports SET stage = 'send' WHERE id = $1", the_import.id)
    await _send_all(services, lease, the_import)


async def _load(services: Services, id_: UUID) -> Import:
    row = await services.pool.fetchrow("SELECT * FROM app.nomination_imports WHERE id = $1", id_)
    assert row is not None, "an operation of this kind has its import"
    caller = Caller(row["key_id"], row["organisation"], row["role"], frozenset({"nominations:write"}))
    box = opened_box(services, id_, row["key_sealed"])
    table = await asyncio.to_thread(opened_table, box, id_, row["table_sealed"])
    return Import(
        id=id_,
        once=once_of(services, caller, row["digest"], row["request_id"]),
        campaign=row["campaign"],
        mode=row["mode"],
        dry_run=row["dry_run"],
        hidden_rows=row["hidden_rows"],
        stage=row["stage"],
        table=table,
        box=box,
    )


def once_of(services: Services, caller: Caller, digest: str, request_id: str) -> Once:
    """The request of an import made again from what was kept of it; its key is its content."""
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "server": ("xunji", 80),
        "path": f"/v1/{KIND}s",
        "query_string": b"",
        "headers": [],
        "state": {"request_id": request_id},
    }
    return Once(Request(scope), services, caller, digest, digest.encode())


# ------------------------------------------------------------------------------------------------------- reading rows


class _Reader:
    """Reads the rows of an import into nominations that are known to be right, as far as that is known beforehand."""

    def __init__(self, services: Services, the_import: Import, words: Words) -> None:
        self._services, self._import, self._words = services, the_import, words
        self._hidden = frozenset(the_import.table.grid.hidden if the_import.hidden_rows == "refuse" else ())

    async def row(self, index: int) -> Checked:
        """Raises Problem."""
        number, cells = self._import.table.rows[index]
        if number in self._hidden:
            raise Problem(INVALID, _HIDDEN)
        nomination = nomination_of(self._import.table, cells, self._import.campaign, self._words)
        return await check(self._services, self._import.once, index, nomination)

    def done_before(self, index: int) -> str:
        """The number that the row's result says it was given in an earlier import, or ""."""
        text = self._import.table.cell(self._import.table.rows[index][1], RESULT)
        mark, _, number = text.partition(" ")
        return number.split(" ", 1)[0] if mark == SUCCEEDED_MARK else ""


async def _reader(services: Services, the_import: Import) -> _Reader:
    return _Reader(services, the_import, Words.of(await plan_of(services, the_import.campaign)))


# -------------------------------------------------------------------------------------------------------- check


async def _check_all(services: Services, lease: operations.Lease, the_import: Import) -> list[Result]:
    """What every row would come to now. Nothing is changed, and nobody becomes known."""
    reader = await _reader(services, the_import)
    results: list[Result] = []
    seen: set[tuple[str, str]] = set()
    for index in range(len(the_import.table.rows)):
        if index % YIELD_ROWS == 0:
            await asyncio.sleep(0)
        if index % RUN == 0:
            await operations.advance(services.pool, lease, index)
        results.append(await _check_row(services, reader, the_import, index, seen))
    return results


async def _check_row(
    services: Services, reader: _Reader, the_import: Import, index: int, seen: set[tuple[str, str]]
) -> Result:
    before = reader.done_before(index)
    if before:
        return _done_before(the_import.table, index, before)
    try:
        checked = await reader.row(index)
        this = (checked.identity.text, checked.row.project_type)
        problem = await judge(services, the_import.once, checked)
        if problem is None and this in seen:
            problem = refused(refuse("duplicate_nomination"))
        if problem is None:
            seen.add(this)
    except Problem as error:
        problem = error
    if problem is None:
        return {"row": the_import.table.rows[index][0], "status": "acceptable"}
    if problem.type.status >= 500:
        raise operations.Away(problem.type.slug)
    return failed_result(the_import.table, index, problem)


async def judge(services: Services, once: Once, checked: Checked) -> Problem | None:
    """What the nomination would be refused with if it was sent now, None if with nothing.

    The domain decides as ever, and the claims that it asks for are looked at instead of taken.
    """
    person = await services.vault.find(checked.identity.text)
    own = {"county", "school", "person"}
    fields = {
        name: getattr(checked.row, name) for name in Nominate.model_fields.keys() - own if hasattr(checked.row, name)
    }
    reference = PersonReference(id=person or uuid4(), sealed="")
    command = Nominate(**fields, county=checked.county, school=checked.school, person=reference)
    now = await services.clock.now()
    facts = Facts(checked.plan)
    if person is not None:
        campaign = checked.plan.id
        known, records = await history_of(services.pool, services.plans.by_campaign, campaign, NO_NUMBER, person)
        facts = Facts(checked.plan, history=known, records=records)
    decided = trainee.decide(None, command, Context(NO_NUMBER, once.caller.actor, facts, now))
    if isinstance(decided, Refusal):
        return refused(decided)
    if person is None:
        return None
    taken = [each.key for each in decided.claims if isinstance(each, Take)]
    clear = [each.key for each in decided.claims if isinstance(each, Clear)]
    row = await services.pool.fetchrow(_CLAIMS, taken, clear, local_date(now))
    assert row is not None, "the query gives one row"
    if row["held"]:
        return refused(refuse("duplicate_nomination"))
    return refused(refuse("restricted_until", until=row["until"].isoformat())) if row["until"] else None


_CLAIMS: Final = """
SELECT EXISTS (SELECT FROM ledger.holds WHERE key = ANY ($1)) AS held,
       (SELECT max(upper(days)) FROM unnest((SELECT range_agg(period) FROM ledger.blocks WHERE key = ANY ($2))) AS days
        WHERE days @> $3::date) AS until
"""


async def _keep_all(services: Services, lease: operations.Lease, the_import: Import, results: list[Result]) -> None:
    if not the_import.dry_run:
        results = [each if each["status"] == "failed" else each | {"status": "not-sent"} for each in results]
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM app.nomination_import_results WHERE import = $1", the_import.id)
        for first in range(0, len(results), RUN):
            await _keep(connection, the_import, first, results[first : first + RUN])
        await operations.finish(connection, lease)


# --------------------------------------------------------------------------------------------------------- send


async def _send_all(services: Services, lease: operations.Lease, the_import: Import) -> None:
    reader = await _reader(services, the_import)
    kept = await services.pool.fetch("SELECT first FROM app.nomination_import_results WHERE import = $1", the_import.id)
    done = {row["first"] for row in kept}
    total = len(the_import.table.rows)
    for first in range(0, total, RUN):
        if first in done:
            continue
        indexes = range(first, min(first + RUN, total))
        results = await _send_run(services, reader, the_import, indexes)
        async with services.pool.acquire() as connection, connection.transaction():
            # First, so that a process that was taken over keeps nothing beside its successor.
            await operations.advance(connection, lease, indexes.stop)
            await _keep(connection, the_import, first, results)
    await operations.finish(services.pool, lease)


async def _send_run(services: Services, reader: _Reader, the_import: Import, indexes: range) -> list[Result]:
    """Nominate some rows. Raises Away when one of them met an outage: all of them are sent again later."""
    results: dict[int, Result] = {}
    checked: list[Checked] = []
    for index in indexes:
        before = reader.done_before(index)
        if before:
            results[index] = _done_before(the_import.table, index, before)
            continue
        try:
            checked.append(await reader.row(index))
        except Problem as problem:
            results[index] = _settled(the_import.table, index, problem)
        if index % YIELD_ROWS == 0:
            await asyncio.sleep(0)
    numbers = await reserve_numbers(services, the_import.once, checked)
    jobs = [
        Job(each.index, each.identity.text, _job(services, the_import.once, each, numbers), numbers[each.index])
        for each in checked
    ]
    for each in await run_rows(jobs):
        if isinstance(each, Done):
            number = the_import.table.rows[each.index][0]
            results[each.index] = {"row": number, "status": "nominated", "number": each.receipt.number}
        else:
            assert isinstance(each, Failed), "a row is done or failed"
            results[each.index] = _settled(the_import.table, each.index, each.problem)
    return [results[index] for index in indexes]


def _job(services: Services, once: Once, checked: Checked, numbers: dict[int, str]) -> Any:
    async def run() -> Receipt:
        return await nominate_checked(services, once, checked, numbers)

    return run


def _settled(table: Table, index: int, problem: Problem) -> Result:
    if problem.type.status >= 500:
        raise operations.Away(problem.type.slug)
    return failed_result(table, index, problem)


async def _keep(connection: Any, the_import: Import, first: int, results: list[Result]) -> None:
    await connection.execute(
        "INSERT INTO app.nomination_import_results VALUES ($1, $2, $3)",
        the_import.id,
        first,
        the_import.sealed(first, results),
    )
    counts = [sum(each["status"] in group for each in results) for group in _COUNTED]
    await connection.execute(_COUNT, the_import.id, *counts)


_COUNTED: Final = (("nominated", "acceptable"), ("failed",), ("not-sent", "done-before"))
_COUNT: Final = """
UPDATE app.nomination_imports SET succeeded = succeeded + $2, failed = failed + $3, not_sent = not_sent + $4
WHERE id = $1
"""


# ------------------------------------------------------------------------------------------------------- results


def _done_before(table: Table, index: int, number: str) -> Result:
    return {"row": table.rows[index][0], "status": "done-before", "number": number}


def failed_result(table: Table, index: int, problem: Problem) -> Result:
    """What is wrong with a row, by the cells of the spreadsheet."""
    return {"row": table.rows[index][0], "status": "failed", "errors": list(_errors(table, index, problem))}


def _errors(table: Table, index: int, problem: Problem) -> Iterator[dict[str, Any]]:
    number, cells = table.rows[index]
    for fault in problem.faults:
        item: dict[str, Any] = {"row": number, **fault.as_json()}
        item.pop("pointer", None)
        column = column_of(fault.pointer) if fault.pointer else ""
        place = table.columns.get(column)
        if place is not None:
            item |= {"column": column_letters(place), "cell": address(number, place)}
            text = table.cell(cells, column)
            item |= {"value": shown(column, text)} if text else {}
        yield item | ({"field": column} if column else {})


_HIDDEN: Final = Fault(
    "row_hidden",
    "The row is hidden in the spreadsheet, so it is not clear whether it is meant.",
    "该行在表格中被隐藏，无法确定是否需要导入。",
    "Show or delete it; or send the file with `hidden_rows=read`.",
    "请取消隐藏或删除该行；或以 `hidden_rows=read` 提交。",
)
