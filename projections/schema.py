"""Bringing the views of a database up to this release, and `app.plans`.

Views can always be made again from the ledger, so they are not altered but replaced. When their definition (their SQL
or a view's version) has changed, `migrate` builds the new ones beside the live ones, which are read on meanwhile, and
then switches; the old ones are kept until the next build (`projections.rebuild.roll_back`). Adopted plans are not
derived from anything and stay.
"""

from typing import Final

from projections.builds import create, definition, live_definition, sql_files
from projections.database import LOCK_CLASS, MIGRATION_LOCK, SCHEMA, AnyConnection, Database
from projections.filling import Progress
from projections.rebuild import rebuild

__all__ = ("LOCK_CLASS", "SCHEMA", "AnyConnection", "Database", "migrate")

LOCK_TIMEOUT_S: Final = 30
STATEMENT_TIMEOUT_S: Final = 300
BUILD_WAIT_S: Final = 3_600
"""So long a migration waits for another process that builds the views."""


async def migrate(connection: AnyConnection, progress: Progress | None = None) -> None:
    """Give the database the views of this release, and `app.plans`; doing it again changes nothing.

    Concurrent callers wait for each other. Where the views have another definition, this takes as long as a rebuild;
    if it ends in the middle the old ones are still live, and the next migration begins anew.
    """
    async with connection.transaction():
        await _wait_for_turn(connection)
        for text in (*sql_files("app"), *sql_files("control")):
            await connection.execute(text)
        if await live_definition(connection) is None:
            await create(connection, live=True)
    if await live_definition(connection) != definition():
        await rebuild(connection, progress, wait_s=BUILD_WAIT_S, unless_current=True)


async def _wait_for_turn(connection: AnyConnection) -> None:
    await connection.execute(
        f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
        "SET LOCAL client_min_messages = warning"
    )
    await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK_CLASS, MIGRATION_LOCK)
