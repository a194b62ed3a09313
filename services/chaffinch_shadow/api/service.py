"""The service behind the routes: one evaluation, its row, and a pool of connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

import asyncpg

from chaffinch_runtime.migrations import Connection
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.store.schema import SCHEMA
from chaffinch_shadow.store.write import Registered, register

_CONNECTIONS = 4
_SECONDS = 10


class Service:
    """Use as an async context manager."""

    pool: asyncpg.Pool
    registered: Registered

    def __init__(self, dsn: str, evaluation: Evaluation, token: bytes | None = None) -> None:
        self._dsn = dsn
        self.evaluation, self.token = evaluation, token

    async def __aenter__(self) -> Self:
        self.pool = await asyncpg.create_pool(
            self._dsn, min_size=1, max_size=_CONNECTIONS, command_timeout=_SECONDS, timeout=_SECONDS
        )
        async with self.pool.acquire() as connection:
            await SCHEMA.require_current(connection)
            self.registered = await register(connection, self.evaluation)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection; TimeoutError when none is free for long."""
        async with self.pool.acquire(timeout=_SECONDS) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that sees one state of the database."""
        async with self.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
