"""What the handlers of `decide` and `analysis` share: the context of one decision, and questions to it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.sizing import canary_replicas, first_weight
from chaffinch_operator.canary.snapshot import Blocker, Snapshot
from chaffinch_operator.canary.status import CanaryRolloutStatus


@dataclass(frozen=True, slots=True)
class Context:
    """One decision's inputs. `status` is the one to go on from; `verb` an accepted request of a person."""

    spec: CanaryRolloutSpec
    status: CanaryRolloutStatus
    snap: Snapshot
    gates: Sequence[ResolvedGate]
    now: datetime
    verb: str = ""

    @property
    def action(self) -> Action:
        """What was decided last."""
        return self.status.last_decision.action

    @property
    def reason(self) -> Reason:
        """Why it was decided."""
        return self.status.last_decision.reason

    @property
    def message(self) -> str:
        """The sentence of the last decision."""
        return self.status.last_decision.message

    @property
    def by_route(self) -> bool:
        """Weights by a route, not by the ratio of pods."""
        return self.spec.traffic_routing.gateway_api is not None

    def asked(self, verb: str) -> bool:
        """Whether a person asked for this in this very pass."""
        return self.verb == verb


def blocked(c: Context) -> Blocker | None:
    """The first thing that forbids to start: what was found by looking, then what the target and Service say."""
    if c.snap.blockers:
        return c.snap.blockers[0]
    target, service, ref = c.snap.target, c.snap.service, c.spec.service_ref
    if target is None:
        return None
    if target.recreate:
        return Blocker(
            Reason.STRATEGY_RECREATE,
            f"Deployment {target.name} has strategy Recreate, which would drop all of "
            "stable's pods on promotion: set spec.strategy.type to RollingUpdate",
        )
    if service is None:
        return Blocker(
            Reason.SERVICE_NOT_FOUND,
            f"spec.serviceRef.name: there is no Service {ref.name} in namespace "
            f"{c.snap.namespace}: create it, or name another in a new CanaryRollout",
        )
    if ref.port not in service.ports:
        return Blocker(
            Reason.SERVICE_PORT_NOT_FOUND,
            f"spec.serviceRef.port: Service {ref.name} has no port {ref.port}, only "
            f"{', '.join(map(str, service.ports)) or 'none'}",
        )
    labels = ((target.template.get("metadata") or {}).get("labels")) or {}
    missing = {k: v for k, v in service.selector.items() if k != "pod-template-hash" and labels.get(k) != v}
    if missing or not service.selector:
        return Blocker(
            Reason.SERVICE_SELECTOR_MISMATCH,
            f"spec.serviceRef.name: Service {ref.name} does not select the pods of "
            f"Deployment {target.name} (selector {dict(service.selector)})",
        )
    return None


def canary_ready(c: Context) -> bool:
    """The canary runs the candidate and all its pods are available.

    With a route also: its endpoints are ready, and no in-cluster client of the Service can reach it.
    """
    canary, target, candidate = c.snap.canary, c.snap.target, c.status.candidate
    if canary is None or target is None or candidate is None or canary.deleting or canary.digest != candidate.digest:
        return False
    wanted = canary_replicas(c.spec, target.replicas, c.status.weight.desired or first_weight(c.spec))
    pods = canary.observed and canary.available >= wanted and canary.desired == wanted
    if not c.by_route:
        return pods
    isolated = c.snap.service is not None and c.snap.service.selector.get("pod-template-hash") == c.status.isolated_hash
    route = c.snap.route is not None and c.snap.route.accepted
    return pods and isolated and route and canary.service_exists and canary.ready_endpoints >= min(wanted, 1)


def weight_confirmed(c: Context) -> bool:
    """The decided weight is what the world says, read back."""
    canary, route, desired = c.snap.canary, c.snap.route, c.status.weight.desired
    if not c.by_route:
        return canary_ready(c) and canary is not None and canary.weight == desired
    return route is not None and route.accepted and (route.canary_weight or 0) == desired


def torn_down(c: Context) -> bool:
    """Nothing of a canary is left."""
    return c.snap.canary is None and (c.snap.route is None or c.snap.route.canary_weight is None)


def observe_weight(spec: CanaryRolloutSpec, status: CanaryRolloutStatus, snap: Snapshot) -> CanaryRolloutStatus:
    """Status with the weight as it is now, and since when."""
    if spec.traffic_routing.gateway_api is not None:
        applied = (snap.route.canary_weight or 0) if snap.route else 0
        since = snap.route.weight_since if snap.route else None
    else:
        applied = _pod_share(snap)
        since = snap.canary.weight_since if snap.canary else None
    stamp = clock.stamp(since) if since else ""
    weight = status.weight.model_copy(update={"applied": applied})
    drained = status.drained_at
    if status.weight.desired > 0 or (snap.canary is None and not stamp):
        drained = ""
    elif applied == 0 and snap.canary is not None and status.last_decision.action not in IN_FLIGHT:
        drained = stamp or status.drained_at
    return status.model_copy(update={"weight": weight, "drained_at": drained})


def isolation(c: Context) -> str:
    """The hash that the Service must be narrowed to: stable's while unproven pods exist, else none."""
    if not c.by_route or c.snap.namespace_deleting:
        return ""
    if c.action in IN_FLIGHT:
        return c.status.stable.hash if c.status.stable else ""
    if c.action in {Action.ROLL_BACK, Action.ABANDON, Action.RELEASE} and c.snap.canary is not None:
        return c.status.isolated_hash
    return ""


def _pod_share(snap: Snapshot) -> int:
    canary = snap.canary.ready if snap.canary else 0
    stable = sum(r.ready for r in snap.target.replica_sets) if snap.target else 0
    return round(100 * canary / (canary + stable)) if canary else 0
