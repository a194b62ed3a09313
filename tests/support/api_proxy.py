"""A door in front of the API server that kills the operator behind it at its writes: fault injection at an edge.

Runs as a program, inside the cluster's network:

    python -m support.api_proxy --upstream https://127.0.0.1:6443 --ca ca.crt --victim pid-file --log file

The port it listens on is its first line of output. Every request is passed on as it is. Writes are counted (not those
of Leases, nor of Events that are there already: they are no step of a flow). Every odd write kills the process whose id
is in the pid file: the 1st, 5th ... before the API server sees it, the 3rd, 7th ... after it has done it and before the
answer is sent. Even ones pass, so that a flow gets on. Each write is one JSON line in the log. Without a pid file
nobody dies and nothing is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DROPPED = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that our client would add of its own."""
_CHUNK = 16 * 1024
_STOP_SECONDS = 10.0


class Door:
    """Passes requests on, and kills."""

    def __init__(self, upstream: str, tls: ssl.SSLContext, victim: Path, log: Path) -> None:
        self._upstream = upstream
        self._tls = tls
        self._victim = victim
        self._log = log
        self._writes = 0
        self._events: set[str] = set()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        body = await request.read() or None
        event = _event(request, body)
        writes = request.method in WRITES and "/leases" not in request.path and event not in self._events
        when = self._next() if writes else ""
        if when == "before":
            return self._kill(request, when)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED}
        limits = aiohttp.ClientTimeout(total=None)
        url = URL(self._upstream + request.raw_path, encoded=True)
        async with (
            aiohttp.ClientSession(auto_decompress=False, timeout=limits, skip_auto_headers=_OWN) as session,
            session.request(request.method, url, headers=headers, data=body, ssl=self._tls) as answer,
        ):
            self._events |= {event} - {""}
            if when == "after":
                await answer.read()
                return self._kill(request, when)
            if writes:
                self._note(request, "passed")
            return await self._answer(request, answer)

    def _next(self) -> str:
        if not self._victim.exists():
            return "passed"
        self._writes += 1
        return {1: "before", 3: "after"}.get(self._writes % 4, "passed")

    def _kill(self, request: web.Request, when: str) -> web.Response:
        self._note(request, when)
        with suppress(ProcessLookupError, ValueError, FileNotFoundError):
            os.kill(int(self._victim.read_text()), signal.SIGKILL)
        return web.Response(status=503)

    def _note(self, request: web.Request, when: str) -> None:
        line = {"at": time.time(), "method": request.method, "path": request.path, "killed": when}
        with self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    async def _answer(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        async for chunk in (
            answer.content.iter_chunked(_CHUNK) if "watch=" not in request.query_string else (answer.content.iter_any())
        ):
            await response.write(chunk)
        await response.write_eof()
        return response


def _event(request: web.Request, body: bytes | None) -> str:
    """Name of the Event that a request makes; empty for all else."""
    if request.method != "POST" or "events.k8s.io" not in request.path or body is None:
        return ""
    meta = json.loads(body)["metadata"]
    return f"{meta['namespace']}/{meta['name']}"


class Proxy:
    """The program, started where `prefix` leads; a context manager. Its end breaks all connections."""

    def __init__(self, upstream: str, authority: str, folder: Path, prefix: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._victim, self._log, self._authority = folder / "victim", folder / "writes", folder / "ca.crt"
        self._authority.write_text(authority)
        self._command = [*prefix, sys.executable, "-m", "support.api_proxy", f"--upstream={upstream}"]
        self._command += [f"--ca={self._authority}", f"--victim={self._victim}", f"--log={self._log}"]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        tests = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=tests,
            env={**os.environ, "PYTHONPATH": str(tests)},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """What to write into a kubeconfig in place of the API server's address."""
        return f"http://127.0.0.1:{self.port}"

    def aim(self, process_id: int) -> None:
        """Whom to kill."""
        self._victim.write_text(str(process_id))

    def spare(self) -> None:
        """Kill nobody any more."""
        self._victim.unlink(missing_ok=True)

    def writes(self) -> list[dict[str, Any]]:
        """All writes so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def stop(self) -> None:
        """End it: whoever is behind it is cut off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


async def _serve(door: Door) -> None:
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", door.pass_on)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="support.api_proxy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--ca", required=True, type=Path)
    parser.add_argument("--victim", required=True, type=Path, help="file with the process id to kill")
    parser.add_argument("--log", required=True, type=Path)
    options = parser.parse_args()
    tls = ssl.create_default_context(cafile=str(options.ca))
    asyncio.run(_serve(Door(options.upstream, tls, options.victim, options.log)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
