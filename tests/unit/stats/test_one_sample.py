"""The absolute gate: a canary's bad rate against an objective."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from chaffinch_stats import ArmCounts, RateEvidence, RateGate, one_sample
from unit.stats import vector_engine

GATE = RateGate(0.01)
LOOKS = 60
RUNS = 4000


def seen(bad: int, total: int, gate: RateGate = GATE) -> RateEvidence:
    """Evidence after one batch of requests."""
    return one_sample.update(RateEvidence.start(gate), gate, ArmCounts(bad, total))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_batches_add_up(bad: int, good: int, more_bad: int, more_good: int) -> None:
    """Two batches weigh as much as their sum."""
    twice = one_sample.update(seen(bad, bad + good), GATE, ArmCounts(more_bad, more_bad + more_good))
    once = seen(bad + more_bad, bad + good + more_bad + more_good)
    assert twice.seen == once.seen
    assert one_sample.log_e_harm(twice, GATE) == one_sample.log_e_harm(once, GATE)
    assert one_sample.log_e_safe(twice, GATE) == one_sample.log_e_safe(once, GATE)
    assert one_sample.p_value(twice) <= one_sample.p_value(once)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.sampled_from([1e-6, 0.01, 0.5, 0.999]))
def test_results_are_finite_up_to_a_million_million(bad: int, good: int, objective: float) -> None:
    """Counts up to 1e12 and objectives near 0 and 1 give finite e-values and ordered limits around the rate."""
    gate = RateGate(objective)
    evidence = seen(bad, bad + good, gate)
    assert math.isfinite(one_sample.log_e_harm(evidence, gate))
    assert math.isfinite(one_sample.log_e_safe(evidence, gate))
    lower, upper = one_sample.confidence_sequence(evidence, gate, 0.05)
    rate = one_sample.rate(evidence)
    assert 0.0 <= lower <= (0.5 if rate is None else rate) <= upper <= 1.0


def test_nothing_seen_is_no_evidence() -> None:
    """Before any request every e-value is 1 and every rate possible."""
    evidence = RateEvidence.start(GATE)
    assert one_sample.log_e_harm(evidence, GATE) == one_sample.log_e_safe(evidence, GATE) == 0.0
    assert (one_sample.p_value(evidence), one_sample.rate(evidence)) == (1.0, None)
    assert one_sample.confidence_sequence(evidence, GATE, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize("dispersion", [1.0, 3.0])
@pytest.mark.parametrize(("bad", "total"), [(0, 50), (3, 50), (50, 50), (700, 1000), (120, 10**6)])
def test_limits_invert_the_beta_mixture(bad: int, total: int, dispersion: float) -> None:
    """The limits are the roots of the closed-form mixture e-value at 1/alpha, found here with scipy."""
    gate = RateGate(0.01, dispersion=dispersion)

    def excess(p: float) -> float:
        likelihood = (special.xlogy(bad, p) + special.xlog1py(total - bad, -p)) / dispersion
        mixture = special.betaln(0.5 + bad / dispersion, 0.5 + (total - bad) / dispersion) - special.betaln(0.5, 0.5)
        return float(mixture - likelihood - math.log(20))

    middle, tiny = min(max(bad / total, 1e-12), 1 - 1e-12), 1e-15
    lower = 0.0 if excess(0.0) <= 0 else optimize.brentq(excess, tiny, middle, xtol=1e-15)
    upper = 1.0 if excess(1.0) <= 0 else optimize.brentq(excess, middle, 1 - tiny, xtol=1e-15)
    found = one_sample.confidence_sequence(seen(bad, total, gate), gate, 0.05)
    assert found == pytest.approx((lower, upper), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("dispersion", [1.0, 1e6])
@pytest.mark.parametrize("total", [1, 10**12])
def test_limits_are_ordered_at_any_size(total: int, dispersion: float) -> None:
    """From one request to 1e12, none to all of them bad, tempered or not: 0 <= lower <= rate <= upper <= 1."""
    gate = RateGate(0.01, dispersion=dispersion)
    for bad in sorted({0, min(3, total), total // 2, total - 1, total}):
        lower, upper = one_sample.confidence_sequence(seen(bad, total, gate), gate, 0.05)
        assert 0.0 <= lower <= bad / total <= upper <= 1.0


def test_grids_stand_on_their_side_of_the_null() -> None:
    """Harm rates lie above the objective and below 1, safe rates below the margin, even for a lax objective."""
    for objective in (1e-6, 0.01, 0.5, 0.99):
        gate = RateGate(objective, margin_ratio=3.0)
        assert all(objective < rate < 1.0 for rate in gate.harm_rates)
        assert all(rate < gate.margin_rate < 1.0 for rate in gate.safe_rates)


def test_another_design_is_not_judged() -> None:
    """Evidence of one objective is not judged by another."""
    with pytest.raises(ValueError, match="judged by a gate of design"):
        one_sample.log_e_harm(seen(1, 10), RateGate(0.02))


def drawn(rate: float, requests: int) -> tuple[vector_engine.Integers, vector_engine.Integers]:
    """Bad counts (runs, looks) and totals (looks,) at a true rate."""
    total = np.full(LOOKS, requests)
    return np.random.default_rng(20).binomial(total, rate, size=(RUNS, LOOKS)), total


@pytest.mark.parametrize("objective", [0.001, 0.01, 0.2])
def test_an_objective_just_met_rarely_fails(objective: float) -> None:
    """At exactly the objective, 60 looks end in failure in at most alpha = 5 % of runs (99.9 % bound, 4,000 runs)."""
    gate = RateGate(objective)
    bad, total = drawn(objective, 500)
    logs = vector_engine.rate_log_factors(bad, total, np.array(gate.harm_rates), objective)
    hits = vector_engine.ever(vector_engine.log_mean(logs), math.log(20))
    assert vector_engine.upper_bound(hits, RUNS) <= 0.05
    last = seen(int(bad[0].sum()), int(total.sum()), gate)
    assert one_sample.log_e_harm(last, gate) == pytest.approx(vector_engine.log_mean(logs)[0, -1], abs=1e-8)


@pytest.mark.parametrize("objective", [0.001, 0.01, 0.2])
def test_a_rate_at_the_margin_rarely_passes(objective: float) -> None:
    """At exactly the margin, 60 looks end in a pass in at most beta = 5 % of runs (99.9 % bound, 4,000 runs)."""
    gate = RateGate(objective)
    bad, total = drawn(gate.margin_rate, 500)
    logs = vector_engine.rate_log_factors(bad, total, np.array(gate.safe_rates), gate.margin_rate)
    hits = vector_engine.ever(vector_engine.log_mean(logs), math.log(20))
    assert vector_engine.upper_bound(hits, RUNS) <= 0.05
    last = seen(int(bad[0].sum()), int(total.sum()), gate)
    assert one_sample.log_e_safe(last, gate) == pytest.approx(vector_engine.log_mean(logs)[0, -1], abs=1e-8)


def test_double_the_objective_always_fails() -> None:
    """At twice an objective of 1 %, every run of 30,000 requests fails."""
    bad, total = drawn(0.02, 500)
    logs = vector_engine.rate_log_factors(bad, total, np.array(GATE.harm_rates), 0.01)
    assert vector_engine.ever(vector_engine.log_mean(logs), math.log(20)) == RUNS


def test_the_limits_cover_at_all_looks_together() -> None:
    """The true rate leaves the limits at any of 60 looks in at most 5 % of runs (99.9 % bound, 4,000 runs)."""
    bad, total = drawn(0.01, 500)
    x, n = np.cumsum(bad, axis=1), np.cumsum(total)
    mixture = special.betaln(0.5 + x, 0.5 + n - x) - special.betaln(0.5, 0.5)
    misses = vector_engine.ever(mixture - x * np.log(0.01) - (n - x) * np.log(0.99), math.log(20))
    assert vector_engine.upper_bound(misses, RUNS) <= 0.05
