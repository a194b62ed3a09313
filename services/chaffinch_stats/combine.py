"""Thresholds for one decision over several gates."""

import math

from chaffinch_stats.checks import require_open_unit


def harm_threshold(gates: int, alpha: float) -> float:
    """Return log(gates/alpha): the log e-value at which any one of `gates` gates calls the canary harmful.

    e-Bonferroni: by Ville's inequality each null crosses gates/alpha ever with probability <= alpha/gates, so a canary
    without harm on any gate is called harmful with probability <= alpha at any stopping time, whatever the dependence
    between gates (Vovk and Wang 2021, "E-values: calibration, combination and applications"). Unlike e-BH on running
    maxima it stays valid when verdicts are latched (arXiv 2501.19360).

    Raises:
        ValueError: fewer than one gate, or alpha outside (0, 1).

    """
    if gates < 1:
        raise ValueError(f"gates must be at least 1, got {gates}")
    require_open_unit(alpha, "alpha")
    return math.log(gates / alpha)


def safe_threshold(beta: float) -> float:
    """Return log(1/beta): the log e-value that *every* gate must reach before the canary is called safe.

    Intersection-union test: the null "at least one gate is unsafe" is rejected only if all gates reject, which for the
    unsafe gate alone has probability <= beta; no correction for the number of gates is due (Berger 1982).

    Raises:
        ValueError: beta outside (0, 1).

    """
    require_open_unit(beta, "beta")
    return -math.log(beta)
