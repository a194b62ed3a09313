"""A real Prometheus that scrapes an exporter of ours every 200 ms, and what to wait for there."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chaffinch_operator.ports.prometheus import HttpPrometheus, ProviderUnreachable

SECONDS = 20.0
POLL = 0.05
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, scrape_native_histograms: true}}
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Exporter(ThreadingHTTPServer):
    """Counters that a test sets."""

    daemon_threads = True
    text = ""
    protobuf = b""
    """Answered to a scraper that takes protobuf, if there is any."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)


class Page(BaseHTTPRequestHandler):
    """The metrics page."""

    server: Exporter

    def do_GET(self) -> None:
        """Answer a scrape."""
        binary = self.server.protobuf if "protobuf" in self.headers.get("Accept", "") else b""
        body = binary or self.server.text.encode()
        self.send_response(200)
        self.send_header("Content-Type", PROTOBUF if binary else "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def start(program: Path, config: Path, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start it; its log stays in the folder."""
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([program, *options], stdout=log, stderr=log)


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so."""
    async with asyncio.timeout(SECONDS):
        while not await look():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(POLL)


async def scraped(prometheus: HttpPrometheus, query: str, value: float) -> datetime:
    """The moment at which the query has the value."""
    moment = [datetime.now(UTC)]

    async def seen() -> bool:
        moment[0] = datetime.now(UTC)
        try:
            found = await prometheus.instant(query, moment[0])
        except ProviderUnreachable:
            return False
        return [s.value for s in found] == [value]

    await until(seen)
    return moment[0]
