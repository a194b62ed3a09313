"""G4: how soon harm is found, in units of the fixed sample of 90 % power; latency buckets; splits."""

import math
from collections.abc import Iterator

import numpy as np
from scipy import stats

from chaffinch_stats import CountGate, spending
from chaffinch_stats.quadrature import upper_quantile
from perf.simulations.cells import Cell, Number, Share
from perf.simulations.engine import ALPHA, check, chunks
from unit.stats import vector_engine
from unit.stats.vector_engine import Floats, Integers, Runs

GATE = CountGate()
LOOKS_PER_FIXED = 25
TABLE = (
    (0.01, 0.02, 0.5, 5057, "0.91 / 0.75 / 1.82", "0.68 / 0.64"),
    (0.01, 0.02, 0.1, 13_338, "0.92 / 0.75 / 1.83", "0.61 / 0.53"),
    (0.01, 0.015, 0.5, 16_909, "0.93 / 0.78 / 1.81", "0.67 / 0.63"),
    (0.01, 0.05, 0.1, 1477, "0.82 / 0.68 / 1.66", "0.55 / 0.43"),
    (0.001, 0.003, 0.5, 17_089, "0.82 / 0.67 / 1.61", "0.67 / 0.65"),
    (0.01, 0.0125, 0.5, 60_962, "1.12 / 0.98 / 2.17", "0.67 / 0.63"),
)


def detection(runs: int) -> Iterator[Cell]:
    """Requests until harm is found, over the fixed sample size for 90 % power."""
    for base, worse, share, fixed, reference, group_reference in TABLE:
        case = f"{base:.1%} to {worse:.2%}, share {share:.0%}, N90 = {fixed:,}"
        step, looks = fixed // LOOKS_PER_FIXED, 300
        rates, shares = np.full(looks, base), np.full(looks, share)
        rng, delays = np.random.default_rng(1), []
        for k, size in enumerate(chunks(runs, looks)):
            drawn = vector_engine.draw(rng, size, step, shares, rates / base * worse, rates)
            if k == 0:
                check(drawn, GATE, sample=1)
            delays.append(vector_engine.first(vector_engine.log_e_harm(drawn, GATE), math.log(1 / ALPHA)))
        delay = np.concatenate(delays) * step / fixed
        mean = float(delay.mean())
        at_most = 1.0 if worse >= 1.5 * base else None
        yield Number(case, "our gate: mean", mean, runs, at_most, None, reference)
        yield Number(case, "our gate: median", float(np.median(delay)), runs)
        yield Number(case, "our gate: 90th percentile", float(np.quantile(delay, 0.9)), runs)
        yield from _group(case, (base, worse, share, fixed), runs, mean, group_reference)


def _group(case: str, cell: tuple[float, float, float, int], runs: int, mean: float, reference: str) -> Iterator[Cell]:
    """The group sequential mode on the same question, and its theory: 20 looks, 90 % power."""
    base, worse, share, fixed = cell
    rates, shares = np.full(20, base), np.full(20, share)
    fractions = [k / 20 for k in range(1, 21)]
    kinds: tuple[spending.Spending, spending.Spending] = ("OBrienFleming", "Pocock")
    for kind in kinds:
        drift = spending.drift_needed(ALPHA, 0.1, 20, kind)
        inflation = (drift / (upper_quantile(ALPHA) + upper_quantile(0.1))) ** 2
        bounds = spending.boundaries(ALPHA, fractions, kind)
        step = round(fixed * inflation / 20)
        drawn = vector_engine.draw(np.random.default_rng(2), runs, step, shares, rates / base * worse, rates)
        z = vector_engine.group_z(drawn)
        crossed = z >= np.array(bounds)
        found = crossed.any(axis=1)
        stop = np.where(found, crossed.argmax(axis=1) + 1, 20) * step / fixed
        mean_drift = float(z[:, -1].mean())
        above, _ = spending.crossing(fractions, bounds, None, mean_drift)
        theory = inflation * (sum(t * p for t, p in zip(fractions, above, strict=True)) + 1 - sum(above))
        where = reference.split(" / ")[0 if kind == "OBrienFleming" else 1]
        yield Number(case, f"GroupSequential {kind}: mean", float(stop.mean()), runs, 1.05 * theory, None, where)
        yield Share(case, f"GroupSequential {kind}: power", int(found.sum()), runs, None, 0.88)
        if kind == "OBrienFleming":
            yield Number(case, "our gate over GroupSequential", mean / float(stop.mean()), runs, 2.0)


def group_false_alarms(runs: int) -> Iterator[Cell]:
    """Equal arms under the group sequential mode; a normal approximation, so a share and no bound is claimed."""
    fractions = [k / 20 for k in range(1, 21)]
    kinds: tuple[spending.Spending, spending.Spending] = ("OBrienFleming", "Pocock")
    for kind in kinds:
        bounds = np.array(spending.boundaries(ALPHA, fractions, kind))
        for share, base in ((0.5, 0.01), (0.1, 0.01), (0.05, 0.001), (0.5, 0.3)):
            requests = vector_engine.requests_for(55.0, share, base, 20)
            rates = np.full(20, base)
            drawn = vector_engine.draw(np.random.default_rng(3), runs, requests, np.full(20, share), rates, rates)
            hits = int((vector_engine.group_z(drawn) >= bounds).any(axis=1).sum())
            yield Share(f"20 looks, share {share:.0%}, base {base:.1%}", f"GroupSequential {kind}", hits, runs)


def latency(runs: int) -> Iterator[Cell]:
    """A slower canary seen through one bucket: log-normal latency of sigma 0.5, 1,000 requests a minute and arm."""
    looks = 60
    for percentile, scale, reference in ((0.95, 1.1, "6"), (0.99, 1.2, "4"), (0.5, 1.1, "weak"), (0.5, 1.03, "")):
        slow = float(stats.norm.sf(stats.norm.ppf(percentile) - math.log(scale) / 0.5))
        rates, shares = np.full(looks, 1 - percentile), np.full(looks, 0.5)
        drawn = vector_engine.draw(np.random.default_rng(4), runs, 2000, shares, slow / (1 - percentile) * rates, rates)
        case = f"bucket at the {percentile:.0%} quantile, {scale - 1:.0%} slower"
        methods = (("Poisson", GATE), ("Fisher", CountGate(method="Fisher")))
        for name, gate in methods if percentile == 0.5 else methods[:1]:
            check(drawn, gate, sample=1)
            parts = [Runs(*part, drawn.canary_total, drawn.baseline_total) for part in _parts(drawn, looks)]
            logs = (vector_engine.log_e_harm(part, gate) for part in parts)
            minutes = np.concatenate([vector_engine.first(each, math.log(1 / ALPHA)) for each in logs])
            found = int(np.isfinite(minutes).sum())
            rule = f"our gate, method {name}"
            yield Share(case, f"{rule}: found within the hour", found, runs)
            yield Number(case, f"{rule}: median minutes", float(np.median(minutes)), runs, None, None, reference)


def _parts(drawn: Runs, looks: int) -> Iterator[tuple[Integers, Integers]]:
    """Bad counts of both arms, some runs at a time."""
    start = 0
    for size in chunks(drawn.canary_bad.shape[0], 4 * looks):
        yield drawn.canary_bad[start : start + size], drawn.baseline_bad[start : start + size]
        start += size


def splits(runs: int) -> Iterator[Cell]:
    """Traffic that is not split as intended: 10 % intended, alpha 0.1 %."""
    rule = "split gate: median requests"
    for true, step, looks, reference in ((0.09, 200, 300, "14,800"), (0.08, 100, 200, "3,600"), (0.05, 25, 200, "600")):
        found = vector_engine.first(_split(runs, true, step, looks), math.log(1000))
        median = float(np.median(found)) * step
        yield Number(f"intended 10 %, true {true:.0%}", rule, median, runs, None, None, reference)
    hits = vector_engine.ever(_split(runs, 0.1, 200, 300), math.log(1000))
    yield Share("intended 10 %, true 10 %, 60,000 requests", "split gate", hits, runs, 0.005, None, "0.03 %")


def _split(runs: int, true: float, step: int, looks: int) -> Floats:
    """Log e-value of the split at every look."""
    canary = np.random.default_rng(5).binomial(step, true, size=(runs, looks))
    return vector_engine.split_log_e(canary, np.full(looks, step), 0.1)
