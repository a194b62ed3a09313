"""Port to Prometheus and stores that speak its API: instant queries, and ranges for what was before a rollout.

Equal queries of many rollouts at one moment are asked once. No retries here: the next interval asks again.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

import aiohttp

MAX_BYTES = 8 * 1024 * 1024
"""A larger answer is refused: the query is too wide to be one of raw counters by pod."""
_CHUNK = 64 * 1024
_REMEMBERED = 512


class ProviderError(Exception):
    """Root of what can go wrong; `message` is for the condition."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ProviderUnreachable(ProviderError):  # noqa: N818 - the reason's name
    """No answer, or one that says nothing about the query: hold and ask again."""


class BadQuery(ProviderError):  # noqa: N818 - the reason's name
    """Prometheus refused the query, or its result is no instant vector."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float
    """May be NaN or infinite, as Prometheus sent it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One series of a range."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Seconds since the epoch and value, only where there is one."""


class Prometheus(Protocol):
    """What gates need of a metrics store."""

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """Evaluate a query at a moment (aware, UTC). Raises ProviderUnreachable or BadQuery."""
        ...

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """Evaluate a query at start, start + step, ... up to end. Raises ProviderUnreachable or BadQuery."""
        ...


class HttpPrometheus:
    """Adapter over HTTP: one session, bounded answers, equal (query, moment) asked once."""

    def __init__(
        self,
        address: str,
        *,
        session: aiohttp.ClientSession,
        seconds: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url = f"{address.rstrip('/')}/api/v1/query"
        self._range_url = f"{self._url}_range"
        self._address = address
        self._session = session
        self._seconds = seconds
        self._headers = dict(headers or {})
        self._asked: OrderedDict[tuple[str, float], asyncio.Task[list[Sample]]] = OrderedDict()

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """Evaluate a query at a moment; callers that ask the same share one request, failures are not remembered."""
        key = (query, at.timestamp())
        task = self._asked.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(query, at))
            task.add_done_callback(lambda done: self._forget_failure(key, done))
            self._asked[key] = task
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)
        return await asyncio.shield(task)

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """Evaluate a query on a grid; asked once before a rollout, so nothing is remembered."""
        times = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        form = {"query": query, **times, "step": f"{step.total_seconds():g}", "timeout": f"{self._seconds:g}s"}
        return parse_matrix(await self._post(self._range_url, form))

    def _forget_failure(self, key: tuple[str, float], task: asyncio.Task[list[Sample]]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._asked.get(key) is task:
            del self._asked[key]

    async def _ask(self, query: str, at: datetime) -> list[Sample]:
        form = {"query": query, "time": f"{at.timestamp():.3f}", "timeout": f"{self._seconds:g}s"}
        return parse_vector(await self._post(self._url, form))

    async def _post(self, url: str, form: Mapping[str, str]) -> object:
        """The `data` of the answer."""
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._session.post(url, data=form, headers=self._headers, allow_redirects=False) as response,
            ):
                return self._data(response.status, await _bounded(response))
        except TimeoutError as error:
            raise ProviderUnreachable(f"{self._address} did not answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnreachable(f"{self._address}: {error}") from error

    def _data(self, status: int, raw: bytes) -> object:
        if status in {401, 403}:
            raise ProviderUnreachable(
                f"{self._address} wants credentials (HTTP {status}), of which there are none: "
                "allow the operator to ask without, or name a proxy that adds them"
            )
        strange = f"{self._address} answered HTTP {status}, not as Prometheus does: check the address"
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise ProviderUnreachable(strange) from error
        if not isinstance(body, dict) or body.get("status") not in {"success", "error"}:
            raise ProviderUnreachable(strange)
        if body["status"] == "error":
            text = f"{body.get('errorType', 'error')}: {body.get('error', '')}"
            raise BadQuery(text) if status in {400, 422} else ProviderUnreachable(f"{self._address}: {text}")
        return body.get("data")


class PrometheusServers:
    """One adapter per server and credentials, all on one session, open within `async with`."""

    def __init__(self, *, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._adapters: OrderedDict[tuple[str, str], HttpPrometheus] = OrderedDict()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def get(self, address: str, authorization: str = "") -> Prometheus:
        """Return the server at an address; `authorization` is the value of that header, such as "Bearer ..."."""
        if self._session is None:
            raise RuntimeError("PrometheusServers is used outside of its `async with`")
        key = (address, authorization)
        if key not in self._adapters:
            headers = {"Authorization": authorization} if authorization else {}
            self._adapters[key] = HttpPrometheus(address, session=self._session, seconds=self._seconds, headers=headers)
            while len(self._adapters) > _REMEMBERED:
                self._adapters.popitem(last=False)
        return self._adapters[key]


def parse_vector(data: object) -> list[Sample]:
    """Read the `data` of an answer; BadQuery unless it is an instant vector of plain samples."""
    kind = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(data, dict) or kind != "vector":
        raise BadQuery(
            f"the result is a {kind or 'nothing known'}, not an instant vector: "
            "select raw counters, without a range or a scalar"
        )
    try:
        return [Sample(labels=dict(series["metric"]), value=float(series["value"][1])) for series in data["result"]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadQuery("the result has series without a plain value: native histograms are not read") from error


def parse_matrix(data: object) -> list[Stream]:
    """Read the `data` of an answer to a range; BadQuery unless it is a matrix of plain samples."""
    kind = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(data, dict) or kind != "matrix":
        raise BadQuery(f"the result is a {kind or 'nothing known'}, not a matrix: select raw counters")
    try:
        return [
            Stream(labels=dict(series["metric"]), points=tuple((float(at), float(v)) for at, v in series["values"]))
            for series in data["result"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadQuery("the result has series without plain values: native histograms are not read") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        raw += chunk
        if len(raw) > MAX_BYTES:
            raise BadQuery(f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB: select fewer series")
    return bytes(raw)
