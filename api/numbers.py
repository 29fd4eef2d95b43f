"""Reserves the numbers of new cases. A repeated command gets the number that it was given the first time."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg


class Numbers:
    """Counters by series, kept in `app.number_series` and `app.numbers`."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    async def reserve(self, command_ids: Sequence[UUID], series: Sequence[str]) -> list[int]:
        """A counter for each command, from the series at the same place. A refused command leaves a gap."""
        rows = await self._pool.fetch(
            "SELECT command_id, counter FROM app.reserve_numbers($1, $2)", list(command_ids), list(series)
        )
        by_command = {row["command_id"]: int(row["counter"]) for row in rows}
        return [by_command[command_id] for command_id in command_ids]

    async def reserve_one(self, command_id: UUID, series: str) -> int:
        """A counter for one command."""
        return (await self.reserve([command_id], [series]))[0]
