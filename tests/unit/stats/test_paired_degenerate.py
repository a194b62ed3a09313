"""Paired statistics where there is little or nothing to count: typed absence, never 0, NaN or a division by zero."""

from fractions import Fraction

import pytest

from chaffinch_stats.paired import Cells, Metric, NotAvailable, Pairs
from chaffinch_stats.paired.agreement import fleiss_kappa, kappa
from chaffinch_stats.paired.auc import PairedAuc
from chaffinch_stats.paired.chi_square import sample_ratio, unpaired
from chaffinch_stats.paired.difference import margin_test, newcombe, tango, wilson
from chaffinch_stats.paired.mcnemar import cluster_robust, mcnemar
from chaffinch_stats.paired.metrics import estimate
from chaffinch_stats.paired.multiplicity import holm
from chaffinch_stats.paired.sequential import DiscordantEvidence, always_valid_p, always_valid_z, log_e, update
from chaffinch_stats.paired.sizing import always_valid_size, fixed_size
from chaffinch_stats.paired.square import square_tests

NONE = Cells()
ONLY_ATTACKS = Cells((0, 0, 0, 0, 5, 3, 2, 90))
ONLY_BENIGN = Cells((90, 2, 3, 5, 0, 0, 0, 0))
HUGE = 2**60


@pytest.mark.parametrize("metric", Metric)
def test_no_request_gives_no_metric(metric: Metric) -> None:
    """Without requests every number of a metric is absent, with a reason."""
    found = estimate(metric, NONE)
    for number in (found.control, found.candidate, found.difference, found.interval, found.standard_error):
        assert isinstance(number, NotAvailable)
        assert number.why


@pytest.mark.parametrize(("cells", "missing"), [(ONLY_ATTACKS, 0), (ONLY_BENIGN, 1)])
def test_a_class_absent_gives_no_mcc_or_kappa(cells: Cells, missing: int) -> None:
    """With one label alone MCC, kappa and balanced accuracy are absent and say which label is missing."""
    for metric in (Metric.MCC, Metric.KAPPA, Metric.BALANCED_ACCURACY):
        assert estimate(metric, cells).control == NotAvailable(f"no request of label {missing}")


def test_a_class_absent_leaves_what_needs_the_other() -> None:
    """Recall needs attacks alone, false positive rate benign requests alone, also at a stated prevalence."""
    assert estimate(Metric.RECALL, ONLY_ATTACKS, prevalence=Fraction(1, 100)).control == 0.92
    assert estimate(Metric.FALSE_POSITIVE_RATE, ONLY_BENIGN).control == 0.08
    absent = estimate(Metric.ACCURACY, ONLY_ATTACKS, prevalence=Fraction(1, 100)).control
    assert absent == NotAvailable("no request of label 0")


def test_a_version_that_never_flags_has_no_precision() -> None:
    """Its precision and MCC are absent; the other version's are there, the difference is not."""
    found = estimate(Metric.PRECISION, Cells((90, 2, 0, 0, 3, 5, 0, 0)))
    assert found.control == NotAvailable("no verdict of 1")
    assert found.candidate == pytest.approx(5 / 7)
    assert found.difference == NotAvailable("no verdict of 1")


def test_no_discordant_pair() -> None:
    """Every p is 1, no statistic, difference exactly 0, and limits that are not empty."""
    found = mcnemar(0, 0)
    assert (found.exact, found.midp, found.chi2_p, found.chi2_corrected_p) == (1.0, 1.0, 1.0, 1.0)
    assert found.chi2 == found.chi2_corrected == NotAvailable("no discordant pair")
    same = estimate(Metric.MCC, Cells((900, 0, 0, 10, 5, 0, 0, 85)))
    assert same.difference == 0.0
    assert same.method == "DeltaSmoothed"
    assert isinstance(same.interval, tuple)
    assert same.interval[0] < 0.0 < same.interval[1]


def test_as_many_one_way_as_the_other() -> None:
    """B = c: exact p is 1, corrected chi-square is 0 and not 1/n, mid-p is 1 less half the point probability."""
    found = mcnemar(3, 3)
    assert (found.exact, found.chi2, found.chi2_corrected) == (1.0, 0.0, 0.0)
    assert found.midp == pytest.approx(1.0 - 0.5 * 20 / 64)


def test_counts_above_two_to_the_53rd() -> None:
    """One more among 2**60 is seen: counts stay integers until the last division."""
    pairs = Pairs(HUGE, 1, 0, HUGE)
    found = estimate(Metric.RECALL, Cells((1, 0, 0, 0, HUGE, 1, 0, HUGE)))
    assert found.difference == pytest.approx(1 / pairs.total, rel=1e-12)
    assert (Cells((HUGE + 1,) + (0,) * 7) + Cells((1,) + (0,) * 7)).total == HUGE + 2
    mcc = estimate(Metric.MCC, Cells((HUGE, 0, 0, HUGE, HUGE, 1, 0, HUGE)))
    assert mcc.difference == pytest.approx(2.0**-62, rel=1e-6)
    assert mcnemar(HUGE, HUGE + 2**31).chi2 == pytest.approx(2.0, rel=1e-8)
    assert mcnemar(HUGE, HUGE + 2**31).midp == pytest.approx(0.157299207, rel=1e-6)
    assert log_e(HUGE, HUGE + 1) == pytest.approx(-0.5 * 60.65 * 0.693147, abs=0.5)


def test_perfect_separation_has_no_limits_of_its_own() -> None:
    """MCC 1 on both sides: the delta method finds no variance, and says so."""
    found = estimate(Metric.MCC, Cells((90, 0, 0, 0, 0, 0, 0, 10)))
    assert (found.control, found.candidate, found.difference) == (1.0, 1.0, 0.0)
    assert isinstance(found.control_interval, NotAvailable)


def test_rates_and_differences_without_requests() -> None:
    """Intervals and tests of nothing are absent."""
    nothing = Pairs(0, 0, 0, 0)
    assert {wilson(0, 0), newcombe(nothing), tango(nothing), margin_test(nothing, 0.01)} == {NotAvailable("no request")}


def test_limits_at_the_ends() -> None:
    """All of one kind: the limits stay inside what is possible and reach its end."""
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=5e-5)
    assert tango(Pairs(0, 5, 0, 0)) == pytest.approx((0.131035, 1.0), abs=5e-6)
    low, high = newcombe(Pairs(0, 0, 5, 0))  # type: ignore[misc]
    assert -1.0 <= low < high < 0.0


def test_tied_scores_have_no_variance() -> None:
    """Areas of .5 without variance: p is 1, z and limits are absent; unequal ones without variance have no p."""
    tied = PairedAuc(0.5, 0.5, 0.0, 0.0, 0.0)
    assert (tied.p, tied.difference) == (1.0, 0.0)
    assert isinstance(tied.z, NotAvailable)
    assert isinstance(tied.interval(), NotAvailable)
    assert isinstance(tied.control_interval(), NotAvailable)
    assert isinstance(PairedAuc(0.5, 1.0, 0.0, 0.0, 0.0).p, NotAvailable)


def test_square_tables_without_discordance() -> None:
    """No test of margins or symmetry without a discordant pair."""
    found = square_tests(((5, 0, 0), (0, 7, 0), (0, 0, 2)))
    assert found.stuart_maxwell == found.bhapkar == found.bowker == NotAvailable("no discordant pair")


def test_categories_that_nothing_joins_cost_a_degree_of_freedom() -> None:
    """Two separate groups of categories: the covariance has rank two, and nothing is divided by zero."""
    found = square_tests(((9, 3, 0, 0), (1, 9, 0, 0), (0, 0, 9, 2), (0, 0, 4, 9)))
    assert found.stuart_maxwell.df == 2  # type: ignore[union-attr]
    assert found.stuart_maxwell.statistic == pytest.approx((3 - 1) ** 2 / 4 + (2 - 4) ** 2 / 6)  # type: ignore[union-attr]


def test_two_categories_are_mcnemar() -> None:
    """Stuart-Maxwell and Bowker of a two by two table are McNemar's chi-square; all one way, Bhapkar is absent."""
    found = square_tests(((5, 7), (1, 8)))
    assert found.stuart_maxwell.statistic == found.bowker.statistic == mcnemar(7, 1).chi2  # type: ignore[union-attr]
    assert isinstance(square_tests(((0, 5), (0, 0))).bhapkar, NotAvailable)


def test_agreement_on_one_category_is_no_agreement() -> None:
    """Kappa is absent when all fall into one category, or when nothing was judged."""
    assert isinstance(kappa(((5, 0), (0, 0))), NotAvailable)
    assert isinstance(kappa(((0, 0), (0, 0))), NotAvailable)
    assert isinstance(fleiss_kappa(((0, 3), (0, 3))), NotAvailable)
    assert isinstance(fleiss_kappa(()), NotAvailable)


def test_clusters_that_cancel_say_nothing() -> None:
    """Without a net difference in any cluster p is 1."""
    assert cluster_robust([0, 0]).p == 1.0
    assert cluster_robust([]).chi2 == NotAvailable("no discordant pair")


def test_chi_square_of_nothing() -> None:
    """No sample ratio without requests, no comparison of arms without events."""
    assert isinstance(sample_ratio((0, 0), (0.5, 0.5)), NotAvailable)
    assert isinstance(unpaired((0, 5), (0, 9)), NotAvailable)


def test_nothing_seen_is_no_evidence() -> None:
    """The e-value of no discordant pair is 1, its p is 1, and limits for any time are infinite without requests."""
    assert log_e(0, 0) == 0.0
    assert DiscordantEvidence().p == 1.0
    assert update(DiscordantEvidence(), 0, 0) == DiscordantEvidence()
    assert always_valid_z(0, 0.05, 1000.0) == float("inf")
    assert always_valid_p(-1.0, 100, 0.05, 1000.0) == 1.0
    assert holm(()) == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Cells((1, 2, 3)), "8 counts"),
        (lambda: Cells((1, 2, 3, 4, 5, 6, 7, -1)), "cell 7 must not be negative"),
        (lambda: Pairs(1, 2, 3, -4), "both must not be negative"),
        (lambda: mcnemar(-1, 2), "control_only"),
        (lambda: wilson(3, 2), "successes must not exceed trials"),
        (lambda: margin_test(Pairs(1, 1, 1, 1), 1.0), "strictly between"),
        (lambda: kappa(((1, 2, 3), (4, 5, 6))), "square"),
        (lambda: fleiss_kappa(((1, 2), (1, 1))), "same number of raters"),
        (lambda: sample_ratio((1, 2), (0.5, 0.6)), "sum to 1"),
        (lambda: sample_ratio((1,), (1.0,)), "two counts or more"),
        (lambda: holm((0.1, 1.5)), "p value 1"),
        (lambda: fixed_size(1.0, 0.1), "ratio must not be 1"),
        (lambda: always_valid_size(2.0, 0.0), "discordance"),
        (lambda: estimate(Metric.MCC, ONLY_BENIGN, prevalence=Fraction(2)), "prevalence"),
    ],
)
def test_what_cannot_be_counted_is_refused(wrong: object, said: str) -> None:
    """A wrong argument is named, with what is allowed."""
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]


def test_floats_are_no_counts() -> None:
    """A count that went through a float is no longer exact."""
    with pytest.raises(TypeError, match="cell 0 must be an integer"):
        Cells((1.0, 0, 0, 0, 0, 0, 0, 0))  # type: ignore[arg-type]
