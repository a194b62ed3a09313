"""A canary starts only of a candidate that was shown to be as good, where spec.prerequisites asks for that."""

from datetime import timedelta
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.children import workload
from unit.canary.builders import NOW, Scene, scene, template

CONCLUDED = (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def evaluation(verdict: str = "Promote", version: str = "v2", **changes: Any) -> dict[str, Any]:
    """A ShadowEvaluation that is over, about a version."""
    status = {
        "run": {"generation": 3, "concludedAt": CONCLUDED},
        "verdict": verdict,
        "candidate": {"digest": workload.digest(template(version)), "images": [f"shop/web:{version}"]},
        "lastDecision": {"reason": "Concluded"},
    }
    return {"metadata": {"generation": 3}, "status": {**status, **changes}}


def asked(found: dict[str, Any] | None, **ref: str) -> Scene:
    """v2 is held, and an evaluation is asked for."""
    spec = {"prerequisites": {"shadowEvaluationRef": {"name": "rules", **ref}}}
    return scene().spec(**spec).held("v2").world(evaluation=found)


def test_a_promote_of_the_same_candidate_lets_it_start() -> None:
    """As if nothing had been asked for."""
    assert asked(evaluation()).decide().state.last_decision.action is Action.START


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "there is no ShadowEvaluation rules: create it"),
        (evaluation("Reject"), "says Reject, not Promote"),
        (evaluation("Hold"), "says Hold, not Promote"),
        (evaluation(version="v3"), "was about another candidate (shop/web:v3)"),
        (evaluation(candidate={}), "was about another candidate (no one Deployment)"),
        (evaluation(run={"generation": 3}, lastDecision={"reason": "Collecting"}), "no final verdict yet (Collecting)"),
        (evaluation(run={"generation": 2, "concludedAt": CONCLUDED}), "no final verdict yet"),
        ({"metadata": {"generation": 1}}, "not seen by the operator yet"),
    ],
)
def test_without_it_the_candidate_waits_and_says_for_what(found: dict[str, Any] | None, words: str) -> None:
    """No canary is started; the field and the way round are named."""
    last = asked(found).decide().state.last_decision
    assert (last.action, last.reason) == (Action.WAIT, Reason.PREREQUISITE_NOT_MET)
    assert words in last.message
    assert "spec.prerequisites.shadowEvaluationRef" in last.message
    assert "promote --force" in last.message


@pytest.mark.parametrize(("age", "action"), [("2h", Action.START), ("30m", Action.WAIT)])
def test_a_verdict_grows_old(age: str, action: Action) -> None:
    """What was true of last week's traffic says little about today's."""
    assert asked(evaluation(), maxAge=age).decide().state.last_decision.action is action


def test_a_person_may_release_it_all_the_same() -> None:
    """By force, as always."""
    last = asked(evaluation("Reject")).ask("promote-force").decide().state.last_decision
    assert (last.action, last.reason) == (Action.RELEASE, Reason.PROMOTED_BY_USER)


def test_a_way_back_needs_no_evaluation() -> None:
    """A template that is stable's again is released at once."""
    last = asked(None).held("v1").decide().state.last_decision
    assert (last.action, last.reason) == (Action.RELEASE, Reason.REVERTED)
