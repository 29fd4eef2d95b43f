"""Every schema of the database, in the order in which they build on each other. Safe to repeat."""

from functools import partial

import asyncpg

from activities.schema import migrate as migrate_activities
from api.schema import migrate as migrate_api
from database import prepare_login
from domain.numbers import KINDS_OF_EACH_BOOK
from ledger.schema import migrate as migrate_ledger
from projections.schema import migrate as migrate_projections

STEPS = (partial(migrate_ledger, local_kinds=KINDS_OF_EACH_BOOK), migrate_projections, migrate_api, migrate_activities)


async def migrate(owner_url: str, application_url: str | None = None) -> None:
    """Bring the database at `owner_url` up to this release, as its owner.

    `application_url` is where the processes log in: their login is made if it is `xunji_service` and missing, and may
    then take on the roles of the application. Raises LoginRefused and asyncpg's errors.
    """
    connection = await asyncpg.connect(owner_url)
    try:
        if application_url is not None:
            await prepare_login(connection, application_url)
        for step in STEPS:
            await step(connection)
    finally:
        await connection.close()
