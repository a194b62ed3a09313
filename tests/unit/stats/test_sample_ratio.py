"""The traffic split against its intended share, stage by stage."""

import math

import numpy as np
import pytest

from chaffinch_stats import SPLIT_ALPHA, SplitEvidence, multinomial, sample_ratio
from chaffinch_stats.sample_ratio import LOG_CONTRADICTION
from unit.stats import vector_engine

LOOKS = 60
RUNS = 20_000


def stages(*seen: tuple[int, int, float]) -> SplitEvidence:
    """Evidence after (canary, baseline, share) updates."""
    evidence = SplitEvidence.start()
    for canary, baseline, share in seen:
        evidence = sample_ratio.update(evidence, canary, baseline, share)
    return evidence


def test_nothing_seen_is_no_evidence() -> None:
    """Before any request the e-value and the p-value are 1, and the implied share is unknown."""
    for evidence in (SplitEvidence.start(), stages((0, 0, 0.1))):
        assert (sample_ratio.log_e(evidence), sample_ratio.p_value(evidence)) == pytest.approx((0.0, 1.0))
        assert math.isnan(sample_ratio.implied_share(evidence))


def test_updates_of_one_stage_add_up() -> None:
    """Two updates at one share weigh as much as their sum."""
    split, whole = stages((40, 500, 0.1), (70, 400, 0.1)), stages((110, 900, 0.1))
    assert sample_ratio.log_e(split) == sample_ratio.log_e(whole)
    assert sample_ratio.implied_share(split) == pytest.approx(110 / 1010)


def test_stages_of_different_shares_multiply() -> None:
    """A ramp's evidence is the sum of its stages' log Bayes factors, each against its own share."""
    ramp = stages((60, 900, 0.05), (130, 900, 0.1), (500, 500, 0.5))
    parts = [stages((60, 900, 0.05)), stages((130, 900, 0.1)), stages((500, 500, 0.5))]
    assert sample_ratio.log_e(ramp) == pytest.approx(sum(map(sample_ratio.log_e, parts)))


def test_the_stage_is_a_beta_binomial_bayes_factor() -> None:
    """A stage equals the two-category multinomial test of Lindon and Malek with concentration 100."""
    expected = multinomial.log_bayes_factor((150, 850), (0.1, 0.9), 100.0)
    assert sample_ratio.log_e(stages((150, 850, 0.1))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("canary", "baseline", "share", "expected"),
    [(0, 500, 0.0, 0.0), (500, 0, 1.0, 0.0), (1, 500, 0.0, LOG_CONTRADICTION), (500, 1, 1.0, LOG_CONTRADICTION)],
)
def test_shares_of_nothing_and_all(canary: int, baseline: int, share: float, expected: float) -> None:
    """A share of 0 or 1 teaches nothing, unless a request contradicts it: then the evidence is overwhelming, finite."""
    evidence = stages((canary, baseline, share))
    assert sample_ratio.log_e(evidence) == expected
    assert sample_ratio.p_value(evidence) == math.exp(-expected)


def test_a_mismatch_once_found_stays_found() -> None:
    """The p-value keeps the strongest evidence although a later stage splits as intended."""
    found = stages((200, 800, 0.1))
    later = sample_ratio.update(found, 50_000, 50_000, 0.5)
    assert sample_ratio.log_e(later) < sample_ratio.log_e(found)
    assert sample_ratio.p_value(later) == sample_ratio.p_value(found) < SPLIT_ALPHA


@pytest.mark.parametrize(
    ("canary", "share", "error", "message"),
    [
        (-1, 0.1, ValueError, "canary must not be negative"),
        (1.5, 0.1, TypeError, "canary must be an integer"),
        (1, 1.1, ValueError, "canary_share must lie between 0 and 1"),
        (1, math.nan, ValueError, "canary_share must lie between 0 and 1"),
    ],
)
def test_splits_that_make_no_sense_are_refused(canary: int, share: float, error: type[Exception], message: str) -> None:
    """Counts and shares are checked by name."""
    with pytest.raises(error, match=message):
        sample_ratio.update(SplitEvidence.start(), canary, 0, share)


def test_counts_up_to_a_million_million_stay_finite() -> None:
    """A split of 1e12 requests gives a finite logarithm."""
    assert math.isfinite(sample_ratio.log_e(stages((10**12, 10**12, 0.1))))


def splits(share: float, requests: int, looks: int, runs: int) -> tuple[vector_engine.Integers, vector_engine.Integers]:
    """Canary requests (runs, looks) of totals (looks,) at a true share."""
    total = np.full(looks, requests)
    return np.random.default_rng(9).binomial(total, share, size=(runs, looks)), total


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.5])
def test_a_split_as_intended_rarely_alarms(share: float) -> None:
    """60 looks at a correct split alarm in at most 0.1 % of runs (99.9 % bound, 20,000 runs)."""
    canary, total = splits(share, 1000, LOOKS, RUNS)
    alarms = vector_engine.ever(vector_engine.split_log_e(canary, total, share), -math.log(SPLIT_ALPHA))
    assert vector_engine.upper_bound(alarms, RUNS) <= SPLIT_ALPHA


def test_a_ramp_as_intended_rarely_alarms() -> None:
    """A ramp 5, 10, 25, 50 % of 15 looks each alarms in at most 0.1 % of runs, over the product of its stages."""
    rng, total, banked, worst = np.random.default_rng(8), np.full(15, 1000), np.zeros((RUNS, 1)), np.zeros(RUNS)
    for share in (0.05, 0.1, 0.25, 0.5):
        logs = banked + vector_engine.split_log_e(rng.binomial(total, share, size=(RUNS, 15)), total, share)
        banked, worst = logs[:, -1:], np.maximum(worst, logs.max(axis=1))
    assert (worst >= -math.log(SPLIT_ALPHA)).sum() <= RUNS * SPLIT_ALPHA


@pytest.mark.parametrize(("true_share", "published_median"), [(0.09, 14_800), (0.08, 3_600), (0.05, 600)])
def test_a_mismatch_is_found_as_fast_as_the_reference(true_share: float, published_median: int) -> None:
    """Against an intended 10 %, the median number of requests to find it is within 15 % of the reference's."""
    canary, total = splits(true_share, 100, 1000, 1500)
    looks = vector_engine.first(vector_engine.split_log_e(canary, total, 0.1), -math.log(SPLIT_ALPHA))
    assert float(np.median(looks)) * 100 == pytest.approx(published_median, rel=0.15)
