"""A small model of the world: a shop whose objects change by the planned writes, and by what people do.

One second at a time: counters count, pods come, gateways accept, the Deployment controller rolls. Every write is
checked against what must never happen. Nothing is random here; tests bring the chance.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from chaffinch_operator.canary import clock, objects
from chaffinch_operator.canary.decide import decide
from chaffinch_operator.canary.flow import Context
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.plan import (
    Apply,
    Delete,
    Isolate,
    Operation,
    Unisolate,
    Unpause,
    finished,
    plan,
)
from chaffinch_operator.canary.readings import due
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.report import LIMIT_BYTES, report, size
from chaffinch_operator.canary.sizing import baseline_weight
from chaffinch_operator.canary.snapshot import (
    ArmReading,
    Blocker,
    Canary,
    GateReading,
    IntervalReading,
    Route,
    Snapshot,
)
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.names import LABEL_TRACK
from chaffinch_operator.schema import compact
from unit.canary.builders import NAMING, SPEC, digest, moment, replica_set, rev, scene, template

VERSIONS = {digest(v): v for v in ("v0", "v1", "v2", "v3", "v4")}
BAD = {"v3": 200}
"""Errors per thousand requests; one in a thousand elsewhere."""
RATE = 100
"""Requests per second."""
JUDGED = {Action.SHIFT, Action.PAUSE, Action.HOLD}


@lru_cache
def understood(body: str) -> tuple[CanaryRolloutSpec, tuple[ResolvedGate, ...]]:
    """The spec and its gates."""
    spec = CanaryRolloutSpec.model_validate(json.loads(body))
    return spec, resolve(spec, NAMING)


@dataclass
class CopyState:
    """The canary Deployment, or the baseline."""

    version: str
    replicas: int
    weight: int
    since: str
    born: int
    ready_at: int


@dataclass
class RouteState:
    """The HTTPRoute; weight as in its body."""

    weight: int | None
    since: str
    accepted_at: int
    baseline: bool = False

    @property
    def share(self) -> int:
        """Percent of requests for the canary."""
        return max(self.weight or 0, 0)


@dataclass
class World:
    """Everything there is, and the operator that looks at it."""

    body: dict[str, Any] = field(default_factory=lambda: SPEC)
    now: int = 0
    status: CanaryRolloutStatus = field(default_factory=CanaryRolloutStatus)
    version: str | None = "v1"
    paused: bool = False
    replicas: int = 4
    pods: dict[str, int] = field(default_factory=lambda: {"v1": 4})
    edits: int = 1
    narrowed: str = ""
    noted: bool = False
    canary: CopyState | None = None
    baseline: CopyState | None = None
    services: set[str] = field(default_factory=set)
    """Of canary and baseline, by track."""
    route: RouteState | None = None
    request: str = ""
    deleting: bool = False
    gone: bool = False
    blind: bool = False
    crashing: frozenset[str] = frozenset()
    counters: list[tuple[int, ...]] = field(default_factory=lambda: [(0,) * 6])
    """Bad and all requests of canary, baseline and stable, second by second."""
    writes: list[tuple[int, str]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)

    # what people do

    def push(self, version: str) -> None:
        """Apply a template; the API server holds it."""
        if self.version is None:
            self.version, self.pods, self.paused = version, {version: self.replicas}, False
        elif self.version != version:
            self.version, self.paused = version, True
        self.edits += 1

    def remove_target(self) -> None:
        """Delete the Deployment."""
        self.version, self.pods, self.paused = None, {}, False

    def ask(self, verb: str) -> None:
        """Set the annotation."""
        self.request = f"{verb}@{self.now}"

    def lose_canary(self) -> None:
        """Delete the canary Deployment."""
        self.canary = None

    def lose_canary_service(self) -> None:
        """Delete the canary Service."""
        self.services.discard("canary")

    def lose_baseline(self) -> None:
        """Delete the baseline Deployment."""
        self.baseline = None

    def lose_baseline_service(self) -> None:
        """Delete the baseline Service."""
        self.services.discard("baseline")

    def lose_route(self) -> None:
        """Delete the HTTPRoute."""
        self.route = None

    def spec(self, **change: Any) -> None:
        """Edit the spec."""
        self.body = {**self.body, **change}

    def scale(self, replicas: int) -> None:
        """An autoscaler, or a person, changes the number of pods."""
        before, self.replicas = self.replicas, replicas
        self.edits += 1
        if self.pods:
            largest = max(self.pods, key=lambda v: (self.pods[v], v))
            self.pods[largest] = max(0, self.pods[largest] + replicas - before)

    # what the cluster does

    def tick(self) -> None:
        """One second."""
        weight = self.route.share if self.route else 0
        beside = baseline_weight(weight) if self.route and self.route.baseline else 0
        canary_bad, canary, _, baseline, _, stable = self.counters[-1]
        canary, baseline = canary + RATE * weight // 100, baseline + RATE * beside // 100
        stable += RATE * (100 - weight - beside) // 100
        if self.canary is not None:
            canary_bad = max(canary_bad, canary * BAD.get(self.canary.version, 1) // 1000)
        self.counters.append((canary_bad, canary, baseline // 1000, baseline, stable // 1000, stable))
        self.now += 1
        self._roll()
        self._check()

    def _roll(self) -> None:
        if self.version is None or self.paused:
            return
        old = next((v for v, n in self.pods.items() if n > 0 and v != self.version), None)
        if old is not None:
            self.pods[old] -= 1
            self.pods[self.version] = self.pods.get(self.version, 0) + 1

    def _check(self) -> None:
        """No Service without pods, no weight without a canary."""
        if self.narrowed and self.version is not None and self.replicas:
            assert self.pods.get(self.narrowed.removeprefix("h"), 0) > 0, "the Service selects no pods"

    # what the operator does

    def snapshot(self) -> Snapshot:
        """The world in one pass."""
        base = scene()
        if self.version is None:
            base = base.world(target=None)
        else:
            sets = tuple(replica_set(v, n) for v, n in sorted(self.pods.items()) if n > 0)
            settled = not self.paused and all(s.revision.digest == digest(self.version) for s in sets)
            base = base.target(
                template=template(self.version),
                revision=rev(self.version, ""),
                paused=self.paused,
                settled=settled,
                replicas=self.replicas,
                resource_version=str(self.edits),
                replica_sets=sets,
            )
        selector = {"app": "web"} | ({"pod-template-hash": self.narrowed} if self.narrowed else {})
        base = base.service(selector=selector, isolated_note="web" if self.noted else "")
        copies = {"canary": self._copy("canary"), "baseline": self._copy("baseline")}
        snap = base.world(**copies, route=self._route(), request=self.request, deleting=self.deleting).snap
        return replace(snap, provider_problem=Blocker(Reason.PROVIDER_UNREACHABLE, "away") if self.blind else None)

    def _copy(self, track: str) -> Canary | None:
        state = self.canary if track == "canary" else self.baseline
        if state is None:
            return None
        ready = 0 if state.version in self.crashing or self.now < state.ready_at else state.replicas
        return Canary(
            uid=track,
            digest=digest(state.version),
            desired=state.replicas,
            ready=ready,
            available=ready,
            observed=True,
            weight=state.weight,
            weight_since=clock.parse(state.since),
            deleting=False,
            created_at=moment(state.born),
            service_exists=track in self.services,
            ready_endpoints=ready if track in self.services else 0,
        )

    def _route(self) -> Route | None:
        if self.route is None:
            return None
        weight, share = self.route.weight, self.route.share
        return Route(
            uid="r",
            stable_weight=100 - share - (baseline_weight(share) if self.route.baseline else 0),
            canary_weight=0 if weight == objects.FADING else weight,
            weight_since=clock.parse(self.route.since),
            accepted=self.now >= self.route.accepted_at,
            problem="",
            current=True,
            fading=weight == objects.FADING,
            baseline=self.route.baseline,
        )

    def _intervals(self, spec: CanaryRolloutSpec) -> tuple[IntervalReading, ...]:
        if self.blind or self.deleting or spec.suspend or self.status.last_decision.action not in JUDGED:
            return ()
        readings = []
        for start, end in due(spec, self.status, moment(self.now)):
            first, last = (max(0, round((at - moment(0)).total_seconds())) for at in (start, end))
            bad, total, *beside, stable_bad, stable = (
                b - a for a, b in zip(self.counters[first], self.counters[last], strict=True)
            )
            if self.status.baseline:
                arms, others = (ArmReading(bad, total), ArmReading(*beside)), stable
            else:
                arms, others = (ArmReading(bad, total), ArmReading(stable_bad, stable)), 0
            one = GateReading("errors", *arms, other_requests=others)
            readings.append(IntervalReading(start, end, (one,)))
        return tuple(readings)

    def look(self, kill: int | None = None) -> None:
        """One pass. kill: the process dies before the status is written (0), or after so many more writes."""
        spec, gates = understood(json.dumps(self.body))
        snap = replace(self.snapshot(), intervals=self._intervals(spec))
        context = Context(spec, self.status, snap, gates, moment(self.now))
        context = replace(context, status=decide(spec, self.status, snap, gates, moment(self.now)))
        after = report(context)
        if kill == 0:
            return
        if after != self.status:
            assert size(after) <= LIMIT_BYTES
            self.status = CanaryRolloutStatus.model_validate(compact(after))
            assert self.status == after
            self.writes.append((self.now, "status"))
        operations = plan(context)
        for operation in operations if kill is None else operations[: kill - 1]:
            self.carry_out(operation)
        if self.deleting and kill is None:
            self.gone = finished(context)

    def carry_out(self, operation: Operation) -> None:
        """One write, with its effect, unless it must never be made."""
        self.writes.append((self.now, type(operation).__name__))
        handlers: dict[type[Any], Callable[[Any], None]] = {
            Apply: self._apply,
            Delete: self._delete,
            Isolate: self._isolate,
            Unisolate: self._unisolate,
            Unpause: self._unpause,
        }
        handlers[type(operation)](operation)

    def _apply(self, operation: Apply) -> None:
        notes = operation.body["metadata"].get("annotations", {})
        if operation.kind == "HTTPRoute":
            self._apply_route(tuple(b["weight"] for b in operation.body["spec"]["rules"][0]["backendRefs"]), notes)
        elif operation.kind == "Service":
            self.services.add(operation.body["spec"]["selector"][LABEL_TRACK])
        else:
            self._apply_copy(operation.body["spec"], notes)

    def _apply_route(self, shares: tuple[int, ...], notes: dict[str, str]) -> None:
        before, after = self.route, objects.weight_of(shares)
        new = RouteState(after, notes[objects.WEIGHT_SINCE], self.now + 1, baseline=len(shares) > 2)
        copies = [self._copy(track) for track in ("canary", "baseline")[: len(shares) - 1]]
        answering = [copy is not None and copy.ready_endpoints > 0 for copy in copies]
        serving = all(answering)
        known = before is not None and before.weight is not None and before.baseline is new.baseline
        assert len(shares) == 1 or shares[0] > 0, "stable's backend at zero beside others"
        if new.share > (before.share if before else 0) or (after == objects.FADING and not known):
            assert serving, "a share without endpoints"
        if new.share > 0 and not (before and before.share):
            assert known, "a share at once for a backend that the gateway does not know"
            assert before is not None
            assert before.accepted_at <= self.now
        if before is not None and before.share > 0 and new.share == 0:
            assert after == objects.FADING or not any(answering), (
                "a backend that serves is taken from the gateway at once"
            )
        if before is not None and before.baseline and not new.baseline:
            assert before.share == 0, "the baseline's backend goes with a share"
        self.route = new

    def _apply_copy(self, body: dict[str, Any], notes: dict[str, str]) -> None:
        assert self.narrowed == self.status.isolated_hash != "", "a canary that in-cluster clients reach"
        track = body["template"]["metadata"]["labels"][LABEL_TRACK]
        version = VERSIONS[notes.get(objects.CANDIDATE) or notes[objects.STABLE_REVISION]]
        assert body["template"]["spec"] == template(version)["spec"], "not the template it says"
        have = self.canary if track == "canary" else self.baseline
        if have is not None and have.version != version:
            assert not (self.route and self.route.weight), "another template under a weight"
        replicas = body["replicas"]
        grown = have is None or replicas > have.replicas or version != have.version
        made = CopyState(
            version=version,
            replicas=replicas,
            weight=int(notes.get(objects.WEIGHT, 0)),
            since=notes.get(objects.WEIGHT_SINCE, ""),
            born=have.born if have else self.now,
            ready_at=self.now + 3 if grown or have is None else have.ready_at,
        )
        if track == "canary":
            self.canary = made
        else:
            assert made.version == self.narrowed.removeprefix("h"), "a baseline of another template than stable's"
            self.baseline = made

    def _delete(self, operation: Delete) -> None:
        assert self.route is None or self.route.weight is None, "the route still names it"
        track = operation.name.removeprefix("web-")
        if operation.kind == "Service":
            self.services.discard(track)
        elif track == "canary":
            self.canary = None
        else:
            self.baseline = None

    def _isolate(self, _operation: Isolate) -> None:
        assert self.status.isolated_hash, "written before the status"
        self.narrowed, self.noted = self.status.isolated_hash, True

    def _unisolate(self, _operation: Unisolate) -> None:
        assert not self.status.isolated_hash
        self.narrowed, self.noted = "", False

    def _unpause(self, operation: Unpause) -> None:
        assert operation.resource_version == str(self.edits)
        assert not self.narrowed, "the new pods would get no requests"
        assert self.version is not None
        wanted = self.status.stable if self.deleting else self.status.candidate
        assert wanted is not None
        assert wanted.digest == digest(self.version), "another template than the one decided on"
        self.paused = False
        self.edits += 1
        self.released.append(self.version)

    def run(self, seconds: int, kill: Callable[[], int | None] = lambda: None) -> World:
        """So many seconds with one pass each."""
        for _ in range(seconds):
            if not self.gone:
                self.look(kill())
            self.tick()
        return self

    @property
    def end(self) -> dict[str, Any]:
        """What is left, whatever the way here; times and numbers aside."""
        last = self.status.last_decision
        return {
            "decision": (last.action, last.reason),
            "pods": {v: n for v, n in self.pods.items() if n},
            "held": (self.version, self.paused),
            "canary": self.canary and self.canary.version,
            "baseline": self.baseline and self.baseline.version,
            "weight": self.route.weight if self.route else None,
            "narrowed": self.narrowed,
            "stable": self.status.stable and self.status.stable.digest,
            "promoted": self.status.promoted_revisions,
            "rejected": self.status.rejected_revisions,
            "history": [(VERSIONS[h.digest], h.result) for h in self.status.history],
        }


def at_rest(baseline: str = "None") -> World:
    """A shop that was looked at. baseline: spec.canary.baseline."""
    return World(body={**SPEC, "canary": {"baseline": baseline}}).run(3)
