"""Actions of a CanaryRollout in Argo CD: which are offered when, and what they ask of the operator."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator.canary import requests
from chaffinch_operator.canary.flow import Context
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.snapshot import Service, Snapshot, Target
from chaffinch_operator.canary.status import CanaryRolloutStatus, Revision
from chaffinch_operator.crdgen.argocd import VERBS

Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]
ARGOCD = Path(__file__).parents[3] / "manifests/argocd"
SPEC = CanaryRolloutSpec.model_validate(
    {
        "targetRef": {"name": "shop"},
        "serviceRef": {"name": "shop", "port": 80},
        "trafficRouting": {"replicas": {}},
        "analysis": {},
    }
)
IN_FLIGHT = {"promote-force", "abort"}


def rollout(
    action: Action, reason: Reason = Reason.ANALYZING, *, paused: bool = False, candidate: bool = True
) -> dict[str, Any]:
    """A CanaryRollout after this decision."""
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "lastDecision": {"action": str(action), "reason": str(reason)},
        "pausedByUser": paused,
    }
    if candidate:
        status["candidate"] = {"digest": "d"}
    return {"metadata": {"name": "shop", "resourceVersion": "42"}, "status": status}


def context(status: Mapping[str, Any], request: str) -> Context:
    """What the operator knows when the request arrives and a template is held."""
    target = Target(
        name="shop",
        uid="u",
        resource_version="1",
        template={"metadata": {"labels": {"app": "shop"}}},
        revision=Revision(digest="d"),
        selector={},
        replicas=1,
        paused=True,
        recreate=False,
        settled=True,
        stuck="",
    )
    service = Service(resource_version="1", selector={"app": "shop"}, target_port=8080, port_name="", ports=(80,))
    snap = Snapshot(
        name="shop", namespace="default", uid="u", generation=1, request=request, target=target, service=service
    )
    return Context(SPEC, CanaryRolloutStatus.model_validate(status), snap, (), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        pytest.param(rollout(Action.IDLE, Reason.PROMOTED, candidate=False), set(), id="idle"),
        pytest.param(rollout(Action.START), IN_FLIGHT, id="starting"),
        pytest.param(rollout(Action.SHIFT), IN_FLIGHT | {"pause"}, id="analyzing"),
        pytest.param(rollout(Action.HOLD, Reason.INSUFFICIENT_EVIDENCE), IN_FLIGHT | {"pause"}, id="holding"),
        pytest.param(
            rollout(Action.PAUSE, Reason.APPROVAL_REQUIRED), IN_FLIGHT | {"promote"}, id="waiting for approval"
        ),
        pytest.param(
            rollout(Action.PAUSE, Reason.PAUSED_BY_USER, paused=True), IN_FLIGHT | {"resume"}, id="paused by a person"
        ),
        pytest.param(rollout(Action.PAUSE, Reason.PAUSED_BY_ALERT), IN_FLIGHT | {"resume"}, id="paused by an alert"),
        pytest.param(rollout(Action.PROMOTE, Reason.GATES_PASSED), set(), id="promoting"),
        pytest.param(
            rollout(Action.PROMOTE, Reason.PROMOTION_INTERRUPTED), {"promote-force"}, id="promotion overtaken"
        ),
        pytest.param(rollout(Action.ROLL_BACK, Reason.GATE_FAILED), set(), id="rolling back"),
        pytest.param(rollout(Action.REJECTED, Reason.ROLLED_BACK), {"promote-force", "retry"}, id="rolled back"),
        pytest.param(rollout(Action.WAIT, Reason.PROVIDER_UNREACHABLE), {"promote-force"}, id="a held template waits"),
        pytest.param(rollout(Action.WAIT, Reason.TARGET_NOT_FOUND, candidate=False), set(), id="nothing to release"),
        pytest.param({"metadata": {}}, set(), id="no status"),
        pytest.param({"metadata": {}, "status": {}}, set(), id="empty status"),
    ],
)
def test_only_what_makes_sense_is_offered(state: Mapping[str, Any], offered: set[str], run: Run) -> None:
    """All six are listed, and those that the operator would refuse are greyed out."""
    found = run("actions/discovery.lua", state)
    assert found.keys() == set(VERBS)
    assert {name for name, action in found.items() if not action["disabled"]} == offered


@pytest.mark.parametrize("reason", [Reason.PAUSED_BY_USER, Reason.PAUSED_BY_ALERT, Reason.ANALYZING])
@pytest.mark.parametrize("action", list(Action))
def test_the_operator_accepts_what_is_offered(action: Action, reason: Reason, run: Run) -> None:
    """With a held template, no action is offered that the operator would then refuse."""
    state = rollout(action, reason, paused=reason is Reason.PAUSED_BY_USER)
    found = run("actions/discovery.lua", state)
    for verb in (name for name, offer in found.items() if not offer["disabled"]):
        answered = requests.answer(context(state["status"], f"{verb}@1")).status.last_action
        assert answered is not None
        assert answered.accepted, answered.message


@pytest.mark.parametrize("verb", VERBS)
def test_an_action_writes_the_annotation_and_nothing_else(verb: str, run: Run) -> None:
    """An action is one annotation, as `kubectl chaffinch` writes it."""
    before = rollout(Action.SHIFT)
    after = run(f"actions/{verb}/action.lua", before)
    assert after["metadata"].pop("annotations") == {"chaffinch.dev/action": f"{verb}@42"}
    assert after == before


def test_an_action_keeps_other_annotations(run: Run) -> None:
    """What others wrote stays; an older request is replaced."""
    state = rollout(Action.SHIFT)
    state["metadata"]["annotations"] = {"team": "shop", "chaffinch.dev/action": "pause@1"}
    after = run("actions/abort/action.lua", state)
    assert after["metadata"]["annotations"] == {"team": "shop", "chaffinch.dev/action": "abort@42"}


def test_the_config_map_holds_the_scripts_word_for_word() -> None:
    """The fragment of argocd-cm that people apply has the very files that are tested here."""
    data = yaml.safe_load((ARGOCD / "argocd-cm.yaml").read_text())["data"]
    scripts = ARGOCD / "chaffinch.dev/CanaryRollout"
    actions = yaml.safe_load(data["resource.customizations.actions.chaffinch.dev_CanaryRollout"])
    assert data["resource.customizations.health.chaffinch.dev_CanaryRollout"] == (scripts / "health.lua").read_text()
    assert actions["discovery.lua"] == (scripts / "actions/discovery.lua").read_text()
    assert {item["name"]: item["action.lua"] for item in actions["definitions"]} == {
        verb: (scripts / f"actions/{verb}/action.lua").read_text() for verb in VERBS
    }


def test_the_sandbox_is_as_bare_as_argo_cds(run: Run) -> None:
    """The tests above would not notice a forbidden library otherwise."""
    with pytest.raises(Exception, match="index"):
        run("../../../../tests/unit/argocd/uses_string.lua", {})
