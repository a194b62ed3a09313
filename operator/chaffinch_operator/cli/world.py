"""What the commands need from outside: a cluster, the time, patience, randomness. Tests hand in their own."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from chaffinch_operator.cli.failures import DeclinedError
from chaffinch_operator.cli.kubeconfig import Place, find_place
from chaffinch_operator.resources import Resource

Object = dict[str, Any]
Objects = list[Object]

FIELD_MANAGER = "kubectl-chaffinch"
_ATTEMPTS = 2
_SECONDS = 10.0


class Gateway(Protocol):
    """The four things that the plugin does to a cluster; `kube.Kube` does them."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, None when there is none of that name."""
        ...

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> Sequence[Object]:
        """Return all objects that match."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Object | Objects,
        *,
        subresource: str = "",
        manager: str = "",
    ) -> Object:
        """Merge patch (dict) or JSON patch (list)."""
        ...

    async def delete(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        """Delete in the background; False when there is no such object."""
        ...


class Cluster(Gateway, Protocol):
    """A gateway that also reaches what runs in the cluster."""

    async def through_service(
        self, namespace: str, service: str, path: str, query: dict[str, str], headers: Mapping[str, str] = ...
    ) -> tuple[int, Object]:
        """GET from a Service (scheme:name:port) by way of the API server: HTTP status and JSON."""
        ...


def _token() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def _open_cluster(place: Place) -> AsyncIterator[Cluster]:
    from chaffinch_operator.kube import Kube  # noqa: PLC0415 -- takes a second to import

    async with AsyncExitStack() as stack:
        kube = Kube.connect(place.kubeconfig, place.context or None, attempts=_ATTEMPTS, seconds=_SECONDS)
        try:
            await stack.enter_async_context(kube)
        except Exception as error:
            raise DeclinedError(
                f"cannot use the credentials of {place.cluster}: {error}", "does kubectl get namespaces work with it?"
            ) from error
        yield kube


def _find(kubeconfig: str | None, context: str | None) -> Place:
    return find_place(os.environ, kubeconfig, context)


@dataclass(frozen=True, slots=True)
class World:
    """The outside, in one place."""

    find: Callable[[str | None, str | None], Place] = _find
    """From --kubeconfig and --context to a place."""
    open: Callable[[Place], AbstractAsyncContextManager[Cluster]] = _open_cluster
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    token: Callable[[], str] = _token
