"""Builders of CanaryRollouts for tests of the plugin: a test shows only what matters."""

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def ago(**parts: float) -> str:
    """A stamp that long before NOW."""
    return (NOW - timedelta(**parts)).isoformat().replace("+00:00", "Z")


def ahead(**parts: float) -> str:
    """A stamp that long after NOW."""
    return (NOW + timedelta(**parts)).isoformat().replace("+00:00", "Z")


GATES = [
    {"name": "errors", "ratio": {"bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"}},
    {"name": "slow", "latency": {"histogram": "http_request_duration_seconds", "threshold": "250ms"}},
    {"name": "slo", "objective": {"bad": "bad_total", "total": "all_total", "maxRatio": "0.01"}},
    {"name": "split", "sampleRatio": {}},
    {"name": "restarts", "podRestarts": {"max": 2}},
]
STEPS = [
    {"setWeight": 5, "minDuration": "2m"},
    {"setWeight": 25, "minDuration": "5m"},
    {"pause": {}},
    {"setWeight": 50, "minDuration": "5m"},
]


def gate(name: str, verdict: str = "Inconclusive", **fields: Any) -> dict[str, Any]:
    """Status of a gate."""
    return {"name": name, "verdict": verdict, **fields}


ERRORS = gate(
    "errors",
    canary={"bad": 14, "total": 1310},
    baseline={"bad": 96, "total": 12040},
    ratio="1.34",
    interval=["0.62", "2.61"],
    pValue="0.4",
    logEHarm="0.7",
    logESafe="-0.4",
    dispersion="1.8",
    dispersionSource="History: 2h of 240 steps, two halves of its pods, blocks of 90s",
    method="Poisson",
    message="errors: canary 14 of 1,310 (1.07 %), stable 96 of 12,040 (0.80 %): 1.3x, p = 0.4",
)
ERRORS_FAILED = gate(
    "errors",
    "Fail",
    canary={"bad": 42, "total": 1310},
    baseline={"bad": 96, "total": 12040},
    ratio="4.02",
    interval=["2.3", "6.41"],
    pValue="2.1e-07",
    logEHarm="15.376",
    logESafe="-30.2",
    message="errors: canary 42 of 1,310 (3.21 %), stable 96 of 12,040 (0.80 %): 4x, p = 2.1e-07",
)
SLOW = gate(
    "slow",
    "Pass",
    canary={"bad": 31, "total": 1310},
    baseline={"bad": 420, "total": 12040},
    ratio="0.678",
    interval=["0.41", "1.12"],
    pValue="1",
    logEHarm="-2.2",
    logESafe="3.4",
    message="slow: canary 31 of 1,310 (2.37 %), stable 420 of 12,040 (3.49 %): 0.68x, p = 1",
)
SLO = gate(
    "slo",
    canary={"bad": 14, "total": 1310},
    ratio="0.0107",
    interval=["0.0051", "0.0194"],
    pValue="0.81",
    logEHarm="0.1",
    logESafe="-0.2",
    message="slo: canary 14 of 1,310 (1.07 %), at most 1.000% allowed, p = 0.81",
)
SPLIT = gate(
    "split",
    "Pass",
    canary={"bad": 1310, "total": 1310},
    baseline={"bad": 12040, "total": 12040},
    pValue="0.6",
    message="split: 1,310 of 13,350 requests went to the canary, as the weights say",
)
RESTARTS = gate("restarts", "Pass", message="restarts: the canary's containers restarted 0 times, 2 allowed")
ALL = [ERRORS, SLOW, SLO, SPLIT, RESTARTS]


def decision(action: str, reason: str, message: str = "", at: str = "") -> dict[str, str]:
    """status.lastDecision."""
    return {"action": action, "reason": reason, "at": at or ago(minutes=4, seconds=10), "message": message}


def spec(**changes: Any) -> dict[str, Any]:
    """A spec with four steps and five gates."""
    base: dict[str, Any] = {
        "targetRef": {"name": "checkout"},
        "serviceRef": {"name": "checkout", "port": 80},
        "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
        "steps": STEPS,
        "analysis": {"provider": {"prometheus": {"address": "http://prometheus:9090"}}, "gates": GATES},
    }
    return {**base, **changes}


def status(action: str = "Shift", reason: str = "Analyzing", message: str = "", **changes: Any) -> dict[str, Any]:
    """A status in the middle of a rollout, at its second step."""
    base: dict[str, Any] = {
        "observedGeneration": 3,
        "phase": reason,
        "conditions": [],
        "lastDecision": decision(action, reason, message or "weight 25 %; errors and slo are not decided yet"),
        "stable": {"digest": "a" * 16, "hash": "6c5d4f7b9", "image": "registry.example/shop/checkout:1.9.0"},
        "candidate": {"digest": "b" * 16, "hash": "7d9f8c6b5", "image": "registry.example/shop/checkout:1.10.0"},
        "candidateSince": ago(minutes=12),
        "weight": {"desired": 25, "applied": 25, "observed": "24.6"},
        "step": {"index": 1, "startedAt": ago(minutes=3, seconds=12)},
        "gates": ALL,
    }
    return {**base, **changes}


def at_rest(**changes: Any) -> dict[str, Any]:
    """The status of a rollout with nothing under way."""
    return status(
        "Idle",
        "Promoted",
        "the target runs 1.9.0, which is proven",
        candidate=None,
        gates=[],
        weight={},
        step={},
        **changes,
    )


def rejected(**changes: Any) -> dict[str, Any]:
    """The status after a gate proved harm."""
    stalled = {
        "type": "Stalled",
        "status": "True",
        "reason": "RolledBack",
        "message": "the candidate stays held",
        "lastTransitionTime": ago(minutes=4),
        "observedGeneration": 3,
    }
    return status(
        "Rejected",
        "RolledBack",
        "rolled back: errors proved harm, 4.0x stable's",
        conditions=[stalled],
        weight={"desired": 0, "applied": 0},
        gates=[ERRORS_FAILED, SLOW, SLO, SPLIT, RESTARTS],
        **changes,
    )


def rollout(
    name: str = "checkout",
    namespace: str = "shop",
    *,
    status: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **meta: Any,
) -> dict[str, Any]:
    """A CanaryRollout as the API server returns it."""
    base = {"name": name, "namespace": namespace, "generation": 3, "creationTimestamp": ago(days=12, hours=3)}
    obj: dict[str, Any] = {
        "apiVersion": "chaffinch.dev/v1alpha1",
        "kind": "CanaryRollout",
        "metadata": {**base, **meta},
        "spec": _default_spec() if spec is None else spec,
    }
    return obj if status is None else {**obj, "status": status}


_default_spec = spec
