"""A gate or a count that makes no sense is refused, naming the field."""

import math
from typing import Any

import numpy as np
import pytest

from chaffinch_stats import ArmCounts, CountGate, RateGate
from unit.stats.builders import GATE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"harm_ratio": 0.0}, "harm_ratio must be a finite number above 0"),
        ({"harm_ratio": math.nan}, "harm_ratio must be a finite number above 0"),
        ({"margin_ratio": math.inf}, "margin_ratio must be a finite number above 0"),
        ({"margin_ratio": 1.0}, "margin_ratio must exceed harm_ratio"),
        ({"dispersion": 0.99}, "dispersion must be a finite number of at least 1"),
        ({"dispersion": math.nan}, "dispersion must be a finite number of at least 1"),
        ({"safe_below": 0.0}, "safe_below must lie strictly between 0 and 1"),
        ({"safe_below": 1.0}, "safe_below must lie strictly between 0 and 1"),
        ({"harm_grid": ()}, "harm_grid must hold 1 to 12 ratios, got 0"),
        ({"harm_grid": (1.0, 2.0)}, "harm_grid must hold multiples above 1"),
        ({"harm_grid": (2.0, math.inf)}, "harm_grid must be a finite number above 0"),
        ({"safe_grid": (0.5,) * 13}, "safe_grid must hold 1 to 12 ratios, got 13"),
        ({"safe_grid": (1.5, 2.0)}, "safe_grid needs a ratio below margin_ratio 1.5"),
        ({"method": "Exact"}, "method must be Poisson or Fisher, got 'Exact'"),
        ({"method": "Fisher", "harm_ratio": 1.1}, "method Fisher needs a harm_ratio of at most 1, got 1.1"),
    ],
)
def test_a_count_gate_names_its_bad_field(fields: dict[str, Any], message: str) -> None:
    """Every field of a count gate is checked by name."""
    with pytest.raises(ValueError, match=message):
        CountGate(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_ratio": 0.0}, "max_ratio must lie strictly between 0 and 1"),
        ({"max_ratio": 0.9999999}, "max_ratio must be below 0.999999"),
        ({"max_ratio": 0.1, "margin_ratio": 1.0}, "margin_ratio must be a finite number above 1"),
        ({"max_ratio": 0.1, "margin_ratio": math.inf}, "margin_ratio must be a finite number above 1"),
        ({"max_ratio": 0.1, "dispersion": 0.0}, "dispersion must be a finite number of at least 1"),
    ],
)
def test_a_rate_gate_names_its_bad_field(fields: dict[str, Any], message: str) -> None:
    """Every field of an absolute gate is checked by name."""
    with pytest.raises(ValueError, match=message):
        RateGate(**fields)


@pytest.mark.parametrize(
    ("bad", "total", "error", "message"),
    [
        (-1, 3, ValueError, "bad must not be negative, got -1"),
        (0, -3, ValueError, "total must not be negative, got -3"),
        (4, 3, ValueError, "bad must not exceed total, got 4 of 3"),
        (1.0, 3, TypeError, "bad must be an integer count, got 1.0"),
        (True, 3, TypeError, "bad must be an integer count, got True"),
        (1, np.float64(3), TypeError, "total must be an integer count"),
    ],
)
def test_counts_are_whole_and_fit(bad: Any, total: Any, error: type[Exception], message: str) -> None:
    """Counts are non-negative integers with no more bad than total."""
    with pytest.raises(error, match=message):
        ArmCounts(bad, total)


def test_safe_ratios_at_or_beyond_the_margin_are_left_out() -> None:
    """A margin of 0.9 leaves 0.8 and 0.5 of the default safe grid."""
    place = CountGate(harm_ratio=0.5, margin_ratio=0.9).layout
    assert [place.ratios[k] for k, _ in place.safe] == [0.8, 0.5]


def test_a_ratio_in_two_roles_is_summed_once() -> None:
    """The default gate needs nine sums: 1 and 1.5 each have two roles."""
    assert len(GATE.layout.ratios) == 9
