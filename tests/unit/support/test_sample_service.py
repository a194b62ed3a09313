"""The sample service, in this process on a free port."""

import asyncio
import math
import random
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.sample_service.app import Behaviour, Service, drain, listen, pass_minutes, virtual_minute

DEADLINE_SECONDS = 10.0


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[int]:
    """The service on a free port."""
    server = await listen(service, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(service.connections):
            connection.close()


async def exchange(port: int, text: bytes, *, answers: int = 1) -> list[tuple[str, str, bytes]]:
    """Send bytes over one connection and read that many answers: status line, headers, body."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text)
        got = []
        for _ in range(answers):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status, _, headers = head.partition("\r\n")
            length = int(headers.lower().partition("content-length: ")[2].partition("\r\n")[0])
            got.append((status, headers, await reader.readexactly(length)))
        writer.close()
        await writer.wait_closed()
        return got


def get(path: str = "/", *headers: str) -> bytes:
    """A request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: shop", *headers, "", ""]).encode()


def never() -> float:
    """Chance that is never below a rate."""
    return 1.0


def always() -> float:
    """Chance that is below any rate."""
    return 0.0


async def test_tells_its_version_and_the_track_that_the_gateway_chose() -> None:
    """Body and headers say who answered."""
    async with serving(Service(Behaviour("v7"), never)) as port:
        [(status, headers, body)] = await exchange(port, get("/", "X-Chaffinch-Track: canary"))
    assert status == "HTTP/1.1 200 OK"
    assert "x-sample-version: v7" in headers
    assert "x-chaffinch-track: canary" in headers
    assert body == b'{"version": "v7", "track": "canary", "ok": true}\n'


async def test_an_injected_error_says_so() -> None:
    """Load generators tell it from an error of the gateway by its header."""
    async with serving(Service(Behaviour("v7", error_rate=0.5), always)) as port:
        [(status, headers, _)] = await exchange(port, get())
    assert status == "HTTP/1.1 500 Internal Server Error"
    assert "x-sample-injected: error" in headers


async def test_errors_come_at_the_rate_that_was_set() -> None:
    """One request in four, with chances spread evenly."""
    chances = iter([0.1, 1.0, 0.3, 1.0, 0.6, 1.0, 0.9, 1.0])
    service = Service(Behaviour("v7", error_rate=0.25), lambda: next(chances))
    async with serving(service) as port:
        got = await exchange(port, get() * 4, answers=4)
    assert [status.split()[1] for status, _, _ in got] == ["500", "200", "200", "200"]
    assert service.metrics.by_code == {200: 3, 500: 1}


async def test_slow_answers_are_late_and_counted_so() -> None:
    """The delay shows in the histogram, not in errors."""
    service = Service(Behaviour("v7", slow_rate=1.0, delay_seconds=0.03), always)
    async with serving(service) as port:
        await exchange(port, get())
    text = service.metrics.text()
    assert 'http_request_duration_seconds_bucket{le="0.025"} 0' in text
    assert 'http_request_duration_seconds_bucket{le="5"} 1' in text
    assert 'http_requests_total{code="200"} 1' in text


async def test_metrics_and_probes_are_not_counted() -> None:
    """The text format is complete, and scrapes do not change it."""
    service = Service(Behaviour("v7"), never)
    async with serving(service) as port:
        await exchange(port, get("/healthz"))
        [(_, headers, first)] = await exchange(port, get("/metrics"))
        [(_, _, second)] = await exchange(port, get("/metrics"))
    assert first == second
    assert "text/plain" in headers
    assert b'http_requests_total{code="500"} 0' in first
    assert b'http_request_duration_seconds_bucket{le="+Inf"} 0' in first
    assert b"http_request_duration_seconds_count 0" in first


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """Also when they arrive in one segment and the first is slow."""
    chances = iter([1.0, 0.0, 1.0, 1.0])
    service = Service(Behaviour("v7", slow_rate=0.5, delay_seconds=0.01), lambda: next(chances))
    async with serving(service) as port:
        got = await exchange(port, get("/", "x-chaffinch-track: a") + get("/", "x-chaffinch-track: b"), answers=2)
    assert [b'"a"' in body for _, _, body in got] == [True, False]


async def test_a_body_is_read_and_ignored() -> None:
    """POST with a body is one request, not two."""
    service = Service(Behaviour("v7"), never)
    async with serving(service) as port:
        post = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello"
        got = await exchange(port, post + get(), answers=2)
    assert [status.split()[1] for status, _, _ in got] == ["200", "200"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ],
    ids=["no HTTP", "chunked body", "negative length"],
)
async def test_what_it_does_not_understand_is_refused(garbage: bytes) -> None:
    """400, and the connection ends."""
    async with serving(Service(Behaviour("v7"), never)) as port:
        [(status, headers, _)] = await exchange(port, garbage)
    assert status == "HTTP/1.1 400 Bad Request"
    assert "connection: close" in headers


async def test_while_it_ends_it_serves_and_asks_clients_to_go() -> None:
    """After SIGTERM a request that is under way is answered, with `connection: close`."""
    service = Service(Behaviour("v7", slow_rate=1.0, delay_seconds=0.05), always)
    async with serving(service) as port:
        asking = asyncio.create_task(exchange(port, get()))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not any(not c.idle for c in service.connections):  # noqa: ASYNC110 -- bounded
                await asyncio.sleep(0)
            await drain(service, 0.0)
        [(status, headers, _)] = await asking
    assert status == "HTTP/1.1 200 OK"
    assert "connection: close" in headers


def test_behaviour_is_read_from_the_environment() -> None:
    """All four variables."""
    read = Behaviour.from_env({"VERSION": "v2", "ERROR_RATE": "0.03", "SLOW_RATE": "0.3", "DELAY_MS": "400"})
    assert read == Behaviour("v2", 0.03, 0.3, 0.4)


@pytest.mark.parametrize(("name", "value"), [("ERROR_RATE", "3 %"), ("SLOW_RATE", "1.5"), ("DELAY_MS", "-1")])
def test_a_bad_value_is_named(name: str, value: str) -> None:
    """Nobody wants to guess which variable it was."""
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Behaviour.from_env({name: value})


def test_virtual_minutes_are_as_noisy_as_asked() -> None:
    """Mean 10 bad of 1,000, variance that of a Poisson mixed with a log-normal of sigma 0.3: 10 + 100 * 0.094."""
    chance = random.Random(1)
    bad = [virtual_minute(Behaviour(error_rate=0.01, load=1000, noise=0.3), chance) for _ in range(3000)]
    assert statistics.mean(bad) == pytest.approx(10.0, abs=0.4)
    assert statistics.variance(bad) == pytest.approx(10 * 0.99 + 100 * math.expm1(0.09), rel=0.1)


async def test_minutes_pass_without_clients() -> None:
    """Counters grow by whole minutes of requests, bad ones among them, though nobody sends any."""
    service = Service(Behaviour(error_rate=0.5, load=50))
    task = asyncio.create_task(pass_minutes(service, random.Random(2), second=0.001))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while sum(service.metrics.by_code.values()) < 500:  # noqa: ASYNC110 -- a counter has no event
            await asyncio.sleep(0.001)
    task.cancel()
    total, bad = sum(service.metrics.by_code.values()), service.metrics.by_code[500]
    assert total % 50 == 0
    assert 0.3 * total < bad < 0.7 * total
    assert service.metrics.by_bucket[0] == total


def test_load_and_noise_are_read_from_the_environment() -> None:
    """Both are numbers; what is none is refused by name."""
    read = Behaviour.from_env({"ERROR_RATE": "0.01", "LOAD": "1000", "NOISE": "0.3"})
    assert (read.load, read.noise) == (1000, 0.3)
    with pytest.raises(ValueError, match="NOISE=much"):
        Behaviour.from_env({"NOISE": "much"})
