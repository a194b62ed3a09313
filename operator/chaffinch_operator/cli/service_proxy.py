"""Prometheus where the person is not: an address inside the cluster is asked through the API server's service proxy.

It takes the right to get services/proxy in that namespace. Other addresses are asked directly.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from chaffinch_operator.cli.failures import DeclinedError
from chaffinch_operator.cli.login import Login, prometheus_at
from chaffinch_operator.cli.world import Cluster
from chaffinch_operator.errors import ChaffinchError, Refused
from chaffinch_operator.ports.prometheus import BadQuery, ProviderUnreachable, Ranges, Stream
from chaffinch_operator.ports.prometheus_answers import streams
from chaffinch_operator.resources import SERVICES

_IN_CLUSTER = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)(\.svc(\.[a-z0-9.-]+)?)?")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where a Service answers."""

    namespace: str
    name: str
    scheme: str
    port: int
    path: str

    @property
    def proxied(self) -> str:
        """As the API server's proxy names it."""
        return f"{self.scheme}:{self.name}:{self.port}"


def service_of(address: str) -> ServiceAddress | None:
    """The Service that an address names, as in http://prometheus.monitoring:9090; None for any other address."""
    url = urlsplit(address)
    match = _IN_CLUSTER.fullmatch(url.hostname or "")
    if match is None or url.scheme not in _PORTS:
        return None
    port = url.port or _PORTS[url.scheme]
    return ServiceAddress(match[2], match[1], url.scheme, port, url.path.rstrip("/"))


class ProxiedPrometheus:
    """The port to Prometheus, by way of the API server."""

    def __init__(self, services: Cluster, where: ServiceAddress, headers: Mapping[str, str]) -> None:
        self._services = services
        self._where = where
        self._headers = headers

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """Evaluate a query on a grid."""
        times = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        form = {"query": query, **times, "step": f"{step.total_seconds():g}"}
        return streams(await self._get("/api/v1/query_range", form))

    async def _get(self, path: str, form: dict[str, str]) -> object:
        where = self._where
        try:
            status, body = await self._services.through_service(
                where.namespace, where.proxied, f"{where.path}{path}", form, self._headers
            )
        except Refused as error:
            raise ProviderUnreachable(
                f"the API server does not let you through to service {where.namespace}/{where.name}: {error.message}"
            ) from error
        except ChaffinchError as error:
            raise ProviderUnreachable(f"service {where.namespace}/{where.name}: {error.message}") from error
        if body.get("status") == "success":
            return body.get("data")
        text = str(body.get("error") or body.get("message") or f"HTTP {status}")
        if status in {400, 422}:
            raise BadQuery(text)
        raise ProviderUnreachable(f"service {where.namespace}/{where.name} answered HTTP {status}: {text}")


@asynccontextmanager
async def open_prometheus(cluster: Cluster | None, asked: Login) -> AsyncIterator[Ranges]:
    """Prometheus: through the API server if it is a Service of the cluster, else directly.

    The API server hands on headers such as a tenant's, but keeps credentials for itself: who needs those is asked
    directly.
    """
    where = service_of(asked.address) if asked.passes_api_server else None
    if cluster is not None and where is not None and await _exists(cluster, where):
        yield ProxiedPrometheus(cluster, where, asked.headers)
        return
    async with prometheus_at(asked) as prometheus:
        yield prometheus


async def _exists(cluster: Cluster, where: ServiceAddress) -> bool:
    """Whether there is such a Service; who may not look is believed to mean it."""
    try:
        return await cluster.get(SERVICES, where.name, where.namespace) is not None
    except Refused:
        return True


def unreachable(problem: ProviderUnreachable, address: str) -> DeclinedError:
    """What to do about it."""
    return DeclinedError(
        f"no traffic could be read from Prometheus at {address}: {problem.message}",
        f"{_forward(address)}name an address that this machine reaches with --prometheus URL (and --token-file or "
        "--header where it wants credentials), or say the traffic by hand: --rps 100 --bad-rate GATE=0.004",
    )


def _forward(address: str) -> str:
    """How to reach a Service of the cluster from here; nothing for another address."""
    where = service_of(address)
    if where is None:
        return ""
    return f"kubectl port-forward -n {where.namespace} service/{where.name} {where.port}, or "
