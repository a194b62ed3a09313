"""Labelled requests as arrays, and the counts of them that everything else is made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaffinch_stats.paired import Cells

Bits = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_CHUNK = 1 << 16  # rows: the working set of a pass stays in the second-level cache


@dataclass(frozen=True, slots=True)
class Scores:
    """What both versions gave each labelled request, higher for label 1; shape (rows,)."""

    control: Floats
    candidate: Floats


@dataclass(frozen=True, slots=True)
class Groups:
    """A group per labelled request.

    Attributes:
        codes: shape (rows,), index into `names`.
        names: shape (groups,).

    """

    codes: Codes
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grades:
    """Graded verdicts of all requests, labelled or not.

    Attributes:
        control: shape (requests,), index into `names`.
        candidate: the same of the candidate.
        names: shape (k,), in order of severity.

    """

    control: Codes
    candidate: Codes
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests that both versions saw; arrays hold those with a label, shape (rows,).

    Attributes:
        label: truth.
        control: verdict of the control.
        candidate: verdict of the candidate.
        unlabelled: counts (neither, candidate only, control only, both) of the requests without a label.
        scores: of both versions, or None.
        cluster: which requests hang together, such as those of one client, or None.
        stratum: a part to be reported alone, or None.
        time: when, in any unit, or None.
        grades: verdicts of more than two grades, or None.

    """

    label: Bits
    control: Bits
    candidate: Bits
    unlabelled: tuple[int, int, int, int] = (0, 0, 0, 0)
    scores: Scores | None = None
    cluster: Groups | None = None
    stratum: Groups | None = None
    time: Floats | None = None
    grades: Grades | None = None


def count(label: Bits, control: Bits, candidate: Bits) -> Cells:
    """Return the eight counts of rows, in one pass over chunks that stay in the cache."""
    sums = [0] * 7
    for start in range(0, len(label), _CHUNK):
        a, b, c = (each[start : start + _CHUNK] for each in (label, control, candidate))
        ab, ac, bc = a & b, a & c, b & c
        for index, bits in enumerate((a, b, c, ab, ac, bc, ab & c)):
            sums[index] += int(np.count_nonzero(bits))
    return _from_sums(len(label), *sums)


def _from_sums(n: int, a: int, b: int, c: int, ab: int, ac: int, bc: int, abc: int) -> Cells:
    """Return the cells from the counts of label, control and candidate, alone and together."""
    high = (a - ab - ac + abc, ac - abc, ab - abc, abc)
    whole = (n - b - c + bc, c - bc, b - bc, bc)
    low = tuple(all_of - attacks for all_of, attacks in zip(whole, high, strict=True))
    return Cells((*low, *high))


def cell_of(rows: Rows) -> npt.NDArray[np.int8]:
    """Return each row's cell, 4*label + 2*control + candidate; shape (rows,)."""
    label, control, candidate = (bits.view(np.int8) for bits in (rows.label, rows.control, rows.candidate))
    return (label << 2) | (control << 1) | candidate


def by_group(rows: Rows, groups: Groups) -> npt.NDArray[np.int64]:
    """Return the cells of each group; shape (groups, 8)."""
    width = 8 * len(groups.names)
    return np.bincount(8 * groups.codes + cell_of(rows), minlength=width).reshape(-1, 8)


def square_table(grades: Grades) -> list[list[int]]:
    """Return the table of graded verdicts, rows the control's, columns the candidate's."""
    size = len(grades.names)
    flat = np.bincount(size * grades.control + grades.candidate, minlength=size * size)
    table: list[list[int]] = flat.reshape(size, size).tolist()
    return table
