"""False rollbacks, measured: under no harm, however often one looks, at most alpha of the canaries are rolled back."""

import math

import numpy as np
import pytest

from chaffinch_stats import CountGate, harm_threshold
from unit.stats import vector_engine
from unit.stats.builders import GATE

ALPHA = 0.05
LOOKS = 60
RUNS = 5000


def steady(share: float, looks: int = LOOKS) -> vector_engine.Floats:
    """One share at every look."""
    return np.full(looks, share)


def ramp() -> vector_engine.Floats:
    """5, 10, 25 and 50 % for 15 looks each."""
    return np.repeat([0.05, 0.1, 0.25, 0.5], 15)


@pytest.mark.parametrize("base", [0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("share", [0.5, 0.25, 0.1, 0.05])
def test_peeking_sixty_times_keeps_alpha(share: float, base: float) -> None:
    """Two equal arms, 60 looks: rolled back in at most 5 % (99.9 % bound, 5,000 runs a cell)."""
    rates = np.full(LOOKS, base)
    runs = vector_engine.draw(np.random.default_rng(1), RUNS, 2000, steady(share), rates, rates)
    hits = vector_engine.ever(vector_engine.log_e_harm(runs, GATE), harm_threshold(1, ALPHA))
    assert vector_engine.upper_bound(hits, RUNS) <= ALPHA


@pytest.mark.parametrize(("low", "high"), [(0.005, 0.02), (0.02, 0.005), (0.01, 0.012)])
def test_a_ramp_under_a_drifting_base_rate_keeps_alpha(low: float, high: float) -> None:
    """Weights 5 to 50 % while both arms' rate drifts (Simpson): at most 5 % rolled back (99.9 % bound, 5,000 runs)."""
    rates = np.linspace(low, high, LOOKS)
    runs = vector_engine.draw(np.random.default_rng(2), RUNS, 2000, ramp(), rates, rates)
    hits = vector_engine.ever(vector_engine.log_e_harm(runs, GATE), harm_threshold(1, ALPHA))
    assert vector_engine.upper_bound(hits, RUNS) <= ALPHA


def test_a_tolerated_ratio_keeps_alpha() -> None:
    """A canary exactly at harm_ratio 1.2 is rolled back in at most 5 % (99.9 % bound, 5,000 runs)."""
    gate, rates = CountGate(harm_ratio=1.2), np.full(LOOKS, 0.01)
    runs = vector_engine.draw(np.random.default_rng(3), RUNS, 2000, steady(0.2), 1.2 * rates, rates)
    hits = vector_engine.ever(vector_engine.log_e_harm(runs, gate), harm_threshold(1, ALPHA))
    assert vector_engine.upper_bound(hits, RUNS) <= ALPHA


@pytest.mark.parametrize("together", [False, True])
def test_ten_gates_share_one_alpha(together: bool) -> None:
    """Ten gates, independent or moving together: any one rolls back in at most 5 % (99.9 % bound, 3,000 runs)."""
    rng, rates, worst = np.random.default_rng(4), np.full(LOOKS, 0.01), np.full(3000, -np.inf)
    shocks = np.exp(0.3 * rng.standard_normal((3000, LOOKS))) if together else np.ones((3000, LOOKS))
    for _ in range(10):
        runs = vector_engine.draw(rng, 3000, 2000, steady(0.5), rates * shocks, rates * shocks)
        worst = np.maximum(worst, vector_engine.log_e_harm(runs, GATE).max(axis=1))
    hits = int((worst >= harm_threshold(10, ALPHA)).sum())
    assert vector_engine.upper_bound(hits, 3000) <= ALPHA


@pytest.mark.parametrize(("sigma", "dispersion"), [(0.2, 1.37), (0.3, 1.81), (0.5, 3.12)])
def test_tempering_restores_alpha_under_noise_of_one_arm(sigma: float, dispersion: float) -> None:
    """Log-normal noise in each arm, tempered by its A/A dispersion: at most 5 % of 5,000 runs, doubling always found.

    Nothing guarantees this: noise of one arm is outside the model. So the claim is the measured share, not a bound.
    """
    gate, rng = CountGate(dispersion=dispersion), np.random.default_rng(5)
    noise = np.exp(sigma * rng.standard_normal((2, RUNS, LOOKS)) - sigma**2 / 2)
    same = vector_engine.draw(rng, RUNS, 2000, steady(0.5), 0.01 * noise[0], 0.01 * noise[1])
    assert vector_engine.ever(vector_engine.log_e_harm(same, gate), harm_threshold(1, ALPHA)) <= ALPHA * RUNS
    worse = vector_engine.draw(rng, RUNS, 2000, steady(0.5), 0.02 * noise[0], 0.01 * noise[1])
    assert vector_engine.ever(vector_engine.log_e_harm(worse, gate), harm_threshold(1, ALPHA)) == RUNS


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_doubled_errors_are_always_found(share: float) -> None:
    """1 % against 2 %, 2,000 requests a look: every run is rolled back within 60 looks, half within 3 or 6."""
    rates = np.full(LOOKS, 0.01)
    runs = vector_engine.draw(np.random.default_rng(6), RUNS, 2000, steady(share), 2 * rates, rates)
    looks = vector_engine.first(vector_engine.log_e_harm(runs, GATE), harm_threshold(1, ALPHA))
    assert np.isfinite(looks).all()
    assert np.median(looks) <= (3 if share == 0.5 else 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "worse", "share", "fixed_size", "mean", "median", "tail"),
    [
        (0.01, 0.02, 0.5, 5057, 0.91, 0.75, 1.82),
        (0.01, 0.02, 0.1, 13_338, 0.92, 0.75, 1.83),
        (0.01, 0.015, 0.5, 16_909, 0.93, 0.78, 1.81),
        (0.01, 0.05, 0.1, 1477, 0.82, 0.68, 1.66),
        (0.001, 0.003, 0.5, 17_089, 0.82, 0.67, 1.61),
        (0.01, 0.0125, 0.5, 60_962, 1.12, 0.98, 2.17),
    ],
)
def test_delays_are_those_of_the_reference(
    base: float, worse: float, share: float, fixed_size: int, mean: float, median: float, tail: float
) -> None:
    """Mean, median and 90th percentile of the delay, in fixed-sample sizes, are within 10 % of the reference table."""
    step, looks = fixed_size // 25, 300
    rates = np.full(looks, base)
    runs = vector_engine.draw(np.random.default_rng(7), 2000, step, steady(share, looks), rates / base * worse, rates)
    delay = vector_engine.first(vector_engine.log_e_harm(runs, GATE), math.log(20)) * step / fixed_size
    measured = (delay.mean(), np.median(delay), np.quantile(delay, 0.9))
    assert measured == pytest.approx((mean, median, tail), rel=0.1)


def test_the_limits_of_the_ratio_cover_at_all_looks_together() -> None:
    """The true ratio leaves the confidence sequence at any of 30 looks in at most 5 % (99.9 % bound, 2,000 runs)."""
    for ratio, share in ((1.0, 0.5), (2.0, 0.1)):
        rates = np.full(30, 0.01)
        runs = vector_engine.draw(np.random.default_rng(8), 2000, 1000, steady(share, 30), ratio * rates, rates)
        misses = vector_engine.ever(vector_engine.log_e_ratio(runs, ratio, points=201), -math.log(ALPHA))
        assert vector_engine.upper_bound(misses, 2000) <= ALPHA
