"""Whose series are whose when one looks back, by the spec alone."""

from __future__ import annotations

from typing import Any

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.cli.past_readings import naming
from unit.cli import builders


def of(**changes: Any) -> CanaryRolloutSpec:
    """A spec of Deployment checkout."""
    return CanaryRolloutSpec.model_validate(builders.spec(**changes))


def test_without_a_hash_stable_is_every_pod_of_the_target_but_the_canarys() -> None:
    """With it, stable's own."""
    arms = naming(of(), "shop", "checkout").by_pod
    assert [arms.of(f"checkout-{rest}") for rest in ("6c5d-x", "canary-7d9f-x")] == ["baseline", "canary"]
    assert arms.of("cart-6c5d-x") is None
    assert naming(of(), "shop", "checkout", "6c5d").by_pod.of("checkout-9999-x") is None


def test_istio_calls_the_arms_by_their_deployments() -> None:
    """As the operator asks."""
    arms = naming(of(), "shop", "checkout").by_workload
    assert [arms.of(name) for name in ("checkout", "checkout-canary", "cart")] == ["baseline", "canary", None]


def test_a_dedicated_baseline_is_what_the_canary_was_compared_with() -> None:
    """Stable's own pods are no arm then."""
    arms = naming(of(canary={"baseline": "Dedicated"}), "shop", "checkout").by_pod
    assert [arms.of(f"checkout-{rest}") for rest in ("baseline-1-x", "canary-1-x")] == ["baseline", "canary"]
    by_workload = naming(of(canary={"baseline": "Dedicated"}), "shop", "checkout").by_workload
    assert [by_workload.of(f"checkout{rest}") for rest in ("-baseline", "-canary")] == ["baseline", "canary"]
