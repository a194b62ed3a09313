"""What we take for granted of Prometheus, held against the real program: the stand-in of other tests answers alike.

A real Prometheus scrapes an exporter of ours every 200 ms. Without its binary (make cluster-build) these are skipped.
"""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaffinch_operator.canary import gates, history, intake, past, readings
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading
from chaffinch_operator.canary.sources import Classes, Naming, Pair
from chaffinch_operator.ports.prometheus import BadQuery, HttpPrometheus, ProviderUnreachable, Sample
from chaffinch_stats import ArmCounts
from cluster.apiserver import free_ports
from cluster.build import Cache
from cluster.config import Config
from support import fake_prometheus
from support.fake_prometheus import FakePrometheus

Object = dict[str, Any]
SECONDS = 20.0
POLL = 0.05
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
PODS = ("web-1-a", "web-canary-x-b")
NAMING = Naming("shop", "web", "web-1-", "web-canary-")


class Exporter(ThreadingHTTPServer):
    """Counters that a test sets."""

    daemon_threads = True
    text = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)


class Page(BaseHTTPRequestHandler):
    """The metrics page."""

    server: Exporter

    def do_GET(self) -> None:
        """Answer a scrape."""
        body = self.server.text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """The exporter, serving."""
    with Exporter() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def address(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus that scrapes the exporter."""
    cache = Cache.of(Config.from_env().cache)
    if not cache.has("prometheus"):
        pytest.skip("no prometheus: make cluster-build")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_ports(1)[0]
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=exporter.server_port))
    process = start(cache.program("prometheus", "prometheus"), config, folder, port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def start(program: Path, config: Path, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start it; its log stays in the folder."""
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([program, *options], stdout=log, stderr=log)


@pytest.fixture
async def prometheus(address: str) -> AsyncIterator[HttpPrometheus]:
    """Our port to it."""
    async with aiohttp.ClientSession() as session:
        yield HttpPrometheus(address, session=session)


@pytest.fixture
async def stand_in() -> AsyncIterator[Callable[[fake_prometheus.Answer], HttpPrometheus]]:
    """Our port to the stand-in, told what to answer."""
    with FakePrometheus() as fake:
        async with aiohttp.ClientSession() as session:

            def port(answer: fake_prometheus.Answer) -> HttpPrometheus:
                fake.answer("web", answer)
                return HttpPrometheus(fake.address("web"), session=session)

            yield port


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


async def test_a_moment_in_the_past_can_be_asked_again(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A query with a time gives what was known then, also when the counter has grown since."""
    exporter.text = "asked_total 3\n"
    then = await scraped(prometheus, "asked_total", 3)
    exporter.text = "asked_total 8\n"
    await scraped(prometheus, "asked_total", 8)
    again = await prometheus.instant("asked_total", then + timedelta(microseconds=1))
    assert [s.value for s in again] == [3]


async def test_a_counter_that_vanished_is_not_told_any_more(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A series that a scrape no longer has goes stale at once, not after five minutes."""
    exporter.text = 'gone_total{pod="web-1-a"} 3\n'
    await scraped(prometheus, "gone_total", 3)
    exporter.text = "other_total 1\n"

    async def gone() -> bool:
        return not await prometheus.instant("gone_total", datetime.now(UTC))

    await until(gone)


def resolved(gate: Object) -> tuple[ResolvedGate, ...]:
    """A gate of a spec, as it is asked."""
    spec = CanaryRolloutSpec.model_validate(
        {
            "targetRef": {"name": "web"},
            "serviceRef": {"name": "web", "port": 80},
            "trafficRouting": {"replicas": {}},
            "analysis": {"gates": [{"name": "gate", **gate}]},
        }
    )
    return gates.resolve(spec, NAMING)


async def test_increments_between_two_readings_are_exact(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """Two instant queries give whole events per arm; a first error is an error, as its instance was known before."""
    gate = resolved({"ratio": {"bad": 'hits_total{code="500"}', "total": "sum by (pod, instance) (hits_total)"}})
    exporter.text = 'hits_total{code="200",pod="web-1-a"} 10\nhits_total{code="200",pod="web-canary-x-b"} 5\n'
    start = await scraped(prometheus, "sum(hits_total)", 15)
    exporter.text = (
        'hits_total{code="200",pod="web-1-a"} 110\nhits_total{code="200",pod="web-canary-x-b"} 25\n'
        'hits_total{code="500",pod="web-canary-x-b"} 2\n'
    )
    end = await scraped(prometheus, "sum(hits_total)", 137)
    (interval,), problem = await readings.read(prometheus, gate, [(start, end)])
    assert problem is None
    (reading,) = interval.gates
    assert (reading.canary, reading.baseline) == (ArmReading(2, 22), ArmReading(0, 100))


async def test_the_threshold_is_found_however_the_boundary_is_spelled(
    exporter: Exporter, prometheus: HttpPrometheus
) -> None:
    """Whether it stores le="250" or le="250.0", a threshold of 250 ms meets it, and one of 300 ms is refused."""
    fields = {"histogram": "took", "unit": "Milliseconds"}
    buckets = (("100", 1), ("250", 4), ("+Inf", 9))
    pages = [
        "".join(f'took_bucket{{pod="{pod}",le="{le}"}} {n * times}\n' for pod in PODS for le, n in buckets)
        for times in (1, 2)
    ]
    moments = []
    for page, count in zip(pages, (9, 18), strict=True):
        exporter.text = page
        moments.append(await scraped(prometheus, 'max(took_bucket{le="+Inf"})', count))
    interval = [(moments[0], moments[1])]
    (met,), _ = await readings.read(prometheus, resolved({"latency": {**fields, "threshold": "250ms"}}), interval)
    assert (met.gates[0].canary, met.gates[0].baseline) == (ArmReading(5, 9), ArmReading(5, 9))
    (missed,), _ = await readings.read(prometheus, resolved({"latency": {**fields, "threshold": "300ms"}}), interval)
    assert missed.gates[0].problem is not None
    assert "only 100, 250" in missed.gates[0].problem.message


REFUSED = {
    "a scalar": ("scalar(vector(1))", fake_prometheus.data("scalar", [0, "1"])),
    "a text": ('"hello"', fake_prometheus.data("string", [0, "hello"])),
    "a range": ("up[1m]", fake_prometheus.data("matrix", [])),
    "no query": ("up{", fake_prometheus.refused(400, "bad_data", "parse error: unexpected end of input")),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_the_stand_in_refuses_as_prometheus_does(
    what: str, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """What is no instant vector is a BadQuery from both, with the same first words."""
    query, answer = REFUSED[what]
    words = []
    for port in (prometheus, stand_in(answer)):
        with pytest.raises(BadQuery) as refusal:
            await port.instant(query, datetime.now(UTC))
        words.append(refusal.value.message.split(":")[0])
    assert words[0] == words[1]


async def test_the_stand_in_answers_a_vector_as_prometheus_does(
    exporter: Exporter, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """Labels and values come the same way from both."""
    exporter.text = 'alike_total{pod="web-1-a"} 7\n'
    at = await scraped(prometheus, "alike_total", 7)
    query = "sum by (pod) (alike_total)"
    real = await prometheus.instant(query, at)
    told = await stand_in(fake_prometheus.vector(({"pod": "web-1-a"}, "7"))).instant(query, at)
    assert real == told == [Sample({"pod": "web-1-a"}, 7.0)]


async def test_the_stand_in_answers_a_range_as_prometheus_does(
    exporter: Exporter, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """A range is the instant answers on its grid: from both, and a moment without a value is left out."""
    query, step = "sum by (pod) (ranged_total)", timedelta(seconds=0.5)
    exporter.text = 'ranged_total{pod="web-1-a"} 2\n'
    start = await scraped(prometheus, query, 2) - 2 * step
    exporter.text = 'ranged_total{pod="web-1-a"} 9\n'
    end = await scraped(prometheus, query, 9)
    grid = [start + k * step for k in range(int((end - start) / step) + 1)]
    told = {at.timestamp(): await prometheus.instant(query, at) for at in grid}

    def remembered(_: str, at: float) -> fake_prometheus.Reply:
        nearest = min(told, key=lambda known: abs(known - at))
        return fake_prometheus.vector(*((s.labels, f"{s.value:g}") for s in told[nearest]))(query, at)

    real = await prometheus.range(query, start, end, step)
    alike = await stand_in(remembered).range(query, start, end, step)
    expected = [(round(at, 3), samples[0].value) for at, samples in told.items() if samples]
    assert 0 < len(expected) < len(grid)
    for streams in (real, alike):
        assert [s.labels for s in streams] == [{"pod": "web-1-a"}]
        assert [(round(at, 3), value) for at, value in streams[0].points] == expected


async def test_the_past_is_read_in_exact_steps(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """Summed by pod in the query, whatever labels there are and however it ends; pods come, and never count at once."""
    source = Pair('past_total{code="500"} # bad', "past_total", NAMING.by_pod)

    def page(a: int, bad: int, b: int | None = None) -> str:
        rows = [("200", "web-1-a", a), ("500", "web-1-a", bad), *([("200", "web-1-b", b)] if b else [])]
        return "".join(f'past_total{{code="{code}",pod="{pod}"}} {value}\n' for code, pod, value in rows)

    pages = (
        'past_total{code="200",pod="web-1-a"} 10\npast_total{code="200",pod="web-2-z"} 1\n',
        page(a=15, bad=2),
        page(a=19, bad=3, b=900),
        page(a=20, bad=3, b=907),
    )
    moments = []
    for text, total in zip(pages, (11, 17, 922, 930), strict=True):
        exporter.text = text
        moments.append(await scraped(prometheus, "sum(past_total)", total))
    step = timedelta(milliseconds=50)
    points = (moments[-1] - moments[0]) // step + 2
    answers = []
    for query in past.queries(source):
        streams = await prometheus.range(query, moments[0], moments[0] + (points - 1) * step, step)
        assert {frozenset(s.labels) - {"instance"} for s in streams} == {frozenset({"pod"})}
        answers.append([history.track(stream, moments[0], step, points) for stream in streams])
    found = past.read(source, answers, step.total_seconds())
    assert found.sum == ArmCounts(3, 20)
    halves = sum(found.halves[1:], start=found.halves[0])
    assert (halves.canary, halves.baseline) == (ArmCounts(3, 13), ArmCounts(0, 7))


async def test_a_range_that_cannot_be_evaluated_is_a_bad_query(prometheus: HttpPrometheus) -> None:
    """So is one of more points than Prometheus gives."""
    now = datetime.now(UTC)
    with pytest.raises(BadQuery, match="parse error"):
        await prometheus.range("up{", now, now, timedelta(seconds=1))
    with pytest.raises(BadQuery, match="maximum resolution"):
        await prometheus.range("up", now - timedelta(days=9), now, timedelta(seconds=1))


async def test_nothing_there_is_no_data_and_no_error(prometheus: HttpPrometheus) -> None:
    """A query that matches nothing is an empty vector: the gate says NoData."""
    now = datetime.now(UTC)
    assert await prometheus.instant("never_heard_of_total", now) == []
    reading = intake.read_classes(
        "errors", Classes("never_heard_of_total", "code", "5", NAMING.by_pod), intake.Reading((), ())
    )
    assert reading.problem is not None
    assert reading.problem.reason is Reason.NO_DATA
