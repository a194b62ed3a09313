"""What the commands share: options, the database's address, and how they end when something is wrong."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
import uvloop

from chaffinch_credits.crypto.wrapping import BadKekError
from chaffinch_credits.store.role import RoleError
from chaffinch_runtime.migrations import SchemaError

TROUBLE = 1
Dsn = Annotated[
    str, typer.Option(envvar="CHAFFINCH_CREDITS_DSN", help="PostgreSQL, as postgresql://user@host/database")
]
DsnFile = Annotated[Path | None, typer.Option(envvar="CHAFFINCH_CREDITS_DSN_FILE", help="A file with the DSN instead")]
KekDir = Annotated[
    Path | None,
    typer.Option(envvar="CHAFFINCH_CREDITS_KEK_DIR", help="Folder of key-encryption keys, a file each (see keys make)"),
]


def dsn_of(dsn: str, file: Path | None) -> str:
    """The address of the database, given in one of the two ways."""
    if bool(dsn) == bool(file):
        fail("give the database once: CHAFFINCH_CREDITS_DSN (--dsn) or CHAFFINCH_CREDITS_DSN_FILE (--dsn-file)")
    try:
        return dsn if file is None else file.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        fail(f"{file}: {problem}")


def run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the work gives
    """Do it; what can go wrong is said, without a traceback."""
    try:
        return uvloop.run(work)
    except (SchemaError, RoleError, BadKekError, OSError, asyncpg.PostgresError) as problem:
        fail(str(problem))


def fail(message: str) -> NoReturn:
    """Say it and end with status 1."""
    typer.echo(f"chaffinch-credits: {message}", err=True)
    raise typer.Exit(TROUBLE)
