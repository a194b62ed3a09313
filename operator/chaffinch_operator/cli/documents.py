"""The JSON (and YAML) that commands print: a stable structure, documented in docs/cli.md. Pure.

Within `version` 1 fields are only added. `status` is the object's own; `computed` is ours. Numbers are numbers; what is
unknown, or infinite, is null.
"""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chaffinch_operator.canary.clock import elapsed
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action
from chaffinch_operator.cli.evidence import GateView, Meter, gate_views, thresholds_of
from chaffinch_operator.cli.hints import hints
from chaffinch_operator.cli.outcome import outcome_of
from chaffinch_operator.cli.rollout import Rollout

VERSION = 1
Document = dict[str, Any]


def rollout_document(rollout: Rollout, now: datetime, where: str = "") -> Document:
    """Document of one rollout."""
    return {
        "kind": "RolloutStatus",
        "version": VERSION,
        "namespace": rollout.namespace,
        "name": rollout.name,
        "target": rollout.target,
        "service": rollout.service,
        "generation": rollout.generation,
        "status": rollout.raw_status,
        "computed": _computed(rollout, now, where),
    }


def list_document(rollouts: Iterable[Rollout], now: datetime) -> Document:
    """Document of many rollouts, by namespace and name."""
    items = [rollout_document(r, now) for r in sorted(rollouts, key=lambda r: (r.namespace, r.name))]
    return {"kind": "RolloutStatusList", "version": VERSION, "items": items}


def action_document(rollout: Rollout, verb: str, token: str, result: str, message: str, at: str) -> Document:
    """Document of an action: what was asked, and what came of it."""
    return {
        "kind": "ActionResult",
        "version": VERSION,
        "namespace": rollout.namespace,
        "name": rollout.name,
        "action": verb,
        "token": token,
        "result": result,
        "message": message,
        "at": at or None,
    }


def cleanup_document(namespace: str, done: Iterable[tuple[str, str]], left: Iterable[str]) -> Document:
    """Document of a clean-up: what was done to which object, and what is left to do by hand."""
    return {
        "kind": "CleanupResult",
        "version": VERSION,
        "namespace": namespace,
        "done": [{"object": what, "action": action} for what, action in done],
        "commands": list(left),
    }


def _computed(rollout: Rollout, now: datetime, where: str) -> Document:
    at = rollout.status.last_decision.at
    index = rollout.status.step.index
    in_flight = rollout.is_doing(*IN_FLIGHT)
    return {
        "outcome": outcome_of(rollout).value,
        "seen": rollout.seen,
        "upToDate": rollout.seen and not rollout.outdated,
        "deleting": rollout.deleting,
        "notUnderstood": list(rollout.left_out),
        "ageSeconds": round((now - rollout.created).total_seconds()) if rollout.created else None,
        "decisionAgeSeconds": round(elapsed(at, now)) if at else None,
        "step": {
            "number": (len(rollout.steps) if rollout.is_doing(Action.HOLD) else index + 1) if in_flight else None,
            "of": len(rollout.steps),
        },
        "thresholds": _thresholds(rollout),
        "gates": [_gate(view) for view in gate_views(rollout)],
        "next": [{"text": hint.text, "command": hint.command or None} for hint in hints(rollout, where)],
    }


def _thresholds(rollout: Rollout) -> Document | None:
    thresholds = thresholds_of(rollout.spec)
    if thresholds is None:
        return None
    return {
        "alpha": thresholds.alpha,
        "beta": thresholds.beta,
        "gates": thresholds.sharing,
        "logEHarm": thresholds.harm,
        "logESafe": thresholds.safe,
    }


def _gate(view: GateView) -> Document:
    low, high = view.interval or (math.nan, math.nan)
    return {
        "name": view.name,
        "gateKind": view.kind.value if view.kind else None,
        "verdict": view.verdict.value,
        "acting": not view.status.dry_run,
        "canaryShare": view.canary_share,
        "baselineShare": view.baseline_share,
        "ratio": _finite(view.ratio),
        "low": _finite(low),
        "high": _finite(high),
        "pValue": _finite(view.p_value),
        "harm": _meter(view.harm),
        "safe": _meter(view.safe),
    }


def _meter(meter: Meter | None) -> Document | None:
    if meter is None:
        return None
    return {
        "logE": _finite(meter.log_e),
        "threshold": meter.threshold,
        "progress": round(meter.progress, 4),
        "reached": meter.reached,
        "chanceAtMost": meter.chance,
        "limit": meter.limit,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
