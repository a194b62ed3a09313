"""The JSON of a backtest: the final state, then every interval. Pure; documented in docs/backtest.md.

Numbers are numbers, in full precision where status rounds to six digits; what is unknown, or infinite, is null.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaffinch_operator.canary.backtest import Point
from chaffinch_operator.canary.calibration import settled
from chaffinch_operator.canary.clock import stamp
from chaffinch_operator.canary.gates import ResolvedGate, number_of_tests
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.status import Counts, GateStatus
from chaffinch_operator.cli.words import number
from chaffinch_stats import CountGate, RateGate, counts, one_sample

VERSION = 1
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """What was replayed: the spec's gates and thresholds, and where the numbers are from."""

    name: str
    namespace: str
    gates: Sequence[ResolvedGate]
    thresholds: Thresholds
    beta: float
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, as JSON has it."""

    decision: str
    at: str | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that was replayed."""

    start: datetime | None = None
    end: datetime | None = None
    intervals: int = 0


def outcome_of(last: Point | None) -> Outcome:
    """The decision after the last interval. Without an interval nothing is decided."""
    if last is None:
        return Outcome("Hold", None, "NoData", "there is no interval")
    decision = last.decision
    return Outcome(decision.verdict.value, stamp(decision.at), decision.reason.value, decision.message)


def head(subject: Subject, outcome: Outcome, statuses: Sequence[GateStatus], span: Span) -> Document:
    """Everything but `intervals`."""
    return {
        "kind": "BacktestResult",
        "version": VERSION,
        "name": subject.name,
        "namespace": subject.namespace,
        "decision": outcome.decision,
        "at": outcome.at,
        "reason": outcome.reason,
        "message": outcome.message,
        "thresholds": {
            "alpha": subject.thresholds.alpha,
            "beta": subject.beta,
            "gates": number_of_tests(subject.gates),
            "logEHarm": subject.thresholds.harm,
            "logESafe": subject.thresholds.safe,
        },
        "history": {
            "source": subject.source,
            "start": stamp(span.start) if span.start else None,
            "end": stamp(span.end) if span.end else None,
            "intervals": span.intervals,
        },
        "notes": list(subject.notes),
        "designs": {g.name: _design(g) for g in subject.gates},
        "messages": {s.name: s.message for s in statuses},
        "gates": gate_documents(subject, statuses),
    }


def _design(gate: ResolvedGate) -> Document:
    """What a gate is held against; null where it does not apply."""
    return {
        "harmRatio": gate.count.harm_ratio if gate.count else None,
        "marginRatio": gate.count.margin_ratio if gate.count else gate.rate.margin_ratio if gate.rate else None,
        "safeBelow": gate.count.safe_below if gate.count else None,
        "maxRatio": gate.rate.max_ratio if gate.rate else None,
    }


def interval_document(subject: Subject, point: Point) -> Document:
    """One element of `intervals`."""
    outcome = outcome_of(point)
    return {
        "end": stamp(point.end),
        "weight": point.weight,
        "decision": outcome.decision,
        "at": outcome.at,
        "reason": outcome.reason,
        "gates": gate_documents(subject, point.gates),
    }


def gate_documents(subject: Subject, statuses: Iterable[GateStatus]) -> list[Document]:
    """The gates' states, in the order of the spec."""
    alpha = subject.thresholds.alpha
    return [gate_document(g, s, alpha) for g, s in zip(subject.gates, statuses, strict=True)]


def gate_document(gate: ResolvedGate, status: GateStatus, alpha: float) -> Document:
    """One gate's state."""
    seen = _exact(settled(gate, status), status, alpha)
    return {
        "name": status.name,
        "gateKind": gate.kind.value,
        "verdict": status.verdict.value,
        "acting": not status.dry_run,
        "canary": _counts(status.canary),
        "baseline": _counts(status.baseline),
        "ratio": finite(seen.ratio),
        "interval": [finite(seen.low), finite(seen.high)],
        "pValue": finite(seen.p),
        "logEHarm": finite(seen.harm),
        "logESafe": finite(seen.safe),
        "dispersion": finite(number(status.dispersion)),
        "dispersionSource": status.dispersion_source,
        "method": status.method,
    }


@dataclass(frozen=True, slots=True)
class _Seen:
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    harm: float | None = None
    safe: float | None = None


def _exact(gate: ResolvedGate, status: GateStatus, alpha: float) -> _Seen:
    """The numbers from the evidence itself; as status rounds them where it cannot be read."""
    try:
        if status.evidence and gate.count is not None:
            return _of_count(gate.count, status, alpha)
        if status.evidence and gate.rate is not None:
            return _of_rate(gate.rate, status, alpha)
    except ValueError:
        pass
    low, high = map(number, status.interval) if len(status.interval) == 2 else (None, None)
    texts = (status.p_value, status.log_e_harm, status.log_e_safe)
    return _Seen(number(status.ratio), low, high, *map(number, texts))


def _of_count(gate: CountGate, status: GateStatus, alpha: float) -> _Seen:
    seen = counts.from_state(gate, status.evidence)
    low, high = counts.confidence_sequence(seen, gate, alpha)
    harm, safe = counts.log_e_harm(seen, gate), counts.log_e_safe(seen, gate)
    return _Seen(counts.ratio(seen), low, high, counts.p_value(seen), harm, safe)


def _of_rate(gate: RateGate, status: GateStatus, alpha: float) -> _Seen:
    rate = one_sample.from_state(gate, status.evidence)
    low, high = one_sample.confidence_sequence(rate, gate, alpha)
    share = rate.seen.bad / rate.seen.total if rate.seen.total else None
    harm, safe = one_sample.log_e_harm(rate, gate), one_sample.log_e_safe(rate, gate)
    return _Seen(share, low, high, one_sample.p_value(rate), harm, safe)


def _counts(arm: Counts) -> Document:
    return {"bad": arm.bad, "total": arm.total}


def finite(value: float | None) -> float | None:
    """The number; None for one that JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None
