"""The command chaffinch-credits dev: the whole service on an embedded PostgreSQL, for trying it out."""

import asyncio
import contextlib
import fcntl
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chaffinch_credits import embedded
from chaffinch_credits.api.keys import Keys
from chaffinch_credits.api.serve import Ports
from chaffinch_credits.api.serve import serve as serve_until_told
from chaffinch_credits.api.service import Service
from chaffinch_credits.audit.note import Signer
from chaffinch_credits.cli_options import fail, run
from chaffinch_credits.embedded import Embedded, EmbeddedError
from chaffinch_credits.store import ledgers
from chaffinch_credits.store.schema import SCHEMA

LEDGER = "demo"
_ORIGIN = "chaffinch-credits-dev"
_ASSETS = {"CREDIT": 0, "USD": 2}
_FIRST = {
    "requests": [
        {"type": "open", "id": "0190b1f2-0000-7000-8000-000000000001", "account": "bank", "asset": "CREDIT",
         "allow_negative": True},
        {"type": "open", "id": "0190b1f2-0000-7000-8000-000000000002", "account": "alice", "asset": "CREDIT"},
        {"type": "transfer", "id": "0190b1f2-0000-7000-8000-000000000003", "debit": "bank", "credit": "alice",
         "amount": "100"},
    ]
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Desktop:
    """What is kept in the folder beside the data."""

    key: str
    signer: Signer
    keys: Keys


def dev(
    folder: Annotated[Path, typer.Option(help="Where data and keys are kept")] = Path(".chaffinch-credits"),
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The API")] = 8080,
    admin_port: Annotated[int, typer.Option(help="/healthz, /readyz, /metrics")] = 9090,
) -> None:
    """Serve a ledger on an embedded PostgreSQL, with nothing to install: for trying it out, not for real credits.

    Says where it listens, an API key and a first request. Ctrl-C ends all of it; the folder keeps the data.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder):
            run(_serve(folder.resolve(), Ports(host, port, admin_port)))
    except (EmbeddedError, OSError) as problem:
        fail(str(problem))


async def _serve(folder: Path, ports: Ports) -> None:
    desktop = _desktop(folder)
    async with embedded.running(folder) as server:
        await _prepared(server.dsn)
        async with Service(server.dsn, desktop.signer) as service:
            serving = asyncio.create_task(serve_until_told(service, ports, None, desktop.keys))
            typer.echo(_welcome(folder, ports, server, desktop))
            await serving


async def _prepared(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await SCHEMA.migrate(connection)
        await ledgers.ensure(connection, LEDGER, _ASSETS)
    finally:
        await connection.close()


def _desktop(folder: Path) -> Desktop:
    """Keys of the folder, made when there are none."""
    seed, key, keys = folder / "signing-key", folder / "api-key", folder / "keys.json"
    if not keys.exists():
        _write(seed, secrets.token_bytes(32))
        _write(key, secrets.token_urlsafe(32).encode())
        digest = sha256(key.read_bytes()).hexdigest()
        scopes = {"*": ["read", "write", "admin"]}
        _write(keys, json.dumps({"keys": [{"name": "dev", "sha256": digest, "ledgers": scopes}]}).encode())
    signer = Signer(_ORIGIN, Ed25519PrivateKey.from_private_bytes(seed.read_bytes()))
    return Desktop(key.read_text(), signer, Keys(keys))


def _write(file: Path, raw: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(raw)


def _welcome(folder: Path, ports: Ports, server: Embedded, desktop: Desktop) -> str:
    base = f"http://{ports.host}:{ports.api}"
    url, auth = f"{base}/v1/ledgers/{LEDGER}", f"-H 'Authorization: Bearer {desktop.key}'"
    asked = f"-H 'Content-Type: application/json' -d '{json.dumps(_FIRST)}'"
    return "\n".join(
        [
            f"ledger    {url}   (API: {base}/openapi.json)",
            f"key       {desktop.key}",
            f"data      {folder}, PostgreSQL {server.version}: {server.dsn}",
            f"verify    chaffinch-credits verify {LEDGER} --dsn '{server.dsn}' --key '{desktop.signer.verifier}'",
            "",
            "Two accounts and a first transfer, then a balance:",
            f"  curl {url}/requests:batch {auth} {asked}",
            f"  curl {url}/accounts/alice {auth}",
            "",
            "Ctrl-C ends it.",
        ]
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else has the folder meanwhile. EmbeddedError when somebody has."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedError(
                f"{folder} is in use by another chaffinch-credits dev: end it, or take --folder"
            ) from error
        yield
