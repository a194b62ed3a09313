"""What a person can do next."""

from typing import Any

import pytest

from chaffinch_operator.cli.hints import hints
from chaffinch_operator.cli.rollout import rollout_of
from chaffinch_operator.cli.show_explain import next_sentences
from chaffinch_operator.cli.show_status import Look
from unit.cli.builders import NOW, ago, at_rest, gate, rejected, rollout, status


def _stalled(reason: str) -> dict[str, Any]:
    return status(
        "Wait",
        reason,
        conditions=[
            {
                "type": "Stalled",
                "status": "True",
                "reason": reason,
                "message": "",
                "observedGeneration": 3,
                "lastTransitionTime": "",
            }
        ],
    )


@pytest.mark.parametrize(
    ("values", "commands"),
    [
        (status(), ["pause checkout", "abort checkout"]),
        (status("Pause", "ApprovalRequired"), ["promote checkout", "abort checkout"]),
        (status("Pause", "Paused"), ["promote checkout", "abort checkout"]),
        (status(pausedByUser=True), ["resume checkout", "abort checkout"]),
        (status("Hold", "InsufficientEvidence"), ["promote checkout --force", "abort checkout"]),
        (rejected(), ["explain checkout", "retry checkout", "promote checkout --force"]),
        (at_rest(), []),
        (status("Promote", "GatesPassed"), []),
        (_stalled("ServiceNotFound"), []),
    ],
)
def test_each_situation_has_its_moves(values: dict[str, Any], commands: list[str]) -> None:
    """Likeliest first, and none that the operator would refuse."""
    moves = hints(rollout_of(rollout(status=values)))
    assert [m.command.removeprefix("kubectl chaffinch ") for m in moves if m.command] == commands


def test_a_command_finds_the_same_object() -> None:
    """It carries the namespace and context that were given."""
    [first, _] = hints(rollout_of(rollout(status=status())), " -n shop --context prod")
    assert first.command == "kubectl chaffinch pause checkout -n shop --context prod"


def test_a_deletion_that_hangs_leads_to_cleanup() -> None:
    """The operator may be gone."""
    [hint] = hints(rollout_of(rollout(status=status(), deletionTimestamp=ago())))
    assert hint.command == "kubectl chaffinch cleanup checkout"


@pytest.mark.parametrize(
    ("reason", "text"),
    [("StrategyRecreate", "RollingUpdate"), ("ServiceNotFound", "create the Service"), ("NameTaken", "repair what")],
)
def test_what_stalls_it_names_the_repair(reason: str, text: str) -> None:
    """Known reasons have a repair of their own."""
    [hint] = hints(rollout_of(rollout(status=_stalled(reason))))
    assert text in hint.text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (status(gates=[gate("errors", "Pass")]), "Before it is promoted it needs 2 more steps."),
        (status(step={"index": 2}, gates=[gate("errors")]), "1 more step and a verdict of the gate errors."),
        (
            status("Hold", "InsufficientEvidence", gates=[gate("errors"), gate("slo")]),
            "it needs a verdict of the gates errors and slo.",
        ),
        (status("Hold", "InsufficientEvidence", gates=[gate("errors", "Pass")]), "Next, the candidate is promoted."),
        (status("Promote", "GatesPassed"), "Next, the Deployment rolls to the candidate"),
        (status("RollBack", "GateFailed"), "Next, the weight is read back as zero"),
        (at_rest(), "Change the template of deployment/checkout"),
    ],
)
def test_what_happens_next_is_said(values: dict[str, Any], text: str) -> None:
    """By itself, or by a person."""
    assert any(text in sentence for sentence in next_sentences(rollout_of(rollout(status=values)), Look(NOW)))
