"""Tables of named columns from CSV and Parquet files, and where in a file something is wrong."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from chaffinch_shadow.errors import InputError

WORDS = ("label", "control", "candidate", "cluster", "stratum", "request_id", "outcome")
NUMBERS = ("control_score", "candidate_score", "score")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of a file.

    Attributes:
        path: the file.
        columns: pyarrow arrays by name, in one chunk each; words are dictionaries, numbers doubles.
        row_word: what a row is called in messages, "line" or "row".
        first_row: number of the first row.

    """

    path: Path
    columns: Mapping[str, Any]
    row_word: str
    first_row: int

    def place(self, row: int, column: str) -> str:
        """Return the name of a place, for messages; `row` counts from 0."""
        return f'{self.path}, {self.row_word} {row + self.first_row}, column "{column}"'


def read(path: Path, required: Sequence[str], optional: Sequence[str]) -> Table:
    """Return the columns that are asked for, of a .csv or .parquet file.

    Raises:
        InputError: the file cannot be read, or lacks a column that is required.

    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        if path.suffix in (".parquet", ".pq"):
            return _parquet(path, required, optional)
        if path.suffix in (".csv", ".txt"):
            return _csv(path, required, optional)
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror or problem}") from problem
    raise InputError(f"{path}: name the file .csv or .parquet, so that it is known how to read it")


def _present(path: Path, names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(
            f'{path}: column "{missing[0]}" is missing; the columns are {", ".join(names) or "none"}, '
            f"needed are {', '.join(required)}, and these may be there: {', '.join(optional)}"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'{path}: column "{twice}" is there twice; leave one')
    return [name for name in (*required, *optional) if name in names]


def _parquet(path: Path, required: Sequence[str], optional: Sequence[str]) -> Table:
    try:
        file = parquet.ParquetFile(path)
        wanted = _present(path, file.schema_arrow.names, required, optional)
        table = file.read(columns=wanted)
    except pa.ArrowInvalid as problem:
        raise InputError(f"{path}: no Parquet file that can be read ({_first_line(problem)})") from problem
    found = {name: _typed(path, name, _one_chunk(table.column(name))) for name in wanted}
    return Table(path, found, "row", 1)


def _one_chunk(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _typed(path: Path, name: str, column: Any) -> Any:  # noqa: ANN401
    """Return a Parquet column as a CSV file would have given it."""
    try:
        if name in NUMBERS:
            return column.cast(pa.float64())
        if name in WORDS and not pa.types.is_dictionary(column.type):
            return column.cast(pa.string()).dictionary_encode()
        return column.cast(pa.dictionary(pa.int32(), pa.string())) if name in WORDS else column
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise InputError(
            f'{path}: column "{name}" of type {column.type} cannot be used ({_first_line(problem)})'
        ) from problem


def _csv(path: Path, required: Sequence[str], optional: Sequence[str]) -> Table:
    header = _header(path)
    wanted = _present(path, header, required, optional)
    broken: list[Any] = []

    def note(row: Any) -> str:  # noqa: ANN401
        broken.append(row)
        return "skip"

    types = {name: pa.dictionary(pa.int32(), pa.string()) for name in wanted if name in WORDS}
    types |= {name: pa.float64() for name in wanted if name in NUMBERS}
    convert = arrow_csv.ConvertOptions(
        column_types=types, include_columns=wanted, strings_can_be_null=True, null_values=[""]
    )
    parse = arrow_csv.ParseOptions(invalid_row_handler=note, ignore_empty_lines=False)
    try:
        table = arrow_csv.read_csv(path, arrow_csv.ReadOptions(use_threads=False), parse, convert)
    except pa.ArrowInvalid as problem:
        raise InputError(_where_csv_breaks(path, header, wanted, problem)) from problem
    if broken:
        row = broken[0]
        raise InputError(
            f"{path}, line {row.number}: {row.actual_columns} fields where the header has {row.expected_columns}; "
            "quote fields that hold a comma, and leave no line empty"
        )
    table = table.unify_dictionaries()
    return Table(path, {name: _one_chunk(table.column(name)) for name in wanted}, "line", 2)


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        first = file.readline()
    try:
        names = next(csv.reader([first.decode("utf-8-sig")]), [])
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}, line 1: not UTF-8; save the file as text in UTF-8") from problem
    if not names:
        raise InputError(f"{path}: the file is empty; its first line must name the columns")
    return names


def _where_csv_breaks(path: Path, header: list[str], wanted: list[str], problem: Exception) -> str:
    """Return a message that names the first line which cannot be read; the slow way, on failure only."""
    numbers = [(header.index(name), name) for name in wanted if name in NUMBERS]
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            try:
                fields = next(csv.reader([raw.decode("utf-8")]), [])
            except UnicodeDecodeError:
                return f"{path}, line {line}: not UTF-8; save the file in UTF-8"
            for index, name in numbers if line > 1 else ():
                if index < len(fields) and fields[index] and not _is_number(fields[index]):
                    return f'{path}, line {line}, column "{name}": "{fields[index]}" is no number'
    return f"{path}: {_first_line(problem)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_line(problem: Exception) -> str:
    return str(problem).partition("\n")[0].rstrip(".")
