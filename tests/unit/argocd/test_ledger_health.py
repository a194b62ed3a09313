"""Health of a CreditsLedger in Argo CD: by the status that the operator writes, and before there is one."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from chaffinch_operator.credits.decide import Decision, Stage
from chaffinch_operator.credits.reasons import STALLED, Reason
from chaffinch_operator.credits.report import told
from chaffinch_operator.credits.status import CreditsLedgerStatus
from chaffinch_operator.schema import compact
from unit.credits_slice.builders import NOW

Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]
HEALTH = "../CreditsLedger/health.lua"


def ledger(reason: Reason, seen: int = 3) -> dict[str, Any]:
    """A CreditsLedger of generation 3, as it is after a pass."""
    status = told(CreditsLedgerStatus(), Decision(Stage.SERVE, reason, "because"), seen, NOW)
    return {"metadata": {"generation": 3}, "spec": {}, "status": compact(status)}


@pytest.mark.parametrize("reason", Reason)
def test_health_follows_the_conditions(reason: Reason, run: Run) -> None:
    """Healthy while it serves, Degraded while a person is waited for, else Progressing; always with the message."""
    expected = "Healthy" if reason is Reason.SERVING else "Degraded" if reason in STALLED else "Progressing"
    assert run(HEALTH, ledger(reason)) == {"status": expected, "message": "because"}


@pytest.mark.parametrize("obj", [{"metadata": {}}, {"metadata": {}, "status": {}}, ledger(Reason.SERVING, seen=2)])
def test_what_the_operator_has_not_seen_is_in_progress(obj: Mapping[str, Any], run: Run) -> None:
    """No status, an empty one, and one of an older generation."""
    assert run(HEALTH, obj)["status"] == "Progressing"
