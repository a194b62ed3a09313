"""How many canary pods a weight needs. Pure."""

import math

from chaffinch_operator.canary.model import CanaryRolloutSpec


def first_weight(spec: CanaryRolloutSpec) -> int:
    """The first weight of the steps."""
    return next((s.set_weight for s in spec.steps if s.set_weight is not None), 1)


def weight_at(spec: CanaryRolloutSpec, index: int) -> int:
    """The weight in force at a step: its own, or that of the last step before it that set one."""
    weights = [s.set_weight for s in spec.steps[: index + 1] if s.set_weight is not None]
    return weights[-1] if weights else 0


def canary_replicas(spec: CanaryRolloutSpec, stable_replicas: int, weight: int) -> int:
    """Pods for a weight in percent.

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
