"""Tests of counts as races: what each request adds to the logarithm of each alternative's e-value.

Every e-process of this package is the mean of a few products, and the logarithm of each product is linear in the bad
events of both arms and in the requests; `timing` needs no more of a test than these slopes. Stages differ in the
traffic of the arms, so slopes are given per stage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaffinch_stats import hypergeometric
from chaffinch_stats.checks import require_closed_unit
from chaffinch_stats.count_gate import CountGate
from chaffinch_stats.counts import SAFE_RATE_FRACTIONS
from chaffinch_stats.one_sample import RateGate

IMPOSSIBLE = -1e9
"""Log factor of an event that an alternative rules out; finite, because 0 times it must be 0."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of the rollout with one weight.

    Attributes:
        canary: requests per second of the canary, at least 0.
        baseline: requests per second of what it is compared with, at least 0.
        seconds: how long it lasts; ignored for the last stage, which goes on for ever.
        blind_seconds: at its beginning, in which nothing is judged.

    Raises:
        ValueError: naming the field that is negative or not finite.

    """

    canary: float
    baseline: float
    seconds: float
    blind_seconds: float = 0.0

    def __post_init__(self) -> None:
        for field in ("canary", "baseline", "seconds", "blind_seconds"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{field} must be a finite number, at least 0, got {value!r}")

    @property
    def share(self) -> float:
        """The canary's share of the judged requests; 0 without any."""
        return self.canary / (self.canary + self.baseline) if self.canary else 0.0

    @property
    def informative(self) -> bool:
        """Whether both arms have traffic, so that a ratio can be learnt."""
        return self.canary > 0.0 and self.baseline > 0.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What the arms really do: bad requests per request, in [0, 1]."""

    canary: float
    baseline: float

    def __post_init__(self) -> None:
        require_closed_unit(self.canary, "canary")
        require_closed_unit(self.baseline, "baseline")

    @classmethod
    def of_ratio(cls, base_rate: float, ratio: float) -> "Truth":
        """A canary `ratio` times as bad as the baseline, at most always bad."""
        return cls(min(1.0, base_rate * ratio), base_rate)


@dataclass(frozen=True, slots=True)
class Slope:
    """What one alternative's log e-value gains."""

    on_canary: float
    """Per bad event of the canary."""
    on_baseline: float
    """Per bad event of the baseline."""
    per_second: float
    """By the requests of a second, good and bad."""

    def growth(self, stage: Stage, truth: Truth) -> float:
        """Mean gain per second."""
        canary, baseline = stage.canary * truth.canary, stage.baseline * truth.baseline
        return canary * self.on_canary + baseline * self.on_baseline + self.per_second


@dataclass(frozen=True, slots=True)
class Race:
    """A weighted mean of e-values on its way to a goal.

    Attributes:
        goal: log e-value at which the test is decided.
        log_weights: shape (k,), logs of the alternatives' weights, which sum to 1.
        slopes: shape (stages, k), untempered.
        dispersion: phi >= 1. Counts that come in clumps of phi have phi times the variance, and evidence that is
            tempered by phi then grows as that of the clumps themselves: as with traffic smaller by phi.

    """

    goal: float
    log_weights: tuple[float, ...]
    slopes: tuple[tuple[Slope, ...], ...]
    dispersion: float


_NO_EVIDENCE = Slope(0.0, 0.0, 0.0)


def count_harm(gate: CountGate, goal: float, stages: Sequence[Stage], truth: Truth) -> Race:
    """The race of E_harm of a two-arm gate to log(gates/alpha) = `goal`; `truth` matters for method "Fisher" only."""
    alternatives = [gate.harm_ratio * multiple for multiple in gate.harm_grid]
    slopes = tuple(
        tuple(_harm_slope(gate, psi, stage, truth) if stage.informative else _NO_EVIDENCE for psi in alternatives)
        for stage in stages
    )
    return Race(goal, _equal(len(alternatives)), slopes, gate.dispersion)


def count_safe(gate: CountGate, goal: float, stages: Sequence[Stage]) -> Race:
    """The race of E_safe of a two-arm gate to log(1/beta) = `goal`, with its half by the rate where there is one."""
    ratios = [psi for psi in gate.safe_grid if psi < gate.margin_ratio]
    rates = [] if gate.safe_below is None else [gate.safe_below * part for part in SAFE_RATE_FRACTIONS]
    weights = _equal(len(ratios))
    if rates:
        weights = tuple(w - math.log(2.0) for w in (*weights, *_equal(len(rates))))

    def of(stage: Stage) -> tuple[Slope, ...]:
        if not stage.informative:
            return (_NO_EVIDENCE,) * len(weights)
        by_ratio = [_ratio_slope(psi, gate.margin_ratio, stage.share) for psi in ratios]
        return (*by_ratio, *(_rate_slope(rate, gate.safe_below or 0.0, stage) for rate in rates))

    return Race(goal, weights, tuple(map(of, stages)), gate.dispersion)


def rate_harm(gate: RateGate, goal: float, stages: Sequence[Stage]) -> Race:
    """The race of E_harm of an absolute gate."""
    return _absolute(gate, goal, stages, gate.max_ratio, gate.harm_rates)


def rate_safe(gate: RateGate, goal: float, stages: Sequence[Stage]) -> Race:
    """The race of E_safe of an absolute gate."""
    return _absolute(gate, goal, stages, gate.margin_rate, gate.safe_rates)


def _absolute(gate: RateGate, goal: float, stages: Sequence[Stage], null: float, rates: Sequence[float]) -> Race:
    slopes = tuple(tuple(_rate_slope(rate, null, stage) for rate in rates) for stage in stages)
    return Race(goal, _equal(len(rates)), slopes, gate.dispersion)


def _equal(count: int) -> tuple[float, ...]:
    return (-math.log(count),) * count


def _ratio_slope(psi: float, null: float, share: float) -> Slope:
    """(psi/null)**x_c * ((1-rho+rho*null)/(1-rho+rho*psi))**m, as in `counts`."""
    both = math.log1p(share * (null - 1.0)) - math.log1p(share * (psi - 1.0))
    return Slope(math.log(psi / null) + both, both, 0.0)


def _rate_slope(rate: float, null: float, stage: Stage) -> Slope:
    """The Bernoulli likelihood ratio of the canary's requests, as in `bernoulli`."""
    good = math.log1p(-rate) - math.log1p(-null)
    bad = math.log(rate / null) - good if rate > 0.0 else IMPOSSIBLE
    return Slope(bad, 0.0, stage.canary * good)


def _harm_slope(gate: CountGate, psi: float, stage: Stage, truth: Truth) -> Slope:
    if gate.method == "Poisson":
        return _ratio_slope(psi, gate.harm_ratio, stage.share)
    return _odds_slope(psi, gate.harm_ratio, stage, truth)


def _odds_slope(psi: float, null: float, stage: Stage, truth: Truth) -> Slope:
    """x_c*log(psi/null) - S(psi) + S(null) of method "Fisher", S straightened at the mean number of bad requests.

    S of n requests is n*G(m/n) in the limit of large intervals; the slope of G is taken by a central difference.
    """
    requests = stage.canary + stage.baseline
    mean = (stage.canary * truth.canary + stage.baseline * truth.baseline) / requests
    if not 0.0 < mean < 1.0:
        return _NO_EVIDENCE
    step = 1e-4 * min(mean, 1.0 - mean)

    def normalizer(rate: float) -> float:
        return hypergeometric.growth(stage.share, rate, psi) - hypergeometric.growth(stage.share, rate, null)

    per_bad = (normalizer(mean + step) - normalizer(mean - step)) / (2.0 * step)
    return Slope(math.log(psi / null) - per_bad, -per_bad, -requests * (normalizer(mean) - mean * per_bad))
