"""A client that costs little: raw HTTP/1.1 over keep-alive connections, in a process of its own.

    python -m perf.credits.load < PLAN.json > RESULT.json

Closed loop: each connection sends its next request when the last is answered. Open loop: requests fall due at a rate,
whoever is free sends them, and latency counts from when they fell due, so that waiting is not left out.
"""

import asyncio
import gc
import json
import os
import random
import sys
import time
from bisect import bisect
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Any, cast

import uvloop

MOST_BEHIND = 2_000
"""Requests of an open loop that may be due and unsent; more are dropped, and counted."""
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send.

    Attributes:
        port: of the service on this host.
        seconds: how long to measure, after `warm` seconds that are not.
        connections: in parallel.
        accounts: a1 to aN, of which pairs are drawn.
        zipf: exponent of the draw; 0 is uniform.
        hot: every transfer goes to account 1.
        each: transfers in one request; 1 is a single POST, more a batch.
        rate: requests a second of an open loop; 0 is a closed one.
        reads: read balances instead.

    """

    port: int
    seconds: float
    connections: int = 64
    accounts: int = 10_000
    zipf: float = 0.0
    hot: bool = False
    each: int = 1
    rate: float = 0.0
    warm: float = 1.0
    reads: bool = False
    seed: int = 1


def pairs(plan: Plan) -> Iterator[tuple[int, int]]:
    """Numbers of a debit and a credit account, which differ."""
    draw = random.Random(plan.seed)
    if plan.zipf:
        weights = list(accumulate(1.0 / n**plan.zipf for n in range(1, plan.accounts + 1)))

        def one() -> int:
            return bisect(weights, draw.random() * weights[-1]) + 1
    else:

        def one() -> int:
            return int(draw.random() * plan.accounts) + 1

    while True:
        debit, credit = one(), 1 if plan.hot else one()
        if debit != credit:
            yield debit, credit


def requests(plan: Plan) -> Iterator[bytes]:
    """HTTP requests, as they go over the wire."""
    drawn = pairs(plan)
    head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    while True:
        if plan.reads:
            yield f"GET /v1/ledgers/shop/accounts/a{next(drawn)[0]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            continue
        said = [f'"id":"{uuid7()}","debit":"a{d}","credit":"a{c}","amount":"1"' for d, c in _take(drawn, plan.each)]
        if plan.each == 1:
            path, body = "transfers", f"{{{said[0]}}}"
        else:
            listed = ",".join(f'{{"type":"transfer",{one}}}' for one in said)
            path, body = "requests:batch", f'{{"requests":[{listed}]}}'
        yield f"POST /v1/ledgers/shop/{path} HTTP/1.1\r\n{head}{len(body)}\r\n\r\n{body}".encode()


def _take(drawn: Iterator[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    return [next(drawn) for _ in range(count)]


def uuid7() -> str:
    """Version 7: the milliseconds, then chance. Ids in order of time are what indexes like best."""
    text = f"{int(time.time() * 1000):012x}{os.urandom(9).hex()}"
    return f"{text[:8]}-{text[8:12]}-7{text[12:15]}-8{text[15:18]}-{text[18:30]}"


@dataclass(slots=True)
class Book:
    """What came back: latencies in seconds, answers by status, what was dropped."""

    until: float
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    dropped: int = 0
    counting: bool = False

    def note(self, status: int, seconds: float) -> None:
        """One answer."""
        if self.counting:
            self.latencies.append(seconds)
            self.statuses[status] += 1


class Connection(asyncio.Protocol):
    """One keep-alive connection; `free` is called when it has nothing under way."""

    def __init__(self, book: Book, free: Callable[["Connection"], None]) -> None:
        self._book, self._free = book, free
        self._buffer, self._since = b"", 0.0
        self.status = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, since: float) -> None:
        """One request; since: what its latency counts from."""
        self._since = since
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Part of an answer, or all of it."""
        self._buffer += data
        end = self._buffer.find(_END)
        if end < 0:
            return
        at = self._buffer.index(_LENGTH) + len(_LENGTH)
        length = int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) < end + len(_END) + length:
            return
        self.status = int(self._buffer[9:12])
        self._buffer = b""
        self._book.note(self.status, time.perf_counter() - self._since)
        self._free(self)


async def run(plan: Plan) -> dict[str, Any]:
    """Send for the time of the plan; what came back."""
    loop, source = asyncio.get_running_loop(), requests(plan)
    book = Book(time.perf_counter() + plan.warm + plan.seconds)
    idle: deque[Connection] = deque()
    due: deque[float] = deque()

    def closed(connection: Connection) -> None:
        now = time.perf_counter()
        if now < book.until:
            connection.send(next(source), now)

    def opened(connection: Connection) -> None:
        if due:
            connection.send(next(source), due.popleft())
        else:
            idle.append(connection)

    free = opened if plan.rate else closed
    made = [
        await loop.create_connection(lambda: Connection(book, free), "127.0.0.1", plan.port)
        for _ in range(plan.connections)
    ]
    for _, connection in made:
        free(connection)
    loop.call_later(plan.warm, _begin, book)
    if plan.rate:
        await _offer(plan, book, due, idle, opened)
    else:
        await asyncio.sleep(plan.warm + plan.seconds)
    used = time.process_time()
    book.counting = False
    await asyncio.sleep(0.3)
    for transport, _ in made:
        transport.close()
    return summary(plan, book, used)


def _begin(book: Book) -> None:
    gc.freeze()
    book.counting = True


async def _offer(
    plan: Plan, book: Book, due: deque[float], idle: deque[Connection], opened: Callable[[Connection], None]
) -> None:
    """Let requests fall due at their times, whatever becomes of those before."""
    at = time.perf_counter()
    while at < book.until:
        now = time.perf_counter()
        while at <= now:
            if len(due) < MOST_BEHIND:
                due.append(at)
            elif book.counting:
                book.dropped += 1
            at += 1.0 / plan.rate
        while due and idle:
            opened(idle.popleft())
        await asyncio.sleep(max(0.0, at - time.perf_counter()))


def summary(plan: Plan, book: Book, used: float) -> dict[str, Any]:
    """Rates in transfers (or reads) a second, latencies in milliseconds, and what the client cost."""
    good = sum(count for status, count in book.statuses.items() if status < 300)
    ordered = sorted(book.latencies)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 3) if ordered else 0.0

    return {
        "plan": {name: value for name, value in asdict(plan).items() if name != "port"},
        "perSecond": round(good * plan.each / plan.seconds, 1),
        "milliseconds": {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "most": at(1.0)},
        "statuses": {str(status): count for status, count in sorted(book.statuses.items())},
        "dropped": book.dropped,
        "clientCores": round(used / (plan.warm + plan.seconds), 3),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(Plan(**json.load(sys.stdin))))))
