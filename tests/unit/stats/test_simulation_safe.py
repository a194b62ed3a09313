"""False promotions, measured: a canary at the margin is called safe in at most beta of the runs, at any look."""

import numpy as np
import pytest

from chaffinch_stats import CountGate, safe_threshold
from unit.stats import vector_engine
from unit.stats.builders import GATE

BETA = 0.05
LOOKS = 60
RUNS = 5000


def promoted(
    gate: CountGate, share: vector_engine.Floats, base: vector_engine.Floats, ratio: float, seed: int
) -> float:
    """Upper 99.9 % bound of the probability that a canary of this ratio is ever called safe."""
    runs = vector_engine.draw(np.random.default_rng(seed), RUNS, 2000, share, ratio * base, base)
    hits = vector_engine.ever(vector_engine.log_e_safe(runs, gate), safe_threshold(BETA))
    return vector_engine.upper_bound(hits, RUNS)


@pytest.mark.parametrize("margin", [1.5, 2.0])
@pytest.mark.parametrize("base", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_canary_at_the_margin_keeps_beta(share: float, base: float, margin: float) -> None:
    """Exactly at the margin, 60 looks: called safe in at most 5 % (99.9 % bound, 5,000 runs a cell)."""
    gate = CountGate(margin_ratio=margin)
    assert promoted(gate, np.full(LOOKS, share), np.full(LOOKS, base), margin, seed=1) <= BETA


@pytest.mark.parametrize(("low", "high"), [(0.005, 0.02), (0.02, 0.005)])
def test_a_ramp_under_drift_at_the_margin_keeps_beta(low: float, high: float) -> None:
    """A ramp under a drifting base rate does not make a canary at the margin look safe (99.9 % bound, 5,000 runs)."""
    share = np.repeat([0.05, 0.1, 0.25, 0.5], 15)
    assert promoted(GATE, share, np.linspace(low, high, LOOKS), 1.5, seed=2) <= BETA


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize(
    ("rate", "ratio"),
    [(0.01, 1.5), (0.01, 10.0), (0.05, 1.5), (0.0101, 1.51), (0.3, 1.5)],
    ids=["both at their edge", "rate at its edge", "ratio at its edge", "just beyond both", "rate far beyond"],
)
def test_safe_below_keeps_beta_in_every_corner(rate: float, ratio: float, share: float) -> None:
    """With safe_below 1 %, a canary unsafe by ratio and rate, at either edge, is called safe in at most 5 %."""
    gate = CountGate(safe_below=0.01)
    assert promoted(gate, np.full(LOOKS, share), np.full(LOOKS, rate / ratio), ratio, seed=3) <= BETA


def test_safe_below_keeps_beta_when_the_baseline_has_no_errors() -> None:
    """An infinite ratio with the canary's rate exactly at safe_below is called safe in at most 5 %."""
    gate, looks = CountGate(safe_below=0.005), np.full(LOOKS, 0.5)
    runs = vector_engine.draw(np.random.default_rng(4), RUNS, 2000, looks, np.full(LOOKS, 0.005), np.zeros(LOOKS))
    hits = vector_engine.ever(vector_engine.log_e_safe(runs, gate), safe_threshold(BETA))
    assert vector_engine.upper_bound(hits, RUNS) <= BETA


@pytest.mark.parametrize(
    ("base", "share", "margin", "published_median"),
    [(0.01, 0.5, 1.5, 8), (0.01, 0.5, 2.0, 3), (0.01, 0.1, 1.5, 17), (0.001, 0.1, 2.0, 44)],
)
def test_a_good_canary_passes_as_fast_as_the_reference(
    base: float, share: float, margin: float, published_median: int
) -> None:
    """At 2,000 requests a minute the median minutes to a pass are within one, or 10 %, of the reference."""
    gate, looks = CountGate(margin_ratio=margin), 300
    rates = np.full(looks, base)
    runs = vector_engine.draw(np.random.default_rng(5), 2000, 2000, np.full(looks, share), rates, rates)
    minutes = vector_engine.first(vector_engine.log_e_safe(runs, gate), safe_threshold(BETA))
    assert float(np.median(minutes)) == pytest.approx(published_median, abs=max(1.0, 0.1 * published_median))


def test_a_service_without_errors_passes() -> None:
    """No errors anywhere: without safe_below never safe, with safe_below 0.1 % safe after 5,500 canary requests."""
    rates = np.zeros(LOOKS)
    runs = vector_engine.draw(np.random.default_rng(6), 10, 1000, np.full(LOOKS, 0.5), rates, rates)
    assert vector_engine.ever(vector_engine.log_e_safe(runs, GATE), safe_threshold(BETA)) == 0
    looks = vector_engine.first(vector_engine.log_e_safe(runs, CountGate(safe_below=0.001)), safe_threshold(BETA))
    assert looks.max() <= 11
