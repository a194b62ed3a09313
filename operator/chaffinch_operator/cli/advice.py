"""What change of weights or margin would halve the time of a gate: searched for, not canned. Pure.

Every variant is simulated with the same chance as the spec itself, so differences are due to the change alone.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chaffinch_operator.cli.forecasts import FEW_RUNS, GOOD, Question
from chaffinch_stats import timing

HIGHEST_WEIGHT = 50
"""Beyond it stable gets too few requests to compare with, and a canary is no canary."""
_HIGHEST_MARGIN = 10.0
_MARGIN_STEP = 0.05
_MEDIAN = 0.5
Source = Callable[[], timing.Bytes]
"""Begins the same chance anew."""


@dataclass(frozen=True, slots=True)
class Advice:
    """How to get a time down to half.

    Attributes:
        gate: the slowest gate.
        ratio: how many times worse than stable the canary is that it is slow about; 1 is about passing a good one.
        seconds: half of the rollouts take at most so long.
        target_seconds: half of that.
        weights: weight by step number that would do, as few raised as possible; None if none up to 50 % does.
        margin: marginRatio that would do; None if none up to 10 does, or where margins do not matter.
        weights_seconds: what the weights would take.
        margin_seconds: what the margin would take.

    """

    gate: str
    ratio: float
    seconds: float
    target_seconds: float
    weights: Mapping[int, int] | None
    margin: float | None
    weights_seconds: float = math.inf
    margin_seconds: float = math.inf


def advise(question: Question, ratio: float, seconds: float, source: Source) -> Advice:
    """What would halve `seconds`, the median of this question."""
    target = seconds / 2
    weights, by_weights = _weights(question, ratio, target, source)
    margin, by_margin = _margin(question, target, source) if ratio == GOOD else (None, math.inf)
    return Advice(question.gate.name, ratio, seconds, target, weights, margin, by_weights, by_margin)


def _median(question: Question, ratio: float, source: Source) -> float:
    return question.delays(ratio, source(), FEW_RUNS).quantile(_MEDIAN)


def _weights(question: Question, ratio: float, target: float, source: Source) -> tuple[dict[int, int] | None, float]:
    """The smallest floor under all weights that is enough."""
    legs = question.setting.legs
    known: dict[int, float] = {}

    def raised(floor: int) -> dict[int, int]:
        return {leg.number: max(leg.weight, floor) for leg in legs if leg.weight}

    def time(floor: int) -> float:
        if floor not in known:
            changed = replace(question, setting=question.setting.with_weights(raised(floor)))
            known[floor] = _median(changed, ratio, source)
        return known[floor]

    lowest = min((leg.weight for leg in legs if leg.weight), default=HIGHEST_WEIGHT)
    floor = _first(lowest + 1, HIGHEST_WEIGHT, lambda k: time(k) <= target)
    return (None, math.inf) if floor is None else (raised(floor), time(floor))


def _margin(question: Question, target: float, source: Source) -> tuple[float | None, float]:
    """The smallest larger margin that is enough, in steps of 0.05."""
    known: dict[int, float] = {}

    def time(steps: int) -> float:
        if steps not in known:
            known[steps] = _median(question.with_margin(steps * _MARGIN_STEP), GOOD, source)
        return known[steps]

    first = math.floor(question.margin / _MARGIN_STEP + 1e-9) + 1
    steps = _first(first, round(_HIGHEST_MARGIN / _MARGIN_STEP), lambda k: time(k) <= target)
    return (None, math.inf) if steps is None else (round(steps * _MARGIN_STEP, 2), time(steps))


def _first(low: int, high: int, enough: Callable[[int], bool]) -> int | None:
    """The smallest number of low..high that is enough, if the highest is and more is never worse."""
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
