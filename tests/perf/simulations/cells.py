"""What a simulation measures: a share of runs with exact bounds, or a number, and what is claimed of it."""

from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.999
"""Of every bound, one-sided, exact (Clopper and Pearson 1934)."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the runs ended in a way.

    Attributes:
        case: what was simulated.
        rule: which rule judged it.
        hits: runs in which it acted.
        runs: all runs.
        at_most: the claim that the probability is at most this, to be held by the upper bound.
        at_least: the claim that it is at least this, to be held by the share itself.
        reference: what the reference note measured, as text.

    """

    case: str
    rule: str
    hits: int
    runs: int
    at_most: float | None = None
    at_least: float | None = None
    reference: str = ""

    @property
    def share(self) -> float:
        """Hits per run."""
        return self.hits / self.runs

    @property
    def upper(self) -> float:
        """Upper bound of the probability."""
        return float(stats.beta.ppf(CONFIDENCE, self.hits + 1, self.runs - self.hits)) if self.hits < self.runs else 1.0

    @property
    def holds(self) -> bool:
        """Whether the claims hold, the one from above by its bound."""
        return (self.at_most is None or self.upper <= self.at_most) and (
            self.at_least is None or self.share >= self.at_least
        )

    @property
    def value(self) -> str:
        """As text."""
        return f"{self.share:.2%}".replace("%", " %")

    @property
    def bound(self) -> str:
        """As text."""
        return f"<= {self.upper:.2%}".replace("%", " %")

    @property
    def claim(self) -> str:
        """As text."""
        most = f"<= {self.at_most:.2%}".replace("%", " %") if self.at_most is not None else ""
        least = f">= {self.at_least:.2%}".replace("%", " %") if self.at_least is not None else ""
        return most or least


@dataclass(frozen=True, slots=True)
class Number:
    """A mean, a median or another number over the runs."""

    case: str
    rule: str
    number: float
    runs: int
    at_most: float | None = None
    at_least: float | None = None
    reference: str = ""
    bound: str = ""

    @property
    def holds(self) -> bool:
        """Whether the claims hold."""
        return (self.at_most is None or self.number <= self.at_most) and (
            self.at_least is None or self.number >= self.at_least
        )

    @property
    def value(self) -> str:
        """As text."""
        return f"{self.number:,.0f}" if self.number >= 1000 else f"{self.number:.4g}"

    @property
    def claim(self) -> str:
        """As text."""
        most = [f"<= {self.at_most:,.4g}"] if self.at_most is not None else []
        least = [f">= {self.at_least:,.4g}"] if self.at_least is not None else []
        return ", ".join(least + most)


Cell = Share | Number
