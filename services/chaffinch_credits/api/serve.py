"""The running process: the API's port, with TLS or without, the admin port, and an end that loses nothing."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from chaffinch_credits.api import admin, app
from chaffinch_credits.api.keys import Keys
from chaffinch_credits.api.service import Service

_DRAIN_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's certificate and key. client_ca: given, clients need a certificate that it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen; admin is plain HTTP."""

    host: str
    api: int
    admin: int


class _Server(uvicorn.Server):
    """Leaves signals to whoever started it: two servers share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture."""
        yield


async def serve(service: Service, ports: Ports, tls: Tls | None, keys: Keys | None) -> None:
    """Serve until SIGTERM or SIGINT. Then: not ready, no new connections, what is under way is answered, end."""
    api = _Server(_config(app.create(service, keys), ports.host, ports.api, tls))
    inner = _Server(_config(admin.create(service), ports.host, ports.admin, None))

    def end() -> None:
        service.draining = True
        api.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    watching = loop.create_task(inner.serve())
    try:
        await api.serve()
    finally:
        inner.should_exit = True
        await watching


def _config(application: object, host: str, port: int, tls: Tls | None) -> uvicorn.Config:
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]  # Starlette is an ASGI application
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config
