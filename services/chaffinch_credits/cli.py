"""The command chaffinch-credits: serve, migrate, verify, and keys."""

import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import orjson
import typer
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from chaffinch_credits.api import views
from chaffinch_credits.api.bodies import ledger_name, read_assets
from chaffinch_credits.api.keys import BadKeysError, Keys
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.api.serve import Ports
from chaffinch_credits.api.serve import serve as serve_until_told
from chaffinch_credits.api.service import Service
from chaffinch_credits.audit.note import BadNoteError, Signer, Verifier
from chaffinch_credits.audit.verify import Report, verify
from chaffinch_credits.store import ledgers, reads, role, trail
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.schema import SCHEMA
from chaffinch_runtime.listening import Tls
from chaffinch_runtime.migrations import SchemaError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A double-entry credits ledger that can be checked.")
Dsn = Annotated[
    str, typer.Option(envvar="CHAFFINCH_CREDITS_DSN", help="PostgreSQL, as postgresql://user@host/database")
]
DsnFile = Annotated[Path | None, typer.Option(envvar="CHAFFINCH_CREDITS_DSN_FILE", help="A file with the DSN instead")]
KeysFile = Annotated[
    Path | None,
    typer.Option(envvar="CHAFFINCH_CREDITS_API_KEYS_FILE", help="API keys by hash; without, no key is asked"),
]
Cert = Annotated[Path | None, typer.Option(envvar="CHAFFINCH_CREDITS_TLS_CERT_FILE", help="Certificate chain, PEM")]
CertKey = Annotated[Path | None, typer.Option(envvar="CHAFFINCH_CREDITS_TLS_KEY_FILE", help="Its key, PEM")]
ClientCa = Annotated[
    Path | None, typer.Option(envvar="CHAFFINCH_CREDITS_TLS_CLIENT_CA_FILE", help="Clients need a certificate of it")
]
Host = Annotated[str, typer.Option(envvar="CHAFFINCH_CREDITS_HOST", help="Address to listen on")]
Port = Annotated[int, typer.Option(envvar="CHAFFINCH_CREDITS_PORT", help="The API")]
AdminPort = Annotated[
    int, typer.Option(envvar="CHAFFINCH_CREDITS_ADMIN_PORT", help="Plain HTTP: /healthz, /readyz, /metrics")
]
KeyFile = Annotated[Path, typer.Option(envvar="CHAFFINCH_CREDITS_KEY_FILE", help="Ed25519 key, PEM (see keygen)")]
Origin = Annotated[str, typer.Option(envvar="CHAFFINCH_CREDITS_ORIGIN", help="Name of the key and of the trees")]
_NOT_SOUND, _TROUBLE = 3, 1


@app.command()
def serve(
    key_file: KeyFile,
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    origin: Origin = "chaffinch-credits",
    api_keys_file: KeysFile = None,
    tls_cert_file: Cert = None,
    tls_key_file: CertKey = None,
    tls_client_ca_file: ClientCa = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    admin_port: AdminPort = 9090,
) -> None:
    """Serve the HTTP API. The schema must be there (migrate)."""
    found, signer, tls = (
        _dsn(dsn, dsn_file),
        _signer(key_file, origin),
        _tls(tls_cert_file, tls_key_file, tls_client_ca_file),
    )
    try:
        keys = Keys(api_keys_file) if api_keys_file else None
    except (OSError, BadKeysError) as problem:
        _fail(f"{api_keys_file}: {problem}")

    async def run() -> None:
        async with Service(found, signer) as service:
            await serve_until_told(service, Ports(host, port, admin_port), tls, keys)

    _run(run())


@app.command()
def ensure(
    ledger: Annotated[str, typer.Argument(help="Name of the ledger")],
    asset: Annotated[list[str], typer.Option(help="CODE=SCALE, such as USD=2; may be repeated")],
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
) -> None:
    """Make a ledger, or add the assets that it lacks. Safe to run again."""
    try:
        assets = read_assets({"assets": {code: int(scale) for code, _, scale in (one.partition("=") for one in asset)}})
        name = ledger_name(ledger)
    except (Problem, ValueError) as problem:
        _fail(f"{problem}; write --asset CODE=SCALE, such as --asset USD=2")
    found = _dsn(dsn, dsn_file)

    async def run() -> LedgerView:
        connection = await asyncpg.connect(found)
        try:
            made = await ledgers.ensure(connection, name, assets)
            await trail.as_role(connection, "ensure", name)
            return made
        finally:
            await connection.close()

    try:
        view = _run(run())
    except ValueError as problem:
        _fail(str(problem))
    typer.echo(f"ledger {view.name}: {', '.join(f'{code}={scale}' for code, scale in sorted(view.assets.items()))}")


@app.command()
def migrate(
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    service_role: Annotated[
        str, typer.Option(envvar="CHAFFINCH_CREDITS_SERVICE_ROLE", help="Role that may read and append, no more")
    ] = "",
) -> None:
    """Bring the database to this version's schema. Safe to run again, and by several at once."""
    found = _dsn(dsn, dsn_file)

    async def run() -> int:
        connection = await asyncpg.connect(found)
        try:
            reached = await SCHEMA.migrate(connection)
            if service_role:
                await role.grant(connection, service_role)
            await trail.as_role(connection, "migrate", f"schema {reached}")
            return reached
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
    key: Annotated[str, typer.Option(help="Verifier key, name+id+key, from where you trust it")],
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    anchor: Annotated[list[Path], typer.Option(help="Signed checkpoint kept elsewhere; may be repeated")] = [],  # noqa: B006
    output: Annotated[str, typer.Option("-o", help="text or json")] = "text",
) -> None:
    """Check all of a ledger's history from its rows. Exit status 3 when something is not as it must be."""
    try:
        verifier, anchors = Verifier.parse(key), [path.read_text() for path in anchor]
    except (BadNoteError, OSError) as problem:
        _fail(str(problem))
    report = _run(_check(_dsn(dsn, dsn_file), ledger, verifier, anchors))
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
            standing = await reads.standing(connection, view.key)
            metadata = await reads.metadata(connection, view.key)
            holds = await reads.open_holds(connection, view.key)
            lots = await reads.lots(connection, view.key)
    finally:
        await connection.close()
    return verify(view.id, rows, blocks, notes, key, anchors, standing, metadata, holds, lots)


@app.command()
def export(
    ledger: Annotated[str, typer.Argument(help="Name of the ledger")], dsn: Dsn = "", dsn_file: DsnFile = None
) -> None:
    """Write all entries as JSON Lines, by sequence: one moment of the ledger, while it goes on."""
    found = _dsn(dsn, dsn_file)

    async def run() -> None:
        connection = await asyncpg.connect(found)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                view = await ledgers.find(connection, ledger)
                if view is None:
                    _fail(f'there is no ledger "{ledger}"')
                metadata = await reads.metadata(connection, view.key)
                names = {n: one.name for n, one in (await reads.standing(connection, view.key)).items()}
                async for entry, leaf in reads.history(connection, view.key):
                    typer.echo(orjson.dumps(views.exported(entry, names, metadata.get(entry.seq), leaf)))
        finally:
            await connection.close()

    _run(run())


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


def _dsn(dsn: str, file: Path | None) -> str:
    if bool(dsn) == bool(file):
        _fail("give the database once: CHAFFINCH_CREDITS_DSN (--dsn) or CHAFFINCH_CREDITS_DSN_FILE (--dsn-file)")
    try:
        return dsn if file is None else file.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        _fail(f"{file}: {problem}")


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        _fail("TLS needs a certificate and its key: give CHAFFINCH_CREDITS_TLS_CERT_FILE and _TLS_KEY_FILE")
    for file in (cert, key, client_ca):
        if file is not None and not file.is_file():
            _fail(f"{file}: no such file")
    return Tls(cert, key, client_ca)


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
        return uvloop.run(work)
    except (SchemaError, role.RoleError, OSError, asyncpg.PostgresError) as problem:
        _fail(str(problem))


def _fail(message: str) -> NoReturn:
    typer.echo(f"chaffinch-credits: {message}", err=True)
    raise typer.Exit(_TROUBLE)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(app())
