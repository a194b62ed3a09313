"""Port to Alertmanager's API: the alerts that are active now, for what its webhook may have missed. Nothing else."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from chaffinch_operator import webhook
from chaffinch_operator.ports.bounded import bounded
from chaffinch_operator.webhook import Alert

MAX_BYTES = 8 * 1024 * 1024
_ONLY_ACTIVE = (("active", "true"), ("silenced", "false"), ("inhibited", "false"), ("unprocessed", "false"))


class AlertmanagerError(Exception):
    """Alertmanager did not answer, or not as it should; the message says what to look at."""


class Alertmanager(Protocol):
    """What the operator needs of Alertmanager."""

    async def active(self, matchers: Sequence[str]) -> tuple[Alert, ...]:
        """Alerts that fire, are not silenced or inhibited, and meet all matchers. Raises AlertmanagerError."""
        ...


class HttpAlertmanager:
    """Adapter over HTTP. Use as `async with`; the token is read anew for every request."""

    def __init__(self, url: str, *, token_file: str = "", ca_file: str = "", seconds: float = 10.0) -> None:
        self._address = url.rstrip("/")
        self._token_file = token_file
        self._ca_file = ca_file
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

    async def active(self, matchers: Sequence[str]) -> tuple[Alert, ...]:
        """Ask GET /api/v2/alerts; Alertmanager itself compares the matchers."""
        if self._session is None:
            raise RuntimeError("HttpAlertmanager is used outside of its `async with`")
        query = [*_ONLY_ACTIVE, *(("filter", matcher) for matcher in matchers)]
        limit = aiohttp.ClientTimeout(total=self._seconds)
        try:
            async with self._session.get(
                f"{self._address}/api/v2/alerts",
                params=query,
                headers=self._headers(),
                ssl=self._trust(),
                timeout=limit,
                allow_redirects=False,
            ) as response:
                return self._read(response.status, await _bounded(response))
        except TimeoutError as error:
            raise AlertmanagerError(f"{self._address} did not answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise AlertmanagerError(f"{self._address}: {error}") from error

    def _headers(self) -> dict[str, str]:
        if not self._token_file:
            return {}
        return {"Authorization": f"Bearer {Path(self._token_file).read_text(errors='replace').strip()}"}

    def _trust(self) -> ssl.SSLContext | bool:
        return ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True

    def _read(self, status: int, raw: bytes) -> tuple[Alert, ...]:
        if status in {401, 403}:
            raise AlertmanagerError(f"{self._address} refuses our credentials (HTTP {status})")
        if status != 200:
            raise AlertmanagerError(f"{self._address} answered HTTP {status}: {raw[:200].decode(errors='replace')}")
        try:
            return webhook.active(raw)
        except (webhook.MalformedError, webhook.TooManyError) as error:
            raise AlertmanagerError(f"{self._address} answered not as Alertmanager does: {error}") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    too_large = AlertmanagerError(f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return await bounded(response, MAX_BYTES, too_large)
