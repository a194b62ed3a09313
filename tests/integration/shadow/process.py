"""The real process, configured by its environment, and clients of its ports."""

import asyncio
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

_COMMAND = [sys.executable, "-m", "chaffinch_shadow"]
SECONDS = 30.0


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*_COMMAND, *arguments], check=False, capture_output=True, text=True, env=_environ(settings), timeout=SECONDS
    )


def _environ(settings: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAFFINCH_SHADOW_")}
    return {**kept, **{f"CHAFFINCH_SHADOW_{name}": value for name, value in settings.items()}}


def settings_file(folder: Path, **parts: Any) -> Path:
    """An evaluation's file."""
    found = {"uid": str(uuid4()), "generation": 1, "namespace": "shop", "name": "waf-rules", **parts}
    path = folder / f"evaluation-{found['uid']}.json"
    path.write_text(json.dumps(found))
    return path


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = SECONDS) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"not reached: {what}"
        await asyncio.sleep(0.02)


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any


@dataclass(slots=True)
class Collector:
    """A running collector; `start`, `end` and `kill` may be repeated."""

    environ: dict[str, str]
    ports: dict[str, int]
    session: aiohttp.ClientSession
    log: Path
    running: subprocess.Popen[bytes] | None = None
    token: str = ""
    sent: int = field(default=0)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.running = await asyncio.to_thread(
                lambda: subprocess.Popen([*_COMMAND, "serve"], env=self.environ, stderr=log)
            )
        await until(self._ready, "the collector to be ready")

    async def end(self) -> int:
        """SIGTERM; its exit status."""
        assert self.running is not None
        self.running.terminate()
        return await asyncio.to_thread(self.running.wait, SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        if self.running is not None:
            self.running.kill()
            self.running.wait(SECONDS)

    async def copy(self, target: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> int:
        """Send what a gateway would; underscores are hyphens, and an id is given unless it is."""
        self.sent += 1
        found = {"x-request-id": f"r-{self.sent}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        listed = {name: value for name, value in found.items() if value}
        url = f"http://127.0.0.1:{self.ports['mirror']}{target}"
        async with self.session.request(method, url, data=body or None, headers=listed) as answer:
            assert await answer.read() == b""
            return answer.status

    async def api(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """One question to the API."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = f"http://127.0.0.1:{self.ports['api']}{path}"
        data = None if body is None else io.BytesIO(json.dumps(body).encode())
        kind = {"Content-Type": "application/json"} if data else {}
        async with self.session.request(method, url, data=data, headers={**kind, **sent, **headers}) as answer:
            is_json = "json" in answer.headers.get("Content-Type", "")
            found = await answer.json(content_type=None) if is_json else await answer.text()
            return Answer(answer.status, found, answer.headers)

    async def admin(self, path: str) -> Answer:
        """One question to the admin port."""
        async with self.session.get(f"http://127.0.0.1:{self.ports['admin']}/{path}") as answer:
            return Answer(answer.status, await answer.text(), answer.headers)

    async def settled(self, copies: int) -> dict[str, Any]:
        """The coverage as soon as it accounts for so many copies."""
        found: dict[str, Any] = {}

        async def reached() -> bool:
            answer = await self.api("/v1/coverage")
            found.update(answer.body)
            return answer.status == 200 and int(answer.body["received"]) >= copies

        await until(reached, f"{copies} copies to be accounted for")
        return found

    async def _ready(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, self.log.read_text()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            return (await self.admin("readyz")).status == 200
        return False


@contextlib.asynccontextmanager
async def collecting(folder: Path, dsn: str, evaluation: Path, **settings: str) -> AsyncIterator[Collector]:
    """A collector that is ready; it ends with the block."""
    ports = {name: free_port() for name in ("mirror", "api", "admin")}
    found = {
        "DSN": dsn,
        "EVALUATION": str(evaluation),
        "MIRROR_PORT": str(ports["mirror"]),
        "PORT": str(ports["api"]),
        "ADMIN_PORT": str(ports["admin"]),
        **settings,
    }
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        one = Collector(_environ(found), ports, session, folder / "log")
        try:
            await one.start()
            yield one
        finally:
            one.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def dropped(coverage: dict[str, Any]) -> dict[str, int]:
    """Drops by reason."""
    found: dict[str, int] = {}
    for one in coverage["dropped"]:
        found[one["reason"]] = found.get(one["reason"], 0) + int(one["copies"])
    return found
