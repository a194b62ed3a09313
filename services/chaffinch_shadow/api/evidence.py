"""From stored pairs to the rows that the analysis takes, and from an evaluation's file to its question. Pure."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from chaffinch_shadow.analysis.observed import Latencies, Observed
from chaffinch_shadow.analysis.question import Aim, Design, Guardrail, Question
from chaffinch_shadow.analysis.rows import Groups, Rows, Scores
from chaffinch_shadow.collect.evaluation import BadEvaluationError, Evaluation
from chaffinch_shadow.collect.latency import lower_limit, upper_limit
from chaffinch_shadow.collect.tally import CELLS, PAIRS, Tally
from chaffinch_shadow.collect.words import Failure, candidate_drop, control_drop
from chaffinch_stats.paired import Metric, Pairs

_LABELS = {"positive": True, "negative": False}
_NEVER_CAME = (Failure.TIMED_OUT, Failure.AWAY, Failure.BROKE_OFF)


def question(of: Evaluation) -> Question:
    """What the file asks. BadEvaluationError names what cannot be asked."""
    asked = of.hypothesis
    try:
        return Question(
            aim=Aim(asked.test),
            metric=Metric(asked.metric),
            margin=float(asked.margin),
            alpha=float(asked.alpha),
            design=Design(asked.design),
            planned=asked.planned,
            prevalence=None if asked.prevalence is None else Fraction(asked.prevalence),
            guardrails=tuple(Guardrail(each.metric, float(each.limit)) for each in of.guardrails),
        )
    except ValueError as problem:
        raise BadEvaluationError(f"hypothesis, guardrails: {problem}") from problem


def needs_rows(of: Evaluation) -> bool:
    """Whether single pairs are needed: clusters and scores are not in the sums."""
    return of.compare.cluster_by is not None or of.compare.score is not None


def of_counts(tally: Tally) -> Rows:
    """Rows that have these counts, by stratum."""
    names = tally.strata
    cells = np.array([tally.numbers("cell", name, width=CELLS) for name in names], dtype=np.int64).reshape(-1)
    codes = np.repeat(np.arange(cells.size, dtype=np.int64), cells)
    cell = codes % CELLS
    neither, candidate_only, control_only, both = tally.unlabelled
    return Rows(
        label=(cell & 4) > 0,
        control=(cell & 2) > 0,
        candidate=(cell & 1) > 0,
        unlabelled=(neither, candidate_only, control_only, both),
        stratum=Groups(codes // CELLS, names) if len(names) > 1 else None,
    )


def observed(tally: Tally) -> Observed:
    """Errors and latencies, which need no label."""
    neither, candidate_only, control_only, both = tally.numbers("error", width=PAIRS)

    def latencies(version: str, drop: Callable[[Failure], str]) -> Latencies:
        bins = {int(key[0]): n for key, n in tally.under("latency", version).items()}
        never = sum(n for failure in _NEVER_CAME for n in tally.under("dropped", drop(failure)).values())
        return Latencies(((lower_limit(index), upper_limit(index), n) for index, n in bins.items()), never)

    return Observed(
        Pairs(neither, candidate_only, control_only, both),
        latencies("control", control_drop),
        latencies("candidate", candidate_drop),
    )


def of_pairs(found: Sequence[Mapping[str, Any]], of: Evaluation) -> Rows:
    """Rows of stored pairs: state of the label, verdicts, scores, cluster and stratum."""
    labelled = [row for row in found if row["state"] in _LABELS]
    others = [2 * row["control"] + row["candidate"] for row in found if row["state"] not in _LABELS]
    neither, candidate_only, control_only, both = np.bincount(
        np.array(others, dtype=np.int64), minlength=PAIRS
    ).tolist()
    return Rows(
        label=np.array([_LABELS[row["state"]] for row in labelled], dtype=np.bool_),
        control=np.array([row["control"] for row in labelled], dtype=np.bool_),
        candidate=np.array([row["candidate"] for row in labelled], dtype=np.bool_),
        unlabelled=(neither, candidate_only, control_only, both),
        scores=_scores(labelled) if of.compare.score is not None else None,
        cluster=_groups(_alone(row["cluster"] for row in labelled)) if of.compare.cluster_by is not None else None,
        stratum=_groups([row["stratum"] for row in labelled]) if of.compare.strata is not None else None,
    )


def _scores(labelled: Sequence[Mapping[str, Any]]) -> Scores | None:
    """None unless every labelled pair has both: an area over some of them would be of other requests."""
    pairs = [(row["control_score"], row["candidate_score"]) for row in labelled]
    if not pairs or any(score is None for pair in pairs for score in pair):
        return None
    control, candidate = np.array(pairs, dtype=np.float64).T
    return Scores(np.ascontiguousarray(control), np.ascontiguousarray(candidate))


def _alone(names: Iterable[str | None]) -> list[Hashable]:
    """A request without a client is a cluster of its own."""
    return [number if name is None else name for number, name in enumerate(names)]


def _groups(keys: Sequence[Hashable]) -> Groups:
    places: dict[Hashable, int] = {}
    codes = np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)
    return Groups(codes, tuple(map(str, places)))
