"""What every module here needs to reach the database: names, locks and types."""

from typing import Any, Final, Protocol, TypeAlias

import asyncpg
import asyncpg.pool

SCHEMA: Final = "view"
"""The live views. Other builds stand beside it as `view@7`; see `projections.builds`."""

LOCK_CLASS: Final = 0x76696577
"""The class of the advisory locks of this package ("view" in ASCII); its members follow."""

PROJECTOR_LOCK: Final = 1
MIGRATION_LOCK: Final = 2
REBUILD_LOCK: Final = 3

AnyConnection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"


class Database(Protocol):
    """What a read needs: a pool, a connection where several reads belong together, or the rows of one caller."""

    async def fetch(self, query: str, /, *args: object) -> list[Any]: ...
    async def fetchrow(self, query: str, /, *args: object) -> Any: ...
    async def fetchval(self, query: str, /, *args: object) -> Any: ...


def quoted(name: str) -> str:
    """A schema's name as it stands in SQL."""
    return '"' + name.replace('"', '""') + '"'
