"""Agreement beyond chance: Cohen's kappa of two versions, weighted for graded verdicts, and Fleiss' of many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chaffinch_stats.checks import require_count, require_open_unit
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.square import Table, require_square
from chaffinch_stats.paired.tails import normal_quantile

Weights = Literal["Unweighted", "Linear", "Quadratic"]
_ONE_CATEGORY = NotAvailable("all fall into one category, so nothing is left to agree on")


@dataclass(frozen=True, slots=True)
class Kappa:
    """Kappa with its large-sample standard error (Fleiss, Cohen and Everitt 1969)."""

    value: float
    standard_error: float

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Return the Wald limits."""
        require_open_unit(alpha, "alpha")
        half = normal_quantile(1.0 - 0.5 * alpha) * self.standard_error
        return self.value - half, self.value + half


def kappa(table: Table, weights: Weights = "Unweighted") -> Kappa | NotAvailable:
    """Return Cohen's kappa of a k x k table of counts.

    Linear weights count a disagreement of d categories as 1 - d/(k-1) of an agreement, quadratic as 1 - (d/(k-1))**2
    (Cohen 1968).

    Raises:
        TypeError: counts that are not integers.
        ValueError: negative counts, or a table that is not square.

    """
    size, total = require_square(table), sum(map(sum, table))
    if total == 0:
        return NotAvailable("no request")
    shares = [[count / total for count in row] for row in table]
    rows, columns = [sum(row) / total for row in table], [sum(row[j] for row in table) / total for j in range(size)]
    weight = [[_weight(abs(i - j), size, weights) for j in range(size)] for i in range(size)]
    pairs = [(i, j) for i in range(size) for j in range(size)]
    seen = math.fsum(weight[i][j] * shares[i][j] for i, j in pairs)
    chance = math.fsum(weight[i][j] * rows[i] * columns[j] for i, j in pairs)
    if chance >= 1.0 or _one_category(table):
        return _ONE_CATEGORY
    value = (seen - chance) / (1.0 - chance)
    by_row = [math.fsum(weight[i][j] * columns[j] for j in range(size)) for i in range(size)]
    by_column = [math.fsum(weight[i][j] * rows[i] for i in range(size)) for j in range(size)]
    spread = math.fsum(
        shares[i][j] * (weight[i][j] - (by_row[i] + by_column[j]) * (1.0 - value)) ** 2 for i, j in pairs
    )
    variance = spread - (value - chance * (1.0 - value)) ** 2
    return Kappa(value, math.sqrt(max(0.0, variance) / total) / (1.0 - chance))


def _one_category(table: Table) -> bool:
    return any(sum(map(sum, table)) == table[i][i] for i in range(len(table)))


def _weight(apart: int, size: int, weights: Weights) -> float:
    if weights == "Unweighted":
        return float(apart == 0)
    part = apart / (size - 1)
    return 1.0 - (part if weights == "Linear" else part * part)


def fleiss_kappa(table: Sequence[Sequence[int]]) -> float | NotAvailable:
    """Return Fleiss' kappa (1971); shape (subjects, categories), the raters who chose a category for a subject.

    Raises:
        ValueError: subjects with different numbers of raters, or fewer than two raters.

    """
    for i, row in enumerate(table):
        for j, count in enumerate(row):
            require_count(count, f"count [{i}][{j}]")
    raters = {sum(row) for row in table}
    if not table:
        return NotAvailable("no subject")
    if len(raters) != 1 or (each := raters.pop()) < 2:
        raise ValueError("every subject needs the same number of raters, two or more")
    subjects = len(table)
    agreeing = sum(count * (count - 1) for row in table for count in row)
    seen = agreeing / (subjects * each * (each - 1))
    by_category = [sum(column) for column in zip(*table, strict=True)]
    chance = sum(count * count for count in by_category) / (subjects * each) ** 2
    return _ONE_CATEGORY if max(by_category) == subjects * each else (seen - chance) / (1.0 - chance)
