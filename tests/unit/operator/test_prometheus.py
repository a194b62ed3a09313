"""The port to Prometheus, against servers that answer well, badly or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from chaffinch_operator.ports import batches, prometheus
from chaffinch_operator.ports.credentials import Credentials
from chaffinch_operator.ports.prometheus import BadQuery, HttpPrometheus, PrometheusServers, ProviderUnreachable
from chaffinch_operator.ports.prometheus_answers import matrix, read, vector
from chaffinch_operator.ports.queries import Sample, Selector, Stream, plain

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
    monkeypatch.setattr(batches, "_REMEMBERED", 2)
    for query in ("a", "b", "c", "a"):
        await port.instant(query, AT)
    assert [form["query"] for form in server.asked] == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, BadQuery, "parse error"),
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, BadQuery, "too many samples"),
        (503, {"status": "error", "errorType": "timeout", "error": "late"}, ProviderUnreachable, "late"),
        (401, {}, ProviderUnreachable, "authSecretRef"),
        (404, {"message": "no route"}, ProviderUnreachable, "HTTP 404"),
        (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}, BadQuery, "matrix"),
        (200, {"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}}, BadQuery, "scalar"),
        (200, {"status": "success"}, BadQuery, "instant vector"),
        (200, {**VECTOR, "warnings": ["store away"]}, ProviderUnreachable, "may be incomplete: store away"),
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


def ranged(*values: Any) -> bytes:
    """The answer to a range, with one series of these values."""
    result = [{"metric": {"pod": "web-1"}, "values": list(values)}] if values else []
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


async def on_a_grid(port: HttpPrometheus) -> list[Stream]:
    """A minute in two steps."""
    return await port.range("up", AT, AT + timedelta(minutes=1), timedelta(seconds=30))


async def test_a_range_comes_with_the_moments_of_its_values(port: HttpPrometheus, server: Server) -> None:
    """Whole grid in one request; a moment without a value is not there."""
    server.answer = ranged([1767312000, "1"], [1767312060, "3"])
    assert await on_a_grid(port) == [Stream({"pod": "web-1"}, ((1767312000.0, 1.0), (1767312060.0, 3.0)))]
    times = {"start": "1767312000.000", "end": "1767312060.000", "step": "30", "timeout": "5s"}
    assert server.asked == [{"query": "up", **times}]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (json.dumps(VECTOR).encode(), "a vector, not raw samples"),
        (b'{"status": "success"}', "nothing known, not raw samples"),
        (ranged("odd"), "without plain values"),
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
        secret = servers.get(server.url, Credentials("Bearer t"))
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
        [],
        "x",
        {"metric": {}},
        {"metric": "pod", "value": [1, "1"]},
        {"metric": {"pod": 1}, "value": [1, "1"]},
        {"metric": {}, "value": [1]},
        {"metric": {}, "value": [1, 1]},
        {"metric": {}, "value": [1, "x"]},
        {"metric": {}, "histogram": [1, {}]},
    ],
)
def test_series_without_a_plain_value_are_refused(series: Any) -> None:
    """Native histograms among them."""
    with pytest.raises(BadQuery, match="plain value"):
        vector({"resultType": "vector", "result": [series]})


@pytest.mark.parametrize(
    "series",
    [
        [],
        {"metric": {}},
        {"metric": {}, "values": {}},
        {"metric": {}, "values": [1]},
        {"metric": {}, "values": [[1]]},
        {"metric": {}, "values": [[1, 1]]},
        {"metric": {}, "values": [[1e400, "1"]]},
        {"metric": {"pod": None}, "values": []},
        {"metric": {}, "values": [], "histograms": [[1, {}]]},
    ],
)
def test_series_without_plain_samples_are_refused(series: Any) -> None:
    """Whatever a stranger sends."""
    with pytest.raises(BadQuery, match="plain values"):
        matrix({"resultType": "matrix", "result": [series]})


@pytest.mark.parametrize("result", [None, {}, "x", 1])
def test_a_result_that_is_no_list_is_refused(result: Any) -> None:
    """Of either kind."""
    with pytest.raises(BadQuery):
        vector({"resultType": "vector", "result": result})
    with pytest.raises(BadQuery):
        matrix({"resultType": "matrix", "result": result})


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"\xff\xfe", b"{" * 100, b"[" * 100_000, b'{"status": 1}'])
def test_bytes_that_are_no_answer_name_the_address(raw: bytes) -> None:
    """However wrong they are."""
    with pytest.raises(ProviderUnreachable, match="http://x answered HTTP 200, not as Prometheus does"):
        read("http://x", 200, raw, credentials=False)


# raw samples of many callers

MATRIX = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [
            {"metric": {"namespace": name, "pod": f"{name}-1"}, "values": [[1767312000.25, "42"], [1767312001, "43"]]}
            for name in ("pay", "shop")
        ],
    },
}


def by_namespace(*names: str) -> Selector:
    """Hits of some namespaces."""
    return Selector("hits_total", 'job="web"', ("namespace",), tuple((name,) for name in names))


async def test_raw_samples_are_told_apart_by_the_value_that_was_asked_for(port: HttpPrometheus, server: Server) -> None:
    """Two rollouts, one request; each gets its own series, with times in milliseconds."""
    server.answer = json.dumps(MATRIX).encode()
    pay, shop, none = await asyncio.gather(
        *(port.raw(by_namespace(name), AT, 180_000, 5.0) for name in ("pay", "shop", "a.b"))
    )
    assert [dict(track.labels) for track in (*pay, *shop)] == [
        {"namespace": "pay", "pod": "pay-1"},
        {"namespace": "shop", "pod": "shop-1"},
    ]
    assert (list(pay[0].times), list(pay[0].values)) == ([1767312000250, 1767312001000], [42.0, 43.0])
    assert none == []
    assert [form["query"] for form in server.asked] == ['hits_total{job="web",namespace=~"a\\\\.b|pay|shop"}[180000ms]']


async def test_the_newest_samples_are_asked_for_by_their_time(port: HttpPrometheus, server: Server) -> None:
    """Which series are not stale, and how far they are."""
    server.answer = json.dumps(VECTOR).encode()
    assert (await port.newest(Selector("up"), AT))[0] == Sample({"pod": "web-1"}, 42.0)
    assert server.asked[0]["query"] == "timestamp(up)"


async def test_who_asked_for_raw_samples_is_expected_to_ask_for_the_newest(
    port: HttpPrometheus, server: Server
) -> None:
    """One request for all, whoever finds first that a scrape is missing."""
    server.answer = json.dumps(MATRIX).encode()
    await asyncio.gather(*(port.raw(by_namespace(name), AT, 180_000, 5.0) for name in ("pay", "shop")))
    server.answer = json.dumps(VECTOR).encode()
    later = AT + timedelta(seconds=5)
    for name in ("shop", "pay"):
        await port.newest(by_namespace(name), later, 180_000, 5.0)
    assert [form["query"] for form in server.asked][1:] == ['timestamp(hits_total{job="web",namespace=~"pay|shop"})']


async def test_an_answer_that_is_too_large_for_many_is_asked_for_in_parts(
    port: HttpPrometheus, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is refused where it is too large for one."""
    server.answer = json.dumps(MATRIX).encode()
    monkeypatch.setattr(prometheus, "MAX_BYTES", 10)
    with pytest.raises(BadQuery, match="fewer series"):
        await port.raw(by_namespace("pay", "shop"), AT, 180_000)
    with pytest.raises(BadQuery, match="fewer series"):
        await port.raw(by_namespace("shop"), AT, 180_000)
    assert [form["query"].partition("namespace")[2] for form in server.asked] == [
        '=~"pay|shop"}[180000ms]',
        '="pay"}[180000ms]',
        '="shop"}[180000ms]',
    ]


async def test_every_request_is_counted_by_its_result(server: Server, session: aiohttp.ClientSession) -> None:
    """What a server has to bear, and how it bears it."""
    seen: list[str] = []
    port = HttpPrometheus(server.url, session=session, observe=seen.append)
    await port.instant("up", AT)
    server.answer = b"<html>"
    for query, status in (("a", 200), ("b", 400)):
        server.status = status
        if status == 400:
            server.answer = b'{"status": "error"}'
        with pytest.raises((BadQuery, ProviderUnreachable)):
            await port.instant(query, AT)
    assert seen == ["ok", "unreachable", "bad_query"]


@asynccontextmanager
async def serving(*pieces: bytes, pause: float) -> AsyncIterator[str]:
    """A server that sends these bytes and closes; its address."""
    over = asyncio.Event()

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
        writer.close()
        over.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await over.wait()
    server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "pause", "words"),
    [
        ((), 0.0, "127.0.0.1"),
        ((b"SSH-2.0-OpenSSH\r\n",), 0.0, "127.0.0.1"),
        ((HEAD, b"{"), 0.0, "127.0.0.1"),
        ((HEAD, *(b" " for _ in range(20))), 0.05, "did not answer within 0.5 s"),
    ],
    ids=["closed at once", "another protocol", "half an answer", "a byte at a time"],
)
async def test_connections_that_break_or_drag_on(
    session: aiohttp.ClientSession, pieces: tuple[bytes, ...], pause: float, words: str
) -> None:
    """Each is a server that cannot be asked, by its address."""
    async with serving(*pieces, pause=pause) as address:
        with pytest.raises(ProviderUnreachable, match=words):
            await HttpPrometheus(address, session=session, seconds=0.5).instant("up", AT)


# selectors


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (Selector("up"), "up"),
        (Selector("up", 'job="a",'), 'up{job="a"}'),
        (Selector("up", "", ("ns",), (("a",),)), 'up{ns="a"}'),
        (Selector("up", 'job="a"', ("ns",), (("b",), ("a",), ("b",))), 'up{job="a",ns=~"a|b"}'),
        (Selector("up", "", ("ns",), (('a"b\\',), ("(c+.d)",))), 'up{ns=~"\\\\(c\\\\+\\\\.d\\\\)|a\\"b\\\\\\\\"}'),
        (Selector("up", "", ("ns", "w"), (("a", "x"), ("b", "y"))), 'up{ns=~"a|b",w=~"x|y"}'),
    ],
)
def test_values_are_literal_alternatives(selector: Selector, text: str) -> None:
    """Nothing in a name is a pattern."""
    assert selector.text == text


@pytest.mark.parametrize(
    ("query", "selector"),
    [
        ("up", Selector("up")),
        (" up { } ", Selector("up")),
        ('up{code=~"5..", path!~\'a"}\',}', Selector("up", """code=~"5..", path!~'a"}',""")),
        ('a:b{x="{}\\\\\\""}', Selector("a:b", 'x="{}\\\\\\""')),
        ("up{`quoted.name`=`b`}", Selector("up", "`quoted.name`=`b`")),
    ],
)
def test_a_plain_selector_is_told_from_what_computes(query: str, selector: Selector) -> None:
    """Of it there are raw samples."""
    assert plain(query) == selector


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sum(up)",
        "up offset 1m",
        "up[1m]",
        "up @ 5",
        "up + up",
        "sum by (pod) (up)",
        '{__name__=~"a|b"}',
        "up{a}",
        "up{",
    ],
)
def test_what_computes_is_no_plain_selector(query: str) -> None:
    """Nor is one of several metrics."""
    assert plain(query) is None
