"""Builders for tests of the canary slice: a scene says only what matters, the rest is a shop in good order.

`scene()` is at rest: Deployment web runs v1 on four pods behind Service web and an HTTPRoute. Each method gives a new
scene, so a test reads as what happened: `scene().held("v2").decide()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from chaffinch_operator.canary import clock, revision
from chaffinch_operator.canary.decide import decide
from chaffinch_operator.canary.flow import Context
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.plan import Operation, plan
from chaffinch_operator.canary.reasons import Action, Reason, Verdict
from chaffinch_operator.canary.report import report
from chaffinch_operator.canary.sizing import baseline_weight, canary_replicas, first_weight
from chaffinch_operator.canary.snapshot import (
    ArmReading,
    Blocker,
    Canary,
    GateReading,
    IntervalReading,
    ReplicaSet,
    Route,
    Service,
    Snapshot,
    Target,
)
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.canary.status import (
    CanaryRolloutStatus,
    DecisionStatus,
    GateStatus,
    Revision,
    StepStatus,
    Weight,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NAMING = Naming("shop", "web", "web-hv1-", "web-canary-", stable_workload="web", canary_workload="web-canary")
ERRORS = {
    "name": "errors",
    "ratio": {"bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"},
    "safeBelow": "0.01",
}
RESTARTS = {"name": "restarts", "podRestarts": {"max": 2}}
SPEC: dict[str, Any] = {
    "targetRef": {"name": "web"},
    "serviceRef": {"name": "web", "port": 80},
    "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["shop.example"]}},
    "steps": [{"setWeight": 25, "minDuration": "2m"}, {"setWeight": 50, "minDuration": "2m"}],
    "analysis": {
        "interval": "30s",
        "provider": {"prometheus": {"address": "http://prometheus:9090"}},
        "gates": [ERRORS, RESTARTS],
    },
}


def template(version: str) -> dict[str, Any]:
    """The pod template of a version, as the API server defaults it."""
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": f"shop/web:{version}"}]},
    }


@lru_cache
def rev(version: str, hash_: str | None = None) -> Revision:
    """The revision of a version; its pod-template-hash is `h<version>`."""
    text = f"h{version}" if hash_ is None else hash_
    return Revision(digest=revision.digest(template(version)), hash=text, image=f"shop/web:{version}")


def digest(version: str) -> str:
    """What names the version's template."""
    return rev(version).digest


@lru_cache
def replica_set(version: str, pods: int, ready: int | None = None) -> ReplicaSet:
    """A ReplicaSet of web with so many pods."""
    there = pods if ready is None else ready
    return ReplicaSet(f"web-h{version}", rev(version), pods, there, pods, template=template(version))


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the change laid over it; None removes a key."""
    out = dict(base)
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


@dataclass(frozen=True)
class Scene:
    """Inputs of one decision, and short ways to change them."""

    body: Mapping[str, Any]
    state: CanaryRolloutStatus
    snap: Snapshot
    now: datetime = NOW

    # building

    def spec(self, **change: Any) -> Scene:
        """Lay camelCase fields over the spec."""
        return replace(self, body=merged(self.body, change))

    def by_replicas(self) -> Scene:
        """Weights by the ratio of pods, without a route."""
        changed = self.spec(trafficRouting={"gatewayAPI": None, "replicas": {}})
        return replace(changed, snap=replace(self.snap, route=None))

    def with_baseline(self) -> Scene:
        """Candidates are compared with a baseline of their own; so is the one that is being judged already."""
        changed = self.spec(canary={"baseline": "Dedicated"})
        if self.state.candidate is None:
            return changed
        changed = changed.status(baseline="Dedicated")
        have = changed.snap.canary
        if have is not None:
            changed = changed.world(baseline=replace(have, uid="b", digest=digest("v1"), weight=0, weight_since=None))
        route = changed.snap.route
        if route is None or route.canary_weight is None:
            return changed
        left = 100 - route.canary_weight - baseline_weight(route.canary_weight)
        return changed.route(baseline=True, stable_weight=left)

    def baseline(self, **change: Any) -> Scene:
        """Change the baseline."""
        assert self.snap.baseline is not None
        return self.world(baseline=replace(self.snap.baseline, **change))

    def target(self, **change: Any) -> Scene:
        """Change the Deployment."""
        assert self.snap.target is not None
        return self.world(target=replace(self.snap.target, **change))

    def running(self, *sets: ReplicaSet) -> Scene:
        """The Deployment's ReplicaSets."""
        return self.target(replica_sets=sets)

    def held(self, version: str) -> Scene:
        """Another template was applied, and the API server paused the Deployment."""
        changed = self.target(template=template(version), revision=rev(version, ""), paused=True, settled=False)
        return changed if version != "v1" else changed.target(revision=rev("v1", ""))

    def rolled(self, version: str) -> Scene:
        """The Deployment runs a version everywhere."""
        return self.target(
            template=template(version),
            revision=rev(version, ""),
            paused=False,
            settled=True,
            replica_sets=(replica_set(version, 4),),
        )

    def world(self, **change: Any) -> Scene:
        """Change the snapshot."""
        return replace(self, snap=replace(self.snap, **change))

    def service(self, **change: Any) -> Scene:
        """Change the user's Service."""
        assert self.snap.service is not None
        return self.world(service=replace(self.snap.service, **change))

    def canary(self, **change: Any) -> Scene:
        """Change the canary, making one if need be."""
        have = self.snap.canary or self._ready_canary()
        return self.world(canary=replace(have, **change))

    def route(self, **change: Any) -> Scene:
        """Change the HTTPRoute."""
        assert self.snap.route is not None
        return self.world(route=replace(self.snap.route, **change))

    def blocker(self, reason: Reason, message: str = "look here") -> Scene:
        """Something was found that forbids to start."""
        return self.world(blockers=(*self.snap.blockers, Blocker(reason, message)))

    def unreachable(self) -> Scene:
        """Prometheus does not answer."""
        return self.world(provider_problem=Blocker(Reason.PROVIDER_UNREACHABLE, "no answer"))

    def ask(self, verb: str, token: str = "1") -> Scene:
        """A person sets the annotation."""
        return self.world(request=f"{verb}@{token}")

    def at(self, seconds: float) -> Scene:
        """Move the clock to so many seconds after NOW."""
        return replace(self, now=NOW + timedelta(seconds=seconds))

    def status(self, **change: Any) -> Scene:
        """Change fields of the status."""
        return replace(self, state=self.state.model_copy(update=change))

    def decision(self, action: Action, reason: Reason, message: str = "why", at: float = 0) -> Scene:
        """What was decided last, and when."""
        last = DecisionStatus(action=action, reason=reason, message=message, at=stamp(at))
        return self.status(last_decision=last)

    def gate(self, name: str, verdict: Verdict, message: str = "") -> Scene:
        """What one gate says."""
        designs = {g.name: g for g in self.gates}
        new = GateStatus(
            name=name,
            verdict=verdict,
            design=designs[name].design,
            dry_run=designs[name].dry_run,
            message=message or f"{name}: {verdict}",
        )
        return self.status(gates=[new if g.name == name else g for g in self.state.gates])

    def interval(self, start: float, length: float = 30, **arms: Any) -> Scene:
        """A closed interval of the gate errors: canary=(bad, total), baseline=(bad, total), problem=Blocker."""
        reading = GateReading(
            "errors",
            ArmReading(*arms.get("canary", (0, 100))),
            ArmReading(*arms.get("baseline", (0, 300))),
            arms.get("problem"),
        )
        one = IntervalReading(moment(start), moment(start + length), (reading,))
        return self.world(intervals=(*self.snap.intervals, one))

    # stages of a rollout of v2

    def starting(self) -> Scene:
        """v2 is held, decided on at 0, and nothing exists yet."""
        changed = self.held("v2").decision(Action.START, Reason.INITIALIZING)
        return changed.status(candidate=rev("v2", ""), candidate_since=stamp(0), isolated_hash="hv1", gates=[])

    def prepared(self) -> Scene:
        """The canary of v2 is available, isolated and known to the gateway; it has no request yet."""
        changed = self.starting().service(selector={"app": "web", "pod-template-hash": "hv1"}, isolated_note="web")
        if changed.snap.route is not None:
            changed = changed.route(canary_weight=0, weight_since=moment(0))
        return changed.canary()

    def shifting(self, index: int = 0, since: float = 0) -> Scene:
        """At a step of setWeight whose weight was confirmed, judged from `since` on; the gates say Inconclusive."""
        changed = self.prepared().decision(Action.SHIFT, Reason.ANALYZING, at=since)
        weight = changed.step_weight(index)
        end = clock.ceil_to_grid(moment(since + 10), 30)
        changed = changed.status(
            step=StepStatus(index=index, started_at=stamp(since)),
            weight=Weight(desired=weight, applied=weight, since=stamp(since)),
            analysis_started_at=stamp(since),
            interval_end=clock.stamp(end),
            gates=[
                GateStatus(
                    name=g.name, verdict=Verdict.INCONCLUSIVE, design=g.design, dry_run=g.dry_run, message=g.name
                )
                for g in changed.gates
            ],
        )
        if changed.snap.route is not None:
            changed = changed.route(canary_weight=weight, stable_weight=100 - weight, weight_since=moment(since))
        ready = changed._ready_canary(weight)  # noqa: SLF001 - another scene of the same class
        return changed.world(canary=replace(ready, weight_since=moment(since)))

    def judged(self, until: float) -> Scene:
        """Intervals up to a time were read."""
        return self.status(interval_end=stamp(until))

    def holding(self) -> Scene:
        """All steps are done; the gates have not proven it."""
        return self.shifting(index=1).judged(300).decision(Action.HOLD, Reason.INSUFFICIENT_EVIDENCE).at(300)

    def promoting(self) -> Scene:
        """v2 has passed; the Deployment is about to be released."""
        changed = self.shifting(index=1).decision(Action.PROMOTE, Reason.GATES_PASSED, "every gate passed")
        return changed.service(selector={"app": "web"}, isolated_note="").status(isolated_hash="")

    def rolling_back(self) -> Scene:
        """v2 failed; its canary still has its weight."""
        changed = self.shifting(index=1).decision(Action.ROLL_BACK, Reason.GATE_FAILED, "gate errors: 5x")
        return changed.status(weight=changed.state.weight.model_copy(update={"desired": 0}))

    def rejected(self) -> Scene:
        """v2 was rolled back and stays held."""
        changed = self.held("v2").decision(Action.REJECTED, Reason.ROLLED_BACK, "rolled back: gate errors: 5x")
        return changed.status(candidate=rev("v2", ""), rejected_revisions=[digest("v2")])

    def gone(self) -> Scene:
        """Nothing of a canary is left, and the Service has its own selector."""
        changed = self.world(canary=None, baseline=None).service(selector={"app": "web"}, isolated_note="")
        if changed.snap.route is None:
            return changed
        return changed.route(canary_weight=None, stable_weight=100, baseline=False)

    # looking

    @property
    def model(self) -> CanaryRolloutSpec:
        """The spec as the slice reads it."""
        return CanaryRolloutSpec.model_validate(self.body)

    @property
    def gates(self) -> tuple[ResolvedGate, ...]:
        """The gates as they are judged."""
        return resolve(self.model, replace(NAMING, baseline_pods="web-baseline-") if self.state.baseline else NAMING)

    @property
    def context(self) -> Context:
        """For the functions that take it whole."""
        return Context(self.model, self.state, self.snap, self.gates, self.now)

    def decide(self) -> Scene:
        """The scene with the next status."""
        return replace(self, state=decide(self.model, self.state, self.snap, self.gates, self.now))

    def report(self) -> CanaryRolloutStatus:
        """The status as it is written."""
        return report(self.context)

    def plan(self) -> tuple[Operation, ...]:
        """The writes for the decision in the status."""
        return plan(self.context)

    @property
    def verdict(self) -> tuple[Action, Reason]:
        """What was decided, and why."""
        return self.state.last_decision.action, self.state.last_decision.reason

    @property
    def message(self) -> str:
        """The sentence that goes with it."""
        return self.state.last_decision.message

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition in the report."""
        return next((c.status, c.reason) for c in self.report().conditions if c.type == kind)

    def step_weight(self, index: int) -> int:
        """The weight in force at a step."""
        weights = [s.set_weight for s in self.model.steps[: index + 1] if s.set_weight is not None]
        return weights[-1] if weights else 0

    def _ready_canary(self, weight: int = 0) -> Canary:
        assert self.snap.target is not None
        weight = weight or first_weight(self.model)
        pods = canary_replicas(self.model, self.snap.target.replicas, weight)
        return Canary(
            uid="c",
            digest=digest("v2"),
            desired=pods,
            ready=pods,
            available=pods,
            observed=True,
            weight=weight,
            weight_since=NOW,
            deleting=False,
            created_at=NOW,
            service_exists=True,
            ready_endpoints=pods,
        )


def moment(seconds: float) -> datetime:
    """So many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    """The same as status has it."""
    return clock.stamp(moment(seconds))


@lru_cache
def scene() -> Scene:
    """A shop at rest: v1 is stable, nothing is under way."""
    target = Target(
        name="web",
        uid="t",
        resource_version="1",
        template=template("v1"),
        revision=rev("v1", ""),
        selector={"app": "web"},
        replicas=4,
        paused=False,
        recreate=False,
        settled=True,
        stuck="",
        replica_sets=(replica_set("v1", 4),),
    )
    service = Service("1", {"app": "web"}, 8080, "http", (80,))
    route = Route("r", 100, None, None, accepted=True, problem="", current=True)
    snap = Snapshot("web", "shop", "uid-1", 1, target=target, service=service, route=route, hold_message="held")
    status = CanaryRolloutStatus(
        observed_generation=1,
        stable=rev("v1"),
        promoted_revisions=[digest("v1")],
        last_decision=DecisionStatus(
            action=Action.IDLE, reason=Reason.PROMOTED, message="stable serves", at=stamp(-3600)
        ),
    )
    return Scene(SPEC, status, snap)


def first_sight() -> Scene:
    """The same shop, never looked at before."""
    return replace(scene(), state=CanaryRolloutStatus())
