"""The port to Prometheus, against servers that answer well, badly or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from chaffinch_operator.ports import prometheus
from chaffinch_operator.ports.prometheus import (
    BadQuery,
    HttpPrometheus,
    PrometheusServers,
    ProviderUnreachable,
    Sample,
    Stream,
    parse_vector,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
VECTOR = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {"metric": {"pod": "web-1"}, "value": [1767312000, "42"]},
            {"metric": {}, "value": [1767312000, "NaN"]},
        ],
    },
}


@dataclass
class Server:
    """Answers what it is told to, and keeps what it was asked."""

    status: int = 200
    answer: bytes = json.dumps(VECTOR).encode()
    hanging: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)
    url: str = ""

    async def query(self, request: web.Request) -> web.Response:
        """Evaluate nothing."""
        form = await request.post()
        self.asked.append({name: str(value) for name, value in form.items()})
        self.authorization.append(request.headers.get("Authorization", ""))
        if self.hanging:
            await asyncio.Event().wait()
        return web.Response(status=self.status, body=self.answer)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on loopback."""
    it = Server()
    app = web.Application()
    app.router.add_post("/api/v1/query", it.query)
    app.router.add_post("/api/v1/query_range", it.query)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with asyncio.timeout(20):
        yield it
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """One session."""
    async with aiohttp.ClientSession() as it:
        yield it


@pytest.fixture
def port(server: Server, session: aiohttp.ClientSession) -> HttpPrometheus:
    """The port under test."""
    return HttpPrometheus(server.url + "/", session=session, seconds=5)


async def test_samples_come_with_labels_and_values(port: HttpPrometheus, server: Server) -> None:
    """NaN is a value: what it means is for the gates to say."""
    first, second = await port.instant("up", AT)
    assert first == Sample({"pod": "web-1"}, 42.0)
    assert second.value != second.value
    assert server.asked == [{"query": "up", "time": "1767312000.000", "timeout": "5s"}]


async def test_equal_questions_are_asked_once(port: HttpPrometheus, server: Server) -> None:
    """Many rollouts, one request; another moment is another question."""
    await asyncio.gather(*(port.instant("up", AT) for _ in range(20)))
    await port.instant("up", AT)
    assert len(server.asked) == 1
    await port.instant("up", AT.replace(second=1))
    assert len(server.asked) == 2


async def test_failures_are_not_remembered(port: HttpPrometheus, server: Server) -> None:
    """The next one who asks asks anew."""
    server.status, server.answer = 503, b"overloaded"
    with pytest.raises(ProviderUnreachable):
        await port.instant("up", AT)
    server.status, server.answer = 200, json.dumps(VECTOR).encode()
    assert len(await port.instant("up", AT)) == 2


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(port: HttpPrometheus, server: Server) -> None:
    """The shared request goes on."""
    impatient = asyncio.create_task(port.instant("up", AT))
    patient = asyncio.create_task(port.instant("up", AT))
    await asyncio.sleep(0)
    impatient.cancel()
    assert len(await patient) == 2


async def test_memory_is_bounded(port: HttpPrometheus, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old answers are forgotten."""
    monkeypatch.setattr(prometheus, "_REMEMBERED", 2)
    for query in ("a", "b", "c", "a"):
        await port.instant(query, AT)
    assert [form["query"] for form in server.asked] == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, BadQuery, "parse error"),
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, BadQuery, "too many samples"),
        (503, {"status": "error", "errorType": "timeout", "error": "late"}, ProviderUnreachable, "late"),
        (401, {}, ProviderUnreachable, "a proxy that adds them"),
        (404, {"message": "no route"}, ProviderUnreachable, "HTTP 404"),
        (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}, BadQuery, "matrix"),
        (200, {"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}}, BadQuery, "scalar"),
        (200, {"status": "success"}, BadQuery, "instant vector"),
    ],
)
async def test_bad_queries_are_told_from_bad_servers(
    port: HttpPrometheus, server: Server, status: int, body: dict[str, Any], error: type[Exception], text: str
) -> None:
    """The former needs an edit, the latter patience; both messages say of what."""
    server.status, server.answer = status, json.dumps(body).encode()
    with pytest.raises(error, match=text):
        await port.instant("up", AT)


async def test_a_page_that_is_no_prometheus(port: HttpPrometheus, server: Server) -> None:
    """The address is wrong, say."""
    server.answer = b"<html>"
    with pytest.raises(ProviderUnreachable, match="check the address"):
        await port.instant("up", AT)


def matrix(*values: Any) -> bytes:
    """The answer to a range, with one series of these values."""
    result = [{"metric": {"pod": "web-1"}, "values": list(values)}] if values else []
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


async def on_a_grid(port: HttpPrometheus) -> list[Stream]:
    """A minute in two steps."""
    return await port.range("up", AT, AT + timedelta(minutes=1), timedelta(seconds=30))


async def test_a_range_comes_with_the_moments_of_its_values(port: HttpPrometheus, server: Server) -> None:
    """Whole grid in one request; a moment without a value is not there."""
    server.answer = matrix([1767312000, "1"], [1767312060, "3"])
    assert await on_a_grid(port) == [Stream({"pod": "web-1"}, ((1767312000.0, 1.0), (1767312060.0, 3.0)))]
    times = {"start": "1767312000.000", "end": "1767312060.000", "step": "30", "timeout": "5s"}
    assert server.asked == [{"query": "up", **times}]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (json.dumps(VECTOR).encode(), "a vector, not a matrix"),
        (b'{"status": "success"}', "nothing known, not a matrix"),
        (matrix("odd"), "without plain values"),
        (b'{"status": "error", "errorType": "bad_data", "error": "too many points"}', "too many points"),
    ],
)
async def test_what_is_no_range_is_refused(port: HttpPrometheus, server: Server, answer: bytes, text: str) -> None:
    """Nothing is made up."""
    server.status, server.answer = 400 if b"error" in answer else 200, answer
    with pytest.raises(BadQuery, match=text):
        await on_a_grid(port)


async def test_an_endless_answer_is_cut_off(
    port: HttpPrometheus, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that selects the whole store does not fill our memory."""
    monkeypatch.setattr(prometheus, "MAX_BYTES", 10)
    with pytest.raises(BadQuery, match="fewer series"):
        await port.instant("up", AT)


async def test_no_answer_in_time(server: Server, session: aiohttp.ClientSession) -> None:
    """Every query has a limit."""
    server.hanging = True
    with pytest.raises(ProviderUnreachable, match="did not answer"):
        await HttpPrometheus(server.url, session=session, seconds=0.1).instant("up", AT)


async def test_nobody_listening(session: aiohttp.ClientSession) -> None:
    """The message names the address."""
    with pytest.raises(ProviderUnreachable, match=r"127\.0\.0\.1:9"):
        await HttpPrometheus("http://127.0.0.1:9", session=session).instant("up", AT)


async def test_servers_are_shared_by_address_and_credentials(server: Server) -> None:
    """So that equal questions of many rollouts meet."""
    async with PrometheusServers() as servers:
        assert servers.get(server.url) is servers.get(server.url)
        secret = servers.get(server.url, "Bearer t")
        assert secret is not servers.get(server.url)
        await secret.instant("up", AT)
    assert server.authorization == ["Bearer t"]


def test_closed_servers_say_so() -> None:
    """A mistake of ours."""
    with pytest.raises(RuntimeError, match="async with"):
        PrometheusServers().get("http://x")


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"metric": {}},
        {"metric": {}, "value": [1]},
        {"metric": {}, "value": [1, "x"]},
        {"metric": {}, "histogram": [1, {}]},
    ],
)
def test_series_without_a_plain_value_are_refused(series: dict[str, Any]) -> None:
    """Native histograms among them."""
    with pytest.raises(BadQuery, match="plain value"):
        parse_vector({"resultType": "vector", "result": [series]})
