"""Averages of e-values, kept in logarithms so that no count overflows them."""

import math
from collections.abc import Sequence


def log_mean_exp(logs: Sequence[float]) -> float:
    """Return the log of the arithmetic mean of exp(logs).

    The mean of e-processes for one null is an e-process for it (method of mixtures: Robbins 1970; for e-values, Vovk
    and Wang 2021). Entries may be -inf (an e-value of 0); the result is -inf only when all are.

    Args:
        logs: shape (k,), k >= 1, natural logarithms.

    """
    peak = max(logs)
    if peak == -math.inf:
        return peak
    return peak + math.log(math.fsum([math.exp(value - peak) for value in logs]) / len(logs))


def p_from_log_e(log_peak: float) -> float:
    """Return the always-valid p-value min(1, 1/max E) from the log of the running maximum (Ville's inequality)."""
    return math.exp(-max(0.0, log_peak))
