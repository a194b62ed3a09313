"""Paired comparisons under the null and off it, with looks, with clusters, and whole verdicts (goals S5, S6, S11).

`python -m perf.simulations.shadow` runs them at length. Counts are drawn in numpy; what decides is the package itself,
or, where a million decisions are needed, numpy held to the package on some of the runs.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from chaffinch_shadow.analysis.analyse import judge
from chaffinch_shadow.analysis.observed import Evidence
from chaffinch_shadow.analysis.question import Guardrail, Question
from chaffinch_shadow.analysis.verdict import Coverage
from chaffinch_stats.paired import Cells
from chaffinch_stats.paired.chi_square import ChiSquare, unpaired
from chaffinch_stats.paired.mcnemar import cluster_robust
from chaffinch_stats.paired.sequential import log_e
from chaffinch_stats.paired.sizing import fixed_size
from perf.simulations import report
from perf.simulations.cells import CONFIDENCE, Cell, Number, Share
from perf.simulations.scenarios import Scenario

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CRITICAL = float(stats.chi2.ppf(0.95, 1))
LOOKS, PER_LOOK = 200, 1850
DISCORDANCE = 0.027
_BATCH = 2000


def peeking(runs: int) -> Iterator[Cell]:
    """Two hundred looks at two equal versions that differ on 2.7 % of the requests, some 50 discordant pairs a look."""
    rng, hits = np.random.default_rng(11), {"mcnemar": 0, "unpaired": 0, "ours": 0}
    for _ in range(runs // _BATCH):
        b, c, both, n = _looks(rng, _BATCH, 1.0)
        hits["mcnemar"] += int((_mcnemar(b, c) > CRITICAL).any(axis=1).sum())
        hits["unpaired"] += int((_unpaired(b, c, both, n) > CRITICAL).any(axis=1).sum())
        evidence = _log_e(b, c)
        hits["ours"] += int((evidence >= -math.log(0.05)).any(axis=1).sum())
        _held_to_the_package(b[:3, ::20], c[:3, ::20], evidence[:3, ::20])
    case = "equal versions, 200 looks"
    done = runs // _BATCH * _BATCH
    yield Share(case, "McNemar at every look", hits["mcnemar"], done, reference="43.3 %")
    yield Share(case, "unpaired chi-square at every look", hits["unpaired"], done)
    yield Share(case, "our e-process", hits["ours"], done, at_most=0.05, reference="0.6 %")


def _looks(rng: np.random.Generator, runs: int, ratio: float) -> tuple[Ints, Ints, Ints, Ints]:
    """Return control-only, candidate-only, both and all requests at each look; shape (runs, looks)."""
    gained = DISCORDANCE * ratio / (1.0 + ratio)
    parts = [0.07, gained, DISCORDANCE - gained]
    drawn = np.cumsum(rng.multinomial(PER_LOOK, [*parts, 1.0 - sum(parts)], size=(runs, LOOKS)), axis=1)
    return drawn[..., 2], drawn[..., 1], drawn[..., 3], np.arange(1, LOOKS + 1) * PER_LOOK


def _mcnemar(b: Ints, c: Ints) -> Floats:
    found: Floats = (b - c) ** 2 / np.maximum(b + c, 1)
    return found


def _unpaired(b: Ints, c: Ints, both: Ints, n: Ints) -> Floats:
    """Return Pearson's statistic of both detection rates, as if each version had its own requests."""
    pooled = (2 * both + b + c) / (2 * n)
    found: Floats = ((b - c) / n) ** 2 / (pooled * (1.0 - pooled) * 2.0 / n)
    return found


def _log_e(b: Ints, c: Ints) -> Floats:
    n = b + c
    found: Floats = special.gammaln(b + 0.5) + special.gammaln(c + 0.5) - special.gammaln(n + 1.0)
    return found + n * math.log(2.0) - math.log(math.pi)


def _held_to_the_package(b: Ints, c: Ints, found: Floats) -> None:
    ours = [log_e(*pair) for pair in zip(b.ravel().tolist(), c.ravel().tolist(), strict=True)]
    if not np.allclose(ours, found.ravel(), atol=1e-6):
        raise AssertionError("the simulation's e-values are not those of the package")


def stopping(runs: int) -> Iterator[Cell]:
    """Versions that differ: when the e-process stops, beside a single test of the size that has 80 % power."""
    for ratio in (2.0, 1.5, 1.2):
        rng, size = np.random.default_rng(12), fixed_size(ratio, DISCORDANCE)
        gains = rng.random((runs // 10, 8 * size.discordant)) < ratio / (1.0 + ratio)
        c = np.cumsum(gains, axis=1, dtype=np.int64)
        crossed = _log_e(np.arange(1, c.shape[1] + 1) - c, c) >= -math.log(0.05)
        stops = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, c.shape[1])
        yield Number(
            f"{ratio:g} gains to a loss", "our e-process, median stop over one planned test",
            float(np.median(stops)) / size.discordant, len(stops), at_most=1.4, reference="1.16 to 1.37",
        )  # fmt: skip
        yield from _power(rng, ratio, size.requests, runs)


def _power(rng: np.random.Generator, ratio: float, requests: int, runs: int) -> Iterator[Cell]:
    gained = DISCORDANCE * ratio / (1.0 + ratio)
    parts = [0.07, gained, DISCORDANCE - gained]
    drawn = rng.multinomial(requests, [*parts, 1.0 - sum(parts)], size=runs)
    b, c, both, n = drawn[:, 2], drawn[:, 1], drawn[:, 3], np.array(requests)
    case = f"{ratio:g} gains to a loss, one test"
    yield Share(case, "McNemar", int((_mcnemar(b, c) > CRITICAL).sum()), runs, at_least=0.78)
    yield Share(case, "unpaired chi-square", int((_unpaired(b, c, both, n) > CRITICAL).sum()), runs)


def clusters(runs: int) -> Iterator[Cell]:
    """Equal versions, 500 sessions of 100 requests whose differences hang together inside a session."""
    for name, activity, leaning in (("weakly", 1.0, 3.0), ("strongly", 0.5, 1.0)):
        rng, naive, robust, plain = np.random.default_rng(13), 0, 0, 0
        for _ in range(runs // 1000):
            rate = rng.beta(activity, activity * (1.0 / DISCORDANCE - 1.0), size=(1000, 500))
            discordant = rng.binomial(100, rate)
            gains = rng.binomial(discordant, rng.beta(leaning, leaning, size=(1000, 500)))
            losses = discordant - gains
            b, c = losses.sum(axis=1), gains.sum(axis=1)
            both = rng.binomial(50_000 - b - c, 0.93)
            naive += int((_mcnemar(b, c) > CRITICAL).sum())
            plain += int((_unpaired(b, c, both, np.array(50_000)) > CRITICAL).sum())
            statistic = (c - b) ** 2 / np.maximum(((gains - losses) ** 2).sum(axis=1), 1)
            robust += int((statistic > CRITICAL).sum())
            ours = cluster_robust((gains - losses)[0].tolist()).chi2
            if not math.isclose(float(statistic[0]), float(ours)):  # type: ignore[arg-type]
                raise AssertionError("the simulation's statistic is not that of the package")
        done, case = runs // 1000 * 1000, f"sessions that lean {name}"
        yield Share(case, "McNemar, requests as independent", naive, done, reference="21 to 32 %")
        yield Share(case, "unpaired chi-square", plain, done)
        yield Share(case, "our cluster-robust McNemar", robust, done, 0.065, 0.03, "3.9 to 5.4 %")


REQUESTS = 200_000
QUESTION = Question(guardrails=(Guardrail("falsePositiveRate", 0.001), Guardrail("lostDetections", 0.005)))
KINDS = ("more false alarms", "lost detections, more gained", "worse both ways", "a clear win")


def verdicts(runs: int) -> Iterator[Cell]:
    """Candidates of a kind, each with rates of its own, on 200,000 requests of which 5 to 30 % are attacks."""
    candidates = max(20, runs // 20)
    for kind in KINDS:
        rng, ours, rival = np.random.default_rng(14), 0, 0
        for _ in range(candidates):
            cells = _candidate(rng, kind)
            ours += judge(Evidence(cells), QUESTION, Coverage(REQUESTS, REQUESTS)).verdict == "Promote"
            rival += _promoted_by_accuracy(cells)
        at_most, at_least = (None, 0.8) if kind == "a clear win" else (0.05, None)
        yield Share(kind, "our verdict, promoted", ours, candidates, at_most, at_least)
        yield Share(kind, "promoted for accuracy, by unpaired chi-square", rival, candidates)


def _candidate(rng: np.random.Generator, kind: str) -> Cells:
    """Return the counts of a candidate, its harm 1.3 to 5 times what is allowed."""
    attacks = rng.binomial(REQUESTS, rng.uniform(0.05, 0.3))
    recall, alarms = rng.uniform(0.8, 0.9), rng.uniform(0.005, 0.02)
    worse = rng.uniform(1.3, 5.0)
    lost, gained, new, repaired = {
        "more false alarms": (0.0002, 0.05, 0.001 * worse + 0.001, 0.001),
        "lost detections, more gained": (0.005 * worse, 0.005 * worse + 0.03, 0.0002, 0.001),
        "worse both ways": (0.005 * worse, 0.002, 0.001 * worse + 0.001, 0.001),
        "a clear win": (rng.uniform(0.0, 0.002), rng.uniform(0.02, 0.06), 0.0002, rng.uniform(0.001, 0.003)),
    }[kind]
    high = rng.multinomial(attacks, [1.0 - recall - gained, gained, lost, recall - lost])
    low = rng.multinomial(REQUESTS - attacks, [1.0 - alarms - new, new, repaired, alarms - repaired])
    return Cells.of([*low.tolist(), *high.tolist()])


def _promoted_by_accuracy(cells: Cells) -> bool:
    """Return what a comparison of two accuracies says: higher, and chi-square calls it significant."""
    right = cells.correct
    test = unpaired((right.control, right.total - right.control), (right.candidate, right.total - right.candidate))
    return isinstance(test, ChiSquare) and test.p <= 0.05 and right.candidate > right.control


SHADOW = (
    Scenario("shadow-peeking", "Looking again and again", "S5", peeking, quick=4000),
    Scenario("shadow-stopping", "Versions that differ", "S5", stopping, quick=4000),
    Scenario("shadow-clusters", "Requests that hang together", "S6", clusters, quick=10_000),
    Scenario("shadow-verdicts", "Verdicts on simulated candidates", "S11", verdicts, quick=3200),
)
INTRODUCTION = f"""# Simulations of paired comparisons

Generated by `python -m perf.simulations.shadow`; do not edit. Seeded simulations of two versions on the same requests;
what decides is `chaffinch_stats` and `chaffinch_shadow`, or numpy held to them on some runs. Bounds are exact upper
binomial bounds at {CONFIDENCE:.1%} confidence; "reference" is what our design note measured. The unpaired chi-square is
made on the same counts: it asks whether two groups of different requests differ, which is not the question.
"""


def main(arguments: list[str]) -> int:
    """Run all, write the report; 1 when a claim is missed."""
    parser = argparse.ArgumentParser(prog="python -m perf.simulations.shadow")
    parser.add_argument("--runs", type=int, default=20_000, help="runs per case (default %(default)s)")
    parser.add_argument("--markdown", type=Path, help="where to write the tables")
    chosen = parser.parse_args(arguments)
    results = {scenario.name: list(scenario.run(chosen.runs)) for scenario in SHADOW}
    text = report.markdown(results, SHADOW, INTRODUCTION)
    if chosen.markdown:
        chosen.markdown.write_text(text)
    else:
        sys.stdout.write(text)
    return 0 if all(cell.holds for cells in results.values() for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
