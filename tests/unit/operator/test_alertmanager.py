"""The port to Alertmanager, against servers that answer well, badly or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from chaffinch_operator.ports import alertmanager
from chaffinch_operator.ports.alertmanager import AlertmanagerError, HttpAlertmanager

ALERT = {
    "status": {"state": "active"},
    "labels": {"alertname": "CheckoutErrors"},
    "startsAt": "2026-01-31T12:00:00.000Z",
    "fingerprint": "0123456789abcdef",
}


@dataclass
class Server:
    """Answers what it is told to, and keeps what it was asked."""

    status: int = 200
    answer: bytes = json.dumps([ALERT]).encode()
    hanging: bool = False
    asked: list[list[tuple[str, str]]] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)
    url: str = ""

    async def alerts(self, request: web.Request) -> web.Response:
        """What fires."""
        self.asked.append(list(request.query.items()))
        self.authorization.append(request.headers.get("Authorization", ""))
        if self.hanging:
            await asyncio.Event().wait()
        return web.Response(status=self.status, body=self.answer, headers={"Location": "/elsewhere"})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on loopback."""
    it, app = Server(), web.Application()
    app.router.add_get("/am/api/v2/alerts", it.alerts)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/am/"
    yield it
    await runner.cleanup()


async def test_it_asks_for_what_fires_and_matches(server: Server, tmp_path: Path) -> None:
    """Not for what is silenced or inhibited; with the token as it is now."""
    token = tmp_path / "token"
    async with HttpAlertmanager(server.url, token_file=str(token)) as port:
        for word in ("one", "two"):
            token.write_text(f"{word}\n")
            (alert,) = await port.active(['severity="critical"', 'alertname=~"C.*"'])
    assert (alert.fingerprint, alert.firing) == ("0123456789abcdef", True)
    assert server.authorization == ["Bearer one", "Bearer two"]
    wanted = {("active", "true"), ("silenced", "false"), ("inhibited", "false"), ("filter", 'severity="critical"')}
    assert wanted | {("filter", 'alertname=~"C.*"')} <= set(server.asked[0])


BAD: dict[str, tuple[int, bytes, str]] = {
    "credentials": (401, b"", "refuses our credentials"),
    "an error": (500, b"on fire", "HTTP 500: on fire"),
    "a redirect": (302, b"", "HTTP 302"),
    "a page": (200, b"<html>", "not as Alertmanager does"),
    "something else": (200, b"{}", "not as Alertmanager does"),
    "too much": (200, b" " * (alertmanager.MAX_BYTES + 1), "larger than 8 MiB"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_answer_is_named(server: Server, name: str) -> None:
    """With the address, so that people know where to look."""
    server.status, server.answer, said = BAD[name]
    async with HttpAlertmanager(server.url) as port:
        with pytest.raises(AlertmanagerError, match=said):
            await port.active([])


async def test_no_answer_is_named(server: Server, tmp_path: Path) -> None:
    """Silence, a closed port, and credentials that are not there."""
    server.hanging = True
    async with HttpAlertmanager(server.url, seconds=0.1) as port:
        with pytest.raises(AlertmanagerError, match=r"did not answer within 0\.1 s"):
            await port.active([])
    async with HttpAlertmanager("http://127.0.0.1:1") as port:
        with pytest.raises(AlertmanagerError, match=r"127\.0\.0\.1:1"):
            await port.active([])
    async with HttpAlertmanager(server.url, token_file=str(tmp_path / "none")) as port:
        with pytest.raises(AlertmanagerError, match="No such file"):
            await port.active([])
