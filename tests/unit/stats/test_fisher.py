"""Method Fisher: exact at any base rate, valid for the stated null, and as strong as the data allow."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_stats import (
    ArmCounts,
    CountGate,
    Interval,
    from_state,
    harm_threshold,
    hypergeometric,
    log_e_harm,
    log_e_harm_grid,
    log_e_safe,
    method,
    requests_to_reject,
    to_state,
)
from unit.stats import vector_engine
from unit.stats.builders import GATE, after, interval

FISHER = CountGate(method="Fisher")
ODDS = (1 / 64, 0.5, 1.25, 3.0, 10.0, 64.0)


def exact(canary: int, baseline: int, bad: int, odds_ratio: float) -> float:
    """S(psi) by a sum of exact fractions."""
    psi = Fraction(odds_ratio)
    first, last = max(0, bad - baseline), min(canary, bad)
    terms = (math.comb(canary, x) * math.comb(baseline, bad - x) * psi**x for x in range(first, last + 1))
    ratio = sum(terms, Fraction(0)) / math.comb(canary + baseline, bad)
    shift = ratio.numerator.bit_length() - ratio.denominator.bit_length()
    return math.log(ratio / Fraction(2) ** shift) + shift * math.log(2)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 120), st.integers(1, 300), st.data(), st.sampled_from(ODDS))
def test_the_normalizer_is_the_exact_sum(canary: int, baseline: int, data: st.DataObject, psi: float) -> None:
    """S equals the sum of exact fractions to 1e-11, whatever the table."""
    bad = data.draw(st.integers(0, canary + baseline))
    (found,) = hypergeometric.log_normalizers(canary, baseline, bad, (psi,))
    assert found == pytest.approx(exact(canary, baseline, bad, psi), rel=1e-13, abs=1e-11)


@pytest.mark.parametrize("psi", [2.0, 3.0, 10.0, 64.0])
@pytest.mark.parametrize(
    ("canary", "baseline", "bad"),
    [(800, 800, 600), (150, 3000, 700), (900, 400, 1000), (60, 9000, 400), (4000, 5000, 3000)],
)
def test_the_expansion_is_the_exact_sum(canary: int, baseline: int, bad: int, psi: float) -> None:
    """Around the variance at which it is used first, and beyond, S equals the sum of exact fractions to 1e-9."""
    (found,) = hypergeometric.log_normalizers(canary, baseline, bad, (psi,))
    assert found == pytest.approx(exact(canary, baseline, bad, psi), rel=1e-15, abs=1e-9)


@pytest.mark.parametrize("exponent", [7, 9, 12])
@pytest.mark.parametrize(("canary", "bad"), [(0.5, 0.5), (0.05, 0.2), (0.3, 1e-3)])
def test_large_tables_agree_with_laplace(exponent: int, canary: float, bad: float) -> None:
    """From 1e7 requests, where Laplace's formula is off by less than 1/events, S agrees to that and to rounding."""
    total = 10**exponent
    canary_total, events = round(total * canary), round(total * bad)
    for psi, found in zip(
        ODDS, hypergeometric.log_normalizers(canary_total, total - canary_total, events, ODDS), strict=True
    ):
        growth = total * hypergeometric.growth(canary, bad, psi)
        expected = growth - 0.5 * math.log(spread(canary, bad, psi) / spread(canary, bad, 1.0))
        assert found == pytest.approx(expected, abs=20.0 / events + 2e-15 * total)


def spread(share: float, rate: float, psi: float) -> float:
    """Variance per request of the sum of both arms' binomials at the odds where its mean is `rate`."""
    low, high = 0.0, 1e9
    for _ in range(200):
        odds = 0.5 * (low + high)
        mean = share * psi * odds / (1 + psi * odds) + (1 - share) * odds / (1 + odds)
        low, high = (odds, high) if mean < rate else (low, odds)
    return share * psi * odds / (1 + psi * odds) ** 2 + (1 - share) * odds / (1 + odds) ** 2


def mean_of_factors(gate: CountGate, canary: int, baseline: int, canary_rate: float, baseline_rate: float) -> float:
    """Expected E_harm of one interval, by enumerating both binomials."""
    total = 0.0
    for x, y in itertools.product(range(canary + 1), range(baseline + 1)):
        weight = math.comb(canary, x) * canary_rate**x * (1 - canary_rate) ** (canary - x)
        weight *= math.comb(baseline, y) * baseline_rate**y * (1 - baseline_rate) ** (baseline - y)
        total += weight * math.exp(log_e_harm(after([interval(x, canary, y, baseline)], gate), gate))
    return total


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("canary", "baseline"), [(1, 1), (3, 9), (8, 8)])
def test_the_expected_factor_of_equal_arms_is_one(canary: int, baseline: int, rate: float) -> None:
    """With equal rates E_harm has expectation 1 exactly, at every base rate: nothing is wasted."""
    assert mean_of_factors(FISHER, canary, baseline, rate, rate) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("harm_ratio", [1.0, 0.8])
@pytest.mark.parametrize("part", [1.0, 0.7, 0.2])
@pytest.mark.parametrize("rate", [0.05, 0.5, 0.95])
def test_the_expected_factor_is_at_most_one_on_the_null(harm_ratio: float, part: float, rate: float) -> None:
    """At a rate ratio of harm_ratio or less the expected E_harm never exceeds 1."""
    gate = CountGate(harm_ratio=harm_ratio, method="Fisher")
    assert mean_of_factors(gate, 5, 8, harm_ratio * part * rate, rate) <= 1.0 + 1e-12


def test_rare_events_weigh_alike_under_both_methods() -> None:
    """At a rate of 1 in 100,000 Fisher's factors are those of Poisson's to 1 in 1,000."""
    seen = [interval(9, 100_000, 12, 1_000_000), interval(14, 500_000, 4, 500_000)]
    pairs = zip(log_e_harm_grid(after(seen, FISHER), FISHER), log_e_harm_grid(after(seen), GATE), strict=True)
    assert all(fisher == pytest.approx(poisson, rel=1e-3, abs=2e-3) for fisher, poisson in pairs)


def test_safety_is_judged_alike_under_both_methods() -> None:
    """The method changes how harm is judged and nothing else."""
    seen = [interval(40, 100, 430, 1000), interval(200, 500, 260, 500)]
    assert log_e_safe(after(seen, FISHER), FISHER) == pytest.approx(log_e_safe(after(seen), GATE))


def test_evidence_of_fisher_survives_a_restart() -> None:
    """State round-trips bit for bit, and the two methods are two designs."""
    evidence = after([interval(40, 100, 430, 1000)], FISHER)
    assert from_state(FISHER, to_state(evidence)) == evidence
    with pytest.raises(ValueError, match="another design"):
        from_state(GATE, to_state(evidence))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.integers(0, 10**12)] * 4), min_size=1, max_size=3))
def test_every_table_up_to_a_million_million_is_finite(tables: list[tuple[int, int, int, int]]) -> None:
    """Any counts give a finite log e-value."""
    seen = [Interval(ArmCounts(a, a + b), ArmCounts(c, c + d)) for a, b, c, d in tables]
    assert math.isfinite(log_e_harm(after(seen, FISHER), FISHER))


@pytest.mark.parametrize("base", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_peeking_keeps_alpha_at_high_base_rates(share: float, base: float) -> None:
    """Two equal arms, 60 looks: rolled back in at most 5 % (99.9 % bound, 5,000 runs a cell)."""
    looks, rates = np.full(60, share), np.full(60, base)
    runs = vector_engine.draw(np.random.default_rng(1), 5000, 200, looks, rates, rates)
    hits = vector_engine.ever(vector_engine.log_e_harm(runs, FISHER), harm_threshold(1, 0.05))
    assert vector_engine.upper_bound(hits, 5000) <= 0.05


def test_power_is_restored_at_half() -> None:
    """50 % against 55 % bad, 24,000 requests: Fisher finds 99.9 % of 2,000 runs, Poisson not one in five."""
    looks, rates = np.full(60, 0.5), np.full(60, 0.5)
    runs = vector_engine.draw(np.random.default_rng(2), 2000, 400, looks, 1.1 * rates, rates)
    found = [vector_engine.ever(vector_engine.log_e_harm(runs, g), harm_threshold(1, 0.05)) for g in (FISHER, GATE)]
    assert found[0] >= 1998
    assert found[1] < 400


@pytest.mark.parametrize(("base", "ratio", "share"), [(0.5, 1.2, 0.5), (0.3, 1.5, 0.1), (0.1, 2.0, 0.5)])
def test_the_forecast_meets_the_simulated_mean(base: float, ratio: float, share: float) -> None:
    """The expected sample size of method Fisher is within 30 % of the mean over 2,000 runs."""
    forecast = requests_to_reject(FISHER, base, ratio, share, 1, 0.05)
    step, looks = max(20, round(forecast / 20)), 200
    rates = np.full(looks, base)
    runs = vector_engine.draw(np.random.default_rng(3), 2000, step, np.full(looks, share), rates * ratio, rates)
    mean = vector_engine.first(vector_engine.log_e_harm(runs, FISHER), math.log(20)).mean() * step
    assert mean == pytest.approx(forecast, rel=0.3)


def test_nothing_to_compare_is_never_forecast() -> None:
    """No errors, or nothing but errors, decide nothing."""
    assert requests_to_reject(FISHER, 0.0, 2.0, 0.5, 1, 0.05) == math.inf
    assert requests_to_reject(FISHER, 1.0, 2.0, 0.5, 1, 0.05) == math.inf


@pytest.mark.parametrize(
    ("bad", "total", "harm_ratio", "expected"),
    [
        (99, 1000, 1.0, "Poisson"),
        (100, 1000, 1.0, "Fisher"),
        (500, 1000, 1.01, "Poisson"),
        (500, 1000, 0.9, "Fisher"),
        (50, 99, 1.0, "Poisson"),
    ],
)
def test_the_method_follows_the_baselines_history(bad: int, total: int, harm_ratio: float, expected: str) -> None:
    """A tenth of a hundred requests or more, and a harm_ratio that has an odds ratio: Fisher."""
    assert method.choose(ArmCounts(bad, total), harm_ratio) == expected
