"""A stand-in for Prometheus that serves growing counters of thousands of series, for benches: fast, and it counts.

It understands vector selectors, bare or within `count by (le) (...)`, and instant queries. What a selector matches is
found once; an answer is its series' texts with the values of the moment.
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

_SELECTOR = re.compile(r"(?P<around>count by \(le\) \()?(?P<metric>[a-zA-Z_:][\w:]*)(?:\{(?P<matchers>.*)\})?\)?")
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
        return '{"metric":' + json.dumps(dict(self.labels), separators=(",", ":")) + ',"value":['


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
        found = _SELECTOR.fullmatch(query)
        if found is None:
            raise web.HTTPBadRequest(text=f"the stand-in does not understand {query[:200]}")
        self.queries[found["metric"]] += 1
        seconds = max(0.0, at - self._started)
        series = ",".join(f'{head}{at},"{int(rate * seconds)}"]}}' for head, rate in self._match(query, found))
        text = f'{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}'
        return web.Response(text=text, content_type="application/json")

    def _match(self, query: str, found: "re.Match[str]") -> list[tuple[str, float]]:
        if query not in self._matched:
            matchers = [_matcher(one) for one in _MATCHER.finditer(found["matchers"] or "")]
            kept = [s for s in self._by_metric.get(found["metric"], []) if all(m.accepts(s.labels) for m in matchers)]
            self._matched[query] = [(s.head, s.rate) for s in kept]
        return self._matched[query]


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
