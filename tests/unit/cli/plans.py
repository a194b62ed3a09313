"""Builders of plans for tests: one gate and one step unless a test says more."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from chaffinch_operator.canary.gates import resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.cli.forecasts import GateTraffic, Setting, setting
from chaffinch_operator.cli.planning import Plan, plan
from chaffinch_stats.timing import Bytes

ERRORS = {"name": "errors", "ratio": {"bad": "bad_total", "total": "all_total"}}
SLO = {"name": "slo", "objective": {"bad": "bad_total", "total": "all_total", "maxRatio": "0.02"}}
RESTARTS = {"name": "restarts", "podRestarts": {}}


def body(*gates: Mapping[str, Any], steps: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A spec as a user writes it; `analysis` is merged into its own."""
    analysis = {
        "provider": {"prometheus": {"address": "http://prometheus.monitoring:9090"}},
        "gates": [dict(gate) for gate in gates or (ERRORS,)],
        **changes.pop("analysis", {}),
    }
    return {
        "targetRef": {"name": "checkout"},
        "serviceRef": {"name": "checkout", "port": 80},
        "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
        "steps": steps or [{"setWeight": 25, "minDuration": "2m"}],
        "analysis": analysis,
        **changes,
    }


def setting_of(spec: Mapping[str, Any]) -> Setting:
    """The spec in time."""
    model = CanaryRolloutSpec.model_validate(spec)
    return setting(model, resolve(model, Naming("", "", "", "")))


def chance() -> Bytes:
    """The same luck every time."""
    return random.Random(1).randbytes


def traffic(per_second: float = 100.0, bad: float = 0.02, phi: float = 1.0) -> GateTraffic:
    """What a gate counts."""
    return GateTraffic(per_second, bad, phi, "as given")


def plan_of(spec: Mapping[str, Any], **by_gate: GateTraffic) -> Plan:
    """The plan; default: 100 requests a second, 2 % bad, of every gate."""
    where = setting_of(spec)
    return plan(where, {g.name: by_gate.get(g.name, traffic()) for g in where.gates}, chance)
