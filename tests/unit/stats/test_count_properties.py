"""What must hold for every sequence of counts, not only for plausible ones."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chaffinch_stats import (
    ArmCounts,
    CountEvidence,
    CountGate,
    Interval,
    confidence_sequence,
    log_e_harm,
    log_e_harm_grid,
    log_e_safe,
    log_e_safe_grid,
    log_e_safe_rate,
    p_value,
    ratio,
    update,
)
from unit.stats.builders import GATE, after, interval

RATE_GATE = CountGate(safe_below=0.01)
quick = settings(deadline=None, max_examples=60)


@st.composite
def arms(draw: st.DrawFn, largest: int = 100_000, least: int = 0) -> ArmCounts:
    """Counts of one arm, errors anywhere between none and all."""
    total = draw(st.integers(least, largest))
    return ArmCounts(draw(st.integers(0, total)), total)


@st.composite
def intervals(draw: st.DrawFn, largest: int = 100_000, least: int = 0) -> Interval:
    """Counts of both arms."""
    return Interval(draw(arms(largest, least)), draw(arms(largest, least)))


def close(left: float, right: float, scale: int) -> bool:
    """Equal to 1e-9, or to double rounding of sums over `scale` events where that is coarser."""
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9 + 2e-15 * scale)


def logs(evidence: CountEvidence, gate: CountGate) -> tuple[float, ...]:
    """Both e-values and every part of them."""
    return (
        log_e_harm(evidence, gate),
        log_e_safe(evidence, gate),
        *log_e_harm_grid(evidence, gate),
        *log_e_safe_grid(evidence, gate),
    )


@quick
@given(arms(least=1), arms(least=1), st.data())
def test_splitting_an_interval_changes_nothing(canary: ArmCounts, baseline: ArmCounts, data: st.DataObject) -> None:
    """Two intervals of one traffic share weigh exactly as much as their sum."""
    doubled = interval(canary.bad * 2, canary.total * 2, baseline.bad * 2, baseline.total * 2)
    first_canary = data.draw(st.integers(max(0, 2 * canary.bad - canary.total), min(2 * canary.bad, canary.total)))
    first_baseline = data.draw(
        st.integers(max(0, 2 * baseline.bad - baseline.total), min(2 * baseline.bad, baseline.total))
    )
    halves = (
        interval(first_canary, canary.total, first_baseline, baseline.total),
        interval(2 * canary.bad - first_canary, canary.total, 2 * baseline.bad - first_baseline, baseline.total),
    )
    scale = 2 * (canary.bad + baseline.bad)
    whole, parts = after([doubled], RATE_GATE), after(halves, RATE_GATE)
    assert all(close(a, b, scale) for a, b in zip(logs(whole, RATE_GATE), logs(parts, RATE_GATE), strict=True))


@quick
@given(st.lists(intervals(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_intervals_does_not_matter(seen: list[Interval], random: object) -> None:
    """Evidence is a sum: any order of the same intervals gives the same e-values and totals."""
    shuffled = list(seen)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = after(seen, RATE_GATE), after(shuffled, RATE_GATE)
    assert (one.canary, one.baseline, one.paired) == (other.canary, other.baseline, other.paired)
    scale = one.canary.bad + one.baseline.bad
    assert all(close(a, b, scale) for a, b in zip(logs(one, RATE_GATE), logs(other, RATE_GATE), strict=True))


@quick
@given(st.lists(intervals(1000, least=1), max_size=5), intervals(1000, least=1))
def test_one_more_bad_canary_request_is_never_evidence_of_safety(seen: list[Interval], last: Interval) -> None:
    """Turning a good canary request bad raises E_harm and lowers E_safe; turning a baseline one does the reverse."""
    if last.canary.bad == last.canary.total or last.baseline.bad == last.baseline.total:
        return
    worse_canary = Interval(ArmCounts(last.canary.bad + 1, last.canary.total), last.baseline)
    worse_baseline = Interval(last.canary, ArmCounts(last.baseline.bad + 1, last.baseline.total))
    plain = after([*seen, last], RATE_GATE)
    canary, baseline = after([*seen, worse_canary], RATE_GATE), after([*seen, worse_baseline], RATE_GATE)
    assert log_e_harm(canary, RATE_GATE) >= log_e_harm(plain, RATE_GATE) >= log_e_harm(baseline, RATE_GATE)
    assert log_e_safe(canary, RATE_GATE) <= log_e_safe(plain, RATE_GATE) <= log_e_safe(baseline, RATE_GATE)


@quick
@given(st.lists(intervals(10**12), min_size=1, max_size=4))
@example([Interval(ArmCounts(78_782, 2_535_213), ArmCounts(0, 29_158_678_001))])
def test_every_result_is_finite_up_to_a_million_million(seen: list[Interval]) -> None:
    """Counts from 0 to 1e12 give finite logarithms, a p-value in [0, 1] and ordered limits."""
    evidence = after(seen, RATE_GATE)
    assert all(map(math.isfinite, logs(evidence, RATE_GATE)))
    assert 0.0 <= p_value(evidence) <= 1.0
    lower, upper = confidence_sequence(evidence, RATE_GATE, 0.05)
    assert 0.0 <= lower < upper


@quick
@given(arms(10**6), st.booleans())
def test_an_interval_with_an_idle_arm_moves_totals_only(busy: ArmCounts, canary_idle: bool) -> None:
    """With traffic in one arm only, e-values, p-value and estimate stay, and the totals still add up."""
    before = after([interval(7, 300, 9, 900)], RATE_GATE)
    idle = ArmCounts(0, 0)
    evidence = update(before, RATE_GATE, Interval(idle, busy) if canary_idle else Interval(busy, idle))
    assert logs(evidence, RATE_GATE) == logs(before, RATE_GATE)
    assert (p_value(evidence), ratio(evidence)) == (p_value(before), ratio(before))
    assert evidence.canary + evidence.baseline == before.canary + before.baseline + busy


@quick
@given(st.lists(intervals(), max_size=8))
def test_the_p_value_never_rises(seen: list[Interval]) -> None:
    """The always-valid p-value only falls, and is the inverse of the largest e-value so far."""
    evidence, largest = CountEvidence.start(GATE), 0.0
    for each in seen:
        before = p_value(evidence)
        evidence = update(evidence, GATE, each)
        largest = max(largest, log_e_harm(evidence, GATE))
        assert p_value(evidence) <= before
    assert p_value(evidence) == pytest.approx(math.exp(-largest))


@quick
@given(st.lists(intervals(), max_size=4), st.floats(1.0, 50.0))
def test_tempering_divides_every_log_factor(seen: list[Interval], dispersion: float) -> None:
    """A gate with dispersion phi has 1/phi of the log factors of the same gate without."""
    gate = CountGate(dispersion=dispersion)
    plain, tempered = after(seen, GATE), after(seen, gate)
    for left, right in zip(log_e_harm_grid(plain, GATE), log_e_harm_grid(tempered, gate), strict=True):
        assert right == pytest.approx(left / dispersion, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("gate", [GATE, RATE_GATE, CountGate(dispersion=4.0)])
def test_nothing_seen_is_no_evidence(gate: CountGate) -> None:
    """Before any data every e-value is 1, the p-value 1, the ratio unknown and its limits everything."""
    evidence = CountEvidence.start(gate)
    assert logs(evidence, gate) == pytest.approx((0.0,) * len(logs(evidence, gate)))
    assert (p_value(evidence), ratio(evidence)) == (1.0, None)
    assert confidence_sequence(evidence, gate, 0.05) == (0.0, math.inf)


def test_traffic_without_errors_teaches_the_ratio_nothing() -> None:
    """A million good requests in both arms leave both ratio tests at 1 and the ratio unknown."""
    evidence = after([interval(0, 10**6, 0, 10**6)])
    assert (log_e_harm(evidence, GATE), log_e_safe(evidence, GATE), ratio(evidence)) == (0.0, 0.0, None)


def test_a_service_without_errors_passes_by_its_rate() -> None:
    """With `safe_below` a canary without errors becomes safe once its traffic rules that rate out."""
    few, many = after([interval(0, 100, 0, 100)], RATE_GATE), after([interval(0, 1000, 0, 1000)], RATE_GATE)
    assert log_e_safe(few, RATE_GATE) < math.log(20) < log_e_safe(many, RATE_GATE)


def test_one_error_leaves_the_other_rates_standing() -> None:
    """A bad request rules out the alternative of no errors at all, not the whole mixture."""
    by_rate = log_e_safe_rate(after([interval(1, 1000, 0, 1000)], RATE_GATE), RATE_GATE)
    assert by_rate is not None
    assert math.isfinite(by_rate)
    assert log_e_safe_rate(after([], GATE), GATE) is None
