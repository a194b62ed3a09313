"""Columns of a table as arrays, with the place of the first value that means nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch_shadow.analysis.rows import Codes, Floats, Groups
from chaffinch_shadow.errors import InputError
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.tables import Table

Small = npt.NDArray[np.int8]
ABSENT = -1


def bits(table: Table, column: str, outcomes: Outcomes) -> Small:
    """Return 0, 1, or ABSENT for an empty field; shape (rows,)."""
    return _coded(table, column, outcomes.bit, outcomes.allowed).astype(np.int8)


def grades(table: Table, column: str, outcomes: Outcomes) -> Codes:
    """Return places among the grades, or ABSENT for an empty field; shape (rows,)."""
    return _coded(table, column, outcomes.grade, outcomes.allowed)


def _coded(table: Table, column: str, code: Callable[[str], int | None], allowed: str) -> Codes:
    indices, words = _dictionary(table.columns[column])
    meaning = np.array([_UNKNOWN if (found := code(word)) is None else found for word in words] + [ABSENT])
    codes: Codes = meaning[indices]
    if (wrong := np.flatnonzero(codes == _UNKNOWN)).size:
        word = words[indices[wrong[0]]]
        raise InputError(f'{table.place(int(wrong[0]), column)}: "{word}" must be {allowed}')
    return codes


_UNKNOWN = -2


def _dictionary(column: Any) -> tuple[Codes, list[str]]:  # noqa: ANN401 - pyarrow has no types
    """Return indices, -1 for empty fields, and the words that they point to."""
    indices = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return indices, column.dictionary.to_pylist()


def require_all(table: Table, column: str, codes: Small, why: str) -> None:
    """Refuse empty fields; InputError names the first."""
    if (empty := np.flatnonzero(codes == ABSENT)).size:
        raise InputError(f"{table.place(int(empty[0]), column)}: empty; {why}")


def numbers(table: Table, column: str, needed: npt.NDArray[np.bool_]) -> Floats:
    """Return the numbers of the rows that are needed; InputError names the first that is none."""
    found: Floats = table.columns[column].to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(needed & ~np.isfinite(found))
    if wrong.size:
        raise InputError(
            f"{table.place(int(wrong[0]), column)}: empty, NaN or infinite; give each labelled row a score, "
            "or leave both score columns out"
        )
    return found[needed]


def groups(table: Table, column: str, needed: npt.NDArray[np.bool_], *, empty_alone: bool) -> Groups:
    """Return the groups of the rows that are needed; empty fields are one group each, or one together."""
    indices, words = _dictionary(table.columns[column])
    codes, empty = indices[needed], indices[needed] < 0
    names, place = words, np.cumsum(empty) - 1 if empty_alone else np.zeros(len(codes), dtype=np.int64)
    if empty.any():
        codes = np.where(empty, len(words) + place, codes)
        names = [*words, *("" for _ in range(int(place.max()) + 1))]
    used, codes = np.unique(codes, return_inverse=True)
    return Groups(codes.astype(np.int64), tuple(names[index] or "(none)" for index in used.tolist()))


def times(table: Table, column: str, needed: npt.NDArray[np.bool_]) -> Floats:
    """Return times as numbers in any unit, from numbers or timestamps."""
    values = table.columns[column]
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise InputError(f'{table.path}: column "{column}" must hold numbers or ISO 8601 timestamps, all of one kind')
    found: Floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(needed & ~np.isfinite(found))
    if wrong.size:
        raise InputError(f"{table.place(int(wrong[0]), column)}: empty; give each labelled row a time, or leave it out")
    return found[needed]
