"""State hashes: one value per view that is equal for equal rows, whoever built them."""

from typing import Final

from projections.database import SCHEMA, AnyConnection, quoted
from projections.views import ALL_VIEWS

_KEYS: Final = {view.table: view.key for view in ALL_VIEWS}


async def state_hash(connection: AnyConnection, table: str, schema: str = SCHEMA) -> str:
    """Hex SHA-256 over all rows of a view in the order of their keys.

    It costs 32 bytes of the server's memory per row. Raises KeyError for a table that is no view.
    """
    key = _KEYS[table]
    async with connection.transaction():
        # Instants are rendered in the session's time zone, which must not matter.
        await connection.execute("SET LOCAL TimeZone = 'UTC'")
        digest: str = await connection.fetchval(
            "SELECT encode(sha256(coalesce(string_agg(sha256(convert_to(to_jsonb(t)::text, 'UTF8')), ''::bytea "  # noqa: S608
            f"ORDER BY \"{key}\"), ''::bytea)), 'hex') FROM {quoted(schema)}.\"{table}\" t"
        )
    return digest


async def state_hashes(connection: AnyConnection, schema: str = SCHEMA) -> dict[str, str]:
    """The state hash of every view, by table."""
    return {table: await state_hash(connection, table, schema) for table in sorted(_KEYS)}
