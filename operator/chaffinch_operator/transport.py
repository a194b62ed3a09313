"""Requests to one API server: one connection pool, time limits, retries as far as a request allows them."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from chaffinch_operator import answers
from chaffinch_operator.errors import Conflict, Unavailable
from chaffinch_operator.resources import Resource

Object = dict[str, Any]
Objects = list[Object]

Observe = Callable[[str, str, int, float], None]
"""Called after each request with verb, resource, HTTP status (0: no answer) and seconds."""

REQUEST_SECONDS = 15.0
CONNECT_SECONDS = 5.0
ATTEMPTS = 4
FIRST_DELAY = 0.2
MAX_RETRY_AFTER = 5.0
CLOSING_SECONDS = 0.01
"""TLS connections end a few turns of the loop after they were closed; a loop that stops before leaves them open."""
POOL = 100
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_WRITES = frozenset({"apply", "patch", "create", "delete", "update"})
PLAIN = "application/json"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and as whom we come; for kopf's own client."""

    server: str
    ca_path: str | None
    insecure: bool
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    verb: str
    method: str
    resource: Resource
    path: str
    key: str
    query: Mapping[str, str]
    body: Object | Objects | None = None
    content_type: str = PLAIN
    accept: str = PLAIN
    idempotent: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    """More of them."""


class Transport:
    """Sends what a `Call` says. Use as `async with transport`."""

    def __init__(
        self, load: Callable[[Configuration], Awaitable[None]], attempts: int, seconds: float, observe: Observe | None
    ) -> None:
        self._load = load
        self._attempts = attempts
        self._seconds = seconds
        self._observe = observe
        self._open: ApiClient | None = None
        self.writes: Counter[tuple[str, str]] = Counter()
        """Answered writes by (verb, resource name): at rest it must not grow."""

    async def __aenter__(self) -> Self:
        configuration = Configuration()
        await self._load(configuration)
        configuration.connection_pool_maxsize = POOL
        # aiohttp looks for proxies and for ~/.netrc at every request
        configuration.client_session_kwargs = {"trust_env": any(os.environ.get(name) for name in _PROXIES)}
        self._open = ApiClient(configuration)
        self._open.user_agent = "chaffinch-operator"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            await self._open.close()
            self._open = None
            await asyncio.sleep(CLOSING_SECONDS)

    async def connection(self) -> Connection:
        """Return address and credentials as they are now."""
        configuration = self._client.configuration
        header = await configuration.get_api_key_with_prefix("BearerToken", "authorization")
        return Connection(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            token=header.split(" ", 1)[-1].strip() if header else None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    async def send(self, call: Call) -> tuple[int, Object]:
        """Send, and again after a transient failure as far as the request allows it."""
        limits = aiohttp.ClientTimeout(total=self._seconds, sock_connect=CONNECT_SECONDS)
        for attempt in range(1, self._attempts + 1):
            started = time.monotonic()
            status, delay = 0, FIRST_DELAY * 2 ** (attempt - 1)
            try:
                response = await self.raw(call, limits)
                status, body = response.status, answers.parse(await response.read())
                delay = max(delay, _retry_after(response.headers))
            except (aiohttp.ClientError, OSError) as error:
                unsent = isinstance(error, aiohttp.ClientConnectorError)
                if attempt == self._attempts or not (call.idempotent or unsent):
                    raise Unavailable(f"no answer: {text_of(error)}", call.key) from error
            else:
                self._count(call, status)
                safe = call.idempotent or status in {401, 429}
                if attempt == self._attempts or not (answers.retryable(status, body) and safe):
                    return status, body
            finally:
                self._report(call, status, time.monotonic() - started)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    async def raw(self, call: Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send once; the caller reads and closes the answer."""
        client = self._client
        method, url, headers, body, _ = await client.param_serialize(
            call.method,
            call.path,
            query_params=[(name, text) for name, text in call.query.items() if text],
            header_params={**call.headers, "Content-Type": call.content_type, "Accept": call.accept},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        answer = await client.call_api(method, url, headers, body, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response

    def _count(self, call: Call, status: int) -> None:
        if call.verb in _WRITES and status < 400:
            self.writes[call.verb, call.resource.name] += 1

    def _report(self, call: Call, status: int, seconds: float) -> None:
        if self._observe is not None:
            self._observe(call.verb, call.resource.name, status, seconds)

    @property
    def _client(self) -> ApiClient:
        if self._open is None:
            raise RuntimeError("Kube is used outside of its `async with`")
        return self._open


def success(call: Call, status: int, body: Object) -> Object:
    """Return the body of a success; raise what anything else means, as `answers.error` has it."""
    if 200 <= status < 300:
        return body
    if status == 422 and call.content_type == JSON_PATCH and answers.precondition_failed(body):
        raise Conflict("the object is not as the JSON patch expects: a test or a path failed", call.key)
    raise answers.error(call.resource, status, body, call.key)


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else 0.0


def text_of(error: Exception) -> str:
    """What an error says, or at least what it is."""
    return str(error) or type(error).__name__
