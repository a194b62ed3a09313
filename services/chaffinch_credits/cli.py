"""The command chaffinch-credits: serve, migrate, verify, keys, and dev."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import orjson
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from chaffinch_credits.api import views
from chaffinch_credits.api.bodies import ledger_name, read_assets
from chaffinch_credits.api.keys import BadKeysError, Keys
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.api.sealing import METADATA, ROTATION_SECONDS, Encryption
from chaffinch_credits.api.serve import Ports
from chaffinch_credits.api.serve import serve as serve_until_told
from chaffinch_credits.api.service import Service
from chaffinch_credits.api.targets import Policy
from chaffinch_credits.audit.note import BadNoteError, Signer, Verifier
from chaffinch_credits.audit.verify import Report, verify
from chaffinch_credits.cli_dev import dev
from chaffinch_credits.cli_keys import app as keys_app
from chaffinch_credits.cli_keys import keks_of, rewrap_all
from chaffinch_credits.cli_options import Dsn, DsnFile, KekDir, dsn_of, fail, run
from chaffinch_credits.crypto.fields import BadFieldError, FieldKeys
from chaffinch_credits.ledger.body import SEALED
from chaffinch_credits.store import dek, ledgers, reads, role, trail, verification
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.schema import SCHEMA
from chaffinch_runtime.listening import Tls

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A double-entry credits ledger that can be checked.")
app.add_typer(keys_app, name="keys")
app.command()(dev)
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
CacheUrl = Annotated[
    str, typer.Option(envvar="CHAFFINCH_CREDITS_CACHE_URL", help="Redis or Valkey for reads with max_age, redis://host")
]
Networks = Annotated[
    str,
    typer.Option(
        envvar="CHAFFINCH_CREDITS_WEBHOOK_NETWORKS",
        help="Networks that webhooks may reach beside public addresses, such as 10.1.0.0/16, with commas between them",
    ),
]
KeyRotation = Annotated[
    float, typer.Option(envvar="CHAFFINCH_CREDITS_KEY_ROTATION_SECONDS", help="Life of a key that encrypts metadata")
]
Origin = Annotated[str, typer.Option(envvar="CHAFFINCH_CREDITS_ORIGIN", help="Name of the key and of the trees")]
_NOT_SOUND = 3
_SEALED = b'{"$sealed":true}'


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
    webhook_networks: Networks = "",
    cache_url: CacheUrl = "",
    kek_dir: KekDir = None,
    key_rotation_seconds: KeyRotation = ROTATION_SECONDS,
) -> None:
    """Serve the HTTP API. The schema must be there (migrate)."""
    found, signer, tls = (
        dsn_of(dsn, dsn_file),
        _signer(key_file, origin),
        _tls(tls_cert_file, tls_key_file, tls_client_ca_file),
    )
    try:
        keys = Keys(api_keys_file) if api_keys_file else None
    except (OSError, BadKeysError) as problem:
        fail(f"{api_keys_file}: {problem}")

    if kek_dir is not None:
        keks_of(kek_dir)
    try:
        targets = Policy.parse(webhook_networks)
    except ValueError as problem:
        fail(f"CHAFFINCH_CREDITS_WEBHOOK_NETWORKS: {problem}")
    encryption = Encryption(kek_dir, key_rotation_seconds) if kek_dir is not None else None

    async def work() -> None:
        async with Service(found, signer, encryption=encryption, targets=targets, cache_url=cache_url) as service:
            await serve_until_told(service, Ports(host, port, admin_port), tls, keys)

    run(work())


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
        fail(f"{problem}; write --asset CODE=SCALE, such as --asset USD=2")
    found = dsn_of(dsn, dsn_file)

    async def work() -> LedgerView:
        connection = await asyncpg.connect(found)
        try:
            made = await ledgers.ensure(connection, name, assets)
            await trail.as_role(connection, "ensure", name)
            return made
        finally:
            await connection.close()

    try:
        view = run(work())
    except ValueError as problem:
        fail(str(problem))
    typer.echo(f"ledger {view.name}: {', '.join(f'{code}={scale}' for code, scale in sorted(view.assets.items()))}")


@app.command()
def migrate(
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    service_role: Annotated[
        str, typer.Option(envvar="CHAFFINCH_CREDITS_SERVICE_ROLE", help="Role that may read and append, no more")
    ] = "",
    kek_dir: KekDir = None,
) -> None:
    """Bring the database to this version's schema. Safe to run again, and by several at once.

    With a folder of key-encryption keys, data keys are wrapped by the newest of them (keys rewrap).
    """
    found = dsn_of(dsn, dsn_file)
    keks = keks_of(kek_dir) if kek_dir is not None else None

    async def work() -> int:
        connection = await asyncpg.connect(found)
        try:
            reached = await SCHEMA.migrate(connection)
            if service_role:
                await role.grant(connection, service_role)
            if keks is not None:
                await rewrap_all(connection, keks)
            await trail.as_role(connection, "migrate", f"schema {reached}")
            return reached
        finally:
            await connection.close()

    typer.echo(f"schema {run(work())}")


@app.command()
def keygen(key_file: KeyFile, origin: Origin = "chaffinch-credits") -> None:
    """Make a signing key, and print the verifier key that auditors need."""
    key = Ed25519PrivateKey.generate()
    try:
        with key_file.open("xb") as file:
            key_file.chmod(0o600)
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as problem:
        fail(f"{key_file}: {problem.strerror}")
    typer.echo(str(Signer(origin, key).verifier))


@app.command(name="verify")
def verify_ledger(
    ledger: Annotated[str, typer.Argument(help="Name of the ledger")],
    key: Annotated[str, typer.Option(help="Verifier key, name+id+key, from where you trust it")],
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    anchor: Annotated[list[Path], typer.Option(help="Signed checkpoint kept elsewhere; may be repeated")] = [],  # noqa: B006
    output: Annotated[str, typer.Option("-o", help="text or json")] = "text",
    record: Annotated[bool, typer.Option("--record", help="Write down what was found, for metrics and alerts")] = False,
) -> None:
    """Check all of a ledger's history from its rows. Exit status 3 when something is not as it must be."""
    try:
        verifier, anchors = Verifier.parse(key), [path.read_text() for path in anchor]
    except (BadNoteError, OSError) as problem:
        fail(str(problem))
    report = run(_check(dsn_of(dsn, dsn_file), ledger, verifier, anchors))
    if record:
        run(_record(dsn_of(dsn, dsn_file), ledger, report))
    typer.echo(json.dumps(_as_json(report)) if output == "json" else _as_text(report))
    if not report.sound:
        raise typer.Exit(_NOT_SOUND)


async def _record(dsn: str, name: str, report: Report) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        view = await ledgers.find(connection, name)
        assert view is not None
        await verification.record(connection, view.key, sound=report.sound, entries=report.entries)
    finally:
        await connection.close()


async def _check(dsn: str, name: str, key: Verifier, anchors: list[str]) -> Report:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            view = await ledgers.find(connection, name)
            if view is None:
                fail(f'there is no ledger "{name}"')
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
    ledger: Annotated[str, typer.Argument(help="Name of the ledger")],
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    kek_dir: KekDir = None,
) -> None:
    """Write all entries as JSON Lines, by sequence: one moment of the ledger, while it goes on."""
    keks = keks_of(kek_dir) if kek_dir is not None else None

    async def work() -> None:
        connection = await asyncpg.connect(dsn_of(dsn, dsn_file))
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                view = await ledgers.find(connection, ledger)
                if view is None:
                    fail(f'there is no ledger "{ledger}"')
                keys = dek.opened(view, await dek.kept(connection, view), keks) if keks is not None else None
                metadata = await reads.metadata(connection, view.key)
                names = {n: one.name for n, one in (await reads.standing(connection, view.key)).items()}
                async for entry, leaf in reads.history(connection, view.key):
                    said = _plain(entry.id, metadata.get(entry.seq, b""), keys)
                    typer.echo(orjson.dumps(views.exported(entry, names, said, leaf)))
        finally:
            await connection.close()

    run(work())


def _plain(row: UUID, body: bytes, keys: FieldKeys | None) -> bytes:
    """Metadata as it was sent; what cannot be opened says so itself."""
    if not body.startswith(SEALED):
        return body
    try:
        return keys.open(row, METADATA, body) if keys is not None else _SEALED
    except BadFieldError:
        return _SEALED


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


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        fail("TLS needs a certificate and its key: give CHAFFINCH_CREDITS_TLS_CERT_FILE and _TLS_KEY_FILE")
    for file in (cert, key, client_ca):
        if file is not None and not file.is_file():
            fail(f"{file}: no such file")
    return Tls(cert, key, client_ca)


def _signer(key_file: Path, origin: str) -> Signer:
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as problem:
        fail(f"{key_file}: {problem}; make a key with chaffinch-credits keygen")
    if not isinstance(key, Ed25519PrivateKey):
        fail(f"{key_file}: an Ed25519 key is needed; make one with chaffinch-credits keygen")
    return Signer(origin, key)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(app())
