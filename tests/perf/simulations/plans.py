"""Forecasts of `kubectl chaffinch plan` against whole rollouts of the same specs, interval by interval.

The rollouts follow the operator's own rules, not the planner's approximations: intervals on a fixed grid that knows
nothing of when the first weight comes, a warm-up, intervals passed over while a weight settles, steps that last until
an interval of theirs was judged, answers that are read late, and counts clumped by a gamma mixture.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chaffinch_operator.canary.gates import resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.cli.forecasts import GOOD, GateTraffic, Question, setting
from chaffinch_operator.schema import seconds
from chaffinch_stats import ArmCounts, CountGate, Interval, group_sequential, harm_threshold, safe_threshold
from chaffinch_stats.group_sequential import GroupEvidence, GroupGate, Outcome
from chaffinch_stats.one_sample import RateGate
from perf.simulations.cells import Cell, Number
from unit.stats import vector_engine
from unit.stats.vector_engine import Floats, Integers, Runs

TOLERANCE = 0.25
_PHASES = 5
"""Moments within an interval at which the first weight comes."""
_HORIZON = 4.0  # times the forecast's median
_GROUP_RUNS = 2000


@dataclass(frozen=True, slots=True)
class Case:
    """One spec under one traffic, and how bad the canary really is."""

    title: str
    steps: tuple[tuple[int, str], ...]
    per_second: float
    base: float
    ratio: float
    gate: dict[str, Any] = field(default_factory=dict)
    dispersion: float = 1.0
    analysis: dict[str, Any] = field(default_factory=dict)
    gates: int = 1
    """How many share alpha."""

    @property
    def spec(self) -> CanaryRolloutSpec:
        """As a user writes it."""
        ratio: dict[str, Any] = {"ratio": _COUNTERS}
        source = {} if self.gate.keys() & {"latency", "objective"} else ratio
        first = {"name": "first", "dispersion": f"{self.dispersion:g}", **source, **self.gate}
        others = [{"name": f"other{k}", **ratio} for k in range(1, self.gates)]
        return CanaryRolloutSpec.model_validate(
            {
                "targetRef": {"name": "web"},
                "serviceRef": {"name": "web", "port": 80},
                "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
                "steps": [{"setWeight": weight, "minDuration": lasts} for weight, lasts in self.steps],
                "analysis": {
                    "provider": {"prometheus": {"address": "http://prometheus:9090"}},
                    "gates": [first, *others],
                    **self.analysis,
                },
            }
        )

    @property
    def question(self) -> Question:
        """As the planner asks it."""
        spec = self.spec
        gates = resolve(spec, Naming("", "", "", ""))
        traffic = GateTraffic(self.per_second, self.base, self.dispersion, "simulated")
        return Question(setting(spec, gates), gates[0], traffic)


_LATENCY = {"latency": {"histogram": "http_request_duration_seconds", "threshold": "250ms"}}
_SHORT, _USUAL = ((10, "2m"), (50, "2m")), ((5, "2m"), (25, "5m"), (50, "5m"))
_SLOW = ((1, "10m"), (5, "10m"), (10, "10m"))
_COUNTERS = {"bad": "bad_total", "total": "all_total"}
_GROUP = {"mode": "GroupSequential"}
CASES = (
    Case("1 % doubled, two steps", _SHORT, 33, 0.01, 2.0),
    Case("0.5 % doubled, three steps, three gates", _USUAL, 60, 0.005, 2.0, gates=3),
    Case("1 % times 1.25", ((25, "5m"), (50, "5m")), 60, 0.01, 1.25),
    Case("0.1 % times 5, from 1 % on", _SLOW, 40, 0.001, 5.0),
    Case("0.01 % times 5", ((10, "10m"),), 400, 0.0001, 5.0, analysis={"interval": "60s"}),
    Case("2 % times 1.5, dispersion 2.5", _USUAL, 100, 0.02, 1.5, dispersion=2.5),
    Case("0.3 % doubled, dispersion 3", _SHORT, 80, 0.003, 2.0, dispersion=3.0),
    Case("20 % times 1.25, Fisher", _USUAL, 6, 0.2, 1.25),
    Case("12 % doubled, Fisher", ((5, "3m"), (20, "5m")), 3, 0.12, 2.0),
    Case("5 % times 5, found at the first look", ((25, "5m"),), 200, 0.05, 5.0),
    Case("harmRatio 1.2, 1 % doubled", _USUAL, 60, 0.01, 2.0, {"harmRatio": "1.2"}),
    Case("objective 1 %, rate 2 %", _SHORT, 12, 0.01, 2.0, {"objective": {**_COUNTERS, "maxRatio": "0.01"}}),
    Case("1 % good, margin 1.5", _USUAL, 60, 0.01, GOOD),
    Case("3 % good, margin 1.25", ((25, "5m"), (50, "5m")), 60, 0.03, GOOD, {"marginRatio": "1.25"}),
    Case("0.5 % good, margin 3, dispersion 2", _USUAL, 40, 0.005, GOOD, {"marginRatio": "3.0"}, 2.0),
    Case("0.03 % good, below safeBelow", ((1, "5m"), (10, "5m")), 100, 0.0003, GOOD),
    Case("latency 4 % good, margin 2", ((5, "2m"), (50, "2m")), 25, 0.04, GOOD, {**_LATENCY, "marginRatio": "2.0"}),
    Case(
        "objective 2 %, rate 1 %",
        ((10, "5m"),),
        20,
        0.01,
        GOOD,
        {"objective": {**_COUNTERS, "maxRatio": "0.02"}},
        1.5,
    ),
    Case("GroupSequential, 1 % doubled", ((25, "5m"), (50, "5m")), 20, 0.01, 2.0, analysis=_GROUP),
    Case(
        "GroupSequential, 2 % good, margin 2",
        ((10, "5m"), (50, "5m")),
        10,
        0.02,
        GOOD,
        {"marginRatio": "2.0"},
        1.5,
        _GROUP,
    ),
)


def forecasts(runs: int) -> Iterator[Cell]:
    """Medians that `plan` forecasts over simulated medians, for 20 specs; within a quarter is claimed."""
    for case in CASES:
        found = case.question.delays(case.ratio, random.Random(1).randbytes)
        median, late = found.quantile(0.5), found.quantile(0.9)
        times = simulate(case, runs, median)
        simulated = float(np.median(times))
        note = f"{simulated:,.0f} s simulated"
        yield Number(case.title, "median", median / simulated, times.size, 1 + TOLERANCE, 1 - TOLERANCE, note)
        slowest = float(np.quantile(times, 0.9, method="inverted_cdf"))
        if math.isfinite(slowest) and math.isfinite(late):
            note = f"{slowest:,.0f} s simulated"
            yield Number(case.title, "90th percentile", late / slowest, times.size, None, None, note)


@dataclass(frozen=True, slots=True)
class Course:
    """One rollout's intervals that are judged.

    Attributes:
        ends: shape (intervals,), when each is read, in seconds since the first weight.
        canary: shape (intervals,), requests.
        baseline: shape (intervals,), requests.

    """

    ends: Floats
    canary: Integers
    baseline: Integers


def course(case: Case, phase: float, horizon: float) -> Course:
    """The intervals of a rollout whose first weight comes at `phase` of an interval that lies on the grid."""
    analysis = case.spec.analysis
    length, offset, warmup = map(seconds, (analysis.interval, analysis.query_offset, analysis.warmup))
    first = phase * length
    since, step, judged_here = first, 0, False
    start = math.ceil((first + warmup) / length) * length
    ends, shares = [], []
    while start < first + horizon:
        read = start + length + offset
        settled = since + offset
        if start >= settled or start + length <= since:
            ends.append(read - first)
            shares.append(case.steps[step][0] / 100)
            judged_here = judged_here or start >= settled
        start += length
        if step + 1 < len(case.steps) and judged_here:
            over = max(since + seconds(case.steps[step][1]), read)
            if over <= start + length + offset:
                since, step, judged_here = over, step + 1, False
    requests = np.array(shares) * case.per_second * length
    whole = np.full(len(shares), case.per_second * length)
    return Course(np.array(ends), np.rint(requests).astype(np.int64), np.rint(whole - requests).astype(np.int64))


def simulate(case: Case, runs: int, median: float) -> Floats:
    """When the gate decides in each run, in seconds since the first weight; inf where it does not."""
    if case.analysis.get("mode") == "GroupSequential":
        runs = min(runs // 3, _GROUP_RUNS)  # whole runs of the package: hundredths of a second each
    each = max(1, runs // _PHASES)
    rng = np.random.default_rng(7)
    horizon = _HORIZON * median + 600.0
    out = []
    for k in range(_PHASES):
        seen = course(case, (k + 0.5) / _PHASES, horizon)
        rates = (min(1.0, case.base * case.ratio), case.base)
        drawn = Runs(
            _counts(rng, each, seen.canary, rates[0], case.dispersion),
            _counts(rng, each, seen.baseline, rates[1], case.dispersion),
            seen.canary,
            seen.baseline,
        )
        look = _decided(case, drawn)
        found = np.isfinite(look)
        out.append(np.where(found, seen.ends[np.where(found, look - 1, 0).astype(int)], np.inf))
    return np.concatenate(out)


def _counts(rng: np.random.Generator, runs: int, totals: Integers, rate: float, dispersion: float) -> Integers:
    size = (runs, totals.size)
    if dispersion == 1.0:
        return np.asarray(rng.binomial(totals, rate, size=size))
    shape = np.maximum(totals * rate / (dispersion - 1.0), 1e-9)
    return np.asarray(np.minimum(rng.negative_binomial(shape, 1.0 / dispersion, size=size), totals))


def _decided(case: Case, drawn: Runs) -> Floats:
    """The first look, from 1, at which each run is decided."""
    question, good = case.question, case.ratio == GOOD
    gate, analysis = question.gate, case.spec.analysis
    if analysis.mode == "GroupSequential":
        assert gate.count is not None
        return _group(case, question.group(gate.count), drawn)
    goal = safe_threshold(float(analysis.beta)) if good else harm_threshold(case.gates, float(analysis.alpha))
    if gate.rate is not None:
        return vector_engine.first(_rate(gate.rate, drawn, good=good), goal)
    assert gate.count is not None
    count = _with_method(gate.count, case.base)
    return vector_engine.first((vector_engine.log_e_safe if good else vector_engine.log_e_harm)(drawn, count), goal)


def _with_method(gate: CountGate, base: float) -> CountGate:
    return replace(gate, method="Fisher" if base >= 0.1 else "Poisson")


def _rate(gate: RateGate, drawn: Runs, *, good: bool) -> Floats:
    rates, null = (gate.safe_rates, gate.margin_rate) if good else (gate.harm_rates, gate.max_ratio)
    logs = vector_engine.rate_log_factors(drawn.canary_bad, drawn.canary_total, np.array(rates), null)
    return vector_engine.log_mean(logs / gate.dispersion)


def _group(case: Case, gate: GroupGate, drawn: Runs) -> Floats:
    """By the package itself, interval by interval, with looks where the information passes the next mark."""
    wanted = Outcome.SAFE if case.ratio == GOOD else Outcome.HARM
    return np.array([_one_group(gate, drawn, run, wanted) for run in range(drawn.canary_bad.shape[0])])


def _one_group(gate: GroupGate, drawn: Runs, run: int, wanted: Outcome) -> float:
    evidence, looks = GroupEvidence.start(gate), 0
    planned = (gate.harm_information, gate.safe_information)
    totals = zip(drawn.canary_total.tolist(), drawn.baseline_total.tolist(), strict=True)
    for k, (canary, baseline) in enumerate(totals):
        bad = (int(drawn.canary_bad[run, k]), int(drawn.baseline_bad[run, k]))
        interval = Interval(ArmCounts(bad[0], canary), ArmCounts(bad[1], baseline))
        evidence = group_sequential.update(evidence, gate, interval)
        passed = min(evidence.harm.information / planned[0], evidence.safe.information / planned[1])
        due = min(gate.looks, math.floor(passed * gate.looks + 1e-9))
        if due > looks:
            looks, evidence = due, group_sequential.look(evidence, gate)
            if evidence.outcome in (Outcome.HARM, Outcome.SAFE) or due == gate.looks:
                return k + 1.0 if evidence.outcome is wanted else math.inf
    return math.inf
