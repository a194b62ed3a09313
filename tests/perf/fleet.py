"""Thousands of CanaryRollouts on an API server, made quickly, and what is read off the operator that has them."""

import asyncio
import os
import re
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaffinch_operator.canary import clock
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, NAMESPACES, SERVICES, Kube, Resource
from integration.core.processes import Process
from support.counters import Series

Object = dict[str, Any]
Names = Set[tuple[str, str]]
"""Namespaces and names."""
PER_NAMESPACE = 20
AT_ONCE = 32
INTERVAL_SECONDS = 60
QUERY_OFFSET_SECONDS = 5
WEIGHT, NEXT_WEIGHT = 5, 25
REQUESTS_PER_SECOND = 100.0
BAD_SHARE = 0.002
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NODE = "nowhere"
"""The EndpointSlice controller passes over pods of no node."""
TICKS = os.sysconf("SC_CLK_TCK")
GATES = (
    {"name": "gateway-errors", "template": "EnvoyGatewayErrors"},
    {"name": "gateway-latency", "template": "EnvoyGatewayLatency"},
    {"name": "pod-errors", "template": "PodHTTPErrors"},
    {"name": "pod-latency", "template": "PodHTTPLatency"},
    {"name": "restarts", "podRestarts": {"max": 2}},
)


@dataclass(frozen=True, slots=True, order=True)
class Shop:
    """One rollout and what belongs to it."""

    namespace: str
    name: str

    @classmethod
    def some(cls, count: int) -> "list[Shop]":
        """So many, in namespaces of PER_NAMESPACE."""
        return [cls(f"team-{i // PER_NAMESPACE:03}", f"shop-{i % PER_NAMESPACE:02}") for i in range(count)]

    @property
    def meta(self) -> Object:
        """Metadata of the target, the Service and the rollout."""
        return {"name": self.name, "namespace": self.namespace}

    def deployment(self, version: str) -> Object:
        """The target."""
        labels = {"app": self.name}
        environment = [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(10)]
        container = {
            "name": "app",
            "image": f"registry.example/{self.name}:{version}",
            "env": environment,
            "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        }
        template = {"metadata": {"labels": labels}, "spec": {"nodeName": NODE, "containers": [container]}}
        return {
            "metadata": self.meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }

    def service(self) -> Object:
        """The Service."""
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        return {"metadata": self.meta, "spec": {"selector": {"app": self.name}, "ports": ports}}

    def rollout(self, prometheus: str) -> Object:
        """A first step that ends by itself in a pause, at which it is judged on; the next step is long."""
        return {
            "metadata": self.meta,
            "spec": {
                "targetRef": {"name": self.name},
                "serviceRef": {"name": self.name, "port": 80},
                "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
                "steps": [
                    {"setWeight": WEIGHT, "minDuration": "1s"},
                    {"pause": {}},
                    {"setWeight": NEXT_WEIGHT, "minDuration": "2h"},
                ],
                "promotion": {"maxDuration": "24h"},
                "analysis": {
                    "interval": f"{INTERVAL_SECONDS}s",
                    "queryOffset": f"{QUERY_OFFSET_SECONDS}s",
                    "warmup": "1s",
                    "provider": {"prometheus": {"address": prometheus}},
                    "gates": list(GATES),
                },
            },
        }

    def series(self, replica_set: str) -> Iterator[Series]:
        """Counters of both arms at the gateway and at the pods: alike in what goes wrong."""
        backend = f"httproute/{self.namespace}/{self.name}/rule/0/backend/"
        for arm, share, pod in ((0, 1 - WEIGHT / 100, f"{replica_set}-x"), (1, WEIGHT / 100, f"{self.name}-canary-x")):
            rate = REQUESTS_PER_SECOND * share
            gateway = {"envoy_cluster_name": f"{backend}{arm}", "namespace": "gateway", "pod": "envoy-0"}
            here = {"namespace": self.namespace, "pod": pod}
            for part, code in ((1 - BAD_SHARE, "2"), (BAD_SHARE, "5")):
                named = {"__name__": "envoy_cluster_upstream_rq_xx", **gateway}
                yield Series({**named, "envoy_response_code_class": code}, rate * part)
                yield Series({"__name__": "http_requests_total", **here, "code": f"{code}00"}, rate * part)
            for part, slow, fast in ((1 - BAD_SHARE, "500.0", "0.5"), (1.0, "+Inf", "+Inf")):
                yield Series({"__name__": "envoy_cluster_upstream_rq_time_bucket", **gateway, "le": slow}, rate * part)
                yield Series({"__name__": "http_request_duration_seconds_bucket", **here, "le": fast}, rate * part)


async def each(things: Iterable[Any], do: Callable[[Any], Awaitable[object]]) -> None:
    """Do something to all of them, many at once."""
    waiting = iter(list(things))

    async def worker() -> None:
        for thing in waiting:
            await do(thing)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def populate(
    kube: Kube, shops: list[Shop], prometheus: str, *, finish: Callable[[Shop], Awaitable[object]]
) -> None:
    """Make the shops; `finish` comes between the target and its rollout."""
    await kube.create(NODES, {"metadata": {"name": NODE}})
    await each(sorted({s.namespace for s in shops}), lambda name: kube.create(NAMESPACES, {"metadata": {"name": name}}))

    async def make(shop: Shop) -> None:
        await kube.create(DEPLOYMENTS, shop.deployment("v1"))
        await kube.create(SERVICES, shop.service())
        await finish(shop)
        await kube.create(CANARYROLLOUTS, shop.rollout(prometheus))

    await each(shops, make)


async def release(kube: Kube, shops: list[Shop]) -> None:
    """Change every template, as fast as it goes."""
    patch = {"spec": {"template": {"metadata": {"annotations": {"release": "v2"}}}}}
    await each(shops, lambda s: kube.patch(DEPLOYMENTS, s.name, s.namespace, patch))


async def promote(kube: Kube, shops: list[Shop]) -> None:
    """End every pause."""
    patch = {"metadata": {"annotations": {"chaffinch.dev/action": "promote@bench"}}}
    await each(shops, lambda s: kube.patch(CANARYROLLOUTS, s.name, s.namespace, patch))


def names(shops: Iterable[Shop]) -> Names:
    """Of some shops."""
    return {(shop.namespace, shop.name) for shop in shops}


def _among(found: Iterable[Object], wanted: Names | None) -> Iterator[Object]:
    return (one for one in found if wanted is None or (one["metadata"]["namespace"], one["metadata"]["name"]) in wanted)


async def count(kube: Kube, accept: Callable[[Object], bool], wanted: Names | None = None) -> int:
    """How many rollouts have a status that is accepted; among all, or among some by namespace and name."""
    return sum(1 for one in _among(await kube.list(CANARYROLLOUTS), wanted) if accept(one.get("status") or {}))


async def intervals_counted(kube: Kube, wanted: Names) -> int:
    """How many intervals since the epoch some rollouts together have counted: its growth is what they counted."""
    found = _among(await kube.list(CANARYROLLOUTS), wanted)
    ends = (clock.parse((one.get("status") or {}).get("intervalEnd", "")) for one in found)
    return sum(int(end.timestamp()) // INTERVAL_SECONDS for end in ends if end)


async def routes_at(kube: Kube, weight: int, wanted: Names) -> int:
    """How many routes of some rollouts give the canary so much."""
    found = _among(await kube.list(HTTPROUTES), wanted)
    backends = [r["spec"]["rules"][0]["backendRefs"] for r in found]
    return sum(1 for refs in backends if len(refs) > 1 and refs[1]["weight"] == weight)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used, from /proc."""

    cpu_seconds: float
    resident_mib: float
    peak_mib: float

    @classmethod
    def of(cls, process: Process) -> "Usage":
        """As it is now."""
        folder = Path("/proc") / str(process.popen.pid)
        fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        mib = {key: int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")}
        return cls((int(fields[11]) + int(fields[12])) / TICKS, mib["VmRSS"], mib["VmHWM"])


_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


def scrape(process: Process) -> dict[str, float]:
    """The operator's metrics, by name and labels as written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    found = (_SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))
    return {f"{m['name']}{{{m['labels'] or ''}}}": float(m["value"]) for m in found if m}


def histogram(before: Mapping[str, float], after: Mapping[str, float], name: str) -> list[tuple[float, float]]:
    """Cumulative counts by upper bound, of what was observed between two scrapes."""
    grown: dict[float, float] = {}
    for key, value in after.items():
        if key.startswith(f"{name}_bucket{{") and (bound := re.search(r'le="([^"]+)"', key)):
            grown[float(bound[1])] = grown.get(float(bound[1]), 0.0) + value - before.get(key, 0.0)
    return sorted(grown.items())


def quantile(counts: list[tuple[float, float]], share: float) -> float:
    """Upper bound of the bucket that holds the quantile: never too low."""
    total = counts[-1][1] if counts else 0.0
    return next((bound for bound, seen in counts if total and seen >= share * total), 0.0)


def percentile(values: list[float], share: float) -> float:
    """A value that this share of them does not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0
