"""One PostgreSQL for all tests here; each test has a schema of its own, which is made faster than a database."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from chaffinch_credits.store.schema import SCHEMA
from support import postgres
from support.postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A server that is fast: nothing here survives it. Tests of what survives have one of their own."""
    with postgres.running(durable=False) as found:
        yield found


@pytest_asyncio.fixture
async def dsn(server: Postgres) -> AsyncIterator[str]:
    """Tables that nobody else sees, on whichever server the test has."""
    async with tables(server) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_dsn(server: Postgres) -> AsyncIterator[str]:
    """The same for all tests of a module."""
    async with tables(server) as found:
        yield found


@contextlib.asynccontextmanager
async def tables(server: Postgres) -> AsyncIterator[str]:
    """A new schema, migrated; gone afterwards."""
    name = f"test_{secrets.token_hex(4)}"
    own = f"{server.dsn}&search_path={name}"
    connection = await asyncpg.connect(own)
    await connection.execute(f"CREATE SCHEMA {name}")
    await SCHEMA.migrate(connection)
    await connection.close()
    yield own
    admin = await asyncpg.connect(server.dsn)
    await admin.execute(f"DROP SCHEMA {name} CASCADE")
    await admin.close()


@pytest_asyncio.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    found = await asyncpg.connect(dsn)
    yield found
    await found.close()
