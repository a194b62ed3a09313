"""What the handlers of `decide` and `analysis` share: the context of one decision, and questions to it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chaffinch_operator import names
from chaffinch_operator.canary import clock
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.revision import HASH_LABEL
from chaffinch_operator.canary.sizing import canary_replicas, first_weight
from chaffinch_operator.canary.snapshot import Blocker, Canary, Snapshot, Target
from chaffinch_operator.canary.status import CanaryRolloutStatus

SUSPENDABLE = IN_FLIGHT | {Action.IDLE, Action.WAIT, Action.REJECTED}
"""What suspend stops. A rollback, a release or a removal that was decided is still carried out."""


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

    @property
    def suspended(self) -> bool:
        """Whether spec.suspend keeps everything as it is."""
        return self.spec.suspend and not self.snap.deleting and self.action in SUSPENDABLE

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
            f"{', '.join(map(str, service.ports)) or 'none'}: add it, or name another in a new CanaryRollout",
        )
    labels = ((target.template.get("metadata") or {}).get("labels")) or {}
    missing = {k: v for k, v in service.selector.items() if k != HASH_LABEL and labels.get(k) != v}
    if missing or not service.selector:
        return Blocker(
            Reason.SERVICE_SELECTOR_MISMATCH,
            f"spec.serviceRef.name: Service {ref.name} does not select the pods of Deployment {target.name}: give the "
            f"template the labels of its selector {dict(service.selector)}, or change the selector",
        )
    return None


def rival(c: Context) -> Blocker | None:
    """An older CanaryRollout has the target: this one must touch neither it nor what belongs to it."""
    return next((b for b in c.snap.blockers if b.reason is Reason.TARGET_CONFLICT), None)


def canary_ready(c: Context) -> bool:
    """Whether the canary can carry its weight, and no in-cluster client of the Service can reach it by accident."""
    return not unready(c)


def unready(c: Context) -> str:
    """What the canary lacks to carry its weight; empty when nothing."""
    canary, target, candidate = c.snap.canary, c.snap.target, c.status.candidate
    if canary is None or target is None or candidate is None or canary.deleting or canary.digest != candidate.digest:
        return "there is no canary Deployment of the candidate yet"
    wanted = canary_replicas(c.spec, target.replicas, c.status.weight.desired or first_weight(c.spec))
    if not canary.observed or canary.available < wanted or canary.desired != wanted:
        return f"{canary.available} of {wanted} pods are available"
    return _unreachable(c, canary) if c.by_route else ""


def _unreachable(c: Context, canary: Canary) -> str:
    """What the route lacks to send requests to the canary, and to it alone."""
    service, route = c.snap.service, c.snap.route
    if service is None or service.selector.get(HASH_LABEL) != c.status.isolated_hash:
        return f"Service {c.spec.service_ref.name} is not narrowed to stable's pods yet"
    if not canary.service_exists or canary.ready_endpoints < 1:
        return f"Service {names.canary_name(c.spec.service_ref.name)} has no ready endpoint"
    if route is None or not route.accepted:
        return f"the Gateway has not accepted HTTPRoute {c.snap.name} yet"
    return ""


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
    """Status with the weight as it is now."""
    by_route = spec.traffic_routing.gateway_api is not None
    applied = ((snap.route.canary_weight or 0) if snap.route else 0) if by_route else _pod_share(snap)
    return status.model_copy(update={"weight": status.weight.model_copy(update={"applied": applied})})


def drained_at(c: Context) -> str:
    """When weight zero was written; empty while there is a weight, or may be soon, or nothing is left to drain."""
    status, canary, route = c.status, c.snap.canary, c.snap.route
    weighty = status.weight.desired > 0 or status.weight.applied > 0 or c.action in IN_FLIGHT
    if weighty or (canary is None and (route is None or route.canary_weight is None)):
        return ""
    since = route.weight_since if route else None
    return clock.stamp(since) if since else status.drained_at or clock.stamp(c.now)


def isolation(c: Context) -> str:
    """The hash that the Service must be narrowed to: stable's while unproven pods exist, else none."""
    if not c.by_route or c.snap.namespace_deleting:
        return ""
    wanted = ""
    if c.action in IN_FLIGHT:
        wanted = c.status.stable.hash if c.status.stable else ""
    elif c.action in {Action.ROLL_BACK, Action.ABANDON, Action.RELEASE} and c.snap.canary is not None:
        wanted = c.status.isolated_hash
    return wanted if _stays(c.snap.target, wanted) else ""


def _stays(target: Target | None, pod_hash: str) -> bool:
    """Whether the target keeps the pods of the hash: a Service narrowed to a revision being left has no endpoints."""
    kept = next((r.revision for r in target.replica_sets if r.revision.hash == pod_hash), None) if target else None
    return target is not None and kept is not None and (target.paused or kept.digest == target.revision.digest)


def _pod_share(snap: Snapshot) -> int:
    canary = snap.canary.ready if snap.canary else 0
    stable = sum(r.ready for r in snap.target.replica_sets) if snap.target else 0
    return round(100 * canary / (canary + stable)) if canary else 0
