"""Builds of the views: the live one is the schema `view`, others stand beside it as `view@7`.

A build is named by its number and holds every view in one version (`trainees@2`); all views of a build have read the
books equally far, so that one read never mixes two of them. Builds change places by being renamed, which waits for no
reader and takes a moment.

    create ─► building ──fill──► filled ──switch──► live ──switch──► kept ──drop──► gone
                                            ▲                         │
                                            └──────── rollback ───────┘
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from projections.database import SCHEMA, AnyConnection, Database, quoted
from projections.views import ALL_VIEWS

MAX_BUILDS: Final = 100
State = Literal["building", "live", "kept"]

_SQL_DIRECTORY: Final = Path(__file__).parent / "sql"
_DEFINITION_MARK: Final = "definition "
_UNFINISHED_BEFORE_BUILDS: Final = "view_rebuild"
"""What the release before this one called a build that it had not finished."""

_SCHEMAS: Final = """
SELECT nspname AS schema, coalesce(obj_description(oid, 'pg_namespace'), '') AS comment,
       to_regclass(quote_ident(nspname) || '.build') IS NOT NULL AS described
FROM pg_namespace WHERE nspname ~ '^view(@[0-9]+)?$' ORDER BY nspname LIMIT $1
"""


class BuildUnknown(LookupError):
    """There is no such build: nothing is kept that one could go back to."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build. `versions` names its views, e.g. `bulletins@1 trainees@2`; 0 is one of a release before builds."""

    schema: str
    number: int
    definition: str
    versions: str
    state: State
    started_at: datetime | None
    switched_at: datetime | None


def versions() -> str:
    """The views of this release, each with its version."""
    return " ".join(sorted(view.name for view in ALL_VIEWS))


def definition() -> str:
    """Hex SHA-256 of the views' SQL and versions: tells whether a build's views are those of this release."""
    return hashlib.sha256("\n".join((*sql_files("view"), versions())).encode()).hexdigest()


def sql_files(directory: str) -> list[str]:
    """The texts of `projections/sql/{directory}`, in order."""
    return [path.read_text(encoding="utf-8") for path in sorted((_SQL_DIRECTORY / directory).glob("*.sql"))]


async def live_definition(database: Database) -> str | None:
    """The definition of the live build, None when there is none."""
    row = await database.fetchrow(
        "SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = $1", SCHEMA
    )
    return None if row is None else (row["comment"] or "").removeprefix(_DEFINITION_MARK)


async def builds(database: Database) -> list[Build]:
    """Every build there is, by schema."""
    found = []
    for record in await database.fetch(_SCHEMAS, MAX_BUILDS):
        schema = record["schema"]
        row: Any = None
        if record["described"]:
            row = await database.fetchrow(f"SELECT * FROM {quoted(schema)}.build")  # noqa: S608
        state: State = "kept"
        if schema == SCHEMA:
            state = "live"
        elif row is not None and row["filled_at"] is None:
            state = "building"
        found.append(
            Build(
                schema=schema,
                number=row["number"] if row is not None else 0,
                definition=record["comment"].removeprefix(_DEFINITION_MARK),
                versions=row["versions"] if row is not None else "",
                state=state,
                started_at=row["started_at"] if row is not None else None,
                switched_at=row["switched_at"] if row is not None else None,
            )
        )
    return found


async def live_build(database: Database) -> Build:
    """The live build. Raises BuildUnknown before the first migration."""
    return await _one(database, "live")


async def kept_build(database: Database) -> Build:
    """The build that was live before the last switch. Raises BuildUnknown when none is kept."""
    return await _one(database, "kept")


async def create(connection: AnyConnection, *, live: bool = False) -> Build:
    """Make a new build with empty views, in a transaction: beside the live one, or as the first live one."""
    number: int = await connection.fetchval("SELECT nextval('projection.build_numbers')")
    schema = SCHEMA if live else f"{SCHEMA}@{number}"
    name = quoted(schema)
    async with connection.transaction():
        await connection.execute(f"CREATE SCHEMA {name}")
        path = await connection.fetchval("SELECT current_setting('search_path')")
        await connection.execute("SELECT set_config('search_path', $1, true)", name)
        for text in sql_files("view"):
            await connection.execute(text)
        await connection.execute("INSERT INTO build (number, versions) VALUES ($1, $2)", number, versions())
        if live:
            await connection.execute("UPDATE build SET filled_at = now(), switched_at = now()")
        await connection.execute("SELECT set_config('search_path', $1, true)", path)
        await connection.execute(f"COMMENT ON SCHEMA {name} IS '{_DEFINITION_MARK}{definition()}'")
    return next(build for build in await builds(connection) if build.schema == schema)


async def change_places(connection: AnyConnection, incoming: Build) -> None:
    """Make `incoming` the live build and keep the one that was, within the caller's transaction.

    The caller holds the lease's row, so that no projector writes meanwhile. Readers are not waited for: a transaction
    under way keeps the tables that it has read, and the next one finds the new ones.
    """
    outgoing = await live_build(connection)
    await connection.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO {quoted(f'{SCHEMA}@{outgoing.number}')}")
    await connection.execute(f"ALTER SCHEMA {quoted(incoming.schema)} RENAME TO {SCHEMA}")
    await connection.execute(
        f"UPDATE {SCHEMA}.build SET switched_at = now(), filled_at = coalesce(filled_at, now())"  # noqa: S608
    )


async def drop(connection: AnyConnection, *states: State) -> list[Build]:
    """Drop the builds that are in one of `states`; give them. The live one is never dropped."""
    gone = [build for build in await builds(connection) if build.state in states and build.schema != SCHEMA]
    for build in gone:
        await connection.execute(f"DROP SCHEMA {quoted(build.schema)} CASCADE")
    if "building" in states:
        await connection.execute(f"DROP SCHEMA IF EXISTS {_UNFINISHED_BEFORE_BUILDS} CASCADE")
    return gone


async def _one(database: Database, state: State) -> Build:
    found = next((build for build in await builds(database) if build.state == state), None)
    if found is None:
        raise BuildUnknown(f"there is no {state} build of the views")
    return found
