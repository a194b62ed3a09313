"""One PostgreSQL for all tests here; each test has a database of its own."""

import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from chaffinch_credits.store.schema import migrate
from support import postgres
from support.postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A durable server."""
    with postgres.running() as found:
        yield found


@pytest_asyncio.fixture
async def dsn(server: Postgres) -> str:
    """A new database with the schema."""
    name = f"test_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(server.dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    made = server.dsn.replace("/postgres?", f"/{name}?")
    connection = await asyncpg.connect(made)
    await migrate(connection)
    await connection.close()
    return made


@pytest_asyncio.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    found = await asyncpg.connect(dsn)
    yield found
    await found.close()
