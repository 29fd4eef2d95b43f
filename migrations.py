"""Every schema of the database, in the order in which they build on each other. Safe to repeat."""

from functools import partial

import asyncpg

from activities.schema import migrate as migrate_activities
from api.schema import migrate as migrate_api
from domain.numbers import KINDS_OF_EACH_BOOK
from ledger.schema import migrate as migrate_ledger
from projections.schema import migrate as migrate_projections

STEPS = (partial(migrate_ledger, local_kinds=KINDS_OF_EACH_BOOK), migrate_projections, migrate_api, migrate_activities)


async def migrate(database_url: str) -> None:
    """Bring the database at `database_url` up to this release. Raises asyncpg's errors."""
    connection = await asyncpg.connect(database_url)
    try:
        for step in STEPS:
            await step(connection)
    finally:
        await connection.close()
