"""How often gates would cry wolf: pseudo-rollouts resampled from a history in which both arms were equal. Pure.

Scheme: each pseudo-rollout is made of blocks of consecutive intervals, drawn with replacement from the history as if
its end were followed by its start (circular block bootstrap, Politis and Romano 1992); in each block the arms are
swapped or not, at even odds. All gates see the same blocks, so what ties them to each other stays, and a block outlasts
the memory of the noise. Pseudo-rollouts are independent given the history: the interval of the rate tells of their
number, not of how much history there is. So the number of windows that do not overlap is told beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_stats import Interval, counts, dispersion
from chaffinch_stats.binomial import clopper_pearson
from chaffinch_stats.count_gate import CountGate, Method
from chaffinch_stats.counts import CountEvidence
from chaffinch_stats.mixtures import log_mean_exp

LEVEL = 0.05
"""The interval of the rate has confidence 1 - LEVEL."""
Pairs = Sequence[Interval | None]
"""Shape (intervals,): both arms of a gate; None where an arm has no data."""


class Chance(Protocol):
    """Where randomness comes from: random.Random(seed) will do."""

    def randrange(self, start: int, /) -> int:
        """Return an integer from 0 up to, without, the one given."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """Alarms among trials, with the exact limits of their probability."""

    alarms: int
    trials: int

    @property
    def share(self) -> float:
        """Realised rate; 0 without a trial."""
        return self.alarms / self.trials if self.trials else 0.0

    @property
    def limits(self) -> tuple[float, float]:
        """Clopper and Pearson's interval."""
        return clopper_pearson(self.alarms, self.trials, LEVEL)


@dataclass(frozen=True, slots=True)
class Trials:
    """What came of the pseudo-rollouts."""

    any_gate: Rate
    by_gate: Mapping[str, Rate]
    length: int
    """Intervals of a pseudo-rollout."""
    block: int
    """Intervals of a block."""
    history: int
    """Intervals of the history."""

    @property
    def windows(self) -> int:
        """How many pseudo-rollouts the history could hold side by side."""
        return self.history // self.length


def judged(gates: Sequence[ResolvedGate], pairs: Mapping[str, Pairs]) -> tuple[ResolvedGate, ...]:
    """The gates of which two equal arms can tell: acting ratios with data. An objective has no second arm."""
    return tuple(g for g in gates if g.kind is Kind.RATIO and g.acting and any(pairs.get(g.name, ())))


def noise(pairs: Pairs, method: Method) -> dispersion.Dispersion:
    """The dispersion of a gate's history, allowance included."""
    return dispersion.estimate([p for p in pairs if p is not None], method)


def block_of(pairs: Mapping[str, Pairs], gates: Sequence[ResolvedGate]) -> int:
    """The longest block that any gate's noise asks for."""
    return max((noise(pairs[g.name], g.count.method).block_intervals for g in gates if g.count), default=1)


def run(
    gates: Sequence[ResolvedGate],
    pairs: Mapping[str, Pairs],
    harm: float,
    *,
    rollouts: int,
    length: int,
    block: int,
    chance: Chance,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Trials:
    """Resample. gates: of `judged`; harm: the log e-value at which a gate fails; counts are at least 1."""
    history = max(len(pairs[g.name]) for g in gates)
    size = min(block, history)
    tables = [_table(g.count, pairs[g.name]) for g in gates if g.count is not None]
    alarms = [0] * len(tables)
    alarmed = 0
    for number in range(rollouts):
        course = _course(history, length, size, chance)
        rang = [_alarm(table, course, harm) for table in tables]
        alarms = [count + one for count, one in zip(alarms, rang, strict=True)]
        alarmed += any(rang)
        tell(number + 1, rollouts)
    rates = {g.name: Rate(count, rollouts) for g, count in zip(gates, alarms, strict=True)}
    return Trials(Rate(alarmed, rollouts), rates, length, size, history)


_Factors = tuple[float, ...]
_Table = Sequence[tuple[_Factors, _Factors] | None]


def _table(gate: CountGate, pairs: Pairs) -> _Table:
    """Per interval the log factors of each alternative of harm, as it is and with the arms swapped: they add up."""
    return [None if p is None else (_factors(gate, p), _factors(gate, Interval(p.baseline, p.canary))) for p in pairs]


def _factors(gate: CountGate, interval: Interval) -> _Factors:
    return counts.log_e_harm_grid(counts.update(CountEvidence.start(gate), gate, interval), gate)


def _course(history: int, length: int, block: int, chance: Chance) -> list[tuple[int, int]]:
    """Places in the history, each with whether the arms are swapped there."""
    out: list[tuple[int, int]] = []
    while len(out) < length:
        start, swapped = chance.randrange(history), chance.randrange(2)
        out += [((start + step) % history, swapped) for step in range(block)]
    return out[:length]


def _alarm(table: _Table, course: Sequence[tuple[int, int]], harm: float) -> bool:
    """Whether the evidence of harm ever reaches what it takes."""
    sums: list[float] = []
    for place, swapped in course:
        factors = table[place]
        if factors is None:
            continue
        sums = [a + b for a, b in zip(sums, factors[swapped], strict=True)] if sums else list(factors[swapped])
        if max(sums) >= harm and log_mean_exp(sums) >= harm:
            return True
    return False
