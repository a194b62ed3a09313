"""A stand-in for Prometheus that serves growing counters of thousands of series, for benches: fast, and it counts.

It understands instant queries of a selector, of its raw samples (`x[90000ms]`), and of `timestamp(x)`. What a selector
matches is found once; an answer is its series' texts with the values of the moments.
"""

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

_QUERY = re.compile(
    r"(?P<newest>timestamp\()?(?P<selector>[^\[\]]*?)(?:\[(?P<milliseconds>\d+)ms\])?(?(newest)\))", re.DOTALL
)
_SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][\w:]*)(?:\{(?P<matchers>.*)\})?", re.DOTALL)
SCRAPE_SECONDS = 15
"""Raw samples lie on multiples of this."""
_MATCHER = re.compile(r'(?P<label>\w+)(?P<operator>=~|!~|!=|=)"(?P<value>(?:[^"\\]|\\.)*)"')
_MOST_BYTES = 16 << 20
_EMPTY = '{"status":"success","data":{"resultType":"matrix","result":[]}}'


@dataclass(frozen=True, slots=True)
class Series:
    """One counter: its labels, `__name__` among them, and by how much it grows in a second."""

    labels: Mapping[str, str]
    rate: float

    @property
    def head(self) -> str:
        """Its text in an answer, but for time and value."""
        return '{"metric":' + json.dumps(dict(self.labels), separators=(",", ":")) + ","


class Counters:
    """The server, in a thread of its own; a context manager."""

    def __init__(self, started: float) -> None:
        """Counters are zero at `started`, seconds since the epoch."""
        self._started = started
        self._by_metric: dict[str, list[Series]] = {}
        self._matched: dict[str, list[tuple[str, float]]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.queries: Counter[str] = Counter()
        """Instant queries by metric."""
        self.ranges = 0
        """Range queries: answered as if there were no history."""
        self.port = 0

    def add(self, series: Iterable[Series]) -> None:
        """More series."""
        for one in series:
            self._by_metric.setdefault(one.labels["__name__"], []).append(one)
        self._matched.clear()

    @property
    def address(self) -> str:
        """Base URL for spec.analysis.provider.prometheus.address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=_MOST_BYTES)
        application.router.add_post("/api/v1/query", self._instant)
        application.router.add_post("/api/v1/query_range", self._range)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def _range(self, _: web.Request) -> web.Response:
        self.ranges += 1
        return web.Response(text=_EMPTY, content_type="application/json")

    async def _instant(self, request: web.Request) -> web.Response:
        form = await request.post()
        query, at = str(form["query"]), float(str(form["time"]))
        asked = _QUERY.fullmatch(query)
        selector = _SELECTOR.fullmatch(asked["selector"]) if asked else None
        if asked is None or selector is None:
            raise web.HTTPBadRequest(text=f"the stand-in does not understand {query[:200]}")
        self.queries[selector["metric"]] += 1
        series = self._match(selector)
        newest = int(at // SCRAPE_SECONDS) * SCRAPE_SECONDS
        if asked["milliseconds"]:
            first = at - int(asked["milliseconds"]) / 1000
            times = range(int(first // SCRAPE_SECONDS + 1) * SCRAPE_SECONDS, newest + 1, SCRAPE_SECONDS)
            rows = [f'{head}"values":[{self._samples(rate, times)}]}}' for head, rate in series]
        elif asked["newest"]:
            rows = [f'{head}"value":[{at},"{newest}"]}}' for head, _ in series]
        else:
            rows = [f'{head}"value":{self._samples(rate, [newest])}}}' for head, rate in series]
        kind = "matrix" if asked["milliseconds"] else "vector"
        text = f'{{"status":"success","data":{{"resultType":"{kind}","result":[{",".join(rows)}]}}}}'
        return web.Response(text=text, content_type="application/json")

    def _samples(self, rate: float, times: Iterable[int]) -> str:
        return ",".join(f'[{t},"{int(rate * max(0.0, t - self._started))}"]' for t in times)

    def _match(self, selector: "re.Match[str]") -> list[tuple[str, float]]:
        if selector[0] not in self._matched:
            matchers = [_matcher(one) for one in _MATCHER.finditer(selector["matchers"] or "")]
            known = self._by_metric.get(selector["metric"], [])
            kept = [s for s in known if all(m.accepts(s.labels) for m in matchers)]
            self._matched[selector[0]] = [(s.head, s.rate) for s in kept]
        return self._matched[selector[0]]


@dataclass(frozen=True, slots=True)
class _Matcher:
    """One label matcher."""

    label: str
    equal: bool
    values: frozenset[str]
    pattern: "re.Pattern[str] | None"

    def accepts(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.label, "")
        return (value in self.values or bool(self.pattern and self.pattern.fullmatch(value))) is self.equal


def _matcher(found: "re.Match[str]") -> _Matcher:
    text, operator = json.loads(f'"{found["value"]}"'), found["operator"]
    equal = operator in {"=", "=~"}
    if operator in {"=", "!="}:
        return _Matcher(found["label"], equal, frozenset({text}), None)
    literal = re.sub(r"\\(.)", r"\1", text)
    if re.search(r"(?<!\\)[.*+?()\[\]{}^$]", text):
        return _Matcher(found["label"], equal, frozenset(), re.compile(text))
    return _Matcher(found["label"], equal, frozenset(literal.split("|")), None)
