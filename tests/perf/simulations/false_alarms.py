"""G1 and G2, and what breaks naive rules: peeking, many metrics, weight ramps, absolute thresholds, rank judges."""

import math
from collections.abc import Iterator

import numpy as np

from chaffinch_stats import CountGate
from perf.simulations import rivals
from perf.simulations.cells import Cell, Share
from perf.simulations.engine import ALPHA, check, chunks, count, harm_peak, harmed
from unit.stats import vector_engine
from unit.stats.noise import autoregressive
from unit.stats.vector_engine import Floats, Runs

GATE = CountGate()
FISHER = CountGate(method="Fisher")
LOOKS, REQUESTS = 60, 2000
DAY = 1440


def draw(rng: np.random.Generator, size: int, share: Floats, rates: Floats, ratio: float = 1.0) -> Runs:
    """2,000 requests of both arms a look."""
    return vector_engine.draw(rng, size, REQUESTS, share, ratio * rates, rates)


def peeking(runs: int) -> Iterator[Cell]:
    """Sixty looks at two equal arms."""
    references = {0.5: ("33.9 %", "95.4 %", "36.4 %", "1.9 %"), 0.1: ("", "", "53-67 % one-sided", "0.5-2.4 %")}
    for share in (0.5, 0.1):
        rng, case = np.random.default_rng(1), f"60 looks, 1 % errors, share {share:.0%}"
        rates, shares = np.full(LOOKS, 0.01), np.full(LOOKS, share)
        hits = np.zeros(4, dtype=int)
        for k, size in enumerate(chunks(runs, LOOKS)):
            drawn = draw(rng, size, shares, rates)
            if k == 0:
                check(drawn, GATE)
            failed = rivals.interval_chi_square(drawn) > rivals.CRITICAL
            hits += [
                int((rivals.cumulative_chi_square(drawn) > rivals.CRITICAL).any(axis=1).sum()),
                int(rivals.more_failures_than(0, failed).sum()),
                int(rivals.more_failures_than(3, failed).sum()),
                int(harmed(GATE)(drawn).sum()),
            ]
        names = ("cumulative chi-square", "chi-square per interval", "the same, failureLimit 3", "our gate")
        for name, number, reference in zip(names, hits.tolist(), references[share], strict=True):
            at_most = ALPHA if name == "our gate" else None
            yield Share(case, name, number, runs, at_most, None, reference)


def day_of_ten_metrics(runs: int) -> Iterator[Cell]:
    """Ten metrics, 1,440 looks, shares of 1 to 50 %, 0.01 to 10 % errors."""
    for share in (0.5, 0.1, 0.01):
        for rate in (0.1, 0.01, 0.0001):
            rng, hits = np.random.default_rng(2), 0
            shares, rates = np.full(DAY, share), np.full(DAY, rate)
            for k, size in enumerate(chunks(runs, DAY)):
                worst = np.full(size, -np.inf)
                for metric in range(10):
                    drawn = draw(rng, size, shares, rates)
                    if k == metric == 0:
                        check(drawn, GATE, sample=1)
                    worst = np.maximum(worst, harm_peak(drawn, GATE))
                hits += int((worst >= math.log(10 / ALPHA)).sum())
            yield Share(f"10 metrics, 1,440 looks, share {share:.0%}, rate {rate:.2%}", "our gates", hits, runs, ALPHA)


def high_rates(runs: int) -> Iterator[Cell]:
    """Base rates above a tenth, with the exact factor and with the other."""
    for base in (0.1, 0.5, 0.9):
        rates, shares = np.full(LOOKS, base), np.full(LOOKS, 0.5)
        for ratio in (1.0, 1.1):
            if base * ratio > 0.95:
                continue
            for name, gate in (("Fisher", FISHER), ("Poisson", GATE)):
                rng, hits = np.random.default_rng(3), 0
                for k, size in enumerate(chunks(runs, 10 * LOOKS)):
                    drawn = vector_engine.draw(rng, size, 400, shares, ratio * rates, rates)
                    if k == 0:
                        check(drawn, gate)
                    hits += vector_engine.ever(vector_engine.log_e_harm(drawn, gate), math.log(1 / ALPHA))
                case = f"base rate {base:.0%}, {'equal arms' if ratio == 1 else '10 % more'}, 24,000 requests"
                at_most = ALPHA if ratio == 1 else None
                at_least = 0.99 if ratio > 1 and name == "Fisher" and base >= 0.5 else None
                yield Share(case, f"our gate, method {name}", hits, runs, at_most, at_least)


def many_metrics(runs: int) -> Iterator[Cell]:
    """Ten metrics at sixty looks: uncorrected, Benjamini-Hochberg at every look, and ours."""
    rng, hits = np.random.default_rng(4), np.zeros(5, dtype=int)
    rates, shares = np.full(LOOKS, 0.01), np.full(LOOKS, 0.5)
    for size in chunks(runs, 10 * LOOKS):
        drawn = [draw(rng, size, shares, rates) for _ in range(10)]
        chi = np.stack([rivals.cumulative_chi_square(each) for each in drawn])
        logs = np.stack([vector_engine.log_e_harm(each, GATE) for each in drawn])
        peak = logs.max(axis=(0, 2))
        mean = vector_engine.log_mean(np.moveaxis(logs, 0, -1)).max(axis=1)
        hits += [
            int((chi > rivals.CRITICAL).any(axis=(0, 2)).sum()),
            int(rivals.benjamini_hochberg(chi).any(axis=1).sum()),
            int((peak >= math.log(1 / ALPHA)).sum()),
            int((peak >= math.log(10 / ALPHA)).sum()),
            int((mean >= math.log(1 / ALPHA)).sum()),
        ]
    names = ("cumulative chi-square", "Benjamini-Hochberg at every look", "our gates, uncorrected", "our gates")
    references = ("98.4 %", "40.8 %", "16.9 %", "1.6 %", "1.6 %")
    for name, number, reference in zip((*names, "mean of e-values"), hits.tolist(), references, strict=True):
        at_most = ALPHA if name in ("our gates", "mean of e-values") else None
        yield Share("10 metrics, 60 looks", name, number, runs, at_most, None, reference)


def ramps(runs: int) -> Iterator[Cell]:
    """Weights of 5, 10, 25 and 50 % while the base rate of both arms moves."""
    shares = np.repeat([0.05, 0.1, 0.25, 0.5], LOOKS // 4)
    daily = 0.01 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(LOOKS) / LOOKS))
    for case, rates, references in (
        ("ramp, errors 0.5 to 2 %", np.linspace(0.005, 0.02, LOOKS), ("100 %", "", "4.9 %", "41.6 %", "1.8 %")),
        ("ramp, errors 1.0 to 1.2 %", np.linspace(0.01, 0.012, LOOKS), ("18 %", "43.7 %", "", "", "")),
        ("ramp, errors 2 to 0.5 %", np.linspace(0.02, 0.005, LOOKS), ("",) * 5),
        ("ramp, daily wave of errors", daily, ("",) * 5),
    ):
        rng, hits = np.random.default_rng(5), np.zeros(5, dtype=int)
        for k, size in enumerate(chunks(runs, LOOKS)):
            drawn = draw(rng, size, shares, rates)
            if k == 0:
                check(drawn, GATE)
            pooled, stratified = rivals.pooled_worse(drawn), rivals.cochran_mantel_haenszel(drawn)
            hits += [
                int((pooled[:, -1] > rivals.CRITICAL).sum()),
                int((pooled > rivals.CRITICAL).any(axis=1).sum()),
                int((stratified[:, -1] > rivals.CRITICAL).sum()),
                int((stratified > rivals.CRITICAL).any(axis=1).sum()),
                int(harmed(GATE)(drawn).sum()),
            ]
        names = ("pooled chi-square, at the end", "pooled chi-square, peeking", "stratified CMH, at the end")
        for name, number, reference in zip(
            (*names, "stratified CMH, peeking", "our gate"), hits.tolist(), references, strict=True
        ):
            yield Share(case, name, number, runs, ALPHA if name == "our gate" else None, None, reference)


def thresholds(runs: int) -> Iterator[Cell]:
    """A fixed success rate of 99 % as the rule, at 100 requests an interval."""
    for rate, references in ((0.005, ("25.9 %", "28.1 %", "94 %")), (0.01, ("83 %", "97 %", ""))):
        bad = np.random.default_rng(6).binomial(100, rate, size=(runs, 30))
        failed = rivals.too_many_bad(bad, 100, 0.99)
        found = (
            rivals.failed_checks(failed, passes_needed=10, threshold=2),
            rivals.more_failures_than(3, failed),
            rivals.more_failures_than(0, failed),
        )
        names = ("threshold, failedChecks 2 of 10 (Flagger's)", "threshold, failureLimit 3 of 30 (Argo's)")
        for name, hit, reference in zip((*names, "threshold, failureLimit 0 of 30"), found, references, strict=True):
            yield Share(f"success {1 - rate:.1%}, objective 99 %", name, int(hit.sum()), runs, None, None, reference)
    rng, rates = np.random.default_rng(7), np.full(30, 0.002)
    worse = vector_engine.draw(rng, runs, 2000, np.full(30, 0.5), 2 * rates, rates)
    failed = rivals.too_many_bad(worse.canary_bad, 1000, 0.99)
    case = "errors doubled, 0.2 to 0.4 %, 1,000 requests an interval, 30 intervals"
    caught = int(rivals.failed_checks(failed, 10, 2).sum())
    yield Share(case, "threshold, failedChecks 2 of 10 (Flagger's)", caught, runs, None, None, "< 0.1 %")
    check(worse, GATE)
    yield Share(case, "our gate", int(harmed(GATE)(worse).sum()), runs, None, 0.95)


def rank_judge(runs: int) -> Iterator[Cell]:
    """Sixty points an arm, judged by ranks."""
    rng, references = np.random.default_rng(8), {0.0: "0.3 %", 0.5: "7.0 %", 0.8: "29.5 %", 0.95: "63.6 %"}
    for memory, reference in references.items():
        canary, baseline = (autoregressive(rng, (runs, LOOKS), memory) for _ in range(2))
        hits = int(rivals.mann_whitney_differs(canary, baseline).sum())
        yield Share(f"equal arms, autocorrelation {memory}", "rank test (Kayenta's)", hits, runs, None, None, reference)
    rates, shares = np.full(LOOKS, 0.001), np.full(LOOKS, 0.5)
    worse = draw(rng, runs, shares, rates, 2.0)
    check(worse, GATE)
    case = "errors doubled, 0.1 to 0.2 %, 1,000 requests a minute and arm"
    ranks = rivals.mann_whitney_differs(worse.canary_bad.astype(float), worse.baseline_bad.astype(float))
    yield Share(case, "rank test (Kayenta's), after the hour", int(ranks.sum()), runs, None, None, "39 %")
    hits = count(runs, LOOKS, lambda size: draw(rng, size, shares, rates, 2.0), GATE, harmed(GATE))
    yield Share(case, "our gate, within the hour", hits, runs, None, 0.9, "95 %")
