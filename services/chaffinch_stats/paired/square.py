"""Graded verdicts (allow, challenge, block) of two versions on the same requests: a square table of counts.

Rows are the control's category, columns the candidate's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from chaffinch_stats.checks import require_count
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.chi_square import ChiSquare
from chaffinch_stats.paired.mcnemar import NO_DISCORDANT
from chaffinch_stats.paired.tails import chi_square_upper

Table = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class SquareTests:
    """Whether the margins are the same, and whether the table is symmetric.

    Attributes:
        stuart_maxwell: equal margins (Stuart 1955, Maxwell 1970).
        bhapkar: the same by Bhapkar (1966), a little more powerful.
        bowker: symmetry: changes one way as often as back, for each pair of categories (Bowker 1948).

    """

    stuart_maxwell: ChiSquare | NotAvailable
    bhapkar: ChiSquare | NotAvailable
    bowker: ChiSquare | NotAvailable


def require_square(table: Table) -> int:
    """Return the number of categories; ValueError unless the table is square with two or more of them."""
    size = len(table)
    if size < 2 or any(len(row) != size for row in table):
        raise ValueError(f"the table must be square with two categories or more, got rows of {[len(r) for r in table]}")
    for i, row in enumerate(table):
        for j, count in enumerate(row):
            require_count(count, f"count [{i}][{j}]")
    return size


def square_tests(table: Table) -> SquareTests:
    """Return the tests of a k x k table of counts; exact rational arithmetic up to the tails.

    Categories that no discordant pair joins, directly or over others, say nothing of each other: the degrees of freedom
    are the categories less the number of groups that discordant pairs join.
    """
    size = require_square(table)
    kept = _one_left_out_per_group(table, size)
    if not kept:
        return SquareTests(NO_DISCORDANT, NO_DISCORDANT, NO_DISCORDANT)
    gaps = [Fraction(sum(table[i]) - sum(row[i] for row in table)) for i in kept]
    joined = [[_covariance(table, i, j, size) for j in kept] for i in kept]
    statistic = sum((gap * x for gap, x in zip(gaps, _solve(joined, gaps), strict=True)), Fraction(0))
    total = sum(map(sum, table))
    bhapkar = statistic / (1 - statistic / total) if statistic < total else None
    return SquareTests(
        _chi_square(statistic, len(kept)),
        NotAvailable("every pair is discordant, all one way") if bhapkar is None else _chi_square(bhapkar, len(kept)),
        _bowker(table, size),
    )


def _bowker(table: Table, size: int) -> ChiSquare:
    both_ways = [(table[i][j], table[j][i]) for i in range(size) for j in range(i)]
    parts = [Fraction((one - other) ** 2, one + other) for one, other in both_ways if one + other]
    return _chi_square(sum(parts, Fraction(0)), len(parts))


def _chi_square(statistic: Fraction, df: int) -> ChiSquare:
    return ChiSquare(float(statistic), df, chi_square_upper(float(statistic), df))


def _covariance(table: Table, i: int, j: int, size: int) -> Fraction:
    if i != j:
        return Fraction(-(table[i][j] + table[j][i]))
    return Fraction(sum(table[i][k] + table[k][i] for k in range(size) if k != i))


def _one_left_out_per_group(table: Table, size: int) -> list[int]:
    """Return the categories in order, less the first of each group that discordant pairs join."""
    group = list(range(size))
    for i in range(size):
        for j in range(size):
            if i != j and table[i][j]:
                old, new = max(group[i], group[j]), min(group[i], group[j])
                group = [new if each == old else each for each in group]
    return [i for i in range(size) if group[i] != i]


def _solve(matrix: Sequence[Sequence[Fraction]], right: Sequence[Fraction]) -> list[Fraction]:
    """Return the solution of a positive definite system by elimination, exact."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        pivot = rows[i][i]
        rows[i] = [value / pivot for value in rows[i]]
        for k in range(size):
            if k != i and rows[k][i]:
                factor = rows[k][i]
                rows[k] = [value - factor * of for value, of in zip(rows[k], rows[i], strict=True)]
    return [row[size] for row in rows]
