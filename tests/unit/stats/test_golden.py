"""Numbers published by others, and the frozen numbers of our own reference implementation."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from chaffinch_stats import log_e_harm, multinomial, p_value
from unit.stats.builders import GATE, after, shared


@pytest.mark.parametrize(
    ("canary_bad", "bad", "share", "expected"),
    [
        (12, 15, 0.5, 9.580488),
        (30, 40, 0.5, 66.024874),
        (8, 20, 0.1, 159.231500),
        (20, 100, 0.1, 25.175652),
        (5, 50, 0.1, 0.308256),
    ],
)
def test_harm_e_value_of_the_reference(canary_bad: int, bad: int, share: float, expected: float) -> None:
    """E_harm equals the reference implementation's value to 1e-5."""
    assert math.exp(log_e_harm(after([shared(canary_bad, bad, share)]), GATE)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("share", "at_5_percent", "at_1_percent"), [(0.5, 7, 10), (0.25, 4, 6), (0.1, 3, 4), (0.05, 3, 4)]
)
def test_fewest_canary_errors_that_reject(share: float, at_5_percent: int, at_1_percent: int) -> None:
    """With no baseline error, the reference's number of canary errors is the first that rejects."""
    p = [p_value(after([shared(errors, errors, share)])) for errors in range(12)]
    assert next(errors for errors in range(12) if p[errors] <= 0.05) == at_5_percent
    assert next(errors for errors in range(12) if p[errors] <= 0.01) == at_1_percent


def first_rejection(draws: npt.NDArray[np.int64], null: tuple[float, ...]) -> tuple[int, float]:
    """Return the number of draws at which the multinomial test first has p <= 0.05, and that p."""
    for n, counts in enumerate(np.cumsum(draws, axis=0).tolist(), start=1):
        p = math.exp(-multinomial.log_bayes_factor(counts, null))
        if p <= 0.05:
            return n, p
    raise AssertionError("never rejected")


def test_sample_ratio_example_of_savvi() -> None:
    """The sample ratio mismatch of savvi's README (Lindon and Malek 2022) is found at the published draw and p."""
    draws = np.random.RandomState(1).multinomial(1, [0.1, 0.3, 0.6], size=1000)
    n, p = first_rejection(draws, (0.1, 0.4, 0.5))
    assert n == 402
    assert p == pytest.approx(0.04845591105969517, rel=1e-10)


def test_canary_example_of_savvi() -> None:
    """The Poisson canary of savvi's README, drawn after its two earlier examples, stops at the published draw and p."""
    source = np.random.RandomState(1)
    source.multinomial(1, [0.1, 0.3, 0.6], size=1000)
    source.multinomial(1, _tilted([0.1, 0.3, 0.6], np.log([0.2, 0.3, 0.4])), size=5250)
    draws = source.multinomial(1, _tilted([0.8, 0.2], np.array([1.5, 2.0])), size=1500)
    n, p = first_rejection(draws, (0.8, 0.2))
    assert n == 168
    assert p == pytest.approx(0.04675270375081281, rel=1e-10)


def _tilted(rho: list[float], delta: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights = np.array(rho) * np.exp(delta)
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize(
    ("counts", "probabilities", "message"),
    [
        ((1, 2), (1.0,), "2 counts for 1"),
        ((1, 2), (0.0, 1.0), "above 0"),
        ((1, 2), (0.4, 0.5), "sum to 1"),
    ],
)
def test_multinomial_refuses_what_is_no_distribution(
    counts: tuple[int, ...], probabilities: tuple[float, ...], message: str
) -> None:
    """Counts and probabilities must fit, and the probabilities be a distribution."""
    with pytest.raises(ValueError, match=message):
        multinomial.log_bayes_factor(counts, probabilities)
