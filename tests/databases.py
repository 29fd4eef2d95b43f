"""Databases of the session's PostgreSQL: empty ones, and copies of one that was migrated once."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg

from embedded.postgres import EmbeddedPostgres

EMPTY = "template0"
Step = Callable[["asyncpg.Connection[Any]"], Awaitable[None]]
"""A part of a migration."""


class Databases:
    """Makes them, each for one test. A copy takes no longer than an empty one, and a migration many times as long."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count(1)
        self._templates: dict[tuple[Step, ...], str] = {}

    @asynccontextmanager
    async def one(self, *steps: Step) -> AsyncIterator[str]:
        """The URL of a database that has had these steps; it is gone when the block is left."""
        administrator = await asyncpg.connect(self._server.url("postgres"))
        try:
            name = await self._make(administrator, await self._template(administrator, steps))
            yield self._server.url(name)
            await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await administrator.close()

    async def _template(self, administrator: "asyncpg.Connection[Any]", steps: tuple[Step, ...]) -> str:
        if not steps:
            return EMPTY
        if steps not in self._templates:
            name = await self._make(administrator, EMPTY)
            connection = await asyncpg.connect(self._server.url(name))
            try:
                # The first migration of all makes the roles, and the next one finds them and grants the rest.
                for step in (*steps, *steps):
                    await step(connection)
            finally:
                await connection.close()
            self._templates[steps] = name
        return self._templates[steps]

    async def _make(self, administrator: "asyncpg.Connection[Any]", template: str) -> str:
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name
