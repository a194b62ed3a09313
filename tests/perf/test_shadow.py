"""What the statistics of a shadow evaluation cost, beside scikit-learn, statsmodels and MLstatkit in the same run.

Times are of the processor, the best of a few rounds, so that other work on the machine counts less. That the figures
are right is asserted; whether they are fast is written down, as goals met or not. Needs `make bench`'s own packages.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from MLstatkit import Delong_test
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import SquareTable
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from chaffinch_shadow.analysis import bootstrap, delong
from chaffinch_shadow.analysis.rows import Rows, Scores, count
from chaffinch_stats.paired import Cells, Estimate, Metric
from chaffinch_stats.paired.auc import PairedAuc
from chaffinch_stats.paired.mcnemar import mcnemar
from chaffinch_stats.paired.metrics import estimate
from chaffinch_stats.paired.square import square_tests
from perf import figures
from perf.figures import Goal

MANY, MILLION = 10_000_000, 1_000_000
RESAMPLES = 1000
VISION = [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]]


def rows(n: int) -> Rows:
    """Requests of which one in twenty is an attack, with continuous scores and verdicts at a threshold."""
    rng = np.random.default_rng(7)
    label = rng.random(n) < 0.05
    strength = 2.0 * label + rng.normal(size=n)
    one, other = strength + rng.normal(size=n), strength + 0.9 * rng.normal(size=n)
    return Rows(label, one > 2.0, other > 2.0, scores=Scores(one, other))


def seconds(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The least processor time of a few rounds, and what the last one gave."""
    best, found = math.inf, None
    for _ in range(rounds):
        started = time.process_time()
        found = work()
        best = min(best, time.process_time() - started)
    return best, found


def ours(of: Rows) -> tuple[Cells, list[Estimate]]:
    """Everything that labels and verdicts tell: counts, tests, metrics with intervals of all kinds."""
    cells = count(of.label, of.control, of.candidate)
    for pairs in (cells.correct, cells.of_label(1), cells.of_label(0)):
        mcnemar(pairs.control_only, pairs.candidate_only)
    return cells, [estimate(metric, cells) for metric in Metric]


def scikit(of: Rows) -> dict[Metric, tuple[float, float]]:
    """The same metrics of both versions, values alone."""
    functions: dict[Metric, Callable[..., float]] = {
        Metric.ACCURACY: sk.accuracy_score,
        Metric.BALANCED_ACCURACY: sk.balanced_accuracy_score,
        Metric.RECALL: sk.recall_score,
        Metric.PRECISION: sk.precision_score,
        Metric.F1: sk.f1_score,
        Metric.MCC: sk.matthews_corrcoef,
        Metric.KAPPA: sk.cohen_kappa_score,
    }
    return {
        metric: (float(function(of.label, of.control)), float(function(of.label, of.candidate)))
        for metric, function in functions.items()
    }


def test_paired_metrics() -> None:
    """Ten million rows: counts, tests and metrics of labels (S2), and with the areas from histograms."""
    before, of = figures.machine(), rows(MANY)
    assert of.scores is not None
    scores = of.scores
    time_ours, (_, estimates) = seconds(lambda: ours(of), 5)
    time_areas, areas = seconds(lambda: delong.binned_areas(of.label, scores), 3)
    time_scikit, values = seconds(lambda: scikit(of), 1)
    time_scikit_areas, exact = seconds(
        lambda: [float(sk.roc_auc_score(of.label, score)) for score in (scores.control, scores.candidate)], 1
    )
    by_metric = {each.metric: each for each in estimates}
    for metric, (control, candidate) in values.items():
        assert abs(by_metric[metric].control - control) < 1e-9
        assert abs(by_metric[metric].candidate - candidate) < 1e-9
    assert isinstance(areas, tuple)
    assert all(abs(one - other) <= areas[1] for one, other in zip(areas[0], exact, strict=True))
    goals = [
        Goal("seconds of all paired metrics, 1e7 rows", 0.15, time_ours, inclusive=True),
        Goal("the same with both areas from histograms", 0.15, time_ours + time_areas, inclusive=True),
        Goal("share of scikit-learn's time", 0.01, time_ours / time_scikit, inclusive=True),
        Goal("the same with areas", 0.01, (time_ours + time_areas) / (time_scikit + time_scikit_areas), inclusive=True),
    ]
    content = {
        "what": "processor seconds for two versions on ten million rows",
        "ours": {"metrics": time_ours, "areas": time_areas},
        "scikitLearn": {"metrics": time_scikit, "areas": time_scikit_areas},
        "ratio": time_scikit / time_ours,
        "ratioWithAreas": (time_scikit + time_scikit_areas) / (time_ours + time_areas),
        "areaErrorBound": areas[1],
        "goals": [goal.as_json() for goal in goals],
    }
    figures.add("shadow", "metrics", before, content)


def test_bootstrap() -> None:
    """A thousand resamples of every metric's difference at 1e5 and 1e7 rows (S3), beside a loop over scikit-learn."""
    before = figures.machine()
    large, small = rows(MANY), rows(100_000)
    cells = {len(of.label): count(of.label, of.control, of.candidate) for of in (small, large)}
    times = {n: seconds(lambda c=c: bootstrap.differences(c, 0.05, 1), 10) for n, c in cells.items()}  # type: ignore[misc]
    spread = times[MANY][1][Metric.MCC].standard_deviation
    error = estimate(Metric.MCC, cells[MANY]).standard_error
    assert isinstance(error, float)
    assert abs(spread / error - 1.0) < 0.07
    picked = np.random.default_rng(1).integers(0, len(small.label), len(small.label))

    def one_resample() -> float:
        label, control, candidate = (bits[picked] for bits in (small.label, small.control, small.candidate))
        return float(sk.matthews_corrcoef(label, candidate) - sk.matthews_corrcoef(label, control))

    naive, _ = seconds(one_resample, 2)
    slowest = max(each for each, _ in times.values())
    content = {
        "what": "processor milliseconds for 1,000 resamples of eight metrics' differences",
        "milliseconds": {f"{n:g}": each * 1e3 for n, (each, _) in times.items()},
        "scikitLearnLoopMilliseconds": {"1e+05, MCC alone, extrapolated from one resample": naive * RESAMPLES * 1e3},
        "spreadToDeltaError": spread / error,
        "goals": [Goal("milliseconds at any number of rows", 5, slowest * 1e3, inclusive=True).as_json()],
    }
    figures.add("shadow", "bootstrap", before, content)


def test_delong() -> None:
    """Paired areas exactly at 1e6 rows and from 65,536 bins at 1e7 (S4), beside MLstatkit at 1e6."""
    before, of, large = figures.machine(), rows(MILLION), rows(MANY)
    assert of.scores is not None
    assert large.scores is not None
    scores, many = of.scores, large.scores
    time_exact, exact = seconds(lambda: delong.exact(of.label, scores), 3)
    time_close, close = seconds(lambda: delong.binned(of.label, scores), 3)
    time_binned, binned = seconds(lambda: delong.binned(large.label, many), 2)
    time_other, other = seconds(lambda: Delong_test(of.label.astype(int), scores.control, scores.candidate), 1)
    for each in (exact, close, binned):
        assert isinstance(each, PairedAuc)
    assert abs(abs(other[0]) - abs(exact.z)) < 1e-6
    assert abs(close.z - exact.z) < 1e-3
    goals = [
        Goal("seconds of exact DeLong, 1e6 rows", 0.7, time_exact, inclusive=True),
        Goal("seconds of binned DeLong, 1e7 rows", 1.0, time_binned, inclusive=True),
        Goal("difference of z, binned and exact, 1e6 rows", 1e-4, abs(close.z - exact.z), inclusive=True),
    ]
    content = {
        "what": "processor seconds for two areas with their covariance",
        "exact1e6": time_exact,
        "binned1e6": time_close,
        "binned1e7": time_binned,
        "mlstatkit1e6": time_other,
        "ratio": time_other / time_exact,
        "z": {"exact": exact.z, "binned": close.z, "mlstatkit": float(other[0])},
        "bound": {"1e6": close.error_bound, "1e7": binned.error_bound},
        "goals": [goal.as_json() for goal in goals],
    }
    figures.add("shadow", "delong", before, content)


def test_tables() -> None:
    """McNemar's tests and those of graded verdicts, beside statsmodels."""
    before = figures.machine()
    table = [[794, 150], [86, 570]]
    time_ours, test = seconds(lambda: mcnemar(150, 86), 20)
    time_theirs, theirs = seconds(
        lambda: (
            [statsmodels_mcnemar(table, exact=False, correction=c) for c in (False, True)]
            + [statsmodels_mcnemar(table, exact=True)]
        ),
        20,
    )
    assert abs(test.chi2 - theirs[0].statistic) < 1e-9
    assert abs(test.chi2_corrected_p - theirs[1].pvalue) < 1e-12
    assert abs(test.exact / theirs[2].pvalue - 1.0) < 1e-6
    time_square, ours_square = seconds(lambda: square_tests(VISION), 20)
    time_square_theirs, square = seconds(
        lambda: (SquareTable(np.array(VISION), shift_zeros=False).homogeneity(),
                 SquareTable(np.array(VISION), shift_zeros=False).symmetry()), 20,
    )  # fmt: skip
    assert abs(ours_square.stuart_maxwell.statistic - square[0].statistic) < 1e-9
    assert abs(ours_square.bowker.statistic - square[1].statistic) < 1e-9
    content = {
        "what": "processor milliseconds of a table's tests",
        "mcnemar": {"ours": time_ours * 1e3, "statsmodels": time_theirs * 1e3},
        "graded": {"ours": time_square * 1e3, "statsmodels": time_square_theirs * 1e3},
    }
    figures.add("shadow", "tables", before, content)
