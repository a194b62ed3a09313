"""Areas under ROC curves: the published values, the textbook definition, ties, and the bound of the bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chaffinch_shadow.analysis import delong
from chaffinch_shadow.analysis.rows import Bits, Floats, Scores
from chaffinch_stats.paired import NotAvailable
from chaffinch_stats.paired.auc import PairedAuc
from unit.shadow.asah import asah
from unit.shadow.builders import scores

POOR, TESTS = asah()


def compared(control: str, candidate: str) -> PairedAuc:
    """The comparison of two of the study's tests."""
    found = delong.exact(POOR, Scores(TESTS[control], TESTS[candidate]))
    assert isinstance(found, PairedAuc)
    return found


def test_areas_of_the_study() -> None:
    """WFNS against S100 beta (roc.test of the R package pROC 1.18): areas, variances, covariance, Z, p, limits."""
    found = compared("s100b", "wfns")
    assert [found.candidate, found.control] == pytest.approx([0.823678861789, 0.731368563686], rel=1e-9)
    assert found.candidate_variance == pytest.approx(0.00146991471, rel=1e-8)
    assert found.control_variance == pytest.approx(0.00266868246, rel=1e-8)
    assert found.covariance == pytest.approx(0.00119615567, rel=1e-8)
    assert found.z == pytest.approx(2.20898359144, rel=1e-9)
    assert found.p == pytest.approx(0.0271757822, rel=1e-6)
    assert found.interval() == pytest.approx((0.0104062, 0.1742144), abs=1e-7)


@pytest.mark.parametrize(
    ("better", "other", "z", "p"),
    [("wfns", "ndka", 2.79777591869, 0.00514557971), ("s100b", "ndka", 1.39077002574, 0.164295175)],
)
def test_other_pairs_of_the_study(better: str, other: str, z: float, p: float) -> None:
    """NDKA against the other two."""
    found = compared(other, better)
    assert found.control == pytest.approx(0.611957994580, rel=1e-9)
    assert found.z == pytest.approx(z, rel=1e-9)
    assert found.p == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize(
    ("test", "limits"),
    [("wfns", (0.748535, 0.898823)), ("s100b", (0.630118, 0.832619)), ("ndka", (0.501245, 0.722671))],
)
def test_limits_of_each_area(test: str, limits: tuple[float, float]) -> None:
    """DeLong's limits of one area (ci.auc of pROC)."""
    assert compared(test, "wfns").control_interval() == pytest.approx(limits, abs=1e-6)


def test_pairing_flips_the_conclusion() -> None:
    """As if the patients were different ones, S100 beta minus WFNS is -.2191 to .0345 (pROC issue 73, Welch's t)."""
    found = compared("wfns", "s100b")
    one, other = found.control_variance, found.candidate_variance
    half = stats.t.ppf(0.975, 112 * (one + other) ** 2 / (one**2 + other**2)) * np.sqrt(one + other)
    assert (found.difference - half, found.difference + half) == pytest.approx((-0.2191, 0.0345), abs=5e-5)
    limits = found.interval()
    assert isinstance(limits, tuple)
    assert limits[1] < 0.0


def textbook(label: Bits, one: Floats, other: Floats) -> tuple[float, float, float, float, float]:
    """Areas, variances and covariance by comparing every pair, in O(mn)."""
    kernels = []
    for score in (one, other):
        attacks, benign = score[label][:, None], score[~label][None, :]
        kernels.append((attacks > benign) + 0.5 * (attacks == benign))
    free = [max(1, count - 1) for count in kernels[0].shape]

    def covariance(a: Floats, b: Floats) -> float:
        rows, columns = a.mean(axis=1), b.mean(axis=1)
        high = ((rows - rows.mean()) * (columns - columns.mean())).sum() / free[0] / a.shape[0]
        rows, columns = a.mean(axis=0), b.mean(axis=0)
        low = ((rows - rows.mean()) * (columns - columns.mean())).sum() / free[1] / a.shape[1]
        return float(high + low)

    a, b = kernels
    return float(a.mean()), float(b.mean()), covariance(a, a), covariance(b, b), covariance(a, b)


CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(-3, 3)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(row[0] for row in rows) < len(rows)
)


@settings(deadline=None)
@given(CASES)
def test_exact_is_the_textbook(case: list[tuple[bool, int, int]]) -> None:
    """With many ties, more attacks or more benign: all five numbers equal those of the definition."""
    label, one, other = (np.array(column) for column in zip(*case, strict=True))
    found = delong.exact(label, Scores(one.astype(float), other.astype(float)))
    assert isinstance(found, PairedAuc)
    ours = (found.control, found.candidate, found.control_variance, found.candidate_variance, found.covariance)
    assert ours == pytest.approx(textbook(label, one, other), abs=1e-12)


@settings(deadline=None)
@given(CASES, st.integers(2, 5))
def test_the_bound_of_bins_is_kept(case: list[tuple[bool, int, int]], bins: int) -> None:
    """However few the bins, the exact area is no farther than the printed bound."""
    label, one, other = (np.array(column) for column in zip(*case, strict=True))
    both = Scores(one.astype(float), other.astype(float))
    exact, binned = delong.exact(label, both), delong.binned(label, both, bins)
    assert isinstance(exact, PairedAuc)
    assert isinstance(binned, PairedAuc)
    assert abs(exact.control - binned.control) <= binned.error_bound + 1e-12
    assert abs(exact.candidate - binned.candidate) <= binned.error_bound + 1e-12


def test_many_bins_are_close() -> None:
    """20,000 rows in 65,536 bins: z within 1e-3 of the exact one, and the areas alone are the same."""
    rng = np.random.default_rng(5)
    label = rng.random(20_000) < 0.05
    strength = label + rng.normal(size=20_000)
    both = Scores(strength + rng.normal(size=20_000), strength + 0.9 * rng.normal(size=20_000))
    exact, binned, areas = (method(label, both) for method in (delong.exact, delong.binned, delong.binned_areas))
    assert isinstance(exact, PairedAuc)
    assert isinstance(binned, PairedAuc)
    assert isinstance(areas, tuple)
    assert 0.0 < binned.error_bound < 1e-4
    assert binned.z == pytest.approx(exact.z, abs=1e-3)
    assert areas[0] == pytest.approx((binned.control, binned.candidate), abs=1e-12)
    assert areas[1] == binned.error_bound


@pytest.mark.parametrize("method", [delong.exact, delong.binned])
@pytest.mark.parametrize("attack", [True, False])
def test_one_label_alone_has_no_area(method: type, attack: bool) -> None:
    """A class absent: not available, and it says which."""
    found = method(np.array([attack, attack]), scores([1, 2], [2, 1]))
    assert found == NotAvailable(f"no request of label {int(not attack)}")
    assert isinstance(delong.binned_areas(np.array([attack]), scores([1], [2])), NotAvailable)


@pytest.mark.parametrize("method", [delong.exact, delong.binned])
def test_all_ties_are_a_half(method: type) -> None:
    """Equal scores: areas of exactly .5, variance 0, p 1."""
    found = method(np.array([True, False, True, False]), scores([3, 3, 3, 3], [1, 1, 1, 1]))
    assert (found.control, found.candidate, found.control_variance, found.covariance, found.p) == (0.5, 0.5, 0, 0, 1.0)


@pytest.mark.parametrize("method", [delong.exact, delong.binned])
def test_perfect_separation(method: type) -> None:
    """An area of 1 has no variance, so there are no limits and no p of a difference."""
    found = method(np.array([True, True, False, False]), scores([3, 4, 1, 2], [1, 2, 3, 4]))
    assert (found.control, found.candidate) == (1.0, 0.0)
    assert isinstance(found.p, NotAvailable)


def test_one_request_of_a_label() -> None:
    """A single attack: its side has no variance, nothing is divided by zero."""
    found = delong.exact(np.array([True, False, False]), scores([2, 1, 3], [3, 1, 2]))
    assert isinstance(found, PairedAuc)
    assert (found.control, found.candidate) == (0.5, 1.0)
