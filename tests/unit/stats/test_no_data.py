"""G11 for the statistics: what is no data decides nothing. Scrapes, resets and clocks are the operator's part."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_stats import (
    ArmCounts,
    CountGate,
    Interval,
    dispersion,
    harm_threshold,
    log_e_harm,
    log_e_safe,
    p_value,
    safe_threshold,
)
from chaffinch_stats.group_sequential import GroupEvidence, GroupGate, Outcome, look, update
from unit.stats.builders import after

GATES = (CountGate(), CountGate(safe_below=0.001), CountGate(method="Fisher"), CountGate(dispersion=3.0))
IDLE = ArmCounts(0, 0)


@st.composite
def one_sided(draw: st.DrawFn) -> Interval:
    """An interval of which at most one arm has traffic, any counts."""
    total = draw(st.integers(0, 10**9))
    busy = ArmCounts(draw(st.integers(0, total)), total)
    return draw(st.sampled_from([Interval(IDLE, busy), Interval(busy, IDLE), Interval(IDLE, IDLE)]))


@settings(deadline=None, max_examples=60)
@given(st.lists(one_sided(), max_size=30), st.sampled_from(GATES))
def test_one_arm_alone_never_decides(seen: list[Interval], gate: CountGate) -> None:
    """However long an arm is missing, the gate neither rolls back nor promotes: E stays 1."""
    evidence = after(seen, gate)
    assert log_e_harm(evidence, gate) == pytest.approx(0.0)
    assert p_value(evidence) == 1.0
    assert log_e_harm(evidence, gate) < harm_threshold(1, 0.05)
    assert log_e_safe(evidence, gate) < safe_threshold(0.05)


@settings(deadline=None, max_examples=30)
@given(st.lists(one_sided(), max_size=10))
def test_one_arm_alone_never_decides_a_planned_look(seen: list[Interval]) -> None:
    """In group sequential mode every look, the last one too, stays undecided."""
    gate = GroupGate()
    evidence = GroupEvidence.start(gate)
    for each in seen:
        evidence = look(update(evidence, gate, each), gate, last=True)
    assert evidence.outcome is Outcome.NONE


@settings(deadline=None, max_examples=30)
@given(st.lists(one_sided(), max_size=100))
def test_one_arm_alone_is_no_history(seen: list[Interval]) -> None:
    """Dispersion is 1, and said to be insufficient."""
    found = dispersion.estimate(seen)
    assert (found.phi, found.sufficient) == (1.0, False)


@pytest.mark.parametrize("value", [math.nan, math.inf, 3.0, "3", None, True])
def test_what_is_no_count_is_refused(value: Any) -> None:
    """NaN, infinity, floats, text and nothing never become evidence."""
    with pytest.raises(TypeError, match="must be an integer count"):
        ArmCounts(0, value)
    with pytest.raises(TypeError, match="must be an integer count"):
        ArmCounts(value, 10)
