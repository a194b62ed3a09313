"""A shop on an API server without nodes, and what a user does there; the operator is a process of its own."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, NAMESPACES, REPLICASETS, Kube, Resource
from support.fake_prometheus import FakePrometheus

NAME = "shop"
SECONDS = 40.0
POLL_SECONDS = 0.2
REPLICAS = 2
Object = dict[str, Any]
T = TypeVar("T")
Predicate = Callable[[CanaryRolloutStatus], bool]


async def until(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = SECONDS) -> T:
    """Look again and again until what is seen is true; return it."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        if last := await look():
            return last
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {last}")


def deployment(version: str = "v1", labels: Mapping[str, str] | None = None, name: str = NAME) -> Object:
    """The user's Deployment."""
    container = {"name": "app", "image": f"shop:{version}", "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name, **(labels or {})}}, "spec": {"containers": [container]}},
        },
    }


def service(app: str = NAME, port: int = 80, name: str = NAME) -> Object:
    """The user's Service."""
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": port, "targetPort": 8080}]},
    }


def gate(**fields: Any) -> Object:
    """A gate of two counters, with the given fields instead."""
    ratio = {"bad": 'hits_total{code=~"5.."}', "total": "hits_total"}
    return {"name": "errors", **({} if {"latency", "ratio"} & fields.keys() else {"ratio": ratio}), **fields}


def rollout(address: str, *gates: Object, name: str = NAME, **spec: Any) -> Object:
    """A CanaryRollout that is quick, by the ratio of pods."""
    return {
        "metadata": {"name": name},
        "spec": {
            "targetRef": {"name": NAME},
            "serviceRef": {"name": NAME, "port": 80},
            "trafficRouting": {"replicas": {}},
            "steps": [{"setWeight": 34, "minDuration": "1s"}, {"setWeight": 50, "minDuration": "10m"}],
            "analysis": {
                "interval": "1s",
                "queryOffset": "500ms",
                "warmup": "100ms",
                "provider": {"prometheus": {"address": address}},
                "gates": list(gates) or [gate()],
            },
            **spec,
        },
    }


@dataclass(slots=True)
class Shop:
    """One namespace."""

    kube: Kube
    prometheus: FakePrometheus
    namespace: str
    deployment: Object = field(default_factory=dict)
    """As the user applied it last."""

    @property
    def address(self) -> str:
        """Its Prometheus."""
        return self.prometheus.address(self.namespace)

    async def open(self) -> None:
        """Make the namespace."""
        await self.kube.create(NAMESPACES, {"metadata": {"name": self.namespace}})

    async def apply(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Apply an object, as a GitOps tool does."""
        placed = {**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}}
        if resource is DEPLOYMENTS and obj["metadata"]["name"] == NAME:
            self.deployment = obj
        return await self.kube.apply(resource, placed, manager="user", dry_run=dry_run)

    async def patch(self, resource: Resource, patch: Object, name: str = NAME, **options: Any) -> Object:
        """Merge a patch."""
        return await self.kube.patch(resource, name, self.namespace, patch, manager="user", **options)

    async def delete(self, resource: Resource, name: str = NAME) -> None:
        """Delete an object."""
        await self.kube.delete(resource, name, self.namespace)

    async def get(self, resource: Resource, name: str = NAME) -> Object | None:
        """One object."""
        return await self.kube.get(resource, name, self.namespace)

    async def status(self, name: str = NAME) -> CanaryRolloutStatus:
        """The status of the CanaryRollout."""
        body = await self.get(CANARYROLLOUTS, name) or {}
        return CanaryRolloutStatus.model_validate(body.get("status") or {})

    async def settled(self) -> None:
        """Wait until the Deployment runs."""

        async def look() -> bool:
            status = (await self.get(DEPLOYMENTS) or {}).get("status") or {}
            return all(status.get(k) == REPLICAS for k in ("replicas", "updatedReplicas", "availableReplicas"))

        await until(look, f"{self.namespace}: the Deployment available")

    async def reported(self, name: str = NAME) -> None:
        """Wait for the operator's first word."""

        async def look() -> bool:
            return bool((await self.status(name)).conditions)

        await until(look, f"{self.namespace}: a status")

    async def release(self, version: str = "v2") -> None:
        """Change the template, once the API server holds it: policies know a new CanaryRollout after a moment."""
        changed = copy.deepcopy(self.deployment)
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = f"shop:{version}"

        async def held() -> bool:
            try:
                answer = await self.apply(DEPLOYMENTS, changed, dry_run=True)
            except ChaffinchError:
                return False
            return bool(answer["spec"].get("paused"))

        await until(held, f"{self.namespace}: the hold")
        await self.apply(DEPLOYMENTS, changed)

    async def wait(self, holds: Predicate, what: str, name: str = NAME) -> CanaryRolloutStatus:
        """Wait for a status."""

        async def look() -> CanaryRolloutStatus | None:
            status = await self.status(name)
            return status if status.conditions and holds(status) else None

        try:
            return await until(look, f"{self.namespace}/{name}: {what}")
        except AssertionError as error:
            shown = (await self.status(name)).model_dump(mode="json", exclude_defaults=True)
            raise AssertionError(f"{error}; status: {shown}") from None

    async def revisions(self) -> int:
        """How many templates of the Deployment have or had pods."""
        found = await self.kube.list(REPLICASETS, self.namespace, labels=f"app={NAME},!chaffinch.dev/track")
        return len(found)

    async def replica_set_of(self, version: str) -> str:
        """Name of the ReplicaSet that runs a version."""
        found = await self.kube.list(REPLICASETS, self.namespace)
        return next(
            str(r["metadata"]["name"])
            for r in found
            if r["spec"]["template"]["spec"]["containers"][0]["image"] == f"shop:{version}"
        )
