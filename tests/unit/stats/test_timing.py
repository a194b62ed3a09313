"""How long tests take: the same evidence as the tests themselves, Wald's mean, and a distribution around it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chaffinch_stats import (
    ArmCounts,
    CountEvidence,
    CountGate,
    RateGate,
    counts,
    group_sequential,
    group_timing,
    planning,
    races,
    timing,
)
from chaffinch_stats.group_sequential import GroupGate
from chaffinch_stats.races import Race, Stage, Truth
from chaffinch_stats.timing import Delays
from unit.stats.builders import interval

GOAL = math.log(40)
ARMS = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def stage(share: float = 0.5, per_second: float = 100.0, seconds: float = 0.0, blind: float = 0.0) -> Stage:
    """A stage by its share."""
    return Stage(per_second * share, per_second * (1 - share), seconds, blind)


def chance(seed: int = 1) -> timing.Bytes:
    """Randomness that is the same in every run of the tests."""
    return random.Random(seed).randbytes


def harm(
    gate: CountGate,
    stages: list[Stage],
    ratio: float = 2.0,
    base: float = 0.01,
    seed: int = 1,
    every: float = 30.0,
    runs: int = 400,
) -> Delays:
    """When harm is found."""
    truth = Truth.of_ratio(base, ratio)
    return timing.delays(races.count_harm(gate, GOAL, stages, truth), stages, truth, every, chance(seed), runs)


def _log_e(race: Race, stage: int, bad: tuple[int, int], seconds: float) -> float:
    """Log e-value of a race after counts of one stage."""
    logs = [
        weight + (s.on_canary * bad[0] + s.on_baseline * bad[1] + s.per_second * seconds) / race.dispersion
        for weight, s in zip(race.log_weights, race.slopes[stage], strict=True)
    ]
    peak = max(logs)
    return peak + math.log(math.fsum(math.exp(v - peak) for v in logs))


@given(totals=ARMS, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), phi=st.floats(1, 4))
def test_a_race_is_the_test_it_stands_for(totals: tuple[int, int], shares: tuple[float, float], phi: float) -> None:
    """Harm and safety, with safeBelow: the e-values of the package on the same counts."""
    bad = tuple(int(n * share) for n, share in zip(totals, shares, strict=True))
    gate = CountGate(dispersion=phi, safe_below=0.01)
    one = Stage(float(totals[0]), float(totals[1]), 1.0)
    evidence = counts.update(CountEvidence.start(gate), gate, interval(bad[0], totals[0], bad[1], totals[1]))
    race = races.count_harm(gate, GOAL, [one], Truth(0.01, 0.01))
    assert _log_e(race, 0, (bad[0], bad[1]), 1.0) == pytest.approx(counts.log_e_harm(evidence, gate), abs=1e-6)
    race = races.count_safe(gate, GOAL, [one])
    assert _log_e(race, 0, (bad[0], bad[1]), 1.0) == pytest.approx(counts.log_e_safe(evidence, gate), abs=1e-6)


WALD: dict[str, tuple[Callable[[Stage, Truth], Race], Callable[[], float]]] = {
    "harm": (
        lambda s, t: races.count_harm(CountGate(), GOAL, [s], t),
        lambda: planning.requests_to_reject(CountGate(), 0.01, 2.0, 0.5, 2, 0.05),
    ),
    "harm by Fisher": (
        lambda s, t: races.count_harm(CountGate(method="Fisher"), GOAL, [s], t),
        lambda: planning.requests_to_reject(CountGate(method="Fisher"), 0.01, 2.0, 0.5, 2, 0.05),
    ),
    "an absolute rate": (
        lambda s, _: races.rate_harm(RateGate(0.01), GOAL, [s]),
        lambda: 2 * planning.rate_requests_to_reject(RateGate(0.01), 0.02, 2, 0.05),
    ),
    "a safe rate": (
        lambda s, _: races.rate_safe(RateGate(0.04), math.log(20), [s]),
        lambda: 2 * planning.rate_requests_to_pass(RateGate(0.04), 0.02, 0.05),
    ),
}


@pytest.mark.parametrize("name", WALD)
def test_one_stage_takes_the_requests_of_the_planner(name: str) -> None:
    """Wald's mean over one weight is `planning`'s number of requests over the traffic."""
    race_of, requests = WALD[name]
    one, truth = stage(), Truth.of_ratio(0.01, 2.0)
    assert timing.expected(race_of(one, truth), [one], truth) == pytest.approx(requests() / 100.0, rel=1e-4)


@given(cut=st.floats(1, 300), blind=st.floats(0, 60))
def test_a_stage_cut_in_two_takes_as_long(cut: float, blind: float) -> None:
    """Evidence goes on where the weight does not change; blind time at the beginning is added."""
    gate, truth = CountGate(), Truth.of_ratio(0.01, 2.0)
    whole, parts = [stage(blind=blind)], [stage(seconds=blind + cut, blind=blind), stage()]
    times = [timing.expected(races.count_harm(gate, GOAL, s, truth), s, truth) for s in (whole, parts)]
    assert times[0] == pytest.approx(times[1])
    assert times[0] >= blind


def test_the_mean_of_the_runs_is_near_walds() -> None:
    """Which ignores the overshoot, and that a mixture is faster than its best part."""
    gate, truth = CountGate(), Truth.of_ratio(0.01, 1.5)
    wald = timing.expected(races.count_harm(gate, GOAL, [stage()], truth), [stage()], truth)
    found = harm(gate, [stage()], 1.5)
    assert found.mean == pytest.approx(wald, rel=0.12)
    assert found.quantile(0.5) < found.mean < found.quantile(0.9)


def test_one_seed_gives_one_answer() -> None:
    """Another seed gives one that is near."""
    assert harm(CountGate(), [stage()]) == harm(CountGate(), [stage()])
    other = harm(CountGate(), [stage()], seed=2)
    assert other != harm(CountGate(), [stage()])
    assert other.quantile(0.5) == pytest.approx(harm(CountGate(), [stage()]).quantile(0.5), rel=0.25)


@settings(deadline=None, max_examples=8)
@given(factor=st.floats(1.5, 4))
def test_dispersion_takes_as_much_more_time_as_traffic(factor: float) -> None:
    """Tempered by phi, under counts of phi times the variance: as with 1/phi of the requests."""
    tempered = harm(CountGate(dispersion=factor), [stage(per_second=100 * factor)], every=1.0, runs=150)
    plain = harm(CountGate(), [stage(per_second=100)], every=1.0, runs=150)
    assert tempered.quantile(0.5) == pytest.approx(plain.quantile(0.5), rel=0.02)


@settings(deadline=None, max_examples=15)
@given(
    base=st.floats(0.0001, 0.3), ratio=st.floats(1.2, 6), share=st.floats(0.01, 0.5), per_second=st.floats(0.1, 1000)
)
def test_times_are_times(base: float, ratio: float, share: float, per_second: float) -> None:
    """Positive, rising in the level, none before the first interval's end, at every traffic and rate."""
    found = harm(CountGate(), [stage(share, per_second, 120, 20), stage(0.5, per_second, 0, 20)], ratio, base, runs=60)
    low, middle, high = (found.quantile(level) for level in (0.1, 0.5, 0.9))
    assert 50.0 <= low <= middle <= high
    assert found.by(middle) >= 0.5


def test_what_never_happens_takes_for_ever() -> None:
    """A canary like stable is not caught; no traffic, no evidence."""
    for found in (harm(CountGate(), [stage()], 1.0), harm(CountGate(), [Stage(0.0, 100.0, 0.0)])):
        assert (found.decided, found.mean, found.quantile(0.5)) == (0.0, math.inf, math.inf)
    assert harm(CountGate(), [stage()], base=0.0).decided == 0.0


def test_a_share_is_decided_when_it_is_decided() -> None:
    """Quantiles count the runs that never end; the mean leaves them out."""
    found = Delays((10.0, 20.0, 30.0, math.inf))
    assert (found.decided, found.mean) == (0.75, 20.0)
    assert [found.quantile(level) for level in (0.25, 0.5, 0.75, 0.9)] == [10.0, 20.0, 30.0, math.inf]
    assert (found.by(20.0), found.by(5.0)) == (0.5, 0.0)
    assert (Delays(()).quantile(0.5), Delays(()).decided) == (math.inf, 0.0)


@settings(deadline=None, max_examples=30)
@given(trials=st.integers(1, 200_000), rate=st.floats(0.0001, 0.9999))
def test_quantiles_are_those_of_the_binomial_distribution(trials: int, rate: float) -> None:
    """Mean and spread, from one request to hundreds of thousands, rare and frequent."""
    values = timing.quantiles(float(trials), rate)
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    truth = stats.binom(trials, rate)
    assert mean == pytest.approx(trials * rate, abs=0.02 * truth.std() + 0.001)
    assert spread == pytest.approx(truth.std(), rel=0.04, abs=0.025)
    assert all(0.0 <= v <= trials + 6 * truth.std() for v in values)
    assert list(values) == sorted(values)


@pytest.mark.parametrize("field", ["canary", "baseline", "seconds", "blind_seconds"])
def test_a_stage_is_refused_by_name(field: str) -> None:
    """Negative or endless traffic makes no sense."""
    for value in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=field):
            replace(stage(), **{field: value})


def test_the_planned_power_is_what_the_plan_gives() -> None:
    """GroupSequential finds its harm in nine of ten runs, and passes an equal canary in nine of ten."""
    gate = GroupGate(looks=10)
    planned = group_sequential.requests_planned(gate, 0.01, 0.5)
    found, _ = group_timing.delays(gate, [stage()], Truth.of_ratio(0.01, 1.5), 10.0, chance(), 400)
    false_alarm, safe = group_timing.delays(gate, [stage()], Truth(0.01, 0.01), 10.0, chance(), 400)
    assert found.decided == pytest.approx(0.9, abs=0.06)
    assert safe.decided == pytest.approx(0.9, abs=0.06)
    assert false_alarm.decided < 0.1
    assert max(t for t in safe.sorted_seconds if math.isfinite(t)) <= planned / 100 + 10


def test_a_plan_without_end_or_traffic_decides_nothing() -> None:
    """No bad requests, so no number of requests is enough; or no requests at all."""
    for truth, stages in ((Truth(0.0, 0.0), [stage()]), (Truth(0.1, 0.1), [Stage(0.0, 0.0, 10.0)])):
        harmful, safe = group_timing.delays(GroupGate(), stages, truth, 10.0, chance(), 10)
        assert (harmful.decided, safe.decided) == (0.0, 0.0)


@given(totals=ARMS, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_score_of_counts_is_the_score_of_the_interval(totals: tuple[int, int], shares: tuple[float, float]) -> None:
    """The same formula for whole and for expected counts."""
    bad = tuple(int(n * share) for n, share in zip(totals, shares, strict=True))
    whole = group_sequential.score(interval(bad[0], totals[0], bad[1], totals[1]), 1.5)
    assert group_sequential.score_of((bad[0], totals[0]), (bad[1], totals[1]), 1.5) == whole
    assert ArmCounts(bad[0], totals[0]).total == totals[0]
