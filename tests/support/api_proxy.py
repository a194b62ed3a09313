"""A door in front of the API server that kills the operator behind it at its writes: fault injection at an edge.

Runs as a program, inside the cluster's network:

    python -m support.api_proxy --upstream https://127.0.0.1:6443 --ca ca.crt --port 7000 --victim pid-file --log file

Every request is passed on as it is. Writes are counted (not those of Leases: they are no step of a flow). Every odd
write kills the process whose id is in the pid file: the 1st, 5th ... before the API server sees it, the 3rd, 7th ...
after it has done it and before the answer is sent. Even ones pass, so that a flow gets on. Each write is one JSON line
in the log.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import ssl
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DROPPED = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_CHUNK = 16 * 1024


class Door:
    """Passes requests on, and kills."""

    def __init__(self, upstream: str, tls: ssl.SSLContext, victim: Path, log: Path, most: int) -> None:
        self._upstream = upstream
        self._tls = tls
        self._victim = victim
        self._log = log
        self._most = most
        self._writes = 0
        self._kills = 0

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        writes = request.method in WRITES and "/leases" not in request.path
        when = self._next() if writes else ""
        if when == "before":
            return self._kill(request, when)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED}
        limits = aiohttp.ClientTimeout(total=None)
        url, body = URL(self._upstream + request.raw_path, encoded=True), await request.read()
        async with (
            aiohttp.ClientSession(auto_decompress=False, timeout=limits) as session,
            session.request(request.method, url, headers=headers, data=body, ssl=self._tls) as answer,
        ):
            if when == "after":
                await answer.read()
                return self._kill(request, when)
            if writes:
                self._note(request, "passed")
            return await self._answer(request, answer)

    def _next(self) -> str:
        self._writes += 1
        if self._kills >= self._most:
            return "passed"
        return {1: "before", 3: "after"}.get(self._writes % 4, "passed")

    def _kill(self, request: web.Request, when: str) -> web.Response:
        self._note(request, when)
        self._kills += 1
        with suppress(ProcessLookupError, ValueError, FileNotFoundError):
            os.kill(int(self._victim.read_text()), signal.SIGKILL)
        return web.Response(status=503)

    def _note(self, request: web.Request, when: str) -> None:
        line = {"write": self._writes, "method": request.method, "path": request.path, "killed": when}
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


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="support.api_proxy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--ca", required=True, type=Path)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--victim", required=True, type=Path, help="file with the process id to kill")
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--most", type=int, default=1000, help="kills at most")
    options = parser.parse_args()
    door = Door(
        options.upstream, ssl.create_default_context(cafile=str(options.ca)), options.victim, options.log, options.most
    )
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", door.pass_on)
    web.run_app(application, host="127.0.0.1", port=options.port, print=None, access_log=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
