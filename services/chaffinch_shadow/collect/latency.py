"""Histograms of latency that add up exactly: bins of whole microseconds, each at most 1/32 wide of what it holds."""

from collections.abc import Mapping
from fractions import Fraction

_SUB_BITS = 5


def bin_of(micros: int) -> int:
    """Return the bin of a latency: one per microsecond below 64, then 32 per doubling."""
    shift = max(0, max(0, micros).bit_length() - _SUB_BITS - 1)
    return (shift << _SUB_BITS) + (max(0, micros) >> shift)


def upper_limit(index: int) -> int:
    """Return the longest latency of a bin, microseconds."""
    shift = max(0, (index >> _SUB_BITS) - 1)
    return ((index - (shift << _SUB_BITS) + 1) << shift) - 1


def lower_limit(index: int) -> int:
    """Return the shortest latency of a bin, microseconds."""
    return 0 if index == 0 else upper_limit(index - 1) + 1


def quantile(bins: Mapping[int, int], share: Fraction) -> int | None:
    """Return the upper limit of the bin that holds the quantile, microseconds, or None without any latency."""
    total, below = sum(bins.values()), 0
    for index, count in sorted(bins.items()):
        below += count
        if below >= share * total:
            return upper_limit(index)
    return None
