"""What one closed interval costs a gate: its evidence, verdict, interval of confidence and sentence. Pure, no I/O.

The baseline is what people do without evidence: a two-proportion z-test of the same counts.
"""

import math
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from chaffinch_operator.canary import evidence
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import ArmReading, GateReading, IntervalReading
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.canary.status import GateStatus
from perf import figures
from perf.figures import Goal

ROUNDS = 7
INTERVALS = 60
ROLLOUTS, GATES = 1000, 5
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SOURCES: dict[str, dict[str, Any]] = {
    "ratio": {"ratio": {"bad": "bad_total", "total": "all_total"}},
    "latency": {"latency": {"histogram": "seconds", "threshold": "250ms"}},
    "objective": {"objective": {"bad": "bad_total", "total": "all_total", "maxRatio": "0.01"}},
    "sampleRatio": {"sampleRatio": {"total": "all_total"}},
}


def spec(source: dict[str, Any]) -> CanaryRolloutSpec:
    """A rollout with one gate."""
    return CanaryRolloutSpec.model_validate(
        {
            "targetRef": {"name": "shop"},
            "serviceRef": {"name": "shop", "port": 80},
            "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            "analysis": {
                "provider": {"prometheus": {"address": "http://prometheus"}},
                "gates": [{"name": "gate", **source}],
            },
        }
    )


def reading(number: int) -> IntervalReading:
    """An interval like the ones before it, but not equal to them."""
    canary, baseline = ArmReading(2 + number % 3, 300 + number), ArmReading(14 + number % 7, 2700 + number)
    end = START + timedelta(seconds=30 * (number + 1))
    return IntervalReading(end - timedelta(seconds=30), end, (GateReading("gate", canary, baseline),))


def fold_all(rollout: CanaryRolloutSpec, gates: tuple[ResolvedGate, ...]) -> tuple[GateStatus, ...]:
    """All intervals, one after the other, as a rollout would see them."""
    thresholds = Thresholds.of(rollout, gates)
    statuses: tuple[GateStatus, ...] = ()
    for number in range(INTERVALS):
        statuses = evidence.fold(gates, statuses, reading(number), 0.1, thresholds)
    return statuses


def z_test_all() -> float:
    """The same intervals by a z-test of the sums."""
    bad, total, base_bad, base_total, last = 0, 0, 0, 0, 0.0
    for number in range(INTERVALS):
        gate = reading(number).gates[0]
        bad, total = bad + gate.canary.bad, total + gate.canary.total
        base_bad, base_total = base_bad + gate.baseline.bad, base_total + gate.baseline.total
        pooled = (bad + base_bad) / (total + base_total)
        spread = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / base_total))
        last = math.erfc((bad / total - base_bad / base_total) / spread / math.sqrt(2)) / 2
    return last


def microseconds(work: Callable[[], object]) -> list[float]:
    """Per interval, in each round; the first round is not counted."""
    found = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        work()
        found.append((time.perf_counter() - started) / INTERVALS * 1e6)
    return found[1:]


def test_cost_of_an_interval() -> None:
    """The figures go to build/bench/gates.json; the only promise kept here is that every kind of gate was measured."""
    before = figures.machine()
    raw: dict[str, list[float]] = {}
    for kind, source in SOURCES.items():
        rollout = spec(source)
        gates = resolve(rollout, Naming("shop", "shop", "shop-1-", "shop-canary-"))
        (last,) = fold_all(rollout, gates)
        assert last.canary.total > 0, kind
        raw[kind] = microseconds(lambda rollout=rollout, gates=gates: fold_all(rollout, gates))  # type: ignore[misc]
    baseline = microseconds(z_test_all)
    medians = {kind: round(statistics.median(values), 1) for kind, values in raw.items()}
    naive = statistics.median(baseline)
    a_minute = max(medians.values()) * ROLLOUTS * GATES / 1e6
    goals = [Goal(f"core seconds a minute for {ROLLOUTS} rollouts x {GATES} gates", 60, a_minute)]
    figures.write(
        "gates",
        before,
        {
            "what": "microseconds for one more interval of one gate: evidence, verdict, confidence sequence, sentence",
            "settings": {"intervals": INTERVALS, "rounds": ROUNDS},
            "microseconds": {kind: [round(v, 1) for v in values] for kind, values in raw.items()},
            "baselineMicroseconds": [round(v, 2) for v in baseline],
            "median": medians,
            "baselineMedian": round(naive, 2),
            "ratioToBaseline": {kind: round(value / naive, 1) for kind, value in medians.items()},
            "goals": [g.as_json() for g in goals],
        },
    )
    assert set(raw) == set(SOURCES)
