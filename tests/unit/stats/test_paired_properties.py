"""What holds for every table: sums, exchange of the versions, scale, and agreement with independent computations."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from chaffinch_stats.paired import Cells, Metric, NotAvailable, Pairs, tails
from chaffinch_stats.paired.chi_square import ChiSquare, sample_ratio, unpaired
from chaffinch_stats.paired.difference import difference, margin_test, newcombe, score, tango, wilson
from chaffinch_stats.paired.formulas import value
from chaffinch_stats.paired.mcnemar import cluster_robust, mcnemar
from chaffinch_stats.paired.metrics import estimate, influence, weights_for
from chaffinch_stats.paired.multiplicity import holm
from chaffinch_stats.paired.sequential import always_valid_p, always_valid_z, log_e
from chaffinch_stats.paired.square import square_tests

COUNTS = st.integers(0, 2000)
CELLS = st.builds(Cells, st.tuples(*[COUNTS] * 8))
FULL = st.builds(Cells, st.tuples(*[st.integers(1, 2000)] * 8))
PAIRS = st.builds(Pairs, COUNTS, COUNTS, COUNTS, COUNTS).filter(lambda pairs: pairs.total > 0)
SMALL = st.builds(Pairs, *[st.integers(0, 12)] * 4).filter(lambda pairs: pairs.total > 0)


@given(CELLS, CELLS, CELLS)
def test_cells_are_a_commutative_monoid(one: Cells, other: Cells, third: Cells) -> None:
    """Tables add up to the same in any order and grouping, and nothing added is no change."""
    assert one + other == other + one
    assert (one + other) + third == one + (other + third)
    assert one + Cells() == one


@given(FULL, st.sampled_from(Metric))
def test_exchange_of_versions_changes_the_sign(cells: Cells, metric: Metric) -> None:
    """With control and candidate exchanged every difference and its limits are the negative ones."""
    found, back = estimate(metric, cells), estimate(metric, cells.swapped)
    assert found.control == back.candidate
    assert found.difference == pytest.approx(-back.difference, abs=1e-15)  # type: ignore[operator]
    assert isinstance(found.interval, tuple)
    assert isinstance(back.interval, tuple)
    assert found.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=1e-12)


@given(COUNTS, COUNTS)
def test_mcnemar_does_not_know_which_is_which(b: int, c: int) -> None:
    """All p-values are the same with the versions exchanged, and the mid-p is never above the exact p."""
    one, other = mcnemar(b, c), mcnemar(c, b)
    assert (one.exact, one.midp, one.chi2) == (other.exact, other.midp, other.chi2)
    assert 0.0 <= one.midp <= one.exact <= 1.0


@given(FULL, st.sampled_from(Metric), st.sampled_from([None, Fraction(1, 100)]))
def test_metrics_do_not_depend_on_scale(cells: Cells, metric: Metric, prevalence: Fraction | None) -> None:
    """A hundred times the requests: the same values, a tenth of the standard error."""
    one = estimate(metric, cells, prevalence=prevalence)
    many = estimate(metric, Cells.of([100 * count for count in cells.counts]), prevalence=prevalence)
    assert one.control == many.control
    assert one.standard_error == pytest.approx(10.0 * many.standard_error, rel=1e-9)  # type: ignore[operator]


@given(FULL, st.sampled_from(Metric), st.sampled_from([None, Fraction(1, 100)]), st.booleans())
def test_influence_is_the_derivative(
    cells: Cells, metric: Metric, prevalence: Fraction | None, candidate: bool
) -> None:
    """The influence of a cell is what a small step of its count does, at fixed weights; over all cells it cancels."""
    weights = weights_for(cells, prevalence)
    assert not isinstance(weights, NotAvailable)
    values = influence(metric, cells, weights, candidate=candidate)
    big = Cells.of([10**6 * count for count in cells.counts])
    steps = influence(metric, big, (weights[0] / 10**6, weights[1] / 10**6), candidate=candidate)
    base = value(metric, big.confusion(candidate=candidate, weights=(weights[0] / 10**6, weights[1] / 10**6)))
    for cell in range(8):
        counts = list(big.counts)
        counts[cell] += 1
        stepped = Cells.of(counts).confusion(candidate=candidate, weights=(weights[0] / 10**6, weights[1] / 10**6))
        moved = value(metric, stepped)
        assert not isinstance(moved, NotAvailable)
        assert not isinstance(base, NotAvailable)
        assert float(moved - base) == pytest.approx(steps[cell], rel=1e-3, abs=1e-13)
        assert steps[cell] == pytest.approx(values[cell] / 10**6, rel=1e-9, abs=1e-18)
    assert math.fsum(c * v for c, v in zip(cells.counts, values, strict=True)) == pytest.approx(0.0, abs=1e-9)


@given(PAIRS)
def test_limits_hold_the_difference(pairs: Pairs) -> None:
    """Newcombe's and Tango's limits hold the estimate, stay in [-1, 1] and turn over with the versions."""
    middle = difference(pairs)
    assert isinstance(middle, Fraction)
    for method in (newcombe, tango):
        found, back = method(pairs), method(pairs.swapped)
        assert isinstance(found, tuple)
        assert isinstance(back, tuple)
        assert -1.0 <= found[0] <= float(middle) + 1e-12
        assert float(middle) - 1e-12 <= found[1] <= 1.0
        assert found[0] == pytest.approx(-back[1], abs=1e-9)


@given(PAIRS)
def test_the_score_at_zero_is_mcnemar(pairs: Pairs) -> None:
    """Tango's statistic of no difference is the root of McNemar's chi-square."""
    chi2 = mcnemar(pairs.control_only, pairs.candidate_only).chi2
    assert isinstance(chi2, NotAvailable) or score(pairs, 0.0) ** 2 == pytest.approx(chi2, rel=1e-9, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(SMALL.filter(lambda pairs: pairs.discordant > 0), st.sampled_from([-0.3, -0.05, 0.02, 0.2]))
def test_the_nuisance_is_the_most_likely(pairs: Pairs, at: float) -> None:
    """The score's variance rests on the maximum of the likelihood, found here by a search of its own."""
    b, c, n = pairs.control_only, pairs.candidate_only, pairs.total

    def loss(q: float) -> float:
        rest = 1.0 - 2.0 * q - at
        return -(stats_xlogy(b, q) + stats_xlogy(c, q + at) + stats_xlogy(n - b - c, rest))

    low, high = max(0.0, -at), 0.5 * (1.0 - at)
    best = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    ends = [q for q in (low, high, best) if math.isfinite(loss(q))]
    q = min(ends, key=loss)
    variance = n * (2.0 * q + at * (1.0 - at))
    expected = (c - b - n * at) / math.sqrt(variance)
    assert score(pairs, at) == pytest.approx(expected, rel=2e-4, abs=1e-6)


def stats_xlogy(x: float, y: float) -> float:
    """X log y with 0 log 0 = 0 and minus infinity for what cannot be."""
    if x == 0.0:
        return 0.0
    return x * math.log(y) if y > 0.0 else -math.inf


@settings(max_examples=30, deadline=None)
@given(SMALL, st.sampled_from([-0.1, 0.001, 0.05]))
def test_margin_tests_of_few_are_whole_distributions(pairs: Pairs, margin: float) -> None:
    """Both tails are probabilities that share the observed table, so they sum to at least 1."""
    found = margin_test(pairs, margin)
    assert not isinstance(found, NotAvailable)
    assert 0.0 <= found.p_above <= 1.0
    assert 0.0 <= found.p_below <= 1.0
    assert found.p_above + found.p_below >= 1.0 - 1e-6


def test_one_false_alarm_is_no_proof_of_one_in_a_thousand() -> None:
    """One new alarm among 113 says nothing against a margin of 0.001; seventeen do."""
    one, seventeen = (margin_test(Pairs(113 - c, c, 0, 0), 0.001) for c in (1, 17))
    assert not isinstance(one, NotAvailable)
    assert not isinstance(seventeen, NotAvailable)
    assert one.p_above > 0.1
    assert seventeen.p_above < 1e-4


@given(st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=60))
def test_clusters_of_one_are_mcnemar(pairs: list[int]) -> None:
    """With one discordant pair a cluster the robust statistic is McNemar's."""
    assert cluster_robust(pairs).chi2 == mcnemar(pairs.count(-1), pairs.count(1)).chi2


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_is_the_step_down_rule(p_values: list[float]) -> None:
    """Adjusted p-values reject what Holm's rule rejects at any level, and never less than Bonferroni's."""
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] * (len(p_values) - rank) > alpha:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected
    assert all(p <= a <= min(1.0, len(p_values) * p) for p, a in zip(p_values, adjusted, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_scipys_binomial_test(b: int, c: int) -> None:
    """The exact p equals scipy's, and the e-value is the mixture of likelihood ratios that scipy integrates."""
    if b + c == 0:
        return
    assert mcnemar(b, c).exact == pytest.approx(stats.binomtest(b, b + c).pvalue, rel=1e-9)
    expected = (b + c) * math.log(2.0) + stats.betabinom.logpmf(b, b + c, 0.5, 0.5) - math.log(math.comb(b + c, b))
    assert log_e(b, c) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "k"), [(1001, 480), (5000, 2400), (10**6, 490_000), (2 * 10**8, 99_980_000), (2 * 10**8, 99_900_000)]
)
def test_tails_of_many_coins(n: int, k: int) -> None:
    """The lower tail is scipy's at every size, to 1e-6 where it is a saddle-point."""
    assert tails.half_binomial_lower(k, n) == pytest.approx(stats.binom.cdf(k, n, 0.5), rel=1e-6)


@pytest.mark.parametrize(("x", "df"), [(3.84, 1), (11.95657, 3), (19.1, 6), (200.0, 7), (1e-3, 4), (5.0, 2)])
def test_chi_square_tails(x: float, df: int) -> None:
    """The upper tail is scipy's."""
    assert tails.chi_square_upper(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-12)


def test_unpaired_and_sample_ratio_are_scipys() -> None:
    """Pearson's tests equal scipy's, with and without Yates' correction."""
    for corrected in (False, True):
        ours = unpaired((30, 970), (50, 1450), corrected=corrected)
        theirs = stats.chi2_contingency([[30, 970], [50, 1450]], correction=corrected)
        assert isinstance(ours, ChiSquare)
        assert [ours.statistic, ours.p] == pytest.approx([theirs.statistic, theirs.pvalue])
    split, expected = sample_ratio((480, 520), (0.5, 0.5)), stats.chisquare([480, 520])
    assert isinstance(split, ChiSquare)
    assert [split.statistic, split.p] == pytest.approx([expected.statistic, expected.pvalue])


def test_wilson_is_scipys() -> None:
    """Score limits equal scipy's."""
    theirs = stats.binomtest(7, 50).proportion_ci(method="wilson")
    assert wilson(7, 50) == pytest.approx((theirs.low, theirs.high))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**31))
def test_stuart_maxwell_is_a_quadratic_form(size: int, seed: int) -> None:
    """The statistic equals d' V+ d with numpy's pseudo-inverse, whatever categories nothing joins."""
    table = np.random.default_rng(seed).integers(0, 4, (size, size))
    found = square_tests(table.tolist()).stuart_maxwell
    d = (table.sum(1) - table.sum(0)).astype(float)
    v = np.diag(table.sum(1) + table.sum(0) - 2 * np.diag(table)) - (table + table.T) * (1 - np.eye(size))
    rank = np.linalg.matrix_rank(v)
    if isinstance(found, NotAvailable):
        assert rank == 0
    else:
        assert found.df == rank
        assert found.statistic == pytest.approx(float(d @ np.linalg.pinv(v) @ d), rel=1e-7, abs=1e-9)


def test_limits_for_any_time_agree_with_their_p() -> None:
    """At the z of the limits the p is alpha, and the limits are wider than those for one look."""
    for requests in (100, 5_000, 10**7):
        z = always_valid_z(requests, 0.05, 5_000.0)
        assert z > 2.0
        assert always_valid_p(z, requests, 0.05, 5_000.0) == pytest.approx(0.05, rel=1e-9)
