"""The verdict: what promotes, holds, rejects and decides nothing, and why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_shadow.analysis.analyse import Analysis, analyse_cells
from chaffinch_shadow.analysis.claims import Claim, claim
from chaffinch_shadow.analysis.question import Aim, Design, Guardrail, Question
from chaffinch_shadow.analysis.verdict import Coverage, Kind, decide
from chaffinch_stats.paired import Cells, Metric, NotAvailable
from unit.stats.paired_data import CRS3_TO_CRS4, PL1_TO_PL2

BETTER = Cells((98_000, 100, 1000, 900, 300, 2_000, 0, 7_700))
"""Fewer false alarms, more detections, none lost."""


def judged(cells: Cells, expected: int | None = None, **asked: object) -> Analysis:
    """The analysis of cells under a question."""
    return analyse_cells(cells, Question(**asked), expected=expected)  # type: ignore[arg-type]


def kinds(of: Analysis) -> list[Kind]:
    """The reasons' words in order."""
    return [reason.kind for reason in of.reasons]


def test_a_better_candidate_is_promoted() -> None:
    """Guardrail kept, hypothesis shown, nothing lost."""
    found = judged(BETTER)
    assert found.verdict == "Promote"
    assert kinds(found) == [Kind.GUARDRAIL_KEPT, Kind.HYPOTHESIS_SHOWN]


def test_false_alarms_reject_what_every_average_praises() -> None:
    """PL1 to PL2 wins accuracy, kappa and MCC; it is rejected for its false alarms, and that reason comes first."""
    found = judged(PL1_TO_PL2)
    assert found.verdict == "Reject"
    assert found.reasons[0].kind == Kind.GUARDRAIL_BREACHED
    assert found.reasons[0].metric == "falsePositiveRate"
    assert found.reasons[0].value == pytest.approx(17 / 113)
    by_name = {each.metric: each.difference for each in found.metrics}
    assert all(by_name[m] > 0 for m in (Metric.ACCURACY, Metric.KAPPA, Metric.MCC))  # type: ignore[operator]


def test_lost_detections_are_never_netted() -> None:
    """902 detections gained do not pay for 104 lost: held until somebody has looked, unless so many may be lost."""
    found = judged(CRS3_TO_CRS4)
    assert found.verdict == "Hold"
    assert (found.reasons[0].kind, found.reasons[0].value) == (Kind.DETECTIONS_LOST, 104.0)
    assert judged(CRS3_TO_CRS4, max_lost=104).verdict == "Promote"


def test_a_guardrail_on_losses_replaces_the_look() -> None:
    """0.28 % of the detections are lost: kept under 0.5 %, breached at 0.1 %."""
    rails = (Guardrail("falsePositiveRate", 0.001),)
    kept, breached = ((*rails, Guardrail("lostDetections", limit)) for limit in (0.005, 0.001))
    assert judged(CRS3_TO_CRS4, guardrails=kept).verdict == "Promote"
    assert judged(CRS3_TO_CRS4, guardrails=breached).verdict == "Reject"
    none = (*rails, Guardrail("lostDetections", 0.0))
    assert judged(CRS3_TO_CRS4, guardrails=none).verdict == "Reject"
    assert judged(BETTER, guardrails=none).verdict == "Promote"


def test_a_refuted_hypothesis_rejects() -> None:
    """MCC worse by more than the margin, whatever the guardrails say."""
    found = judged(BETTER.swapped, guardrails=())
    assert found.verdict == "Reject"
    assert found.reasons[0].kind == Kind.HYPOTHESIS_REFUTED


def test_too_few_requests_decide_nothing() -> None:
    """A small sample shows neither side of a margin."""
    found = judged(Cells((90, 1, 1, 5, 1, 2, 0, 10)))
    assert found.verdict == "Inconclusive"
    assert set(kinds(found)) <= {Kind.GUARDRAIL_UNDECIDED, Kind.HYPOTHESIS_UNDECIDED}


def test_superiority_asks_for_more() -> None:
    """The same versions are as good as each other, and neither is better."""
    same = Cells((98_000, 50, 50, 900, 300, 0, 0, 9_700))
    assert judged(same, guardrails=()).verdict == "Promote"
    assert judged(same, guardrails=(), aim=Aim.SUPERIORITY, margin=0.0).verdict == "Inconclusive"
    assert judged(BETTER, aim=Aim.SUPERIORITY, margin=0.01).verdict == "Promote"


@pytest.mark.parametrize(
    ("cells", "expected", "asked", "kind"),
    [
        (Cells(), None, {}, Kind.NO_LABELS),
        (BETTER, 120_000, {}, Kind.COVERAGE_LOW),
        (Cells((9, 1, 1, 9, 0, 0, 0, 0)), None, {}, Kind.NOT_AVAILABLE),
    ],
)
def test_damaged_evidence_is_inconclusive(
    cells: Cells, expected: int | None, asked: dict[str, object], kind: Kind
) -> None:
    """No label, too few of the requests, a label class absent: Inconclusive, with the reason."""
    found = judged(cells, expected, **asked)
    assert found.verdict == "Inconclusive"
    assert kind in kinds(found)


def test_immature_labels_are_inconclusive() -> None:
    """Half of the requests have labels where nine in ten are asked for."""
    question = Question(min_labelled=0.9)
    within = Claim("mcc", 0.01, 0.0, 1.0, 0.0)
    verdict, reasons = decide(question, BETTER, Coverage(BETTER.total, 2 * BETTER.total), within, (within,))
    assert verdict == "Inconclusive"
    assert reasons[0].kind == Kind.LABELS_IMMATURE


def test_damage_outweighs_a_breach() -> None:
    """When requests are missing, even a breach is not told as a verdict, but it is among the reasons."""
    found = judged(PL1_TO_PL2, 60_000)
    assert found.verdict == "Inconclusive"
    assert Kind.GUARDRAIL_BREACHED in kinds(found)


def test_breaches_are_corrected_over_the_guardrails() -> None:
    """P of .03 is a breach for one guardrail, and not for two (Holm)."""
    question = Question(guardrails=(Guardrail("recall", 0.0), Guardrail("falsePositiveRate", 0.0)))
    shown = Claim("mcc", 0.01, -0.1, 1.0, 0.0)
    claims = (Claim("recall", 0.0, 0.1, 0.03, 0.97), Claim("falsePositiveRate", 0.0, -0.1, 1.0, 0.0))
    two = decide(question, BETTER, Coverage(1, 1), shown, claims)
    one = decide(Question(guardrails=(Guardrail("recall", 0.0),)), BETTER, Coverage(1, 1), shown, claims[:1])
    assert (one[0], two[0]) == ("Reject", "Inconclusive")


def test_looks_at_any_time_ask_for_more() -> None:
    """Always-valid p-values are never below those for one look."""
    rails = [("falsePositiveRate", 0.01), ("mcc", 0.01), ("lostDetections", 0.003), ("accuracy", 0.001)]
    for metric, limit in rails:
        once, any_time = (claim(metric, limit, CRS3_TO_CRS4, Question(design=design)) for design in Design)
        assert isinstance(once, Claim)
        assert isinstance(any_time, Claim)
        assert any_time.p_worse >= once.p_worse
        assert any_time.p_within >= once.p_within


CELLS = st.builds(Cells, st.tuples(*[st.integers(0, 400)] * 8))


@settings(deadline=None, max_examples=60)
@given(CELLS)
def test_a_verdict_has_its_reason(cells: Cells) -> None:
    """Whatever the counts there is a verdict with a reason of its kind, and Promote has nothing undecided or lost."""
    found = judged(cells)
    said = set(kinds(found))
    if found.verdict == "Promote":
        assert said == {Kind.GUARDRAIL_KEPT, Kind.HYPOTHESIS_SHOWN}
    if found.verdict == "Reject":
        assert said & {Kind.GUARDRAIL_BREACHED, Kind.HYPOTHESIS_REFUTED}
    if found.verdict == "Hold":
        assert found.cells.lost > 0


@settings(deadline=None, max_examples=60)
@given(CELLS, st.sampled_from(["recall", "falsePositiveRate", "mcc", "f1"]), st.sampled_from([0.0, 0.01, 0.2]))
def test_only_one_side_of_a_limit_is_shown(cells: Cells, metric: str, limit: float) -> None:
    """No claim is both exceeded and kept at 5 %."""
    found = claim(metric, limit, cells, Question())
    assert isinstance(found, NotAvailable) or not (found.p_worse <= 0.05 and found.p_within <= 0.05)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"margin": 1.0}, "margin"),
        ({"alpha": 0.0}, "alpha"),
        ({"planned": 0}, "planned"),
        ({"min_labelled": 2.0}, "min-labelled"),
        ({"max_lost": -1}, "max-lost"),
        ({"guardrails": (Guardrail("recall", 0.1), Guardrail("recall", 0.2))}, "different metrics"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(wrong: dict[str, object], said: str) -> None:
    """The field is named."""
    with pytest.raises(ValueError, match=said):
        Question(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("metric", "limit", "said"), [("area", 0.1, "no metric"), ("recall", 1.0, "below 1")])
def test_a_guardrail_that_makes_no_sense_is_refused(metric: str, limit: float, said: str) -> None:
    """Its metric must exist, and its limit be a share."""
    with pytest.raises(ValueError, match=said):
        Guardrail(metric, limit)
