"""Port to the API of a shadow service: what it has counted, and that its evaluation is over. Nothing else."""

import json
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from chaffinch_operator.ports.bounded import bounded

MAX_BYTES = 2 * 1024 * 1024


class ShadowServiceError(Exception):
    """The service did not answer, or not as it should; the message says what to look at."""


class ShadowService(Protocol):
    """What the operator needs of a shadow service."""

    async def evaluation(self, address: str, token: str) -> dict[str, Any]:
        """Counts, statistics and verdict. Raises ShadowServiceError."""
        ...

    async def conclude(self, address: str, token: str) -> None:
        """Say that the evaluation is over; may be said again. Raises ShadowServiceError."""
        ...


class HttpShadowService:
    """Adapter over HTTP. Use as `async with`."""

    def __init__(self, *, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def evaluation(self, address: str, token: str) -> dict[str, Any]:
        """Ask GET /v1/evaluation."""
        return await self._ask("GET", f"{address}/v1/evaluation", token)

    async def conclude(self, address: str, token: str) -> None:
        """Ask POST /v1/conclude."""
        await self._ask("POST", f"{address}/v1/conclude", token)

    async def _ask(self, method: str, url: str, token: str) -> dict[str, Any]:
        if self._session is None:
            raise RuntimeError("HttpShadowService is used outside of its `async with`")
        limit = aiohttp.ClientTimeout(total=self._seconds)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._session.request(
                method, url, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                too_large = ShadowServiceError(f"{url}: the answer is larger than {MAX_BYTES // 1024 // 1024} MiB")
                raw = await bounded(response, MAX_BYTES, too_large)
                if response.status != 200:
                    said = raw[:200].decode(errors="replace")
                    raise ShadowServiceError(f"{url} answered HTTP {response.status}: {said}")
                return _object(raw, url)
        except TimeoutError as error:
            raise ShadowServiceError(f"{url} did not answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ShadowServiceError(f"{url}: {error}") from error


def _object(raw: bytes, url: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as problem:
        raise ShadowServiceError(f"{url} answered no JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise ShadowServiceError(f"{url} answered no JSON object")
    return found
