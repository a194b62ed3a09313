"""Rows and cells to an analysis: counts, bootstrap, clusters, times, strata, grades."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_shadow.analysis import bootstrap, rows
from chaffinch_shadow.analysis.analyse import analyse_cells, analyse_rows
from chaffinch_shadow.analysis.comparison import Context, compare, strata
from chaffinch_shadow.analysis.question import Question
from chaffinch_shadow.analysis.rows import Grades, Rows, count
from chaffinch_stats.paired import Cells, Metric, NotAvailable
from chaffinch_stats.paired.metrics import estimate
from unit.shadow.builders import codes, rows_of
from unit.stats.paired_data import CRS3_TO_CRS4, VISION

COUNTS = st.tuples(*[st.integers(0, 30)] * 8)


@given(COUNTS, st.randoms(use_true_random=False))
def test_rows_are_counted_in_any_order(cells: tuple[int, ...], random: "np.random.RandomState") -> None:
    """Counting gives the cells the rows were made of, however they lie."""
    made = rows_of(cells)
    order = list(range(len(made.label)))
    random.shuffle(order)
    assert count(made.label[order], made.control[order], made.candidate[order]) == Cells(cells)


def test_counting_goes_over_its_chunks() -> None:
    """More rows than a chunk holds."""
    cells = (30_000, 10_000, 20_000, 5, 0, 40_000, 7, 30_001)
    made = rows_of(cells)
    assert count(made.label, made.control, made.candidate) == Cells(cells)


@settings(deadline=None, max_examples=20)
@given(COUNTS, st.integers(1, 200))
def test_parts_add_up_to_the_whole(cells: tuple[int, ...], cut: int) -> None:
    """Counts of two parts sum to those of all, as shards do; and so do the cells of strata."""
    made = rows_of(cells)
    halves = [slice(cut), slice(cut, None)]
    parts = [count(made.label[half], made.control[half], made.candidate[half]) for half in halves]
    assert parts[0] + parts[1] == Cells(cells)
    if len(made.label):
        by_group = rows.by_group(made, codes(np.arange(len(made.label)) % 3))
        assert by_group.sum(axis=0).tolist() == list(cells)


@pytest.mark.parametrize("metric", Metric)
def test_the_bootstrap_agrees_with_the_delta_method(metric: Metric) -> None:
    """On 37,075 requests the resamples' spread is the delta method's standard error to 7 %."""
    found = bootstrap.differences(CRS3_TO_CRS4, 0.05, 1)[metric]
    assert isinstance(found, bootstrap.Resampled)
    error = estimate(metric, CRS3_TO_CRS4).standard_error
    assert found.standard_deviation == pytest.approx(error, rel=0.07)
    difference = estimate(metric, CRS3_TO_CRS4).difference
    assert isinstance(difference, float)
    assert found.interval[0] < difference < found.interval[1]


def test_the_bootstrap_is_reproducible() -> None:
    """The same seed gives the same limits, another seed others."""
    one, again, other = (bootstrap.differences(CRS3_TO_CRS4, 0.05, seed)[Metric.MCC] for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(
    ("cells", "why"),
    [(Cells(), "no labelled"), (Cells((2**60,) * 8), "2\\*\\*53"), (Cells((9, 1, 0, 0, 0, 0, 0, 0)), "many resamples")],
)
def test_what_cannot_be_resampled(cells: Cells, why: str) -> None:
    """No requests, counts beyond floats, a metric that most resamples lack: not available, with a reason."""
    found = bootstrap.differences(cells, 0.05, 1)[Metric.MCC]
    assert isinstance(found, NotAvailable)
    assert why.replace("\\", "") in found.why


def test_clusters_of_one_change_nothing() -> None:
    """With one request a cluster, the robust error is the delta method's but for K/(K-1)."""
    made = rows_of((50, 3, 2, 5, 4, 6, 1, 29))
    context = Context(Rows(made.label, made.control, made.candidate, cluster=codes(np.arange(100))))
    plain = estimate(Metric.MCC, Cells((50, 3, 2, 5, 4, 6, 1, 29)))
    robust = estimate(Metric.MCC, Cells((50, 3, 2, 5, 4, 6, 1, 29)), variance_of=context.variance_of())
    assert isinstance(plain.standard_error, float)
    assert robust.standard_error == pytest.approx(plain.standard_error * math.sqrt(100 / 99), rel=1e-9)
    assert robust.method == "DeltaClustered"


def test_copies_in_a_cluster_are_one_observation() -> None:
    """Each request four times in its cluster: the robust error stays, the naive one halves."""
    made = rows_of((50, 3, 2, 5, 4, 6, 1, 29))
    four = [np.repeat(bits, 4) for bits in (made.label, made.control, made.candidate)]
    context = Context(Rows(four[0], four[1], four[2], cluster=codes(np.repeat(np.arange(100), 4))))
    once, cells = Cells((50, 3, 2, 5, 4, 6, 1, 29)), count(four[0], four[1], four[2])
    robust = estimate(Metric.MCC, cells, variance_of=context.variance_of())
    error = estimate(Metric.MCC, once).standard_error
    assert isinstance(error, float)
    assert robust.standard_error == pytest.approx(error * math.sqrt(100 / 99), rel=1e-9)
    tests = compare(cells, context)
    assert tests.positive.clustered is not None
    assert tests.positive.clustered.chi2 == pytest.approx((6 - 1) ** 2 / 7)
    assert tests.positive.test.chi2 == pytest.approx(4 * (6 - 1) ** 2 / 7)


def test_evidence_at_its_peak_in_time() -> None:
    """Ten gains then ten losses: the e-process remembers the ten gains, in the order of time and not of the file."""
    gains_first = np.arange(20)
    made = Rows(
        np.ones(20, dtype=bool), np.arange(20) >= 10, np.arange(20) < 10, time=gains_first.astype(float)
    )  # fmt: skip
    backwards = Rows(made.label[::-1], made.control[::-1], made.candidate[::-1], time=gains_first[::-1].astype(float))
    for each in (made, backwards):
        found = analyse_rows(each, Question()).comparisons.positive
        assert (found.pairs.control_only, found.pairs.candidate_only) == (10, 10)
        assert found.evidence.log_peak == pytest.approx(5.19532, abs=1e-5)
    assert analyse_cells(Cells((0, 0, 0, 0, 0, 10, 10, 0)), Question()).comparisons.positive.evidence.p == 1.0


def test_no_discordant_pair_over_time() -> None:
    """Times without a discordant pair are no evidence."""
    made = rows_of((5, 0, 0, 5, 5, 0, 0, 5))
    timed = Rows(made.label, made.control, made.candidate, time=np.arange(20.0))
    assert analyse_rows(timed, Question()).comparisons.overall.evidence.p == 1.0


def test_strata_that_lose_come_first() -> None:
    """Parts are in the order of detections lost, and their p-values are corrected over all of them."""
    made = rows_of((10, 0, 0, 0, 0, 0, 8, 10))
    part = np.where(np.arange(28) < 14, 0, 1)
    found = strata(made, codes(part))
    assert [(each.name, each.cells.lost) for each in found] == [("0", 4), ("1", 4)]
    assert all(each.adjusted == pytest.approx(2 * each.midp) for each in found)


def test_grades_get_tests_of_margins() -> None:
    """Verdicts of four grades: Stuart-Maxwell, Bowker and weighted kappa of all requests, labelled or not."""
    flat = np.repeat(np.arange(16), np.array(VISION).ravel())
    grades = Grades(flat // 4, flat % 4, ("a", "b", "c", "d"))
    none = np.zeros(0, dtype=bool)
    made = Rows(none, none, none, unlabelled=(7477, 0, 0, 0), grades=grades)
    found = analyse_rows(made, Question())
    assert found.agreement.requests == 7477
    assert found.agreement.tests is not None
    assert found.agreement.tests.bowker.statistic == pytest.approx(19.10655, abs=1e-5)  # type: ignore[union-attr]
    assert found.verdict == "Inconclusive"


def test_rows_and_cells_are_the_same_analysis() -> None:
    """Everything that cells can say is the same from rows."""
    cells = (50, 3, 2, 5, 4, 6, 1, 29)
    from_rows, from_cells = analyse_rows(rows_of(cells), Question()), analyse_cells(Cells(cells), Question())
    assert from_rows.metrics == from_cells.metrics
    assert from_rows.comparisons == from_cells.comparisons
    assert from_rows.reasons == from_cells.reasons
