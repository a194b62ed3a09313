"""Which factor judges harm, chosen before the first look.

The choice may rest on anything but the data it is then used on: on history, or on a first interval that is left out of
the evidence. Chosen after seeing the canary it would be a choice between two e-values by their outcome, and void.
"""

from chaffinch_stats.checks import require_positive
from chaffinch_stats.count_gate import Method
from chaffinch_stats.counts import ArmCounts

FISHER_FROM = 0.1
"""Bad rate of the baseline from which the Poisson factor wastes evidence: a tenth or more of its growth."""

MIN_REQUESTS = 100
"""Fewer requests say too little about the rate; the Poisson factor is then the cheaper mistake."""


def choose(baseline: ArmCounts, harm_ratio: float) -> Method:
    """Return "Fisher" for a baseline whose history has a bad rate of a tenth or more and a harm_ratio of at most 1.

    A harm_ratio above 1 stays with "Poisson" at any rate: its null has no fixed odds ratio.

    Args:
        baseline: what the baseline (stable) did before the rollout.
        harm_ratio: of the gate.

    """
    require_positive(harm_ratio, "harm_ratio")
    if harm_ratio > 1.0 or baseline.total < MIN_REQUESTS:
        return "Poisson"
    return "Fisher" if baseline.bad >= FISHER_FROM * baseline.total else "Poisson"
