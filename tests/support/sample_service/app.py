"""A small HTTP service whose errors and latency are set by its environment, with metrics for Prometheus.

A program of its own, standard library only: it runs in an image without the rest of the repository. Nothing changes its
behaviour while it runs; a new behaviour is a new version, as with real software.

    VERSION     told in each answer and in the header x-sample-version
    ERROR_RATE  share of requests that are answered 500, such as 0.03; they carry the header x-sample-injected
    SLOW_RATE   share of requests that are answered DELAY_MS late
    DELAY_MS    in milliseconds
    PORT        default 8080

With LOAD it needs no clients: each second its counters grow by a minute of requests that nobody sent, of which
ERROR_RATE fail in the mean, but more in one minute and fewer in another.

    LOAD        requests in such a minute
    NOISE       sigma of the log-normal noise on the error rate, drawn for every minute anew
    SEED        of that noise; pods with different host names have different noise
"""

import asyncio
import bisect
import itertools
import json
import math
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DRAIN_SECONDS = 2.0
"""How long after SIGTERM requests are still served: clients learn of the end by `connection: close`, not by refusal."""
LAST_SECONDS = 10.0
"""How long after SIGTERM requests that are under way may take at most."""
MAX_REQUEST_BYTES = 65536
REASONS = {200: "OK", 400: "Bad Request", 500: "Internal Server Error"}
TRACK = "x-chaffinch-track"


@dataclass(frozen=True)
class Behaviour:
    """What this version of the service is like."""

    version: str = "dev"
    error_rate: float = 0.0
    slow_rate: float = 0.0
    delay_seconds: float = 0.0
    load: int = 0
    """Requests in each virtual minute."""
    noise: float = 0.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Behaviour":
        """Read it; ValueError names the variable."""
        return cls(
            version=environ.get("VERSION", "dev"),
            error_rate=_number(environ, "ERROR_RATE", 1.0),
            slow_rate=_number(environ, "SLOW_RATE", 1.0),
            delay_seconds=_number(environ, "DELAY_MS", 60_000.0) / 1000,
            load=int(_number(environ, "LOAD", 100_000.0)),
            noise=_number(environ, "NOISE", 3.0),
        )


def _number(environ: Mapping[str, str], name: str, most: float) -> float:
    text = environ.get(name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise ValueError(f"{name}={text}: use a number from 0 to {most:g}")
    return value


@dataclass
class Metrics:
    """Counters of answered requests; /metrics and /healthz are not among them."""

    by_code: dict[int, int] = field(default_factory=lambda: {200: 0, 500: 0})
    by_bucket: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def observe(self, code: int, seconds: float) -> None:
        """Count one answer."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
        self.by_bucket[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def add(self, bad: int, total: int) -> None:
        """Count so many quick answers at once."""
        self.by_code[500] = self.by_code.get(500, 0) + bad
        self.by_code[200] = self.by_code.get(200, 0) + total - bad
        self.by_bucket[0] += total

    def text(self) -> str:
        """The text format of Prometheus; both codes are there from the start, so the first error is seen as a rise."""
        bounds = [*(f"{b:g}" for b in BUCKETS), "+Inf"]
        buckets = zip(bounds, itertools.accumulate(self.by_bucket), strict=True)
        name = "http_request_duration_seconds"
        lines = [
            "# TYPE http_requests_total counter",
            *(f'http_requests_total{{code="{code}"}} {count}' for code, count in sorted(self.by_code.items())),
            f"# TYPE {name} histogram",
            *(f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in buckets),
            f"{name}_sum {self.seconds:.6f}",
            f"{name}_count {sum(self.by_bucket)}",
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Request:
    """What is needed of a request."""

    path: str
    track: str
    keep_alive: bool
    length: int


def parse(head: bytes) -> Request | None:
    """Read the head of a request; None when it is no HTTP/1.1."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    pairs = (line.partition(":") for line in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = headers.get("content-length", "0")
    if not length.isdigit() or "transfer-encoding" in headers:
        return None
    return Request(
        words[1].partition("?")[0],
        headers.get(TRACK, ""),
        headers.get("connection", "").lower() != "close",
        int(length),
    )


class Service:
    """Behaviour and counters, shared by all connections."""

    def __init__(self, behaviour: Behaviour, chance: Callable[[], float] = random.random) -> None:
        self.behaviour = behaviour
        self.metrics = Metrics()
        self.ending = False
        self.connections: set[Connection] = set()
        self._chance = chance

    def draw(self) -> tuple[int, float]:
        """Status and delay of one request."""
        code = 500 if self._chance() < self.behaviour.error_rate else 200
        slow = self._chance() < self.behaviour.slow_rate
        return code, self.behaviour.delay_seconds if slow else 0.0

    def answer(self, request: Request, code: int) -> bytes:
        """Head and body of an answer of the service itself."""
        version = self.behaviour.version
        body = json.dumps({"version": version, "track": request.track, "ok": code == 200}).encode() + b"\n"
        headers = {"content-type": "application/json", "x-sample-version": version}
        if request.track:
            headers[TRACK] = request.track
        if code == 500:
            headers["x-sample-injected"] = "error"
        return self.render(code, headers, body, keep_alive=request.keep_alive)

    def render(self, code: int, headers: Mapping[str, str], body: bytes, *, keep_alive: bool) -> bytes:
        """One answer in one piece: head and body in two segments would cost 40 ms (Nagle and delayed ACK)."""
        connection = "keep-alive" if keep_alive and not self.ending else "close"
        rest = {**headers, "content-length": str(len(body)), "connection": connection}
        lines = "".join(f"{name}: {value}\r\n" for name, value in rest.items())
        return f"HTTP/1.1 {code} {REASONS[code]}\r\n{lines}\r\n".encode("latin-1") + body


class Connection(asyncio.Protocol):
    """One client; one request at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._later: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._later is None and not self._received

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it, so that it can be closed at the end."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left; what it waited for is dropped."""
        self._service.connections.discard(self)
        if self._later is not None:
            self._later.cancel()

    def data_received(self, data: bytes) -> None:
        """Take it in, and answer when a request is complete."""
        self._received += data
        self._next()

    def close(self) -> None:
        """End the connection after what was written."""
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        if self._later is not None:
            return
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > MAX_REQUEST_BYTES:
                self._refuse()
            return
        request = parse(bytes(self._received[:end]))
        if request is None or request.length > MAX_REQUEST_BYTES:
            self._refuse()
        elif len(self._received) >= end + 4 + request.length:
            del self._received[: end + 4 + request.length]
            self._take(request)

    def _take(self, request: Request) -> None:
        if request.path == "/healthz":
            self._write(request, self._plain(b"ok\n", request))
        elif request.path == "/metrics":
            self._write(request, self._plain(self._service.metrics.text().encode(), request))
        else:
            self._serve(request)

    def _serve(self, request: Request) -> None:
        code, delay = self._service.draw()
        started = time.perf_counter()
        if delay > 0:
            self._later = asyncio.get_running_loop().call_later(delay, self._finish, request, code, started)
        else:
            self._finish(request, code, started)

    def _finish(self, request: Request, code: int, started: float) -> None:
        self._later = None
        self._service.metrics.observe(code, time.perf_counter() - started)
        self._write(request, self._service.answer(request, code))

    def _plain(self, body: bytes, request: Request) -> bytes:
        headers = {"content-type": "text/plain; version=0.0.4"}
        return self._service.render(200, headers, body, keep_alive=request.keep_alive)

    def _refuse(self) -> None:
        assert self._transport is not None
        self._received.clear()
        self._transport.write(self._service.render(400, {}, b"", keep_alive=False))
        self.close()

    def _write(self, request: Request, answer: bytes) -> None:
        assert self._transport is not None
        self._transport.write(answer)
        if not request.keep_alive or self._service.ending:
            self.close()
        elif self._received:
            asyncio.get_running_loop().call_soon(self._next)


def virtual_minute(behaviour: Behaviour, chance: random.Random) -> int:
    """How many of a minute's requests are bad: independent given the minute, whose error rate is noisy."""
    mood = math.exp(behaviour.noise * chance.gauss(0.0, 1.0) - behaviour.noise**2 / 2)
    rate = behaviour.error_rate * mood
    return sum(chance.random() < rate for _ in range(behaviour.load))


async def pass_minutes(service: Service, chance: random.Random, second: float = 1.0) -> None:
    """A virtual minute each second; what a slow machine missed is made up for."""
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        due += second
        await asyncio.sleep(due - clock())
        service.metrics.add(virtual_minute(service.behaviour, chance), service.behaviour.load)


async def listen(service: Service, host: str, port: int) -> asyncio.Server:
    """Start to serve."""
    return await asyncio.get_running_loop().create_server(lambda: Connection(service), host, port, backlog=512)


async def drain(service: Service, seconds: float) -> None:
    """Serve on, each answer with `connection: close`, then end the connections that nobody uses."""
    clock = asyncio.get_running_loop().time
    last = clock() + LAST_SECONDS
    service.ending = True
    await asyncio.sleep(seconds)
    while clock() < last and not all(c.idle for c in service.connections):  # noqa: ASYNC110 -- many objects' state
        await asyncio.sleep(0.05)
    for connection in list(service.connections):
        connection.close()


async def main() -> None:
    """Serve until SIGTERM."""
    service = Service(Behaviour.from_env(os.environ))
    terminated = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, terminated.set)
    # "" and not "0.0.0.0": both address families, for clusters of either
    server = await listen(service, "", int(os.environ.get("PORT", "8080")))
    minutes = None
    if service.behaviour.load:
        chance = random.Random(f"{os.environ.get('SEED', '')}/{socket.gethostname()}")
        minutes = asyncio.create_task(pass_minutes(service, chance))
    await terminated.wait()
    await drain(service, DRAIN_SECONDS)
    if minutes is not None:
        minutes.cancel()
    server.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except ValueError as problem:
        sys.exit(str(problem))
