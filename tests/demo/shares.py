"""Was the traffic split what the weight says? Counts of one step against binomial sampling error. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class Share:
    """Requests of one step, as one observer counted them."""

    weight: int
    """Percent that should go to the canary."""
    canary: int
    total: int

    @property
    def observed(self) -> float | None:
        """The canary's share; None without requests."""
        return self.canary / self.total if self.total else None

    @property
    def tolerance(self) -> float:
        """Three standard deviations of a binomial share."""
        p = self.weight / 100
        return SIGMAS * math.sqrt(p * (1 - p) / self.total) if self.total else 1.0

    @property
    def within(self) -> bool:
        """Whether the difference is no more than sampling error; true when there is nothing to compare."""
        return self.observed is None or abs(self.observed - self.weight / 100) <= self.tolerance

    def to_json(self) -> Mapping[str, Any]:
        """As plain data."""
        observed = None if self.observed is None else round(self.observed, 4)
        return {
            "canaryRequests": self.canary,
            "totalRequests": self.total,
            "observed": observed,
            "tolerance": round(self.tolerance, 4),
            "within": self.within,
        }
