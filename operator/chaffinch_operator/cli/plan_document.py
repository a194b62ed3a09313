"""The JSON of `plan`, documented in docs/cli.md. Pure. Times are seconds; what never happens is null."""

import math
from typing import Any

from chaffinch_operator.cli.advice import Advice
from chaffinch_operator.cli.documents import VERSION, Document
from chaffinch_operator.cli.planning import Estimate, GatePlan, Plan, StepPlan


def plan_document(plan: Plan, namespace: str, name: str) -> Document:
    """Document of a plan."""
    return {
        "kind": "RolloutPlan",
        "version": VERSION,
        "namespace": namespace,
        "name": name,
        "mode": plan.setting.spec.analysis.mode,
        "steps": [
            {"number": leg.number, "weight": leg.weight, "seconds": leg.seconds, "waitsForPerson": leg.waits_for_person}
            for leg in plan.setting.legs
        ],
        "gates": [_gate(gate) for gate in plan.gates],
        "promotion": {**_estimate(plan.promotion), "withinMaxDuration": round(plan.in_time, 4)},
        "stepsSeconds": plan.steps_end,
        "maxDurationSeconds": plan.max_duration,
        "fitsMaxDuration": not plan.late,
        "bottleneck": plan.bottleneck,
        "advice": [_advice(advice) for advice in plan.advice],
    }


def _gate(gate: GatePlan) -> Document:
    traffic = gate.traffic
    return {
        "name": gate.name,
        "gateKind": gate.kind,
        "acting": gate.acting,
        "traffic": traffic
        and {
            "perSecond": traffic.per_second,
            "badShare": traffic.bad_share,
            "dispersion": traffic.dispersion,
            "origin": traffic.origin,
        },
        **_answers(gate.estimates),
        "steps": [_step(step) for step in gate.steps],
    }


def _step(step: StepPlan) -> Document:
    return {
        "number": step.number,
        "weight": step.weight,
        "goodPassedByItsEnd": round(step.passed, 4),
        **_answers(step.estimates),
    }


def _answers(estimates: tuple[Estimate, ...]) -> Document:
    """Worsenings, then the good canary; nothing for a gate without evidence."""
    return {
        "catch": [{"ratio": e.ratio, **_estimate(e)} for e in estimates[:-1]],
        "pass": _estimate(estimates[-1]) if estimates else None,
    }


def _estimate(estimate: Estimate) -> Document:
    return {
        "expectedSeconds": _seconds(estimate.expected),
        "medianSeconds": _seconds(estimate.median),
        "p90Seconds": _seconds(estimate.p90),
        "happens": round(estimate.happens, 4),
        "step": estimate.step,
    }


def _advice(advice: Advice) -> Document:
    weights: Any = advice.weights and [{"step": n, "weight": w} for n, w in sorted(advice.weights.items())]
    return {
        "gate": advice.gate,
        "about": "pass" if advice.ratio == 1.0 else "catch",
        "ratio": advice.ratio,
        "medianSeconds": _seconds(advice.seconds),
        "weights": weights,
        "weightsMedianSeconds": _seconds(advice.weights_seconds),
        "marginRatio": advice.margin,
        "marginRatioMedianSeconds": _seconds(advice.margin_seconds),
    }


def _seconds(value: float) -> float | None:
    return round(value, 1) if math.isfinite(value) else None
