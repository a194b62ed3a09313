"""What a report is made of: a document, rows, and pages of samples, each from a file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from chaffinch_shadow.analysis.rows import Rows
from chaffinch_shadow.errors import InputError
from chaffinch_shadow.readers import tables
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.rows import OPTIONAL, REQUIRED, from_table
from chaffinch_shadow.report.page import KINDS, Document, Flip

_NEEDED = ("verdict", "reasons", "cells", "requests", "labelled", "question", "discordant", "tests", "metrics", "auc")
_LABELS = {"positive": 1, "negative": 0}
_CELLS = 8


def document(path: Path) -> Document:
    """What `analyze -o json` or GET /v1/evaluation said. InputError when it is something else."""
    found = _json(path)
    missing = next((key for key in _NEEDED if not isinstance(found, dict) or key not in found), None)
    if missing is not None:
        raise InputError(
            f'{path}: "{missing}" is missing; give what `analyze -o json` wrote, or what GET /v1/evaluation answered'
        )
    cells = found["cells"]
    if not (isinstance(cells, list) and len(cells) == _CELLS and all(isinstance(n, int) for n in cells)):
        raise InputError(f'{path}: "cells" must be eight whole numbers')
    return dict(found)


def flips_of_samples(paths: Sequence[Path]) -> list[Flip]:
    """The differing pairs on pages of GET /v1/samples; InputError names a file that is none."""
    found: dict[str, Flip] = {}
    for path in paths:
        try:
            for each in _json(path)["samples"]:
                if each["control"] != each["candidate"]:
                    kind = KINDS[_LABELS.get(each["labelState"], -1), 2 * each["control"] + each["candidate"]]
                    what = f"{each['method']} {each['target']}"
                    found[each["requestId"]] = Flip(each["requestId"], kind, each["stratum"], what)
        except (KeyError, TypeError) as problem:
            raise InputError(f"{path}: no page of GET /v1/samples ({type(problem).__name__} {problem})") from problem
    return list(found.values())


def rows(path: Path) -> tuple[Rows, list[Flip]]:
    """The rows of a file, and those on which the versions differ, by request id or by number."""
    table = tables.read(path, REQUIRED, (*OPTIONAL, "request_id"))
    plain = Outcomes.parse("", "")
    found = from_table(table, plain)
    return found, list(_flips(table, plain))


def _flips(table: tables.Table, outcomes: Outcomes) -> Iterator[Flip]:
    words = {name: table.columns[name].to_pylist() for name in (*REQUIRED, "request_id", "stratum")
             if name in table.columns}  # fmt: skip
    for row, (label, control, candidate) in enumerate(zip(*(words[name] for name in REQUIRED), strict=True)):
        one, other = outcomes.bit(control), outcomes.bit(candidate)
        if one is None or other is None or one == other:
            continue
        meant = -1 if label is None else outcomes.bit(label)
        name = words["request_id"][row] if "request_id" in words else None
        stratum = words["stratum"][row] if "stratum" in words else ""
        kind = KINDS[-1 if meant is None else meant, 2 * one + other]
        yield Flip(name or f"{table.row_word} {row + table.first_row}", kind, stratum or "")


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(path.read_bytes())
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror or problem}") from problem
    except orjson.JSONDecodeError as problem:
        raise InputError(f"{path}: is no JSON ({problem})") from problem
