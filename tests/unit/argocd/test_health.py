"""Health of a CanaryRollout in Argo CD: the state table of the design, and every half-written status."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import STALLED, Action, Reason

Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]
ARGO_STATES = {"Healthy", "Progressing", "Suspended", "Degraded"}


def condition(kind: str, status: str, message: str = "") -> dict[str, Any]:
    """One condition."""
    return {"type": kind, "status": status, "reason": "Any", "message": message}


def rollout(
    action: Action,
    reason: Reason,
    *,
    ready: str = "False",
    stalled: str | None = None,
    message: str = "because",
    suspend: bool = False,
) -> dict[str, Any]:
    """A CanaryRollout whose present generation the operator has seen."""
    conditions = [condition("Progressing", "True"), condition("Ready", ready, message)]
    if stalled:
        conditions.append(condition("Stalled", stalled, message))
    return {
        "metadata": {"generation": 3, "resourceVersion": "7"},
        "spec": {"suspend": suspend},
        "status": {
            "observedGeneration": 3,
            "conditions": conditions,
            "lastDecision": {"action": str(action), "reason": str(reason), "message": message},
        },
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(rollout(Action.IDLE, Reason.PROMOTED, ready="True"), "Healthy", id="idle or promoted"),
        pytest.param(rollout(Action.START, Reason.INITIALIZING), "Progressing", id="the canary is being started"),
        pytest.param(rollout(Action.SHIFT, Reason.STEP_WEIGHT), "Progressing", id="the weight is being applied"),
        pytest.param(rollout(Action.SHIFT, Reason.ANALYZING), "Progressing", id="analyzing"),
        pytest.param(rollout(Action.PAUSE, Reason.PAUSED), "Suspended", id="pause with a duration"),
        pytest.param(rollout(Action.PAUSE, Reason.APPROVAL_REQUIRED), "Suspended", id="approval required"),
        pytest.param(rollout(Action.PAUSE, Reason.PAUSED_BY_USER), "Suspended", id="paused by a person"),
        pytest.param(rollout(Action.HOLD, Reason.INSUFFICIENT_EVIDENCE), "Suspended", id="insufficient evidence"),
        pytest.param(rollout(Action.PROMOTE, Reason.GATES_PASSED), "Progressing", id="promoting"),
        pytest.param(rollout(Action.ROLL_BACK, Reason.GATE_FAILED), "Progressing", id="rolling back"),
        pytest.param(rollout(Action.REJECTED, Reason.ROLLED_BACK, stalled="True"), "Degraded", id="rolled back"),
        pytest.param(
            rollout(Action.REJECTED, Reason.ROLLED_BACK), "Degraded", id="rolled back, condition not yet written"
        ),
        pytest.param(rollout(Action.ABANDON, Reason.SUPERSEDED), "Progressing", id="superseded"),
        pytest.param(rollout(Action.RELEASE, Reason.KNOWN_REVISION), "Progressing", id="released without a canary"),
        pytest.param(rollout(Action.WAIT, Reason.TARGET_PROGRESSING), "Progressing", id="target in its own rollout"),
        pytest.param(rollout(Action.IDLE, Reason.PROMOTED, ready="True", suspend=True), "Healthy", id="suspended idle"),
        pytest.param(rollout(Action.SHIFT, Reason.ANALYZING, suspend=True), "Suspended", id="suspended mid-flight"),
        pytest.param(rollout(Action.PAUSE, Reason.PAUSED, stalled="True"), "Degraded", id="stalled while paused"),
        pytest.param(rollout(Action.PAUSE, Reason.PAUSED, stalled="False"), "Suspended", id="explicitly not stalled"),
    ],
)
def test_each_state_has_its_health(state: Mapping[str, Any], expected: str, run: Run) -> None:
    """The table of design/canary.md and reference/canary.md, row by row."""
    assert run("health.lua", state) == {"status": expected, "message": "because"}


@pytest.mark.parametrize("reason", sorted(STALLED))
def test_whatever_needs_a_person_is_degraded(reason: Reason, run: Run) -> None:
    """Stalled=True is Degraded whatever the action, with the condition's message."""
    state = rollout(Action.WAIT, reason, stalled="True", message="Service shop has no port 81")
    assert run("health.lua", state) == {"status": "Degraded", "message": "Service shop has no port 81"}


@pytest.mark.parametrize("action", list(Action))
def test_a_new_generation_is_in_progress(action: Action, run: Run) -> None:
    """What is said about an older generation is not said about this one."""
    state = rollout(action, Reason.PROMOTED, ready="True", stalled="True")
    state["metadata"]["generation"] = 4
    assert run("health.lua", state)["status"] == "Progressing"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="no status"),
        pytest.param({}, id="empty status"),
        pytest.param({"conditions": [condition("Ready", "True")]}, id="no observedGeneration"),
        pytest.param({"observedGeneration": 3}, id="nothing but observedGeneration"),
        pytest.param({"observedGeneration": 3, "conditions": []}, id="no conditions"),
        pytest.param({"observedGeneration": 3, "lastDecision": {}}, id="empty decision"),
        pytest.param({"observedGeneration": 3, "conditions": [{"type": "Ready"}]}, id="condition without status"),
        pytest.param({"observedGeneration": 3, "conditions": [{}]}, id="condition without type"),
    ],
)
def test_a_half_written_status_is_in_progress(status: Mapping[str, Any] | None, run: Run) -> None:
    """Nothing is indexed that may be absent; waiting never reads as Unknown or Healthy."""
    obj: dict[str, Any] = {"metadata": {"generation": 3}, "spec": {}}
    if status is not None:
        obj["status"] = status
    health = run("health.lua", obj)
    assert health["status"] == "Progressing"
    assert health["message"]


def test_an_object_of_nothing_is_in_progress(run: Run) -> None:
    """Not even metadata and spec are taken for granted."""
    assert run("health.lua", {})["status"] == "Progressing"


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("ready", ["True", "False", "Unknown"])
@pytest.mark.parametrize("stalled", ["True", "False", None])
def test_health_is_always_one_that_argo_knows(action: Action, ready: str, stalled: str | None, run: Run) -> None:
    """Unknown is never the answer."""
    assert run("health.lua", rollout(action, Reason.PROMOTED, ready=ready, stalled=stalled))["status"] in ARGO_STATES
