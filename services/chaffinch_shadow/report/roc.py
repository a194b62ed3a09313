"""ROC curves of both versions: every distinct score is a threshold, ties are one step."""

import numpy as np

from chaffinch_runtime.curves import Curve
from chaffinch_runtime.svg import COLUMNS, Axis, Chart, Line
from chaffinch_shadow.analysis.rows import Bits, Floats, Rows

_TICKS = tuple((n / 4, f"{n / 4:g}") for n in range(5))


def chart(rows: Rows) -> Chart | None:
    """Both curves, or None without scores or without requests of either label."""
    attacks = int(np.count_nonzero(rows.label))
    if rows.scores is None or attacks in {0, len(rows.label)}:
        return None
    lines = (
        Line(_curve(rows.label, rows.scores.control), "ratio"),
        Line(_curve(rows.label, rows.scores.candidate), "safe"),
    )
    return Chart(
        "ROC curves",
        "Share of attacks detected (vertical) by share of false alarms (horizontal): control solid, candidate dashed.",
        Axis(0.0, 1.0, _TICKS),
        tuple(label for _, label in _TICKS),
        lines,
    )


def _curve(label: Bits, score: Floats) -> Curve:
    curve = Curve(COLUMNS)
    for place, value in points(label, score):
        curve.add(place, value)
    return curve


def points(label: Bits, score: Floats) -> list[tuple[float, float]]:
    """(false positive rate, recall) from the strictest threshold, which finds nothing, to the one that finds all."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = np.cumsum(label[order])[ends]
    alarms = ends + 1 - found
    attacks, benign = found[-1], alarms[-1]
    return [(0.0, 0.0), *zip((alarms / benign).tolist(), (found / attacks).tolist(), strict=True)]
