"""Group sequential mode: the stratified statistic, looks, outcomes, restarts and measured error rates."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from chaffinch_stats import ArmCounts, Interval, codec, group_sequential, spending
from chaffinch_stats.group_sequential import GroupEvidence, GroupGate, Outcome, look, score, update
from unit.stats import vector_engine
from unit.stats.builders import interval

GATE = GroupGate()
PLANNED = GATE.harm_information


def seen(*intervals: Interval, gate: GroupGate = GATE) -> GroupEvidence:
    """Evidence after the intervals, no look taken."""
    evidence = GroupEvidence.start(gate)
    for each in intervals:
        evidence = update(evidence, gate, each)
    return evidence


def events(canary: int, baseline: int) -> Interval:
    """Rare events in two equal arms: information is a quarter of their sum."""
    return interval(canary, 10**9, baseline, 10**9)


def test_the_statistic_is_cochran_mantel_haenszel() -> None:
    """At ratio 1 the stratified z is the root of statsmodels' formula of the CMH test, computed here by hand."""
    tables = [interval(12, 300, 70, 2700), interval(31, 1500, 22, 1500), interval(5, 40, 9, 60)]
    top = sum(t.canary.bad - t.canary.total * (t.canary.bad + t.baseline.bad) / total(t) for t in tables)
    variance = sum(
        float(stats.hypergeom(total(t), t.canary.bad + t.baseline.bad, t.canary.total).var()) for t in tables
    )
    assert seen(*tables).harm.z == pytest.approx(top / math.sqrt(variance), rel=1e-12)


def total(table: Interval) -> int:
    """Requests of both arms."""
    return table.canary.total + table.baseline.total


@pytest.mark.parametrize(("ratio", "base"), [(1.5, 0.01), (1.5, 0.3), (0.8, 0.5), (2.0, 0.2)])
def test_the_score_has_mean_nought_and_the_stated_variance(ratio: float, base: float) -> None:
    """At the ratio tested, mean 0 and variance 1 of z over 20,000 tables, within four standard errors."""
    rng = np.random.default_rng(1)
    canary, baseline = rng.binomial(400, ratio * base, 20_000).tolist(), rng.binomial(900, base, 20_000).tolist()
    scores = [score(interval(x, 400, y, 900), ratio) for x, y in zip(canary, baseline, strict=True)]
    z = np.array([u / math.sqrt(v) for u, v, _ in scores if v > 0])
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert z.var() == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("nothing", [interval(0, 0, 5, 100), interval(0, 9, 0, 9), interval(9, 9, 9, 9)])
def test_an_interval_without_information_scores_nothing(nothing: Interval) -> None:
    """One idle arm, no bad request, or no good one: nothing can be learnt."""
    assert score(nothing, 1.0) == (0.0, 0.0, 0.0)


def test_a_ramp_under_drift_is_no_evidence() -> None:
    """Equal rates in every interval give z = 0 though the pooled rates differ (Simpson's paradox)."""
    assert seen(interval(5, 1000, 45, 9000), interval(200, 5000, 200, 5000)).harm.z == pytest.approx(0.0, abs=1e-9)


def test_harm_is_called_at_the_boundary() -> None:
    """Half the information and a z over 2.5399's neighbour: Harm; with one event less excess: nothing yet."""
    half = round(2 * PLANNED)
    bound = spending.boundaries(0.05, [half / 4 / PLANNED], "OBrienFleming")[0]
    excess = math.ceil(bound * math.sqrt(half))
    worse = look(seen(events((half + excess) // 2 + 1, (half - excess) // 2)), GATE)
    better = look(seen(events((half + excess) // 2 - 2, (half - excess) // 2 + 2)), GATE)
    assert (worse.outcome, better.outcome) == (Outcome.HARM, Outcome.NONE)


def test_a_good_canary_is_called_safe() -> None:
    """Equal arms with all the information planned are Safe, and stay it."""
    evidence = look(seen(events(150, 150)), GATE)
    assert evidence.outcome is Outcome.SAFE
    assert look(update(evidence, GATE, events(900, 10)), GATE).outcome is Outcome.SAFE


def test_a_canary_in_between_stays_undecided() -> None:
    """Twenty-five percent more, all information used: neither Harm nor Safe, and later looks add nothing."""
    evidence = look(seen(events(137, 112)), GATE)
    assert evidence.outcome is Outcome.NONE
    assert len(look(update(evidence, GATE, events(100, 100)), GATE).harm.at) == len(evidence.harm.at)


def test_the_last_look_spends_what_is_left() -> None:
    """A look called last uses the plain quantile, though hardly any information came."""
    evidence = look(seen(events(30, 10)), GATE, last=True)
    assert evidence.harm.boundaries[-1] == pytest.approx(1.6449, abs=1e-4)
    assert evidence.outcome is Outcome.HARM


def test_the_last_planned_look_spends_what_is_left() -> None:
    """With one look planned it is the fixed-sample test, whatever the information."""
    gate = GroupGate(looks=1)
    assert look(seen(events(20, 10), gate=gate), gate).harm.boundaries == pytest.approx((1.6449,), abs=1e-4)


def test_a_look_without_news_is_passed_over() -> None:
    """Looking twice at the same evidence is one look."""
    once = look(seen(events(20, 20)), GATE)
    assert look(once, GATE) == once


def test_futility_is_reported_and_does_not_bind() -> None:
    """A canary with fewer errors soon leaves no hope of finding harm; without the option that is not said."""
    hopeful, gate = GroupGate(futility=True, margin_ratio=1.2), GroupGate(futility=False, margin_ratio=1.2)
    better = [events(30, 65)]
    evidence = look(seen(*better, gate=hopeful), hopeful)
    assert evidence.outcome is Outcome.FUTILE
    assert look(seen(*better, gate=gate), gate).outcome is Outcome.NONE
    later = look(update(evidence, hopeful, events(400, 40)), hopeful)
    assert later.outcome is Outcome.HARM


def test_futility_is_not_said_of_a_canary_that_looks_bad() -> None:
    """A canary with more errors leaves hope, and so does evidence without a look."""
    gate = GroupGate(futility=True, margin_ratio=1.2)
    assert look(seen(events(40, 30), gate=gate), gate).outcome is Outcome.NONE
    assert look(seen(gate=gate), gate).outcome is Outcome.NONE


def test_dispersion_divides_the_information() -> None:
    """With phi 4 the same counts carry a quarter of the information and half of the z."""
    gate = GroupGate(dispersion=4.0)
    plain, dispersed = seen(events(40, 20)).harm, seen(events(40, 20), gate=gate).harm
    assert dispersed.information == pytest.approx(plain.information / 4)
    assert dispersed.z == pytest.approx(plain.z / 2)
    assert GroupGate(dispersion=4.0).harm_information == GATE.harm_information


@pytest.mark.parametrize(("base", "share", "phi"), [(0.01, 0.5, 1.0), (0.01, 0.1, 2.0), (0.3, 0.3, 1.0)])
def test_the_requests_planned_end_both_tests(base: float, share: float, phi: float) -> None:
    """Equal arms with the requests planned have at least the information of both tests, and one of them just so."""
    gate = GroupGate(dispersion=phi, detect_ratio=1.4)
    requests = group_sequential.requests_planned(gate, base, share)
    canary, baseline = requests * share * 1000, requests * (1 - share) * 1000
    evidence = seen(interval(round(canary * base), round(canary), round(baseline * base), round(baseline)), gate=gate)
    parts = evidence.harm.information / gate.harm_information, evidence.safe.information / gate.safe_information
    assert min(parts) == pytest.approx(1000, rel=1e-3)


def test_without_errors_no_plan_ends() -> None:
    """A service without errors never gathers the information."""
    assert group_sequential.requests_planned(GATE, 0.0, 0.5) == math.inf


def test_evidence_survives_a_restart() -> None:
    """State round-trips bit for bit after no, one and twenty looks, in strings of under 1,300 bytes together."""
    evidence = GroupEvidence.start(GATE)
    for _ in range(21):
        state = group_sequential.to_state(evidence)
        assert group_sequential.from_state(GATE, state) == evidence
        assert sum(map(len, state)) < 1300
        evidence = look(update(evidence, GATE, events(6, 5)), GATE)


def test_a_damaged_state_is_refused() -> None:
    """Looks that do not fit the sums, another design, and evidence judged by another gate are refused."""
    state = group_sequential.to_state(look(seen(events(20, 20)), GATE))
    other = GroupGate(alpha=0.01)
    with pytest.raises(ValueError, match="another design"):
        group_sequential.from_state(other, state)
    with pytest.raises(ValueError, match="judged by a gate"):
        look(seen(), other)
    few = codec.encode("group/1", state[1], (1, 2, 3, 4, 0, 5, 0), (0.0,) * 6)
    with pytest.raises(ValueError, match="do not fit its sums"):
        group_sequential.from_state(GATE, few)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"looks": 0}, "looks must be 1 to 50, got 0"),
        ({"looks": 51}, "looks must be 1 to 50, got 51"),
        ({"alpha": 0.0}, "alpha must lie strictly"),
        ({"power": 0.05}, "power must exceed alpha and beta"),
        ({"harm_ratio": -1.0}, "harm_ratio must be a finite number above 0"),
        ({"margin_ratio": 1.0}, "margin_ratio must exceed 1 and harm_ratio"),
        ({"detect_ratio": 1.0}, "detect_ratio must exceed harm_ratio"),
        ({"detect_ratio": math.nan}, "detect_ratio must be a finite number"),
        ({"dispersion": 0.5}, "dispersion must be a finite number of at least 1"),
        ({"spending": "Linear"}, "spending must be OBrienFleming or Pocock"),
    ],
)
def test_a_group_gate_names_its_bad_field(fields: dict[str, Any], message: str) -> None:
    """Every field is checked by name."""
    with pytest.raises(ValueError, match=message):
        GroupGate(**fields)


@pytest.mark.parametrize("kind", ["OBrienFleming", "Pocock"])
@pytest.mark.parametrize(("share", "base"), [(0.5, 0.01), (0.1, 0.01), (0.05, 0.001), (0.5, 0.3)])
def test_twenty_looks_keep_alpha_and_power(kind: spending.Spending, share: float, base: float) -> None:
    """20 looks at 10,000 runs: at most 5.5 % false alarms, and at least 90 % of canaries 1.5 times as bad are found.

    A normal approximation has no exact bound; the share is what is claimed, with two standard errors.
    """
    gate = GroupGate(spending=kind)
    requests = vector_engine.requests_for(gate.harm_information, share, base, gate.looks)
    rates, looks = np.full(20, base), np.full(20, share)
    bounds = np.array(spending.boundaries(0.05, [k / 20 for k in range(1, 21)], kind))
    found = []
    for seed, ratio in enumerate((1.0, 1.5)):
        runs = vector_engine.draw(np.random.default_rng(seed), 10_000, requests, looks, ratio * rates, rates)
        found.append(float((vector_engine.group_z(runs) >= bounds).any(axis=1).mean()))
    assert found[0] <= 0.055
    assert found[1] >= 0.9


def test_engines_agree_on_z() -> None:
    """The numpy engine's z, skewness taken out, is the package's, look by look."""
    runs = vector_engine.draw(
        np.random.default_rng(4), 3, 500, np.array([0.1, 0.3, 0.5]), np.full(3, 0.06), np.full(3, 0.05)
    )
    z = vector_engine.group_z(runs)
    for run in range(3):
        evidence = GroupEvidence.start(GATE)
        for at in range(3):
            canary = ArmCounts(int(runs.canary_bad[run, at]), int(runs.canary_total[at]))
            baseline = ArmCounts(int(runs.baseline_bad[run, at]), int(runs.baseline_total[at]))
            evidence = update(evidence, GATE, Interval(canary, baseline))
            assert evidence.harm.normal_z == pytest.approx(z[run, at], rel=1e-9)


def test_skewness_is_taken_out_of_both_sides() -> None:
    """The cube root turns a skewed z into the normal deviate of its gamma tail; without skewness it changes nothing."""
    skew = 0.5
    test = group_sequential.Side(score=2.4, information=1.0, third=skew)
    tail = stats.gamma(4 / skew**2, loc=-2 / skew, scale=skew / 2).sf(2.4)
    assert stats.norm.sf(test.normal_z) == pytest.approx(tail, rel=0.02)
    turned = group_sequential.Side(score=-2.4, information=1.0, third=-skew)
    assert turned.normal_z == pytest.approx(-test.normal_z)
    assert group_sequential.Side(score=2.4, information=1.0).normal_z == 2.4
    assert group_sequential.Side(score=-9.0, information=1.0, third=skew).normal_z < -10
