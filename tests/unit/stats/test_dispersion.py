"""Dispersion from A/A history: the reference's figures, memory, short histories."""

import math

import numpy as np
import pytest

from chaffinch_stats import ArmCounts, CountGate, Interval, dispersion, harm_threshold
from unit.stats import vector_engine
from unit.stats.builders import interval
from unit.stats.noise import history, lognormal

REQUESTS, RATE = 1000, 0.01


def measured(sigma: float, memory: float, block: int, intervals: int = 40_000) -> float:
    """Blocked dispersion of one long history of equal arms with noise of their own."""
    return dispersion.blocked(history(np.random.default_rng(1), intervals, sigma, memory), block)


@pytest.mark.parametrize(("sigma", "expected"), [(0.2, 1.37), (0.3, 1.81), (0.5, 3.12)])
def test_independent_noise_has_the_references_dispersion(sigma: float, expected: float) -> None:
    """Log-normal noise a minute in each arm at 1,000 requests and 1 %: the published phi within 3 %."""
    assert measured(sigma, 0.0, 1) == pytest.approx(expected, rel=0.03)


def test_slow_noise_has_the_references_dispersion() -> None:
    """AR(0.8), sigma 0.3, blocks of ten minutes: the published 5.8 within 3 %."""
    assert measured(0.3, 0.8, 10, intervals=100_000) == pytest.approx(5.8, rel=0.03)


def test_equal_exposure_is_the_plain_formula() -> None:
    """With equal traffic it is the mean of (x_c-x_b)^2/(x_c+x_b)."""
    pairs = [(3, 5), (9, 2), (4, 4), (0, 7)]
    seen = [interval(a, 500, b, 500) for a, b in pairs]
    plain = sum((a - b) ** 2 / (a + b) for a, b in pairs) / len(pairs)
    assert dispersion.blocked(seen, 1) == pytest.approx(plain)


@pytest.mark.parametrize(("method", "rate"), [("Poisson", 0.01), ("Fisher", 0.01), ("Fisher", 0.5)])
def test_pure_chance_has_a_dispersion_of_one(method: str, rate: float) -> None:
    """Independent requests at uneven, changing shares: phi 1 within 5 %, at high rates with the variance of a table."""
    rng = np.random.default_rng(2)
    canary, baseline = rng.integers(100, 400, 8000), rng.integers(1000, 3000, 8000)
    bad = rng.binomial(canary, rate), rng.binomial(baseline, rate)
    rows = zip(bad[0].tolist(), canary.tolist(), bad[1].tolist(), baseline.tolist(), strict=True)
    assert dispersion.blocked([interval(*row) for row in rows], 4, method) == pytest.approx(1.0, abs=0.05)  # type: ignore[arg-type]


@pytest.mark.parametrize(("memory", "low", "high"), [(0.0, 1.0, 1.3), (0.8, 4.0, 6.0), (0.95, 12.0, 24.0)])
def test_memory_sets_the_block(memory: float, low: float, high: float) -> None:
    """The autocorrelation time is found in a long history and a block is three of them."""
    found = dispersion.estimate(history(np.random.default_rng(3), 20_000, 0.3, memory))
    assert low <= found.autocorrelation_intervals <= high
    assert found.block_intervals == math.ceil(3 * found.autocorrelation_intervals)
    assert found.sufficient


def test_the_allowance_shrinks_with_history() -> None:
    """A long history gives the measured phi, a short one some more."""
    short, long = (dispersion.estimate(history(np.random.default_rng(4), n, 0.3, 0.0)) for n in (120, 20_000))
    assert 1.05 < short.phi / short.measured < 1.25
    assert long.phi / long.measured == pytest.approx(1.0, abs=0.02)


def test_a_short_history_is_not_sufficient() -> None:
    """Less than sixty intervals, or a bias that outlasts every block, is said; phi is given all the same."""
    brief = dispersion.estimate(history(np.random.default_rng(5), 59, 0.0, 0.0))
    slow = dispersion.estimate([interval(20, 1000, 10, 1000)] * 120)
    assert not brief.sufficient
    assert not slow.sufficient
    assert slow.block_intervals == 10
    assert slow.autocorrelation_intervals > 10


@pytest.mark.parametrize(
    "nothing", [[], [interval(0, 10, 0, 10)] * 200, [interval(5, 5, 5, 5)] * 200, [interval(0, 0, 1, 9)] * 200]
)
def test_a_history_without_events_says_nothing(nothing: list[Interval]) -> None:
    """No interval from which the arms' difference could be seen: phi 1, not sufficient."""
    found = dispersion.estimate(nothing)
    assert (found.phi, found.blocks, found.sufficient) == (1.0, 0, False)
    assert dispersion.blocked(nothing, 1) == 1.0


def test_perfectly_equal_arms_have_the_least_dispersion() -> None:
    """Arms that never differ have no autocorrelation, and phi is never below 1."""
    found = dispersion.estimate([interval(5, 100, 5, 100)] * 100)
    assert (found.phi, found.measured, found.autocorrelation_intervals) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("block", [0, 101])
def test_a_block_fits_into_its_history(block: int) -> None:
    """Blocks of nothing, or longer than the history, are refused."""
    with pytest.raises(ValueError, match="block_intervals must be 1 to 100"):
        dispersion.blocked([interval(5, 100, 6, 100)] * 100, block)


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "memory"), [(0.3, 0.0), (0.5, 0.0), (0.3, 0.8)])
def test_two_hours_of_history_restore_alpha(sigma: float, memory: float) -> None:
    """Phi from 120 minutes of A/A, then 60 looks: at most 5 % of 2,000 equal canaries, 95 % of doublings (G5)."""
    rng = np.random.default_rng(6)
    phi = np.array([dispersion.estimate(history(rng, 120, sigma, memory)).phi for _ in range(2000)])
    shares = []
    for ratio in (1.0, 2.0):
        noise = [lognormal(rng, (2000, 60), sigma, memory) for _ in range(2)]
        runs = vector_engine.draw(
            rng, 2000, 2 * REQUESTS, np.full(60, 0.5), np.minimum(1, ratio * RATE * noise[0]), RATE * noise[1]
        )
        gate = CountGate()
        logs = vector_engine.log_factors(runs, np.array(gate.harm_grid), 1.0) / phi[:, None, None]
        shares.append(vector_engine.ever(vector_engine.log_mean(logs), harm_threshold(1, 0.05)) / 2000)
    assert shares[0] <= 0.05
    assert shares[1] >= 0.95


def one_arm(sigma: float, memory: float, intervals: int, seed: int = 7) -> list[ArmCounts | None]:
    """One arm of such a history."""
    return [seen.canary for seen in history(np.random.default_rng(seed), intervals, sigma, memory)]


def test_one_arm_of_pure_chance_is_hardly_tempered() -> None:
    """The largest of several measured variances is a little above one."""
    assert 1.0 <= dispersion.from_one_arm(one_arm(0.0, 0.0, 240)).phi < 1.9


@pytest.mark.parametrize(("sigma", "least"), [(0.2, 1.37), (0.3, 1.81), (0.5, 3.12)])
def test_noise_without_memory_is_seen_in_one_arm(sigma: float, least: float) -> None:
    """A long history of one arm shows at least the phi of two, less sampling error of 5 %."""
    found = dispersion.from_one_arm(one_arm(sigma, 0.0, 4_000))
    assert found.sufficient
    assert found.phi >= 0.95 * least


def test_a_base_rate_that_climbs_along_a_line_is_no_noise() -> None:
    """What a block has more than the one before, the one after has more than it; a jump counts as noise."""
    climbing: list[ArmCounts | None] = [ArmCounts(10 + k, 1000) for k in range(240)]
    jumping: list[ArmCounts | None] = [ArmCounts(10 if k < 120 else 30, 1000) for k in range(240)]
    assert dispersion.from_one_arm(climbing).phi == 1.0
    assert dispersion.from_one_arm(jumping).phi > 3.0


def test_three_blocks_are_two_arms() -> None:
    """The first and last block against the middle one, one left out on either side, by the formula of two arms."""
    bad = [3, 8, 12, 5, 9, 20, 7, 6, 11, 4, 10, 13, 2]
    arms = [interval(bad[k] + bad[k + 4], 1000, bad[k + 2], 500) for k in range(9)]
    found = dispersion.from_one_arm([ArmCounts(k, 500) for k in bad])
    assert (found.block_intervals, found.blocks) == (1, 9)
    assert found.measured == pytest.approx(dispersion.blocked(arms, 1))


def test_a_triple_with_a_gap_is_no_triple() -> None:
    """What was not seen is neither nothing nor joined with what came after; between blocks it does not matter."""
    arm = ArmCounts(10, 1000)
    every_third = dispersion.from_one_arm([arm, None, None] * 240)
    assert (every_third.intervals, every_third.blocks, every_third.sufficient) == (240, 0, False)
    assert dispersion.from_one_arm([arm, None] * 240).block_intervals == 1
    halves: list[ArmCounts | None] = [*[arm] * 40, *[None] * 5, *[ArmCounts(40, 1000)] * 40]
    assert dispersion.from_one_arm(halves).measured == 0.0


@pytest.mark.parametrize("steps", [0, 1, 13, 60])
def test_a_short_history_of_one_arm_is_not_sufficient(steps: int) -> None:
    """Sixty triples with events that do not overlap it must be."""
    found = dispersion.from_one_arm(one_arm(0.3, 0.0, steps))
    assert not found.sufficient
    assert found.phi >= 1.0
