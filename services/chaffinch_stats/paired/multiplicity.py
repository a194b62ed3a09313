"""Many tests at once."""

from collections.abc import Sequence

from chaffinch_stats.checks import require_closed_unit


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return adjusted p-values, in the order given: rejecting those <= alpha errs in any with probability <= alpha.

    Whatever the dependence of the tests (Holm 1979). ValueError for a p outside [0, 1].
    """
    for index, p in enumerate(p_values):
        require_closed_unit(p, f"p value {index}")
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)
