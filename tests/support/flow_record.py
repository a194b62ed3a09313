"""Every version of the objects of one rollout, in the order in which the API server made them, and what must hold.

resourceVersions of one cluster are one sequence over all kinds, so "decided before it was done" can be read off.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from chaffinch_operator.canary.reasons import Action
from chaffinch_operator.canary.status import CanaryRolloutStatus
from support.kubectl import Kubectl, Object, Watch

_KINDS = ("canaryrollouts.chaffinch.dev", "httproutes.gateway.networking.k8s.io", "deployments.apps")
_NEXT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one object."""

    number: int
    kind: str
    name: str
    object: Object

    @property
    def status(self) -> CanaryRolloutStatus:
        """Of a CanaryRollout."""
        return CanaryRolloutStatus.model_validate(self.object.get("status") or {})


@dataclass(slots=True)
class FlowRecord:
    """Watches CanaryRollouts, HTTPRoutes and Deployments of a namespace while the context is entered."""

    kubectl: Kubectl
    namespace: str
    _found: dict[tuple[str, int], Version] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        for kind in _KINDS:
            watch = self._open.enter_context(self.kubectl.watch(kind, self.namespace))
            thread = threading.Thread(target=self._follow, args=(watch,), daemon=True)
            thread.start()
            self._open.callback(thread.join, 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._open.close()

    def versions(self, kind: str, name: str) -> list[Version]:
        """All versions of an object, in order."""
        found = [v for v in list(self._found.values()) if v.kind == kind and v.name == name]
        return sorted(found, key=lambda v: v.number)

    def statuses(self, name: str) -> list[tuple[int, CanaryRolloutStatus]]:
        """All statuses of a CanaryRollout with their numbers."""
        return [(v.number, v.status) for v in self.versions("CanaryRollout", name)]

    def weights(self, name: str) -> list[tuple[int, int]]:
        """Changes of the canary's weight in an HTTPRoute, in percent; a millionth counts as none."""
        found = ((v.number, weight(v.object)) for v in self.versions("HTTPRoute", name))
        return list(_changes(found))

    def generations(self, name: str) -> list[Object]:
        """Specs of an HTTPRoute, each that it ever had, once per write that changed it."""
        specs: dict[int, Object] = {}
        for version in self.versions("HTTPRoute", name):
            specs[version.object["metadata"]["generation"]] = version.object["spec"]
        return [specs[generation] for generation in sorted(specs)]

    def undecided_weights(self, name: str) -> list[str]:
        """Weights that the route got before a status said so."""
        statuses = self.statuses(name)
        wrong = []
        for number, percent in self.weights(name):
            before = [s for n, s in statuses if n < number]
            desired = before[-1].weight.desired if before else 0
            if percent > 0 and percent != desired:
                wrong.append(f"{percent} % at {number}, decided was {desired} %")
        return wrong

    def releases(self, name: str) -> list[tuple[str, Action]]:
        """Templates that a Deployment rolled out, as (VERSION, what was decided then), the first one left out."""
        statuses, found = self.statuses(name), []
        for version in self.versions("Deployment", name):
            spec = version.object["spec"]
            before = [s for n, s in statuses if n < version.number]
            if not spec.get("paused") and before:
                found.append((_sample_version(spec), before[-1].last_decision.action))
        return list(dict.fromkeys(found))

    def _follow(self, watch: Watch) -> None:
        while not self._ending.is_set():
            event = watch.next(_NEXT_SECONDS)
            if event is not None:
                body = event.object
                number = int(body["metadata"]["resourceVersion"])
                self._found[body["kind"], number] = Version(number, body["kind"], body["metadata"]["name"], body)


def weight(route: Object) -> int:
    """Percent of the canary's backend; none, and the millionth by which a weight fades, are 0."""
    backends: Sequence[Object] = route["spec"]["rules"][0].get("backendRefs") or []
    if len(backends) < 2:
        return 0
    shares = [int(b.get("weight", 1)) for b in backends]
    return round(100 * shares[1] / sum(shares)) if sum(shares) else 0


def _changes(items: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    before = 0
    for number, value in items:
        if value != before:
            yield number, value
        before = value


def _sample_version(spec: Object) -> str:
    container = spec["template"]["spec"]["containers"][0]
    return next(str(e["value"]) for e in container["env"] if e["name"] == "VERSION")
