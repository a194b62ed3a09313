"""A file with one row a request, label and both verdicts in it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from chaffinch_shadow.analysis.rows import Grades, Rows, Scores
from chaffinch_shadow.errors import InputError
from chaffinch_shadow.readers import columns, tables
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.tables import Table

REQUIRED = ("label", "control", "candidate")
OPTIONAL = ("control_score", "candidate_score", "cluster", "stratum", "time")
_NO_ANSWER = "a version that gave no answer has an outcome too: write what the client would have got"


def read_rows(path: Path, outcomes: Outcomes) -> Rows:
    """Return the rows of a file; InputError names what is wrong with it, where, and what to do."""
    return from_table(tables.read(path, REQUIRED, OPTIONAL), outcomes)


def from_table(table: Table, outcomes: Outcomes) -> Rows:
    """Return the rows of a table with the columns of REQUIRED, and perhaps of OPTIONAL."""
    label = columns.bits(table, "label", outcomes)
    control, candidate = (columns.bits(table, name, outcomes) for name in ("control", "candidate"))
    for name, codes in (("control", control), ("candidate", candidate)):
        columns.require_all(table, name, codes, _NO_ANSWER)
    labelled = label != columns.ABSENT
    there, has = set(table.columns), labelled if not labelled.all() else slice(None)
    return Rows(
        label=label[has].view(np.bool_),
        control=control[has].view(np.bool_),
        candidate=candidate[has].view(np.bool_),
        unlabelled=_unlabelled(control[~labelled], candidate[~labelled]),
        scores=_scores(table, labelled),
        cluster=columns.groups(table, "cluster", labelled, empty_alone=True) if "cluster" in there else None,
        stratum=columns.groups(table, "stratum", labelled, empty_alone=False) if "stratum" in there else None,
        time=columns.times(table, "time", labelled) if "time" in there else None,
        grades=_grades(table, outcomes),
    )


def _unlabelled(control: columns.Small, candidate: columns.Small) -> tuple[int, int, int, int]:
    neither, candidate_only, control_only, both = np.bincount(2 * control + candidate, minlength=4).tolist()
    return neither, candidate_only, control_only, both


def _scores(table: Table, labelled: npt.NDArray[np.bool_]) -> Scores | None:
    there = [name for name in ("control_score", "candidate_score") if name in table.columns]
    if all(table.columns[name].null_count == len(table.columns[name]) for name in there):
        return None
    if len(there) == 1:
        raise InputError(f'{table.path}: only "{there[0]}" is there; areas are compared between two versions')
    return Scores(*(columns.numbers(table, name, labelled) for name in there))


def _grades(table: Table, outcomes: Outcomes) -> Grades | None:
    if not outcomes.grades:
        return None
    control, candidate = (columns.grades(table, name, outcomes) for name in ("control", "candidate"))
    return Grades(control, candidate, outcomes.grades)
