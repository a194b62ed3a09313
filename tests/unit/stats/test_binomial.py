"""Exact limits of a probability: against the beta quantiles of scipy, and at the edges."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from chaffinch_stats.binomial import clopper_pearson, log_tail

COUNTS = st.integers(1, 50_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.sampled_from([0.05, 0.01, 0.001]))
def test_the_limits_are_the_quantiles_of_the_beta_distribution(counts: tuple[int, int], alpha: float) -> None:
    """Clopper and Pearson's interval, as textbooks give it, to nine digits."""
    successes, trials = counts
    low, high = clopper_pearson(successes, trials, alpha)
    if successes:
        assert low == pytest.approx(beta.ppf(alpha / 2, successes, trials - successes + 1), rel=1e-9)
    if successes < trials:
        assert high == pytest.approx(beta.ppf(1 - alpha / 2, successes + 1, trials - successes), rel=1e-9)


def test_the_edges_are_zero_and_one() -> None:
    """Nothing seen leaves the lower limit at 0, everything the upper one at 1, and no trial says nothing."""
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(0, 10)[0] == 0.0
    assert clopper_pearson(10, 10)[1] == 1.0
    assert clopper_pearson(0, 10)[1] == pytest.approx(1 - 0.025**0.1)


@given(COUNTS, st.floats(0.001, 0.999))
def test_the_tail_is_that_of_the_binomial(counts: tuple[int, int], p: float) -> None:
    """From either side of the mode."""
    successes, trials = counts
    expected = float(binom.logsf(successes - 1, trials, p)) if successes else 0.0
    if math.isfinite(expected) and expected > -600.0:
        assert log_tail(successes, trials, p) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("successes", "trials", "alpha"), [(-1, 5, 0.05), (6, 5, 0.05), (1, 5, 0.0), (1, 5, 1.0)])
def test_what_is_no_count_or_level_is_refused(successes: int, trials: int, alpha: float) -> None:
    """With the field's name."""
    with pytest.raises(ValueError, match=r"successes|alpha"):
        clopper_pearson(successes, trials, alpha)
