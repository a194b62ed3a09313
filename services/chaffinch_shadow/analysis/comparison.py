"""The paired tests of one event, on cells, on clusters and over time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaffinch_shadow.analysis.rows import Groups, Rows, by_group, cell_of
from chaffinch_stats.paired import Cells, Pairs
from chaffinch_stats.paired.mcnemar import ClusterRobust, McNemar, cluster_robust, mcnemar
from chaffinch_stats.paired.metrics import VarianceOf
from chaffinch_stats.paired.multiplicity import holm
from chaffinch_stats.paired.sequential import DiscordantEvidence, log_e, update

Signs = tuple[int, ...]
RIGHT: Signs = (0, -1, 1, 0, 0, 1, -1, 0)
"""Per cell: 1 where only the candidate is right, -1 where only the control is."""
DETECTION: Signs = (0, 0, 0, 0, 0, 1, -1, 0)
"""The same for verdicts of 1 among requests of label 1."""
ALARM: Signs = (0, 1, -1, 0, 0, 0, 0, 0)
"""The same for verdicts of 1 among requests of label 0."""
_MOST_LOOKS = 10_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """The tests of one event.

    Attributes:
        pairs: counts of the event under both versions.
        test: McNemar's test.
        evidence: discordant pairs with the highest log e-value over time (over one look, without times).
        clustered: the test for clusters, or None without them.

    """

    pairs: Pairs
    test: McNemar
    evidence: DiscordantEvidence
    clustered: ClusterRobust | None = None


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Right verdicts of all, detections among label 1, false alarms among label 0."""

    overall: Comparison
    positive: Comparison
    negative: Comparison


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the requests.

    Attributes:
        name: of the part.
        cells: its counts.
        midp: McNemar's mid-p of right verdicts.
        adjusted: the same by Holm over all strata.

    """

    name: str
    cells: Cells
    midp: float
    adjusted: float


class Context:
    """What the rows know beyond their cells: clusters, and the order in time."""

    __slots__ = ("clusters", "in_time")

    def __init__(self, rows: Rows | None = None) -> None:
        self.clusters: npt.NDArray[np.int64] | None = None
        self.in_time: npt.NDArray[np.int8] | None = None
        if rows is not None and rows.cluster is not None:
            self.clusters = by_group(rows, rows.cluster)
        if rows is not None and rows.time is not None:
            self.in_time = cell_of(rows)[np.argsort(rows.time, kind="stable")]

    def variance_of(self) -> VarianceOf | None:
        """Return the variance of sums over clusters, or None where requests are independent.

        Sum over clusters of their squared sums, times K/(K-1): robust to any dependence inside a cluster.
        """
        clusters = self.clusters
        if clusters is None:
            return None
        many = int(np.count_nonzero(clusters.any(axis=1)))
        factor = many / (many - 1) if many > 1 else 1.0
        return lambda values: factor * float(np.square(clusters @ np.asarray(values)).sum())


def compare(cells: Cells, context: Context) -> Comparisons:
    """Return the tests of the three events."""
    return Comparisons(
        _comparison(cells.correct, RIGHT, context),
        _comparison(cells.of_label(1), DETECTION, context),
        _comparison(cells.of_label(0), ALARM, context),
    )


def _comparison(pairs: Pairs, signs: Signs, context: Context) -> Comparison:
    test = mcnemar(pairs.control_only, pairs.candidate_only)
    clustered = None
    if context.clusters is not None:
        differences = context.clusters @ np.asarray(signs)
        clustered = cluster_robust(differences[context.clusters[:, np.flatnonzero(signs)].any(axis=1)].tolist())
    return Comparison(pairs, test, _evidence(pairs, signs, context), clustered)


def _evidence(pairs: Pairs, signs: Signs, context: Context) -> DiscordantEvidence:
    """Return the e-process' peak over looks in the order of time; at most ten thousand of them, evenly spaced."""
    if context.in_time is None:
        return update(DiscordantEvidence(), pairs.control_only, pairs.candidate_only)
    steps = np.asarray(signs)[context.in_time]
    steps = steps[steps != 0]
    if not len(steps):
        return DiscordantEvidence()
    looks = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _MOST_LOOKS)).astype(np.int64))
    candidates = np.cumsum(steps > 0)[looks]
    seen = zip((looks + 1 - candidates).tolist(), candidates.tolist(), strict=True)
    peak = max(0.0, *(log_e(control, candidate) for control, candidate in seen))
    return DiscordantEvidence(pairs.control_only, pairs.candidate_only, peak)


def strata(rows: Rows, groups: Groups) -> tuple[Stratum, ...]:
    """Return the parts, those that lose most detections first."""
    cells = [Cells.of(counts) for counts in by_group(rows, groups).tolist()]
    p_values = [mcnemar(each.correct.control_only, each.correct.candidate_only).midp for each in cells]
    found = zip(groups.names, cells, p_values, holm(p_values), strict=True)
    return tuple(sorted((Stratum(*each) for each in found), key=lambda part: (-part.cells.lost, part.name)))
