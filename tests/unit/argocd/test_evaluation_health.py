"""Health of a ShadowEvaluation in Argo CD: by the status that the operator writes, and before there is one."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from chaffinch_operator.schema import compact
from chaffinch_operator.shadow.decide import Decision, Stage
from chaffinch_operator.shadow.reasons import AT_REST, STALLED, Reason
from chaffinch_operator.shadow.report import told
from chaffinch_operator.shadow.status import ShadowEvaluationStatus
from unit.shadow_slice.builders import NOW

Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]
HEALTH = "../ShadowEvaluation/health.lua"


def evaluation(reason: Reason, seen: int = 3, verdict: str = "") -> dict[str, Any]:
    """A ShadowEvaluation of generation 3, as it is after a pass."""
    before = ShadowEvaluationStatus(verdict=verdict)
    status = told(before, Decision(Stage.SERVE, reason, "because"), seen, NOW)
    return {"metadata": {"generation": 3}, "spec": {}, "status": compact(status)}


@pytest.mark.parametrize("reason", Reason)
def test_health_follows_the_conditions(reason: Reason, run: Run) -> None:
    """Healthy while it collects and after, Degraded while a person is waited for, else Progressing."""
    expected = "Healthy" if reason in AT_REST else "Degraded" if reason in STALLED else "Progressing"
    assert run(HEALTH, evaluation(reason)) == {"status": expected, "message": "because"}


def test_a_rejected_candidate_is_degraded(run: Run) -> None:
    """Whoever put it into Git is to see it."""
    assert run(HEALTH, evaluation(Reason.CONCLUDED, verdict="Reject"))["status"] == "Degraded"
    assert run(HEALTH, evaluation(Reason.CONCLUDED, verdict="Promote"))["status"] == "Healthy"


@pytest.mark.parametrize(
    "obj", [{"metadata": {}}, {"metadata": {}, "status": {}}, evaluation(Reason.CONCLUDED, seen=2)]
)
def test_what_the_operator_has_not_seen_is_in_progress(obj: Mapping[str, Any], run: Run) -> None:
    """No status, an empty one, and one of an older generation."""
    assert run(HEALTH, obj)["status"] == "Progressing"
