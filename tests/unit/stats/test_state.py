"""Evidence survives a restart exactly, and a damaged record is refused."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_stats import (
    ArmCounts,
    CountGate,
    Interval,
    RateEvidence,
    RateGate,
    SplitEvidence,
    codec,
    from_state,
    log_e_harm,
    one_sample,
    sample_ratio,
    to_state,
    update,
)
from unit.stats.builders import GATE, after, interval
from unit.stats.test_count_properties import intervals

LARGEST = CountGate(
    harm_ratio=1.1, margin_ratio=1.7, harm_grid=tuple(1.1 + i / 7 for i in range(12)), safe_grid=(0.9, 0.7, 0.3)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(intervals(10**12), max_size=5))
def test_evidence_round_trips_exactly(seen: list[Interval]) -> None:
    """Reading what was written gives back the same evidence bit for bit, in strings of under 900 bytes together."""
    for gate in (GATE, LARGEST):
        evidence = after(seen, gate)
        state = to_state(evidence)
        assert from_state(gate, state) == evidence
        assert sum(map(len, state)) < 900


def test_a_restart_between_intervals_changes_nothing() -> None:
    """Going on from a stored state gives the same e-value as never having stopped."""
    seen = [interval(3, 100, 5, 900), interval(9, 300, 4, 700)]
    restarted = update(from_state(GATE, to_state(after(seen[:1]))), GATE, seen[1])
    assert restarted == after(seen)


STATE = to_state(after([interval(3, 100, 5, 900)]))


def sealed(parts: list[str]) -> list[str]:
    """Parts with a checksum that fits them, to reach the checks behind it."""
    return [*parts, f"{zlib.crc32(chr(10).join(parts).encode()):08x}"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([], "damaged state: 0 parts instead of 5"),
        (STATE[:4], "damaged state: 4 parts instead of 5"),
        (["split/1", *STATE[1:]], "state is of kind 'split/1', expected 'count/1'"),
        ([*STATE[:2], STATE[2].replace("3", "4"), *STATE[3:]], "checksum of count/1 does not match"),
        ([*STATE[:3], "A" + STATE[3][1:-8] + "AAAAAAAA", STATE[4]], "checksum of count/1 does not match"),
        (sealed([*STATE[:2], "3 x", STATE[3]]), "cannot be read"),
        (sealed([*STATE[:3], "!!!"]), "cannot be read"),
        (sealed([*STATE[:2], "3 100", STATE[3]]), "needs 8 counts"),
        (sealed([*STATE[:2], "", STATE[3]]), "needs 8 counts"),
        (sealed([*STATE[:3], STATE[3][:-8]]), "needs 8 counts and 42 sums"),
        (sealed([*STATE[:2], "-3" + STATE[2][1:], STATE[3]]), "negative count"),
        (sealed([*STATE[:2], "300" + STATE[2][1:], STATE[3]]), "bad must not exceed total"),
    ],
)
def test_a_damaged_state_is_refused(state: list[str], message: str) -> None:
    """Whatever part of a state is damaged, reading it raises and says what is wrong."""
    with pytest.raises(ValueError, match=message):
        from_state(GATE, state)


def test_a_sum_that_is_not_finite_is_refused() -> None:
    """An infinite sum cannot come from counts, so it is damage."""
    state = codec.encode("count/1", "design", (1,), (float("inf"),))
    with pytest.raises(ValueError, match="not finite"):
        codec.decode("count/1", "design", state, 1, 1)


@pytest.mark.parametrize(
    "gate",
    [CountGate(dispersion=1.5), CountGate(margin_ratio=2.0), CountGate(safe_below=0.1), CountGate(harm_ratio=1.1)],
)
def test_the_state_of_another_design_is_refused(gate: CountGate) -> None:
    """Evidence gathered under one design is not read into a gate of another."""
    with pytest.raises(ValueError, match="another design of the gate"):
        from_state(gate, STATE)


def test_evidence_of_another_design_is_not_judged() -> None:
    """Updating or judging evidence with a gate of another design raises."""
    evidence, other = after([interval(3, 100, 5, 900)]), CountGate(dispersion=2.0)
    with pytest.raises(ValueError, match="judged by a gate of design"):
        log_e_harm(evidence, other)
    with pytest.raises(ValueError, match="judged by a gate of design"):
        update(evidence, other, interval(1, 1, 1, 1))


def test_whole_numbers_and_floats_name_the_same_design() -> None:
    """A margin of 2 and one of 2.0 are one design."""
    assert from_state(CountGate(margin_ratio=2), to_state(after([], CountGate(margin_ratio=2.0)))).canary.total == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_rate_and_split_evidence_round_trip_exactly(bad: int, good: int) -> None:
    """The absolute gate's and the split's evidence survive a restart as well."""
    gate = RateGate(0.01)
    rate = one_sample.update(RateEvidence.start(gate), gate, ArmCounts(bad, bad + good))
    assert one_sample.from_state(gate, one_sample.to_state(rate)) == rate
    split = sample_ratio.update(SplitEvidence.start(), bad, good, 0.1)
    for evidence in (SplitEvidence.start(), split, sample_ratio.update(split, good, bad, 0.5)):
        assert sample_ratio.from_state(sample_ratio.to_state(evidence)) == evidence


def test_a_split_of_an_impossible_share_is_refused() -> None:
    """A stored share outside 0 to 1 is damage even when the checksum fits."""
    state = sample_ratio.to_state(SplitEvidence(2.0, 1, 1, 0.0, 0.0))
    with pytest.raises(ValueError, match="share of 2"):
        sample_ratio.from_state(state)
