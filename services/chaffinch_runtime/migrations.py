"""Bring a database to the schema of this version: numbered files, forward only, once, by one process at a time."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy"
_LOCK = 0x6368_6166_6669_6E63
"""Advisory lock of whoever migrates."""
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    hash       bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


class SchemaError(Exception):
    """The database's schema is not one that this version can work with; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    text: str

    @property
    def hash(self) -> bytes:
        """SHA-256 of the text."""
        return sha256(self.text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Schema:
    """The migrations of one service.

    Attributes:
        folder: where the files are.
        command: what applies them, for messages.

    """

    folder: Path
    command: str

    def migrations(self) -> tuple[Migration, ...]:
        """All of this version, in order. SchemaError when numbers are missing or double."""
        found = tuple(
            Migration(int(match[1]), path.name, path.read_text())
            for path in sorted(self.folder.iterdir())
            if (match := _NAME.fullmatch(path.name))
        )
        if [m.number for m in found] != list(range(1, len(found) + 1)):
            raise SchemaError(f"the migrations in {self.folder} are not numbered 1, 2, 3, ...")
        return found

    async def migrate(self, connection: Connection) -> int:
        """Apply what is missing, each in a transaction of its own; returns the schema's number.

        Raises:
            SchemaError: the database is newer, or was migrated by files that differ from these.

        """
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await connection.execute(_TABLE)
            applied = await _applied(connection)
            for migration in self.migrations():
                if migration.number in applied:
                    _require_same(migration, applied[migration.number])
                else:
                    await _apply(connection, migration)
            return max([*applied, *(m.number for m in self.migrations())])
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)

    async def require_current(self, connection: Connection) -> int:
        """The schema's number. SchemaError when it lacks migrations of this version; a newer one is served as well."""
        try:
            applied = await _applied(connection)
        except asyncpg.UndefinedTableError:
            applied = {}
        for migration in self.migrations():
            if migration.number not in applied:
                raise SchemaError(f"the database lacks {migration.name}: run `{self.command}` first")
            _require_same(migration, applied[migration.number])
        return max(applied)


async def _apply(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.text)
        await connection.execute(
            "INSERT INTO schema_migration (number, name, hash) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.hash,
        )


async def _applied(connection: Connection) -> dict[int, bytes]:
    rows = await connection.fetch("SELECT number, hash FROM schema_migration")
    return {row["number"]: row["hash"] for row in rows}


def _require_same(migration: Migration, applied: bytes) -> None:
    if applied != migration.hash:
        raise SchemaError(f"the database was migrated by another {migration.name}: install the version that made it")
