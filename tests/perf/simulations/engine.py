"""Runs in bulk: chunks that fit into memory, peaks of e-values, and a check of every scenario against the package."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from chaffinch_stats import CountEvidence, CountGate, counts
from unit.stats import vector_engine
from unit.stats.builders import interval
from unit.stats.vector_engine import Floats, Runs

Bools = npt.NDArray[np.bool_]
ALPHA = 0.05
_CHUNK_VALUES = 3_000_000
_HIGHEST = 500.0  # log e-values beyond are not told apart: their sum would overflow


class EnginesDisagreeError(AssertionError):
    """The numpy engine and the package give different e-values for the same counts."""


def chunks(runs: int, looks: int) -> Iterator[int]:
    """Split runs so that one array of a chunk stays small."""
    size = max(1, min(runs, _CHUNK_VALUES // looks))
    for start in range(0, runs, size):
        yield min(size, runs - start)


def harm_peak(runs: Runs, gate: CountGate) -> Floats:
    """Log of the largest E_harm of each run over all looks, one alternative at a time."""
    bad, share = runs.canary_bad + runs.baseline_bad, runs.share
    steady = bool((share == share[0]).all())
    canary = np.cumsum(runs.canary_bad, axis=1, dtype=np.float64)
    events = np.cumsum(bad, axis=1, dtype=np.float64) if steady else bad
    total = np.zeros(bad.shape)
    for psi in gate.harm_ratio * np.array(gate.harm_grid):
        shift = np.log((1 - share + share * gate.harm_ratio) / (1 - share + share * psi)) / gate.dispersion
        logs = events * shift[0] if steady else np.cumsum(events * shift, axis=1)
        logs += canary * (math.log(psi / gate.harm_ratio) / gate.dispersion)
        total += np.exp(np.minimum(logs, _HIGHEST + 100.0, out=logs), out=logs)
    return np.asarray(np.log(total.max(axis=1) / len(gate.harm_grid)))


def count(runs: int, looks: int, draw: Callable[[int], Runs], gate: CountGate, hit: Callable[[Runs], Bools]) -> int:
    """Number of runs that `hit` says yes to, after checking a few of them against the package."""
    hits = 0
    for k, size in enumerate(chunks(runs, looks)):
        drawn = draw(size)
        if k == 0:
            check(drawn, gate)
        hits += int(hit(drawn).sum())
    return hits


def harmed(gate: CountGate, gates: int = 1, alpha: float = ALPHA) -> Callable[[Runs], Bools]:
    """Whether a run ever reaches gates/alpha."""
    return lambda runs: np.asarray(harm_peak(runs, gate) >= math.log(gates / alpha))


def promoted(gate: CountGate, beta: float = ALPHA) -> Callable[[Runs], Bools]:
    """Whether a run is ever called safe."""
    return lambda runs: np.asarray(vector_engine.log_e_safe(runs, gate).max(axis=1) >= -math.log(beta))


def check(runs: Runs, gate: CountGate, sample: int = 2) -> None:
    """Raise EnginesDisagreeError unless the package gives the same peak of E_harm and the same last E_safe."""
    peaks = harm_peak(runs, gate) if gate.method == "Poisson" else vector_engine.log_e_harm(runs, gate).max(axis=1)
    safe = vector_engine.log_e_safe(Runs(*_some(runs, sample)), gate)
    for run in range(min(sample, peaks.size)):
        evidence, peak = CountEvidence.start(gate), -math.inf
        for look in range(runs.canary_total.size):
            seen = (runs.canary_bad[run, look], runs.canary_total[look])
            other = (runs.baseline_bad[run, look], runs.baseline_total[look])
            evidence = counts.update(evidence, gate, interval(*map(int, (*seen, *other))))
            peak = max(peak, counts.log_e_harm(evidence, gate))
        found = (min(peak, _HIGHEST), counts.log_e_safe(evidence, gate))
        if not np.allclose(found, (min(peaks[run], _HIGHEST), safe[run, -1]), rtol=1e-7, atol=1e-7):
            raise EnginesDisagreeError(f"run {run}: package {found}, numpy {peaks[run], safe[run, -1]}")


def _some(runs: Runs, sample: int) -> tuple[vector_engine.Integers, ...]:
    return runs.canary_bad[:sample], runs.baseline_bad[:sample], runs.canary_total, runs.baseline_total
