"""What one closed interval costs a gate: its evidence, verdict, interval of confidence and sentence. Pure, no I/O.

The baseline is what people do without evidence: a two-proportion z-test of the same counts. Times are of the processor,
so that other work on the machine counts less.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

from chaffinch_operator.canary import evidence
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import ArmReading, GateReading, IntervalReading
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.canary.status import GateStatus
from chaffinch_stats import ArmCounts, CountEvidence, CountGate, Interval, counts, group_sequential
from chaffinch_stats.group_sequential import GroupEvidence, GroupGate
from perf import figures
from perf.figures import Goal

ROUNDS = 15
INTERVALS = 60
LOOKS = 20
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


def parts() -> dict[str, Callable[[], object]]:
    """Parts of the engine at all intervals, each with evidence of its own."""
    intervals = [Interval(ArmCounts(2 + n % 3, 300 + n), ArmCounts(14 + n % 7, 2700 + n)) for n in range(INTERVALS)]
    often = [Interval(ArmCounts(60 + n % 9, 300 + n), ArmCounts(540 + n % 27, 2700 + n)) for n in range(INTERVALS)]
    poisson, fisher = CountGate(safe_below=0.001), CountGate(safe_below=0.001, method="Fisher")
    group, numbers = GroupGate(), itertools.count()
    seen = update_all(poisson, intervals)
    seen_by_group = look_often(group, intervals)
    return {
        "counts.update": lambda: update_all(poisson, intervals),
        "counts.update, method Fisher": lambda: update_all(fisher, often),
        "counts.update, method Fisher, few bad": lambda: update_all(fisher, intervals),
        "counts.ratio_and_limits": lambda: [counts.ratio_and_limits(seen, poisson, 0.05) for _ in intervals],
        "group_sequential.update": lambda: [group_sequential.update(seen_by_group, group, one) for one in intervals],
        "group_sequential.look": lambda: [
            look_often(group, another_rollout(next(numbers))) for _ in range(INTERVALS // LOOKS)
        ],
        "group_sequential.look, seen before": lambda: [look_often(group, intervals) for _ in range(INTERVALS // LOOKS)],
    }


def update_all(gate: CountGate, intervals: Sequence[Interval]) -> CountEvidence:
    """Evidence after all intervals."""
    return reduce(lambda so_far, one: counts.update(so_far, gate, one), intervals, CountEvidence.start(gate))


def look_often(gate: GroupGate, intervals: Sequence[Interval]) -> GroupEvidence:
    """A group sequential test, looked at in each of its first intervals."""
    evidence = GroupEvidence.start(gate)
    for one in intervals[:LOOKS]:
        evidence = group_sequential.look(group_sequential.update(evidence, gate, one), gate)
    return evidence


def another_rollout(number: int) -> list[Interval]:
    """Information of its own, so that no boundary is known from one before."""
    return [Interval(ArmCounts(2 + n % 3, 300 + n), ArmCounts(14 + n % 7, 2701 + n + number)) for n in range(LOOKS)]


def microseconds(work: Callable[[], object]) -> list[float]:
    """Per interval, in each round; the first round is not counted."""
    found = []
    for _ in range(ROUNDS + 1):
        started = time.process_time()
        work()
        found.append((time.process_time() - started) / INTERVALS * 1e6)
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
    by_part = {part: microseconds(work) for part, work in parts().items()}
    baseline = microseconds(z_test_all)
    medians = {kind: round(statistics.median(values), 1) for kind, values in raw.items()}
    naive = statistics.median(baseline)
    a_minute = max(medians.values()) * ROLLOUTS * GATES / 1e6
    of_parts = {part: round(statistics.median(values), 1) for part, values in by_part.items()}
    goals = [
        Goal(f"core seconds a minute for {ROLLOUTS} rollouts x {GATES} gates", 60, a_minute),
        Goal("microseconds of counts.update", 20, of_parts["counts.update"], inclusive=True),
        Goal(
            "microseconds of counts.update, method Fisher", 20, of_parts["counts.update, method Fisher"], inclusive=True
        ),
        Goal("microseconds of an interval of a gate, for 5,000 a second", 200, max(medians.values()), inclusive=True),
    ]
    figures.write(
        "gates",
        before,
        {
            "what": "microseconds for one more interval of one gate: evidence, verdict, confidence sequence, sentence",
            "settings": {"intervals": INTERVALS, "rounds": ROUNDS},
            "microseconds": {kind: [round(v, 1) for v in values] for kind, values in raw.items()},
            "baselineMicroseconds": [round(v, 2) for v in baseline],
            "median": medians,
            "parts": of_parts,
            "baselineMedian": round(naive, 2),
            "ratioToBaseline": {kind: round(value / naive, 1) for kind, value in medians.items()},
            "goals": [g.as_json() for g in goals],
        },
    )
    assert set(raw) == set(SOURCES)
