"""What a spec means in time: its steps as traffic, and how long each gate takes to catch harm and to pass. Pure.

A forecast assumes the traffic and the bad shares it is given, and that they stay; chance is handed in.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from chaffinch_operator.canary.gates import ResolvedGate, number_of_tests
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.model_analysis import GroupSequential
from chaffinch_operator.canary.sizing import weight_at
from chaffinch_operator.schema import seconds
from chaffinch_stats import (
    ArmCounts,
    CountGate,
    group_timing,
    harm_threshold,
    method,
    races,
    safe_threshold,
    timing,
)
from chaffinch_stats.group_sequential import GroupGate
from chaffinch_stats.races import Stage, Truth
from chaffinch_stats.timing import Delays

WORSENINGS = (1.25, 1.5, 2.0, 5.0)
GOOD = 1.0
"""A canary like stable, for which the question is when it passes."""
FEW_RUNS = 400
_SAMPLE = 1_000_000
_DEFAULT_MIN_DURATION = "2m"


@dataclass(frozen=True, slots=True)
class GateTraffic:
    """What a gate counts at present."""

    per_second: float
    """Events of both arms."""
    bad_share: float
    dispersion: float
    origin: str
    """Where these numbers are from, for people."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A step of the spec as it passes in time."""

    number: int
    """From 1, as in the spec."""
    weight: int
    share: float
    """The canary's share of all requests."""
    seconds: float
    blind_seconds: float
    """At its beginning, in which the weight settles and nothing is judged."""
    waits_for_person: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A spec, and all that its gates share."""

    spec: CanaryRolloutSpec
    legs: tuple[Leg, ...]
    gates: tuple[ResolvedGate, ...]
    interval: float
    offset: float
    """How long after its end an interval is read."""

    @property
    def steps_end(self) -> float:
        """Seconds that the steps take at least."""
        return sum(leg.seconds for leg in self.legs)

    @property
    def max_duration(self) -> float:
        """Seconds after which there should be a verdict."""
        return seconds(self.spec.promotion.max_duration)

    @property
    def dedicated(self) -> bool:
        """Whether the canary is compared with a fresh copy of stable that gets the same share."""
        return self.spec.canary.baseline == "Dedicated"

    def step_at(self, when: float) -> int:
        """Number of the step that runs then; the last one goes on until there is evidence."""
        begun = 0.0
        for leg in self.legs[:-1]:
            begun += leg.seconds
            if when < begun:
                return leg.number
        return self.legs[-1].number

    def with_weights(self, weights: Mapping[int, int]) -> "Setting":
        """The same with other weights, by step number."""
        changed = tuple(
            replace(leg, weight=weights[leg.number], share=weights[leg.number] / 100)
            if weights.get(leg.number, leg.weight) != leg.weight
            else leg
            for leg in self.legs
        )
        return replace(self, legs=changed)


def setting(
    spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate], share_of: Callable[[int], float] | None = None
) -> Setting:
    """The spec in time. share_of: from a weight in percent to the share of requests; default: the weight itself.

    A weight settles for queryOffset, then the next whole interval is judged: half an interval later, on average.
    """
    interval, offset = seconds(spec.analysis.interval), seconds(spec.analysis.query_offset)
    share = share_of or (lambda weight: weight / 100)
    legs: list[Leg] = []
    for index, step in enumerate(spec.steps):
        weight = weight_at(spec, index)
        if step.set_weight is None:
            pause = step.pause.duration if step.pause else None
            legs.append(Leg(index + 1, weight, share(weight), seconds(pause or "0s"), 0.0, pause is None))
            continue
        warm = max(offset, seconds(spec.analysis.warmup)) if not any(leg.weight for leg in legs) else offset
        blind = warm + interval / 2
        lasts = max(seconds(step.min_duration or _DEFAULT_MIN_DURATION), blind + interval)
        legs.append(Leg(index + 1, weight, share(weight), lasts, blind))
    return Setting(spec, tuple(legs), tuple(gates), interval, offset)


@dataclass(frozen=True, slots=True)
class Question:
    """One gate under its traffic, within a setting."""

    setting: Setting
    gate: ResolvedGate
    traffic: GateTraffic

    @property
    def counts(self) -> bool:
        """Whether the gate gathers evidence at all."""
        return self.gate.count is not None or self.gate.rate is not None

    def stages(self, legs: Sequence[Leg]) -> list[Stage]:
        """The legs as this gate sees them."""
        total = self.traffic.per_second
        return [
            Stage(
                total * leg.share,
                total * (leg.share if self.setting.dedicated else 1.0 - leg.share) if leg.weight else 0.0,
                leg.seconds,
                leg.blind_seconds,
            )
            for leg in legs
        ]

    def with_margin(self, margin: float) -> "Question":
        """The same with another marginRatio."""
        gate = self.gate
        count = replace(gate.count, margin_ratio=margin) if gate.count else None
        rate = replace(gate.rate, margin_ratio=margin) if gate.rate else None
        return replace(self, gate=replace(gate, count=count, rate=rate))

    @property
    def margin(self) -> float:
        """Its marginRatio."""
        design = self.gate.count or self.gate.rate
        return design.margin_ratio if design else 1.0

    def delays(
        self, ratio: float, chance: timing.Bytes, runs: int = timing.RUNS, legs: Sequence[Leg] | None = None
    ) -> Delays:
        """When a canary `ratio` times as bad as stable is caught; at 1, when it passes. In seconds of the rollout."""
        stages = self.stages(self.setting.legs if legs is None else legs)
        if self.gate.count is not None and self.setting.spec.analysis.mode == "GroupSequential":
            found = self._group(self.gate.count, stages, ratio, chance, runs)
        else:
            truth = Truth.of_ratio(self.traffic.bad_share, ratio)
            found = timing.delays(self._race(stages, ratio, truth), stages, truth, self.setting.interval, chance, runs)
        return Delays(tuple(t + self.setting.offset for t in found.sorted_seconds))

    def group(self, gate: CountGate) -> GroupGate:
        """The plan of mode GroupSequential; alpha is shared between the gates that count."""
        analysis = self.setting.spec.analysis
        plan = analysis.group_sequential or GroupSequential()
        return GroupGate(
            looks=plan.looks,
            alpha=float(analysis.alpha) / number_of_tests(self.setting.gates),
            beta=float(analysis.beta),
            power=float(plan.power),
            harm_ratio=gate.harm_ratio,
            margin_ratio=gate.margin_ratio,
            detect_ratio=float(plan.detect_ratio),
            dispersion=self.traffic.dispersion,
            spending=plan.spending,
        )

    def _race(self, stages: Sequence[Stage], ratio: float, truth: Truth) -> races.Race:
        analysis, tests = self.setting.spec.analysis, number_of_tests(self.setting.gates)
        harm, safe = harm_threshold(tests, float(analysis.alpha)), safe_threshold(float(analysis.beta))
        phi = self.traffic.dispersion
        if self.gate.count is not None:
            count = replace(self._judged(self.gate.count), dispersion=phi)
            if ratio == GOOD:
                return races.count_safe(count, safe, stages)
            return races.count_harm(count, harm, stages, truth)
        assert self.gate.rate is not None
        rate = replace(self.gate.rate, dispersion=phi)
        return races.rate_safe(rate, safe, stages) if ratio == GOOD else races.rate_harm(rate, harm, stages)

    def _judged(self, gate: CountGate) -> CountGate:
        """With the method that a history of this bad share chooses."""
        history = ArmCounts(round(_SAMPLE * self.traffic.bad_share), _SAMPLE)
        return replace(gate, method=method.choose(history, gate.harm_ratio))

    def _group(self, gate: CountGate, stages: Sequence[Stage], ratio: float, chance: timing.Bytes, runs: int) -> Delays:
        design = self.group(gate)
        truth = Truth.of_ratio(self.traffic.bad_share, ratio)
        harm, safe = group_timing.delays(design, stages, truth, self.setting.interval, chance, runs)
        return safe if ratio == GOOD else harm


def when_all(delays: Sequence[Delays], not_before: float, level: float) -> float:
    """The time by which this share of rollouts has every gate decided, if gates are independent of each other."""
    times = sorted({not_before, *(t for d in delays for t in d.sorted_seconds if t > not_before)})
    for time in times:
        if math.isfinite(time) and all_by(delays, time) >= level:
            return time
    return math.inf


def all_by(delays: Sequence[Delays], seconds: float) -> float:
    """Share of rollouts in which every gate is decided by then, if gates are independent of each other."""
    return math.prod(d.by(seconds) for d in delays)
