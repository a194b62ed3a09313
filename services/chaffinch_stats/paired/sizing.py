"""How many discordant pairs and how many requests a paired comparison needs."""

import math
from dataclasses import dataclass

from chaffinch_stats.checks import require_open_unit, require_positive
from chaffinch_stats.paired.tails import normal_quantile


@dataclass(frozen=True, slots=True)
class Size:
    """What must be seen.

    Attributes:
        discordant: discordant pairs.
        requests: requests that give so many on average.

    """

    discordant: int
    requests: int


def fixed_size(ratio: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> Size:
    """Return the size of a two-sided McNemar test that is made once.

    n = (z_alpha (r+1) + 2 z_power sqrt(r))**2 / (r-1)**2 discordant pairs (Miettinen 1968, as in Fleiss 1981).

    Args:
        ratio: discordant pairs of the better version per pair of the worse, above 0 and not 1; r and 1/r are the same.
        discordance: share of requests on which the versions differ, in (0, 1].
        alpha: level.
        power: wished probability of finding the difference.

    Raises:
        ValueError: naming the argument that is out of range.

    """
    r = _checked(ratio, discordance, alpha)
    require_open_unit(power, "power")
    z_alpha, z_power = normal_quantile(1.0 - 0.5 * alpha), normal_quantile(power)
    found = ((z_alpha * (r + 1.0) + 2.0 * z_power * math.sqrt(r)) / (r - 1.0)) ** 2
    return _with_requests(math.ceil(found), discordance)


def always_valid_size(ratio: float, discordance: float, alpha: float = 0.05) -> Size:
    """Return the expected size at which the e-process of `sequential` stops.

    Growth of log E: n KL(r/(r+1) || 1/2) - log(pi n / 2) / 2 reaches -log alpha (Wald's identity, overshoot ignored).
    """
    r = _checked(ratio, discordance, alpha)
    share = r / (r + 1.0)
    growth = math.log(2.0) + share * math.log(share) + (1.0 - share) * math.log1p(-share)
    n = 1.0
    for _ in range(100):
        n = max(1.0, (-math.log(alpha) + 0.5 * math.log(0.5 * math.pi * n)) / growth)
    return _with_requests(math.ceil(n), discordance)


def _checked(ratio: float, discordance: float, alpha: float) -> float:
    require_positive(ratio, "ratio")
    require_open_unit(alpha, "alpha")
    if ratio == 1.0:
        raise ValueError("ratio must not be 1: versions that differ both ways alike have no difference to find")
    if not 0.0 < discordance <= 1.0:
        raise ValueError(f"discordance must be above 0 and at most 1, got {discordance!r}")
    return max(ratio, 1.0 / ratio)


def _with_requests(discordant: int, discordance: float) -> Size:
    return Size(discordant, math.ceil(discordant / discordance))
