"""From what is stored to what is analysed: nothing is lost, added or counted twice on the way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_shadow.analysis.question import Aim, Design
from chaffinch_shadow.analysis.rows import by_group, count
from chaffinch_shadow.api.evidence import needs_rows, observed, of_counts, of_pairs, question
from chaffinch_shadow.collect.evaluation import BadEvaluationError, Evaluation
from chaffinch_shadow.collect.tally import Tally
from chaffinch_stats.paired import Pairs

COUNTS = st.dictionaries(
    st.one_of(
        st.tuples(st.just("cell"), st.sampled_from(["", "login"]), st.sampled_from("01234567")),
        st.tuples(st.just("unlabelled"), st.sampled_from(["", "login"]), st.sampled_from("0123")),
    ),
    st.integers(1, 50),
)
STATES = ("positive", "negative", "pending", "missing")
PAIRS = st.lists(
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(STATES),
            "control": st.integers(0, 1),
            "candidate": st.integers(0, 1),
            "control_score": st.floats(0, 1),
            "candidate_score": st.floats(0, 1),
            "cluster": st.sampled_from([None, "a", "b"]),
            "stratum": st.sampled_from(["login", "other"]),
        }
    ),
    max_size=40,
)


def evaluation(**parts: Any) -> Evaluation:
    """An evaluation with these parts."""
    fields = {"uid": "6f0f5b5e-0000-4000-8000-000000000001", "generation": 1, "namespace": "shop", "name": "rules"}
    return Evaluation.model_validate({**fields, "control": "http://a:80", "candidate": "http://b:80", **parts})


WHOLE = evaluation(
    compare={
        "clusterBy": "header:x-client",
        "score": {"header": "x-score"},
        "strata": {"header": "x-route", "values": ["login"]},
    }
)


@given(COUNTS)
def test_rows_of_counts_have_these_counts(counts: dict[tuple[str, ...], int]) -> None:
    """In total and in every stratum, labelled or not."""
    tally = Tally(counts)
    rows = of_counts(tally)
    assert count(rows.label, rows.control, rows.candidate).counts == tally.cells
    assert rows.unlabelled == tally.unlabelled
    if rows.stratum is not None:
        expected = [tally.numbers("cell", name, width=8) for name in rows.stratum.names]
        assert by_group(rows, rows.stratum).tolist() == [list(cells) for cells in expected]


@given(PAIRS)
def test_rows_of_pairs_have_every_pair_once(pairs: list[dict[str, Any]]) -> None:
    """Those without a label count for agreement alone."""
    rows = of_pairs(pairs, WHOLE)
    labelled = [p for p in pairs if p["state"] in {"positive", "negative"}]
    assert len(rows.label) == len(labelled)
    assert sum(rows.unlabelled) == len(pairs) - len(labelled)
    assert rows.cluster is not None
    alone = sum(p["cluster"] is None for p in labelled)
    named = {p["cluster"] for p in labelled} - {None}
    assert len(rows.cluster.names) == alone + len(named)


def test_areas_need_every_score() -> None:
    """An area over some of the requests would be of other requests."""
    pair = {"state": "positive", "control": 1, "candidate": 0, "cluster": None, "stratum": "other"}
    both = {**pair, "control_score": 0.5, "candidate_score": 0.25}
    scores = of_pairs([both], WHOLE).scores
    assert scores is not None
    assert np.array_equal(scores.candidate, [0.25])
    assert of_pairs([both, {**both, "candidate_score": None}], WHOLE).scores is None


def test_the_file_asks_what_the_analysis_understands() -> None:
    """Decimals are exact where they must be."""
    hypothesis = {"test": "Superiority", "metric": "recall", "design": "FixedN", "prevalence": "0.01"}
    guardrails = [{"metric": "lostDetections", "maxIncrease": "0.02"}]
    asked = question(evaluation(hypothesis=hypothesis, guardrails=guardrails))
    assert (asked.aim, asked.metric, asked.design) == (Aim.SUPERIORITY, "recall", Design.FIXED_N)
    assert asked.prevalence is not None
    assert (asked.prevalence.numerator, asked.prevalence.denominator) == (1, 100)
    assert [(g.metric, g.limit) for g in asked.guardrails] == [("lostDetections", 0.02)]


def test_a_limit_is_a_ratio_or_an_increase() -> None:
    """As the metric asks; anything else is refused, and the field named."""
    asked = question(evaluation(guardrails=[{"metric": "latencyP99", "maxRatio": "1.5"}]))
    assert [(g.metric, g.limit) for g in asked.guardrails] == [("latencyP99", 1.5)]
    for limit in ({"maxIncrease": "0.5"}, {}, {"maxIncrease": "0.5", "maxRatio": "2"}):
        with pytest.raises(ValueError, match="latencyP99 needs maxRatio"):
            evaluation(guardrails=[{"metric": "latencyP99", **limit}])
    with pytest.raises(ValueError, match="mcc needs maxIncrease"):
        evaluation(guardrails=[{"metric": "mcc", "maxRatio": "2"}])


def test_an_answer_that_never_came_is_observed() -> None:
    """It is no latency but slower than any, and an error; one that was too large did come."""
    counts = {("error", "0"): 7, ("error", "1"): 2, ("error", "3"): 1, ("latency", "control", "40"): 7,
              ("latency", "candidate", "40"): 7, ("dropped", "CandidateTimedOut", "none"): 1,
              ("dropped", "CandidateAway", "1Ki"): 1, ("dropped", "CandidateAnswerTooLarge", "none"): 5,
              ("dropped", "ControlAway", "none"): 1}  # fmt: skip
    found = observed(Tally(counts))
    assert found.errors == Pairs(7, 2, 0, 1)
    assert found.control is not None
    assert found.candidate is not None
    assert (found.control.total, found.candidate.total) == (8, 9)
    assert found.candidate.at_most(40) == 7


@pytest.mark.parametrize("metric", ["speed", "MCC"])
def test_a_metric_that_there_is_not_is_named(metric: str) -> None:
    """When the service starts, not at the first question."""
    with pytest.raises(BadEvaluationError, match=metric):
        question(evaluation(hypothesis={"metric": metric}))


def test_single_pairs_are_read_only_where_they_are_needed() -> None:
    """Sums are enough without clusters and scores, however many requests there were."""
    assert not needs_rows(evaluation())
    assert needs_rows(WHOLE)
