"""Puts together what receives alerts, asks for them and writes them down. Runs in every replica, leader or not."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import structlog

from chaffinch_operator.canary.inbox import Inbox
from chaffinch_operator.canary.poll import Poller
from chaffinch_operator.kube import Kube
from chaffinch_operator.metrics import Metrics
from chaffinch_operator.ports.alertmanager import HttpAlertmanager
from chaffinch_operator.receiver import Receiver
from chaffinch_operator.runtime import Key, Runtime, alerts_in
from chaffinch_operator.settings import Settings

_log = structlog.get_logger("chaffinch.alerts")


class Alerting:
    """Receives while it is entered; asks while `poll` runs."""

    def __init__(self, settings: Settings, kube: Kube, metrics: Metrics) -> None:
        self._settings = settings
        self._runtime: Runtime | None = None
        self._open = AsyncExitStack()
        inbox = Inbox(kube, settings.watch_namespaces, self._written, metrics.alert_recorded)
        self._receiver = Receiver(settings, inbox.put, truncated=self._truncated, answered=metrics.alert_post)
        self._server = HttpAlertmanager(
            settings.alertmanager_url,
            token_file=settings.alertmanager_token_file,
            ca_file=settings.alertmanager_ca_file,
        )
        self._poller = Poller(
            inbox, self._server, period_seconds=settings.alertmanager_seconds, now=lambda: datetime.now(UTC)
        )

    @property
    def state(self) -> str:
        """Whether alerts are received and asked for, for people."""
        asked = self._settings.alertmanager_url
        return f"{self._receiver.state}; {f'{asked} is asked' if asked else 'no Alertmanager is asked'}"

    def lead(self, runtime: Runtime) -> None:
        """From now on this process acts on alerts."""
        self._runtime = runtime
        self._poller.lead()

    async def poll(self) -> None:
        """Ask Alertmanager for ever, if there is one to ask."""
        if self._settings.alertmanager_url:
            await self._poller.run()
        await asyncio.Event().wait()

    def _written(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        if self._runtime is not None:
            self._runtime.alerts_written(Key(namespace, name), alerts_in(status))

    def _truncated(self) -> None:
        if self._settings.alertmanager_url:
            self._poller.nudge()
        else:
            _log.warning("alerts_truncated", error="set CHAFFINCH_ALERTMANAGER_URL to have the others asked for")

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self._server)
        await self._open.enter_async_context(self._receiver)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()
