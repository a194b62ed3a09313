"""Port to Prometheus and stores that speak its API: queries at a moment, and ranges for what was before a rollout.

Equal questions of many callers are one request, and so are those that differ only in the values of one label (see
`batches`). No retries here: the next interval asks again.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from chaffinch_operator.ports import prometheus_answers as answers
from chaffinch_operator.ports.batches import Batches, Question, TooLarge
from chaffinch_operator.ports.bounded import bounded
from chaffinch_operator.ports.credentials import NO_CREDENTIALS, Credentials, context
from chaffinch_operator.ports.prometheus_answers import BadQuery, ProviderError, ProviderUnreachable
from chaffinch_operator.ports.queries import Row, Sample, Selector, Stream, Track, millis

__all__ = [
    "BadQuery",
    "HttpPrometheus",
    "Prometheus",
    "PrometheusServers",
    "ProviderError",
    "ProviderUnreachable",
    "Ranges",
    "Sample",
    "Stream",
]

MAX_BYTES = 8 * 1024 * 1024
"""A larger answer is refused: the query is too wide to be one of raw counters by pod."""
_REMEMBERED = 512
Headers = tuple[tuple[str, str], ...]
Observe = Callable[[str], None]
"""Told of every request by its result: ok, bad_query, too_large or unreachable."""


class Ranges(Protocol):
    """What the time before a rollout is read from. Raises ProviderUnreachable or BadQuery."""

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """Evaluate a query at start, start + step, ... up to end."""
        ...


class Prometheus(Ranges, Protocol):
    """What gates need of a metrics store. All raise ProviderUnreachable or BadQuery; moments are aware, in UTC."""

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """Evaluate a query at a moment."""
        ...

    async def raw(
        self, selector: Selector, at: datetime, milliseconds: int, settled: float | None = None
    ) -> list[Track]:
        """Return the raw samples of a selector in the time before a moment; a label of a row is in its series.

        settled: seconds after the moment from which such answers are asked for, where many callers do so.
        """
        ...

    async def newest(
        self, selector: Selector, at: datetime, milliseconds: int = 0, settled: float | None = None
    ) -> list[Sample]:
        """Return the time of the newest sample, in seconds since the epoch, of each series not stale at a moment.

        milliseconds, settled: as in `raw`, where those who asked there may ask this, too.
        """
        ...


class HttpPrometheus:
    """Adapter over HTTP: one session, bounded answers, equal questions asked once."""

    def __init__(
        self,
        address: str,
        *,
        session: aiohttp.ClientSession,
        seconds: float = 10.0,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | bool = True,
        observe: Observe = lambda _: None,
    ) -> None:
        self._url = f"{address.rstrip('/')}/api/v1/query"
        self._range_url = f"{self._url}_range"
        self._address = address
        self._session = session
        self._seconds = seconds
        self._headers = dict(headers or {})
        self._known = "Authorization" in self._headers or isinstance(tls, ssl.SSLContext)
        self._tls = tls
        self._observe = observe
        self._matrices = Batches[Track](self._matrix, lambda q, one: q.selector.row_of(one.labels))
        self._vectors = Batches[Sample](
            self._vector, lambda q, one: q.selector.row_of(one.labels), callers=self._matrices.callers
        )

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """Evaluate a query at a moment; callers that ask the same share one request, failures are not remembered."""
        return await self._vectors.get(Question(Selector(query), millis(at)), ((),))

    async def raw(
        self, selector: Selector, at: datetime, milliseconds: int, settled: float | None = None
    ) -> list[Track]:
        """Samples of a selector; callers that differ in its rows only share requests."""
        window = f"[{milliseconds}ms]"
        question = Question(_rowless(selector), millis(at), after=window, family=window, settled=settled)
        return await self._matrices.get(question, selector.rows)

    async def newest(
        self, selector: Selector, at: datetime, milliseconds: int = 0, settled: float | None = None
    ) -> list[Sample]:
        """Times of the newest samples; callers that differ in the selector's rows only share requests."""
        window = f"[{milliseconds}ms]"
        question = Question(_rowless(selector), millis(at), "timestamp(", ")", family=window, settled=settled)
        return await self._vectors.get(question, selector.rows)

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """Evaluate a query on a grid; asked once before a rollout, so nothing is remembered."""
        times = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        form = {"query": query, **times, "step": f"{step.total_seconds():g}"}
        try:
            return answers.streams(await self._post(self._range_url, form))
        except TooLarge as problem:
            raise BadQuery(str(problem)) from problem

    async def _vector(self, question: Question, rows: Sequence[Row]) -> list[Sample]:
        return answers.vector(await self._data(question, rows))

    async def _matrix(self, question: Question, rows: Sequence[Row]) -> list[Track]:
        return answers.matrix(await self._data(question, rows))

    async def _data(self, question: Question, rows: Sequence[Row]) -> object:
        try:
            return await self._post(self._url, {"query": question.text(rows), "time": _seconds(question.at)})
        except TooLarge as problem:
            if len(rows) == 1:
                raise BadQuery(str(problem)) from problem
            raise

    async def _post(self, url: str, form: Mapping[str, str]) -> object:
        """The `data` of the answer. Raises TooLarge, too."""
        result = "unreachable"
        try:
            data = await self._ask(url, {**form, "timeout": f"{self._seconds:g}s"})
            result = "ok"
        except TooLarge:
            result = "too_large"
            raise
        except BadQuery:
            result = "bad_query"
            raise
        finally:
            self._observe(result)
        return data

    async def _ask(self, url: str, form: Mapping[str, str]) -> object:
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._session.post(
                    url, data=form, headers=self._headers, allow_redirects=False, ssl=self._tls
                ) as response,
            ):
                return answers.read(self._address, response.status, await _bounded(response), self._known)
        except TimeoutError as error:
            raise ProviderUnreachable(f"{self._address} did not answer within {self._seconds:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise ProviderUnreachable(f"{self._address}: its certificate is not trusted: {_why(error)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnreachable(f"{self._address}: {_why(error)}") from error


class PrometheusServers:
    """One adapter per server and credentials, all on one session, open within `async with`."""

    def __init__(self, *, seconds: float = 10.0, observe: Observe = lambda _: None) -> None:
        self._seconds = seconds
        self._observe = observe
        self._session: aiohttp.ClientSession | None = None
        self._adapters: OrderedDict[tuple[str, Credentials, Headers], HttpPrometheus] = OrderedDict()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def get(
        self, address: str, credentials: Credentials = NO_CREDENTIALS, headers: Mapping[str, str] | None = None
    ) -> Prometheus:
        """Return the server at an address, asked with these credentials and headers.

        CredentialsError when the credentials are not what TLS needs.
        """
        if self._session is None:
            raise RuntimeError("PrometheusServers is used outside of its `async with`")
        key = (address, credentials, tuple(sorted((headers or {}).items())))
        if key not in self._adapters:
            own = {"Authorization": credentials.authorization} if credentials.authorization else {}
            self._adapters[key] = HttpPrometheus(
                address,
                session=self._session,
                seconds=self._seconds,
                headers={**(headers or {}), **own},
                tls=context(credentials),
                observe=self._observe,
            )
            while len(self._adapters) > _REMEMBERED:
                self._adapters.popitem(last=False)
        self._adapters.move_to_end(key)
        return self._adapters[key]


def _rowless(selector: Selector) -> Selector:
    return Selector(selector.metric, selector.matchers, selector.labels, ())


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    too_large = TooLarge(f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB: select fewer series")
    return await bounded(response, MAX_BYTES, too_large)
