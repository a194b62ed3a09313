"""Ask Alertmanager for what its webhook may have missed: after a start, after a truncated post, and now and then.

Only rollouts under way that listen to alerts are asked for. What is found is taken like a post.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from chaffinch_operator.canary.inbox import Inbox
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.ports.alertmanager import Alertmanager, AlertmanagerError

RETRY_SECONDS = 5.0
_log = structlog.get_logger("chaffinch.alerts")


class Poller:
    """Asks when it is nudged, and at a period while this process leads."""

    def __init__(
        self, inbox: Inbox, server: Alertmanager, *, period_seconds: float, now: Callable[[], datetime]
    ) -> None:
        self._inbox = inbox
        self._server = server
        self._period = period_seconds
        self._now = now
        self._nudged = asyncio.Event()
        self._leading = False
        self._complaint = ""

    def nudge(self) -> None:
        """Ask soon."""
        self._nudged.set()

    def lead(self) -> None:
        """Ask now, and then at the period: what fired while nobody led may have been told to nobody."""
        self._leading = True
        self.nudge()

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self._until_due()
            self._nudged.clear()
            if not await self.ask():
                self._nudged.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def ask(self) -> bool:
        """Ask once; False when that failed, which is logged once."""
        try:
            found = {}
            for matchers in await self._inbox.wanted():
                for alert in await self._server.active(matchers):
                    found[alert.fingerprint, alert.starts_at] = alert
            await self._inbox.put(tuple(found.values()), self._now())
        except (AlertmanagerError, ChaffinchError) as error:
            if str(error) != self._complaint:
                _log.warning("alertmanager_not_asked", error=str(error))
            self._complaint = str(error)
            return False
        if self._complaint:
            _log.info("alertmanager_answers_again")
        self._complaint = ""
        return True

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(self._period if self._leading else None):
                await self._nudged.wait()
        except TimeoutError:
            return
