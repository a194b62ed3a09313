"""A receiver that listens, and what it handed over."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from chaffinch_operator.receiver import Receiver
from chaffinch_operator.settings import Settings
from chaffinch_operator.webhook import Alert

TOKEN = "a-token-of-good-length"
ALERT = {
    "status": "firing",
    "labels": {"alertname": "CheckoutErrors"},
    "startsAt": "2026-01-31T12:00:00Z",
    "fingerprint": "0123456789abcdef",
}
POST: dict[str, Any] = {"version": "4", "status": "firing", "alerts": [ALERT]}
AT = datetime(2026, 1, 31, 12, 1, tzinfo=UTC)
WAIT_SECONDS = 10.0
HEAD = f"POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"


@dataclass
class Desk:
    """A receiver, and what it handed over."""

    port: int = 0
    put: list[Sequence[Alert]] = field(default_factory=list)
    trouble: Exception | None = None
    hanging: bool = False
    truncated: int = 0
    answered: list[int] = field(default_factory=list)
    receiver: Receiver | None = None

    async def take(self, alerts: Sequence[Alert], at: datetime) -> int:
        """Write alerts, or not."""
        assert at == AT
        if self.hanging:
            await asyncio.Event().wait()
        if self.trouble:
            raise self.trouble
        self.put.append(alerts)
        return len(alerts)

    def cut(self) -> None:
        """Alertmanager left something out."""
        self.truncated += 1

    async def send(
        self, body: bytes | None = None, method: str = "POST", path: str = "/alerts", **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of one request; by default a good one."""
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = io.BytesIO(json.dumps(POST).encode() if body is None else body)
        url = f"http://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=data if method == "POST" else None, headers=given) as answer,
        ):
            return answer.status, await answer.text(), dict(answer.headers)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """A receiver that listens."""
    desk = Desk()
    async with Receiver(
        settings, desk.take, truncated=desk.cut, answered=desk.answered.append, now=lambda: AT
    ) as running:
        desk.port, desk.receiver = running.port, running
        yield desk


async def eventually(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Look until it is so."""
    seen = object()
    async with asyncio.timeout(WAIT_SECONDS):
        while seen != wanted:
            await asyncio.sleep(0.02)
            seen = await look()


async def conversation(port: int, *pieces: bytes, stop: bool = False) -> bytes:
    """All that comes back for these bytes, until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if stop:
            writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
