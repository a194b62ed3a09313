"""Evidence that may be looked at any time: a mixture e-process on discordant pairs, limits for other differences.

A test of fixed size, repeated until it rejects, rejects in the end.
"""

import math
from dataclasses import dataclass

from chaffinch_stats.checks import require_count, require_open_unit, require_positive
from chaffinch_stats.mixtures import p_from_log_e
from chaffinch_stats.paired.tails import half_binomial_log_point

_ASYMPTOTIC_FROM = 40
_HALF_STEP = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432)


def log_e(control_only: int, candidate_only: int) -> float:
    """Return the log e-value against "a discordant pair is as likely to be the control's as the candidate's".

    E = 2**n B(b+1/2, c+1/2) / B(1/2, 1/2): the mixture of likelihood ratios over Jeffreys' prior, an e-process by
    construction (Robbins 1970; it is the bound of Krichevsky and Trofimov 1981). 0 without discordant pairs.

    Raises:
        TypeError: counts that are not integers.
        ValueError: negative counts.

    """
    require_count(control_only, "control_only")
    require_count(candidate_only, "candidate_only")
    n = control_only + candidate_only
    if n == 0:
        return 0.0
    steps = _half_step(control_only) + _half_step(candidate_only)
    return steps - math.log(math.pi) - half_binomial_log_point(control_only, n)


def _half_step(n: int) -> float:
    """Return log Gamma(n + 1/2) - log Gamma(n + 1)."""
    if n < _ASYMPTOTIC_FROM:
        return math.lgamma(n + 0.5) - math.lgamma(n + 1.0)
    inverse = 1.0 / n
    square, total = inverse * inverse, 0.0
    for coefficient in reversed(_HALF_STEP):
        total = total * square + coefficient
    return total * inverse - 0.5 * math.log(n)


@dataclass(frozen=True, slots=True)
class DiscordantEvidence:
    """Discordant pairs so far, and the highest log e-value at any look.

    Attributes:
        control_only: pairs with the event under the control alone (b).
        candidate_only: under the candidate alone (c).
        log_peak: running maximum of the log e-value over the looks, at least 0.

    """

    control_only: int = 0
    candidate_only: int = 0
    log_peak: float = 0.0

    @property
    def p(self) -> float:
        """The always-valid p: at most alpha at some look with probability at most alpha."""
        return p_from_log_e(self.log_peak)


def update(evidence: DiscordantEvidence, control_only: int, candidate_only: int) -> DiscordantEvidence:
    """Return the evidence after one more look, which found so many new discordant pairs."""
    require_count(control_only, "control_only")
    require_count(candidate_only, "candidate_only")
    b, c = evidence.control_only + control_only, evidence.candidate_only + candidate_only
    return DiscordantEvidence(b, c, max(evidence.log_peak, log_e(b, c)))


def _mixing(requests: int, alpha: float, planned: float) -> float:
    require_count(requests, "requests")
    require_open_unit(alpha, "alpha")
    require_positive(planned, "planned")
    twice = -2.0 * math.log(alpha)
    return requests * (twice + math.log(twice) + 1.0) / planned


def always_valid_z(requests: int, alpha: float, planned: float) -> float:
    """Return by how many standard errors an estimate must be off to reject at some look with probability <= alpha.

    The asymptotic confidence sequence of Waudby-Smith et al. (2024, Annals of Statistics), for estimates that are means
    in the limit, from some dozens of events on. It is tightest at `planned` requests, fixed before the first look; inf
    without requests.
    """
    v = _mixing(requests, alpha, planned)
    return math.sqrt(2.0 * (v + 1.0) / v * (0.5 * math.log1p(v) - math.log(alpha))) if v > 0.0 else math.inf


def always_valid_p(z: float, requests: int, alpha: float, planned: float) -> float:
    """Return the p at which `always_valid_z`'s limits touch: sqrt(v+1) exp(-z**2 v/(2(v+1))), 1 for z <= 0.

    `alpha` and `planned` fix v, as they do for the limits.
    """
    v = _mixing(requests, alpha, planned)
    if z <= 0.0:
        return 1.0
    return min(1.0, math.exp(0.5 * math.log1p(v) - 0.5 * z * z * v / (v + 1.0)))
