"""From a spec and its traffic to a plan: gates, worsenings, steps, bottleneck and advice. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaffinch_operator.cli.advice import Advice, Source, advise
from chaffinch_operator.cli.forecasts import (
    FEW_RUNS,
    GOOD,
    WORSENINGS,
    GateTraffic,
    Leg,
    Question,
    Setting,
    all_by,
    when_all,
)
from chaffinch_stats.timing import Delays

MEDIAN, LATE = 0.5, 0.9
DOUBLED = 2.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long one thing takes, in seconds since the canary's first weight; infinite where it never happens.

    Attributes:
        ratio: how many times as bad as stable the canary is; 1: until a good one passes.
        expected: mean of the rollouts in which it happens.
        median: by then it has happened in half of all rollouts.
        p90: by then in nine of ten.
        happens: share of rollouts in which it happens at all.
        step: number of the step in which the median falls; None where it never happens.

    """

    ratio: float
    expected: float
    median: float
    p90: float
    happens: float
    step: int | None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The same if the rollout had this step's weight from the beginning and kept it."""

    number: int
    weight: int
    estimates: tuple[Estimate, ...]
    passed: float
    """Share of good canaries that have passed by this step's end, in the spec's own steps."""


@dataclass(frozen=True, slots=True)
class GatePlan:
    """One gate."""

    name: str
    kind: str
    acting: bool
    traffic: GateTraffic | None
    """None for gates that gather no evidence."""
    estimates: tuple[Estimate, ...] = ()
    """Worsenings first, the good canary last."""
    steps: tuple[StepPlan, ...] = ()

    @property
    def good(self) -> Estimate | None:
        """When a good canary passes."""
        return self.estimates[-1] if self.estimates else None


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer.

    Attributes:
        steps_end: seconds the steps take at least.
        max_duration: seconds.
        gates: in the spec's order.
        promotion: when a good canary has passed every acting gate and all steps.
        in_time: share of good canaries of which that is true within maxDuration.
        bottleneck: name of the acting gate that passes last; None when the steps take longer than every gate.
        advice: how to halve the bottleneck, and the slowest catch of a doubling.
        waits_for_person: numbers of pauses without an end, counted as nothing.

    """

    setting: Setting
    gates: tuple[GatePlan, ...]
    promotion: Estimate
    in_time: float
    bottleneck: str | None
    advice: tuple[Advice, ...]

    @property
    def steps_end(self) -> float:
        """Seconds that the steps take at least."""
        return self.setting.steps_end

    @property
    def max_duration(self) -> float:
        """Seconds after which there should be a verdict."""
        return self.setting.max_duration

    @property
    def needs_evidence(self) -> bool:
        """Whether promotion waits for the gates."""
        return self.setting.spec.promotion.require == "Evidence"

    @property
    def waits_for_person(self) -> tuple[int, ...]:
        """Numbers of pauses without an end; they count as nothing."""
        return tuple(leg.number for leg in self.setting.legs if leg.waits_for_person)

    @property
    def late(self) -> bool:
        """Whether half of all good canaries have no verdict within maxDuration."""
        return self.needs_evidence and self.promotion.median > self.max_duration


def plan(setting: Setting, traffic: Mapping[str, GateTraffic], source: Source) -> Plan:
    """Forecast every gate for which there is traffic."""
    questions = {
        gate.name: Question(setting, gate, traffic[gate.name])
        for gate in setting.gates
        if gate.name in traffic and (gate.count or gate.rate)
    }
    found = {name: _delays(question, source) for name, question in questions.items()}
    gates = tuple(
        _gate_plan(questions[gate.name], found[gate.name], source)
        if gate.name in questions
        else GatePlan(gate.name, gate.kind.value, gate.acting, None)
        for gate in setting.gates
    )
    acting = [name for name, question in questions.items() if question.gate.acting]
    passing = [found[name][GOOD] for name in acting] if setting.spec.promotion.require == "Evidence" else []
    slowest = max(acting, key=lambda name: found[name][GOOD].quantile(MEDIAN), default=None)
    waits = slowest is not None and passing and found[slowest][GOOD].quantile(MEDIAN) > setting.steps_end
    return Plan(
        setting,
        gates,
        _promotion(setting, passing),
        all_by(passing, setting.max_duration) if setting.steps_end <= setting.max_duration else 0.0,
        slowest if waits else None,
        tuple(_advice(questions, found, acting, slowest if waits else None, source)),
    )


def _delays(question: Question, source: Source) -> dict[float, Delays]:
    return {ratio: question.delays(ratio, source()) for ratio in (*WORSENINGS, GOOD)}


def _gate_plan(question: Question, found: Mapping[float, Delays], source: Source) -> GatePlan:
    gate = question.gate
    return GatePlan(
        gate.name,
        gate.kind.value,
        gate.acting,
        question.traffic,
        tuple(_estimate(question.setting, ratio, delays) for ratio, delays in found.items()),
        tuple(_steps(question, found[GOOD], source)),
    )


def _estimate(setting: Setting, ratio: float, delays: Delays) -> Estimate:
    median = delays.quantile(MEDIAN)
    step = setting.step_at(median) if math.isfinite(median) else None
    return Estimate(ratio, delays.mean, median, delays.quantile(LATE), delays.decided, step)


def _steps(question: Question, good: Delays, source: Source) -> list[StepPlan]:
    """Per step that sets a weight; equal weights are simulated once."""
    known: dict[int, tuple[Estimate, ...]] = {}
    out, ended = [], 0.0
    for leg in question.setting.legs:
        ended += leg.seconds
        if not leg.weight or not leg.blind_seconds:
            continue
        if leg.weight not in known:
            known[leg.weight] = _at_weight(question, leg, source)
        out.append(StepPlan(leg.number, leg.weight, known[leg.weight], good.by(ended)))
    return out


def _at_weight(question: Question, leg: Leg, source: Source) -> tuple[Estimate, ...]:
    alone = replace(question.setting, legs=(leg,))
    asked = replace(question, setting=alone)
    return tuple(_estimate(alone, ratio, asked.delays(ratio, source(), FEW_RUNS)) for ratio in (*WORSENINGS, GOOD))


def _promotion(setting: Setting, passing: Sequence[Delays]) -> Estimate:
    end = setting.steps_end
    median, late = (when_all(passing, end, level) for level in (MEDIAN, LATE))
    times = [when_all(passing, end, (k + 0.5) / 50) for k in range(50)]
    passed = [t for t in times if math.isfinite(t)]
    mean = math.fsum(passed) / len(passed) if passed else math.inf
    happens = math.prod(d.decided for d in passing)
    return Estimate(GOOD, mean, median, late, happens, setting.step_at(median) if math.isfinite(median) else None)


def _advice(
    questions: Mapping[str, Question],
    found: Mapping[str, Mapping[float, Delays]],
    acting: Sequence[str],
    bottleneck: str | None,
    source: Source,
) -> list[Advice]:
    out = []
    if bottleneck is not None and math.isfinite(found[bottleneck][GOOD].quantile(MEDIAN)):
        out.append(advise(questions[bottleneck], GOOD, found[bottleneck][GOOD].quantile(MEDIAN), source))
    caught = {name: found[name][DOUBLED].quantile(MEDIAN) for name in acting}
    finite = [name for name, median in caught.items() if math.isfinite(median)]
    if finite:
        slowest = max(finite, key=caught.__getitem__)
        out.append(advise(questions[slowest], DOUBLED, caught[slowest], source))
    return out
