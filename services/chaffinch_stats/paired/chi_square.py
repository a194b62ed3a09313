"""Pearson's chi-square where it belongs: shares against stated ones, and arms that saw different requests.

Never for two versions that saw the same requests: that is `mcnemar`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaffinch_stats.checks import require_count
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.tails import chi_square_upper


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """A statistic with its degrees of freedom and upper tail."""

    statistic: float
    df: int
    p: float


def sample_ratio(counts: Sequence[int], probabilities: Sequence[float]) -> ChiSquare | NotAvailable:
    """Return the goodness-of-fit test of counts against stated shares: the sample-ratio test.

    Args:
        counts: shape (k,), k >= 2.
        probabilities: shape (k,), each above 0, summing to 1.

    Raises:
        ValueError: shapes differ, or the probabilities are none.

    """
    for index, count in enumerate(counts):
        require_count(count, f"count {index}")
    if len(counts) != len(probabilities) or len(counts) < 2:
        raise ValueError(
            f"two counts or more and as many probabilities are needed, got {len(counts)}, {len(probabilities)}"
        )
    if min(probabilities) <= 0.0 or abs(math.fsum(probabilities) - 1.0) > 1e-9:
        raise ValueError(f"probabilities must be above 0 and sum to 1, got {tuple(probabilities)}")
    total = sum(counts)
    if total == 0:
        return NotAvailable("no request")
    expected = [total * probability for probability in probabilities]
    statistic = math.fsum((count - mean) ** 2 / mean for count, mean in zip(counts, expected, strict=True))
    return ChiSquare(statistic, len(counts) - 1, chi_square_upper(statistic, len(counts) - 1))


def unpaired(
    control: tuple[int, int], candidate: tuple[int, int], *, corrected: bool = False
) -> ChiSquare | NotAvailable:
    """Return the test of equal shares in two arms of different requests, each given as (with the event, without).

    `corrected` is Yates' correction. On the same requests it is the wrong test: it compares margins as if they were
    independent.
    """
    for name, arm in (("control", control), ("candidate", candidate)):
        for count in arm:
            require_count(count, name)
    (a, b), (c, d) = control, candidate
    n, margins = a + b + c + d, (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return NotAvailable("an arm without requests, or an event that always or never happens")
    apart = abs(2 * (a * d - b * c))
    apart = max(0, apart - n) if corrected else apart
    statistic = n * apart * apart / (4 * margins)
    return ChiSquare(statistic, 1, chi_square_upper(statistic, 1))
