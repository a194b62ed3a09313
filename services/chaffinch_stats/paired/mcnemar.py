"""McNemar's test of which version has the event more often, on the same requests.

Only discordant pairs speak. `exact` is the two-sided binomial test, `midp` the version of it that is not conservative
and was never seen to exceed its level (Fagerland, Lydersen and Laake 2013, BMC Med Res Methodol 13:91).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from chaffinch_stats.checks import require_count
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.tails import chi_square_upper, half_binomial_log_point, half_binomial_lower

NO_DISCORDANT = NotAvailable("no discordant pair")


@dataclass(frozen=True, slots=True)
class McNemar:
    """All forms of the test. Every p is 1 and no statistic is available when there is no discordant pair.

    Attributes:
        control_only: discordant pairs with the event under the control (b).
        candidate_only: discordant pairs with the event under the candidate (c).
        exact: p of the exact conditional test.
        midp: p of the mid-p test; the one to use.
        chi2: (b-c)**2/(b+c), one degree of freedom.
        chi2_p: its p.
        chi2_corrected: (|b-c|-1)**2/(b+c), Edwards' correction, which is too conservative; 0 when b = c.
        chi2_corrected_p: its p.

    """

    control_only: int
    candidate_only: int
    exact: float
    midp: float
    chi2: float | NotAvailable
    chi2_p: float
    chi2_corrected: float | NotAvailable
    chi2_corrected_p: float


def mcnemar(control_only: int, candidate_only: int) -> McNemar:
    """Return the test of b = `control_only` against c = `candidate_only`.

    Raises:
        TypeError: counts that are not integers.
        ValueError: negative counts.

    """
    require_count(control_only, "control_only")
    require_count(candidate_only, "candidate_only")
    n, apart = control_only + candidate_only, abs(control_only - candidate_only)
    if n == 0:
        return McNemar(0, 0, 1.0, 1.0, NO_DISCORDANT, 1.0, NO_DISCORDANT, 1.0)
    exact, midp = _binomial(min(control_only, candidate_only), n)
    chi2, corrected = apart**2 / n, max(0, apart - 1) ** 2 / n
    return McNemar(
        control_only, candidate_only, exact, midp,
        chi2, chi_square_upper(chi2, 1), corrected, chi_square_upper(corrected, 1),
    )  # fmt: skip


def _binomial(fewer: int, n: int) -> tuple[float, float]:
    """Return the exact and the mid-p value of `fewer` of n fair coins."""
    point = math.exp(half_binomial_log_point(fewer, n))
    if 2 * fewer == n:
        return 1.0, 1.0 - 0.5 * point
    exact = min(1.0, 2.0 * half_binomial_lower(fewer, n))
    return exact, max(0.0, exact - point)


@dataclass(frozen=True, slots=True)
class ClusterRobust:
    """McNemar's test for pairs that come in clusters, such as requests of one client.

    Attributes:
        clusters: clusters with a discordant pair.
        chi2: one degree of freedom.
        p: its p; 1 without discordant pairs.

    """

    clusters: int
    chi2: float | NotAvailable
    p: float


def cluster_robust(differences: Iterable[int]) -> ClusterRobust:
    """Return (sum d)**2 / sum d**2 over clusters, d a cluster's candidate-only minus control-only pairs.

    Valid whatever the dependence inside a cluster, with many clusters (Durkalski et al. 2003, Stat Med 22:2417; with
    one pair a cluster it is McNemar's own). Clusters whose pairs cancel count as clusters and add nothing.
    """
    total = squares = clusters = 0
    for difference in differences:
        total += difference
        squares += difference * difference
        clusters += 1
    if squares == 0:
        return ClusterRobust(clusters, NO_DISCORDANT, 1.0)
    chi2 = total * total / squares
    return ClusterRobust(clusters, chi2, chi_square_upper(chi2, 1))
