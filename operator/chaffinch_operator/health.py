"""HTTP endpoints of the operator: /healthz, /readyz and /metrics. They only report; nothing here steers.

/healthz of the leader fails when renewals of its Lease no longer come back through a watch: then the process hears
nothing of the cluster, however alive it looks. A standby is healthy while its event loop answers.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from chaffinch_operator import metrics
from chaffinch_operator.settings import Settings

SILENCE_FACTOR = 2.0
"""A leader that has not seen its renewals for this many lease times is unhealthy."""


class Health:
    """What the endpoints say."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._silence = settings.lease_seconds * SILENCE_FACTOR
        self._clock = clock
        self._leading = False
        self._seen_at = 0.0
        self._waiting: dict[str, str] = {}
        self._notes: dict[str, Callable[[], str]] = {}

    def lead(self, *waiting: str) -> None:
        """Become leader: ready once everything that is waited for is `ready`."""
        self._leading = True
        self._waiting = dict.fromkeys(waiting, "not checked yet") | self._waiting
        self.renewal_seen()

    def renewal_seen(self) -> None:
        """Say that a renewal of our Lease came back through the watch."""
        self._seen_at = self._clock()

    def ready(self, name: str) -> None:
        """Say that something is as it should be."""
        self._waiting.pop(name, None)

    def not_ready(self, name: str, why: str) -> None:
        """Say that something is missing."""
        self._waiting[name] = why

    def note(self, name: str, tell: Callable[[], str]) -> None:
        """Have `/readyz?verbose` tell of something that readiness does not depend on."""
        self._notes[name] = tell

    def notes(self) -> str:
        """A line for each note."""
        return "".join(f"{name}: {tell()}\n" for name, tell in sorted(self._notes.items()))

    def live(self) -> str:
        """Empty when alive, else the reason."""
        silent = self._clock() - self._seen_at
        if self._leading and silent > self._silence:
            return f"no renewal of the Lease came back through its watch for {silent:.0f} s"
        return ""

    def readiness(self) -> str:
        """Empty when ready, else what is missing. A standby is ready."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self._waiting.items())) if self._leading else ""

    @property
    def role(self) -> str:
        """Leader or standby."""
        return "leader" if self._leading else "standby"


class HealthServer:
    """Serves the endpoints; `port` is the one in use."""

    def __init__(self, health: Health, measures: metrics.Metrics, settings: Settings) -> None:
        self._health = health
        self._metrics = measures
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics_page),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.http_host or None, self._settings.http_port).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return self._answer(self._health.live())

    async def _readyz(self, request: web.Request) -> web.Response:
        return self._answer(self._health.readiness(), self._health.notes() if "verbose" in request.query else "")

    async def _metrics_page(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._metrics.render)  # seconds of work with ten thousand rollouts
        return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})

    def _answer(self, trouble: str, notes: str = "") -> web.Response:
        text = f"{self._health.role}: {trouble or 'ok'}\n{notes}"
        return web.Response(status=503 if trouble else 200, text=text)
