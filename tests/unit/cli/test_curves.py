"""Thinned curves: nothing that could be seen is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaffinch_runtime.curves import Curve

VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=300)


def curve(values: list[float], columns: int) -> Curve:
    """Values evenly spread over the whole time."""
    made = Curve(columns)
    for k, value in enumerate(values):
        made.add((k + 1) / len(values), value)
    return made


@given(VALUES, st.integers(1, 40))
def test_extremes_and_both_ends_are_kept(values: list[float], columns: int) -> None:
    """The least, the greatest, the first and the last value."""
    (line,) = curve(values, columns).lines()
    kept = [value for _, value in line]
    assert (min(kept), max(kept)) == (min(values), max(values))
    assert (kept[0], kept[-1]) == (values[0], values[-1])
    assert [place for place, _ in line] == sorted(place for place, _ in line)


@given(VALUES, st.integers(1, 40), st.floats(-100, 100))
def test_no_crossing_of_a_threshold_is_lost(values: list[float], columns: int, threshold: float) -> None:
    """A curve that was ever above it, or below, still is."""
    kept = curve(values, columns).values
    assert any(v >= threshold for v in kept) == any(v >= threshold for v in values)
    assert any(v < threshold for v in kept) == any(v < threshold for v in values)


@given(VALUES, st.integers(1, 40))
def test_the_size_is_bounded_by_the_columns(values: list[float], columns: int) -> None:
    """Four points a pixel, however long the history is."""
    assert len(curve(values, columns).values) <= 4 * columns


def test_what_is_unknown_breaks_the_line() -> None:
    """A gap is no straight line."""
    made = Curve(10)
    for k, value in enumerate([1.0, None, 2.0, 3.0]):
        made.add(k / 4, value)
    assert list(made.lines()) == [[(0.0, 1.0)], [(0.5, 2.0), (0.75, 3.0)]]
