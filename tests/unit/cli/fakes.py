"""A cluster in memory at the seam of `cli.world`, and time that passes only when somebody sleeps."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from chaffinch_operator.cli.kubeconfig import Place
from chaffinch_operator.cli.world import World
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.resources import CANARYROLLOUTS, SERVICES, Resource
from unit.cli.builders import NOW

Object = dict[str, Any]
Key = tuple[str, str, str]


class FakeCluster:
    """Objects by kind, namespace and name; merge patches; every write is remembered."""

    def __init__(self, *rollouts: Object) -> None:
        self.objects: dict[Key, Object] = {}
        self.writes: list[tuple[str, str, Any]] = []
        self.raises: dict[tuple[str, str], ChaffinchError] = {}
        """(verb, kind) -> what is raised."""
        self.after_patch: Callable[[Object, Any], None] = lambda _obj, _patch: None
        """Called with each patched object: an operator's answer."""
        self.at: list[tuple[float, Callable[[], None]]] = []
        """(seconds, what happens): things that happen while somebody sleeps."""
        self.proxied: list[tuple[str, str, str]] = []
        self.proxied_headers: list[dict[str, str]] = []
        """(namespace, service, path) of what was asked through the proxy."""
        self.services: Callable[[dict[str, str]], tuple[int, Object]] = lambda _query: (
            503,
            {"message": "no endpoints"},
        )
        """What a Service of the cluster answers."""
        self.now = NOW
        for rollout in rollouts:
            self.put(CANARYROLLOUTS, rollout)

    def put(self, resource: Resource, obj: Object) -> Object:
        """Create or replace an object."""
        meta = obj["metadata"]
        meta.setdefault("resourceVersion", "1")
        self.objects[resource.plural, meta.get("namespace", ""), meta["name"]] = obj
        return obj

    def read(self, resource: Resource, name: str, namespace: str = "shop") -> Object:
        """The object as it is now."""
        return self.objects[resource.plural, namespace if resource.namespaced else "", name]

    def has(self, resource: Resource, name: str, namespace: str = "shop") -> bool:
        """Whether there is such an object."""
        return (resource.plural, namespace if resource.namespaced else "", name) in self.objects

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """As the API server."""
        self._fail("get", resource)
        obj = self.objects.get((resource.plural, namespace or "", name))
        return deepcopy(obj)

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[Object]:
        """As the API server, for selectors of equalities."""
        self._fail("list", resource)
        wanted = dict(part.split("=", 1) for part in labels.split(",") if part)
        return [
            deepcopy(obj)
            for (plural, where, _), obj in self.objects.items()
            if plural == resource.plural
            and namespace in (None, where)
            and wanted.items() <= obj["metadata"].get("labels", {}).items()
        ]

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        subresource: str = "",
        manager: str = "",
    ) -> Object:
        """Merge patch, or the operations test and replace of JSON patch."""
        assert manager == "kubectl-chaffinch"
        assert subresource == ("status" if "status" in patch else "")
        self._fail("patch", resource)
        self.writes.append(("patch", resource.key(namespace, name), patch))
        obj = self.objects[resource.plural, namespace or "", name]
        if isinstance(patch, list):
            _replace(obj, patch)
        else:
            _merge(obj, patch)
        self.after_patch(obj, patch)
        return deepcopy(obj)

    async def delete(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        """As the API server."""
        self._fail("delete", resource)
        self.writes.append(("delete", resource.key(namespace, name), None))
        return self.objects.pop((resource.plural, namespace or "", name), None) is not None

    async def through_service(
        self,
        namespace: str,
        service: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, Object]:
        """As the API server's proxy to a Service."""
        self._fail("proxy", SERVICES)
        self.proxied.append((namespace, service, path))
        self.proxied_headers.append(dict(headers))
        return self.services(query)

    def _fail(self, verb: str, resource: Resource) -> None:
        if (verb, resource.plural) in self.raises:
            raise self.raises[verb, resource.plural]

    async def sleep(self, seconds: float) -> None:
        """Time passes; what was to happen meanwhile happens."""
        self.now += timedelta(seconds=seconds)
        for entry in [e for e in self.at if NOW + timedelta(seconds=e[0]) <= self.now]:
            self.at.remove(entry)
            entry[1]()

    def clock(self) -> datetime:
        """The present time."""
        return self.now

    def world(self, namespace: str = "shop") -> World:
        """A world in which this is the cluster."""

        @asynccontextmanager
        async def opened(_place: Place) -> AsyncIterator[FakeCluster]:
            yield self

        return World(
            find=lambda _kubeconfig, context: Place("", context or "test", namespace),
            open=opened,
            now=self.clock,
            sleep=self.sleep,
            token=lambda: "t1",
        )


def _merge(obj: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict) and isinstance(obj.get(key), dict):
            _merge(obj[key], value)
        else:
            obj[key] = deepcopy(value)
            if isinstance(value, dict):
                obj[key] = {}
                _merge(obj[key], value)


def _replace(obj: Object, operations: list[Object]) -> None:
    for operation in operations:
        *path, last = operation["path"].strip("/").split("/")
        holder = obj
        for part in path:
            holder = holder[part]
        if operation["op"] == "test":
            assert holder[last] == operation["value"]
        else:
            holder[last] = operation["value"]
