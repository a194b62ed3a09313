"""POST /alerts: Alertmanager's webhook, on a port of its own. It refuses or hands over; others know what alerts mean.

2xx is said only once the alerts are written where a leader acts on them, also after a crash. Otherwise 503, and
Alertmanager delivers again. Before the sender is known nothing of a body is read, and no connection lives long.
"""

import asyncio
import hashlib
import hmac
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from chaffinch_operator import webhook
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.settings import Settings
from chaffinch_operator.webhook import Alert

MAX_BYTES = 1024 * 1024
MAX_CONNECTIONS = 64
MIN_TOKEN = 16
"""Characters; a shorter one could be guessed."""
BODY_SECONDS = 5.0
PUT_SECONDS = 10.0
CONNECTION_SECONDS = 20.0
"""A connection ends after this time whatever it does: slow headers, slow bodies, slow reading of answers."""
LOOK_SECONDS = 5.0
"""How often certificates are looked at."""
RETRY_AFTER = "1"
_QUIET_SECONDS = 60.0
_log = structlog.get_logger("chaffinch.alerts")

Put = Callable[[Sequence[Alert], datetime], Awaitable[int]]
"""Writes what counts; ChaffinchError when not all could be written."""


class Receiver:
    """Serves while it is entered; `port` is the one in use, 0 while it does not listen."""

    def __init__(
        self,
        settings: Settings,
        put: Put,
        *,
        truncated: Callable[[], object] = lambda: None,
        answered: Callable[[int], object] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._put = put
        self._truncated = truncated
        self._answered = answered
        self._now = now
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._files: tuple[object, ...] | None = None
        self._trouble = ""
        self._told: dict[int, float] = {}
        self.port = 0

    @property
    def state(self) -> str:
        """Whether it receives, for people."""
        if not self._settings.alerts_wanted:
            return "off: neither CHAFFINCH_ALERTS_TOKEN_FILE nor CHAFFINCH_ALERTS_CLIENT_CA_FILE is set"
        if trouble := self._trouble or self._token()[1]:
            return f"not received: {trouble}"
        return f"received on port {self.port}"

    async def __aenter__(self) -> Self:
        if self._settings.alerts_wanted:
            app = web.Application(client_max_size=MAX_BYTES)
            app.add_routes([web.post("/alerts", self._alerts)])
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, lingering_time=1.0)
            await self._runner.setup()
            await self._listen()
            self._watch = asyncio.create_task(self._follow_files())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # listening

    async def _follow_files(self) -> None:
        """Certificates are renewed now and then: listen with the new ones."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._stamps() != self._files:
                await self._listen()

    async def _listen(self) -> None:
        self._files = self._stamps()
        try:
            context = self._context()
        except (OSError, ssl.SSLError) as error:
            return self._failed(f"the certificates cannot be used: {error}")
        if self._server is not None:
            self._server.close()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol,
                self._settings.alerts_host or None,
                self.port or self._settings.alerts_port,
                ssl=context,
                ssl_handshake_timeout=BODY_SECONDS if context else None,
            )
        except OSError as error:
            self._files = None
            return self._failed(f"CHAFFINCH_ALERTS_PORT={self._settings.alerts_port}: {error}")
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._trouble = ""
        return None

    def _failed(self, trouble: str) -> None:
        """Go on without: rollouts need the operator more than alerts do. It is tried again."""
        if trouble != self._trouble:
            _log.warning("alerts_not_received", error=trouble)
        self._trouble = trouble

    def _context(self) -> ssl.SSLContext | None:
        its = self._settings
        if not its.alerts_cert_file:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(its.alerts_cert_file, its.alerts_key_file)
        if its.alerts_client_ca_file:
            context.load_verify_locations(cafile=its.alerts_client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _stamps(self) -> tuple[object, ...]:
        its = self._settings
        return tuple(_stamp(name) for name in (its.alerts_cert_file, its.alerts_key_file, its.alerts_client_ca_file))

    def _protocol(self) -> asyncio.BaseProtocol:
        """A connection, with a bound on its life; one too many is ended at once."""
        server = self._runner.server if self._runner else None
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            return _Ended()
        handler = server()

        def end() -> None:
            if handler.transport is not None:
                handler.transport.abort()

        asyncio.get_running_loop().call_later(CONNECTION_SECONDS, end)
        return handler

    # one post

    async def _alerts(self, request: web.Request) -> web.Response:
        at = self._now()
        status, text = self._stranger(request) or self._unusable(request) or (0, "")
        if not status:
            status, text = await self._take(request, at)
        self._answered(status)
        if status != 200:
            self._complain(status, text)
        response = web.Response(status=status, text=f"{text}\n")
        response.force_close()
        if status == 503:
            response.headers["Retry-After"] = RETRY_AFTER
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="chaffinch alerts"'
        return response

    def _stranger(self, request: web.Request) -> tuple[int, str] | None:
        """Why the sender is not believed. With client certificates alone, TLS has told already."""
        if not self._settings.alerts_token_file:
            return None
        token, trouble = self._token()
        if trouble:
            return 503, trouble
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(_digest(given.strip().encode(errors="replace")), _digest(token))
        if scheme.lower() != "bearer" or not same:
            return 401, "the bearer token is missing or wrong"
        return None

    def _unusable(self, request: web.Request) -> tuple[int, str] | None:
        """Why the body is not even read."""
        if request.content_type != "application/json":
            return 415, "Content-Type must be application/json"
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return 415, "Content-Encoding is not understood: send the body as it is"
        if (request.content_length or 0) > MAX_BYTES:
            return 413, _TOO_LARGE
        return None

    async def _take(self, request: web.Request, at: datetime) -> tuple[int, str]:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                raw = await request.read()
            told = webhook.notification(raw)
        except TimeoutError:
            return 408, f"the body did not come within {BODY_SECONDS:g} s"
        except web.HTTPRequestEntityTooLarge:
            return 413, _TOO_LARGE
        except (ConnectionError, web.RequestPayloadError):
            return 400, "the body is not whole"
        except webhook.TooManyError as error:
            return 413, str(error)
        except webhook.MalformedError as error:
            return 400, str(error)
        if told.truncated:
            self._truncated()
        return await self._written(told.alerts, at)

    async def _written(self, alerts: Sequence[Alert], at: datetime) -> tuple[int, str]:
        try:
            async with asyncio.timeout(PUT_SECONDS):
                count = await self._put(alerts, at)
        except TimeoutError:
            return 503, f"not written within {PUT_SECONDS:g} s: deliver again"
        except ChaffinchError as error:
            _log.warning("alerts_not_written", error=str(error))
            return 503, "not written: deliver again"
        return 200, f"{count} new of {len(alerts)}"

    def _complain(self, status: int, text: str) -> None:
        """One line a minute for each kind of refusal: a log must not be filled by strangers."""
        now = time.monotonic()
        if now - self._told.get(status, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[status] = now
            _log.warning("alerts_refused", status=status, error=text)

    def _token(self) -> tuple[bytes, str]:
        """The token as it is now, or why there is none."""
        name = self._settings.alerts_token_file
        if not name:
            return b"", ""
        try:
            token = Path(name).read_bytes().strip()
        except OSError as error:
            return b"", f"CHAFFINCH_ALERTS_TOKEN_FILE={name}: {error.strerror or error}"
        if len(token) < MIN_TOKEN:
            return b"", f"CHAFFINCH_ALERTS_TOKEN_FILE={name}: a token needs {MIN_TOKEN} characters or more"
        return token, ""


_TOO_LARGE = f"the body is larger than {MAX_BYTES // 1024} KiB: set max_alerts in Alertmanager's webhook_configs"


class _Ended(asyncio.Protocol):
    """A connection that is not wanted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it."""
        if isinstance(transport, asyncio.Transport):
            transport.abort()


def _digest(text: bytes) -> bytes:
    """Of one length, so that a comparison tells nothing of the token's."""
    return hashlib.sha256(text).digest()


def _stamp(name: str) -> object:
    try:
        found = Path(name).stat() if name else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
