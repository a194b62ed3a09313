"""Thresholds over several gates, and forecasts against the formula and against simulation."""

import math

import numpy as np
import pytest

from chaffinch_stats import (
    CountGate,
    RateGate,
    harm_threshold,
    rate_requests_to_pass,
    rate_requests_to_reject,
    requests_to_pass,
    requests_to_reject,
    safe_threshold,
)
from chaffinch_stats.mixtures import log_mean_exp
from unit.stats import vector_engine
from unit.stats.builders import GATE


def test_thresholds_are_bonferroni_for_harm_and_plain_for_safety() -> None:
    """Harm needs gates/alpha on one gate, safety 1/beta on every gate."""
    assert harm_threshold(10, 0.05) == pytest.approx(math.log(200))
    assert safe_threshold(0.05) == pytest.approx(math.log(20))


def test_thresholds_refuse_nonsense() -> None:
    """No gates and error rates outside (0, 1) are refused by name."""
    with pytest.raises(ValueError, match="gates must be at least 1, got 0"):
        harm_threshold(0, 0.05)
    with pytest.raises(ValueError, match="alpha must lie strictly"):
        harm_threshold(1, 0.0)
    with pytest.raises(ValueError, match="beta must lie strictly"):
        safe_threshold(1.0)


def test_the_mean_of_dead_e_values_is_dead() -> None:
    """E-values of 0 average to 0, and an e-value of 0 halves its neighbour."""
    assert log_mean_exp((-math.inf, -math.inf)) == -math.inf
    assert log_mean_exp((-math.inf, 5000.0)) == pytest.approx(5000.0 - math.log(2))


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("ratio", [1.5, 2.0, 5.0])
def test_the_forecast_of_harm_is_the_reference_formula(share: float, ratio: float) -> None:
    """For a ratio on the grid: ln(grid*M/alpha) / KL events, divided by the mean bad rate."""
    theta = share * ratio / (1 - share + share * ratio)
    divergence = theta * math.log(theta / share) + (1 - theta) * math.log((1 - theta) / (1 - share))
    mean_rate = 0.01 * (1 - share + share * ratio)
    expected = math.log(6 * 3 / 0.05) / divergence / mean_rate
    assert requests_to_reject(GATE, 0.01, ratio, share, 3, 0.05) == pytest.approx(expected)
    assert requests_to_reject(CountGate(dispersion=4), 0.01, ratio, share, 3, 0.05) == pytest.approx(4 * expected)


def test_forecasts_that_never_come_are_infinite() -> None:
    """No harm, no errors to compare, or a canary at the margin: the answer is inf, not a number."""
    assert requests_to_reject(GATE, 0.01, 1.0, 0.5, 1, 0.05) == math.inf
    assert requests_to_reject(GATE, 0.0, 2.0, 0.5, 1, 0.05) == math.inf
    assert requests_to_pass(GATE, 0.0, 0.5, 0.05) == math.inf
    assert requests_to_pass(GATE, 0.01, 0.5, 0.05, ratio=1.5) == math.inf
    assert rate_requests_to_reject(RateGate(0.01), 0.01, 1, 0.05) == math.inf
    assert rate_requests_to_pass(RateGate(0.01), 0.015, 0.05) == math.inf


def test_without_errors_the_rate_decides() -> None:
    """With `safe_below` p a service without errors passes after about ln(2*4/beta)/p canary requests."""
    gate = CountGate(safe_below=0.001)
    assert requests_to_pass(gate, 0.0, 0.1, 0.05) == pytest.approx(math.log(160) / 0.001 / 0.1, rel=1e-3)
    assert requests_to_pass(gate, 0.05, 0.1, 0.05) == pytest.approx(
        requests_to_pass(GATE, 0.05, 0.1, 0.05) * math.log(120) / math.log(60)
    )


@pytest.mark.parametrize(("share", "rate"), [(0.0, 0.01), (1.0, 0.01), (0.5, 1.1), (0.5, -0.1)])
def test_forecasts_refuse_nonsense(share: float, rate: float) -> None:
    """Shares and rates are checked by name."""
    with pytest.raises(ValueError, match=r"share must lie|base_rate must lie"):
        requests_to_pass(GATE, rate, share, 0.05)


@pytest.mark.parametrize(
    ("share", "base", "ratio"), [(0.5, 0.01, 2.0), (0.1, 0.01, 2.0), (0.1, 0.01, 5.0), (0.5, 0.01, 1.5)]
)
def test_the_forecast_of_harm_meets_the_simulated_mean(share: float, base: float, ratio: float) -> None:
    """The expected sample size is within 30 % of the mean over 2,000 runs."""
    forecast = requests_to_reject(GATE, base, ratio, share, 1, 0.05)
    step, looks = max(20, round(forecast / 50)), 600
    rates = np.full(looks, base)
    runs = vector_engine.draw(np.random.default_rng(4), 2000, step, np.full(looks, share), rates * ratio, rates)
    mean = vector_engine.first(vector_engine.log_e_harm(runs, GATE), math.log(20)).mean() * step
    assert mean == pytest.approx(forecast, rel=0.3)


@pytest.mark.parametrize("gate", [GATE, CountGate(margin_ratio=2.0), CountGate(safe_below=0.02)])
def test_the_forecast_of_a_pass_meets_the_simulated_mean(gate: CountGate) -> None:
    """The expected sample size of a good canary is within 30 % of the mean over 2,000 runs."""
    forecast = requests_to_pass(gate, 0.01, 0.5, 0.05)
    step, looks = round(forecast / 40), 600
    rates = np.full(looks, 0.01)
    runs = vector_engine.draw(np.random.default_rng(4), 2000, step, np.full(looks, 0.5), rates, rates)
    mean = vector_engine.first(vector_engine.log_e_safe(runs, gate), math.log(20)).mean() * step
    assert mean == pytest.approx(forecast, rel=0.3)


def test_the_absolute_forecasts_meet_the_simulated_mean() -> None:
    """Failing at twice the objective and passing at half of it take the forecast requests, within 30 %."""
    gate, total = RateGate(0.01), np.full(600, 50)
    rng = np.random.default_rng(4)
    bad = rng.binomial(total, 0.02, size=(2000, 600))
    logs = vector_engine.log_mean(vector_engine.rate_log_factors(bad, total, np.array(gate.harm_rates), 0.01))
    mean = vector_engine.first(logs, math.log(20)).mean() * 50
    assert mean == pytest.approx(rate_requests_to_reject(gate, 0.02, 1, 0.05), rel=0.3)
    good = rng.binomial(total, 0.005, size=(2000, 600))
    logs = vector_engine.log_mean(vector_engine.rate_log_factors(good, total, np.array(gate.safe_rates), 0.015))
    mean = vector_engine.first(logs, math.log(20)).mean() * 50
    assert mean == pytest.approx(rate_requests_to_pass(gate, 0.005, 0.05), rel=0.3)
