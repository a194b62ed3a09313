"""Two files of results, one a version, joined by request id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from chaffinch_shadow.analysis.rows import Rows
from chaffinch_shadow.errors import InputError
from chaffinch_shadow.readers import columns, tables
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.rows import from_table
from chaffinch_shadow.readers.tables import Table

REQUIRED = ("request_id", "outcome")
OPTIONAL = ("label", "score", "cluster", "stratum", "time")
_SHARED = ("label", "cluster", "stratum", "time")


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows of the requests that both files have once.

    Attributes:
        rows: those.
        expected: requests that at least one file names.
        notes: sentences about what was left out.

    """

    rows: Rows
    expected: int
    notes: tuple[str, ...]


def read_results(control: Path, candidate: Path, outcomes: Outcomes) -> Joined:
    """Return both files joined by request id; labels may be in either.

    A request whose id is missing, or there twice in a file, cannot be paired. It counts as expected, so that the
    verdict is Inconclusive when there are many.

    Raises:
        InputError: names the file, the place and the way out.

    """
    files = [tables.read(path, REQUIRED, OPTIONAL) for path in (control, candidate)]
    for file in files:
        columns.bits(file, "outcome", outcomes)  # while the place of a bad word is known
    (one, notes_one), (other, notes_other) = (_by_id(file) for file in files)
    if not any("label" in file.columns for file in files):
        raise InputError(f'{control}, {candidate}: neither has a column "label"; one of them must')
    joined = one.join(other, "request_id", join_type="inner", left_suffix=".control", right_suffix=".candidate")
    named = set(one.column("request_id").to_pylist()) | set(other.column("request_id").to_pylist())
    expected = max(len(named), *(len(file.columns["request_id"]) for file in files))
    unpaired = len(named) - joined.num_rows
    notes = [*notes_one, *notes_other, *([f"{unpaired:,} requests are in one file only"] if unpaired else [])]
    combined = {"control": joined.column("outcome.control"), "candidate": joined.column("outcome.candidate")}
    for name in ("control", "candidate"):
        if f"score.{name}" in joined.column_names:
            combined[f"{name}_score"] = joined.column(f"score.{name}")
    for name in _SHARED:
        combined |= _shared(name, joined, notes)
    return Joined(from_table(_as_table(control, combined), outcomes), expected, tuple(notes))


def _by_id(file: Table) -> tuple[Any, list[str]]:
    """Return the rows whose id is there once, as a pyarrow table of plain words, and notes on the others."""
    plain = {name: _plain(column) for name, column in file.columns.items()}
    table, notes = pa.table(plain), []
    ids = table.column("request_id")
    if ids.null_count:
        notes.append(f"{file.path}: {ids.null_count:,} rows have no request id")
        table = table.filter(compute.is_valid(ids))
    counted = compute.value_counts(table.column("request_id"))
    repeated = counted.field("values").filter(compute.greater(counted.field("counts"), 1))
    if len(repeated):
        notes.append(f'{file.path}: {len(repeated):,} request ids are there more than once, such as "{repeated[0]}"')
        table = table.filter(compute.invert(compute.is_in(table.column("request_id"), repeated)))
    return table, notes


def _plain(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _shared(name: str, joined: Any, notes: list[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return a column that either file may have; a label on which they differ is no label."""
    found = [
        joined.column(each) for each in (name, f"{name}.control", f"{name}.candidate") if each in joined.column_names
    ]
    if not found:
        return {}
    if len(found) == 1:
        return {name: found[0]}
    if name == "label":
        differ = compute.fill_null(compute.not_equal(*found), False)
        if many := compute.sum(differ).as_py():
            notes.append(f"{many:,} requests have two different labels and count as unlabelled")
        return {name: compute.if_else(differ, None, compute.coalesce(*found))}
    return {name: compute.coalesce(*found)}


def _as_table(path: Path, combined: dict[str, Any]) -> Table:
    found = {}
    for name, column in combined.items():
        whole = column.combine_chunks()
        whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
        found[name] = whole.dictionary_encode() if name in tables.WORDS else whole
    return Table(path, found, "pair", 1)
