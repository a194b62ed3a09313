"""Rows for tests of the shadow analysis."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from chaffinch_shadow.analysis.rows import Groups, Rows, Scores

Ints = npt.NDArray[np.int64]


def rows_of(cells: tuple[int, ...]) -> Rows:
    """Return rows with these counts, cell by cell."""
    index = np.repeat(np.arange(8), cells)
    return Rows(index >= 4, (index & 2).astype(bool), (index & 1).astype(bool))


def codes(values: Ints) -> Groups:
    """Return groups named by their numbers."""
    names, where = np.unique(values, return_inverse=True)
    return Groups(where.astype(np.int64), tuple(map(str, names.tolist())))


def scores(control: list[float], candidate: list[float]) -> Scores:
    """Return scores of both versions."""
    return Scores(np.array(control, dtype=float), np.array(candidate, dtype=float))


def write(path: Path, text: str) -> Path:
    """Write a file, without the margin that the source has."""
    lines = [line.strip() for line in text.strip().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    return path
