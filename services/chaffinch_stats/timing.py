"""How long a test takes to be decided over stages of a rollout: its mean by Wald, its distribution by simulation.

Wald's identity (1945) gives a mean: the evidence still missing over its mean growth. Half of all rollouts are decided
earlier than that, and a tenth much later, so the distribution is simulated: counts of both arms at a few dozen looks,
with the looks' coarseness taken back out (Siegmund, Sequential Analysis, 1985, chapter IX; Broadie, Glasserman and Kou
1997). Pure: the caller hands in the source of chance. One seed gives one answer, and two plans that differ in a weight
see the same luck.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from chaffinch_stats.quadrature import upper_quantile
from chaffinch_stats.races import Race, Slope, Stage, Truth

Bytes = Callable[[int], bytes]
"""Source of so many uniform bytes, such as random.Random(1).randbytes."""

RUNS = 1000
"""Usual number of runs: the median is then within 2 % (one standard error), the 90th percentile within 5 %."""

_LOOKS = 40  # to the goal, at the mean growth
_FEWEST = 4  # looks of a stage in which evidence does not grow
_PATIENCE = 12.0  # a run is given up after so many times the mean
_LOST = 1e15  # seconds that no rollout lasts
_TABLE = 2048
_NORMAL_FROM = 60.0  # mean counts from which quantiles are taken from the normal distribution
_OVERSHOOT = 0.5826  # -zeta(1/2)/sqrt(2*pi)


@dataclass(frozen=True, slots=True)
class Delays:
    """When the simulated runs were decided, in seconds since the first stage began; inf for a run that never was.

    Attributes:
        sorted_seconds: shape (runs,), rising.

    """

    sorted_seconds: tuple[float, ...]

    @property
    def decided(self) -> float:
        """Share of the runs that were decided at all."""
        runs = self.sorted_seconds
        return sum(map(math.isfinite, runs)) / len(runs) if runs else 0.0

    @property
    def mean(self) -> float:
        """Mean of the runs that were decided; inf when none was."""
        finite = [t for t in self.sorted_seconds if math.isfinite(t)]
        return math.fsum(finite) / len(finite) if finite else math.inf

    def quantile(self, level: float) -> float:
        """The time by which this share of all runs was decided; inf when fewer ever were."""
        runs = self.sorted_seconds
        return runs[min(len(runs) - 1, max(0, math.ceil(level * len(runs)) - 1))] if runs else math.inf

    def by(self, seconds: float) -> float:
        """Share of all runs decided by then."""
        return sum(1 for t in self.sorted_seconds if t <= seconds) / max(1, len(self.sorted_seconds))


def expected(race: Race, stages: Sequence[Stage], truth: Truth) -> float:
    """Return the seconds at which the mean evidence of the fastest alternative reaches the goal; inf if never."""
    return min(
        _walk(race.goal - weight, [(s, row[k].growth(s, truth) / race.dispersion) for s, row in _rows(race, stages)])
        for k, weight in enumerate(race.log_weights)
    )


def _rows(race: Race, stages: Sequence[Stage]) -> list[tuple[Stage, tuple[Slope, ...]]]:
    return list(zip(stages, race.slopes, strict=True))


def _walk(goal: float, growing: Sequence[tuple[Stage, float]]) -> float:
    """When the sum of (stage, growth per second) reaches the goal."""
    begun, gathered = 0.0, 0.0
    for position, (stage, growth) in enumerate(growing):
        judged = max(0.0, stage.seconds - stage.blind_seconds)
        last = position == len(growing) - 1
        if growth > 0.0 and (last or gathered + growth * judged >= goal):
            return begun + stage.blind_seconds + max(0.0, goal - gathered) / growth
        begun, gathered = begun + stage.seconds, gathered + growth * judged
    return math.inf


def delays(
    race: Race, stages: Sequence[Stage], truth: Truth, interval_seconds: float, chance: Bytes, runs: int = RUNS
) -> Delays:
    """Simulate when the race is won.

    Args:
        race: the test.
        stages: shape (stages,), as in the race's slopes.
        truth: what the arms really do.
        interval_seconds: evidence is looked at once in so many seconds.
        chance: where randomness comes from.
        runs: how many rollouts are simulated.

    """
    mean = expected(race, stages, truth)
    if math.isinf(mean) or mean > _LOST:
        return Delays((math.inf,) * runs)
    legs = _legs(race, stages, truth, interval_seconds, mean)
    return Delays(tuple(sorted(_run(race, legs, chance) for _ in range(runs))))


@dataclass(frozen=True, slots=True)
class _Leg:
    """A stage as it is simulated: so many equal looks."""

    begins: float
    seconds: float
    """Between two looks."""
    looks: int
    late: float
    """What the coarseness of the looks adds to the time of a decision."""
    goal: float
    canary: tuple[float, ...]
    """Quantiles of the canary's bad events between two looks."""
    baseline: tuple[float, ...]
    slopes: tuple[tuple[float, float, float], ...]
    """Per alternative: on a bad event of the canary, of the baseline, and per look."""


def _legs(race: Race, stages: Sequence[Stage], truth: Truth, interval: float, mean: float) -> list[_Leg]:
    legs, begun = [], 0.0
    for position, (stage, slopes) in enumerate(_rows(race, stages)):
        last = position == len(stages) - 1
        starts = begun + stage.blind_seconds
        judged = max(_PATIENCE * mean - starts, _PATIENCE * interval) if last else stage.seconds - stage.blind_seconds
        intervals = math.floor(judged / interval + 1e-9)
        if intervals > 0:
            legs.append(_leg(race, (stage, slopes), truth, interval, (starts, intervals, mean)))
        begun += stage.seconds
    return legs


def _leg(
    race: Race,
    row: tuple[Stage, tuple[Slope, ...]],
    truth: Truth,
    interval: float,
    times: tuple[float, int, float],
) -> _Leg:
    (stage, slopes), (begins, intervals, mean) = row, times
    phi = race.dispersion
    fastest = max(slopes, key=lambda s: s.growth(stage, truth))
    growth = fastest.growth(stage, truth) / phi
    judged = intervals * interval
    coarse = race.goal / growth / _LOOKS if growth > 0.0 else judged / _FEWEST
    looks = min(intervals, math.ceil(judged / min(coarse, mean / _FEWEST)))
    seconds = judged / looks
    events = (stage.canary * truth.canary / phi, stage.baseline * truth.baseline / phi)
    goal = race.goal - _coarseness(fastest, events, seconds, interval)
    return _Leg(
        begins,
        seconds,
        looks,
        0.5 * (seconds - interval),
        goal,
        quantiles(stage.canary * seconds / phi, truth.canary),
        quantiles(stage.baseline * seconds / phi, truth.baseline),
        tuple((s.on_canary, s.on_baseline, s.per_second * seconds / phi) for s in slopes),
    )


def _coarseness(slope: Slope, events: tuple[float, float], seconds: float, interval: float) -> float:
    """By how much a goal must be lowered so that coarse looks find what looks at every interval would.

    A walk overshoots, on average, by 0.5826 standard deviations of a step; single events are steps too.
    """
    jumps = (slope.on_canary, slope.on_baseline)
    variance = sum(rate * jump * jump for rate, jump in zip(events, jumps, strict=True) if jump > -1e6)
    single = max((jump for rate, jump in zip(events, jumps, strict=True) if rate > 0.0), default=0.0)
    fine = max(math.sqrt(variance * interval), single)
    return _OVERSHOOT * max(0.0, math.sqrt(variance * seconds) - fine)


def _run(race: Race, legs: Sequence[_Leg], chance: Bytes) -> float:
    """One rollout; the time of its decision."""
    begun = list(race.log_weights)
    for leg in legs:
        canary, baseline, slopes, goal, looks = leg.canary, leg.baseline, leg.slopes, leg.goal, leg.looks
        x = y = 0.0
        for done in range(0, looks, _BLOCK):
            size = min(_BLOCK, looks - done)
            dice = array("H", chance(4 * size))
            for look in range(size):
                x += canary[dice[2 * look] & MASK]
                y += baseline[dice[2 * look + 1] & MASK]
                z = done + look + 1
                logs = [base + a * x + b * y + c * z for base, (a, b, c) in zip(begun, slopes, strict=True)]
                peak = max(logs)
                near = peak > goal - _NEAR
                if near and peak + math.log(sum([math.exp(v - peak) for v in logs])) >= goal:
                    return leg.begins + z * leg.seconds - leg.late
        begun = [base + a * x + b * y + c * looks for base, (a, b, c) in zip(begun, slopes, strict=True)]
    return math.inf


_BLOCK = 64
MASK = _TABLE - 1
_NEAR = 2.5  # logs of at most 12 alternatives: their sum is at most e**2.5 times the largest


@lru_cache(maxsize=1)
def _normals() -> tuple[float, ...]:
    return tuple(-upper_quantile((k + 0.5) / _TABLE) for k in range(_TABLE))


@lru_cache(maxsize=512)
def quantiles(trials: float, rate: float) -> tuple[float, ...]:
    """Equally likely values of the number of bad among so many requests: shape (2048,)."""
    mean = trials * rate
    if mean <= 0.0:
        return (0.0,) * _TABLE
    spread = math.sqrt(mean * (1.0 - rate))
    if min(mean, trials - mean) >= _NORMAL_FROM:
        lean = (1.0 - 2.0 * rate) / 6.0  # skewness times spread, over 6 (Cornish and Fisher 1938)
        return tuple(max(0.0, mean + spread * z + lean * (z * z - 1.0)) for z in _normals())
    if trials - mean < _NORMAL_FROM <= mean:
        return tuple(trials - good for good in reversed(quantiles(trials, 1.0 - rate)))
    return tuple(_counted(max(1.0, mean, float(round(trials))), mean))


def _counted(trials: float, mean: float) -> Iterator[float]:
    """The same by adding up the binomial distribution of this mean; of Poisson's where there are many trials."""
    rate = min(1.0, mean / trials)
    if rate >= 1.0:
        yield from (trials,) * _TABLE
        return
    probability = math.exp(trials * math.log1p(-rate))
    odds, below, count = rate / (1.0 - rate), probability, 0.0
    for k in range(_TABLE):
        while below < (k + 0.5) / _TABLE and count < trials:
            probability *= (trials - count) / (count + 1.0) * odds
            count += 1.0
            below += probability
        yield count
