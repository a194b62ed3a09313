"""A stand-in for Prometheus on loopback that answers as it is told: fault injection at the edge of the operator.

Each rollout has an address of its own, `server.address("name")`; `answer` says what every query there is answered
with, also while it is being asked.
"""

import json
import math
import re
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    kind: str = "application/json"


Answer = Callable[[str, float], Reply]
"""From a query and its moment to the reply."""


SCRAPE_SECONDS = 0.5
"""Raw samples lie on multiples of this."""
_RANGE = re.compile(r"(?P<selector>.*)\[(?P<milliseconds>[0-9]+)ms\]", re.DOTALL)
_NEWEST = re.compile(r"timestamp\((?P<selector>.*)\)", re.DOTALL)
Counters = Callable[[str, float], Sequence[tuple[Labels, str]]]
"""From a selector and a moment to the series there are, with their values."""


def counters(known: Counters) -> Answer:
    """Series that are scraped: values at a moment, raw samples of a window, or the times of the newest samples."""

    def answer(query: str, at: float) -> Reply:
        if found := _RANGE.fullmatch(query):
            return data("matrix", _samples(known, found["selector"], at, int(found["milliseconds"]) / 1000))(query, at)
        if found := _NEWEST.fullmatch(query):
            newest = str(math.floor(at / SCRAPE_SECONDS) * SCRAPE_SECONDS)
            rows = [(labels, newest) for labels, _ in known(found["selector"], at)]
        else:
            rows = list(known(query, at))
        return data("vector", [{"metric": dict(labels), "value": [at, value]} for labels, value in rows])(query, at)

    return answer


def _samples(known: Counters, selector: str, at: float, seconds: float) -> list[dict[str, Any]]:
    series: dict[str, dict[str, Any]] = {}
    first, last = math.floor((at - seconds) / SCRAPE_SECONDS) + 1, math.floor(at / SCRAPE_SECONDS)
    for number in range(first, last + 1):
        moment = number * SCRAPE_SECONDS
        for labels, value in known(selector, moment):
            one = series.setdefault(json.dumps(labels, sort_keys=True), {"metric": dict(labels), "values": []})
            one["values"].append([moment, value])
    return list(series.values())


def vector(*samples: tuple[Labels, str]) -> Answer:
    """The same series with the same values, whatever is asked."""
    return counters(lambda _query, _at: samples)


def data(kind: str, result: Any) -> Answer:
    """A successful answer of any type."""
    body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
    return lambda _query, _at: Reply(200, body)


def refused(status: int, kind: str, text: str) -> Answer:
    """An error as Prometheus words it."""
    body = json.dumps({"status": "error", "errorType": kind, "error": text}).encode()
    return lambda _query, _at: Reply(status, body)


def page(status: int) -> Answer:
    """A web page, as proxies and wrong addresses answer."""
    return lambda _query, _at: Reply(status, b"<!DOCTYPE html><html><body>Not here</body></html>", "text/html")


def large(mebibytes: int) -> Answer:
    """More than anybody should read."""
    return lambda _query, _at: Reply(200, b" " * (mebibytes << 20))


def growing(pods: Mapping[str, int], started: float) -> Answer:
    """Counters by pod that grow by so many a second; those of errors (`code` in the query) stay zero."""

    def known(query: str, at: float) -> list[tuple[Labels, str]]:
        seconds = 0.0 if "code" in query else max(0.0, at - started)
        return [({"pod": pod, "instance": pod}, str(int(rate * seconds))) for pod, rate in pods.items()]

    return counters(known)


EMPTY = vector()


class FakePrometheus:
    """The server; a context manager."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        """Requests by name."""
        self.headers: dict[str, str] = {}
        """Of the last request, names in lower case."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def address(self, name: str) -> str:
        """Base URL for spec.analysis.provider.prometheus.address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def answer(self, name: str, answer: Answer) -> None:
        """From now on, queries at this address are answered so."""
        self._answers[name] = answer

    def reply(self, path: str, form: bytes) -> Reply:
        """The reply to a request."""
        name = path.strip("/").partition("/")[0]
        self.asked[name] += 1
        fields = urllib.parse.parse_qs(form.decode())
        answer, query = self._answers.get(name, EMPTY), fields["query"][0]
        if path.endswith("/query_range"):
            return matrix(answer, query, *(float(fields[key][0]) for key in ("start", "end", "step")))
        return answer(query, float(fields.get("time", [str(time.time())])[0]))


def matrix(answer: Answer, query: str, start: float, end: float, step: float) -> Reply:
    """An answer at every point of a grid, put together as query_range does; the first that is no vector as it is."""
    found: dict[str, tuple[Labels, list[Any]]] = {}
    for k in range(int((end - start) / step + 1e-9) + 1):
        at = start + k * step
        reply = answer(query, at)
        told = json.loads(reply.body).get("data") if reply.status == 200 and reply.kind == "application/json" else None
        if told is None or told["resultType"] != "vector":
            return reply
        for series in told["result"]:
            labels = series["metric"]
            found.setdefault(json.dumps(labels, sort_keys=True), (labels, []))[1].append([at, series["value"][1]])
    result = [{"metric": labels, "values": values} for labels, values in found.values()]
    return data("matrix", result)(query, end)


def _handler(server: FakePrometheus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"]))
            server.headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.reply(self.path, form)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            try:
                self.wfile.write(reply.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client had read enough

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    return Handler
