"""G3 and G11: canaries at the margin, how soon good ones pass, and what gaps in the data do."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from chaffinch_stats import CountGate
from perf.simulations.cells import Cell, Number, Share
from perf.simulations.engine import ALPHA, check, chunks, count, harmed, promoted
from unit.stats import vector_engine
from unit.stats.vector_engine import Floats, Runs

LOOKS, REQUESTS = 60, 2000
GATE = CountGate()


def at_the_margin(runs: int) -> Iterator[Cell]:
    """A canary exactly as bad as is not allowed."""
    steady, ramp = np.full(LOOKS, 0.5), np.repeat([0.05, 0.1, 0.25, 0.5], LOOKS // 4)
    drift = np.linspace(0.5, 2, LOOKS)
    cases: list[tuple[str, CountGate, float, Floats, Floats]] = []
    for margin in (1.5, 2.0):
        for base in (0.1, 0.01, 0.001):
            gate = CountGate(margin_ratio=margin)
            cases += [(f"at margin {margin}, base {base:.1%}, share 50 %", gate, margin, steady, np.full(LOOKS, base))]
            cases += [
                (f"at margin {margin}, base {base:.1%}, share 10 %", gate, margin, steady / 5, np.full(LOOKS, base))
            ]
    cases += [("at margin 1.5, ramp, errors 0.5 to 2 %", GATE, 1.5, ramp, 0.01 * drift)]
    by_rate = CountGate(safe_below=0.01)
    cases += [("at margin 1.5 and at safeBelow 1 %", by_rate, 1.5, steady, np.full(LOOKS, 0.01 / 1.5))]
    cases += [("ten times as bad, at safeBelow 1 %", by_rate, 10.0, steady, np.full(LOOKS, 0.001))]
    for case, gate, ratio, shares, rates in cases:
        draw = _drawer(shares, ratio * rates, rates)
        yield Share(case, "our gate promotes", count(runs, LOOKS, draw, gate, promoted(gate)), runs, ALPHA)


def _drawer(shares: Floats, canary: Floats, baseline: Floats) -> Callable[[int], Runs]:
    rng = np.random.default_rng(1)
    return lambda size: vector_engine.draw(rng, size, REQUESTS, shares, canary, baseline)


def good_canaries(runs: int) -> Iterator[Cell]:
    """Minutes until a canary like the baseline passes, and what happens to a bad one, at 2,000 requests a minute."""
    for base, share, margin, median in (
        (0.01, 0.5, 1.5, 8),
        (0.01, 0.5, 2.0, 3),
        (0.01, 0.1, 1.5, 17),
        (0.001, 0.1, 2.0, 44),
    ):
        gate, rates, shares = CountGate(margin_ratio=margin), np.full(300, base), np.full(300, share)
        rng, passed, harmed_at = np.random.default_rng(2), [], []
        for k, size in enumerate(chunks(runs, 300)):
            drawn = vector_engine.draw(rng, size, REQUESTS, shares, rates, rates)
            if k == 0:
                check(drawn, gate)
            passed.append(vector_engine.first(vector_engine.log_e_safe(drawn, gate), -math.log(ALPHA)))
            harmed_at.append(vector_engine.first(vector_engine.log_e_harm(drawn, gate), -math.log(ALPHA)))
        safe, harm = np.concatenate(passed), np.concatenate(harmed_at)
        case = f"good canary, base {base:.1%}, share {share:.0%}, margin {margin}"
        yield Number(case, "our gate: median minutes to a pass", float(np.median(safe)), runs, None, None, str(median))
        yield Share(case, "our gate rolls back first", int((harm < safe).sum()), runs, ALPHA, None, "1.3-2.5 %")
    rates, shares = np.full(LOOKS, 0.01), np.full(LOOKS, 0.5)
    worse = vector_engine.draw(np.random.default_rng(3), runs, REQUESTS, shares, 2 * rates, rates)
    looks = vector_engine.first(vector_engine.log_e_harm(worse, GATE), -math.log(ALPHA))
    yield Number(
        "errors doubled, 1 %, share 50 %", "our gate: median minutes", float(np.median(looks)), runs, 3, None, "3"
    )


def broken_data(runs: int) -> Iterator[Cell]:
    """A third of the intervals lost, arms idle, counters cut short by restarts: holes teach nothing."""
    rates, shares = np.full(LOOKS, 0.01), np.full(LOOKS, 0.2)

    def holes(size: int, ratio: float, seed: int) -> Runs:
        rng = np.random.default_rng(seed)
        whole = vector_engine.draw(rng, size, REQUESTS, shares, ratio * rates, rates)
        fate = rng.choice(5, size=LOOKS, p=[0.5, 0.15, 0.15, 0.1, 0.1])  # whole, lost, canary idle, cut, cut
        kept = np.where(fate == 1, 0.0, np.where(fate >= 3, rng.uniform(0.05, 1, LOOKS), 1.0))
        canary = np.where(fate == 2, 0, np.rint(whole.canary_total * kept)).astype(int)
        baseline = np.rint(whole.baseline_total * kept).astype(int)
        left = [
            rng.hypergeometric(bad, total - bad, part)
            for bad, total, part in (
                (whole.canary_bad, whole.canary_total, canary),
                (whole.baseline_bad, whole.baseline_total, baseline),
            )
        ]
        use = (canary > 0) & (baseline > 0)
        return Runs(left[0][:, use], left[1][:, use], canary[use], baseline[use])

    bad = count(runs, LOOKS, lambda size: holes(size, 1.5, 4), GATE, promoted(GATE))
    yield Share("half of the intervals broken, at margin 1.5", "our gate promotes", bad, runs, ALPHA)
    good = count(runs, LOOKS, lambda size: holes(size, 1.0, 5), GATE, harmed(GATE))
    yield Share("half of the intervals broken, equal arms", "our gate rolls back", good, runs, ALPHA)
