"""Versions of a service, in this process: they block what contains their words, and can misbehave in every way."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


@dataclass
class Version:
    """One version. words: what it blocks; fault: how it misbehaves, or nothing."""

    name: str
    words: tuple[str, ...] = ("attack",)
    fault: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    _runner: web.ServerRunner | None = None
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Listen while the block runs."""
        await self.start()
        try:
            yield self
        finally:
            await self.end()

    async def start(self) -> None:
        """Listen; the port stays the same when it is started again."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._released = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def end(self) -> None:
        """Be away."""
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.headers.get("x-request-id", ""))
        if self.fault == "hang":
            await self._released.wait()
        if self.fault == "flood":
            return await self._flood(request)
        if self.fault == "500":
            return web.Response(status=500)
        if self.fault == "break off":
            return await self._break_off(request)
        text = f"{request.path_qs} {(await request.read()).decode('utf-8', 'replace')}"
        blocked = any(word in text for word in self.words)
        headers = {"x-score": str(sum(text.count(word) for word in self.words)), "x-name": self.name}
        return web.Response(status=403 if blocked else 200, headers=headers)

    async def _flood(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not self._released.is_set():
                await response.write(b"x" * 65536)
        return response

    async def _break_off(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response
