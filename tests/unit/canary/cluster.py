"""A cluster in memory at the ports of the slice: objects, admission, controllers and counters, in virtual time.

Only what the slice sees is modelled. `carry on` moves time; a death of the operator is an exception after a write.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

from chaffinch_operator.canary import clock, objects
from chaffinch_operator.canary.hold_keeper import HoldKeeper, HoldState
from chaffinch_operator.canary.reconcile import Reconciler
from chaffinch_operator.canary.report import RolloutSample
from chaffinch_operator.canary.revision import HASH_LABEL
from chaffinch_operator.canary.sizing import baseline_weight
from chaffinch_operator.errors import ChaffinchError, Conflict, KindMissing
from chaffinch_operator.kube import Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.ports.credentials import Credentials, context
from chaffinch_operator.ports.prometheus import BadQuery, Prometheus, ProviderUnreachable
from chaffinch_operator.ports.queries import Sample, Selector, Stream, Track, millis
from chaffinch_operator.resources import (
    CANARYROLLOUTS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    HTTPROUTES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    Resource,
)
from support.ranges import by_instants
from unit.canary.builders import NOW, SPEC

Object = dict[str, Any]
RATE = 100
ERRORS_PER_MILLE = {"shop/web:bad": 200}
NOTE = "chaffinch.dev/isolated"


class Died(Exception):  # noqa: N818 - what happened to the operator
    """The process was killed."""


SELECTABLE = {
    ("CanaryRollout", "spec.targetRef.name"),
    ("ShadowEvaluation", "spec.traffic.mirror.httpRouteRef.name"),
}


def _at(body: Object, path: str) -> object:
    """What is at a path of names; None where there is nothing."""
    found: Any = body
    for name in path.split("."):
        found = (found or {}).get(name)
    return found


@dataclass
class Cluster:
    """Objects by kind and name; the operator's writes, in their order."""

    now: datetime = NOW
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    refuse: dict[str, ChaffinchError] = field(default_factory=dict)
    unreadable: dict[str, ChaffinchError] = field(default_factory=dict)
    """Errors that reading objects of a kind ends in."""
    dies: bool = False
    versions: int = 0
    history: list[tuple[datetime, int, int, str]] = field(default_factory=list)
    """Since when the canary had which weight, and a baseline which, with which image of the canary."""

    def put(self, resource: Resource, body: Object) -> Object:
        """Store an object as the API server would."""
        meta = body.setdefault("metadata", {})
        before = self.objects.get((resource.kind, meta["name"]))
        self.versions += 1
        old = (before or {}).get("metadata", {})
        changed = before is None or before.get("spec") != body.get("spec")
        meta |= {
            "namespace": "shop",
            "uid": old.get("uid", f"uid-{self.versions}"),
            "resourceVersion": str(self.versions),
            "generation": old.get("generation", 0) + (1 if changed else 0),
            "creationTimestamp": old.get("creationTimestamp", clock.stamp(self.now)),
        }
        body.setdefault("apiVersion", resource.api_version)
        body.setdefault("kind", resource.kind)
        self.objects[resource.kind, meta["name"]] = body
        return body

    def see(self, resource: Resource, name: str = "web") -> Object:
        """An object that must be there."""
        return self.objects[resource.kind, name]

    # the slice's port to Kubernetes

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """An object or None."""
        if resource.kind in self.missing:
            raise KindMissing(resource.name)
        if resource.kind in self.unreadable:
            raise self.unreadable[resource.kind]
        found = self.objects.get((resource.kind, name))
        return copy.deepcopy(found) if found else None

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects of a kind whose labels match, and whose field does, where the CRD lets one select by it."""
        wanted = dict(part.split("=") for part in labels.split(",")) if labels else {}
        found = [o for (kind, _), o in sorted(self.objects.items()) if kind == resource.kind]
        if fields:
            path, _, value = fields.partition("=")
            assert (resource.kind, path) in SELECTABLE, fields
            found = [o for o in found if _at(o, path) == value]
        return [copy.deepcopy(o) for o in found if wanted.items() <= (o["metadata"].get("labels") or {}).items()]

    async def apply(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Server-side apply, as far as the slice uses it."""
        name = obj["metadata"]["name"]
        self._begin(f"apply {resource.kind} {name}{'/' if subresource else ''}{subresource}")
        body = copy.deepcopy(self.objects.get((resource.kind, name)) or {"metadata": {"name": name}})
        if subresource:
            if obj["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                raise Conflict("the object changed", f"{resource.kind} shop/{name}")
            body["status"] = copy.deepcopy(obj["status"])
        elif resource is SERVICES and "spec" not in obj:
            notes = {k: v for k, v in (body["metadata"].get("annotations") or {}).items() if k != NOTE}
            body["metadata"]["annotations"] = notes | obj["metadata"]["annotations"]
        else:
            body = {**copy.deepcopy(obj), "status": body.get("status", {})}
        stored = self.put(resource, body)
        self._admit(resource, stored)
        return self._end(stored)

    async def patch(self, resource: Resource, name: str, namespace: str | None, patch: Any) -> Object:
        """Release a Deployment, or widen a Service."""
        self._begin(f"patch {resource.kind} {name}")
        body = copy.deepcopy(self.see(resource, name))
        if isinstance(patch, list):
            if patch[0]["value"] != body["metadata"]["resourceVersion"]:
                raise Conflict("the object changed", f"{resource.kind} shop/{name}")
            del body["spec"]["paused"]
        else:
            body["spec"]["selector"].pop(HASH_LABEL, None)
        return self._end(self.put(resource, body))

    async def create(self, resource: Resource, obj: Object) -> Object | None:
        """Publish an event once."""
        assert resource is EVENTS
        if any(e["metadata"]["name"] == obj["metadata"]["name"] for e in self.events):
            return None
        self.events.append(obj)
        return obj

    async def delete(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        """Delete an object."""
        if (resource.kind, name) not in self.objects:
            return False
        self._begin(f"delete {resource.kind} {name}")
        del self.objects[resource.kind, name]
        self._end({})
        return True

    def _begin(self, word: str) -> None:
        for part, problem in self.refuse.items():
            if part in word:
                raise problem
        self.writes.append(word)

    def _end(self, body: Object) -> Object:
        self._note_weight()
        if self.dies:
            raise Died
        return copy.deepcopy(body)

    # admission and controllers

    def _admit(self, resource: Resource, body: Object) -> None:
        """The selector policy: narrow while status.isolatedHash is set, widen once our note is gone."""
        if resource is not SERVICES or body["metadata"]["name"] != "web":
            return
        rollout = self.objects.get(("CanaryRollout", "web")) or {}
        isolated = (rollout.get("status") or {}).get("isolatedHash", "")
        if isolated:
            body["spec"]["selector"][HASH_LABEL] = isolated
        else:
            body["spec"]["selector"].pop(HASH_LABEL, None)

    def push(self, version: str) -> None:
        """A user applies a template; the hold policy pauses the Deployment."""
        body = copy.deepcopy(self.see(DEPLOYMENTS))
        body["spec"]["template"] = pod_template(version)
        body["spec"]["paused"] = True
        self.put(DEPLOYMENTS, body)

    def annotate(self, value: str) -> None:
        """A user asks for something."""
        body = copy.deepcopy(self.see(CANARYROLLOUTS))
        body["metadata"]["annotations"] = {"chaffinch.dev/action": value}
        self.put(CANARYROLLOUTS, body)

    def delete_rollout(self) -> None:
        """A user deletes the CanaryRollout; the finalizer keeps it."""
        self.see(CANARYROLLOUTS)["metadata"]["deletionTimestamp"] = clock.stamp(self.now)

    def tick(self, seconds: float = 1.0) -> None:
        """Time goes on, and controllers do their work."""
        self.now += timedelta(seconds=seconds)
        for (kind, name), body in list(self.objects.items()):
            if kind == "Deployment":
                self._roll(name, body)
            if kind == "HTTPRoute":
                self._accept(body)

    def _roll(self, name: str, body: Object) -> None:
        spec, meta = body["spec"], body["metadata"]
        image = spec["template"]["spec"]["containers"][0]["image"]
        wanted = f"{name}-{image.partition(':')[2]}"
        if not spec.get("paused"):
            for (kind, other), rs in list(self.objects.items()):
                if kind == "ReplicaSet" and other.startswith(f"{name}-") and other != wanted and name == "web":
                    rs["spec"]["replicas"], rs["status"] = 0, {}
            self._replica_set(wanted, body)
        ready = spec["replicas"]
        body["status"] = {
            "observedGeneration": meta["generation"],
            "replicas": ready,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": 0 if spec.get("paused") else ready,
        }
        if name != "web":
            self._pods(name, ready)

    def _replica_set(self, name: str, owner: Object) -> None:
        template = copy.deepcopy(owner["spec"]["template"])
        template["metadata"]["labels"][HASH_LABEL] = name.rpartition("-")[2]
        replicas = owner["spec"]["replicas"]
        labels = {**owner["spec"]["selector"]["matchLabels"]}
        reference = {"uid": owner["metadata"]["uid"]}
        body = {
            "metadata": {"name": name, "labels": labels, "ownerReferences": [reference]},
            "spec": {"replicas": replicas, "template": template},
            "status": {"replicas": replicas, "readyReplicas": replicas},
        }
        self.put(REPLICASETS, body)

    def _pods(self, name: str, count: int) -> None:
        labels = {"app": "web", "chaffinch.dev/track": name.removeprefix("web-")}
        self.put(PODS, {"metadata": {"name": f"{name}-x", "labels": labels}, "status": {}})
        endpoints = [{"conditions": {"ready": True}}] * count
        slice_labels = {"kubernetes.io/service-name": name}
        self.put(ENDPOINTSLICES, {"metadata": {"name": f"{name}-s", "labels": slice_labels}, "endpoints": endpoints})

    def _accept(self, body: Object) -> None:
        generation = body["metadata"]["generation"]
        said = [{"type": t, "status": "True", "observedGeneration": generation} for t in ("Accepted", "ResolvedRefs")]
        body["status"] = {"parents": [{"conditions": said}]}

    # counters

    def _note_weight(self) -> None:
        route = self.objects.get(("HTTPRoute", "web"))
        canary = self.objects.get(("Deployment", "web-canary"))
        rules = route["spec"]["rules"] if route else []
        backends = rules[0]["backendRefs"] if rules else []
        weight = max(objects.weight_of([b["weight"] for b in backends]) or 0, 0)
        beside = baseline_weight(weight) if len(backends) > 2 else 0
        image = canary["spec"]["template"]["spec"]["containers"][0]["image"] if canary else ""
        if not self.history or self.history[-1][1:] != (weight, beside, image):
            self.history.append((self.now, weight, beside, image))

    def counted(self, at: datetime) -> dict[str, tuple[int, int]]:
        """What the counters said at a time: bad and all, by pod."""
        bad = total = baseline = 0
        spans = [*self.history, (at, 0, 0, "")]
        for (start, weight, beside, image), (end, *_) in pairwise(spans):
            seconds = max(0, int((min(end, at) - start).total_seconds()))
            total += seconds * RATE * weight // 100
            baseline += seconds * RATE * beside // 100
            bad += seconds * RATE * weight // 100 * ERRORS_PER_MILLE.get(image, 1) // 1000
        stable = int((at - NOW).total_seconds()) * RATE - total - baseline
        counted = {"web-canary-good-x": (bad, total), "web-v1-y": (stable // 1000, stable)}
        return counted | ({"web-baseline-v1-z": (baseline // 1000, baseline)} if baseline else {})


@dataclass
class Counters:
    """The port to Prometheus."""

    cluster: Cluster
    away: bool = False
    bad: str = ""
    given_to: list[tuple[str, Credentials, Mapping[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    forgetful: bool = False
    """It does not answer about the past."""
    ranges: list[tuple[datetime, datetime]] = field(default_factory=list)

    def given(self, address: str, credentials: Credentials, headers: Mapping[str, str]) -> Prometheus:
        """The port, for an address and what opens it."""
        context(credentials)
        self.given_to.append((address, credentials, headers))
        return self

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """The raw counters by pod, as they were."""
        self.ask(query, at)
        return self.counters(query, at)

    async def raw(
        self, selector: Selector, at: datetime, milliseconds: int, settled: float | None = None
    ) -> list[Track]:
        """The same, scraped every five seconds."""
        self.ask(selector.text, at)
        seen: dict[str, tuple[Mapping[str, str], list[int], list[float]]] = {}
        for age in range(milliseconds // 1000, -1, -5):
            then = at - timedelta(seconds=age)
            for one in self.counters(selector.text, then) if then >= NOW else ():
                _, times, values = seen.setdefault(one.labels["pod"], (one.labels, [], []))
                times.append(millis(then))
                values.append(one.value)
        return [Track(*series) for series in seen.values()]

    async def newest(
        self, selector: Selector, at: datetime, milliseconds: int = 0, settled: float | None = None
    ) -> list[Sample]:
        """Nothing is ever late here."""
        return []

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """The same on a grid; the shop opened at NOW."""
        if self.forgetful:
            raise ProviderUnreachable("http://prometheus:9090 did not answer about the past")
        self.ranges.append((start, end))
        return await by_instants(self.instant, query, start, end, step, born=NOW)

    def counters(self, query: str, at: datetime) -> list[Sample]:
        """The counters at a time."""
        return [
            Sample({"__name__": "http_requests_total", "pod": pod, "instance": pod}, float(counts["5.." not in query]))
            for pod, counts in self.cluster.counted(at).items()
        ]

    def ask(self, query: str, at: datetime) -> None:
        """Answer, or not."""
        if self.away:
            raise ProviderUnreachable("http://prometheus:9090 did not answer")
        if self.bad:
            raise BadQuery(self.bad)
        self.asked.append((query, at))


@dataclass
class Hold:
    """The keeper of the hold."""

    installed: bool = True
    labelled: int = 0
    unlabelled: int = 0

    @property
    def state(self) -> HoldState:
        """Whether the policies are there."""
        return HoldState(self.installed, "HoldInstalled", "held by policies" if self.installed else "needs 1.36")

    async def label_namespace(self, _name: str) -> None:
        """Switch the policies on."""
        self.labelled += 1

    async def unlabel_if_last(self, _name: str) -> None:
        """Switch the policies off."""
        self.unlabelled += 1


@dataclass
class Metrics:
    """Where samples go."""

    shown: list[RolloutSample] = field(default_factory=list)
    decisions: list[tuple[str, str]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def show(self, sample: RolloutSample) -> None:
        """The present state."""
        self.shown.append(sample)

    def decided(self, action: str, reason: str) -> None:
        """A decision."""
        self.decisions.append((action, reason))

    def forget(self, _namespace: str, name: str) -> None:
        """A rollout is gone."""
        self.forgotten.append(name)


@dataclass
class Shop:
    """A cluster with a Deployment, its Service and a CanaryRollout, and an operator that looks at them."""

    cluster: Cluster = field(default_factory=Cluster)
    hold: Hold = field(default_factory=Hold)
    metrics: Metrics = field(default_factory=Metrics)
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        self.counters = Counters(self.cluster)

    @classmethod
    def opened(cls, spec: Mapping[str, Any] = SPEC) -> Shop:
        """v1 runs; nobody has looked yet."""
        shop = cls()
        put = shop.cluster.put
        put(NAMESPACES, {"metadata": {"name": "shop"}})
        selector = {"matchLabels": {"app": "web"}}
        put(
            DEPLOYMENTS,
            {
                "metadata": {"name": "web"},
                "spec": {"replicas": 4, "selector": selector, "template": pod_template("v1")},
            },
        )
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        put(SERVICES, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}})
        put(CANARYROLLOUTS, {"metadata": {"name": "web"}, "spec": dict(spec)})
        shop.cluster.tick()
        return shop

    async def look(self) -> Outcome:
        """One pass."""
        kube, hold = cast("Kube", self.cluster), cast("HoldKeeper", self.hold)
        reconciler = Reconciler(kube, hold, self.counters.given, self.metrics, lambda: self.cluster.now)
        return await reconciler.reconcile("shop", "web")

    async def run(self, seconds: int) -> Outcome:
        """So many seconds with a pass each."""
        outcome = Outcome()
        for _ in range(seconds):
            outcome = await self.look()
            self.cluster.tick()
        return outcome

    async def run_dying(self, seconds: int) -> None:
        """The same, but the operator dies after each of its writes and comes back at once."""
        for _ in range(seconds):
            await self._until_alive()
            self.cluster.tick()

    async def _until_alive(self) -> None:
        self.cluster.dies = True
        for _ in range(50):
            try:
                await self.look()
            except Died:
                continue
            break
        else:
            raise AssertionError("it writes without end")
        self.cluster.dies = False

    @property
    def status(self) -> Object:
        """The rollout's status as it is stored."""
        return cast("Object", self.cluster.see(CANARYROLLOUTS).get("status") or {})

    @property
    def verdict(self) -> tuple[str, str]:
        """What was decided, and why."""
        last = self.status["lastDecision"]
        return last["action"], last["reason"]

    @property
    def pods(self) -> dict[str, int]:
        """Pods of the target by version."""
        return {
            name.rpartition("-")[2]: body["status"]["replicas"]
            for (kind, name), body in self.cluster.objects.items()
            if kind == "ReplicaSet" and not name.startswith(("web-canary-", "web-baseline-")) and body["status"]
        }

    @property
    def route(self) -> list[int]:
        """Weights of the route."""
        return [b["weight"] for b in self.cluster.see(HTTPROUTES)["spec"]["rules"][0]["backendRefs"]]


def pod_template(version: str) -> Object:
    """What a user applies."""
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": f"shop/web:{version}"}]},
    }
