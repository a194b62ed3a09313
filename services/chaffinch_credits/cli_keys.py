"""The commands chaffinch-credits keys: of key-encryption keys and of the data keys that they wrap."""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import asyncpg
import typer

from chaffinch_credits.cli_options import Dsn, DsnFile, KekDir, dsn_of, fail, run
from chaffinch_credits.crypto.wrapping import KEY_BYTES, BadKekError, Keks
from chaffinch_credits.store import dek, ledgers, trail
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.dek import Kept
from chaffinch_credits.store.ledgers import LedgerView

app = typer.Typer(no_args_is_help=True, help="Keys that encrypt metadata: show, wrap anew, renew, destroy.")
Ledger = Annotated[str, typer.Argument(help="Name of the ledger")]


@app.command()
def make(file: Annotated[Path, typer.Argument(help="KEK folder and name, such as keks/2026-11")]) -> None:
    """Make a key-encryption key. The one whose name sorts last wraps what is new: name them by their date."""
    try:
        Keks.parse({file.name: bytes(KEY_BYTES)})
        with NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as made:
            made.write(os.urandom(KEY_BYTES))
        os.link(made.name, file)  # at once, and never over another key
        Path(made.name).unlink()
    except BadKekError as problem:
        fail(str(problem))
    except OSError as problem:
        fail(f"{file}: {problem.strerror}")
    typer.echo(f"{file}: 32 random bytes; keep a copy elsewhere: without it nothing that it wraps can be read")


@app.command()
def show(
    ledger: Ledger,
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    output: Annotated[str, typer.Option("-o", help="text or json")] = "text",
) -> None:
    """List the data keys of a ledger: epoch, age, and the KEK that wraps each; never a key."""

    async def work() -> list[Kept]:
        async with _ledger(dsn_of(dsn, dsn_file), ledger) as (connection, view):
            return await dek.kept(connection, view)

    found = [_as_json(one) for one in run(work())]
    if output == "json":
        typer.echo(json.dumps(found))
        return
    for one in found:
        state = f"{one['ageSeconds'] // 86_400} days, wrapped by {one['kek']}" if one["alive"] else "destroyed"
        typer.echo(f"{one['purpose']} {one['epoch']}: {state}")


@app.command()
def rewrap(kek_dir: KekDir = None, dsn: Dsn = "", dsn_file: DsnFile = None) -> None:
    """Wrap the data keys of all ledgers by the newest KEK. Safe to run again; the service goes on meanwhile."""
    keks = keks_of(kek_dir)

    async def work() -> int:
        connection = await asyncpg.connect(dsn_of(dsn, dsn_file))
        try:
            return await rewrap_all(connection, keks)
        finally:
            await connection.close()

    typer.echo(f"{run(work())} data keys were wrapped by {keks.newest}; none needs another KEK now")


@app.command()
def rotate(ledger: Ledger, kek_dir: KekDir = None, dsn: Dsn = "", dsn_file: DsnFile = None) -> None:
    """Make a new data key for fields: what is written from now on is encrypted by it, what was written stays."""
    keks = keks_of(kek_dir)

    async def work() -> list[Kept]:
        async with _ledger(dsn_of(dsn, dsn_file), ledger) as (connection, view):
            found = await dek.ensure(connection, view, keks, new_epoch=True)
            await trail.as_role(connection, "keys rotate", ledger)
            return found

    newest = max(one.key.slot.epoch for one in run(work()) if one.key.slot.purpose == "field")
    typer.echo(f"epoch {newest}: processes use it within 30 seconds")


@app.command()
def shred(
    ledger: Ledger,
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone")] = False,
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
) -> None:
    """Destroy the data keys of a ledger: its metadata can never be read again. Entries and proofs stay."""
    if not yes:
        fail(f'all metadata of ledger "{ledger}" becomes unreadable for ever: repeat with --yes')

    async def work() -> None:
        async with _ledger(dsn_of(dsn, dsn_file), ledger) as (connection, view), connection.transaction():
            await dek.destroy(connection, view)
            await trail.as_role(connection, "keys shred", ledger)

    run(work())
    typer.echo("destroyed; backups that are older have the wrapped keys still: destroy them, or their KEK, too")


def keks_of(folder: Path | None) -> Keks:
    """The KEKs of a folder, or the end of the command."""
    if folder is None:
        fail("give the folder of key-encryption keys: CHAFFINCH_CREDITS_KEK_DIR (--kek-dir)")
    try:
        return dek.read_keks(folder)
    except (OSError, BadKekError) as problem:
        fail(f"{folder}: {problem}")


async def rewrap_all(connection: Connection, keks: Keks) -> int:
    """Wrap the data keys of all ledgers by the newest KEK; how many."""
    total = 0
    for view in await ledgers.every(connection):
        total += await dek.rewrap(connection, view, keks)
    if total:
        await trail.as_role(connection, "keys rewrap", keks.newest)
    return total


@contextlib.asynccontextmanager
async def _ledger(dsn: str, name: str) -> AsyncIterator[tuple[Connection, LedgerView]]:
    connection = await asyncpg.connect(dsn)
    try:
        view = await ledgers.find(connection, name)
        if view is None:
            fail(f'there is no ledger "{name}"')
        yield connection, view
    finally:
        await connection.close()


def _as_json(one: Kept) -> dict[str, Any]:
    slot = one.key.slot
    alive = one.key.body is not None
    return {
        "purpose": slot.purpose.value,
        "epoch": slot.epoch,
        "kek": one.key.kek,
        "ageSeconds": int(one.age),
        "alive": alive,
    }
