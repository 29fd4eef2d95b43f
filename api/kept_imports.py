"""Files whose rows are commands, as they are kept while they are carried out and for a week afterwards.

Cells and results are sealed under a key of the import, which is sealed under the master key for this import alone.
"""

import asyncio
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.requests import Request

from api.idempotency import Once
from api.import_columns import RESULT
from api.permissions import Caller
from api.services import Services
from secrets_box import KEY_BYTES, SecretsBox
from spreadsheets.table import Table

Result = dict[str, Any]
"""`row`, `status`, `number` (the trainee's), `mark` (what the file that comes back says of a success), `errors`."""

SUCCEEDED: Final = frozenset({"nominated", "acceptable", "registered", "recorded", "repeated", "older"})
NOT_SENT: Final = frozenset({"not-sent", "done-before", "nothing-to-record"})


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it is kept, opened. `about` is the campaign or the class that the file is for."""

    id: UUID
    kind: str
    once: Once
    about: str
    mode: str
    dry_run: bool
    received_at: datetime
    stage: str
    table: Table
    box: SecretsBox
    hidden: frozenset[int]
    """Rows that the spreadsheet hides and that are not wanted."""
    computed: Mapping[int, frozenset[str]]
    """The columns of a row, by its number, that hold formulas."""

    def cells(self, index: int) -> list[str]:
        """The cells of a row, by its place among the rows under the headings."""
        return self.table.rows[index][1]

    def result(self, index: int, status: str, **more: Any) -> Result:
        """What a row came to."""
        return {"row": self.table.rows[index][0], "status": status, **more}


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is to be taken."""

    about: str
    mode: str
    dry_run: bool
    hidden_rows: str


# ------------------------------------------------------------------------------------------------------- sealing


def _key_place(kind: str, id_: UUID) -> str:
    # `services.key_rotation` names it, too.
    return f"{kind}:{id_}"


def _table_place(kind: str, id_: UUID) -> str:
    return f"{kind}:{id_}:table"


def _results_place(kind: str, id_: UUID, first: int) -> str:
    return f"{kind}:{id_}:{first}"


def _packed(content: Any) -> bytes:
    return zlib.compress(orjson.dumps(content))


def _unpacked(content: bytes) -> Any:
    return orjson.loads(zlib.decompress(content))


def _sealed(services: Services, kind: str, id_: UUID, table: Table) -> tuple[bytes, bytes]:
    key = secrets.token_bytes(KEY_BYTES)
    sealed = SecretsBox(key).seal(_table_place(kind, id_), _packed(table.as_json()))
    return services.box.seal(_key_place(kind, id_), key), sealed


def _opened(box: SecretsBox, kind: str, id_: UUID, sealed: bytes) -> Table:
    return Table.from_json(_unpacked(box.open(_table_place(kind, id_), sealed)))


# ------------------------------------------------------------------------------------------------------- keeping


async def insert(
    services: Services,
    connection: Any,
    once: Once,
    id_: UUID,
    kind: str,
    *,
    digest: str,
    options: Options,
    table: Table,
    file: Any,
) -> None:
    """Keep a file that was read, in the transaction of `connection`."""
    key_sealed, table_sealed = await asyncio.to_thread(_sealed, services, kind, id_, table)
    caller = once.caller
    await connection.execute(
        _INSERT,
        *(id_, kind, caller.organisation, caller.role, caller.key_id, once.correlation_id, options.about, digest),
        *(options.mode, options.dry_run, options.hidden_rows, await services.clock.now()),
        *(orjson.dumps(file).decode(), key_sealed, table_sealed),
    )


async def load(services: Services, id_: UUID, scope: str) -> Import:
    """An import that is to be carried out, with a request made again from what was kept of it."""
    row = await services.pool.fetchrow("SELECT * FROM app.imports WHERE id = $1", id_)
    assert row is not None, "an operation of this kind has its import"
    caller = Caller(row["key_id"], row["organisation"], row["role"], frozenset({scope}))
    return await opened(services, row, once_of(services, caller, row["kind"], row["digest"], row["request_id"]))


async def opened(services: Services, row: Any, once: Once) -> Import:
    """An import from its row."""
    id_, kind = row["id"], row["kind"]
    box = SecretsBox(services.box.open(_key_place(kind, id_), row["key_sealed"]))
    table = await asyncio.to_thread(_opened, box, kind, id_, row["table_sealed"])
    return Import(
        id=id_,
        kind=kind,
        once=once,
        about=row["about"],
        mode=row["mode"],
        dry_run=row["dry_run"],
        received_at=row["received_at"],
        stage=row["stage"],
        table=table,
        box=box,
        hidden=frozenset(table.grid.hidden if row["hidden_rows"] == "refuse" else ()),
        computed=_computed(table),
    )


def _computed(table: Table) -> dict[int, frozenset[str]]:
    names = {place: name for name, place in table.columns.items() if name != RESULT}
    found: dict[int, set[str]] = {}
    for row, column in table.grid.formulas:
        if column in names:
            found.setdefault(row, set()).add(names[column])
    return {row: frozenset(columns) for row, columns in found.items()}


def once_of(services: Services, caller: Caller, kind: str, digest: str, request_id: str) -> Once:
    """The request of an import made again from what was kept of it; its key is its content."""
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "server": ("xunji", 80),
        "path": f"/v1/{kind}s",
        "query_string": b"",
        "headers": [],
        "state": {"request_id": request_id},
    }
    return Once(Request(scope), services, caller, digest, digest.encode())


async def find(services: Services, caller: Caller, kind: str, id_: UUID) -> Any:
    """The row of one of the caller's own imports, None when there is none."""
    return await services.own_rows(caller).fetchrow(_SELECT, id_, caller.organisation, kind)


async def keep(connection: Any, the_import: Import, first: int, results: Sequence[Result]) -> None:
    """Keep what the rows from `first` came to, and count it."""
    place = _results_place(the_import.kind, the_import.id, first)
    sealed = the_import.box.seal(place, _packed(results))
    await connection.execute("INSERT INTO app.import_results VALUES ($1, $2, $3)", the_import.id, first, sealed)
    succeeded, not_sent = (sum(each["status"] in group for each in results) for group in (SUCCEEDED, NOT_SENT))
    await connection.execute(_COUNT, the_import.id, succeeded, len(results) - succeeded - not_sent, not_sent)


async def kept_firsts(services: Services, the_import: Import) -> frozenset[int]:
    """Where the runs of rows begin whose results are kept."""
    found = await services.pool.fetch("SELECT first FROM app.import_results WHERE import = $1", the_import.id)
    return frozenset(row["first"] for row in found)


async def forget_results(connection: Any, the_import: Import) -> None:
    await connection.execute("DELETE FROM app.import_results WHERE import = $1", the_import.id)


class Results:
    """The results of an import that are known so far, run by run."""

    def __init__(self, services: Services, caller: Caller, row: Any) -> None:
        self._own_rows, self._row = services.own_rows(caller), row
        self._box = SecretsBox(services.box.open(_key_place(row["kind"], row["id"]), row["key_sealed"]))

    async def runs(self) -> list[tuple[int, bytes]]:
        found = await self._own_rows.fetch(_RESULTS, self._row["id"])
        return [(each["first"], each["results_sealed"]) for each in found]

    def open(self, first: int, sealed: bytes) -> list[Result]:
        results: list[Result] = _unpacked(
            self._box.open(_results_place(self._row["kind"], self._row["id"], first), sealed)
        )
        return results

    def table(self) -> Table:
        return _opened(self._box, self._row["kind"], self._row["id"], self._row["table_sealed"])


_INSERT: Final = """
INSERT INTO app.imports (id, kind, organisation, role, key_id, request_id, about, digest, mode, dry_run, hidden_rows,
                         received_at, file, key_sealed, table_sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
_SELECT: Final = "SELECT * FROM app.imports WHERE id = $1 AND organisation = $2 AND kind = $3"
_RESULTS: Final = "SELECT first, results_sealed FROM app.import_results WHERE import = $1 ORDER BY first"
_COUNT: Final = """
UPDATE app.imports SET succeeded = succeeded + $2, failed = failed + $3, not_sent = not_sent + $4 WHERE id = $1
"""
