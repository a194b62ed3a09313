"""Paired statistics give the published numbers."""

from fractions import Fraction

import pytest

from chaffinch_stats.paired import Cells, Metric, NotAvailable, Pairs
from chaffinch_stats.paired.agreement import Kappa, fleiss_kappa, kappa
from chaffinch_stats.paired.chi_square import ChiSquare, unpaired
from chaffinch_stats.paired.difference import newcombe, tango
from chaffinch_stats.paired.formulas import value
from chaffinch_stats.paired.mcnemar import mcnemar
from chaffinch_stats.paired.metrics import estimate
from chaffinch_stats.paired.sizing import fixed_size
from chaffinch_stats.paired.square import square_tests
from unit.stats.paired_data import (
    CRS3_TO_CRS4,
    MS_NEW_ORLEANS,
    MS_WINNIPEG,
    PL1_TO_PL2,
    TEN_BY_FOURTEEN,
    VISION,
    confusion,
)


def test_mcnemar_of_agrestis_approval_table() -> None:
    """Approval of the prime minister, 794/150/86/570 (Agresti, Categorical Data Analysis, table 10.1)."""
    found = mcnemar(150, 86)
    assert found.chi2 == pytest.approx(17.35593220338983, rel=1e-9)
    assert found.chi2_p == pytest.approx(3.0993e-5, rel=1e-4)
    assert found.chi2_corrected == pytest.approx(16.81779661016949, rel=1e-9)
    assert found.chi2_corrected_p == pytest.approx(4.1145622813e-5, rel=1e-6)
    assert found.exact == pytest.approx(3.7159361e-5, rel=1e-6)


def test_mcnemar_of_bentur() -> None:
    """Airway hyper-responsiveness of 21 children, 1/1/7/12 (Bentur et al. 2009, in Fagerland et al. 2013, table 1)."""
    found = mcnemar(1, 7)
    assert (found.exact, found.chi2, found.chi2_corrected) == (0.0703125, 4.5, 3.125)
    assert found.midp == pytest.approx(0.0390625, rel=1e-9)
    assert found.chi2_p == pytest.approx(0.0338948535, rel=1e-6)
    assert found.chi2_corrected_p == pytest.approx(0.0770998717, rel=1e-6)


def test_two_versions_of_a_rule_set() -> None:
    """The shadow pair 3.3.4 to 4: detections 104 lost and 902 gained, false alarms 10 repaired and 1 new."""
    attacks, benign = CRS3_TO_CRS4.of_label(1), CRS3_TO_CRS4.of_label(0)
    assert (attacks.control_only, attacks.candidate_only) == (104, 902)
    assert mcnemar(104, 902).chi2 == pytest.approx(633.0059642147, rel=1e-9)
    alarms = mcnemar(benign.control_only, benign.candidate_only)
    assert alarms.exact == pytest.approx(0.01171875, rel=1e-9)
    assert alarms.midp == pytest.approx(0.00634765625, rel=1e-9)
    assert alarms.chi2 == pytest.approx(7.3636363636, rel=1e-9)
    assert mcnemar(0, 17).exact == pytest.approx(1.52587890625e-5, rel=1e-9)
    assert mcnemar(0, 866).chi2 == 866.0


@pytest.mark.parametrize(
    ("cells", "metric", "control", "candidate"),
    [
        (CRS3_TO_CRS4, Metric.MCC, 0.1423, 0.1899),
        (PL1_TO_PL2, Metric.MCC, 0.1899, 0.2084),
        (PL1_TO_PL2, Metric.ACCURACY, 0.9467, 0.9696),
        (PL1_TO_PL2, Metric.KAPPA, 0.0825, 0.1168),
    ],
)
def test_metrics_of_the_rule_sets(cells: Cells, metric: Metric, control: float, candidate: float) -> None:
    """Values of the shadow pairs, to the four digits that were published."""
    found = estimate(metric, cells)
    assert found.control == pytest.approx(control, abs=5e-5)
    assert found.candidate == pytest.approx(candidate, abs=5e-5)


def test_at_one_attack_in_a_hundred_the_direction_flips() -> None:
    """PL1 to PL2 raises MCC; at 1 % attacks it falls from .210 to .141, and precision from 5.7 to 3.1 %."""
    mcc = estimate(Metric.MCC, PL1_TO_PL2, prevalence=Fraction(1, 100))
    precision = estimate(Metric.PRECISION, PL1_TO_PL2, prevalence=Fraction(1, 100))
    assert [mcc.control, mcc.candidate] == pytest.approx([0.210, 0.141], abs=5e-4)
    assert [precision.control, precision.candidate] == pytest.approx([0.057, 0.031], abs=5e-4)


def test_the_wrong_test_of_the_rule_sets() -> None:
    """Chi-square of right and wrong as if the requests were different ones says 146.29 where the answer is 633."""
    right = CRS3_TO_CRS4.correct
    wrong = unpaired(
        (right.control, right.total - right.control), (right.candidate, right.total - right.candidate), corrected=False
    )
    assert isinstance(wrong, ChiSquare)
    assert wrong.statistic == pytest.approx(146.29, abs=5e-3)


def test_stuart_maxwell_and_bowker_of_vision() -> None:
    """7,477 women: 11.95657 (3), Bhapkar 11.97572, Bowker 19.10655 (6) (Stuart 1955, Biometrika 42:412)."""
    found = square_tests(VISION)
    assert isinstance(found.stuart_maxwell, ChiSquare)
    assert isinstance(found.bhapkar, ChiSquare)
    assert isinstance(found.bowker, ChiSquare)
    assert found.stuart_maxwell.statistic == pytest.approx(11.956569622983, rel=1e-9)
    assert (found.stuart_maxwell.df, found.bowker.df) == (3, 6)
    assert found.stuart_maxwell.p == pytest.approx(0.00753342505, rel=1e-6)
    assert found.bhapkar.statistic == pytest.approx(11.975720155526, rel=1e-9)
    assert found.bowker.statistic == pytest.approx(19.106550215267, rel=1e-9)
    assert found.bowker.p == pytest.approx(0.00398741984, rel=1e-6)


@pytest.mark.parametrize(
    ("table", "plain", "plain_error", "weighted", "weighted_error"),
    [
        (MS_WINNIPEG, 0.20794, 0.050455, 0.37973, 0.051667),
        (MS_NEW_ORLEANS, 0.29652, 0.078504, 0.47727, 0.073031),
    ],
)
def test_kappa_of_the_neurologists(
    table: tuple[tuple[int, ...], ...], plain: float, plain_error: float, weighted: float, weighted_error: float
) -> None:
    """Kappa and linearly weighted kappa with their errors (data: Landis and Koch 1977; digits: R package vcd)."""
    unweighted, linear = kappa(table), kappa(table, "Linear")
    assert isinstance(unweighted, Kappa)
    assert isinstance(linear, Kappa)
    assert unweighted.value == pytest.approx(plain, abs=5e-6)
    assert unweighted.standard_error == pytest.approx(plain_error, abs=5e-7)
    assert linear.value == pytest.approx(weighted, abs=5e-6)
    assert linear.standard_error == pytest.approx(weighted_error, abs=5e-7)


def test_kappa_of_a_textbook_table() -> None:
    """20/5/10/15: kappa .4 with limits .1511 and .6489, and the metric of the same table is the same number."""
    found = kappa(((20, 5), (10, 15)))
    assert isinstance(found, Kappa)
    assert found.value == pytest.approx(0.4, rel=1e-9)
    assert found.interval() == pytest.approx((0.1511, 0.6489), abs=5e-5)
    of_metric = estimate(Metric.KAPPA, Cells((20, 0, 0, 5, 10, 0, 0, 15)))
    assert of_metric.control == pytest.approx(0.4, rel=1e-12)
    assert of_metric.control_interval == pytest.approx(found.interval())


def test_fleiss_kappa_of_the_textbook_table() -> None:
    """Ten subjects by fourteen raters: .209931 (Fleiss 1971, Psychological Bulletin 76:378)."""
    assert fleiss_kappa(TEN_BY_FOURTEEN) == pytest.approx(0.2099306, abs=5e-7)


@pytest.mark.parametrize(
    ("case", "accuracy", "f1", "mcc"),
    [
        ((90, 1, 0, 9), 0.90, 0.95, -0.03),
        ((5, 70, 19, 6), 0.24, 0.12, -0.24),
        ((47, 3, 5, 45), 0.52, 0.66, 0.07),
        ((10, 40, 46, 4), 0.56, 0.31, 0.17),
        ((9, 1, 1, 89), 0.10, 0.17, -0.19),
        ((2, 9, 88, 1), 0.90, 0.29, 0.31),
    ],
)
def test_use_cases_of_chicco_and_jurman(
    case: tuple[int, int, int, int], accuracy: float, f1: float, mcc: float
) -> None:
    """A1 to C2 of Chicco and Jurman 2020 (BMC Genomics 21:6), counts as (TP, FN, TN, FP)."""
    for metric, expected in ((Metric.ACCURACY, accuracy), (Metric.F1, f1), (Metric.MCC, mcc)):
        found = value(metric, confusion(*case))
        assert not isinstance(found, NotAvailable)
        assert float(found) == pytest.approx(expected, abs=5.01e-3)


def test_balanced_accuracy_of_a_published_comparison() -> None:
    """TPR 92.257 % and TNR 81.362 % of the core rule set make 86.81 (WAF comparison of open-appsec, 2025-26)."""
    found = value(Metric.BALANCED_ACCURACY, confusion(92_257, 7_743, 81_362, 18_638))
    assert not isinstance(found, NotAvailable)
    assert round(100 * float(found), 2) == 86.81


@pytest.mark.parametrize(("ratio", "discordant"), [(2.0, 69), (1.5, 194), (1.2, 948)])
def test_sizes_of_the_reference(ratio: float, discordant: int) -> None:
    """Two-sided 5 %, power 80 %: 69, 194 and 948 discordant pairs; at 2.7 % discordance the first needs about 2,520."""
    size = fixed_size(ratio, 1017 / 37_075)
    assert size.discordant == discordant
    assert ratio != 2.0 or size.requests == pytest.approx(2520, rel=0.01)


def test_intervals_of_bentur() -> None:
    """Paired difference 6/21: Newcombe .026 to .507, Tango .026 to .517 (Fagerland et al. 2014, Stat Med 33:2850)."""
    pairs = Pairs(neither=12, candidate_only=7, control_only=1, both=1)
    assert newcombe(pairs) == pytest.approx((0.026, 0.507), abs=5e-4)
    assert tango(pairs) == pytest.approx((0.026, 0.517), abs=5e-4)
