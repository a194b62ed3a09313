"""What users of the API see on a real API server: defaults, columns, explanations, strictness, samples, status."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Action, Reason, Verdict
from chaffinch_operator.canary.status import (
    ActionStatus,
    CanaryRolloutStatus,
    DecisionStatus,
    Forecast,
    GateStatus,
    HistoryEntry,
    Revision,
    Weight,
)
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.schema import Condition
from chaffinch_operator.shadow.model import ShadowEvaluationSpec

pytestmark = pytest.mark.apiserver

MODELS: dict[str, type[BaseModel]] = {
    "CanaryRollout": CanaryRolloutSpec,
    "CreditsLedger": CreditsLedgerSpec,
    "ShadowEvaluation": ShadowEvaluationSpec,
}
SAMPLES = sorted((Path(__file__).parents[3] / "manifests/samples").glob("*.yaml"))
MINIMAL: dict[str, Any] = {
    "targetRef": {"name": "shop"},
    "serviceRef": {"name": "shop", "port": 80},
    "trafficRouting": {"replicas": {}},
    "analysis": {
        "provider": {"prometheus": {"address": "http://prometheus:9090"}},
        "gates": [{"name": "errors", "template": "PodHTTPErrors"}, {"name": "restarts", "podRestarts": {}}],
    },
}
AT = "2026-01-01T00:00:00Z"


def canary_rollout(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The object with this spec."""
    return {
        "apiVersion": "chaffinch.dev/v1alpha1",
        "kind": "CanaryRollout",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def full_status() -> dict[str, Any]:
    """A status in which every field has a value."""
    revision = Revision(digest="d1", hash="h1", image="shop:2")
    status = CanaryRolloutStatus(
        observed_generation=1,
        phase="Analyzing",
        candidate=revision,
        stable=revision,
        candidate_since=AT,
        isolated_hash="h0",
        analysis_started_at=AT,
        interval_end=AT,
        drained_at=AT,
        paused_by_user=True,
        conditions=[
            Condition(
                type="Ready",
                status="False",
                reason=Reason.ANALYZING,
                message="25 %",
                last_transition_time=AT,
                observed_generation=1,
            )
        ],
        last_decision=DecisionStatus(action=Action.SHIFT, reason=Reason.ANALYZING, at=AT, message="analysing"),
        weight=Weight(desired=25, applied=24, observed="23.9"),
        gates=[GateStatus(name="errors", verdict=Verdict.INCONCLUSIVE, interval=["0.5", "1.2"], evidence=["1", "2"])],
        forecast=Forecast(requests_needed=2**40, decision_by=AT),
        last_action=ActionStatus(token="abort@1", accepted=True, message="aborting", at=AT),
        promoted_revisions=["d0"],
        rejected_revisions=["d9"],
        history=[HistoryEntry(digest="d9", image="shop:1", result="RolledBack", reason=Reason.GATE_FAILED, at=AT)],
    )
    return status.model_dump(mode="json", by_alias=True)


def test_the_server_fills_in_the_models_defaults(kubectl: Any) -> None:
    """What the API server makes of a minimal spec is what the operator's model makes of it."""
    given = canary_rollout("minimal", MINIMAL)
    live = kubectl.json("apply", "--server-side", "--dry-run=server", "-f", "-", given=given)
    model = CanaryRolloutSpec.model_validate(MINIMAL)
    assert live["spec"] == model.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_a_status_survives_the_server_unchanged(kubectl: Any) -> None:
    """No field of a written status is pruned, defaulted or refused."""
    kubectl.json("apply", "--server-side", "-f", "-", given=canary_rollout("status", MINIMAL))
    status = full_status()
    patch = yaml.safe_dump({"status": status})
    kubectl.json("patch", "cro", "status", "--subresource=status", "--type=merge", "-p", patch)
    assert kubectl.json("get", "cro", "status")["status"] == status


def test_spec_and_status_are_written_apart(kubectl: Any) -> None:
    """A user's apply cannot write status: it is a subresource."""
    given = canary_rollout("apart", MINIMAL) | {"status": {"phase": "Promoted"}}
    assert "status" not in kubectl.json("apply", "--server-side", "-f", "-", given=given)


def test_get_shows_ready_reason_weight_and_age(kubectl: Any) -> None:
    """`kubectl get cro` shows state, reason and the one number that matters."""
    kubectl.json("apply", "--server-side", "-f", "-", given=canary_rollout("columns", MINIMAL))
    patch = yaml.safe_dump({"status": full_status()})
    kubectl.json("patch", "cro", "columns", "--subresource=status", "--type=merge", "-p", patch)
    head, row = kubectl("get", "cro", "columns").out.splitlines()
    assert head.split() == ["NAME", "READY", "REASON", "WEIGHT", "AGE"]
    assert row.split()[:4] == ["columns", "False", "Analyzing", "24"]


def test_get_wide_shows_target_step_candidate_and_message(kubectl: Any) -> None:
    """`-o wide` adds what the release is about."""
    kubectl.json("apply", "--server-side", "-f", "-", given=canary_rollout("wide", MINIMAL))
    head = kubectl("get", "cro", "wide", "-o", "wide").out.splitlines()[0]
    assert head.split() == ["NAME", "READY", "REASON", "WEIGHT", "TARGET", "STEP", "CANDIDATE", "MESSAGE", "AGE"]


@pytest.mark.parametrize("names", ["canaryrollouts", "canaryrollout", "cro", "chaffinch"])
def test_every_name_finds_it(names: str, kubectl: Any) -> None:
    """Plural, singular, short name and category all work, and `all` stays free of it."""
    assert kubectl("get", names).code == 0


def test_get_all_does_not_list_it(kubectl: Any) -> None:
    """`kubectl get all` stays as it was."""
    kubectl.json("apply", "--server-side", "-f", "-", given=canary_rollout("hidden", MINIMAL))
    assert "hidden" not in kubectl("get", "all").out


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("cro", "releases a Deployment's new pod template step by step"),
        ("cro.spec.targetRef", "It stays yours"),
        ("cro.spec.steps.setWeight", "Percent of requests that go to the canary"),
        ("cro.spec.analysis.gates.ratio.bad", "Counter of bad events"),
        ("cro.status.gates.message", "One sentence with the numbers"),
    ],
)
def test_explain_says_what_a_field_means(path: str, words: str, kubectl: Any) -> None:
    """`kubectl explain` has the models' sentences."""
    assert words in " ".join(kubectl("explain", path).out.split())


def test_a_misspelt_field_is_refused(kubectl: Any) -> None:
    """A typo is an error that names the field, not a silent default."""
    answer = kubectl("create", "--dry-run=server", "-f", "-", given=canary_rollout("typo", MINIMAL | {"stpes": []}))
    assert answer.code == 1
    assert 'unknown field "spec.stpes"' in answer.err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", []),
        ("steps", [{"setWeight": 0}]),
        ("steps", [{"setWeight": 100}]),
        ("steps", [{"setWeight": 5, "minDuration": "five minutes"}]),
        ("targetRef", {"name": "Shop"}),
        ("targetRef", {"name": "shop", "kind": "StatefulSet"}),
        ("serviceRef", {"name": "shop", "port": 0}),
    ],
)
def test_a_value_out_of_bounds_is_refused(field: str, value: object, kubectl: Any) -> None:
    """Bounds, patterns and enums are checked by the API server, which names the field."""
    given = canary_rollout("bounds", MINIMAL | {field: value})
    answer = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=given)
    assert answer.code == 1
    assert f"spec.{field}" in answer.err


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_accepted_as_it_is(sample: Path, kubectl: Any) -> None:
    """Every sample is valid on a real API server, without a warning."""
    answer = kubectl("create", "--dry-run=server", "-f", sample)
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_means_the_same_to_the_operator(sample: Path, kubectl: Any) -> None:
    """The operator's model reads what the server stored, and loses nothing of it."""
    documents = yaml.safe_load_all(sample.read_text())
    ours = next(document for document in documents if document["kind"] in MODELS)
    live = kubectl.json("create", "--dry-run=server", "-f", "-", given=ours)["spec"]
    model = MODELS[ours["kind"]]
    assert model.model_validate(live).model_dump(mode="json", by_alias=True, exclude_none=True) == live
