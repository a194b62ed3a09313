"""How many canary pods a weight needs, and what share of requests each arm gets. Pure."""

import math

from chaffinch_operator.canary.model import CanaryRolloutSpec


def first_weight(spec: CanaryRolloutSpec) -> int:
    """The first weight of the steps."""
    return next((s.set_weight for s in spec.steps if s.set_weight is not None), 1)


def weight_at(spec: CanaryRolloutSpec, index: int) -> int:
    """The weight in force at a step: its own, or that of the last step before it that set one."""
    weights = [s.set_weight for s in spec.steps[: index + 1] if s.set_weight is not None]
    return weights[-1] if weights else 0


def baseline_weight(weight: int) -> int:
    """Percent of requests for a dedicated baseline: the canary's share, as far as there is that much left."""
    return min(weight, 100 - weight)


def split_share(weight: int, *, dedicated: bool) -> float:
    """The canary's intended share of the requests of both arms, for its weight in percent of all requests."""
    return weight / (weight + baseline_weight(weight)) if dedicated and weight else weight / 100


def canary_replicas(spec: CanaryRolloutSpec, stable_replicas: int, weight: int) -> int:
    """Pods for a weight in percent; a dedicated baseline has as many.

    With a route: weight x stable's replicas, so that a canary pod carries what a stable pod does. By replicas: the
    number whose share of all pods is closest to the weight. Both within minReplicas and maxReplicas.
    """
    size = spec.canary
    if size.replicas is not None:
        return size.replicas
    if spec.traffic_routing.gateway_api is not None:
        wanted = math.ceil(weight * stable_replicas / 100)
    else:
        wanted = round(weight * stable_replicas / (100 - weight))
    return min(max(wanted, size.min_replicas), size.max_replicas)
