"""A running service with an HTTP client, in this process: real sockets, real PostgreSQL."""

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chaffinch_credits.api.app import create
from chaffinch_credits.api.keys import Keys
from chaffinch_credits.api.service import Service
from chaffinch_credits.audit.note import Signer

SIGNER = Signer("ledger.example", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
LEDGER = "/v1/ledgers/shop"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Api:
    """Client of a service."""

    session: aiohttp.ClientSession
    base: str
    metrics: Callable[[], str] = str

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request; path relative to the ledger `shop` unless it begins with /v1."""
        url = self.base + (path if path.startswith("/v1") else f"{LEDGER}/{path}")
        raw = body if isinstance(body, bytes) else None
        async with self.session.request(
            method,
            url,
            json=body if raw is None else None,
            data=None if raw is None else io.BytesIO(raw),
            headers={"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()},
        ) as response:
            text = await response.text()
            is_json = "json" in response.headers.get("Content-Type", "")
            found = await response.json(content_type=None) if is_json else text
            return Answer(response.status, found, response.headers)

    async def post(self, path: str, **fields: Any) -> Answer:
        """A request with an id of its own, unless it has one."""
        return await self.send("POST", path, {"id": str(uuid4()), **fields})

    async def get(self, path: str) -> Answer:
        """Read."""
        return await self.send("GET", path)

    async def raw(self, path: str) -> bytes:
        """The bytes of an answer that is no text."""
        async with self.session.get(f"{self.base}{LEDGER}/{path}") as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def shop(self) -> None:
        """A ledger with a source, and with alice who has 100 credits and bob who has none."""
        await self.send("PUT", LEDGER, {"assets": {"CREDIT": 0, "EUR": 2}})
        await self.post("accounts", account="source", asset="CREDIT", allow_negative=True)
        for name in ("alice", "bob"):
            await self.post("accounts", account=name, asset="CREDIT")
        await self.post("transfers", debit="source", credit="alice", amount="100")


@contextlib.asynccontextmanager
async def serving(dsn: str, keys: Keys | None = None, **options: Any) -> AsyncIterator[Api]:
    """The service on a free port."""
    async with Service(dsn, SIGNER, checkpoint_seconds=0.05, **options) as service:
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(create(service, keys), log_level="warning", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listening]))
        try:
            async with aiohttp.ClientSession() as session:
                base = f"http://127.0.0.1:{listening.getsockname()[1]}"
                yield Api(session, base, lambda: service.metrics.text().decode())
        finally:
            server.should_exit = True
            await task
            listening.close()
