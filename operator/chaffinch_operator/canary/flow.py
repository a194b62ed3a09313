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
    def dedicated(self) -> bool:
        """Whether the present candidate is compared with a baseline of its own, as was decided when it started."""
        return self.status.baseline == "Dedicated"

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
    """Whether the canary can carry its weight, and no in-cluster client of the Service can reach it by accident.

    With a dedicated baseline the same of the baseline.
    """
    return not (unready(c) or baseline_unready(c))


def unready(c: Context) -> str:
    """What the canary lacks to carry its weight; empty when nothing."""
    candidate = c.status.candidate
    missing = "there is no canary Deployment of the candidate yet"
    if candidate is None:
        return missing
    name = names.canary_name(c.spec.service_ref.name)
    lacks = _short_of_pods(c, c.snap.canary, candidate.digest, missing)
    if lacks or not c.by_route:
        return lacks
    return _not_isolated(c) or _without_endpoint(c.snap.canary, name) or _not_accepted(c)


def baseline_unready(c: Context) -> str:
    """What the dedicated baseline lacks to get its share; empty when nothing, or when there is to be none."""
    stable = c.status.stable
    if not c.dedicated or stable is None:
        return ""
    missing = f"there is no Deployment {names.baseline_name(c.spec.target_ref.name)} of stable's template yet"
    name = names.baseline_name(c.spec.service_ref.name)
    lacks = _short_of_pods(c, c.snap.baseline, stable.digest, missing)
    return lacks if lacks or not c.by_route else _without_endpoint(c.snap.baseline, name)


def _short_of_pods(c: Context, copy: Canary | None, digest: str, missing: str) -> str:
    """missing: what to say when there is no such Deployment of the template."""
    target = c.snap.target
    if copy is None or target is None or copy.deleting or copy.digest != digest:
        return missing
    wanted = canary_replicas(c.spec, target.replicas, c.status.weight.desired or first_weight(c.spec))
    if not copy.observed or copy.available < wanted or copy.desired != wanted:
        return f"{copy.available} of {wanted} pods are available"
    return ""


def _not_isolated(c: Context) -> str:
    service = c.snap.service
    if service is None or service.selector.get(HASH_LABEL) != c.status.isolated_hash:
        return f"Service {c.spec.service_ref.name} is not narrowed to stable's pods yet"
    return ""


def _without_endpoint(copy: Canary | None, service: str) -> str:
    if copy is None or not copy.service_exists or copy.ready_endpoints < 1:
        return f"Service {service} has no ready endpoint"
    return ""


def _not_accepted(c: Context) -> str:
    route = c.snap.route
    return "" if route and route.accepted else f"the Gateway has not accepted HTTPRoute {c.snap.name} yet"


def weight_confirmed(c: Context) -> bool:
    """The decided weight is what the world says, read back."""
    canary, route, desired = c.snap.canary, c.snap.route, c.status.weight.desired
    if not c.by_route:
        return canary_ready(c) and canary is not None and canary.weight == desired
    if route is None or not route.accepted or (c.dedicated and desired > 0 and not route.baseline):
        return False
    return (route.canary_weight or 0) == desired


def torn_down(c: Context) -> bool:
    """Nothing of a canary is left, nor of its baseline."""
    return not _copies(c) and (c.snap.route is None or c.snap.route.canary_weight is None)


def observe_weight(spec: CanaryRolloutSpec, status: CanaryRolloutStatus, snap: Snapshot) -> CanaryRolloutStatus:
    """Status with the weight as it is now."""
    by_route = spec.traffic_routing.gateway_api is not None
    applied = ((snap.route.canary_weight or 0) if snap.route else 0) if by_route else _pod_share(snap)
    return status.model_copy(update={"weight": status.weight.model_copy(update={"applied": applied})})


def drained_at(c: Context) -> str:
    """When weight zero was written; empty while there is a weight, or may be soon, or nothing is left to drain."""
    status, route = c.status, c.snap.route
    weighty = status.weight.desired > 0 or status.weight.applied > 0 or c.action in IN_FLIGHT
    if weighty or (not _copies(c) and (route is None or route.canary_weight is None)):
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
    elif c.action in {Action.ROLL_BACK, Action.ABANDON, Action.RELEASE} and _copies(c):
        wanted = c.status.isolated_hash
    return wanted if _stays(c.snap.target, wanted) else ""


def _stays(target: Target | None, pod_hash: str) -> bool:
    """Whether the target keeps the pods of the hash: a Service narrowed to a revision being left has no endpoints."""
    kept = next((r.revision for r in target.replica_sets if r.revision.hash == pod_hash), None) if target else None
    return target is not None and kept is not None and (target.paused or kept.digest == target.revision.digest)


def _copies(c: Context) -> list[Canary]:
    """The canary and the baseline, as far as they are there."""
    return [copy for copy in (c.snap.canary, c.snap.baseline) if copy is not None]


def _pod_share(snap: Snapshot) -> int:
    canary = snap.canary.ready if snap.canary else 0
    baseline = snap.baseline.ready if snap.baseline else 0
    stable = sum(r.ready for r in snap.target.replica_sets) if snap.target else 0
    return round(100 * canary / (canary + baseline + stable)) if canary else 0
