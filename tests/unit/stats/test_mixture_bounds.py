"""Boundaries and quantile tests against the numbers of confseq's unit tests, which are those of an R implementation."""

import math
import statistics

import numpy as np
import pytest
from scipy import special, stats

from chaffinch_stats import mixture_bounds, quantiles


def test_the_normal_mixture_is_confseqs() -> None:
    """Width, log mixture and boundary of the two-sided normal mixture at v = v_opt = 100, alpha 5 %."""
    rho = mixture_bounds.best_rho(100, 0.05)
    assert rho == pytest.approx(12.60056, abs=1e-5)
    assert mixture_bounds.normal_log_mixture(10, 100, rho) == pytest.approx(-0.6510052, abs=1e-5)
    assert mixture_bounds.normal_mixture_bound(100, 0.05, rho) == pytest.approx(30.35209, abs=1e-5)


def test_the_boundary_is_where_the_mixture_reaches_its_threshold() -> None:
    """At the boundary for alpha the log mixture is log(1/alpha)."""
    bound = mixture_bounds.normal_mixture_bound(37.0, 0.01, 5.0)
    assert mixture_bounds.normal_log_mixture(bound, 37.0, 5.0) == pytest.approx(math.log(100))


@pytest.mark.parametrize(
    ("successes", "trials", "opt", "lower", "upper"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (1, 2, 50, 0.0, 1.0),
        (100, 200, 1, 0.328923, 0.671076),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
    ],
)
def test_proportion_limits_are_confseqs(successes: int, trials: int, opt: float, lower: float, upper: float) -> None:
    """The Bernoulli confidence sequence, to 1e-5."""
    assert mixture_bounds.proportion_limits(successes, trials, 0.05, opt) == pytest.approx((lower, upper), abs=1e-5)


@pytest.mark.parametrize(("p", "expected"), [(0.5, 68.62803), (0.9, 43.72119), (0.1, 59.96521)])
def test_double_stitching_is_confseqs(p: float, expected: float) -> None:
    """The double-stitched boundary of quantiles at t = 1000, optimised for 100, to 1e-5."""
    assert mixture_bounds.double_stitching_bound(p, 1000, 0.05, 100) == pytest.approx(expected, abs=1e-5)


def test_the_iterated_logarithm_bound_is_confseqs() -> None:
    """The empirical process boundary at t = 1000 from t_min = 100, A = 0.85, to 1e-5; infinite before t_min."""
    assert mixture_bounds.empirical_process_bound(1000, 0.05, 100) == pytest.approx(0.08204769, abs=1e-5)
    assert mixture_bounds.empirical_process_bound(99, 0.05, 100) == math.inf


@pytest.mark.parametrize(
    ("p", "offset", "expected"),
    [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)],
)
def test_the_quantile_comparison_is_confseqs(p: float, offset: int, expected: float) -> None:
    """1 to 1000 against the same moved by an offset, at the median and the 90 % quantile, to 1e-5; either way round."""
    one, other = range(1, 1001), range(offset + 1, offset + 1001)
    assert quantiles.p_value_equal(one, other, p, 100) == pytest.approx(expected, abs=1e-5)
    assert quantiles.p_value_equal(other, one, p, 100) == pytest.approx(expected, abs=1e-5)


def test_zeta_is_scipys() -> None:
    """The zeta function inside the stitched boundary is right at 1.4: through the boundary's own formula."""
    zeta = float(special.zeta(1.4))
    k1 = (2**0.25 + 2**-0.25) / math.sqrt(2)
    ell = 1.4 * math.log(math.log(2)) + math.log(2 * zeta * (2 * zeta + 1) / (0.05 * math.log(2) ** 1.4))
    expected = 0.5 * math.sqrt(2 * 0.25) + math.sqrt(k1**2 * 0.25 * 1.0 * ell)
    assert mixture_bounds.double_stitching_bound(0.5, 1.0, 0.05, 1.0) == pytest.approx(expected, abs=1e-10)


def test_nothing_is_learnt_from_an_empty_arm() -> None:
    """Without samples in an arm the e-value is 1."""
    assert quantiles.log_e_equal([], [1.0], 0.5, 100) == 0.0


def test_ties_do_not_break_the_comparison() -> None:
    """Equal samples full of ties give no evidence; a clear shift does, ties and all."""
    values = [1.0] * 300 + [2.0] * 400 + [3.0] * 300
    assert quantiles.log_e_equal(values, values, 0.5, 100) <= 0.0
    assert quantiles.p_value_equal(values, [v + 1.0 for v in values], 0.5, 100) < 1e-6


def test_peeking_at_a_quantile_keeps_alpha() -> None:
    """Equal arms looked at 10 times: p <= 5 % at any look in at most 5 % of 400 runs (99.9 % bound)."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        one, other = rng.exponential(size=(2, 500)).tolist()
        p = [quantiles.p_value_equal(one[:n], other[:n], 0.9, 200) for n in range(50, 501, 50)]
        hits += min(p) <= 0.05
    assert stats.beta.ppf(0.999, hits + 1, 400 - hits) <= 0.05


def test_a_longer_tail_is_found_where_the_median_is_equal() -> None:
    """A canary with twice the spread is found at the 95 % quantile, not at the median."""
    spread = [statistics.NormalDist(10, 1).inv_cdf((k + 0.5) / 2000) for k in range(2000)]
    wider = [10 + 2 * (x - 10) for x in spread]
    assert quantiles.p_value_equal(spread, wider, 0.95, 200) < 1e-3
    assert quantiles.p_value_equal(spread, wider, 0.5, 200) == 1.0


def test_nonsense_is_refused() -> None:
    """Levels, quantiles and constants out of range are named."""
    with pytest.raises(ValueError, match="alpha must lie strictly"):
        mixture_bounds.proportion_limits(1, 2, 0.0, 50)
    with pytest.raises(ValueError, match="p must lie strictly"):
        quantiles.log_e_equal([1.0], [1.0], 1.0, 100)
    with pytest.raises(ValueError, match=r"a must exceed 1/sqrt\(2\)"):
        mixture_bounds.empirical_process_bound(1000, 0.05, 100, a=0.7)
