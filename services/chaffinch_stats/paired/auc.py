"""Areas under two ROC curves of the same requests, compared by DeLong's method (1988).

How the areas and their covariance come about is the caller's: exactly from scores, or from histograms with a bound.
"""

import math
from dataclasses import dataclass

from chaffinch_stats.checks import require_open_unit
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.tails import normal_quantile, normal_two_sided

_NO_VARIANCE = NotAvailable("no variance: the scores separate the labels perfectly, or are all tied")


@dataclass(frozen=True, slots=True)
class PairedAuc:
    """Two areas with their covariance.

    Attributes:
        control: area of the control.
        candidate: area of the candidate.
        control_variance: DeLong's variance of the first.
        candidate_variance: of the second.
        covariance: of the two.
        error_bound: how far each area can be from the exact one; 0 if exact.

    """

    control: float
    candidate: float
    control_variance: float
    candidate_variance: float
    covariance: float
    error_bound: float = 0.0

    @property
    def difference(self) -> float:
        """Candidate minus control."""
        return self.candidate - self.control

    @property
    def standard_error(self) -> float:
        """Of the difference."""
        return math.sqrt(max(0.0, self.control_variance + self.candidate_variance - 2.0 * self.covariance))

    @property
    def z(self) -> float | NotAvailable:
        """The difference in standard errors."""
        return self.difference / self.standard_error if self.standard_error > 0.0 else _NO_VARIANCE

    @property
    def p(self) -> float | NotAvailable:
        """Two-sided p of equal areas; 1 when the scores rank alike."""
        if isinstance(self.z, NotAvailable):
            return 1.0 if self.difference == 0.0 else _NO_VARIANCE
        return normal_two_sided(self.z)

    def interval(self, alpha: float = 0.05) -> tuple[float, float] | NotAvailable:
        """Return the limits of the difference."""
        if self.standard_error == 0.0:
            return _NO_VARIANCE
        return _limits(self.difference, self.standard_error, alpha, -1.0)

    def control_interval(self, alpha: float = 0.05) -> tuple[float, float] | NotAvailable:
        """Return the limits of the control's area."""
        return _of_area(self.control, self.control_variance, alpha)

    def candidate_interval(self, alpha: float = 0.05) -> tuple[float, float] | NotAvailable:
        """Return the limits of the candidate's area."""
        return _of_area(self.candidate, self.candidate_variance, alpha)


def _of_area(area: float, variance: float, alpha: float) -> tuple[float, float] | NotAvailable:
    return _NO_VARIANCE if variance <= 0.0 else _limits(area, math.sqrt(variance), alpha, 0.0)


def _limits(middle: float, error: float, alpha: float, lowest: float) -> tuple[float, float]:
    require_open_unit(alpha, "alpha")
    half = normal_quantile(1.0 - 0.5 * alpha) * error
    return max(lowest, middle - half), min(1.0, middle + half)
