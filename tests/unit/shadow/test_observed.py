"""Guardrails on errors, latency and areas: what is kept, what is breached, and that chance alone breaches nothing."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_shadow.analysis import delong
from chaffinch_shadow.analysis.analyse import analyse_rows
from chaffinch_shadow.analysis.claims import Claim
from chaffinch_shadow.analysis.observed import Evidence, Latencies, Observed, guard
from chaffinch_shadow.analysis.question import Design, Guardrail, Question
from chaffinch_shadow.analysis.rows import Floats, Rows, Scores
from chaffinch_shadow.analysis.verdict import Kind
from chaffinch_shadow.collect.latency import bin_of, lower_limit, quantile, upper_limit
from chaffinch_shadow.document import document
from chaffinch_stats.paired import Cells, NotAvailable, Pairs

ANY_TIME = Question(design=Design.ALWAYS_VALID)
NONE = np.array([], dtype=np.bool_)
NO_ROWS = Rows(NONE, NONE, NONE)
RATIO = Guardrail("latencyP99", 1.5)
ERRORS = Guardrail("errorRate", 0.001)


def histogram(micros: Floats, unanswered: int = 0) -> Latencies:
    """Latencies in the collector's bins."""
    bins, counts = np.unique([bin_of(int(each)) for each in micros], return_counts=True)
    limits = [(lower_limit(int(index)), upper_limit(int(index)), int(n)) for index, n in zip(bins, counts, strict=True)]
    return Latencies(limits, unanswered)


def slow(factor: float, size: int = 4000, unanswered: int = 0, seed: int = 1) -> Observed:
    """A candidate that takes `factor` times as long, on the same requests."""
    work = np.random.default_rng(seed).lognormal(9.0, 0.5, size)
    return Observed(control=histogram(work), candidate=histogram(factor * work, unanswered))


def claimed(guardrail: Guardrail, observed: Observed, question: Question = ANY_TIME) -> Claim:
    """The claim, which there is."""
    found = guard(guardrail, Evidence(Cells(), observed=observed), question)
    assert isinstance(found, Claim)
    return found


@pytest.mark.parametrize("design", list(Design))
def test_latency_is_kept_or_breached(design: Design) -> None:
    """At a limit of 1.5 an equal candidate keeps it, one of twice the latency breaches it, 1.5 itself is neither."""
    asked = replace(ANY_TIME, design=design)
    kept, breached, at_limit = (claimed(RATIO, slow(factor), asked) for factor in (1.0, 2.0, 1.5))
    assert [kept.harm, breached.harm] == pytest.approx([1.0, 2.0], rel=0.04)
    assert (kept.p_within < 0.05, kept.p_worse) == (True, 1.0)
    assert (breached.p_worse < 0.05, breached.p_within) == (True, 1.0)
    assert min(at_limit.p_worse, at_limit.p_within) > 0.05


def test_an_answer_that_never_came_is_the_slowest() -> None:
    """Two in a hundred time out: the rest may be as quick as they like."""
    found = claimed(RATIO, slow(0.5, unanswered=80))
    assert math.isinf(found.harm)
    assert found.p_worse < 0.05
    silent = Observed(control=histogram(np.array([9.0]), 99), candidate=histogram(np.array([9.0])))
    assert isinstance(guard(RATIO, Evidence(Cells(), observed=silent), ANY_TIME), NotAvailable)


@pytest.mark.parametrize("design", list(Design))
def test_chance_breaches_nothing(design: Design) -> None:
    """Independent latencies with percentiles just at the limit: either side is claimed in at most 5 % of 100 runs."""
    rng, asked = np.random.default_rng(7), replace(ANY_TIME, design=design, planned=2000)
    worse = within = 0
    for _ in range(100):
        control, candidate = (rng.lognormal(9.0, 0.6, 2000) for _ in range(2))
        found = claimed(RATIO, Observed(control=histogram(control), candidate=histogram(1.5 * candidate)), asked)
        worse += found.p_worse <= 0.05
        within += found.p_within <= 0.05
    assert max(worse, within) <= 5


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60), st.integers(0, 3), st.integers(0, 10**7))
def test_bins_err_to_the_safe_side(micros: list[int], unanswered: int, at: int) -> None:
    """Below counts too few and at_most too many, never the other way; the percentile is that of the collector."""
    found = histogram(np.array(micros), unanswered)
    assert found.below(at) <= sum(each < at for each in micros)
    assert found.at_most(at) >= sum(each <= at for each in micros)
    assert found.at_most(math.inf) == found.total == len(micros) + unanswered
    if not unanswered:
        bins: dict[int, int] = {}
        for each in micros:
            bins[bin_of(each)] = bins.get(bin_of(each), 0) + 1
        assert found.p99 == quantile(bins, Fraction(99, 100))


def test_errors_are_paired() -> None:
    """Errors on the same requests are no harm; 40 more in 10,000 breach one in a thousand; none are within it."""
    shared, more, none = (
        Observed(Pairs(*counts)) for counts in ((9900, 0, 0, 100), (9960, 40, 0, 0), (20000, 0, 0, 0))
    )
    fixed = replace(ANY_TIME, design=Design.FIXED_N)
    assert claimed(ERRORS, shared, fixed).harm == 0.0
    assert claimed(ERRORS, shared, fixed).p_within < 0.05
    assert claimed(ERRORS, more).p_worse < 0.05
    assert claimed(ERRORS, none, fixed).p_within < 0.05


@pytest.mark.parametrize(("failing", "copies"), [(1.0, 100), (0.2, 250)])
def test_a_crash_is_seen_soon(failing: float, copies: int) -> None:
    """Looked at at any time, with limits of a thousandth and a hundredth."""
    broken = round(failing * copies)
    seen = Observed(Pairs(copies - broken, broken, 0, 0))
    for limit in (0.001, 0.01):
        assert claimed(Guardrail("errorRate", limit), seen).p_worse <= 0.05


def test_a_breach_needs_no_label() -> None:
    """A crashing candidate is rejected without a label and without the pairs that it lost, and that is said first."""
    asked = replace(ANY_TIME, guardrails=(ERRORS,))
    found = analyse_rows(NO_ROWS, asked, expected=10_000, observed=Observed(Pairs(5000, 5000, 0, 0)))
    assert found.verdict == "Reject"
    assert [each.kind for each in found.reasons[:2]] == [Kind.GUARDRAIL_BREACHED, Kind.NO_LABELS]
    kept = analyse_rows(NO_ROWS, asked, observed=Observed(Pairs(10_000, 0, 0, 0)))
    assert kept.verdict == "Inconclusive"


def test_what_was_not_observed_decides_nothing() -> None:
    """Rows alone tell neither errors nor latency: the guardrail has no value, and it says why."""
    found = analyse_rows(NO_ROWS, replace(ANY_TIME, guardrails=(ERRORS, RATIO)))
    messages = [each.message for each in found.reasons if each.kind is Kind.NOT_AVAILABLE and each.metric != "mcc"]
    assert messages == [
        "There is no value for guardrail errorRate: nobody counted errors here.",
        "There is no value for guardrail latencyP99: there are no latencies of both versions.",
    ]


def test_the_document_has_no_infinite_number() -> None:
    """JSON knows none; the sentence says what it means."""
    asked = replace(ANY_TIME, guardrails=(RATIO,))
    found = document(analyse_rows(NO_ROWS, asked, observed=slow(1.0, unanswered=400)))
    assert isinstance(found["reasons"], list)
    reason = found["reasons"][0]
    assert isinstance(reason, dict)
    assert (reason["value"], reason["limit"]) == ("NotAvailable", 1.5)
    assert "never came" in str(reason["message"])
    question = found["question"]
    assert isinstance(question, dict)
    assert question["guardrails"] == [{"metric": "latencyP99", "maxRatio": 1.5}]


def test_areas_are_guarded_where_there_are_scores() -> None:
    """A candidate that ranks by chance loses its area; without scores there is no value."""
    rng = np.random.default_rng(3)
    label = rng.random(4000) < 0.3
    good, chance = label + rng.normal(size=4000), rng.normal(size=4000)
    guardrail, cells = Guardrail("auc", 0.05), Cells((2800, 0, 0, 0, 0, 0, 0, 1200))
    for candidate, breached in ((chance, True), (good + 0.01 * chance, False)):
        auc = delong.binned(label, Scores(good, candidate))
        found = guard(guardrail, Evidence(cells, auc), ANY_TIME)
        assert isinstance(found, Claim)
        assert (found.p_worse < 0.05, found.p_within < 0.05) == (breached, not breached)
    assert isinstance(guard(guardrail, Evidence(cells), ANY_TIME), NotAvailable)


@pytest.mark.parametrize(("metric", "limit"), [("latencyP99", 0.5), ("latencyP99", 101.0), ("errorRate", 1.0)])
def test_a_limit_out_of_range_is_refused(metric: str, limit: float) -> None:
    """A ratio below 1 asks for a candidate that is quicker; a rate cannot rise by all of it."""
    with pytest.raises(ValueError, match=f"the limit of {metric}"):
        Guardrail(metric, limit)
