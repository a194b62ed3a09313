"""The command chaffinch-credits: serve, migrate, verify, and keys."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from chaffinch_credits.api.app import create
from chaffinch_credits.api.service import Service
from chaffinch_credits.audit.note import BadNoteError, Signer, Verifier
from chaffinch_credits.audit.verify import Report, verify
from chaffinch_credits.store import ledgers, reads, schema

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A double-entry credits ledger that can be checked.")
Dsn = Annotated[
    str, typer.Option(envvar="CHAFFINCH_CREDITS_DSN", help="PostgreSQL, as postgresql://user@host/database")
]
KeyFile = Annotated[Path, typer.Option(envvar="CHAFFINCH_CREDITS_KEY_FILE", help="Ed25519 key, PEM (see keygen)")]
Origin = Annotated[str, typer.Option(envvar="CHAFFINCH_CREDITS_ORIGIN", help="Name of the key and of the trees")]
_NOT_SOUND, _TROUBLE = 3, 1


@app.command()
def serve(
    dsn: Dsn,
    key_file: KeyFile,
    origin: Origin = "chaffinch-credits",
    host: str = "127.0.0.1",
    port: int = 8080,
) -> None:
    """Serve the HTTP API. The schema must be there (migrate)."""

    async def run() -> None:
        async with Service(dsn, _signer(key_file, origin)) as service:
            config = uvicorn.Config(create(service), host=host, port=port, log_level="warning", access_log=False)
            await uvicorn.Server(config).serve()

    _run(run())


@app.command()
def migrate(dsn: Dsn) -> None:
    """Bring the database to this version's schema. Safe to run again, and by several at once."""

    async def run() -> int:
        connection = await asyncpg.connect(dsn)
        try:
            return await schema.migrate(connection)
        finally:
            await connection.close()

    typer.echo(f"schema {_run(run())}")


@app.command()
def keygen(key_file: KeyFile, origin: Origin = "chaffinch-credits") -> None:
    """Make a signing key, and print the verifier key that auditors need."""
    key = Ed25519PrivateKey.generate()
    try:
        with key_file.open("xb") as file:
            key_file.chmod(0o600)
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as problem:
        _fail(f"{key_file}: {problem.strerror}")
    typer.echo(str(Signer(origin, key).verifier))


@app.command(name="verify")
def verify_ledger(
    ledger: Annotated[str, typer.Argument(help="Name of the ledger")],
    dsn: Dsn,
    key: Annotated[str, typer.Option(help="Verifier key, name+id+key, from where you trust it")],
    anchor: Annotated[list[Path], typer.Option(help="Signed checkpoint kept elsewhere; may be repeated")] = [],  # noqa: B006
    output: Annotated[str, typer.Option("-o", help="text or json")] = "text",
) -> None:
    """Check all of a ledger's history from its rows. Exit status 3 when something is not as it must be."""
    try:
        verifier, anchors = Verifier.parse(key), [path.read_text() for path in anchor]
    except (BadNoteError, OSError) as problem:
        _fail(str(problem))
    report = _run(_check(dsn, ledger, verifier, anchors))
    typer.echo(json.dumps(_as_json(report)) if output == "json" else _as_text(report))
    if not report.sound:
        raise typer.Exit(_NOT_SOUND)


async def _check(dsn: str, name: str, key: Verifier, anchors: list[str]) -> Report:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            view = await ledgers.find(connection, name)
            if view is None:
                _fail(f'there is no ledger "{name}"')
            rows = [row async for row in reads.history(connection, view.key)]
            blocks, notes = await reads.blocks(connection, view.key), await reads.notes(connection, view.key)
    finally:
        await connection.close()
    return verify(view.id, rows, blocks, notes, key, anchors)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "entries": report.entries,
        "blocks": report.blocks,
        "checkpoints": report.checkpoints,
        "root": report.root.hex(),
        "firstBad": report.first_bad,
        "findings": [{"seq": f.seq, "what": f.what} for f in report.findings],
    }


def _as_text(report: Report) -> str:
    counted = f"{report.entries:,} entries, {report.blocks:,} blocks, {report.checkpoints:,} checkpoints"
    if report.sound:
        return f"sound: {counted}; root {report.root.hex()}"
    first = f"; first bad entry: {report.first_bad}" if report.first_bad else ""
    return "\n".join([f"NOT SOUND: {counted}{first}", *(f"  {f.what}" for f in report.findings)])


def _signer(key_file: Path, origin: str) -> Signer:
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as problem:
        _fail(f"{key_file}: {problem}; make a key with chaffinch-credits keygen")
    if not isinstance(key, Ed25519PrivateKey):
        _fail(f"{key_file}: an Ed25519 key is needed; make one with chaffinch-credits keygen")
    return Signer(origin, key)


def _run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the work gives
    try:
        return asyncio.run(work)
    except (schema.SchemaError, OSError, asyncpg.PostgresError) as problem:
        _fail(str(problem))


def _fail(message: str) -> NoReturn:
    typer.echo(f"chaffinch-credits: {message}", err=True)
    raise typer.Exit(_TROUBLE)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(app())
