"""Files: what is read from them, and what is said of those that cannot be."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from chaffinch_shadow.analysis.rows import count
from chaffinch_shadow.errors import InputError
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.results import read_results
from chaffinch_shadow.readers.rows import read_rows
from chaffinch_stats.paired import Cells
from unit.shadow.builders import write

PLAIN = Outcomes()
ALL = """
    label,control,candidate,control_score,candidate_score,cluster,stratum,time
    1,1,0,0.9,0.1,a,sql,2
    0,0,1,0.2,0.6,a,xss,1
    ,1,1,,,b,sql,3
    true,False,TRUE,1e-3,2,,sql,4
"""


def test_a_csv_file_of_all_columns(tmp_path: Path) -> None:
    """Words and numbers, an unlabelled row, a row without a client."""
    rows = read_rows(write(tmp_path / "all.csv", ALL), PLAIN)
    assert count(rows.label, rows.control, rows.candidate) == Cells((0, 1, 0, 0, 0, 1, 1, 0))
    assert rows.unlabelled == (0, 0, 0, 1)
    assert rows.scores is not None
    assert rows.scores.candidate.tolist() == [0.1, 0.6, 2.0]
    assert rows.cluster is not None
    assert rows.cluster.codes.tolist() == [0, 0, 1]
    assert rows.stratum is not None
    assert [rows.stratum.names[code] for code in rows.stratum.codes] == ["sql", "xss", "sql"]
    assert rows.time is not None
    assert rows.time.tolist() == [2.0, 1.0, 4.0]
    assert rows.grades is None


def typed_as(kind: pa.DataType, values: list[int | None]) -> pa.Array:
    """Values as an array of a type."""
    plain = pa.array(values)
    if pa.types.is_dictionary(kind):
        return plain.cast(pa.string()).dictionary_encode()
    return plain.cast(kind)


@pytest.mark.parametrize(
    "kind",
    [
        pa.int64(), pa.int8(), pa.bool_(), pa.string(), pa.float64(), pa.dictionary(pa.int32(), pa.string()),
    ],
)  # fmt: skip
def test_a_parquet_file_of_any_type(tmp_path: Path, kind: pa.DataType) -> None:
    """Verdicts as integers, booleans, words or numbers are the same rows."""
    columns: dict[str, list[int | None]] = {"label": [1, 0, None], "control": [1, 1, 0], "candidate": [0, 1, 1]}
    typed = {name: typed_as(kind, values) for name, values in columns.items()}
    parquet.write_table(pa.table(typed), tmp_path / "rows.parquet")
    rows = read_rows(tmp_path / "rows.parquet", PLAIN)
    assert count(rows.label, rows.control, rows.candidate) == Cells((0, 0, 0, 1, 0, 0, 1, 0))
    assert rows.unlabelled == (0, 1, 0, 0)


def test_times_may_be_timestamps(tmp_path: Path) -> None:
    """ISO 8601 in a CSV file is an order in time."""
    text = "label,control,candidate,time\n1,1,0,2026-01-31T12:00:01Z\n0,0,0,2026-01-31T12:00:00Z"
    rows = read_rows(write(tmp_path / "times.csv", text), PLAIN)
    assert rows.time is not None
    assert np.argsort(rows.time).tolist() == [1, 0]


def test_graded_verdicts(tmp_path: Path) -> None:
    """Block and challenge count as detections; labels may be 0 and 1; grades are kept for their own tests."""
    text = "label,control,candidate\n1,allow,challenge\n0,block,Block\n1,challenge,allow"
    rows = read_rows(write(tmp_path / "grades.csv", text), Outcomes.parse("allow,challenge,block", "challenge,block"))
    assert count(rows.label, rows.control, rows.candidate) == Cells((0, 0, 0, 1, 0, 1, 1, 0))
    assert rows.grades is not None
    assert rows.grades.control.tolist() == [0, 2, 1]


BAD = {
    "a word that means nothing": (
        "label,control,candidate\n1,1,0\n0,maybe,1",
        'line 3, column "control": "maybe" must be 0 or 1',
    ),
    "no verdict": ("label,control,candidate\n1,1,", 'line 2, column "candidate": empty; a version that gave no answer'),
    "a missing column": ("label,control\n1,1", 'column "candidate" is missing; the columns are label, control'),
    "a column twice": ("label,control,candidate,label\n1,1,1,1", 'column "label" is there twice'),
    "too few fields": ("label,control,candidate\n1,1,0\n1,1", "line 3: 2 fields where the header has 3"),
    "too many fields": ("label,control,candidate\n1,1,0,9", "line 2: 4 fields where the header has 3"),
    "a score that is no number": (
        "label,control,candidate,control_score,candidate_score\n1,1,0,0.5,0.4\n1,1,0,high,0.4",
        'line 3, column "control_score": "high" is no number',
    ),
    "a score that is not finite": (
        "label,control,candidate,control_score,candidate_score\n1,1,0,nan,0.4",
        'line 2, column "control_score": empty, NaN or infinite',
    ),
    "one score column": ("label,control,candidate,control_score\n1,1,0,0.5", 'only "control_score" is there'),
    "times that are words": ("label,control,candidate,time\n1,1,0,noon", 'column "time" must hold numbers or ISO 8601'),
    "a time that is not there": ("label,control,candidate,time\n1,1,0,1\n1,1,0,", 'line 3, column "time": empty'),
    "an empty file": ("", "the file is empty; its first line must name the columns"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    """File, line, column and the way out."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_rows(path, PLAIN)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_files_of_the_wrong_kind(tmp_path: Path) -> None:
    """No file, no known ending, no Parquet inside, no UTF-8: each is told as what it is."""
    (tmp_path / "a.parquet").write_text("no")
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.csv").write_bytes(b"label,control,candidate\n1,1,0\n1,1,\xff\n")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\n")
    said = {}
    for name in ("none.csv", "a.parquet", "a.json", "a.csv", "b.csv"):
        with pytest.raises(InputError) as caught:
            read_rows(tmp_path / name, PLAIN)
        said[name] = str(caught.value)
    assert "no such file" in said["none.csv"]
    assert "no Parquet file" in said["a.parquet"]
    assert "name the file .csv or .parquet" in said["a.json"]
    assert "line 3: not UTF-8" in said["a.csv"]
    assert "line 1: not UTF-8" in said["b.csv"]


def test_a_parquet_place_is_a_row(tmp_path: Path) -> None:
    """A Parquet file has rows, not lines; and types that mean nothing are named."""
    table = pa.table({"label": [1, 0], "control": [1, 2], "candidate": [0, 0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match='row 2, column "control": "2" must be 0 or 1'):
        read_rows(tmp_path / "a.parquet", PLAIN)
    nested = pa.table({"label": [[1]], "control": [1], "candidate": [0]})
    parquet.write_table(nested, tmp_path / "b.parquet")
    with pytest.raises(InputError, match='column "label" of type'):
        read_rows(tmp_path / "b.parquet", PLAIN)


@pytest.mark.parametrize(
    ("outcomes", "positive", "said"),
    [
        ("allow", "allow", "two different outcomes"),
        ("allow,block", "", "needs --positive"),
        ("allow,block", "stop", "must name some, not all"),
        ("allow,block", "allow,block", "must name some, not all"),
    ],
)
def test_a_vocabulary_that_makes_no_sense(outcomes: str, positive: str, said: str) -> None:
    """Two outcomes or more, some of them positive."""
    with pytest.raises(InputError, match=said):
        Outcomes.parse(outcomes, positive)


def test_results_are_joined_by_request_id(tmp_path: Path) -> None:
    """Order does not matter; the label may be in either file; scores follow."""
    control = write(tmp_path / "a.csv", "request_id,outcome,score,label\nr1,1,0.9,1\nr2,0,0.1,0\nr3,0,0.2,1")
    candidate = write(tmp_path / "b.csv", "request_id,outcome,score\nr3,1,0.8\nr1,1,0.7\nr2,1,0.6")
    found = read_results(control, candidate, PLAIN)
    assert count(found.rows.label, found.rows.control, found.rows.candidate) == Cells((0, 1, 0, 0, 0, 1, 0, 1))
    assert (found.expected, found.notes) == (3, ())
    assert found.rows.scores is not None
    assert sorted(found.rows.scores.candidate.tolist()) == [0.6, 0.7, 0.8]


def test_results_that_cannot_be_paired_are_counted(tmp_path: Path) -> None:
    """Ids that are missing, doubled or in one file only are left out, told, and expected; two labels are none."""
    control = write(
        tmp_path / "a.csv", "request_id,outcome,label\nr1,1,1\nr2,0,0\nr2,1,0\n,1,1\nonly,1,1\ntwo,1,1\nr4,0,"
    )  # fmt: skip
    candidate = write(tmp_path / "b.csv", "request_id,outcome,label\nr1,0,1\nr2,0,0\ntwo,1,0\nr4,0,0")
    found = read_results(control, candidate, PLAIN)
    assert count(found.rows.label, found.rows.control, found.rows.candidate) == Cells((1, 0, 0, 0, 0, 0, 1, 0))
    assert found.rows.unlabelled == (0, 0, 0, 1)
    assert found.expected == 7
    said = " ".join(found.notes)
    assert "1 rows have no request id" in said
    assert '1 request ids are there more than once, such as "r2"' in said
    assert "2 requests are in one file only" in said
    assert "1 requests have two different labels" in said


def test_results_without_a_label(tmp_path: Path) -> None:
    """Neither file has labels: said, with what to add; and a bad outcome is found in its own file."""
    control = write(tmp_path / "a.csv", "request_id,outcome\nr1,1")
    candidate = write(tmp_path / "b.csv", "request_id,outcome\nr1,1")
    with pytest.raises(InputError, match='neither has a column "label"'):
        read_results(control, candidate, PLAIN)
    bad = write(tmp_path / "c.csv", "request_id,outcome\nr1,1\nr2,perhaps")
    with pytest.raises(InputError, match=r'c\.csv, line 3, column "outcome": "perhaps"'):
        read_results(control, bad, PLAIN)
