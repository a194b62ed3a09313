"""Several HTTP servers in one process: they listen together, and end together without losing what is under way."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

DRAIN_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's certificate and key. client_ca: given, clients need a certificate that it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """An ASGI application, and where it listens; tls: None is plain HTTP."""

    application: object
    host: str
    port: int
    tls: Tls | None = None


class _Server(uvicorn.Server):
    """Leaves signals to whoever started it: several servers share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture."""
        yield


async def listen(outer: Sequence[Listener], admin: Listener, ending: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Then `ending` is called, nobody new is let in, what is under way is answered, and the admin port goes last.
    """
    servers = [_Server(_config(one)) for one in outer]
    inner = _Server(_config(admin))

    def end() -> None:
        ending()
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    watching = loop.create_task(inner.serve())
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        inner.should_exit = True
        await watching


def _config(one: Listener) -> uvicorn.Config:
    tls = one.tls
    config = uvicorn.Config(
        one.application,  # type: ignore[arg-type]  # Starlette is an ASGI application
        host=one.host,
        port=one.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config
